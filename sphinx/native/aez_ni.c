/* AEZ with the AES instructions of x86 processors. kp_aez_ni_layers, whose bounds aez.h gives: this file has the
 * rounds, aez_core.h the cipher. Chosen at run time: the rest of the module needs none of the instructions.
 *
 * The instructions take the same time for all keys and data. Source: as aes_ctr_ni.c. */
#include "cpu.h"

#ifdef KP_X86_64

#include <immintrin.h>

#include "aez.h"
#include "bytes.h"

#define KP_TARGET __attribute__((target("aes,sse4.1")))
#define KP_LAYERS kp_aez_ni_layers

typedef __m128i block;

typedef struct {
    __m128i i, j, l;
} round_keys;

KP_TARGET static inline block block_load(const uint8_t *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

KP_TARGET static inline void block_store(uint8_t *bytes, block value)
{
    _mm_storeu_si128((__m128i *)(void *)bytes, value);
}

KP_TARGET static inline block block_xor(block a, block b)
{
    return _mm_xor_si128(a, b);
}

KP_TARGET static inline void expand(round_keys *keys, const uint8_t *key)
{
    keys->i = block_load(key);
    keys->j = block_load(key + KP_BLOCK);
    keys->l = block_load(key + 2 * KP_BLOCK);
}

#define ROUND(x, key)                                                                                                  \
    do {                                                                                                               \
        (x)[0] = _mm_aesenc_si128((x)[0], key);                                                                        \
        (x)[1] = _mm_aesenc_si128((x)[1], key);                                                                        \
        (x)[2] = _mm_aesenc_si128((x)[2], key);                                                                        \
        (x)[3] = _mm_aesenc_si128((x)[3], key);                                                                        \
        (x)[4] = _mm_aesenc_si128((x)[4], key);                                                                        \
        (x)[5] = _mm_aesenc_si128((x)[5], key);                                                                        \
        (x)[6] = _mm_aesenc_si128((x)[6], key);                                                                        \
        (x)[7] = _mm_aesenc_si128((x)[7], key);                                                                        \
    } while (0)

KP_TARGET static inline void four_rounds(const round_keys *keys, block *x)
{
    ROUND(x, keys->j);
    ROUND(x, keys->i);
    ROUND(x, keys->l);
    ROUND(x, _mm_setzero_si128());
}

KP_TARGET static inline void ten_rounds(const round_keys *keys, block *x)
{
    for (int k = 0; k < 3; k++) {
        ROUND(x, keys->i);
        ROUND(x, keys->j);
        ROUND(x, keys->l);
    }
    ROUND(x, keys->i);
}

#include "aez_core.h"

#else
typedef int kp_nothing_here;
#endif
