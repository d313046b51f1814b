/* From the secret shared with a hop to that hop's keys: sphinx/crypto/kdf.py in C. */
#ifndef KP_HOP_KEYS_H
#define KP_HOP_KEYS_H

#include "engine.h"

#define KP_SEED 32

/* In the order in which HKDF yields them; nothing but bytes, so without padding. */
typedef struct {
    uint8_t mac_key[KP_SHA256_DIGEST];
    uint8_t header_key[KP_AES256_KEY];
    uint8_t iv[KP_AES_BLOCK];
    uint8_t sprp_key[KP_KEY];
    uint8_t seed[KP_SEED];
} kp_hop_keys;

void kp_derive(kp_hop_keys *keys, const kp_engine *engine, const uint8_t secret[KP_POINT]);

/* Key and nonce of the payload. */
void kp_payload_material(uint8_t material[KP_MATERIAL], const kp_hop_keys *keys);

/* The factor that blinds the group element for the next hop. */
void kp_blinding_factor(kp_scalar *factor, const kp_hop_keys *keys);

#endif
