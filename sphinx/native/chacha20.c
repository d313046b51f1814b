/* The first half of ChaCha20's first block, which a hop's blinding factor is made from. 32 bytes in, 32 out, no loops
 * but of fixed length; additions, rotations and exclusive-ors alone, so in constant time.
 *
 * Source: D. J. Bernstein, "ChaCha, a variant of Salsa20" (2008); its names are those of RFC 8439, 2. */
#include "chacha20.h"

#include "bytes.h"

#define WORDS 16
#define DOUBLE_ROUNDS 10

static inline uint32_t rotated(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

static inline void quarter_round(uint32_t *x, int a, int b, int c, int d)
{
    x[a] += x[b];
    x[d] = rotated(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotated(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotated(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotated(x[b] ^ x[c], 7);
}

void kp_chacha20_first(uint8_t stream[32], const uint8_t key[KP_CHACHA20_KEY])
{
    /* "expand 32-byte k", the key, then block counter and nonce, which are zero. */
    uint32_t start[WORDS] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, x[WORDS];
    for (int k = 0; k < 8; k++)
        start[4 + k] = kp_load32(key + 4 * k);
    memcpy(x, start, sizeof x);
    for (int k = 0; k < DOUBLE_ROUNDS; k++) {
        quarter_round(x, 0, 4, 8, 12);
        quarter_round(x, 1, 5, 9, 13);
        quarter_round(x, 2, 6, 10, 14);
        quarter_round(x, 3, 7, 11, 15);
        quarter_round(x, 0, 5, 10, 15);
        quarter_round(x, 1, 6, 11, 12);
        quarter_round(x, 2, 7, 8, 13);
        quarter_round(x, 3, 4, 9, 14);
    }
    for (int k = 0; k < 8; k++)
        kp_store32(stream + 4 * k, x[k] + start[k]);
}
