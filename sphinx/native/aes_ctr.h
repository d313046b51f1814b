/* The key stream of AES-256 in counter mode (NIST SP 800-38A): what enciphers headers. */
#ifndef KP_AES_CTR_H
#define KP_AES_CTR_H

#include <stddef.h>
#include <stdint.h>

#define KP_AES_BLOCK 16
#define KP_AES256_KEY 32
#define KP_AES256_ROUNDS 14

/* Write `length` bytes of key stream; the whole of `counter` counts, big-endian. */
typedef void kp_aes_ctr(
    uint8_t *stream, size_t length, const uint8_t key[KP_AES256_KEY], const uint8_t counter[KP_AES_BLOCK]);

kp_aes_ctr kp_aes_ctr_portable, kp_aes_ctr_ni;

#endif
