/* The field of 2^255 - 19 in five limbs of 51 bits, for any 64-bit processor: fiat-crypto's arithmetic under the names that
 * curve_core.h uses.
 *
 * Bounds, which the proofs need: a number is tight, its limbs at most 2^51, or loose, at most three times that. Products
 * and what carry() leaves are tight, of loose numbers; sums and differences are loose, of tight numbers; tight numbers
 * are stored. tests/sphinx/curve_kinds.c finds out whether curve_core.h keeps to that.
 *
 * Constant time: no branch, no look-up. */
#ifndef KP_FIELD51_H
#define KP_FIELD51_H

#include "bytes.h"

/* The generator's signed numbers become unsigned ones where it means them to. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "fiat_curve25519_64.h"
#pragma GCC diagnostic pop

#define LIMBS 5
#define LIMB_MASK ((UINT64_C(1) << 51) - 1)

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

/* Of a number below 2^51. */
static inline field field_small(uint64_t value)
{
    return (field){{value, 0, 0, 0, 0}};
}

static inline void add(field *out, const field *a, const field *b)
{
    fiat_25519_add(out->limb, a->limb, b->limb);
}

static inline void subtract(field *out, const field *a, const field *b)
{
    fiat_25519_sub(out->limb, a->limb, b->limb);
}

static inline void carry(field *a)
{
    fiat_25519_carry(a->limb, a->limb);
}

static inline void multiply(field *out, const field *a, const field *b)
{
    fiat_25519_carry_mul(out->limb, a->limb, b->limb);
}

static inline void square(field *out, const field *a)
{
    fiat_25519_carry_square(out->limb, a->limb);
}

static inline void multiply_121666(field *out, const field *a)
{
    fiat_25519_carry_scmul_121666(out->limb, a->limb);
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
    fiat_25519_to_bytes(bytes, a->limb);
}

#endif
