/* ChaCha20 (Bernstein, 2008), as far as it makes blinding factors. */
#ifndef KP_CHACHA20_H
#define KP_CHACHA20_H

#include <stdint.h>

#define KP_CHACHA20_KEY 32

/* The first 32 bytes of the key stream, counter and nonce zero. */
void kp_chacha20_first(uint8_t stream[32], const uint8_t key[KP_CHACHA20_KEY]);

#endif
