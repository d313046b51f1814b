/* Keccak-f[1600] in plain C. The including file defines KP_TARGET, function attributes, and `word`: 64 bits, or a vector
 * of such. Names are those of FIPS 202, 3.2; a word's number is x + 5 y. */
#include "bytes.h"
#include "keccak.h"

#define ROTATED(w, bits) ((w) << (bits) | (w) >> (-(bits) & 63))
#define COLUMN(a, x) (a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20])

/* One row of the result, from words that rho and pi bring together: their numbers and rotations. */
#define ROW(to, a, w0, r0, w1, r1, w2, r2, w3, r3, w4, r4)                                                             \
    do {                                                                                                               \
        word b0 = ROTATED(a[w0] ^ d[w0 % 5], r0), b1 = ROTATED(a[w1] ^ d[w1 % 5], r1);                                 \
        word b2 = ROTATED(a[w2] ^ d[w2 % 5], r2), b3 = ROTATED(a[w3] ^ d[w3 % 5], r3);                                 \
        word b4 = ROTATED(a[w4] ^ d[w4 % 5], r4);                                                                      \
        (to)[0] = b0 ^ (~b1 & b2);                                                                                     \
        (to)[1] = b1 ^ (~b2 & b3);                                                                                     \
        (to)[2] = b2 ^ (~b3 & b4);                                                                                     \
        (to)[3] = b3 ^ (~b4 & b0);                                                                                     \
        (to)[4] = b4 ^ (~b0 & b1);                                                                                     \
    } while (0)

#define ROUND(to, a, number)                                                                                           \
    do {                                                                                                               \
        word c0 = COLUMN(a, 0), c1 = COLUMN(a, 1), c2 = COLUMN(a, 2), c3 = COLUMN(a, 3), c4 = COLUMN(a, 4);            \
        word d[5] = {                                                                                                  \
            c4 ^ ROTATED(c1, 1), c0 ^ ROTATED(c2, 1), c1 ^ ROTATED(c3, 1), c2 ^ ROTATED(c4, 1), c3 ^ ROTATED(c0, 1),   \
        };                                                                                                             \
        ROW(to, a, 0, 0, 6, 44, 12, 43, 18, 21, 24, 14);                                                               \
        ROW((to) + 5, a, 3, 28, 9, 20, 10, 3, 16, 45, 22, 61);                                                         \
        ROW((to) + 10, a, 1, 1, 7, 6, 13, 25, 19, 8, 20, 18);                                                          \
        ROW((to) + 15, a, 4, 27, 5, 36, 11, 10, 17, 15, 23, 56);                                                       \
        ROW((to) + 20, a, 2, 62, 8, 55, 14, 39, 15, 41, 21, 2);                                                        \
        (to)[0] ^= kp_keccak_constants[number];                                                                        \
    } while (0)

KP_TARGET static inline void permute(word a[KP_KECCAK_WORDS])
{
    word e[KP_KECCAK_WORDS];
    for (int round = 0; round < KP_KECCAK_ROUNDS; round += 2) {
        ROUND(e, a, round);
        ROUND(a, e, round + 1);
    }
}
