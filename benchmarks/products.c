/* What the products of a packet cost in C, in one batch and with nothing around them: the floor of benchmarks/sphinx_core.py.
 *
 * usage: products ENGINE HOPS; prints nanoseconds of processor time, each the median of many: of a packet's products by
 * the ladder and by tables, those by the base point included, and of a SURB's for a hop less. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"

#define SAMPLES 201
#define EACH 8

static kp_engine engine;
static kp_scalar scalars[KP_MOST_POINTS];
static uint8_t points[KP_MOST_POINTS][KP_POINT], out[KP_MOST_POINTS][KP_POINT];
static kp_table tables[KP_MOST_POINTS];

static void by_ladder(size_t hops)
{
    for (size_t k = 0; k < hops; k++)
        engine.multiply(out[k], &scalars[k], points[k]);
    engine.multiply_base(out[0], scalars, hops);
}

static void by_table(size_t hops)
{
    for (size_t k = 0; k < hops; k++)
        engine.multiply_by_table(out[k], &scalars[k], &tables[k]);
    engine.multiply_base(out[0], scalars, hops);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double *first = a, *second = b;
    return (*first > *second) - (*first < *second);
}

static double median(void (*work)(size_t), size_t hops)
{
    double samples[SAMPLES];
    for (int k = 0; k < SAMPLES; k++) {
        double begin = now();
        for (int i = 0; i < EACH; i++)
            work(hops);
        samples[k] = (now() - begin) / EACH;
    }
    qsort(samples, SAMPLES, sizeof *samples, compare);
    return samples[SAMPLES / 2];
}

int main(int count, char **arguments)
{
    size_t hops = count == 3 ? strtoul(arguments[2], NULL, 10) : 0;
    if (hops < 2 || hops > KP_MOST_POINTS) {
        fprintf(stderr, "usage: products portable | aes-ni HOPS\n");
        return 2;
    }
    kp_engine_portable(&engine);
    if (!strcmp(arguments[1], "aes-ni") && !kp_engine_aes_ni(&engine))
        return 1;
    for (size_t k = 0; k < hops; k++) {
        uint8_t bytes[KP_SCALAR];
        memset(bytes, (int)k + 1, sizeof bytes);
        kp_scalar_clamped(&scalars[k], bytes);
    }
    engine.multiply_base(points[0], scalars, hops);
    for (size_t k = 0; k < hops; k++)
        if (!engine.make_table(&tables[k], points[k]))
            return 1;
    printf("%.0f %.0f %.0f %.0f\n", median(by_ladder, hops), median(by_table, hops), median(by_ladder, hops - 1),
        median(by_table, hops - 1));
    return 0;
}
