/* The SHA instructions of x86 processors by what Intel's SDM, volume 2, says of them, for processors without, and for
 * valgrind: included before sha256_ni.c, in place of the compiler's. */
#ifndef SHA_INSTRUCTIONS_H
#define SHA_INSTRUCTIONS_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define LANES 4
#define ROTATED(x, bits) ((x) >> (bits) | (x) << (32 - (bits)))

typedef struct {
    uint32_t lane[LANES];
} lanes;

static lanes from(__m128i vector)
{
    lanes out;
    memcpy(&out, &vector, sizeof out);
    return out;
}

static __m128i to(lanes in)
{
    __m128i vector;
    memcpy(&vector, &in, sizeof vector);
    return vector;
}

static uint32_t sigma0(uint32_t x)
{
    return ROTATED(x, 7) ^ ROTATED(x, 18) ^ x >> 3;
}

static uint32_t sigma1(uint32_t x)
{
    return ROTATED(x, 17) ^ ROTATED(x, 19) ^ x >> 10;
}

static __m128i two_rounds(__m128i cdgh, __m128i abef, __m128i sums)
{
    lanes first = from(abef), second = from(cdgh), sum = from(sums);
    uint32_t a = first.lane[3], b = first.lane[2], e = first.lane[1], f = first.lane[0];
    uint32_t c = second.lane[3], d = second.lane[2], g = second.lane[1], h = second.lane[0];
    for (int k = 0; k < 2; k++) {
        uint32_t t1 = h + (ROTATED(e, 6) ^ ROTATED(e, 11) ^ ROTATED(e, 25)) + ((e & f) ^ (~e & g)) + sum.lane[k];
        uint32_t t2 = (ROTATED(a, 2) ^ ROTATED(a, 13) ^ ROTATED(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    return to((lanes){{f, e, b, a}});
}

static __m128i schedule_first(__m128i older, __m128i newer)
{
    lanes w = from(older);
    uint32_t next = from(newer).lane[0];
    for (int k = 0; k < LANES; k++)
        w.lane[k] += sigma0(k + 1 < LANES ? w.lane[k + 1] : next);
    return to(w);
}

static __m128i schedule_second(__m128i sums, __m128i newest)
{
    lanes w = from(sums), last = from(newest);
    for (int k = 0; k < LANES; k++)
        w.lane[k] += sigma1(k < 2 ? last.lane[k + 2] : w.lane[k - 2]);
    return to(w);
}

#define _mm_sha256rnds2_epu32 two_rounds
#define _mm_sha256msg1_epu32 schedule_first
#define _mm_sha256msg2_epu32 schedule_second
#undef LANES
#undef ROTATED

#endif
