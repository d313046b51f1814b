/* Chooses the implementation of each primitive: the portable ones always run; of the others each goes by what it needs,
 * so that an engine may have AES instructions and portable SHA-256. Nothing here handles data. */
#include "engine.h"

#include "cpu.h"

void kp_engine_portable(kp_engine *engine)
{
    engine->layers = kp_aez_portable_layers;
    engine->stream = kp_aes_ctr_portable;
    engine->sha256 = kp_sha256_portable;
    engine->keccak = kp_keccak_portable;
    engine->multiply = kp_multiply_portable;
    engine->multiply_base = kp_multiply_base_portable;
    engine->make_table = kp_make_table_portable;
    engine->multiply_by_table = kp_multiply_by_table_portable;
}

int kp_engine_aes_ni(kp_engine *engine)
{
    kp_engine_portable(engine);
#ifdef KP_X86_64
    kp_cpu cpu = kp_cpu_features();
    if (!cpu.aes)
        return 0;
    engine->layers = kp_aez_ni_layers;
    engine->stream = kp_aes_ctr_ni;
    if (cpu.sha)
        engine->sha256 = kp_sha256_ni;
    if (cpu.avx2)
        engine->keccak = kp_keccak_avx2;
#ifdef KP_ADX
    if (cpu.adx && cpu.avx2) {
        engine->multiply = kp_multiply_adx;
        engine->multiply_base = kp_multiply_base_adx;
        engine->make_table = kp_make_table_adx;
        engine->multiply_by_table = kp_multiply_by_table_adx;
    }
#endif
    return 1;
#else
    return 0;
#endif
}
