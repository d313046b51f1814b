/* One field's arithmetic as functions of plain arrays, for test_native_field.py. It is compiled once with each:
 * -DFIELD='"field51.h"' or -DFIELD='"field64.h"'. */
#include FIELD

/* What is in assembly may begin with any flags; here with those for a carry and an overflow. */
static inline void set_flags(void)
{
#ifdef KP_FIELD64_H
    __asm__ volatile("movb $127, %%al\n\taddb $1, %%al\n\tstc" : : : "rax", "cc");
#endif
}

const int words_of_a_field = sizeof(field) / sizeof(uint64_t);

void from_words(uint64_t *out, const uint64_t *word)
{
    *(field *)out = field_from_words(word);
}

void from_small(uint64_t *out, uint64_t value)
{
    *(field *)out = field_small(value);
}

void sum(uint64_t *out, const uint64_t *a, const uint64_t *b)
{
    set_flags();
    add((field *)out, (const field *)a, (const field *)b);
}

void difference(uint64_t *out, const uint64_t *a, const uint64_t *b)
{
    set_flags();
    subtract((field *)out, (const field *)a, (const field *)b);
}

void carried(uint64_t *out)
{
    carry((field *)out);
}

void product(uint64_t *out, const uint64_t *a, const uint64_t *b)
{
    set_flags();
    multiply((field *)out, (const field *)a, (const field *)b);
}

void squared(uint64_t *out, const uint64_t *a)
{
    set_flags();
    square((field *)out, (const field *)a);
}

void product_121666(uint64_t *out, const uint64_t *a)
{
    set_flags();
    multiply_121666((field *)out, (const field *)a);
}

void swapped(uint64_t *a, uint64_t *b, uint64_t mask)
{
    swap((field *)a, (field *)b, mask);
}

void stored(uint8_t *bytes, const uint64_t *a)
{
    field_store(bytes, (const field *)a);
}
