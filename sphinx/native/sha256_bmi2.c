/* SHA-256 with the three-operand rotations of newer x86 processors: the portable code, compiled for them. */
#include "cpu.h"

#ifdef KP_X86_64

#define KP_TARGET __attribute__((target("bmi,bmi2")))
#define KP_BLOCKS kp_sha256_bmi2
#include "sha256_core.h"

#else
typedef int kp_nothing_here;
#endif
