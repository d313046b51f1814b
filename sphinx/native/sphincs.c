/* SPHINCS+-SHAKE-256f-robust: verifying, for the authorities' signatures, and making keys and signatures, for tests and
 * local networks. Hashes that do not wait for each other are made side by side, as many as Keccak takes.
 *
 * Bounds: seeds, digests and signatures have one length each, which callers check; all memory is on the stack or
 * theirs. Verifying works on what is public, making does not: sphincs.h. Source: there. */
#include "sphincs.h"

#include "bytes.h"
#include "keccak.h"
#include "stack.h"

#define RATE 17 /* words, of SHAKE256 */
#define END_OF_SHAKE 0x1f
#define END_OF_BLOCK 0x8000000000000000
#define WORDS 4             /* of a node, seed or address */
#define HEAD (2 * WORDS)    /* every hash begins with the public seed and an address */
#define LEAVES (1 << KP_SPHINCS_LEVELS)
#define FORS_LEAVES (1 << KP_SPHINCS_HEIGHT)
#define DIGITS 64           /* of a node that a one-time key signs; those of the checksum follow */
#define LAST_STEP 15
#define TREE_AT 40          /* in the digest */
#define LEAF_AT 48

enum { CHAIN, CHAIN_ENDS, TREE, FORS_TREE, FORS_ROOTS, CHAIN_SECRET, FORS_SECRET }; /* types of addresses */

typedef struct {
    uint64_t words[WORDS];
} node;

typedef node address;

typedef struct {
    kp_keccak *keccak;
    node public_seed;
    node secret_seed; /* all zero where nothing is signed */
} seed_pair;

static node load(const uint8_t *bytes)
{
    node value;
    for (int k = 0; k < WORDS; k++)
        value.words[k] = kp_load64(bytes + 8 * k);
    return value;
}

static void store(uint8_t *bytes, const node *value)
{
    for (int k = 0; k < WORDS; k++)
        kp_store64(bytes + 8 * k, value->words[k]);
}

static seed_pair load_seeds(const kp_engine *engine, const uint8_t *public_seed, const uint8_t *secret_seed)
{
    seed_pair loaded = {engine->keccak, load(public_seed), {{0}}};
    if (secret_seed)
        loaded.secret_seed = load(secret_seed);
    return loaded;
}

/* Byte 3 of an address is the layer, 8 to 15 are the tree, 19 is the type, 23 the pair of one-time keys. */
static address new_address(unsigned layer, uint64_t tree, unsigned type, unsigned pair)
{
    return (address){{
        (uint64_t)layer << 24, __builtin_bswap64(tree), (uint64_t)type << 24 | (uint64_t)pair << 56, 0,
    }};
}

/* Byte 27 is the chain or the height, 28 to 31 are the step or the place at that height. */
static void set_place(address *of, unsigned height, uint32_t index)
{
    of->words[3] = (uint64_t)height << 24 | (uint64_t)__builtin_bswap32(index) << 32;
}

static void begin(kp_keccak_states states, const seed_pair *seeds, const address *addresses, size_t lanes)
{
    memset(states, 0, sizeof(kp_keccak_states));
    for (size_t lane = 0; lane < lanes; lane++)
        for (int k = 0; k < WORDS; k++) {
            states[k][lane] = seeds->public_seed.words[k];
            states[WORDS + k][lane] = addresses[lane].words[k];
        }
}

/* Pad behind `words` of a block, and permute. */
static void end(kp_keccak_states states, const seed_pair *seeds, size_t words, size_t lanes)
{
    for (size_t lane = 0; lane < lanes; lane++) {
        states[words][lane] ^= END_OF_SHAKE;
        states[RATE - 1][lane] ^= END_OF_BLOCK;
    }
    seeds->keccak(states, lanes);
}

static void take(kp_keccak_states states, node *nodes, size_t lanes)
{
    for (size_t lane = 0; lane < lanes; lane++)
        for (int k = 0; k < WORDS; k++)
            nodes[lane].words[k] = states[k][lane];
}

/* Hash each lane's one or two nodes, which stand beside each other, under its address; `hashed` may be `nodes`. */
static void hash(
    const seed_pair *seeds, const address *addresses, const node *nodes, size_t each, size_t lanes, node *hashed)
{
    kp_keccak_states masks, states;
    begin(masks, seeds, addresses, lanes);
    end(masks, seeds, HEAD, lanes);
    begin(states, seeds, addresses, lanes);
    for (size_t lane = 0; lane < lanes; lane++)
        for (size_t k = 0; k < each * WORDS; k++)
            states[HEAD + k][lane] = nodes[lane * each + k / WORDS].words[k % WORDS] ^ masks[k][lane];
    end(states, seeds, HEAD + each * WORDS, lanes);
    take(states, hashed, lanes);
}

/* Hash any number of nodes to one. */
static node hash_all(const seed_pair *seeds, address base, const node *nodes, size_t count)
{
    kp_keccak_states masks, states;
    size_t at = HEAD;
    node hashed;
    begin(masks, seeds, &base, 1);
    end(masks, seeds, HEAD, 1);
    begin(states, seeds, &base, 1);
    for (size_t k = 0; k < count * WORDS; k++) {
        if (k && k % RATE == 0)
            seeds->keccak(masks, 1);
        states[at][0] ^= nodes[k / WORDS].words[k % WORDS] ^ masks[k % RATE][0];
        if (++at == RATE) {
            seeds->keccak(states, 1);
            at = 0;
        }
    }
    end(states, seeds, at, 1);
    take(states, &hashed, 1);
    return hashed;
}

/* The secret node of each address. */
static void derive(const seed_pair *seeds, const address *addresses, size_t lanes, node *secrets)
{
    kp_keccak_states states;
    begin(states, seeds, addresses, lanes);
    for (size_t lane = 0; lane < lanes; lane++)
        for (int k = 0; k < WORDS; k++)
            states[HEAD + k][lane] = seeds->secret_seed.words[k];
    end(states, seeds, HEAD + WORDS, lanes);
    take(states, secrets, lanes);
}

/* Climb from each lane's leaf to its root, by the nodes beside the way. */
static void climb(
    const seed_pair *seeds, address *addresses, node *nodes, uint32_t *places, const uint8_t *const *ways,
    unsigned levels, size_t lanes)
{
    node pairs[2 * KP_LANES];
    for (unsigned level = 0; level < levels; level++) {
        for (size_t lane = 0; lane < lanes; lane++) {
            unsigned right = places[lane] & 1;
            pairs[2 * lane + right] = nodes[lane];
            pairs[2 * lane + !right] = load(ways[lane] + level * KP_SPHINCS_NODE);
            places[lane] >>= 1;
            set_place(&addresses[lane], level + 1, places[lane]);
        }
        hash(seeds, addresses, pairs, 2, lanes, nodes);
    }
}

/* Reduce 2^levels leaves to their root, in place, and write the nodes beside the way up from `leaf`, if wanted. */
static node reduce(
    const seed_pair *seeds, address base, node *nodes, unsigned levels, uint32_t first, unsigned leaf, uint8_t *way)
{
    for (unsigned level = 0; level < levels; level++) {
        size_t count = (size_t)1 << (levels - level - 1), lanes;
        if (way)
            store(way + level * KP_SPHINCS_NODE, &nodes[(leaf >> level) ^ 1]);
        for (size_t k = 0; k < count; k += lanes) {
            address addresses[KP_LANES];
            lanes = count - k < KP_LANES ? count - k : KP_LANES;
            for (size_t lane = 0; lane < lanes; lane++) {
                addresses[lane] = base;
                set_place(&addresses[lane], level + 1, (first >> (level + 1)) + (uint32_t)(k + lane));
            }
            hash(seeds, addresses, nodes + 2 * k, 2, lanes, nodes + k);
        }
    }
    return nodes[0];
}

static void digits_of(uint8_t digits[KP_SPHINCS_CHAINS], const node *signed_node)
{
    uint8_t bytes[KP_SPHINCS_NODE];
    unsigned checksum = 0;
    store(bytes, signed_node);
    for (int k = 0; k < DIGITS; k++) {
        digits[k] = k & 1 ? bytes[k / 2] & 15 : bytes[k / 2] >> 4;
        checksum += LAST_STEP - digits[k];
    }
    digits[DIGITS] = checksum >> 8 & 15;
    digits[DIGITS + 1] = checksum >> 4 & 15;
    digits[DIGITS + 2] = checksum & 15;
}

/* Hash each chain's node from one step to another. A lane whose chain is done takes the next one. */
static void run_chains(
    const seed_pair *seeds, address base, node chains[KP_SPHINCS_CHAINS], const uint8_t *from, const uint8_t *to)
{
    unsigned chain[KP_LANES], step[KP_LANES];
    address addresses[KP_LANES];
    node nodes[KP_LANES];
    size_t lanes = 0, kept;
    for (unsigned next = 0;;) {
        for (; lanes < KP_LANES && next < KP_SPHINCS_CHAINS; next++)
            if (from[next] < to[next]) {
                chain[lanes] = next;
                step[lanes++] = from[next];
            }
        if (!lanes)
            break;
        for (size_t lane = 0; lane < lanes; lane++) {
            addresses[lane] = base;
            set_place(&addresses[lane], chain[lane], step[lane]);
            nodes[lane] = chains[chain[lane]];
        }
        hash(seeds, addresses, nodes, 1, lanes, nodes);
        kept = 0;
        for (size_t lane = 0; lane < lanes; lane++) {
            chains[chain[lane]] = nodes[lane];
            chain[kept] = chain[lane];
            step[kept] = step[lane] + 1;
            kept += step[kept] < to[chain[kept]];
        }
        lanes = kept;
    }
}

static const uint8_t first_steps[KP_SPHINCS_CHAINS];

static void all_last(uint8_t steps[KP_SPHINCS_CHAINS])
{
    memset(steps, LAST_STEP, KP_SPHINCS_CHAINS);
}

/* A leaf of a tree: the hash of a one-time key. Signs `digits` with it, unless that is NULL. */
static node make_leaf(
    const seed_pair *seeds, unsigned layer, uint64_t tree, unsigned pair, const uint8_t *digits, uint8_t *signature)
{
    address base = new_address(layer, tree, CHAIN, pair);
    node chains[KP_SPHINCS_CHAINS], leaf;
    uint8_t last[KP_SPHINCS_CHAINS];
    size_t lanes;
    for (size_t k = 0; k < KP_SPHINCS_CHAINS; k += lanes) {
        address addresses[KP_LANES];
        lanes = KP_SPHINCS_CHAINS - k < KP_LANES ? KP_SPHINCS_CHAINS - k : KP_LANES;
        for (size_t lane = 0; lane < lanes; lane++) {
            addresses[lane] = new_address(layer, tree, CHAIN_SECRET, pair);
            set_place(&addresses[lane], (unsigned)(k + lane), 0);
        }
        derive(seeds, addresses, lanes, chains + k);
    }
    all_last(last);
    if (digits) {
        run_chains(seeds, base, chains, first_steps, digits);
        for (int k = 0; k < KP_SPHINCS_CHAINS; k++)
            store(signature + k * KP_SPHINCS_NODE, &chains[k]);
    }
    run_chains(seeds, base, chains, digits ? digits : first_steps, last);
    leaf = hash_all(seeds, new_address(layer, tree, CHAIN_ENDS, pair), chains, KP_SPHINCS_CHAINS);
    return leaf;
}

/* Sign `signed_node` with one leaf of a tree, unless that is NULL; return the tree's root. */
static node make_tree(
    const seed_pair *seeds, unsigned layer, uint64_t tree, unsigned leaf, const node *signed_node, uint8_t *signature)
{
    node nodes[LEAVES];
    uint8_t digits[KP_SPHINCS_CHAINS];
    uint8_t *way = signed_node ? signature + KP_SPHINCS_CHAINS * KP_SPHINCS_NODE : NULL;
    if (signed_node)
        digits_of(digits, signed_node);
    for (unsigned pair = 0; pair < LEAVES; pair++)
        nodes[pair] = make_leaf(seeds, layer, tree, pair, signed_node && pair == leaf ? digits : NULL, signature);
    return reduce(seeds, new_address(layer, tree, TREE, 0), nodes, KP_SPHINCS_LEVELS, 0, leaf, way);
}

/* The root of a tree whose leaf has signed `signed_node`. */
static node tree_root(
    const seed_pair *seeds, unsigned layer, uint64_t tree, unsigned leaf, const node *signed_node,
    const uint8_t *signature)
{
    address base = new_address(layer, tree, CHAIN, leaf), beside = new_address(layer, tree, TREE, 0);
    const uint8_t *way = signature + KP_SPHINCS_CHAINS * KP_SPHINCS_NODE;
    uint8_t digits[KP_SPHINCS_CHAINS], last[KP_SPHINCS_CHAINS];
    node chains[KP_SPHINCS_CHAINS], root;
    uint32_t place = leaf;
    digits_of(digits, signed_node);
    all_last(last);
    for (int k = 0; k < KP_SPHINCS_CHAINS; k++)
        chains[k] = load(signature + k * KP_SPHINCS_NODE);
    run_chains(seeds, base, chains, digits, last);
    root = hash_all(seeds, new_address(layer, tree, CHAIN_ENDS, leaf), chains, KP_SPHINCS_CHAINS);
    climb(seeds, &beside, &root, &place, &way, KP_SPHINCS_LEVELS, 1);
    return root;
}

/* Which leaf of a few-time tree the digest names: 9 bits, the lowest first. */
static uint32_t fors_leaf(const uint8_t *digest, unsigned tree)
{
    unsigned bit = tree * KP_SPHINCS_HEIGHT, at = bit / 8;
    return (uint32_t)(digest[at] | digest[at + 1] << 8) >> (bit % 8) & (FORS_LEAVES - 1);
}

/* The hash of the few-time key that has signed the digest. */
static node fors_root(
    const seed_pair *seeds, uint64_t tree, unsigned pair, const uint8_t *digest, const uint8_t *signature)
{
    node roots[KP_SPHINCS_TREES];
    size_t lanes;
    for (unsigned k = 0; k < KP_SPHINCS_TREES; k += (unsigned)lanes) {
        address addresses[KP_LANES];
        uint32_t places[KP_LANES];
        const uint8_t *ways[KP_LANES];
        lanes = KP_SPHINCS_TREES - k < KP_LANES ? KP_SPHINCS_TREES - k : KP_LANES;
        for (unsigned lane = 0; lane < lanes; lane++) {
            places[lane] = (k + lane) * FORS_LEAVES + fors_leaf(digest, k + lane);
            addresses[lane] = new_address(0, tree, FORS_TREE, pair);
            set_place(&addresses[lane], 0, places[lane]);
            roots[k + lane] = load(signature);
            ways[lane] = signature + KP_SPHINCS_NODE;
            signature += (1 + KP_SPHINCS_HEIGHT) * KP_SPHINCS_NODE;
        }
        hash(seeds, addresses, roots + k, 1, lanes, roots + k);
        climb(seeds, addresses, roots + k, places, ways, KP_SPHINCS_HEIGHT, lanes);
    }
    return hash_all(seeds, new_address(0, tree, FORS_ROOTS, pair), roots, KP_SPHINCS_TREES);
}

/* Sign the digest with a few-time key; return the key's hash. */
static node make_fors(const seed_pair *seeds, uint64_t tree, unsigned pair, const uint8_t *digest, uint8_t *signature)
{
    node roots[KP_SPHINCS_TREES], nodes[FORS_LEAVES];
    address base = new_address(0, tree, FORS_TREE, pair);
    for (unsigned k = 0; k < KP_SPHINCS_TREES; k++) {
        uint32_t first = k * FORS_LEAVES, leaf = fors_leaf(digest, k);
        for (unsigned at = 0; at < FORS_LEAVES; at += KP_LANES) {
            address addresses[KP_LANES];
            for (unsigned lane = 0; lane < KP_LANES; lane++) {
                addresses[lane] = new_address(0, tree, FORS_SECRET, pair);
                set_place(&addresses[lane], 0, first + at + lane);
            }
            derive(seeds, addresses, KP_LANES, nodes + at);
            if (leaf - at < KP_LANES)
                store(signature, &nodes[leaf]);
            for (unsigned lane = 0; lane < KP_LANES; lane++) {
                addresses[lane] = base;
                set_place(&addresses[lane], 0, first + at + lane);
            }
            hash(seeds, addresses, nodes + at, 1, KP_LANES, nodes + at);
        }
        roots[k] = reduce(seeds, base, nodes, KP_SPHINCS_HEIGHT, first, leaf, signature + KP_SPHINCS_NODE);
        signature += (1 + KP_SPHINCS_HEIGHT) * KP_SPHINCS_NODE;
    }
    return hash_all(seeds, new_address(0, tree, FORS_ROOTS, pair), roots, KP_SPHINCS_TREES);
}

static uint64_t tree_of(const uint8_t *digest)
{
    return __builtin_bswap64(kp_load64(digest + TREE_AT));
}

static unsigned leaf_of(const uint8_t *digest)
{
    return digest[LEAF_AT] & (LEAVES - 1);
}

void kp_sphincs_root(
    const kp_engine *engine, const uint8_t *public_seed, const uint8_t *digest, const uint8_t *signature, uint8_t *root)
{
    seed_pair seeds = load_seeds(engine, public_seed, NULL);
    uint64_t tree = tree_of(digest);
    unsigned leaf = leaf_of(digest);
    node reached = fors_root(&seeds, tree, leaf, digest, signature += KP_SPHINCS_NODE);
    signature += KP_SPHINCS_FOREST;
    for (unsigned layer = 0; layer < KP_SPHINCS_LAYERS; layer++, signature += KP_SPHINCS_LAYER) {
        reached = tree_root(&seeds, layer, tree, leaf, &reached, signature);
        leaf = tree & (LEAVES - 1);
        tree >>= KP_SPHINCS_LEVELS;
    }
    store(root, &reached);
}

KP_INNER void generate(
    const kp_engine *engine, const uint8_t *secret_seed, const uint8_t *public_seed, uint8_t *root)
{
    seed_pair seeds = load_seeds(engine, public_seed, secret_seed);
    node top = make_tree(&seeds, KP_SPHINCS_LAYERS - 1, 0, 0, NULL, NULL);
    store(root, &top);
}

void kp_sphincs_generate(
    const kp_engine *engine, const uint8_t *secret_seed, const uint8_t *public_seed, uint8_t *root)
{
    generate(engine, secret_seed, public_seed, root);
    kp_clear_stack();
}

KP_INNER void sign(
    const kp_engine *engine, const uint8_t *secret_seed, const uint8_t *public_seed, const uint8_t *digest,
    uint8_t *signature)
{
    seed_pair seeds = load_seeds(engine, public_seed, secret_seed);
    uint64_t tree = tree_of(digest);
    unsigned leaf = leaf_of(digest);
    node top = make_fors(&seeds, tree, leaf, digest, signature += KP_SPHINCS_NODE);
    signature += KP_SPHINCS_FOREST;
    for (unsigned layer = 0; layer < KP_SPHINCS_LAYERS; layer++, signature += KP_SPHINCS_LAYER) {
        top = make_tree(&seeds, layer, tree, leaf, &top, signature);
        leaf = tree & (LEAVES - 1);
        tree >>= KP_SPHINCS_LEVELS;
    }
}

void kp_sphincs_sign(
    const kp_engine *engine, const uint8_t *secret_seed, const uint8_t *public_seed, const uint8_t *digest,
    uint8_t *signature)
{
    sign(engine, secret_seed, public_seed, digest, signature);
    kp_clear_stack();
}
