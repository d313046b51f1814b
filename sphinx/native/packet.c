/* What is done with whole packets: sphinx/packet.py, sphinx/unwrap.py and sphinx/surb.py in C, for X25519.
 *
 * Bounds: header.c's of a path; a packet to unwrap has a whole header and any payload; a reply at least its tag. What
 * is outside is refused (KP_WRONG_SHAPE). A packet whose MAC is wrong is left as it is; commands are looked at only
 * behind a right one, and never beyond their fragment. MACs, tags and secrets are compared in constant time, whole; the
 * stack is cleared at the end of each call from outside.
 *
 * Source: as header.c. */
#include "bytes.h"
#include "hop_keys.h"
#include "sphinx.h"
#include "stack.h"

/* Routing commands and the lengths of their bodies, as in sphinx/commands.py. */
enum { NULL_COMMAND = 0x00, NEXT_NODE_HOP = 0x01, RECIPIENT = 0x02, SURB_REPLY = 0x03, NODE_DELAY = 0x80 };
enum { RECIPIENT_BODY = 32, SURB_REPLY_BODY = 16, NODE_DELAY_BODY = 4 };

KP_INNER int make_packet(const kp_engine *engine, const kp_path *path, uint8_t *packet, size_t payload_length)
{
    uint8_t material[KP_MOST_HOPS * KP_MATERIAL];
    int status = kp_new_header(engine, path, packet, material);
    if (status != KP_DONE)
        return status;
    engine->layers(material, path->hops, path->hops, packet + KP_HEADER_LENGTH(path->nr_hops), payload_length);
    return KP_DONE;
}

int kp_new_packet(const kp_engine *engine, const kp_path *path, uint8_t *packet, size_t payload_length)
{
    int status = make_packet(engine, path, packet, payload_length);
    kp_clear_stack();
    return status;
}

/* The MAC of the first NextNodeHop among a hop's commands, or NULL. What commands say is known to this node's
 * operator: they may steer this code. Whether all of them are well-formed is the caller's to find. */
static const uint8_t *next_hop_mac(const uint8_t *fragment)
{
    for (size_t at = 0; at < KP_FRAGMENT;) {
        switch (fragment[at]) {
        case NEXT_NODE_HOP:
            return at + KP_NEXT_HOP <= KP_FRAGMENT ? fragment + at + 1 + KP_NODE_ID : NULL;
        case RECIPIENT:
            at += 1 + RECIPIENT_BODY;
            break;
        case SURB_REPLY:
            at += 1 + SURB_REPLY_BODY;
            break;
        case NODE_DELAY:
            at += 1 + NODE_DELAY_BODY;
            break;
        default:
            return NULL;
        }
    }
    return NULL;
}

static int verify_mac(const kp_engine *engine, const kp_hop_keys *keys, const uint8_t *packet, size_t length)
{
    uint8_t mac[KP_MAC];
    kp_hmac_once(engine->sha256, keys->mac_key, sizeof keys->mac_key, packet, length, mac);
    return kp_equal(mac, packet + length, sizeof mac);
}

KP_INNER int unwrap(
    const kp_engine *engine, size_t nr_hops, const uint8_t *private_key, uint8_t *packet, size_t length,
    uint8_t *fragment)
{
    uint8_t *element = packet + KP_VERSION, *routing = element + KP_POINT;
    uint8_t secret[KP_POINT], stream[(KP_MOST_HOPS + 1) * KP_FRAGMENT], material[KP_MATERIAL];
    const size_t routing_length = nr_hops * KP_FRAGMENT;
    const uint8_t *mac;
    int status = KP_DONE;
    kp_scalar scalar;
    kp_hop_keys keys;

    if (nr_hops > KP_MOST_HOPS || length < KP_HEADER_LENGTH(nr_hops))
        return KP_WRONG_SHAPE;
    kp_scalar_clamped(&scalar, private_key);
    engine->multiply(secret, &scalar, element);
    kp_derive(&keys, engine, secret);
    if (kp_is_zero(secret, sizeof secret))
        status = KP_WEAK_KEY;
    else if (!verify_mac(engine, &keys, packet, KP_HEADER_LENGTH(nr_hops) - KP_MAC))
        status = KP_WRONG_MAC;
    if (status == KP_DONE) {
        engine->stream(stream, routing_length + KP_FRAGMENT, keys.header_key, keys.iv);
        kp_xor(stream, routing, routing_length);
        memcpy(fragment, stream, KP_FRAGMENT);
        memcpy(routing, stream + KP_FRAGMENT, routing_length);
        mac = next_hop_mac(fragment);
        if (mac) {
            memcpy(routing + routing_length, mac, KP_MAC);
            kp_blinding_factor(&scalar, &keys);
            engine->multiply(element, &scalar, element);
        }
        kp_payload_material(material, &keys);
        engine->layers(material, 1, 0, packet + KP_HEADER_LENGTH(nr_hops), length - KP_HEADER_LENGTH(nr_hops));
    }
    return status;
}

int kp_unwrap(
    const kp_engine *engine, size_t nr_hops, const uint8_t *private_key, uint8_t *packet, size_t length,
    uint8_t *fragment)
{
    int status = unwrap(engine, nr_hops, private_key, packet, length, fragment);
    kp_clear_stack();
    return status;
}

int kp_open_reply(
    const kp_engine *engine, const uint8_t *material, size_t count, uint8_t *payload, size_t length)
{
    if (count < 1 || length < KP_PAYLOAD_TAG)
        return KP_WRONG_SHAPE;
    engine->layers(material, count, count - 1, payload, length);
    kp_clear_stack();
    return kp_is_zero(payload, KP_PAYLOAD_TAG) ? KP_DONE : KP_WRONG_TAG;
}
