/* SPHINCS+-SHAKE-256f-robust (Aumasson and others, "SPHINCS+: submission to the NIST post-quantum project, v.3.1", 2022):
 * the authorities' signatures. The same in Python, easier to read, is pki/signatures/sphincs_trees.py.
 *
 * A digest is SHAKE256(R || public key || message). Callers check lengths; all memory is theirs. */
#ifndef KP_SPHINCS_H
#define KP_SPHINCS_H

#include "engine.h"

#define KP_SPHINCS_NODE 32
#define KP_SPHINCS_DIGEST 49
#define KP_SPHINCS_LAYERS 17
#define KP_SPHINCS_LEVELS 4
#define KP_SPHINCS_CHAINS 67
#define KP_SPHINCS_TREES 35
#define KP_SPHINCS_HEIGHT 9
#define KP_SPHINCS_FOREST (KP_SPHINCS_TREES * (1 + KP_SPHINCS_HEIGHT) * KP_SPHINCS_NODE)
#define KP_SPHINCS_LAYER ((KP_SPHINCS_CHAINS + KP_SPHINCS_LEVELS) * KP_SPHINCS_NODE)
#define KP_SPHINCS_SIGNATURE (KP_SPHINCS_NODE + KP_SPHINCS_FOREST + KP_SPHINCS_LAYERS * KP_SPHINCS_LAYER)

/* Write the root to which `signature`, KP_SPHINCS_SIGNATURE bytes, leads: the public key's, if it is genuine. */
void kp_sphincs_root(
    const kp_engine *engine, const uint8_t *public_seed, const uint8_t *digest, const uint8_t *signature,
    uint8_t *root);

/* Write the root of the public key that belongs to these seeds. */
void kp_sphincs_generate(
    const kp_engine *engine, const uint8_t *secret_seed, const uint8_t *public_seed, uint8_t *root);

/* Write a signature, but for R at its beginning, which the digest was made from. What the signature publishes, and no
 * other secret, steers branches and addresses. */
void kp_sphincs_sign(
    const kp_engine *engine, const uint8_t *secret_seed, const uint8_t *public_seed, const uint8_t *digest,
    uint8_t *signature);

#endif
