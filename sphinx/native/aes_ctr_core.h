/* Counter mode over an AES of the including file's choice, which defines before it includes this:
 *
 *   round_keys                      the fifteen round keys as the AES wants them
 *   expand(keys, key)               make them from the 32 bytes of a key
 *   encipher(keys, blocks)          eight blocks, in place
 *   KP_TARGET                       function attributes
 *   KP_STREAM                       the name of the function that results */
#define LANES 8

KP_TARGET void KP_STREAM(
    uint8_t *stream, size_t length, const uint8_t key[KP_AES256_KEY], const uint8_t counter[KP_AES_BLOCK])
{
    round_keys keys;
    uint8_t blocks[LANES * KP_AES_BLOCK];
    uint64_t high = 0, low = 0;
    for (int k = 0; k < 8; k++) {
        high = high << 8 | counter[k];
        low = low << 8 | counter[k + 8];
    }
    expand(&keys, key);
    for (size_t taken; length; stream += taken, length -= taken) {
        for (int lane = 0; lane < LANES; lane++) {
            for (int k = 0; k < 8; k++) {
                blocks[KP_AES_BLOCK * lane + k] = (uint8_t)(high >> (56 - 8 * k));
                blocks[KP_AES_BLOCK * lane + k + 8] = (uint8_t)(low >> (56 - 8 * k));
            }
            low++;
            high += low == 0;
        }
        encipher(&keys, blocks);
        taken = length < sizeof blocks ? length : sizeof blocks;
        memcpy(stream, blocks, taken);
    }
}
