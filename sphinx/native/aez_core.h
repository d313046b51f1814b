/* AEZ over an AES of the including file's choice, which defines before it includes this:
 *
 *   block                           sixteen bytes of a message
 *   round_keys                      the subkeys I, J and L as the AES wants them
 *   block_load, block_store         from and to bytes
 *   block_xor
 *   expand(keys, key)               make round_keys from the 48 bytes of a key
 *   four_rounds(keys, x)            J, I, L, 0 on each of the eight blocks of x
 *   ten_rounds(keys, x)             I, J, L, I, J, L, I, J, L, I
 *   KP_TARGET                       function attributes
 *   KP_LAYERS                       the name of the function that results
 *
 * Eight pairs go at a time: the tweaks of eight consecutive pairs share their multiple of I, and differ by the same
 * multiples of L. Names are those of the AEZ v5 paper. */
#define LANES 8

/* A block as a number, for doubling. */
typedef struct {
    uint64_t high, low;
} number;

typedef struct {
    round_keys keys;
    number i, j, l;
    block i1, j1, j2;
    block l_multiples[LANES]; /* 1 L to 7 L, 0 */
} schedule;

KP_TARGET static inline number number_load(const uint8_t *bytes)
{
    number value = {0, 0};
    for (int k = 0; k < 8; k++) {
        value.high = value.high << 8 | bytes[k];
        value.low = value.low << 8 | bytes[k + 8];
    }
    return value;
}

KP_TARGET static inline block number_block(number value)
{
    uint8_t bytes[KP_BLOCK];
    for (int k = 7; k >= 0; k--) {
        bytes[k] = (uint8_t)value.high;
        bytes[k + 8] = (uint8_t)value.low;
        value.high >>= 8;
        value.low >>= 8;
    }
    return block_load(bytes);
}

KP_TARGET static inline number number_xor(number a, number b)
{
    return (number){a.high ^ b.high, a.low ^ b.low};
}

KP_TARGET static inline number doubled(number value)
{
    uint64_t carry = kp_mask((uint64_t)0 - (value.high >> 63));
    return (number){value.high << 1 | value.low >> 63, value.low << 1 ^ (carry & 0x87)};
}

/* `factor` is part of a tweak and public. */
KP_TARGET static number multiple(unsigned factor, number value)
{
    number product = {0, 0};
    for (; factor; factor >>= 1) {
        if (factor & 1)
            product = number_xor(product, value);
        value = doubled(value);
    }
    return product;
}

/* What E(j, i) adds to its input, for j >= 0 and for the permutations with ten rounds. */
KP_TARGET static block tweak(const schedule *s, unsigned j, unsigned i)
{
    number value = number_xor(multiple(j, s->j), multiple(i % LANES, s->l));
    number power = s->i;
    for (unsigned k = 0; k < i; k += LANES)
        power = doubled(power);
    return number_block(number_xor(value, power));
}

KP_TARGET static block ten_round_tweak(const schedule *s, unsigned i)
{
    return number_block(multiple(i, s->l));
}

KP_TARGET static block zero_block(void)
{
    static const uint8_t zeros[KP_BLOCK];
    return block_load(zeros);
}

/* A partial block with the bit that marks its end. */
KP_TARGET static block padded(const uint8_t *bytes, size_t length)
{
    uint8_t whole[KP_BLOCK] = {0};
    memcpy(whole, bytes, length);
    whole[length] = 0x80;
    return block_load(whole);
}

KP_TARGET static void prepare(schedule *s, const uint8_t *key)
{
    expand(&s->keys, key);
    s->i = number_load(key);
    s->j = number_load(key + KP_BLOCK);
    s->l = number_load(key + 2 * KP_BLOCK);
    s->i1 = number_block(s->i);
    s->j1 = number_block(s->j);
    s->j2 = number_block(doubled(s->j));
    for (unsigned k = 0; k < LANES; k++)
        s->l_multiples[k] = number_block(multiple((k + 1) % LANES, s->l));
}

KP_TARGET static void clear(block *x)
{
    for (int k = 0; k < LANES; k++)
        x[k] = zero_block();
}

/* E(3,1) of the redundancy's length, which is 0, and E(4,1) of the nonce. */
KP_TARGET static block hashed_tweak(const schedule *s, const uint8_t *nonce)
{
    block x[LANES];
    clear(x);
    x[0] = tweak(s, 3, 1);
    x[1] = block_xor(tweak(s, 4, 1), block_load(nonce));
    four_rounds(&s->keys, x);
    return block_xor(x[0], x[1]);
}

KP_TARGET static inline void load_pairs(block *first, block *second, const uint8_t *bytes, size_t count)
{
    for (size_t k = 0; k < LANES; k++) {
        first[k] = k < count ? block_load(bytes + KP_PAIR * k) : zero_block();
        second[k] = k < count ? block_load(bytes + KP_PAIR * k + KP_BLOCK) : zero_block();
    }
}

KP_TARGET static inline void store_pairs(const block *first, const block *second, uint8_t *bytes, size_t count)
{
    for (size_t k = 0; k < LANES && k < count; k++) {
        block_store(bytes + KP_PAIR * k, first[k]);
        block_store(bytes + KP_PAIR * k + KP_BLOCK, second[k]);
    }
}

/* (A, B) becomes (W, V); returns the sum of all V. `base` is this group's multiple of I. */
KP_TARGET static inline block first_pass(const schedule *s, block base, uint8_t *bytes, size_t count)
{
    block first[LANES], second[LANES], x[LANES], sum = zero_block();
    block offset = block_xor(base, s->j1);
    load_pairs(first, second, bytes, count);
    for (int k = 0; k < LANES; k++)
        x[k] = block_xor(second[k], block_xor(offset, s->l_multiples[k]));
    four_rounds(&s->keys, x);
    for (int k = 0; k < LANES; k++) {
        first[k] = block_xor(first[k], x[k]);
        x[k] = block_xor(first[k], s->i1);
    }
    four_rounds(&s->keys, x);
    for (size_t k = 0; k < LANES; k++) {
        second[k] = block_xor(second[k], x[k]);
        if (k < count)
            sum = block_xor(sum, second[k]);
    }
    store_pairs(first, second, bytes, count);
    return sum;
}

/* (W, V) becomes the pair of the result; returns the sum that goes into the last block. */
KP_TARGET static inline block second_pass(
    const schedule *s, block base, block state, uint8_t *bytes, size_t count)
{
    block first[LANES], second[LANES], x[LANES], sum = zero_block();
    block offset1 = block_xor(base, s->j1), offset2 = block_xor(block_xor(base, s->j2), state);
    load_pairs(first, second, bytes, count);
    for (int k = 0; k < LANES; k++)
        x[k] = block_xor(offset2, s->l_multiples[k]);
    four_rounds(&s->keys, x);
    for (size_t k = 0; k < LANES; k++) {
        first[k] = block_xor(first[k], x[k]);
        second[k] = block_xor(second[k], x[k]);
        if (k < count)
            sum = block_xor(sum, first[k]);
        x[k] = block_xor(second[k], s->i1);
    }
    four_rounds(&s->keys, x);
    for (int k = 0; k < LANES; k++) {
        first[k] = block_xor(first[k], x[k]);
        x[k] = block_xor(first[k], block_xor(offset1, s->l_multiples[k]));
    }
    four_rounds(&s->keys, x);
    for (int k = 0; k < LANES; k++)
        x[k] = block_xor(second[k], x[k]);
    store_pairs(x, first, bytes, count);
    return sum;
}

/* Hash a last block through E(0, i), and the fragment beside it; x[0] is the block's value, the sum of x[1] and x[2]
 * the fragment's. */
KP_TARGET static block hash_end(const schedule *s, block last, unsigned i, const uint8_t *fragment, size_t length)
{
    block x[LANES];
    clear(x);
    x[0] = block_xor(last, tweak(s, 0, i));
    if (length >= KP_BLOCK) {
        x[1] = block_xor(block_load(fragment), tweak(s, 0, 4));
        x[2] = block_xor(padded(fragment + KP_BLOCK, length - KP_BLOCK), tweak(s, 0, 5));
    } else if (length > 0) {
        x[1] = block_xor(padded(fragment, length), tweak(s, 0, 4));
    }
    four_rounds(&s->keys, x);
    if (length > 0)
        x[0] = block_xor(x[0], x[1]);
    if (length >= KP_BLOCK)
        x[0] = block_xor(x[0], x[2]);
    return x[0];
}

KP_TARGET static void core(const schedule *s, block delta, uint8_t *buffer, size_t length, unsigned inverse)
{
    size_t pairs = length / KP_PAIR - 1, fragment_length = length % KP_PAIR;
    uint8_t *fragment = buffer + KP_PAIR * pairs, *last = fragment + fragment_length;
    block ax = block_load(last), ay = block_load(last + KP_BLOCK);
    block x[LANES], pads[2], sum, sx, sy, state;
    uint8_t pad[KP_PAIR];
    number power = s->i;

    sum = zero_block();
    for (size_t at = 0; at < pairs; at += LANES) {
        power = doubled(power);
        if (pairs - at >= LANES)
            sum = block_xor(sum, first_pass(s, number_block(power), buffer + KP_PAIR * at, LANES));
        else
            sum = block_xor(sum, first_pass(s, number_block(power), buffer + KP_PAIR * at, pairs - at));
    }
    sum = block_xor(sum, hash_end(s, ay, 1 + inverse, fragment, fragment_length));
    sx = block_xor(block_xor(ax, delta), sum);
    clear(x);
    x[0] = block_xor(sx, ten_round_tweak(s, 1 + inverse));
    ten_rounds(&s->keys, x);
    sy = block_xor(ay, x[0]);
    state = block_xor(sx, sy);

    sum = zero_block();
    power = s->i;
    for (size_t at = 0; at < pairs; at += LANES) {
        power = doubled(power);
        if (pairs - at >= LANES)
            sum = block_xor(sum, second_pass(s, number_block(power), state, buffer + KP_PAIR * at, LANES));
        else
            sum = block_xor(sum, second_pass(s, number_block(power), state, buffer + KP_PAIR * at, pairs - at));
    }
    x[0] = block_xor(sy, ten_round_tweak(s, 2 - inverse));
    x[1] = block_xor(state, ten_round_tweak(s, 4));
    x[2] = block_xor(state, ten_round_tweak(s, 5));
    ten_rounds(&s->keys, x);
    ay = block_xor(sx, x[0]);
    pads[0] = x[1];
    pads[1] = x[2];
    block_store(pad, pads[0]);
    block_store(pad + KP_BLOCK, pads[1]);
    for (size_t k = 0; k < fragment_length; k++)
        fragment[k] ^= pad[k];
    sum = block_xor(sum, hash_end(s, ay, 2 - inverse, fragment, fragment_length));
    ax = block_xor(block_xor(sy, delta), sum);
    block_store(last, ax);
    block_store(last + KP_BLOCK, ay);
}

KP_TARGET static void one_block(const schedule *s, unsigned i, block delta, const uint8_t *in, uint8_t *out)
{
    block x[LANES];
    clear(x);
    x[0] = block_xor(block_xor(block_load(in), delta), tweak(s, 0, i));
    four_rounds(&s->keys, x);
    block_store(out, x[0]);
}

/* The first bit flips or not by what all the others are. */
KP_TARGET static void flip(const schedule *s, block delta, uint8_t *buffer, size_t length)
{
    uint8_t value[KP_BLOCK] = {0};
    memcpy(value, buffer, length);
    value[0] |= 0x80;
    one_block(s, 3, delta, value, value);
    buffer[0] ^= value[0] & 0x80;
}

/* AEZ-tiny: a Feistel network over halves that may end within a byte. */
KP_TARGET static void tiny(const schedule *s, block delta, uint8_t *buffer, size_t length, unsigned inverse)
{
    uint8_t halves[2][KP_BLOCK] = {{0}, {0}}, mask[KP_BLOCK];
    size_t whole = length / 2, bytes = (length + 1) / 2, odd = length % 2;
    unsigned rounds = length == 1 ? 24 : length == 2 ? 16 : length < KP_BLOCK ? 10 : 8;
    unsigned index = length < KP_BLOCK ? 7 : 6;

    if (inverse && length < KP_BLOCK)
        flip(s, delta, buffer, length);
    memcpy(halves[0], buffer, bytes);
    if (odd) {
        halves[0][whole] &= 0xf0;
        for (size_t k = 0; k < bytes; k++) {
            uint8_t next = whole + k + 1 < length ? buffer[whole + k + 1] : 0;
            halves[1][k] = (uint8_t)(buffer[whole + k] << 4 | next >> 4);
        }
    } else {
        memcpy(halves[1], buffer + whole, whole);
    }
    for (unsigned round = 0; round < rounds; round++) {
        uint8_t *left = halves[round % 2], *right = halves[1 - round % 2];
        memcpy(mask, right, KP_BLOCK);
        mask[whole] |= odd ? 0x08 : 0x80;
        mask[KP_BLOCK - 1] ^= (uint8_t)(inverse ? rounds - 1 - round : round);
        one_block(s, index, delta, mask, mask);
        if (odd)
            mask[whole] &= 0xf0;
        for (size_t k = 0; k < bytes; k++)
            left[k] ^= mask[k];
    }
    /* The rounds are even in number: the halves stand where they were, and leave in the other order. */
    memcpy(buffer, halves[1], bytes);
    if (odd) {
        buffer[whole] |= halves[0][0] >> 4;
        for (size_t k = 1; k < bytes; k++)
            buffer[whole + k] = (uint8_t)(halves[0][k - 1] << 4 | halves[0][k] >> 4);
    } else {
        memcpy(buffer + whole, halves[0], whole);
    }
    if (!inverse && length < KP_BLOCK)
        flip(s, delta, buffer, length);
}

KP_TARGET void KP_LAYERS(
    const uint8_t *material, size_t count, size_t encipher, uint8_t *buffer, size_t length)
{
    schedule s;
    for (size_t layer = 0; layer < count; layer++, material += KP_MATERIAL) {
        unsigned inverse = layer >= encipher;
        prepare(&s, material);
        block delta = hashed_tweak(&s, material + KP_KEY);
        if (length >= KP_PAIR)
            core(&s, delta, buffer, length, inverse);
        else if (length > 0)
            tiny(&s, delta, buffer, length, inverse);
    }
}
