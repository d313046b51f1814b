/* SHA-256's compression with the SHA instructions of x86 processors: kp_sha256_ni, `count` whole blocks. engine.c calls
 * it only where the processor has them; tests/sphinx/sha_instructions.h models them for those without.
 *
 * Source: S. Gulley and others, "Intel SHA Extensions" (2013). */
#include "cpu.h"

#ifdef KP_X86_64

#include <immintrin.h>

#include "sha256.h"

#define LANES 4
#define SCHEDULED 4
#define GROUPS (KP_SHA256_BLOCK / LANES)

/* The instructions hold the state as (A, B, E, F) and (C, D, G, H), highest lane first. */
__attribute__((target("sha,sse4.1"))) void kp_sha256_ni(
    uint32_t state[KP_SHA256_WORDS], const uint8_t *blocks, size_t count)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)state);
    __m128i hgfe = _mm_loadu_si128((const __m128i *)(const void *)(state + LANES));
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    __m128i w[SCHEDULED];

    for (; count; count--, blocks += KP_SHA256_BLOCK) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        for (int group = 0; group < GROUPS; group++) {
            __m128i *now = &w[group % SCHEDULED], sum;
            if (group < SCHEDULED) {
                const uint8_t *words = blocks + 16 * group;
                *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)words), swap);
            } else {
                __m128i w7 = _mm_alignr_epi8(w[(group + 3) % SCHEDULED], w[(group + 2) % SCHEDULED], 4);
                __m128i part = _mm_sha256msg1_epu32(*now, w[(group + 1) % SCHEDULED]);
                *now = _mm_sha256msg2_epu32(_mm_add_epi32(part, w7), w[(group + 3) % SCHEDULED]);
            }
            sum = _mm_loadu_si128((const __m128i *)(const void *)(kp_sha256_constants + LANES * group));
            sum = _mm_add_epi32(sum, *now);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    dcba = _mm_shuffle_epi32(abef, 0x1b);
    hgfe = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(dcba, hgfe, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(state + LANES), _mm_alignr_epi8(hgfe, dcba, 8));
}

#else
typedef int kp_nothing_here;
#endif
