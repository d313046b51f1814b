/* AES-256-CTR with the AES instructions of x86 processors: eight blocks at a time, as many as the instructions' latency
 * hides. kp_aes_ctr_ni, whose bounds aes_ctr.h gives; engine.c calls it only where the processor has AES and SSE 4.1.
 *
 * The instructions take the same time for all keys and data. Sources: FIPS 197, 5.2 (the key schedule); S. Gueron,
 * "Intel Advanced Encryption Standard (AES) New Instructions Set" (2010). */
#include "cpu.h"

#ifdef KP_X86_64

#include <immintrin.h>

#include "aes_ctr.h"
#include "bytes.h"

#define KP_TARGET __attribute__((target("aes,sse4.1")))
#define KP_STREAM kp_aes_ctr_ni

#define EACH_LANE(x, instruction, key)                                                                                 \
    do {                                                                                                               \
        (x)[0] = instruction((x)[0], key);                                                                             \
        (x)[1] = instruction((x)[1], key);                                                                             \
        (x)[2] = instruction((x)[2], key);                                                                             \
        (x)[3] = instruction((x)[3], key);                                                                             \
        (x)[4] = instruction((x)[4], key);                                                                             \
        (x)[5] = instruction((x)[5], key);                                                                             \
        (x)[6] = instruction((x)[6], key);                                                                             \
        (x)[7] = instruction((x)[7], key);                                                                             \
    } while (0)

typedef struct {
    __m128i round[KP_AES256_ROUNDS + 1];
} round_keys;

/* Each word of the result is the sum of the words of `before` up to there, and of `mixed`. */
KP_TARGET static inline __m128i next_words(__m128i before, __m128i mixed)
{
    before = _mm_xor_si128(before, _mm_slli_si128(before, 4));
    before = _mm_xor_si128(before, _mm_slli_si128(before, 8));
    return _mm_xor_si128(before, mixed);
}

/* The words of AESKEYGENASSIST's result that FIPS 197, 5.2, wants: rotated with the constant, or neither. */
#define ROTATED_WORD(key, constant) _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, constant), 0xff)
#define PLAIN_WORD(key) _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, 0), 0xaa)

#define NEXT_KEYS(k, constant)                                                                                         \
    do {                                                                                                               \
        keys->round[k] = next_words(keys->round[(k) - 2], ROTATED_WORD(keys->round[(k) - 1], constant));               \
        keys->round[(k) + 1] = next_words(keys->round[(k) - 1], PLAIN_WORD(keys->round[k]));                           \
    } while (0)

KP_TARGET static inline void expand(round_keys *keys, const uint8_t *key)
{
    keys->round[0] = _mm_loadu_si128((const __m128i *)(const void *)key);
    keys->round[1] = _mm_loadu_si128((const __m128i *)(const void *)(key + KP_AES_BLOCK));
    NEXT_KEYS(2, 0x01);
    NEXT_KEYS(4, 0x02);
    NEXT_KEYS(6, 0x04);
    NEXT_KEYS(8, 0x08);
    NEXT_KEYS(10, 0x10);
    NEXT_KEYS(12, 0x20);
    keys->round[14] = next_words(keys->round[12], ROTATED_WORD(keys->round[13], 0x40));
}

KP_TARGET static inline void encipher(const round_keys *keys, uint8_t *blocks)
{
    __m128i x[8];
    for (int k = 0; k < 8; k++)
        x[k] = _mm_loadu_si128((const __m128i *)(const void *)(blocks + KP_AES_BLOCK * k));
    EACH_LANE(x, _mm_xor_si128, keys->round[0]);
    for (int round = 1; round < KP_AES256_ROUNDS; round++)
        EACH_LANE(x, _mm_aesenc_si128, keys->round[round]);
    EACH_LANE(x, _mm_aesenclast_si128, keys->round[KP_AES256_ROUNDS]);
    for (int k = 0; k < 8; k++)
        _mm_storeu_si128((__m128i *)(void *)(blocks + KP_AES_BLOCK * k), x[k]);
}

#include "aes_ctr_core.h"

#else
typedef int kp_nothing_here;
#endif
