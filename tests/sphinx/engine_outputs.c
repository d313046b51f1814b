/* What an engine makes of fixed inputs, in hexadecimal: packets by ladder and by tables, SURBs, every unwrapping, replies,
 * and each primitive by itself, at lengths around whole blocks. Engines, compilers and processors must agree on all of it.
 *
 * usage: engine_outputs portable | aes-ni */
#include <stdio.h>
#include <string.h>

#include "sphincs.h"
#include "sphinx.h"

#define HOPS 5
#define DELAY 5
#define HEADER KP_HEADER_LENGTH(HOPS)
#define PAYLOAD 2606
#define LENGTHS 140

static kp_engine engine;
static kp_table tables[HOPS];
static uint8_t ephemeral[KP_SCALAR], private_keys[HOPS][KP_SCALAR], keys[HOPS][KP_POINT], fragments[HOPS][KP_FRAGMENT];
static uint8_t mac_at[HOPS], filler[HOPS * KP_FRAGMENT], packet[HEADER + PAYLOAD], header[HEADER];
static uint8_t material[HOPS * KP_MATERIAL], fragment[KP_FRAGMENT], bytes[PAYLOAD], out[PAYLOAD];
static uint8_t signature[KP_SPHINCS_SIGNATURE];

static void print(const char *what, int status, const uint8_t *from, size_t length)
{
    printf("%s %d ", what, status);
    for (size_t k = 0; k < length; k++)
        printf("%02x", from[k]);
    putchar('\n');
}

/* A sequence of bytes that looks like none. */
static void fill(uint8_t *to, size_t length, uint32_t seed)
{
    for (size_t k = 0; k < length; k++) {
        seed = seed * 1664525 + 1013904223;
        to[k] = (uint8_t)(seed >> 24);
    }
}

static void packets(kp_path *path)
{
    int status;
    fill(packet + HEADER + KP_PAYLOAD_TAG, PAYLOAD - KP_PAYLOAD_TAG, 5);
    memset(packet + HEADER, 0, KP_PAYLOAD_TAG);
    status = kp_new_packet(&engine, path, packet, PAYLOAD);
    print("packet", status, packet, sizeof packet);
    for (size_t hop = 0; hop < path->hops; hop++) {
        status = kp_unwrap(&engine, HOPS, private_keys[hop], packet, sizeof packet, fragment);
        print("unwrapped", status, packet, sizeof packet);
        print("commands", status, fragment, sizeof fragment);
    }
    print("again", kp_unwrap(&engine, HOPS, private_keys[0], packet, sizeof packet, fragment), packet, sizeof packet);
    path->hops = HOPS - 1;
    status = kp_new_header(&engine, path, header, material);
    print("SURB", status, header, sizeof header);
    print("its keys", status, material, (HOPS - 1) * KP_MATERIAL);
    path->hops = HOPS;
    memcpy(out, bytes, sizeof out);
    print("reply", kp_open_reply(&engine, material, HOPS - 1, out, sizeof out), out, sizeof out);
}

static void primitives(void)
{
    for (size_t length = 0; length < LENGTHS; length++) {
        memcpy(out, bytes, length);
        kp_apply_layers(&engine, material, 2, 1, out, length);
        print("layers", 0, out, length);
        kp_key_stream(&engine, ephemeral, material, out, length);
        print("key stream", 0, out, length);
        kp_authenticate(&engine, ephemeral, KP_SCALAR, bytes, length, out);
        print("MAC", 0, out, KP_MAC);
    }
    for (size_t at = 0; at + KP_SCALAR + KP_POINT <= PAYLOAD; at += 41) { /* half of them on the twist */
        int status = kp_x25519(&engine, out, bytes + at, bytes + at + KP_SCALAR);
        print("product", status, out, KP_POINT);
        kp_x25519_base(&engine, out, bytes + at);
        print("public key", 0, out, KP_POINT);
    }
    kp_sphincs_sign(&engine, bytes, bytes + 200, bytes + 300, signature);
    print("signature", 0, signature, 4096);
    kp_sphincs_root(&engine, bytes + 32, bytes + 300, signature, out);
    print("root", 0, out, KP_SPHINCS_NODE);
}

int main(int count, char **arguments)
{
    const kp_table *with_tables[HOPS];
    kp_path path = {HOPS, HOPS, ephemeral, keys[0], fragments[0], mac_at, filler, NULL};
    kp_engine_portable(&engine);
    if (count != 2 || (strcmp(arguments[1], "portable") && strcmp(arguments[1], "aes-ni"))) {
        fprintf(stderr, "usage: engine_outputs portable | aes-ni\n");
        return 2;
    }
    if (!strcmp(arguments[1], "aes-ni") && !kp_engine_aes_ni(&engine))
        return 3;
    fill(ephemeral, sizeof ephemeral, 1);
    fill(filler, sizeof filler, 2);
    fill(bytes, sizeof bytes, 3);
    for (int hop = 0; hop < HOPS; hop++) {
        fill(private_keys[hop], KP_SCALAR, 10 + (uint32_t)hop);
        kp_x25519_base(&engine, keys[hop], private_keys[hop]);
        with_tables[hop] = kp_key_table(&engine, &tables[hop], keys[hop]) ? &tables[hop] : NULL;
        fragments[hop][0] = 0x80;
        fragments[hop][DELAY] = hop + 1 < HOPS ? 0x01 : 0x02;
        fill(fragments[hop] + DELAY + 1, KP_POINT, 20 + (uint32_t)hop);
        mac_at[hop] = DELAY + KP_NEXT_HOP - KP_MAC;
    }
    packets(&path);
    path.tables = with_tables;
    packets(&path);
    primitives();
    return 0;
}
