/* Keccak-f[1600] (FIPS 202), several states at once. */
#ifndef KP_KECCAK_H
#define KP_KECCAK_H

#include <stddef.h>
#include <stdint.h>

#define KP_KECCAK_WORDS 25
#define KP_KECCAK_ROUNDS 24
#define KP_LANES 4

/* As many states as a vector register has words; word after word, all states' beside each other. */
typedef uint64_t kp_keccak_states[KP_KECCAK_WORDS][KP_LANES];

/* Permute the first `lanes` states, 1 to KP_LANES; what becomes of the others is left open. */
typedef void kp_keccak(kp_keccak_states states, size_t lanes);

kp_keccak kp_keccak_portable, kp_keccak_avx2;

extern const uint64_t kp_keccak_constants[KP_KECCAK_ROUNDS];

#endif
