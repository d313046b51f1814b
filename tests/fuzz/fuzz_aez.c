/* libFuzzer's target for AEZ in C: the engines agree, every layer comes off again, no byte outside is touched.
 *
 * The first byte says how many layers there are and how many of them encipher; then come their keys; the rest is the
 * payload. Buffers are allocated at their exact lengths, so that the sanitizers see one byte too many. */
#include "aez.h"

#include <stdlib.h>
#include <string.h>

typedef void layers(const uint8_t *, size_t, size_t, uint8_t *, size_t);

static uint8_t *copied(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    if (!copy)
        abort();
    memcpy(copy, bytes, length);
    return copy;
}

static uint8_t *applied(layers *engine, const uint8_t *material, size_t count, size_t encipher, const uint8_t *payload,
    size_t length)
{
    uint8_t *result = copied(payload, length);
    engine(material, count, encipher, result, length);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t count = data[0] % 4, encipher = data[0] / 4 % 5;
    if (size < 1 + count * KP_MATERIAL)
        return 0;
    size_t length = size - 1 - count * KP_MATERIAL;
    const uint8_t *payload = data + 1 + count * KP_MATERIAL;
    uint8_t *material = copied(data + 1, count * KP_MATERIAL);
    uint8_t *expected = applied(kp_aez_portable_layers, material, count, encipher, payload, length);

    if (kp_aes_ni_available()) {
        uint8_t *found = applied(kp_aez_aes_ni_layers, material, count, encipher, payload, length);
        if (memcmp(found, expected, length))
            abort();
        free(found);
    }
    if (count == 1) {
        uint8_t *back = applied(kp_aez_portable_layers, material, 1, !encipher, expected, length);
        if (memcmp(back, payload, length))
            abort();
        free(back);
    }
    free(expected);
    free(material);
    return 0;
}
