/* An engine: one implementation of each primitive. All of them give the same bytes. */
#ifndef KP_ENGINE_H
#define KP_ENGINE_H

#include "aes_ctr.h"
#include "aez.h"
#include "keccak.h"
#include "sha256.h"
#include "x25519.h"

typedef struct {
    kp_layers *layers;
    kp_aes_ctr *stream;
    kp_sha256_blocks *sha256;
    kp_keccak *keccak;
    kp_multiply *multiply;
    kp_multiply_base *multiply_base;
    kp_make_table *make_table;
    kp_multiply_by_table *multiply_by_table;
} kp_engine;

/* The engine for any 64-bit processor. */
void kp_engine_portable(kp_engine *engine);

/* The engine with AES instructions, and with whatever else this processor has. Returns whether it can run here. */
int kp_engine_aes_ni(kp_engine *engine);

#endif
