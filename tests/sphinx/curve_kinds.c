/* Does curve_core.h keep to the bounds of fiat-crypto's field, whatever the numbers are? Each number knows here of what
 * kind it is, tight or loose (field51.h); what a function is given is compared with what its proof is of. Which functions
 * are called does not depend on numbers, but for roots, which are looked for of several points.
 *
 * Prints the products, for test_native_field.py to compare; fails at the first operand of a wrong kind. */
#include <stdio.h>
#include <stdlib.h>

#include "field51.h"

typedef enum { UNSET, TIGHT, LOOSE } kind;

typedef struct {
    field number;
    kind kind;
} number_of_a_kind;

static void check(const char *function, int line, kind given, kind most)
{
    if (given != UNSET && given <= most)
        return;
    fprintf(stderr, "curve_core.h:%d: %s is given a number that is %s\n", line, function, given ? "loose" : "not set");
    exit(1);
}

/* `out` may be an operand. */
#define OF_TWO(function, most, made)                                                                                   \
    static inline void kind_##function(                                                                                \
        int line, number_of_a_kind *out, const number_of_a_kind *a, const number_of_a_kind *b)                         \
    {                                                                                                                  \
        check(#function, line, a->kind, most);                                                                         \
        check(#function, line, b->kind, most);                                                                         \
        function(&out->number, &a->number, &b->number);                                                                \
        out->kind = made;                                                                                              \
    }
#define OF_ONE(function)                                                                                               \
    static inline void kind_##function(int line, number_of_a_kind *out, const number_of_a_kind *a)                     \
    {                                                                                                                  \
        check(#function, line, a->kind, LOOSE);                                                                        \
        function(&out->number, &a->number);                                                                            \
        out->kind = TIGHT;                                                                                             \
    }

OF_TWO(add, TIGHT, LOOSE)
OF_TWO(subtract, TIGHT, LOOSE)
OF_TWO(multiply, LOOSE, TIGHT)
OF_ONE(square)
OF_ONE(multiply_121666)

static inline number_of_a_kind kind_from_words(const uint64_t *word)
{
    return (number_of_a_kind){field_from_words(word), TIGHT};
}

static inline number_of_a_kind kind_small(uint64_t value)
{
    return (number_of_a_kind){field_small(value), TIGHT};
}

static inline void kind_carry(int line, number_of_a_kind *a)
{
    check("carry", line, a->kind, LOOSE);
    carry(&a->number);
    a->kind = TIGHT;
}

static inline void kind_swap(number_of_a_kind *a, number_of_a_kind *b, uint64_t mask)
{
    kind either = a->kind > b->kind ? a->kind : b->kind;
    swap(&a->number, &b->number, mask);
    a->kind = b->kind = either;
}

static inline void kind_store(int line, uint8_t *bytes, const number_of_a_kind *a)
{
    check("field_store", line, a->kind, TIGHT);
    field_store(bytes, &a->number);
}

#define field number_of_a_kind
#define field_from_words kind_from_words
#define field_small kind_small
#define add(...) kind_add(__LINE__, __VA_ARGS__)
#define subtract(...) kind_subtract(__LINE__, __VA_ARGS__)
#define multiply(...) kind_multiply(__LINE__, __VA_ARGS__)
#define square(...) kind_square(__LINE__, __VA_ARGS__)
#define multiply_121666(...) kind_multiply_121666(__LINE__, __VA_ARGS__)
#define carry(...) kind_carry(__LINE__, __VA_ARGS__)
#define swap kind_swap
#define field_store(...) kind_store(__LINE__, __VA_ARGS__)

#define KP_TARGET
#define KP_LOOK_UP inline
#define KP_MULTIPLY multiply_by_ladder
#define KP_MULTIPLY_BASE multiply_base
#define KP_MAKE_TABLE make_table
#define KP_MULTIPLY_BY_TABLE multiply_with_table

#include "curve_core.h"

static void print(const uint8_t point[KP_POINT])
{
    for (int k = 0; k < KP_POINT; k++)
        printf("%02x", point[k]);
    putchar('\n');
}

int main(void)
{
    static kp_table table;
    for (int u = 0; u < 32; u++) {
        uint8_t point[KP_POINT] = {(uint8_t)u}, bytes[KP_SCALAR], out[KP_POINT];
        kp_scalar scalar;
        memset(bytes, u + 1, sizeof bytes);
        kp_scalar_clamped(&scalar, bytes);
        multiply_base(out, &scalar, 1);
        print(out);
        multiply_by_ladder(out, &scalar, point);
        print(out);
        if (make_table(&table, point))
            multiply_with_table(out, &scalar, &table);
        print(out);
    }
    return 0;
}
