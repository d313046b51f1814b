/* The primitives of an engine by themselves: for the steps in Python where a scheme is not X25519, for the links'
 * X25519, and for tests. Lengths are those of the primitives' headers; sphinx/native/library.py checks them. Each call
 * that works on secrets clears the stack. */
#include "bytes.h"
#include "sphinx.h"
#include "stack.h"

void kp_apply_layers(
    const kp_engine *engine, const uint8_t *material, size_t count, size_t encipher, uint8_t *buffer, size_t length)
{
    engine->layers(material, count, encipher, buffer, length);
    kp_clear_stack();
}

void kp_authenticate(
    const kp_engine *engine, const uint8_t *key, size_t key_length, const uint8_t *data, size_t length, uint8_t *mac)
{
    kp_hmac_once(engine->sha256, key, key_length, data, length, mac);
    kp_clear_stack();
}

void kp_key_stream(
    const kp_engine *engine, const uint8_t *key, const uint8_t *counter, uint8_t *stream, size_t length)
{
    engine->stream(stream, length, key, counter);
    kp_clear_stack();
}

int kp_key_table(const kp_engine *engine, kp_table *table, const uint8_t *key)
{
    return engine->make_table(table, key);
}

KP_INNER void multiply(const kp_engine *engine, uint8_t *out, const uint8_t *scalar, const uint8_t *point)
{
    kp_scalar eighth;
    kp_scalar_clamped(&eighth, scalar);
    engine->multiply(out, &eighth, point);
}

int kp_x25519(const kp_engine *engine, uint8_t *out, const uint8_t *scalar, const uint8_t *point)
{
    multiply(engine, out, scalar, point);
    kp_clear_stack();
    return kp_is_zero(out, KP_POINT) ? KP_WEAK_KEY : KP_DONE;
}

KP_INNER void multiply_base(const kp_engine *engine, uint8_t *out, const uint8_t *scalar)
{
    kp_scalar eighth;
    kp_scalar_clamped(&eighth, scalar);
    engine->multiply_base(out, &eighth, 1);
}

void kp_x25519_base(const kp_engine *engine, uint8_t *out, const uint8_t *scalar)
{
    multiply_base(engine, out, scalar);
    kp_clear_stack();
}
