/* Asks the processor, and for vectors of 256 bits the operating system, what there is. Elsewhere than on x86-64 there
 * is nothing of it. Takes nothing; each call asks anew, and engine.c calls once. */
#include "cpu.h"

#ifdef KP_X86_64

#include <cpuid.h>

/* Intel SDM, volume 2, CPUID: leaf 1 ECX, leaf 7 EBX. AVX2 alone needs the operating system's consent. */
#define LEAF1_SSSE3 (1u << 9)
#define LEAF1_SSE41 (1u << 19)
#define LEAF1_AES (1u << 25)
#define LEAF1_OSXSAVE (1u << 27)
#define LEAF7_AVX2 (1u << 5)
#define LEAF7_BMI2 (1u << 8)
#define LEAF7_ADX (1u << 19)
#define LEAF7_SHA (1u << 29)
#define XCR0_VECTORS 6u /* SSE's and AVX's registers are saved (volume 1, 13.3) */

static int saves_vectors(void)
{
    unsigned low, high;
    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & XCR0_VECTORS) == XCR0_VECTORS;
}

kp_cpu kp_cpu_features(void)
{
    unsigned a, b, c = 0, d, extended = 0;
    kp_cpu cpu;
    int sse;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        c = 0;
    if (!__get_cpuid_count(7, 0, &a, &extended, &b, &d))
        extended = 0;
    sse = (c & LEAF1_SSSE3) && (c & LEAF1_SSE41);
    cpu.aes = sse && (c & LEAF1_AES);
    cpu.sha = sse && (extended & LEAF7_SHA);
    cpu.avx2 = (extended & LEAF7_AVX2) && (c & LEAF1_OSXSAVE) && saves_vectors();
#ifdef KP_ADX
    cpu.adx = (extended & LEAF7_BMI2) && (extended & LEAF7_ADX);
#else
    cpu.adx = 0;
#endif
    return cpu;
}

#else

kp_cpu kp_cpu_features(void)
{
    return (kp_cpu){0, 0, 0, 0};
}

#endif
