/* libFuzzer's target for whole packets in C: whatever comes in, both engines do the same, and nothing outside is touched.
 *
 * The first byte says what is done, the second the geometry's hops; the rest is read from front to back and ends in
 * zeros. Buffers are allocated at their exact lengths, so that the sanitizers see one byte too many. */
#include "sphinx.h"

#include <stdlib.h>
#include <string.h>

#define ENGINES 2
#define MOST_PAYLOAD 400

typedef struct {
    const uint8_t *bytes;
    size_t left;
} input;

static uint8_t *taken(input *in, size_t length)
{
    uint8_t *part = calloc(length ? length : 1, 1);
    size_t available = in->left < length ? in->left : length;
    if (!part)
        abort();
    memcpy(part, in->bytes, available);
    in->bytes += available;
    in->left -= available;
    return part;
}

static uint8_t *copied(const uint8_t *bytes, size_t length)
{
    input in = {bytes, length};
    return taken(&in, length);
}

static void must(int holds)
{
    if (!holds)
        abort();
}

static void unwrap(const kp_engine *engines, size_t count, input *in, size_t nr_hops)
{
    uint8_t *key = taken(in, KP_SCALAR), *results[ENGINES], *fragments[ENGINES];
    size_t length = in->left < KP_HEADER_LENGTH(20) + MOST_PAYLOAD ? in->left : KP_HEADER_LENGTH(20) + MOST_PAYLOAD;
    uint8_t *packet = taken(in, length);
    int status[ENGINES];
    for (size_t k = 0; k < count; k++) {
        results[k] = copied(packet, length);
        fragments[k] = calloc(KP_FRAGMENT, 1);
        must(fragments[k] != NULL);
        status[k] = kp_unwrap(&engines[k], nr_hops, key, results[k], length, fragments[k]);
        must(status[k] == status[0]);
        must(status[k] == KP_DONE || !memcmp(results[k], packet, length));
        must(!memcmp(results[k], results[0], length) && !memcmp(fragments[k], fragments[0], KP_FRAGMENT));
    }
    for (size_t k = 0; k < count; k++) {
        free(results[k]);
        free(fragments[k]);
    }
    free(packet);
    free(key);
}

/* A packet of any path; with one hop whose key is known, it unwraps again. */
static void build(const kp_engine *engines, size_t count, input *in, size_t nr_hops)
{
    uint8_t *shape = taken(in, 2), *private_key = taken(in, KP_SCALAR), *ephemeral = taken(in, KP_SCALAR);
    size_t hops = shape[0] % 23, kept = hops < 20 ? hops : 20, payload = KP_PAYLOAD_TAG + shape[1];
    size_t unused = kept < nr_hops && nr_hops <= 20 ? nr_hops - kept : 0;
    size_t length = KP_HEADER_LENGTH(nr_hops) + payload;
    uint8_t *mac_at = taken(in, hops), *fragments = taken(in, hops * KP_FRAGMENT), *keys = taken(in, hops * KP_POINT);
    uint8_t *filler = taken(in, unused * KP_FRAGMENT), *packets[ENGINES], *materials[ENGINES], fragment[KP_FRAGMENT];
    kp_path path = {nr_hops, hops, ephemeral, keys, fragments, mac_at, filler, NULL};
    const kp_table *with_tables[23] = {NULL};
    kp_table *tables = calloc(hops ? hops : 1, sizeof *tables);
    int status[ENGINES];
    must(tables != NULL);
    if (hops)
        kp_x25519_base(&engines[0], keys, private_key);
    for (size_t k = 0; k < count; k++) {
        packets[k] = calloc(length, 1);
        materials[k] = calloc(hops ? hops : 1, KP_MATERIAL);
        must(packets[k] && materials[k]);
        /* The one with the ladder, the other with what tables there can be. */
        for (size_t hop = 0; k && hop < hops; hop++)
            with_tables[hop] = kp_key_table(&engines[k], &tables[hop], keys + hop * KP_POINT) ? &tables[hop] : NULL;
        path.tables = k ? with_tables : NULL;
        status[k] = kp_new_packet(&engines[k], &path, packets[k], payload);
        must(status[k] == status[0] && !memcmp(packets[k], packets[0], length));
    }
    if (status[0] == KP_DONE) {
        uint8_t *header = calloc(KP_HEADER_LENGTH(nr_hops), 1);
        must(header != NULL);
        for (size_t k = 0; k < count; k++) {
            must(kp_new_header(&engines[k], &path, header, materials[k]) == KP_DONE);
            must(!memcmp(header, packets[0], KP_HEADER_LENGTH(nr_hops)));
            must(!memcmp(materials[k], materials[0], hops * KP_MATERIAL));
        }
        must(kp_unwrap(&engines[0], nr_hops, private_key, packets[0], length, fragment) == KP_DONE);
        must(hops > 1 || !memcmp(fragment, fragments, KP_FRAGMENT));
        free(header);
    }
    for (size_t k = 0; k < count; k++) {
        free(packets[k]);
        free(materials[k]);
    }
    free(tables);
    free(filler);
    free(keys);
    free(fragments);
    free(mac_at);
    free(ephemeral);
    free(private_key);
    free(shape);
}

static void open_reply(const kp_engine *engines, size_t count, input *in, size_t layers)
{
    uint8_t *material = taken(in, layers * KP_MATERIAL), *results[ENGINES];
    size_t length = in->left < MOST_PAYLOAD ? in->left : MOST_PAYLOAD;
    uint8_t *payload = taken(in, length);
    int status[ENGINES];
    for (size_t k = 0; k < count; k++) {
        results[k] = copied(payload, length);
        status[k] = kp_open_reply(&engines[k], material, layers, results[k], length);
        must(status[k] == status[0] && !memcmp(results[k], results[0], length));
    }
    for (size_t k = 0; k < count; k++)
        free(results[k]);
    free(payload);
    free(material);
}

static void multiply(const kp_engine *engines, size_t count, input *in)
{
    uint8_t *scalar = taken(in, KP_SCALAR), *point = taken(in, KP_POINT), products[2][ENGINES][KP_POINT];
    for (size_t k = 0; k < count; k++) {
        int status = kp_x25519(&engines[k], products[0][k], scalar, point);
        must((status == KP_DONE) != (products[0][k][0] == 0 && !memcmp(products[0][k], products[0][k] + 1, KP_POINT - 1)));
        kp_x25519_base(&engines[k], products[1][k], scalar);
        must(!memcmp(products[0][k], products[0][0], KP_POINT) && !memcmp(products[1][k], products[1][0], KP_POINT));
    }
    free(point);
    free(scalar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kp_engine engines[ENGINES];
    size_t count = 1, hops;
    input in = {data + 2, size - 2};
    if (size < 2)
        return 0;
    kp_engine_portable(&engines[0]);
    if (kp_engine_aes_ni(&engines[1]))
        count = 2;
    hops = data[1] % 23;
    switch (data[0] % 4) {
    case 0:
        unwrap(engines, count, &in, hops);
        break;
    case 1:
        build(engines, count, &in, hops);
        break;
    case 2:
        open_reply(engines, count, &in, hops % 6);
        break;
    default:
        multiply(engines, count, &in);
    }
    return 0;
}
