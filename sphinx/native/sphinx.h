/* Sphinx over X25519: whole packets, SURBs, replies and unwrapping, each in one call that may run beside others.
 *
 * The steps, with their sources, are those of sphinx/header.py, sphinx/surb.py and sphinx/unwrap.py. Callers check
 * lengths; all memory is theirs. */
#ifndef KP_SPHINX_H
#define KP_SPHINX_H

#include "engine.h"

#define KP_VERSION 2
#define KP_MAC KP_SHA256_DIGEST
#define KP_PAYLOAD_TAG 32
#define KP_NODE_ID 32
#define KP_NEXT_HOP (1 + KP_NODE_ID + KP_MAC)
#define KP_FRAGMENT 82
#define KP_MOST_HOPS KP_MOST_POINTS
#define KP_HEADER_LENGTH(nr_hops) (KP_VERSION + KP_POINT + (nr_hops) * KP_FRAGMENT + KP_MAC)

enum {
    KP_DONE = 0,
    KP_WEAK_KEY = 1,   /* a group element or public key leads to an all-zero secret */
    KP_WRONG_MAC = 2,  /* the header was altered, or is for another key */
    KP_WRONG_TAG = 3,  /* the payload was altered, or is for other keys */
    KP_WRONG_SHAPE = 4 /* the numbers of hops or the place of a MAC are out of bounds */
};

/* A path as header building wants it. */
typedef struct {
    size_t nr_hops;           /* of the geometry, at most KP_MOST_HOPS */
    size_t hops;              /* of this path, 1 to nr_hops */
    const uint8_t *ephemeral; /* the maker's private key */
    const uint8_t *keys;      /* the hops' public keys, 32 bytes each */
    const uint8_t *fragments; /* the hops' commands, KP_FRAGMENT bytes each, with room for the next hop's MAC */
    const uint8_t *mac_at;    /* where in its fragment each hop's room begins; nothing for the last hop */
    const uint8_t *filler;    /* KP_FRAGMENT bytes for each hop that the path does not use */
    const kp_table *const *tables; /* of the keys, NULL for a key that has none; or NULL */
} kp_path;

/* Write a header, and behind it encipher `payload_length` bytes that are there already, tag included. */
int kp_new_packet(const kp_engine *engine, const kp_path *path, uint8_t *packet, size_t payload_length);

/* Write a header, and each hop's key and nonce of the payload (KP_MATERIAL bytes each), from the last to the first. */
int kp_new_header(const kp_engine *engine, const kp_path *path, uint8_t *header, uint8_t *material);

/* Take one layer off `packet`, in place: header and payload become those for the next node if `fragment`, which
 * receives this node's commands, names one; else the header is left in part. Without KP_DONE nothing is changed. */
int kp_unwrap(
    const kp_engine *engine, size_t nr_hops, const uint8_t *private_key, uint8_t *packet, size_t length,
    uint8_t *fragment);

/* Take all layers off a reply, in place: `count` keys and nonces; all layers but the last encipher. */
int kp_open_reply(
    const kp_engine *engine, const uint8_t *material, size_t count, uint8_t *payload, size_t length);

/* Apply layers alone: see kp_layers. */
void kp_apply_layers(
    const kp_engine *engine, const uint8_t *material, size_t count, size_t encipher, uint8_t *buffer, size_t length);

/* HMAC-SHA-256, under a key of a block at most, and the key stream of AES-256-CTR, by themselves. */
void kp_authenticate(
    const kp_engine *engine, const uint8_t *key, size_t key_length, const uint8_t *data, size_t length, uint8_t *mac);
void kp_key_stream(
    const kp_engine *engine, const uint8_t *key, const uint8_t *counter, uint8_t *stream, size_t length);

/* The table of a public key; see kp_make_table. */
int kp_key_table(const kp_engine *engine, kp_table *table, const uint8_t *key);

/* X25519 itself, scalars as RFC 7748 has them, and the same for the base point. */
int kp_x25519(const kp_engine *engine, uint8_t *out, const uint8_t *scalar, const uint8_t *point);
void kp_x25519_base(const kp_engine *engine, uint8_t *out, const uint8_t *scalar);

#endif
