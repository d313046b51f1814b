/* AEZ v5 with a 48-byte key, a 16-byte nonce, no associated data and no redundancy: the payload cipher of Sphinx.
 * The readable reference, with its sources, is sphinx/crypto/aez.py. */
#ifndef KP_AEZ_H
#define KP_AEZ_H

#include <stddef.h>
#include <stdint.h>

#define KP_BLOCK 16
#define KP_PAIR (2 * KP_BLOCK)
#define KP_KEY (3 * KP_BLOCK)
#define KP_MATERIAL (KP_KEY + KP_BLOCK)

/* Apply `count` layers to `buffer`, in place, in constant time for its length: layer k under the key and nonce at
 * material[64 * k]. The first `encipher` layers encipher, the others decipher. */
typedef void kp_layers(const uint8_t *material, size_t count, size_t encipher, uint8_t *buffer, size_t length);

kp_layers kp_aez_portable_layers, kp_aez_ni_layers;

#endif
