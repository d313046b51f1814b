/* AEZ for any 64-bit processor. kp_aez_portable_layers, whose bounds aez.h gives: this file has the rounds, bitsliced,
 * aez_core.h the cipher.
 *
 * Constant time: no table, no branch but on lengths. Source: as bitslice.h. */
#include "aez.h"
#include "bitslice.h"

#define KP_TARGET
#define KP_LAYERS kp_aez_portable_layers

typedef struct {
    planes i, j, l, zero;
} round_keys;

static void expand(round_keys *keys, const uint8_t *key)
{
    static const uint8_t zeros[KP_BLOCK];
    key_planes(&keys->i, key, S_BOX_CONSTANT);
    key_planes(&keys->j, key + KP_BLOCK, S_BOX_CONSTANT);
    key_planes(&keys->l, key + 2 * KP_BLOCK, S_BOX_CONSTANT);
    key_planes(&keys->zero, zeros, S_BOX_CONSTANT);
}

static void four_rounds(const round_keys *keys, block *x)
{
    planes q;
    to_planes(&q, x);
    aes_round(&q, &keys->j);
    aes_round(&q, &keys->i);
    aes_round(&q, &keys->l);
    aes_round(&q, &keys->zero);
    from_planes(x, &q);
}

static void ten_rounds(const round_keys *keys, block *x)
{
    planes q;
    to_planes(&q, x);
    for (int k = 0; k < 3; k++) {
        aes_round(&q, &keys->i);
        aes_round(&q, &keys->j);
        aes_round(&q, &keys->l);
    }
    aes_round(&q, &keys->i);
    from_planes(x, &q);
}

#include "aez_core.h"
