/* AES-256-CTR for any 64-bit processor: eight blocks at a time, bitsliced. kp_aes_ctr_portable, whose bounds aes_ctr.h
 * gives.
 *
 * Constant time: no table, no branch but on lengths; the key schedule's S-box is the circuit, too. Sources: FIPS 197,
 * 5.2; for the circuit, bitslice.h. */
#include "aes_ctr.h"
#include "bitslice.h"

#define KP_TARGET
#define KP_STREAM kp_aes_ctr_portable

#define KEY_WORDS 8
#define SCHEDULE_WORDS (4 * (KP_AES256_ROUNDS + 1))

typedef struct {
    planes round[KP_AES256_ROUNDS + 1];
} round_keys;

/* The S-box on each byte of a word. */
static uint32_t substituted(uint32_t word)
{
    uint64_t q[PLANES] = {word};
    transpose(q);
    s_box(q);
    transpose(q);
    return (uint32_t)(q[0] ^ S_BOX_CONSTANT);
}

/* FIPS 197, 5.2, with the words little-endian. */
static void expand(round_keys *keys, const uint8_t *key)
{
    uint32_t w[SCHEDULE_WORDS], round_constant = 1;
    uint8_t bytes[KP_AES_BLOCK];
    for (int k = 0; k < KEY_WORDS; k++)
        w[k] = kp_load32(key + 4 * k);
    for (int k = KEY_WORDS; k < SCHEDULE_WORDS; k++) {
        uint32_t word = w[k - 1];
        if (k % KEY_WORDS == 0) {
            word = substituted(word >> 8 | word << 24) ^ round_constant;
            round_constant <<= 1;
        } else if (k % KEY_WORDS == KEY_WORDS / 2) {
            word = substituted(word);
        }
        w[k] = w[k - KEY_WORDS] ^ word;
    }
    for (int round = 0; round <= KP_AES256_ROUNDS; round++) {
        for (int k = 0; k < 4; k++)
            kp_store32(bytes + 4 * k, w[4 * round + k]);
        key_planes(&keys->round[round], bytes, round ? S_BOX_CONSTANT : 0);
    }
}

static void add_key(planes *q, const planes *key)
{
    for (int k = 0; k < PLANES; k++) {
        q->half[0][k] ^= key->half[0][k];
        q->half[1][k] ^= key->half[1][k];
    }
}

static void encipher(const round_keys *keys, uint8_t *blocks)
{
    planes q;
    block x[PLANES];
    for (int k = 0; k < PLANES; k++)
        x[k] = block_load(blocks + KP_AES_BLOCK * k);
    to_planes(&q, x);
    add_key(&q, &keys->round[0]);
    for (int round = 1; round < KP_AES256_ROUNDS; round++)
        aes_round(&q, &keys->round[round]);
    aes_last_round(&q, &keys->round[KP_AES256_ROUNDS]);
    from_planes(x, &q);
    for (int k = 0; k < PLANES; k++)
        block_store(blocks + KP_AES_BLOCK * k, x[k]);
}

#include "aes_ctr_core.h"
