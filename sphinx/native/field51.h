/* The field of 2^255 - 19 in five limbs of 51 bits, for any 64-bit processor. Limbs may grow beyond 51 bits between
 * multiplications: a product's stay below 2^51 + 2^13, a factor's must be below 2^54.
 *
 * Constant time: no branch, no look-up. tests/sphinx/test_native_field.py compares with integers at these bounds.
 * Source: Bernstein, Duif, Lange, Schwabe and Yang, "High-speed high-security signatures" (2011), 3. */
#ifndef KP_FIELD51_H
#define KP_FIELD51_H

#include "bytes.h"

#define LIMBS 5
#define LIMB_BITS 51
#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)
#define FOLD 19

typedef unsigned __int128 wide;

typedef struct {
    uint64_t limb[LIMBS];
} field;

/* From four words of 64 bits; the top bit is ignored (RFC 7748, 5). */
static inline field field_from_words(const uint64_t *word)
{
    return (field){{
        word[0] & LIMB_MASK,
        (word[0] >> 51 | word[1] << 13) & LIMB_MASK,
        (word[1] >> 38 | word[2] << 26) & LIMB_MASK,
        (word[2] >> 25 | word[3] << 39) & LIMB_MASK,
        (word[3] >> 12) & LIMB_MASK,
    }};
}

static inline field field_small(uint64_t value)
{
    return (field){{value, 0, 0, 0, 0}};
}

static inline void add(field *out, const field *a, const field *b)
{
    for (int k = 0; k < LIMBS; k++)
        out->limb[k] = a->limb[k] + b->limb[k];
}

/* b's limbs must be below those of four times the prime, which are added lest any turn negative. */
static inline void subtract(field *out, const field *a, const field *b)
{
    out->limb[0] = a->limb[0] + 4 * (LIMB_MASK + 1 - FOLD) - b->limb[0];
    for (int k = 1; k < LIMBS; k++)
        out->limb[k] = a->limb[k] + 4 * LIMB_MASK - b->limb[k];
}

/* Bring the limbs back to about 51 bits. */
static inline void carry(field *a)
{
    for (int k = 0; k < LIMBS - 1; k++) {
        a->limb[k + 1] += a->limb[k] >> LIMB_BITS;
        a->limb[k] &= LIMB_MASK;
    }
    a->limb[0] += FOLD * (a->limb[LIMBS - 1] >> LIMB_BITS);
    a->limb[LIMBS - 1] &= LIMB_MASK;
}

static inline void folded(field *out, wide r0, wide r1, wide r2, wide r3, wide r4)
{
    uint64_t low;
    r1 += (uint64_t)(r0 >> LIMB_BITS);
    r2 += (uint64_t)(r1 >> LIMB_BITS);
    r3 += (uint64_t)(r2 >> LIMB_BITS);
    r4 += (uint64_t)(r3 >> LIMB_BITS);
    low = ((uint64_t)r0 & LIMB_MASK) + FOLD * (uint64_t)(r4 >> LIMB_BITS);
    out->limb[0] = low & LIMB_MASK;
    out->limb[1] = ((uint64_t)r1 & LIMB_MASK) + (low >> LIMB_BITS);
    out->limb[2] = (uint64_t)r2 & LIMB_MASK;
    out->limb[3] = (uint64_t)r3 & LIMB_MASK;
    out->limb[4] = (uint64_t)r4 & LIMB_MASK;
}

static inline void multiply(field *out, const field *a, const field *b)
{
    const uint64_t a0 = a->limb[0], a1 = a->limb[1], a2 = a->limb[2], a3 = a->limb[3], a4 = a->limb[4];
    const uint64_t b0 = b->limb[0], b1 = b->limb[1], b2 = b->limb[2], b3 = b->limb[3], b4 = b->limb[4];
    const uint64_t c1 = FOLD * b1, c2 = FOLD * b2, c3 = FOLD * b3, c4 = FOLD * b4;
    folded(
        out,
        (wide)a0 * b0 + (wide)a1 * c4 + (wide)a2 * c3 + (wide)a3 * c2 + (wide)a4 * c1,
        (wide)a0 * b1 + (wide)a1 * b0 + (wide)a2 * c4 + (wide)a3 * c3 + (wide)a4 * c2,
        (wide)a0 * b2 + (wide)a1 * b1 + (wide)a2 * b0 + (wide)a3 * c4 + (wide)a4 * c3,
        (wide)a0 * b3 + (wide)a1 * b2 + (wide)a2 * b1 + (wide)a3 * b0 + (wide)a4 * c4,
        (wide)a0 * b4 + (wide)a1 * b3 + (wide)a2 * b2 + (wide)a3 * b1 + (wide)a4 * b0);
}

static inline void square(field *out, const field *a)
{
    const uint64_t a0 = a->limb[0], a1 = a->limb[1], a2 = a->limb[2], a3 = a->limb[3], a4 = a->limb[4];
    const uint64_t d0 = 2 * a0, d1 = 2 * a1, c3 = FOLD * a3, c4 = FOLD * a4;
    folded(
        out,
        (wide)a0 * a0 + (wide)d1 * c4 + (wide)(2 * a2) * c3,
        (wide)d0 * a1 + (wide)(2 * a2) * c4 + (wide)a3 * c3,
        (wide)d0 * a2 + (wide)a1 * a1 + (wide)(2 * a3) * c4,
        (wide)d0 * a3 + (wide)d1 * a2 + (wide)a4 * c4,
        (wide)d0 * a4 + (wide)d1 * a3 + (wide)a2 * a2);
}

static inline void multiply_small(field *out, const field *a, uint32_t factor)
{
    folded(
        out,
        (wide)a->limb[0] * factor, (wide)a->limb[1] * factor, (wide)a->limb[2] * factor, (wide)a->limb[3] * factor,
        (wide)a->limb[4] * factor);
}

/* `mask` is all ones to swap, zero to leave as they are. */
static inline void swap(field *a, field *b, uint64_t mask)
{
    mask = kp_mask(mask);
    for (int k = 0; k < LIMBS; k++) {
        uint64_t difference = mask & (a->limb[k] ^ b->limb[k]);
        a->limb[k] ^= difference;
        b->limb[k] ^= difference;
    }
}

/* The one representative below the prime. */
static inline void field_store(uint8_t *bytes, const field *a)
{
    field b = *a;
    uint64_t over = FOLD;
    carry(&b);
    /* Whether b + 19 reaches 2^255: then b, which is below twice the prime, is not below the prime. */
    for (int k = 0; k < LIMBS; k++)
        over = (b.limb[k] + over) >> LIMB_BITS;
    b.limb[0] += FOLD * over;
    for (int k = 0; k < LIMBS - 1; k++) {
        b.limb[k + 1] += b.limb[k] >> LIMB_BITS;
        b.limb[k] &= LIMB_MASK;
    }
    b.limb[LIMBS - 1] &= LIMB_MASK;
    kp_store64(bytes, b.limb[0] | b.limb[1] << 51);
    kp_store64(bytes + 8, b.limb[1] >> 13 | b.limb[2] << 38);
    kp_store64(bytes + 16, b.limb[2] >> 26 | b.limb[3] << 25);
    kp_store64(bytes + 24, b.limb[3] >> 39 | b.limb[4] << 12);
}

#endif
