/* Runs the engine's SHA-256 for processors with SHA instructions on those without, by a model of the instructions.
 * Compares with the portable code; succeeds if all are equal. */
#include <stdio.h>
#include <stdlib.h>

#include "sha_instructions.h"

#include "sha256_ni.c"

#define CASES 2000
#define MOST_BLOCKS 9

int main(void)
{
    static uint8_t blocks[MOST_BLOCKS * KP_SHA256_BLOCK];
    for (int number = 0; number < CASES; number++) {
        uint32_t modelled[KP_SHA256_WORDS], expected[KP_SHA256_WORDS];
        size_t count = (size_t)(number % (MOST_BLOCKS + 1));
        for (size_t k = 0; k < KP_SHA256_WORDS; k++)
            modelled[k] = expected[k] = (uint32_t)rand() << 16 ^ (uint32_t)rand();
        for (size_t k = 0; k < sizeof blocks; k++)
            blocks[k] = (uint8_t)rand();
        kp_sha256_ni(modelled, blocks, count);
        kp_sha256_portable(expected, blocks, count);
        if (memcmp(modelled, expected, sizeof expected)) {
            fprintf(stderr, "case %d: SHA-256 by SHA instructions is wrong\n", number);
            return 1;
        }
    }
    return 0;
}
