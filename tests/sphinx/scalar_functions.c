/* The arithmetic of scalars as functions of plain arrays, for test_native_field.py. */
#include "scalar.c"

void clamped(uint64_t *out, const uint8_t *bytes)
{
    kp_scalar_clamped((kp_scalar *)out, bytes);
}

void scalar_product(uint64_t *scalar, const uint64_t *factor)
{
    kp_scalar_multiply((kp_scalar *)scalar, (const kp_scalar *)factor);
}

/* Of any product of two factors below 2^253, eight times. */
void reduced(uint64_t *out, uint64_t *product)
{
    reduce(out, product);
}
