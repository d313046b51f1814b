/* The field of 2^255 - 19 in four words of 64 bits, for x86 processors with MULX, ADCX and ADOX: products are
 * fiat-crypto's, the rest is written here. Numbers stay below 2^256, modulo 2^256 - 38; every such number is a valid
 * operand of all functions.
 *
 * Constant time: no branch, no look-up; what is chosen is chosen by conditional moves. Assembly may begin with any
 * flags. tests/sphinx/test_native_field.py compares with integers where carries fold in twice. */
#ifndef KP_FIELD64_H
#define KP_FIELD64_H

#include "bytes.h"

#include "fiat_curve25519_solinas.h"

#define WORDS 4
#define FOLD 38

typedef struct {
    uint64_t word[WORDS];
} field;

/* From four words; the top bit is ignored (RFC 7748, 5). */
static inline field field_from_words(const uint64_t *word)
{
    return (field){{word[0], word[1], word[2], word[3] & ~(UINT64_C(1) << 63)}};
}

static inline field field_small(uint64_t value)
{
    return (field){{value, 0, 0, 0}};
}

/* The carry or borrow beyond 2^256 folds in twice at most: the second time the number is small or near its top. */
static inline void add(field *out, const field *a, const field *b)
{
    uint64_t r0 = a->word[0], r1 = a->word[1], r2 = a->word[2], r3 = a->word[3], fold;
    __asm__("xorl %k[fold], %k[fold]\n\t"
            "addq %[b0], %[r0]\n\t"
            "adcq %[b1], %[r1]\n\t"
            "adcq %[b2], %[r2]\n\t"
            "adcq %[b3], %[r3]\n\t"
            "cmovcq %[c], %[fold]\n\t"
            "addq %[fold], %[r0]\n\t"
            "adcq $0, %[r1]\n\t"
            "adcq $0, %[r2]\n\t"
            "adcq $0, %[r3]\n\t"
            "movl $0, %k[fold]\n\t"
            "cmovcq %[c], %[fold]\n\t"
            "addq %[fold], %[r0]\n\t"
            : [r0] "+&r"(r0), [r1] "+&r"(r1), [r2] "+&r"(r2), [r3] "+&r"(r3), [fold] "=&r"(fold)
            : [b0] "rm"(b->word[0]), [b1] "rm"(b->word[1]), [b2] "rm"(b->word[2]), [b3] "rm"(b->word[3]),
              [c] "r"((uint64_t)FOLD)
            : "cc");
    out->word[0] = r0;
    out->word[1] = r1;
    out->word[2] = r2;
    out->word[3] = r3;
}

static inline void subtract(field *out, const field *a, const field *b)
{
    uint64_t r0 = a->word[0], r1 = a->word[1], r2 = a->word[2], r3 = a->word[3], fold;
    __asm__("xorl %k[fold], %k[fold]\n\t"
            "subq %[b0], %[r0]\n\t"
            "sbbq %[b1], %[r1]\n\t"
            "sbbq %[b2], %[r2]\n\t"
            "sbbq %[b3], %[r3]\n\t"
            "cmovcq %[c], %[fold]\n\t"
            "subq %[fold], %[r0]\n\t"
            "sbbq $0, %[r1]\n\t"
            "sbbq $0, %[r2]\n\t"
            "sbbq $0, %[r3]\n\t"
            "movl $0, %k[fold]\n\t"
            "cmovcq %[c], %[fold]\n\t"
            "subq %[fold], %[r0]\n\t"
            : [r0] "+&r"(r0), [r1] "+&r"(r1), [r2] "+&r"(r2), [r3] "+&r"(r3), [fold] "=&r"(fold)
            : [b0] "rm"(b->word[0]), [b1] "rm"(b->word[1]), [b2] "rm"(b->word[2]), [b3] "rm"(b->word[3]),
              [c] "r"((uint64_t)FOLD)
            : "cc");
    out->word[0] = r0;
    out->word[1] = r1;
    out->word[2] = r2;
    out->word[3] = r3;
}

/* Nothing is to be done: field51.h's numbers need it. */
static inline void carry(field *a)
{
    (void)a;
}

#define OUT                                                                                                            \
    [out0] "=m"(out->word[0]), [out1] "=m"(out->word[1]), [out2] "=m"(out->word[2]), [out3] "=m"(out->word[3])
#define IN_A [a0] "m"(a->word[0]), [a1] "m"(a->word[1]), [a2] "m"(a->word[2]), [a3] "m"(a->word[3])

static inline void multiply(field *out, const field *a, const field *b)
{
    kp_fiat_multiply(out->word, a->word, b->word);
}

static inline void square(field *out, const field *a)
{
    kp_fiat_square(out->word, a->word);
}

static inline void multiply_121666(field *out, const field *a)
{
    uint64_t rdx = 121666;
    __asm__("mulxq %[a0], %%r8, %%r9\n\t"
            "mulxq %[a1], %%rax, %%r10\n\t"
            "addq %%rax, %%r9\n\t"
            "mulxq %[a2], %%rax, %%r11\n\t"
            "adcq %%rax, %%r10\n\t"
            "mulxq %[a3], %%rax, %%rcx\n\t"
            "adcq %%rax, %%r11\n\t"
            "adcq $0, %%rcx\n\t"
            "imulq $38, %%rcx, %%rcx\n\t"
            "movl $38, %%edx\n\t"
            "xorl %%eax, %%eax\n\t"
            "addq %%rcx, %%r8\n\t"
            "adcq $0, %%r9\n\t"
            "adcq $0, %%r10\n\t"
            "adcq $0, %%r11\n\t"
            "cmovcq %%rdx, %%rax\n\t"
            "addq %%rax, %%r8\n\t"
            "movq %%r8, %[out0]\n\t"
            "movq %%r9, %[out1]\n\t"
            "movq %%r10, %[out2]\n\t"
            "movq %%r11, %[out3]\n\t"
            : OUT, "+d"(rdx)
            : IN_A
            : "rax", "rcx", "r8", "r9", "r10", "r11", "cc");
}

/* `mask` is all ones to swap, zero to leave as they are. */
static inline void swap(field *a, field *b, uint64_t mask)
{
    for (int k = 0; k < WORDS; k += 2) {
        uint64_t x0 = a->word[k], y0 = b->word[k], x0_before = x0;
        uint64_t x1 = a->word[k + 1], y1 = b->word[k + 1], x1_before = x1;
        __asm__("testq %[mask], %[mask]\n\t"
                "cmovnzq %[y0], %[x0]\n\t"
                "cmovnzq %[x0_before], %[y0]\n\t"
                "cmovnzq %[y1], %[x1]\n\t"
                "cmovnzq %[x1_before], %[y1]\n\t"
                : [x0] "+&r"(x0), [y0] "+&r"(y0), [x1] "+&r"(x1), [y1] "+&r"(y1)
                : [mask] "r"(mask), [x0_before] "r"(x0_before), [x1_before] "r"(x1_before)
                : "cc");
        a->word[k] = x0;
        b->word[k] = y0;
        a->word[k + 1] = x1;
        b->word[k + 1] = y1;
    }
}

/* The one representative below the prime. */
static inline void field_store(uint8_t *bytes, const field *a)
{
    const uint64_t top = UINT64_C(1) << 63;
    field b = *a;
    unsigned __int128 sum;
    uint64_t carry;
    /* The bit 2^255 folds in as 19; another 19 is added to see whether that passes 2^255: then the number is not below
     * the prime, and dropping the bit subtracts it; else the 19 are taken off again. */
    carry = 19 + (19 & kp_mask(0 - (b.word[3] >> 63)));
    b.word[3] &= ~top;
    for (int k = 0; k < WORDS; k++) {
        sum = (unsigned __int128)b.word[k] + carry;
        b.word[k] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    carry = 19 & kp_mask((b.word[3] >> 63) - 1);
    b.word[3] &= ~top;
    for (int k = 0; k < WORDS; k++) {
        sum = (unsigned __int128)b.word[k] - carry;
        b.word[k] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64) & 1;
    }
    for (int k = 0; k < WORDS; k++)
        kp_store64(bytes + 8 * k, b.word[k]);
}

#endif
