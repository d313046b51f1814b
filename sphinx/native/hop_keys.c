/* A hop's keys out of the secret shared with it, and out of them the payload's key and the blinding factor.
 *
 * All lengths are fixed; a secret has one block of HMAC at most. Source: sphinx/crypto/kdf.py, which has the order of
 * the keys and their info string. */
#include "hop_keys.h"

#include "bytes.h"
#include "chacha20.h"

_Static_assert(sizeof(kp_hop_keys) == 5 * KP_SHA256_DIGEST, "hop keys are whole digests");
_Static_assert(KP_SEED == KP_CHACHA20_KEY, "a seed is a key of ChaCha20");

static const char info[] = "katzenpost-kdf-v0-hkdf-sha256";

void kp_derive(kp_hop_keys *keys, const kp_engine *engine, const uint8_t secret[KP_POINT])
{
    kp_hkdf_expand(
        engine->sha256, secret, KP_POINT, (const uint8_t *)info, sizeof info - 1, keys->mac_key, sizeof *keys);
}

void kp_payload_material(uint8_t material[KP_MATERIAL], const kp_hop_keys *keys)
{
    memcpy(material, keys->sprp_key, KP_KEY);
    memcpy(material + KP_KEY, keys->iv, KP_BLOCK);
}

void kp_blinding_factor(kp_scalar *factor, const kp_hop_keys *keys)
{
    uint8_t bytes[KP_SCALAR];
    kp_chacha20_first(bytes, keys->seed);
    kp_scalar_clamped(factor, bytes);
}
