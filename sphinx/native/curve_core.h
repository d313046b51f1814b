/* Multiplication on Curve25519, over a field of the including file's choice: field51.h or field64.h. The including
 * file defines KP_TARGET and KP_LOOK_UP (attributes of functions, and of the one that looks entries up) and the names
 * of the functions that result: KP_MULTIPLY, KP_MULTIPLY_BASE, KP_MAKE_TABLE and KP_MULTIPLY_BY_TABLE.
 *
 * By the ladder any point is multiplied, of the curve or its twist; by tables those that have one. Constant time in the
 * scalar: the ladder swaps by masks, a look-up reads every entry of its column; KP_MAKE_TABLE branches on the point,
 * which is public. Scalars have 253 bits, counts at most KP_MOST_POINTS; operands keep to the bounds of field51.h,
 * the narrower ones.
 *
 * Sources: RFC 7748; the others where they are used. */
#include "base_table.h"
#include "x25519.h"

#define FIELD_WORDS 4

/* out = a to the power 2^count, times b. */
KP_TARGET static void raise_and_multiply(field *out, const field *a, int count, const field *b)
{
    field power;
    square(&power, a);
    while (--count)
        square(&power, &power);
    multiply(out, &power, b);
}

/* ones = a to the power 2^250 - 1. The numbers in names are exponents, or how many ones those have. */
KP_TARGET static void raise_to_ones(field *ones, field *eleven, const field *a)
{
    field two, nine, ones5, ones10, ones20, ones50;
    square(&two, a);
    raise_and_multiply(&nine, &two, 2, a);
    multiply(eleven, &two, &nine);
    raise_and_multiply(&ones5, eleven, 1, &nine);
    raise_and_multiply(&ones10, &ones5, 5, &ones5);
    raise_and_multiply(&ones20, &ones10, 10, &ones10);
    raise_and_multiply(ones, &ones20, 20, &ones20);
    raise_and_multiply(&ones50, ones, 10, &ones10);
    raise_and_multiply(ones, &ones50, 50, &ones50);
    raise_and_multiply(ones, ones, 100, ones);
    raise_and_multiply(ones, ones, 50, &ones50);
}

/* a to the power 2^255 - 21; zero for zero. */
KP_TARGET static void invert(field *out, const field *a)
{
    field ones, eleven;
    raise_to_ones(&ones, &eleven, a);
    raise_and_multiply(out, &ones, 5, &eleven);
}

/* The Montgomery ladder of RFC 7748, 5; its names are x_2, z_2, x_3 and z_3. */
typedef struct {
    field x2, z2, x3, z3;
} ladder;

/* From AA and BB to x_2 and z_2; E is the difference of the two. AA + 121665 E, as RFC 7748 has it, is BB + 121666 E. */
KP_TARGET static inline void ladder_end(ladder *p, const field *aa, const field *bb)
{
    field e, sum;
    subtract(&e, aa, bb);
    multiply(&p->x2, aa, bb);
    multiply_121666(&sum, &e);
    add(&sum, bb, &sum);
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

/* Add a point given as Y + X, Y - X and 2dT; `d` is 2Z of the one point times Z of the other. */
KP_TARGET static inline void
add_point(edwards *p, const field *y_plus_x, const field *y_minus_x, const field *t2d, const field *d)
{
    field a, b, c, e, f, g, h;
    subtract(&a, &p->y, &p->x);
    multiply(&a, &a, y_minus_x);
    add(&b, &p->y, &p->x);
    multiply(&b, &b, y_plus_x);
    multiply(&c, &p->t, t2d);
    subtract(&e, &b, &a);
    subtract(&f, d, &c);
    add(&g, d, &c);
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
    carry(&c);
    add(&h, &a, &b);
    carry(&h);
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

/* One coordinate of an entry, in whatever vectors of 32 bits the processor has. */
typedef uint32_t coordinate __attribute__((vector_size(8 * FIELD_WORDS)));

/* The column's entry of that number, counted from 1, or zeros for 0; looks at all of them. */
KP_LOOK_UP static void look_up(
    uint64_t word[KP_ENTRY_WORDS], const uint64_t column[KP_MULTIPLES][KP_ENTRY_WORDS], uint64_t number)
{
    const coordinate zero = {0}, wanted = zero + (uint32_t)kp_mask(number);
    coordinate y_plus_x = zero, y_minus_x = zero, xy2d = zero, each, at = zero;
    for (int k = 0; k < KP_MULTIPLES; k++) {
        at += 1;
        coordinate mask = (coordinate)(wanted == at);
        memcpy(&each, column[k], sizeof each);
        y_plus_x |= mask & each;
        memcpy(&each, column[k] + FIELD_WORDS, sizeof each);
        y_minus_x |= mask & each;
        memcpy(&each, column[k] + 2 * FIELD_WORDS, sizeof each);
        xy2d |= mask & each;
    }
    memcpy(word, &y_plus_x, sizeof each);
    memcpy(word + FIELD_WORDS, &y_minus_x, sizeof each);
    memcpy(word + 2 * FIELD_WORDS, &xy2d, sizeof each);
}

/* Add `digit` times the point that a column of the table holds the multiples of; looks at all of them. */
KP_TARGET static inline void add_digit(edwards *p, const uint64_t column[KP_MULTIPLES][KP_ENTRY_WORDS], int8_t digit)
{
    uint64_t word[KP_ENTRY_WORDS], negative = kp_mask(0 - (uint64_t)((uint8_t)digit >> 7));
    uint64_t magnitude = ((uint64_t)(int64_t)digit ^ negative) - negative, none = mask_of_equal(magnitude, 0);
    field y_plus_x, y_minus_x, xy2d, minus, d, zero = field_small(0);
    look_up(word, column, magnitude);
    word[0] |= none & 1;
    word[FIELD_WORDS] |= none & 1;
    y_plus_x = field_from_words(word);
    y_minus_x = field_from_words(word + FIELD_WORDS);
    xy2d = field_from_words(word + 2 * FIELD_WORDS);
    subtract(&minus, &zero, &xy2d);
    swap(&y_plus_x, &y_minus_x, negative);
    swap(&xy2d, &minus, negative);
    add(&d, &p->z, &p->z);
    carry(&d);
    add_point(p, &y_plus_x, &y_minus_x, &xy2d, &d);
}

/* Digits of -16 to 16 in base 32; the last one takes the last carry. */
KP_TARGET static void recode(int8_t digits[KP_DIGITS], const kp_scalar *scalar)
{
    uint64_t carry = 0;
    for (int k = 0; k < KP_DIGITS; k++) {
        int limb = k * KP_DIGIT_BITS / 64, shift = k * KP_DIGIT_BITS % 64;
        uint64_t digit = scalar->limb[limb] >> shift;
        if (shift > 64 - KP_DIGIT_BITS) /* never in the last limb */
            digit |= scalar->limb[limb + 1] << (64 - shift);
        digit = (digit & (2 * KP_MULTIPLES - 1)) + carry;
        carry = (digit + KP_MULTIPLES) >> KP_DIGIT_BITS;
        digits[k] = (int8_t)(digit - (carry << KP_DIGIT_BITS));
    }
}

/* Bernstein, Duif, Lange, Schwabe and Yang, "High-speed high-security signatures" (2011), 4: a column of the table for
 * each two digits; the odd ones first, then times 32. The table is of eight times the point. */
KP_TARGET static void multiply_by_table(edwards *p, const kp_scalar *scalar, const kp_columns columns)
{
    int8_t digits[KP_DIGITS];
    recode(digits, scalar);
    *p = (edwards){field_small(0), field_small(1), field_small(1), field_small(0)};
    for (int k = 1; k < KP_DIGITS; k += 2)
        add_digit(p, columns[k / 2], digits[k]);
    for (int k = 0; k < KP_DIGIT_BITS; k++)
        edwards_double(p);
    for (int k = 0; k < KP_DIGITS; k += 2)
        add_digit(p, columns[k / 2], digits[k]);
}

KP_TARGET void KP_MULTIPLY_BASE(uint8_t *out, const kp_scalar *scalars, size_t count)
{
    field above[KP_MOST_POINTS], below[KP_MOST_POINTS], products[KP_MOST_POINTS + 1], inverted, each;
    edwards p;
    products[0] = field_small(1);
    for (size_t k = 0; k < count; k++) {
        multiply_by_table(&p, &scalars[k], kp_base_table);
        /* u = (1 + y) / (1 - y) */
        add(&above[k], &p.z, &p.y);
        subtract(&below[k], &p.z, &p.y);
        multiply(&products[k + 1], &products[k], &below[k]);
    }
    invert(&inverted, &products[count]);
    for (size_t k = count; k--;) {
        multiply(&each, &inverted, &products[k]);
        multiply(&inverted, &inverted, &below[k]);
        multiply(&each, &each, &above[k]);
        field_store(out + KP_POINT * k, &each);
    }
}

KP_TARGET void KP_MULTIPLY_BY_TABLE(uint8_t out[KP_POINT], const kp_scalar *scalar, const kp_table *table)
{
    field above, below;
    edwards p;
    multiply_by_table(&p, scalar, table->columns);
    add(&above, &p.z, &p.y);
    subtract(&below, &p.z, &p.y);
    invert(&below, &below);
    multiply(&above, &above, &below);
    field_store(out, &above);
}

KP_TARGET static int is_zero(field a)
{
    uint8_t bytes[KP_POINT];
    carry(&a);
    field_store(bytes, &a);
    return kp_is_zero(bytes, sizeof bytes);
}

/* x = a square root of above / below, if there is one (RFC 8032, 5.1.3). */
KP_TARGET static int root_of_fraction(field *x, const field *above, const field *below)
{
    field power, check, difference, eleven;
    const field root_of_minus_1 = field_from_words(kp_root_of_minus_1);
    square(&power, below);
    multiply(&power, &power, below);
    multiply(x, above, &power); /* above * below^3 */
    square(&power, &power);
    multiply(&power, &power, below);
    multiply(&power, &power, above); /* above * below^7 */
    raise_to_ones(&check, &eleven, &power);
    raise_and_multiply(&power, &check, 2, &power);
    multiply(x, x, &power);
    square(&check, x);
    multiply(&check, &check, below);
    subtract(&difference, &check, above);
    if (is_zero(difference))
        return 1;
    multiply(x, x, &root_of_minus_1);
    add(&difference, &check, above);
    return is_zero(difference);
}

/* The point of edwards25519 that belongs to a u-coordinate, with either sign: the other gives the same u-coordinates. */
KP_TARGET static int from_montgomery(edwards *p, const uint8_t point[KP_POINT])
{
    const field one = field_small(1), zero = field_small(0), d = field_from_words(kp_d);
    uint64_t word[FIELD_WORDS];
    field u, above, below, other;
    for (int k = 0; k < FIELD_WORDS; k++)
        word[k] = kp_load64(point + 8 * k);
    u = field_from_words(word);
    subtract(&p->y, &u, &one);
    carry(&p->y);
    add(&p->z, &u, &one);
    if (is_zero(p->z))
        return 0;
    /* y = (u - 1) / (u + 1), and x^2 = (y^2 - 1) / (dy^2 + 1) = -4u / (d(u - 1)^2 + (u + 1)^2). */
    subtract(&above, &zero, &u);
    for (int k = 0; k < 2; k++) {
        carry(&above);
        add(&above, &above, &above);
    }
    carry(&above);
    square(&below, &p->y);
    multiply(&below, &below, &d);
    square(&other, &p->z);
    add(&below, &below, &other);
    if (!root_of_fraction(&p->x, &above, &below))
        return 0;
    /* x has no denominator yet. */
    multiply(&p->t, &p->x, &p->y);
    multiply(&p->x, &p->x, &p->z);
    return 1;
}

KP_TARGET static void store_entry(uint64_t words[KP_ENTRY_WORDS], const field *x, const field *y)
{
    const field twice_d = field_from_words(kp_twice_d);
    uint8_t bytes[KP_POINT];
    field value[3];
    add(&value[0], y, x);
    carry(&value[0]);
    subtract(&value[1], y, x);
    carry(&value[1]);
    multiply(&value[2], x, y);
    multiply(&value[2], &value[2], &twice_d);
    for (int k = 0; k < KP_ENTRY_WORDS; k++) {
        if (k % FIELD_WORDS == 0)
            field_store(bytes, &value[k / FIELD_WORDS]);
        words[k] = kp_load64(bytes + 8 * (k % FIELD_WORDS));
    }
}

/* p, 2p and so on; and p becomes the last. */
KP_TARGET static void multiples_of(edwards multiple[KP_MULTIPLES], edwards *p)
{
    const field twice_d = field_from_words(kp_twice_d);
    field y_plus_x, y_minus_x, t2d, twice_z, d;
    add(&y_plus_x, &p->y, &p->x);
    subtract(&y_minus_x, &p->y, &p->x);
    multiply(&t2d, &p->t, &twice_d);
    add(&twice_z, &p->z, &p->z);
    multiple[0] = *p;
    for (int k = 1; k < KP_MULTIPLES; k++) {
        multiply(&d, &p->z, &twice_z);
        add_point(p, &y_plus_x, &y_minus_x, &t2d, &d);
        multiple[k] = *p;
    }
}

#define ENTRIES (KP_COLUMNS * KP_MULTIPLES)

/* Of eight times the point: that is of prime order, if it is not zero. The multiples come with denominators of their own,
 * of which one inversion rids all. */
KP_TARGET int KP_MAKE_TABLE(kp_table *table, const uint8_t point[KP_POINT])
{
    field inverted, each, x, y, products[ENTRIES + 1];
    edwards multiple[ENTRIES], p;
    if (!from_montgomery(&p, point))
        return 0;
    for (int k = 0; k < 3; k++)
        edwards_double(&p);
    if (is_zero(p.x))
        return 0;
    for (int k = 0; k < ENTRIES; k += KP_MULTIPLES) {
        multiples_of(&multiple[k], &p);
        for (int i = 0; i < KP_DIGIT_BITS + 1; i++) /* 1024 times the column's first is 64 times its last */
            edwards_double(&p);
    }
    products[0] = field_small(1);
    for (int k = 0; k < ENTRIES; k++)
        multiply(&products[k + 1], &products[k], &multiple[k].z);
    invert(&inverted, &products[ENTRIES]);
    for (int k = ENTRIES; k--;) {
        multiply(&each, &inverted, &products[k]);
        multiply(&inverted, &inverted, &multiple[k].z);
        multiply(&x, &multiple[k].x, &each);
        multiply(&y, &multiple[k].y, &each);
        store_entry(table->columns[k / KP_MULTIPLES][k % KP_MULTIPLES], &x, &y);
    }
    return 1;
}
