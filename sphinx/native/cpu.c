#include "cpu.h"

#ifdef KP_X86_64

#include <cpuid.h>

/* Intel SDM, volume 2, CPUID: leaf 1 ECX, leaf 7 EBX. None of these needs the operating system's consent. */
#define LEAF1_SSSE3 (1u << 9)
#define LEAF1_SSE41 (1u << 19)
#define LEAF1_AES (1u << 25)
#define LEAF7_BMI1 (1u << 3)
#define LEAF7_BMI2 (1u << 8)
#define LEAF7_ADX (1u << 19)
#define LEAF7_SHA (1u << 29)

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
    cpu.bmi2 = (extended & LEAF7_BMI1) && (extended & LEAF7_BMI2);
#ifdef KP_ADX
    cpu.adx = cpu.bmi2 && (extended & LEAF7_ADX);
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
