/* Multiplication on Curve25519, over a field of the including file's choice: field51.h or field64.h. The including file
 * defines KP_TARGET (function attributes), KP_MULTIPLY and KP_MULTIPLY_BASE, the names of the functions that result. */
#include "base_table.h"
#include "x25519.h"

#define FIELD_WORDS 4
#define A24 121665 /* (486662 - 2) / 4, RFC 7748, 5 */

/* Out of line where operands lie in arrays, whose addresses would take more registers than inline assembly leaves. */
KP_TARGET __attribute__((noinline)) static void multiply_stored(field *out, const field *a, const field *b)
{
    multiply(out, a, b);
}

/* out = a to the power 2^count, times b. */
KP_TARGET static void raise_and_multiply(field *out, const field *a, int count, const field *b)
{
    field power;
    square(&power, a);
    while (--count)
        square(&power, &power);
    multiply(out, &power, b);
}

/* a to the power 2^255 - 21; zero for zero. The numbers in names are exponents, or how many ones those have. */
KP_TARGET static void invert(field *out, const field *a)
{
    field two, nine, eleven, ones5, ones10, ones20, ones50, ones;
    square(&two, a);
    raise_and_multiply(&nine, &two, 2, a);
    multiply(&eleven, &two, &nine);
    raise_and_multiply(&ones5, &eleven, 1, &nine);
    raise_and_multiply(&ones10, &ones5, 5, &ones5);
    raise_and_multiply(&ones20, &ones10, 10, &ones10);
    raise_and_multiply(&ones, &ones20, 20, &ones20);
    raise_and_multiply(&ones50, &ones, 10, &ones10);
    raise_and_multiply(&ones, &ones50, 50, &ones50);
    raise_and_multiply(&ones, &ones, 100, &ones);
    raise_and_multiply(&ones, &ones, 50, &ones50);
    raise_and_multiply(out, &ones, 5, &eleven);
}

/* The Montgomery ladder of RFC 7748, 5; its names are x_2, z_2, x_3 and z_3. */
typedef struct {
    field x2, z2, x3, z3;
} ladder;

/* From AA and BB to x_2 and z_2; E is the difference of the two. */
KP_TARGET static inline void ladder_end(ladder *p, const field *aa, const field *bb)
{
    field e, sum;
    subtract(&e, aa, bb);
    multiply(&p->x2, aa, bb);
    multiply_small(&sum, &e, A24);
    add(&sum, aa, &sum);
    multiply(&p->z2, &e, &sum);
}

KP_TARGET static inline void ladder_double(ladder *p)
{
    field a, b;
    add(&a, &p->x2, &p->z2);
    subtract(&b, &p->x2, &p->z2);
    square(&a, &a);
    square(&b, &b);
    ladder_end(p, &a, &b);
}

KP_TARGET static inline void ladder_step(ladder *p, const field *x1)
{
    field a, b, da, cb;
    add(&a, &p->x2, &p->z2);
    subtract(&b, &p->x2, &p->z2);
    add(&cb, &p->x3, &p->z3);
    subtract(&da, &p->x3, &p->z3);
    multiply(&da, &da, &a);
    multiply(&cb, &cb, &b);
    square(&a, &a);
    square(&b, &b);
    add(&p->x3, &da, &cb);
    subtract(&p->z3, &da, &cb);
    square(&p->x3, &p->x3);
    square(&p->z3, &p->z3);
    multiply(&p->z3, x1, &p->z3);
    ladder_end(p, &a, &b);
}

KP_TARGET void KP_MULTIPLY(uint8_t out[KP_POINT], const kp_scalar *scalar, const uint8_t point[KP_POINT])
{
    uint64_t word[FIELD_WORDS], swapped = 0;
    field x1;
    ladder p;
    for (int k = 0; k < FIELD_WORDS; k++)
        word[k] = kp_load64(point + 8 * k);
    x1 = field_from_words(word);
    p = (ladder){field_small(1), field_small(0), x1, field_small(1)};
    for (int k = KP_SCALAR_BITS - 1; k >= 0; k--) {
        uint64_t bit = scalar->limb[k / 64] >> (k % 64) & 1;
        swap(&p.x2, &p.x3, 0 - (swapped ^ bit));
        swap(&p.z2, &p.z3, 0 - (swapped ^ bit));
        swapped = bit;
        ladder_step(&p, &x1);
    }
    swap(&p.x2, &p.x3, 0 - swapped);
    swap(&p.z2, &p.z3, 0 - swapped);
    /* The scalar was an eighth of the whole. */
    ladder_double(&p);
    ladder_double(&p);
    ladder_double(&p);
    invert(&p.z2, &p.z2);
    multiply(&p.x2, &p.x2, &p.z2);
    field_store(out, &p.x2);
    kp_wipe(&p, sizeof p);
}

/* A point of edwards25519, the birational twin of Curve25519 (RFC 7748, 4.1): x = X/Z, y = Y/Z, T = XY/Z (Hisil, Wong,
 * Carter and Dawson, "Twisted Edwards Curves Revisited", 2008). */
typedef struct {
    field x, y, z, t;
} edwards;

/* What an addition or doubling of theirs leaves, four products before its end. */
KP_TARGET static inline void complete(edwards *p, const field *e, const field *f, const field *g, const field *h)
{
    multiply(&p->x, e, f);
    multiply(&p->y, g, h);
    multiply(&p->z, f, g);
    multiply(&p->t, e, h);
}

/* Add an entry of the table: y + x, y - x and 2dxy of a point with Z = 1. */
KP_TARGET static inline void add_entry(edwards *p, const field *y_plus_x, const field *y_minus_x, const field *xy2d)
{
    field a, b, c, d, e, f, g, h;
    subtract(&a, &p->y, &p->x);
    multiply(&a, &a, y_minus_x);
    add(&b, &p->y, &p->x);
    multiply(&b, &b, y_plus_x);
    multiply(&c, &p->t, xy2d);
    add(&d, &p->z, &p->z);
    subtract(&e, &b, &a);
    subtract(&f, &d, &c);
    add(&g, &d, &c);
    add(&h, &b, &a);
    complete(p, &e, &f, &g, &h);
}

KP_TARGET static inline void edwards_double(edwards *p)
{
    field a, b, c, e, f, g, h;
    square(&a, &p->x);
    square(&b, &p->y);
    square(&c, &p->z);
    add(&c, &c, &c);
    add(&h, &a, &b);
    subtract(&g, &b, &a);
    carry(&g);
    add(&e, &p->x, &p->y);
    square(&e, &e);
    subtract(&e, &e, &h);
    subtract(&f, &c, &g);
    complete(p, &e, &f, &g, &h);
}

/* All ones if a is b, which are below 2^63. */
KP_TARGET static inline uint64_t mask_of_equal(uint64_t a, uint64_t b)
{
    return kp_mask(0 - (((a ^ b) - 1) >> 63));
}

/* Add `digit` times the point that a column of the table holds the multiples of; looks at all of them. */
KP_TARGET static inline void add_digit(edwards *p, const uint64_t column[KP_BASE_MULTIPLES][3 * FIELD_WORDS], int8_t digit)
{
    uint64_t word[3 * FIELD_WORDS] = {0}, negative = kp_mask(0 - (uint64_t)((uint8_t)digit >> 7));
    uint64_t magnitude = ((uint64_t)(int64_t)digit ^ negative) - negative, none = mask_of_equal(magnitude, 0);
    field y_plus_x, y_minus_x, xy2d, minus, zero = field_small(0);
    for (uint64_t k = 0; k < KP_BASE_MULTIPLES; k++) {
        uint64_t mask = mask_of_equal(magnitude, k + 1);
        for (int i = 0; i < 3 * FIELD_WORDS; i++)
            word[i] |= mask & column[k][i];
    }
    word[0] |= none & 1;
    word[FIELD_WORDS] |= none & 1;
    y_plus_x = field_from_words(word);
    y_minus_x = field_from_words(word + FIELD_WORDS);
    xy2d = field_from_words(word + 2 * FIELD_WORDS);
    subtract(&minus, &zero, &xy2d);
    swap(&y_plus_x, &y_minus_x, negative);
    swap(&xy2d, &minus, negative);
    add_entry(p, &y_plus_x, &y_minus_x, &xy2d);
}

#define DIGITS (2 * KP_BASE_COLUMNS)
#define DIGIT_BITS 4

/* Digits of -8 to 8 in base 16. */
KP_TARGET static void recode(int8_t *digits, const kp_scalar *scalar)
{
    int carry = 0;
    for (int k = 0; k < DIGITS; k++) {
        int digit = (int)(scalar->limb[k / 16] >> (DIGIT_BITS * (k % 16)) & 15) + carry;
        carry = (digit + 8) >> DIGIT_BITS;
        digits[k] = (int8_t)(digit - carry * 16);
    }
}

/* Bernstein, Duif, Lange, Schwabe and Yang, "High-speed high-security signatures" (2011), 4: a column of the table for
 * each two digits; the odd ones first, then times sixteen. The table is of eight times the base point. */
KP_TARGET static void multiply_base(edwards *p, const kp_scalar *scalar)
{
    int8_t digits[DIGITS];
    recode(digits, scalar);
    *p = (edwards){field_small(0), field_small(1), field_small(1), field_small(0)};
    for (int k = 1; k < DIGITS; k += 2)
        add_digit(p, kp_base_table[k / 2], digits[k]);
    for (int k = 0; k < DIGIT_BITS; k++)
        edwards_double(p);
    for (int k = 0; k < DIGITS; k += 2)
        add_digit(p, kp_base_table[k / 2], digits[k]);
    kp_wipe(digits, sizeof digits);
}

KP_TARGET void KP_MULTIPLY_BASE(uint8_t *out, const kp_scalar *scalars, size_t count)
{
    field above[KP_MOST_POINTS], below[KP_MOST_POINTS], products[KP_MOST_POINTS + 1], inverted, each;
    edwards p;
    products[0] = field_small(1);
    for (size_t k = 0; k < count; k++) {
        multiply_base(&p, &scalars[k]);
        /* u = (1 + y) / (1 - y) */
        add(&above[k], &p.z, &p.y);
        subtract(&below[k], &p.z, &p.y);
        multiply_stored(&products[k + 1], &products[k], &below[k]);
    }
    invert(&inverted, &products[count]);
    for (size_t k = count; k--;) {
        multiply_stored(&each, &inverted, &products[k]);
        multiply_stored(&inverted, &inverted, &below[k]);
        multiply_stored(&each, &each, &above[k]);
        field_store(out + KP_POINT * k, &each);
    }
    kp_wipe(&p, sizeof p);
    kp_wipe(above, sizeof above);
    kp_wipe(below, sizeof below);
    kp_wipe(products, sizeof products);
}
