/* Products of scalars modulo the order of the base point, l = 2^252 + C: how one ephemeral key serves all hops.
 *
 * Bounds: factors below 2^253, of which those of clamping and those that come out of here are; results up to l.
 * Constant time: no branch, and masks that the compiler does not know. tests/sphinx/test_native_field.py compares with
 * integers.
 *
 * Source: RFC 7748, 4.1 (the order) and 5 (clamping). The reduction is our own, and said where it is done. */
#include "x25519.h"

#include "bytes.h"

#define LIMBS KP_SCALAR_LIMBS
#define WIDE (2 * LIMBS)
#define LOW_BITS 252 /* of a number below 2^252 */
#define TOP_SHIFT (LOW_BITS - 64 * (LIMBS - 1))
#define TOP_MASK ((UINT64_C(1) << TOP_SHIFT) - 1)
#define C_LIMBS 2
#define MOST_ORDERS 3 /* in the sum of two parts below 2^252 and twice the order */

/* RFC 7748, 4.1: C = 27742317777372353535851937790883648493. */
static const uint64_t c[C_LIMBS] = {UINT64_C(0x5812631a5cf5d3ed), UINT64_C(0x14def9dea2f79cd6)};
static const uint64_t order[LIMBS] = {
    UINT64_C(0x5812631a5cf5d3ed), UINT64_C(0x14def9dea2f79cd6), 0, UINT64_C(1) << TOP_SHIFT,
};

typedef unsigned __int128 wide;

static void multiply(uint64_t *product, const uint64_t *a, int a_limbs, const uint64_t *b, int b_limbs)
{
    memset(product, 0, sizeof *product * (size_t)(a_limbs + b_limbs));
    for (int i = 0; i < a_limbs; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < b_limbs; j++) {
            wide sum = (wide)a[i] * b[j] + product[i + j] + carry;
            product[i + j] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        product[i + b_limbs] = carry;
    }
}

/* Split a number into what is below 2^252, which stays, and what is above. */
static void split(uint64_t *number, int limbs, uint64_t *above)
{
    for (int k = LIMBS - 1; k < limbs; k++) {
        uint64_t next = k + 1 < limbs ? number[k + 1] : 0;
        above[k - LIMBS + 1] = number[k] >> TOP_SHIFT | next << (64 - TOP_SHIFT);
    }
    number[LIMBS - 1] &= TOP_MASK;
}

/* Add or subtract; return the carry or borrow. */
static uint64_t add(uint64_t *a, const uint64_t *b, uint64_t mask)
{
    uint64_t carry = 0;
    mask = kp_mask(mask);
    for (int k = 0; k < LIMBS; k++) {
        wide sum = (wide)a[k] + (b[k] & mask) + carry;
        a[k] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    return carry;
}

static uint64_t subtract(uint64_t *a, const uint64_t *b)
{
    uint64_t borrow = 0;
    for (int k = 0; k < LIMBS; k++) {
        wide difference = (wide)a[k] - b[k] - borrow;
        a[k] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return borrow;
}

/* Reduce a product: 2^252 is -C, thrice, so that low parts alternate in sign and high parts shrink. */
static void reduce(uint64_t *out, uint64_t *product)
{
    uint64_t high[LIMBS + 1], second[LIMBS + C_LIMBS + 1], third[LIMBS + C_LIMBS], fourth[LIMBS];
    split(product, WIDE, high);
    multiply(second, high, LIMBS + 1, c, C_LIMBS);
    split(second, LIMBS + C_LIMBS + 1, high);
    multiply(third, high, LIMBS, c, C_LIMBS);
    split(third, LIMBS + C_LIMBS, high);
    multiply(fourth, high, LIMBS - C_LIMBS, c, C_LIMBS);
    memcpy(out, product, sizeof *out * LIMBS);
    add(out, third, UINT64_MAX);
    add(out, order, UINT64_MAX);
    add(out, order, UINT64_MAX);
    subtract(out, second);
    subtract(out, fourth);
    for (int k = 0; k < MOST_ORDERS; k++)
        add(out, order, 0 - subtract(out, order));
}

void kp_scalar_clamped(kp_scalar *scalar, const uint8_t bytes[KP_SCALAR])
{
    uint64_t limb[LIMBS];
    for (int k = 0; k < LIMBS; k++)
        limb[k] = kp_load64(bytes + 8 * k);
    limb[LIMBS - 1] = (limb[LIMBS - 1] & ~(UINT64_C(1) << 63)) | UINT64_C(1) << 62;
    for (int k = 0; k < LIMBS; k++)
        scalar->limb[k] = limb[k] >> 3 | (k + 1 < LIMBS ? limb[k + 1] << 61 : 0);
}

void kp_scalar_multiply(kp_scalar *scalar, const kp_scalar *factor)
{
    uint64_t product[WIDE], negative[LIMBS], small;
    multiply(product, scalar->limb, LIMBS, factor->limb, LIMBS);
    /* Eight times: each factor is an eighth, and so shall the product be. */
    for (int k = WIDE - 1; k >= 0; k--)
        product[k] = product[k] << 3 | (k ? product[k - 1] >> 61 : 0);
    reduce(scalar->limb, product);
    memcpy(negative, order, sizeof negative);
    subtract(negative, scalar->limb);
    /* Below 2^251, the scalar itself has not the bit 2^254 that clamping sets. */
    small = (scalar->limb[LIMBS - 1] >> (TOP_SHIFT - 1)) - 1;
    small = kp_mask(0 - (small >> 63));
    for (int k = 0; k < LIMBS; k++)
        scalar->limb[k] ^= small & (scalar->limb[k] ^ negative[k]);
}
