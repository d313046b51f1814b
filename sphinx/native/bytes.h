/* Bytes and words, and comparison: what all parts of the engine share. */
#ifndef KP_BYTES_H
#define KP_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t kp_load64(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int k = 7; k >= 0; k--)
        value = value << 8 | bytes[k];
    return value;
}

static inline void kp_store64(uint8_t *bytes, uint64_t value)
{
    for (int k = 0; k < 8; k++)
        bytes[k] = (uint8_t)(value >> (8 * k));
}

static inline uint32_t kp_load32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline void kp_store32(uint8_t *bytes, uint32_t value)
{
    for (int k = 0; k < 4; k++)
        bytes[k] = (uint8_t)(value >> (8 * k));
}

static inline uint32_t kp_load32_big(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | (uint32_t)bytes[3];
}

static inline void kp_store32_big(uint8_t *bytes, uint32_t value)
{
    for (int k = 0; k < 4; k++)
        bytes[k] = (uint8_t)(value >> (24 - 8 * k));
}

static inline void kp_xor(uint8_t *bytes, const uint8_t *mask, size_t length)
{
    for (size_t k = 0; k < length; k++)
        bytes[k] ^= mask[k];
}

/* Whether all bytes are zero, in time that depends on the length alone. */
static inline int kp_is_zero(const uint8_t *bytes, size_t length)
{
    uint32_t sum = 0;
    for (size_t k = 0; k < length; k++)
        sum |= bytes[k];
    return (int)((sum - 1) >> 31);
}

/* Whether both are equal, in time that depends on the length alone. */
static inline int kp_equal(const uint8_t *a, const uint8_t *b, size_t length)
{
    uint32_t sum = 0;
    for (size_t k = 0; k < length; k++)
        sum |= (uint32_t)(a[k] ^ b[k]);
    return (int)((sum - 1) >> 31);
}

/* The same mask, of which the compiler no longer knows that it is all zeros or all ones: else it may branch on it. */
static inline uint64_t kp_mask(uint64_t mask)
{
    __asm__("" : "+r"(mask));
    return mask;
}

#endif
