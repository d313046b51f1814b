/* AES without tables, in constant time, for any 64-bit processor: bitsliced.
 *
 * Bit b of every byte of eight blocks goes into plane b: in each 64-bit half of the blocks, byte k of plane b holds bit
 * b of byte k of all eight. One gate of a circuit for the S-box then serves sixty-four bytes. */
#ifndef KP_BITSLICE_H
#define KP_BITSLICE_H

#include "bytes.h"

#define PLANES 8
#define HALVES 2
#define S_BOX_CONSTANT UINT64_C(0x6363636363636363)

typedef struct {
    uint64_t half[HALVES];
} block;

typedef struct {
    uint64_t half[HALVES][PLANES];
} planes;

static inline block block_load(const uint8_t *bytes)
{
    return (block){{kp_load64(bytes), kp_load64(bytes + 8)}};
}

static inline void block_store(uint8_t *bytes, block value)
{
    kp_store64(bytes, value.half[0]);
    kp_store64(bytes + 8, value.half[1]);
}

static inline block block_xor(block a, block b)
{
    return (block){{a.half[0] ^ b.half[0], a.half[1] ^ b.half[1]}};
}

#define SWAP(a, b, distance, mask)                                                                                     \
    do {                                                                                                               \
        uint64_t swapped = ((a) >> (distance) ^ (b)) & (mask);                                                         \
        (b) ^= swapped;                                                                                                \
        (a) ^= swapped << (distance);                                                                                  \
    } while (0)

/* Transpose the 8x8 bit matrix at each byte: its own inverse. */
static inline void transpose(uint64_t *q)
{
    for (int k = 0; k < PLANES; k += 2)
        SWAP(q[k], q[k + 1], 1, UINT64_C(0x5555555555555555));
    for (int k = 0; k < PLANES; k += 4) {
        SWAP(q[k], q[k + 2], 2, UINT64_C(0x3333333333333333));
        SWAP(q[k + 1], q[k + 3], 2, UINT64_C(0x3333333333333333));
    }
    for (int k = 0; k < 4; k++)
        SWAP(q[k], q[k + 4], 4, UINT64_C(0x0f0f0f0f0f0f0f0f));
}

static inline void to_planes(planes *q, const block *x)
{
    for (int k = 0; k < PLANES; k++) {
        q->half[0][k] = x[k].half[0];
        q->half[1][k] = x[k].half[1];
    }
    transpose(q->half[0]);
    transpose(q->half[1]);
}

static inline void from_planes(block *x, planes *q)
{
    transpose(q->half[0]);
    transpose(q->half[1]);
    for (int k = 0; k < PLANES; k++)
        x[k] = (block){{q->half[0][k], q->half[1][k]}};
}

/* The circuit of Boyar and Peralta, ePrint 2011/332, in their names. It leaves out the S-box's constant 0x63, which
 * passes ShiftRows and MixColumns unchanged and joins the round key. */
static inline void s_box(uint64_t *q)
{
    const uint64_t x0 = q[7], x1 = q[6], x2 = q[5], x3 = q[4], x4 = q[3], x5 = q[2], x6 = q[1], x7 = q[0];
    const uint64_t y14 = x3 ^ x5; const uint64_t y13 = x0 ^ x6; const uint64_t y9 = x0 ^ x3;
    const uint64_t y8 = x0 ^ x5; const uint64_t t0 = x1 ^ x2; const uint64_t y1 = t0 ^ x7;
    const uint64_t y4 = y1 ^ x3; const uint64_t y12 = y13 ^ y14; const uint64_t y2 = y1 ^ x0;
    const uint64_t y5 = y1 ^ x6; const uint64_t y3 = y5 ^ y8; const uint64_t t1 = x4 ^ y12;
    const uint64_t y15 = t1 ^ x5; const uint64_t y20 = t1 ^ x1; const uint64_t y6 = y15 ^ x7;
    const uint64_t y10 = y15 ^ t0; const uint64_t y11 = y20 ^ y9; const uint64_t y7 = x7 ^ y11;
    const uint64_t y17 = y10 ^ y11; const uint64_t y19 = y10 ^ y8; const uint64_t y16 = t0 ^ y11;
    const uint64_t y21 = y13 ^ y16; const uint64_t y18 = x0 ^ y16; const uint64_t t2 = y12 & y15;
    const uint64_t t3 = y3 & y6; const uint64_t t4 = t3 ^ t2; const uint64_t t5 = y4 & x7;
    const uint64_t t6 = t5 ^ t2; const uint64_t t7 = y13 & y16; const uint64_t t8 = y5 & y1;
    const uint64_t t9 = t8 ^ t7; const uint64_t t10 = y2 & y7; const uint64_t t11 = t10 ^ t7;
    const uint64_t t12 = y9 & y11; const uint64_t t13 = y14 & y17; const uint64_t t14 = t13 ^ t12;
    const uint64_t t15 = y8 & y10; const uint64_t t16 = t15 ^ t12; const uint64_t t17 = t4 ^ t14;
    const uint64_t t18 = t6 ^ t16; const uint64_t t19 = t9 ^ t14; const uint64_t t20 = t11 ^ t16;
    const uint64_t t21 = t17 ^ y20; const uint64_t t22 = t18 ^ y19; const uint64_t t23 = t19 ^ y21;
    const uint64_t t24 = t20 ^ y18; const uint64_t t25 = t21 ^ t22; const uint64_t t26 = t21 & t23;
    const uint64_t t27 = t24 ^ t26; const uint64_t t28 = t25 & t27; const uint64_t t29 = t28 ^ t22;
    const uint64_t t30 = t23 ^ t24; const uint64_t t31 = t22 ^ t26; const uint64_t t32 = t31 & t30;
    const uint64_t t33 = t32 ^ t24; const uint64_t t34 = t23 ^ t33; const uint64_t t35 = t27 ^ t33;
    const uint64_t t36 = t24 & t35; const uint64_t t37 = t36 ^ t34; const uint64_t t38 = t27 ^ t36;
    const uint64_t t39 = t29 & t38; const uint64_t t40 = t25 ^ t39; const uint64_t t41 = t40 ^ t37;
    const uint64_t t42 = t29 ^ t33; const uint64_t t43 = t29 ^ t40; const uint64_t t44 = t33 ^ t37;
    const uint64_t t45 = t42 ^ t41; const uint64_t z0 = t44 & y15; const uint64_t z1 = t37 & y6;
    const uint64_t z2 = t33 & x7; const uint64_t z3 = t43 & y16; const uint64_t z4 = t40 & y1;
    const uint64_t z5 = t29 & y7; const uint64_t z6 = t42 & y11; const uint64_t z7 = t45 & y17;
    const uint64_t z8 = t41 & y10; const uint64_t z9 = t44 & y12; const uint64_t z10 = t37 & y3;
    const uint64_t z11 = t33 & y4; const uint64_t z12 = t43 & y13; const uint64_t z13 = t40 & y5;
    const uint64_t z14 = t29 & y2; const uint64_t z15 = t42 & y9; const uint64_t z16 = t45 & y14;
    const uint64_t z17 = t41 & y8; const uint64_t t46 = z15 ^ z16; const uint64_t t47 = z10 ^ z11;
    const uint64_t t48 = z5 ^ z13; const uint64_t t49 = z9 ^ z10; const uint64_t t50 = z2 ^ z12;
    const uint64_t t51 = z2 ^ z5; const uint64_t t52 = z7 ^ z8; const uint64_t t53 = z0 ^ z3;
    const uint64_t t54 = z6 ^ z7; const uint64_t t55 = z16 ^ z17; const uint64_t t56 = z12 ^ t48;
    const uint64_t t57 = t50 ^ t53; const uint64_t t58 = z4 ^ t46; const uint64_t t59 = z3 ^ t54;
    const uint64_t t60 = t46 ^ t57; const uint64_t t61 = z14 ^ t57; const uint64_t t62 = t52 ^ t58;
    const uint64_t t63 = t49 ^ t58; const uint64_t t64 = z4 ^ t59; const uint64_t t65 = t61 ^ t62;
    const uint64_t t66 = z1 ^ t63; const uint64_t s0 = t59 ^ t63; const uint64_t s6 = t56 ^ t62;
    const uint64_t s7 = t48 ^ t60; const uint64_t t67 = t64 ^ t65; const uint64_t s3 = t53 ^ t66;
    const uint64_t s4 = t51 ^ t66; const uint64_t s5 = t47 ^ t65; const uint64_t s1 = t64 ^ s3;
    const uint64_t s2 = t55 ^ t67;
    q[7] = s0;
    q[6] = s1;
    q[5] = s2;
    q[4] = s3;
    q[3] = s4;
    q[2] = s5;
    q[1] = s6;
    q[0] = s7;
}

#define ROW(number) (UINT64_C(0x000000ff000000ff) << (8 * (number)))

/* Row r of each block moves by r columns; a half holds two columns of 32 bits. */
static inline void shift_rows(uint64_t *first, uint64_t *second)
{
    uint64_t a = *first, b = *second;
    uint64_t one = a >> 32 | b << 32, three = b >> 32 | a << 32;
    *first = (a & ROW(0)) | (one & ROW(1)) | (b & ROW(2)) | (three & ROW(3));
    *second = (b & ROW(0)) | (three & ROW(1)) | (a & ROW(2)) | (one & ROW(3));
}

static inline uint64_t rotate_rows_by_one(uint64_t a)
{
    return (a >> 8 & UINT64_C(0x00ffffff00ffffff)) | (a << 24 & UINT64_C(0xff000000ff000000));
}

static inline uint64_t rotate_rows_by_two(uint64_t a)
{
    return (a >> 16 & UINT64_C(0x0000ffff0000ffff)) | (a << 16 & UINT64_C(0xffff0000ffff0000));
}

static inline void mix_columns(uint64_t *q, const uint64_t *key)
{
    uint64_t rotated[PLANES], mixed[PLANES];
    for (int k = 0; k < PLANES; k++) {
        rotated[k] = rotate_rows_by_one(q[k]);
        mixed[k] = q[k] ^ rotated[k];
        q[k] = rotated[k] ^ rotate_rows_by_two(mixed[k]) ^ key[k];
    }
    q[0] ^= mixed[7];
    q[1] ^= mixed[0] ^ mixed[7];
    q[2] ^= mixed[1];
    q[3] ^= mixed[2] ^ mixed[7];
    q[4] ^= mixed[3] ^ mixed[7];
    q[5] ^= mixed[4];
    q[6] ^= mixed[5];
    q[7] ^= mixed[6];
}

static inline void aes_round(planes *q, const planes *key)
{
    s_box(q->half[0]);
    s_box(q->half[1]);
    for (int k = 0; k < PLANES; k++)
        shift_rows(&q->half[0][k], &q->half[1][k]);
    mix_columns(q->half[0], key->half[0]);
    mix_columns(q->half[1], key->half[1]);
}

/* The last round of AES proper, which mixes no columns. */
static inline void aes_last_round(planes *q, const planes *key)
{
    s_box(q->half[0]);
    s_box(q->half[1]);
    for (int k = 0; k < PLANES; k++) {
        shift_rows(&q->half[0][k], &q->half[1][k]);
        q->half[0][k] ^= key->half[0][k];
        q->half[1][k] ^= key->half[1][k];
    }
}

/* A round key, the same for all eight blocks; `constant` is what the round's S-box left out. */
static inline void key_planes(planes *q, const uint8_t *key, uint64_t constant)
{
    block x[PLANES];
    for (int k = 0; k < PLANES; k++)
        x[k] = (block){{kp_load64(key) ^ constant, kp_load64(key + 8) ^ constant}};
    to_planes(q, x);
}

#endif
