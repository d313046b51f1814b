/* What does a call leave on the stack? Each runs on a stack of its own, which was filled with one byte before: afterwards
 * everything below the called function's own frame is zero as far as it is cleared, and untouched beyond.
 *
 * usage: stack_left ENGINE */
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include "sphincs.h"
#include "sphinx.h"

#define HOPS KP_MOST_HOPS
#define PAYLOAD 2606
#define HEADER KP_HEADER_LENGTH(HOPS)
#define FILLING 0xa5

#define STACK 262144
#define OWN_FRAMES 256 /* of the function that is called, whoever calls it, and of what starts the stack */

static uint8_t stack[STACK] __attribute__((aligned(64)));
static ucontext_t here, there;

static kp_engine engine;
static kp_table tables[HOPS];
static const kp_table *with_tables[HOPS];
static uint8_t ephemeral[KP_SCALAR], private_keys[HOPS][KP_SCALAR], keys[HOPS][KP_POINT], fragments[HOPS][KP_FRAGMENT];
static uint8_t mac_at[HOPS], packet[HEADER + PAYLOAD], header[HEADER], material[HOPS * KP_MATERIAL], out[4096];
static uint8_t signature[KP_SPHINCS_SIGNATURE];
static kp_path path = {HOPS, HOPS, ephemeral, keys[0], fragments[0], mac_at, NULL, NULL};

static void new_packet(void) { kp_new_packet(&engine, &path, packet, PAYLOAD); }
static void new_header(void) { kp_new_header(&engine, &path, header, material); }
static void unwrap(void) { kp_unwrap(&engine, HOPS, private_keys[0], packet, sizeof packet, out); }
static void unwrap_another(void) { kp_unwrap(&engine, HOPS, private_keys[1], packet, sizeof packet, out); }
static void open_reply(void) { kp_open_reply(&engine, material, HOPS, packet + HEADER, PAYLOAD); }
static void open_short_reply(void) { kp_open_reply(&engine, material, HOPS, packet + HEADER, KP_PAYLOAD_TAG + 1); }
static void apply_layers(void) { kp_apply_layers(&engine, material, HOPS, 1, packet + HEADER, PAYLOAD - 1); }
static void apply_to_a_byte(void) { kp_apply_layers(&engine, material, HOPS, 1, packet + HEADER, 1); }
static void authenticate(void) { kp_authenticate(&engine, ephemeral, KP_SCALAR, packet, sizeof packet, out); }
static void key_stream(void) { kp_key_stream(&engine, ephemeral, material, out, sizeof out); }
static void multiply(void) { kp_x25519(&engine, out, ephemeral, keys[0]); }
static void multiply_base(void) { kp_x25519_base(&engine, out, ephemeral); }
static void generate(void) { kp_sphincs_generate(&engine, ephemeral, keys[0], out); }
static void sign(void) { kp_sphincs_sign(&engine, ephemeral, keys[0], fragments[0], signature); }
static void leave_something(void) { engine.layers(material, HOPS, 1, packet + HEADER, PAYLOAD); }

/* How many bytes are neither zero nor untouched. */
static size_t strange_after(void (*call)(void))
{
    size_t strange = 0;
    memset(stack, FILLING, sizeof stack);
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof stack;
    there.uc_link = &here;
    makecontext(&there, call, 0);
    swapcontext(&here, &there);
    for (size_t k = 0; k < STACK - OWN_FRAMES; k++)
        strange += stack[k] != 0 && stack[k] != FILLING;
    return strange;
}

static int is_clean(const char *name, void (*call)(void))
{
    size_t strange = strange_after(call);
    if (strange)
        fprintf(stderr, "%s leaves %zu bytes on the stack\n", name, strange);
    return !strange;
}

#define IS_CLEAN(call) is_clean(#call, call)

int main(int count, char **arguments)
{
    int fine;
    kp_engine_portable(&engine);
    if (count != 2 || (strcmp(arguments[1], "portable") && strcmp(arguments[1], "aes-ni"))) {
        fprintf(stderr, "usage: stack_left portable | aes-ni\n");
        return 2;
    }
    if (!strcmp(arguments[1], "aes-ni") && !kp_engine_aes_ni(&engine)) {
        fprintf(stderr, "this processor has no AES instructions: left out\n");
        return 0;
    }
    memset(ephemeral, 0x77, sizeof ephemeral);
    for (int hop = 0; hop < HOPS; hop++) {
        memset(private_keys[hop], hop + 1, KP_SCALAR);
        kp_x25519_base(&engine, keys[hop], private_keys[hop]);
        fragments[hop][0] = hop + 1 < HOPS ? 0x01 : 0x02;
        mac_at[hop] = KP_NEXT_HOP - KP_MAC;
        with_tables[hop] = kp_key_table(&engine, &tables[hop], keys[hop]) ? &tables[hop] : NULL;
    }
    fine = IS_CLEAN(new_packet) & IS_CLEAN(new_header);
    path.tables = with_tables;
    fine &= IS_CLEAN(new_packet) & IS_CLEAN(new_header) & IS_CLEAN(unwrap) & IS_CLEAN(unwrap_another);
    fine &= IS_CLEAN(open_reply) & IS_CLEAN(open_short_reply) & IS_CLEAN(apply_layers) & IS_CLEAN(apply_to_a_byte);
    fine &= IS_CLEAN(authenticate) & IS_CLEAN(key_stream) & IS_CLEAN(multiply) & IS_CLEAN(multiply_base);
    fine &= IS_CLEAN(generate) & IS_CLEAN(sign);
    if (!strange_after(leave_something)) {
        fprintf(stderr, "what is left on the stack is not noticed\n");
        fine = 0;
    }
    return fine ? 0 : 1;
}
