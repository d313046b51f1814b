/* Keccak-f[1600] on four states at once, in the vectors of x86 processors; chosen at run time. Permutes all KP_LANES
 * states, whatever `lanes` says, as keccak.h allows. The code is that of keccak_core.h, its source FIPS 202. */
#include "cpu.h"

#ifdef KP_X86_64

#include "keccak.h"

/* The compilers' own vector type: the code is the portable one. */
typedef uint64_t word __attribute__((vector_size(8 * KP_LANES)));

#define KP_TARGET __attribute__((target("avx2")))
#include "keccak_core.h"

KP_TARGET void kp_keccak_avx2(kp_keccak_states states, size_t lanes)
{
    word a[KP_KECCAK_WORDS];
    (void)lanes;
    memcpy(a, states, sizeof a);
    permute(a);
    memcpy(states, a, sizeof a);
}

#else
typedef int kp_nothing_here;
#endif
