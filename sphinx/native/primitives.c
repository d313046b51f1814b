/* The primitives of an engine by themselves. */
#include "bytes.h"
#include "sphinx.h"

void kp_apply_layers(
    const kp_engine *engine, const uint8_t *material, size_t count, size_t encipher, uint8_t *buffer, size_t length)
{
    engine->layers(material, count, encipher, buffer, length);
}

void kp_authenticate(
    const kp_engine *engine, const uint8_t *key, size_t key_length, const uint8_t *data, size_t length, uint8_t *mac)
{
    kp_hmac_key prepared;
    kp_hmac hmac;
    kp_hmac_prepare(&prepared, engine->sha256, key, key_length);
    kp_hmac_start(&hmac, &prepared);
    kp_hmac_update(&hmac, data, length);
    kp_hmac_finish(&hmac, mac);
    kp_wipe(&prepared, sizeof prepared);
}

void kp_key_stream(
    const kp_engine *engine, const uint8_t *key, const uint8_t *counter, uint8_t *stream, size_t length)
{
    engine->stream(stream, length, key, counter);
}

int kp_x25519(const kp_engine *engine, uint8_t *out, const uint8_t *scalar, const uint8_t *point)
{
    kp_scalar eighth;
    kp_scalar_clamped(&eighth, scalar);
    engine->multiply(out, &eighth, point);
    kp_wipe(&eighth, sizeof eighth);
    return kp_is_zero(out, KP_POINT) ? KP_WEAK_KEY : KP_DONE;
}

void kp_x25519_base(const kp_engine *engine, uint8_t *out, const uint8_t *scalar)
{
    kp_scalar eighth;
    kp_scalar_clamped(&eighth, scalar);
    engine->multiply_base(out, &eighth, 1);
    kp_wipe(&eighth, sizeof eighth);
}
