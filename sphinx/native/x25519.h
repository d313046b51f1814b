/* X25519 (RFC 7748) as Sphinx needs it: one scalar, multiplied up from hop to hop, times many points.
 *
 * Clamped scalars are multiples of eight, so scalars are held as an eighth of themselves, modulo the prime order of
 * the base point: products of theirs stay exact on the curve, and as short as they were. */
#ifndef KP_X25519_H
#define KP_X25519_H

#include <stddef.h>
#include <stdint.h>

#define KP_POINT 32
#define KP_SCALAR 32
#define KP_SCALAR_LIMBS 4
#define KP_SCALAR_BITS 253

/* An eighth of the scalar; below the base point's order, which is a little above 2^252. */
typedef struct {
    uint64_t limb[KP_SCALAR_LIMBS];
} kp_scalar;

void kp_scalar_clamped(kp_scalar *scalar, const uint8_t bytes[KP_SCALAR]);

/* Multiply `scalar` by `factor`. Of a product and its negative, which lead to the same u-coordinate, keep the one that
 * clamping would leave as it is. */
void kp_scalar_multiply(kp_scalar *scalar, const kp_scalar *factor);

/* The u-coordinate of a scalar times a point: all zero where the point's order is low. */
typedef void kp_multiply(uint8_t out[KP_POINT], const kp_scalar *scalar, const uint8_t point[KP_POINT]);

/* The u-coordinates of `count` scalars times the base point, with one inversion for all. */
typedef void kp_multiply_base(uint8_t *out, const kp_scalar *scalars, size_t count);

/* Multiples of one point: column k has 1 to 16 times 1024^k times eight times the point, each as y + x, y - x and 2dxy on
 * edwards25519, in words of 64 bits, below the prime, the lowest first. A column serves two digits of the scalar, of five
 * bits each; of narrower digits there would be more to add, of wider ones more to look at. */
#define KP_DIGIT_BITS 5
#define KP_DIGITS ((KP_SCALAR_BITS + KP_DIGIT_BITS - 1) / KP_DIGIT_BITS)
#define KP_COLUMNS ((KP_DIGITS + 1) / 2)
#define KP_MULTIPLES (1 << (KP_DIGIT_BITS - 1))
#define KP_ENTRY_WORDS 12
typedef uint64_t kp_columns[KP_COLUMNS][KP_MULTIPLES][KP_ENTRY_WORDS];
typedef struct {
    kp_columns columns;
} kp_table;

/* Make the table of a point, and return 1; or 0 where there can be none: the point is on the twist, its order is low, or
 * u is -1, which edwards25519 has not. In time that depends on the point, which is public. */
typedef int kp_make_table(kp_table *table, const uint8_t point[KP_POINT]);

/* The same u-coordinate as kp_multiply gives for the table's point, in less than a third of the time. */
typedef void kp_multiply_by_table(uint8_t out[KP_POINT], const kp_scalar *scalar, const kp_table *table);

kp_make_table kp_make_table_portable, kp_make_table_adx;
kp_multiply_by_table kp_multiply_by_table_portable, kp_multiply_by_table_adx;
kp_multiply kp_multiply_portable, kp_multiply_adx;
kp_multiply_base kp_multiply_base_portable, kp_multiply_base_adx;

/* The most points that one call of kp_multiply_base makes. */
#define KP_MOST_POINTS 20

#endif
