/* libFuzzer's target for AEZ in C: the engines agree, every layer comes off again, no byte outside is touched.
 *
 * The first byte says how many layers there are and how many of them encipher; then come their keys; the rest is the
 * payload. Buffers are allocated at their exact lengths, so that the sanitizers see one byte too many. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

static uint8_t *copied(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    if (!copy)
        abort();
    memcpy(copy, bytes, length);
    return copy;
}

static uint8_t *applied(const kp_engine *engine, const uint8_t *material, size_t count, size_t encipher,
    const uint8_t *payload, size_t length)
{
    uint8_t *result = copied(payload, length);
    engine->layers(material, count, encipher, result, length);
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
    kp_engine portable, fast;
    kp_engine_portable(&portable);
    uint8_t *expected = applied(&portable, material, count, encipher, payload, length);

    if (kp_engine_aes_ni(&fast)) {
        uint8_t *found = applied(&fast, material, count, encipher, payload, length);
        if (memcmp(found, expected, length))
            abort();
        free(found);
    }
    if (count == 1) {
        uint8_t *back = applied(&portable, material, 1, !encipher, expected, length);
        if (memcmp(back, payload, length))
            abort();
        free(back);
    }
    free(expected);
    free(material);
    return 0;
}
