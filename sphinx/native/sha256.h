/* SHA-256 (FIPS 180-4), HMAC (RFC 2104) and HKDF-Expand (RFC 5869) over it. */
#ifndef KP_SHA256_H
#define KP_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define KP_SHA256_BLOCK 64
#define KP_SHA256_DIGEST 32
#define KP_SHA256_WORDS 8

/* Take `count` whole blocks into the state. */
typedef void kp_sha256_blocks(uint32_t state[KP_SHA256_WORDS], const uint8_t *blocks, size_t count);

kp_sha256_blocks kp_sha256_portable, kp_sha256_ni;

extern const uint32_t kp_sha256_constants[KP_SHA256_BLOCK];

typedef struct {
    kp_sha256_blocks *blocks;
    uint32_t inner[KP_SHA256_WORDS], outer[KP_SHA256_WORDS];
} kp_hmac_key;

typedef struct {
    const kp_hmac_key *key;
    uint32_t state[KP_SHA256_WORDS];
    uint8_t waiting[KP_SHA256_BLOCK];
    size_t length;
} kp_hmac;

/* `key` has at most one block. */
void kp_hmac_prepare(kp_hmac_key *prepared, kp_sha256_blocks *blocks, const uint8_t *key, size_t length);
void kp_hmac_start(kp_hmac *mac, const kp_hmac_key *key);
void kp_hmac_update(kp_hmac *mac, const uint8_t *data, size_t length);
void kp_hmac_finish(kp_hmac *mac, uint8_t digest[KP_SHA256_DIGEST]);

/* All of it at once. */
void kp_hmac_once(
    kp_sha256_blocks *blocks, const uint8_t *key, size_t key_length, const uint8_t *data, size_t length,
    uint8_t digest[KP_SHA256_DIGEST]);

/* `length` is a multiple of KP_SHA256_DIGEST. */
void kp_hkdf_expand(
    kp_sha256_blocks *blocks, const uint8_t *secret, size_t secret_length, const uint8_t *info, size_t info_length,
    uint8_t *out, size_t length);

#endif
