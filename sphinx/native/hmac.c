/* HMAC over any SHA-256, and HKDF-Expand over that.
 *
 * Bounds: keys of at most one block of 64 bytes, which callers check; messages of any length below 2^61 bytes; of
 * HKDF-Expand at most 255 digests. A key's two blocks are taken in once for all messages under it. No branch depends on
 * anything but lengths.
 *
 * Sources: FIPS 180-4, 5.1.1 and 5.3.3; RFC 2104; RFC 5869, 2.3. */
#include "bytes.h"
#include "sha256.h"

#define INNER_PAD 0x36
#define OUTER_PAD 0x5c
#define END_MARK 0x80
#define LENGTH_BYTES 8

static const uint32_t initial[KP_SHA256_WORDS] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

void kp_hmac_prepare(kp_hmac_key *prepared, kp_sha256_blocks *blocks, const uint8_t *key, size_t length)
{
    uint8_t block[KP_SHA256_BLOCK];
    prepared->blocks = blocks;
    memset(block, INNER_PAD, sizeof block);
    kp_xor(block, key, length);
    memcpy(prepared->inner, initial, sizeof initial);
    blocks(prepared->inner, block, 1);
    for (size_t k = 0; k < sizeof block; k++)
        block[k] ^= INNER_PAD ^ OUTER_PAD;
    memcpy(prepared->outer, initial, sizeof initial);
    blocks(prepared->outer, block, 1);
}

void kp_hmac_start(kp_hmac *mac, const kp_hmac_key *key)
{
    mac->key = key;
    mac->length = 0;
    memcpy(mac->state, key->inner, sizeof mac->state);
}

void kp_hmac_update(kp_hmac *mac, const uint8_t *data, size_t length)
{
    size_t held = mac->length % KP_SHA256_BLOCK, whole;
    mac->length += length;
    if (held) {
        size_t taken = KP_SHA256_BLOCK - held < length ? KP_SHA256_BLOCK - held : length;
        memcpy(mac->waiting + held, data, taken);
        if (held + taken < KP_SHA256_BLOCK)
            return;
        mac->key->blocks(mac->state, mac->waiting, 1);
        data += taken;
        length -= taken;
    }
    whole = length / KP_SHA256_BLOCK;
    mac->key->blocks(mac->state, data, whole);
    if (length % KP_SHA256_BLOCK)
        memcpy(mac->waiting, data + whole * KP_SHA256_BLOCK, length % KP_SHA256_BLOCK);
}

/* End a hash of which `length` bytes came behind one block of key, `held` of them still waiting. */
static void end(kp_sha256_blocks *blocks, uint32_t *state, uint8_t *waiting, size_t held, uint64_t length)
{
    uint64_t bits = 8 * (KP_SHA256_BLOCK + length);
    waiting[held++] = END_MARK;
    if (held > KP_SHA256_BLOCK - LENGTH_BYTES) {
        memset(waiting + held, 0, KP_SHA256_BLOCK - held);
        blocks(state, waiting, 1);
        held = 0;
    }
    memset(waiting + held, 0, KP_SHA256_BLOCK - LENGTH_BYTES - held);
    kp_store32_big(waiting + KP_SHA256_BLOCK - LENGTH_BYTES, (uint32_t)(bits >> 32));
    kp_store32_big(waiting + KP_SHA256_BLOCK - LENGTH_BYTES / 2, (uint32_t)bits);
    blocks(state, waiting, 1);
}

void kp_hmac_finish(kp_hmac *mac, uint8_t digest[KP_SHA256_DIGEST])
{
    kp_sha256_blocks *blocks = mac->key->blocks;
    end(blocks, mac->state, mac->waiting, mac->length % KP_SHA256_BLOCK, mac->length);
    for (int k = 0; k < KP_SHA256_WORDS; k++)
        kp_store32_big(mac->waiting + 4 * k, mac->state[k]);
    memcpy(mac->state, mac->key->outer, sizeof mac->state);
    end(blocks, mac->state, mac->waiting, KP_SHA256_DIGEST, KP_SHA256_DIGEST);
    for (int k = 0; k < KP_SHA256_WORDS; k++)
        kp_store32_big(digest + 4 * k, mac->state[k]);
}

void kp_hmac_once(
    kp_sha256_blocks *blocks, const uint8_t *key, size_t key_length, const uint8_t *data, size_t length,
    uint8_t digest[KP_SHA256_DIGEST])
{
    kp_hmac_key prepared;
    kp_hmac mac;
    kp_hmac_prepare(&prepared, blocks, key, key_length);
    kp_hmac_start(&mac, &prepared);
    kp_hmac_update(&mac, data, length);
    kp_hmac_finish(&mac, digest);
}

void kp_hkdf_expand(
    kp_sha256_blocks *blocks, const uint8_t *secret, size_t secret_length, const uint8_t *info, size_t info_length,
    uint8_t *out, size_t length)
{
    kp_hmac_key key;
    kp_hmac mac;
    uint8_t counter = 1;
    kp_hmac_prepare(&key, blocks, secret, secret_length);
    for (size_t at = 0; at < length; at += KP_SHA256_DIGEST, counter++) {
        kp_hmac_start(&mac, &key);
        if (at)
            kp_hmac_update(&mac, out + at - KP_SHA256_DIGEST, KP_SHA256_DIGEST);
        kp_hmac_update(&mac, info, info_length);
        kp_hmac_update(&mac, &counter, 1);
        kp_hmac_finish(&mac, out + at);
    }
}
