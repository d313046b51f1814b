/* Builds headers, of packets and of SURBs: sphinx/header.py in C, for X25519.
 *
 * Bounds: a path has 1 to nr_hops hops, a geometry at most KP_MOST_HOPS, and each MAC lies within its fragment; what is
 * outside is refused (KP_WRONG_SHAPE) before anything is written. All state, some 40 kB, is on the stack, which
 * kp_new_header clears. Branches on shapes and on whether a key was weak, never on keys.
 *
 * Source: G. Danezis and I. Goldberg, "Sphinx: A Compact and Provably Secure Mix Format" (2009), as Katzenpost has it:
 * docs/sphinx.md. */
#include "bytes.h"
#include "hop_keys.h"
#include "sphinx.h"
#include "stack.h"

#define MOST_ROUTING (KP_MOST_HOPS * KP_FRAGMENT)

typedef struct {
    kp_hop_keys keys[KP_MOST_HOPS];
    uint8_t elements[KP_MOST_HOPS][KP_POINT];
    uint8_t streams[KP_MOST_HOPS][MOST_ROUTING + KP_FRAGMENT];
} header_state;

static int well_shaped(const kp_path *path)
{
    if (path->nr_hops > KP_MOST_HOPS || path->hops < 1 || path->hops > path->nr_hops)
        return 0;
    for (size_t k = 0; k + 1 < path->hops; k++)
        if (path->mac_at[k] > KP_FRAGMENT - KP_MAC)
            return 0;
    return 1;
}

/* Agree on a secret with each hop. The scalars are multiplied from hop to hop, instead of the points: two
 * multiplications of points for each hop, one of them of the base point. */
static int agree(header_state *state, const kp_engine *engine, const kp_path *path)
{
    kp_scalar scalars[KP_MOST_HOPS + 1], factor;
    uint8_t secret[KP_POINT];
    int weak = 0;
    kp_scalar_clamped(&scalars[0], path->ephemeral);
    for (size_t k = 0; k < path->hops; k++) {
        if (path->tables && path->tables[k])
            engine->multiply_by_table(secret, &scalars[k], path->tables[k]);
        else
            engine->multiply(secret, &scalars[k], path->keys + KP_POINT * k);
        weak |= kp_is_zero(secret, sizeof secret);
        kp_derive(&state->keys[k], engine, secret);
        kp_blinding_factor(&factor, &state->keys[k]);
        scalars[k + 1] = scalars[k];
        kp_scalar_multiply(&scalars[k + 1], &factor);
    }
    engine->multiply_base(state->elements[0], scalars, path->hops);
    return weak ? KP_WEAK_KEY : KP_DONE;
}

/* Each hop's key stream, and at its end, after k hops k + 1 fragments long, the padding that the hops up to it leave
 * behind the routing information. */
static void prepare_streams(header_state *state, const kp_engine *engine, const kp_path *path)
{
    size_t length = (path->nr_hops + 1) * KP_FRAGMENT;
    for (size_t k = 0; k < path->hops; k++) {
        engine->stream(state->streams[k], length, state->keys[k].header_key, state->keys[k].iv);
        if (k) {
            size_t before = k * KP_FRAGMENT;
            kp_xor(state->streams[k] + length - before - KP_FRAGMENT, state->streams[k - 1] + length - before, before);
        }
    }
}

/* Encrypt the routing information from the last hop to the first: each hop's layer holds its fragment and all those
 * behind it. */
static void encrypt_routing(header_state *state, const kp_engine *engine, const kp_path *path, uint8_t *header)
{
    static const uint8_t version[KP_VERSION];
    uint8_t *routing = header + KP_VERSION + KP_POINT, mac[KP_MAC] = {0};
    size_t length = path->nr_hops * KP_FRAGMENT;
    memcpy(routing + path->hops * KP_FRAGMENT, path->filler, length - path->hops * KP_FRAGMENT);
    for (size_t k = path->hops; k--;) {
        uint8_t *fragment = routing + k * KP_FRAGMENT;
        size_t nested = length - k * KP_FRAGMENT;
        kp_hmac_key key;
        kp_hmac hmac;
        memcpy(fragment, path->fragments + k * KP_FRAGMENT, KP_FRAGMENT);
        if (k + 1 < path->hops)
            memcpy(fragment + path->mac_at[k], mac, KP_MAC);
        kp_xor(fragment, state->streams[k], nested);
        kp_hmac_prepare(&key, engine->sha256, state->keys[k].mac_key, sizeof state->keys[k].mac_key);
        kp_hmac_start(&hmac, &key);
        kp_hmac_update(&hmac, version, sizeof version);
        kp_hmac_update(&hmac, state->elements[k], KP_POINT);
        kp_hmac_update(&hmac, fragment, nested);
        if (k)
            kp_hmac_update(&hmac, state->streams[k - 1] + length + KP_FRAGMENT - k * KP_FRAGMENT, k * KP_FRAGMENT);
        kp_hmac_finish(&hmac, mac);
    }
    memcpy(header, version, sizeof version);
    memcpy(header + KP_VERSION, state->elements[0], KP_POINT);
    memcpy(routing + length, mac, sizeof mac);
}

KP_INNER int make_header(const kp_engine *engine, const kp_path *path, uint8_t *header, uint8_t *material)
{
    header_state state;
    int status;
    if (!well_shaped(path))
        return KP_WRONG_SHAPE;
    status = agree(&state, engine, path);
    if (status == KP_DONE) {
        prepare_streams(&state, engine, path);
        encrypt_routing(&state, engine, path, header);
        for (size_t k = 0; k < path->hops; k++)
            kp_payload_material(material + KP_MATERIAL * (path->hops - 1 - k), &state.keys[k]);
    }
    return status;
}

int kp_new_header(const kp_engine *engine, const kp_path *path, uint8_t *header, uint8_t *material)
{
    int status = make_header(engine, path, header, material);
    kp_clear_stack();
    return status;
}
