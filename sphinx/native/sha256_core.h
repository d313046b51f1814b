/* SHA-256's compression in plain C. The including file defines KP_TARGET, function attributes, and KP_BLOCKS, the name
 * of the function that results. Names are those of FIPS 180-4. */
#include "bytes.h"
#include "sha256.h"

#define ROTATED(x, bits) ((x) >> (bits) | (x) << (32 - (bits)))
#define BIG_SIGMA0(x) (ROTATED(x, 2) ^ ROTATED(x, 13) ^ ROTATED(x, 22))
#define BIG_SIGMA1(x) (ROTATED(x, 6) ^ ROTATED(x, 11) ^ ROTATED(x, 25))
#define SIGMA0(x) (ROTATED(x, 7) ^ ROTATED(x, 18) ^ (x) >> 3)
#define SIGMA1(x) (ROTATED(x, 17) ^ ROTATED(x, 19) ^ (x) >> 10)
#define CHOICE(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define MAJORITY(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))

#define ROUND(a, b, c, d, e, f, g, h, k)                                                                               \
    do {                                                                                                               \
        h += BIG_SIGMA1(e) + CHOICE(e, f, g) + kp_sha256_constants[at + (k)] + w[k];                                   \
        d += h;                                                                                                        \
        h += BIG_SIGMA0(a) + MAJORITY(a, b, c);                                                                        \
    } while (0)

#define EIGHT_ROUNDS(k)                                                                                                \
    do {                                                                                                               \
        ROUND(a, b, c, d, e, f, g, h, (k));                                                                            \
        ROUND(h, a, b, c, d, e, f, g, (k) + 1);                                                                        \
        ROUND(g, h, a, b, c, d, e, f, (k) + 2);                                                                        \
        ROUND(f, g, h, a, b, c, d, e, (k) + 3);                                                                        \
        ROUND(e, f, g, h, a, b, c, d, (k) + 4);                                                                        \
        ROUND(d, e, f, g, h, a, b, c, (k) + 5);                                                                        \
        ROUND(c, d, e, f, g, h, a, b, (k) + 6);                                                                        \
        ROUND(b, c, d, e, f, g, h, a, (k) + 7);                                                                        \
    } while (0)

#define SCHEDULED 16

KP_TARGET void KP_BLOCKS(uint32_t state[KP_SHA256_WORDS], const uint8_t *blocks, size_t count)
{
    uint32_t w[SCHEDULED];
    for (; count; count--, blocks += KP_SHA256_BLOCK) {
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int k = 0; k < SCHEDULED; k++)
            w[k] = kp_load32_big(blocks + 4 * k);
        for (int at = 0;;) {
            EIGHT_ROUNDS(0);
            EIGHT_ROUNDS(8);
            at += SCHEDULED;
            if (at == KP_SHA256_BLOCK)
                break;
            for (int k = 0; k < SCHEDULED; k++)
                w[k] += SIGMA1(w[(k + 14) % SCHEDULED]) + w[(k + 9) % SCHEDULED] + SIGMA0(w[(k + 1) % SCHEDULED]);
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
        state[5] += f;
        state[6] += g;
        state[7] += h;
    }
}
