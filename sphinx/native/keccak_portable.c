/* Keccak-f[1600] for any 64-bit processor, one state after the other: `lanes` of them, at most KP_LANES. The code is
 * that of keccak_core.h, its source FIPS 202. */
#include "keccak.h"

typedef uint64_t word;

#define KP_TARGET
#include "keccak_core.h"

/* FIPS 202, 3.2.5. */
const uint64_t kp_keccak_constants[KP_KECCAK_ROUNDS] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

void kp_keccak_portable(kp_keccak_states states, size_t lanes)
{
    for (size_t lane = 0; lane < lanes; lane++) {
        word a[KP_KECCAK_WORDS];
        for (int k = 0; k < KP_KECCAK_WORDS; k++)
            a[k] = states[k][lane];
        permute(a);
        for (int k = 0; k < KP_KECCAK_WORDS; k++)
            states[k][lane] = a[k];
    }
}
