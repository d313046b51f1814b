/* Where do secrets steer the engine? Under valgrind's memcheck, which is told that they are undefined: it reports each
 * branch and address that depends on one (Langley, "ctgrind", 2010). What may, stands in secrets_flow.supp.
 *
 * usage: valgrind --suppressions=secrets_flow.supp --error-exitcode=1 secrets_flow ENGINE */
#include <stdio.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "cpu.h"
#include "sphincs.h"
#include "sphinx.h"

#ifdef KP_X86_64
/* valgrind knows no SHA instructions. */
#include "sha_instructions.h"
#define kp_sha256_ni sha256_modelled
#include "sha256_ni.c"
#undef kp_sha256_ni
#endif

#define HOPS 5
#define REPLY_HOPS (HOPS - 1)
#define DELAY 5
#define HEADER KP_HEADER_LENGTH(HOPS)
#define PAYLOAD 2606

#define SECRET(bytes, length) VALGRIND_MAKE_MEM_UNDEFINED(bytes, length)
#define PUBLIC(bytes, length) VALGRIND_MAKE_MEM_DEFINED(bytes, length)

static uint8_t ephemeral[KP_SCALAR], private_keys[HOPS][KP_SCALAR], keys[HOPS][KP_POINT];
static uint8_t fragments[HOPS][KP_FRAGMENT], mac_at[HOPS], filler[HOPS * KP_FRAGMENT];
static uint8_t packet[HEADER + PAYLOAD], header[HEADER], material[HOPS * KP_MATERIAL], fragment[KP_FRAGMENT];

static kp_table tables[HOPS];

static uint8_t secret_seed[KP_SPHINCS_NODE], public_seed[KP_SPHINCS_NODE], root[KP_SPHINCS_NODE];

static int expect(const char *what, int status, int expected)
{
    PUBLIC(&status, sizeof status);
    if (status != expected)
        fprintf(stderr, "%s: status %d, expected %d\n", what, status, expected);
    return status == expected;
}

static int run(const kp_engine *engine)
{
    kp_path path = {HOPS, HOPS, ephemeral, keys[0], fragments[0], mac_at, filler, NULL};
    const kp_table *with_tables[HOPS];
    int fine = 1;
    for (int hop = 0; hop < HOPS; hop++) {
        memset(private_keys[hop], hop + 1, KP_SCALAR);
        kp_x25519_base(engine, keys[hop], private_keys[hop]);
        fragments[hop][0] = 0x80;
        fragments[hop][DELAY] = hop < REPLY_HOPS ? 0x01 : 0x02;
        mac_at[hop] = DELAY + KP_NEXT_HOP - KP_MAC;
        SECRET(private_keys[hop], KP_SCALAR);
        with_tables[hop] = &tables[hop];
        fine &= expect("a table", kp_key_table(engine, &tables[hop], keys[hop]), 1);
    }
    memset(ephemeral, 7, sizeof ephemeral);
    SECRET(ephemeral, sizeof ephemeral);
    SECRET(packet + HEADER + KP_PAYLOAD_TAG, PAYLOAD - KP_PAYLOAD_TAG);
    fine &= expect("a packet", kp_new_packet(engine, &path, packet, PAYLOAD), KP_DONE);
    path.tables = with_tables;
    fine &= expect("a packet with tables", kp_new_packet(engine, &path, packet, PAYLOAD), KP_DONE);
    path.hops = REPLY_HOPS;
    fine &= expect("a header of a SURB", kp_new_header(engine, &path, header, material), KP_DONE);
    for (int hop = 0; hop < HOPS; hop++) {
        PUBLIC(packet, sizeof packet);
        fine &= expect("unwrapping", kp_unwrap(engine, HOPS, private_keys[hop], packet, sizeof packet, fragment), KP_DONE);
    }
    PUBLIC(packet, sizeof packet);
    packet[0] ^= 1;
    fine &= expect("unwrapping", kp_unwrap(engine, HOPS, private_keys[0], packet, sizeof packet, fragment), KP_WRONG_MAC);
    SECRET(material, sizeof material);
    fine &= expect("a reply", kp_open_reply(engine, material, HOPS, packet + HEADER, PAYLOAD), KP_WRONG_TAG);
    return fine;
}

/* Signing runs the same code, but roots of lower trees, which are published, steer it: memcheck cannot know that. */
static void generate(const kp_engine *engine)
{
    memset(secret_seed, 3, sizeof secret_seed);
    SECRET(secret_seed, sizeof secret_seed);
    kp_sphincs_generate(engine, secret_seed, public_seed, root);
}

/* The engine for processors with all that valgrind's does not say it has: it runs ADCX and ADOX. */
static int choose_all(kp_engine *engine)
{
    if (!kp_engine_aes_ni(engine))
        return 0;
#ifdef KP_X86_64
    if (engine->sha256 == kp_sha256_portable)
        engine->sha256 = sha256_modelled;
#ifdef KP_ADX
    if (kp_cpu_features().avx2) {
        engine->multiply = kp_multiply_adx;
        engine->multiply_base = kp_multiply_base_adx;
        engine->make_table = kp_make_table_adx;
        engine->multiply_by_table = kp_multiply_by_table_adx;
    }
#endif
#endif
    return 1;
}

int main(int count, char **arguments)
{
    kp_engine engine;
    kp_engine_portable(&engine);
    if (count != 2 || (strcmp(arguments[1], "portable") && strcmp(arguments[1], "aes-ni"))) {
        fprintf(stderr, "usage: secrets_flow portable | aes-ni\n");
        return 2;
    }
    if (!strcmp(arguments[1], "aes-ni") && !choose_all(&engine)) {
        fprintf(stderr, "this processor has no AES instructions: left out\n");
        return 0;
    }
    generate(&engine);
    return run(&engine) ? 0 : 1;
}
