/* A family of problems: a chain of masses between two walls, with springs of random stiffness.
 *
 * A x = b, A tridiagonal: row i has -k_i, k_i + k_{i+1}, -k_{i+1} for the springs before and after mass i, with
 * k = contrast^u and u uniform in [0, 1); b is a force of 1 on every mass, x how far the masses move.
 * What the macros below change, tests ask for: families that do not keep their word.
 */
#include "precondor.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    uint64_t masses, key;
    double contrast;
} chain;

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Stiffness of spring i: a function of seed, index and i alone. */
static double stiffness(const chain *c, uint64_t i) {
    double u = (double)(mix(c->key + (i + 1) * UINT64_C(0x9e3779b97f4a7c15)) >> 11) * 0x1p-53;
    return pow(c->contrast, u);
}

static precondor_status schema(const precondor_sink *out, precondor_failure *why) {
    (void)why;
    precondor_put(out,
                  "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
                  "\"masses\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000000,"
                  "\"default\":100,\"description\":\"Masses.\"},"
#ifdef RESERVED
                  "\"samples\":{\"type\":\"integer\",\"default\":1},"
#endif
                  "\"contrast\":{\"type\":\"number\",\"minimum\":1,\"maximum\":1e6,"
                  "\"default\":100.0,\"description\":\"Stiffnesses lie within 1 and this.\"}}}");
    return PRECONDOR_OK;
}

/* The number after "key": in a JSON object that the host has checked. */
static double number(precondor_text params, const char *key) {
    char text[256], quoted[64];
    const char *at;
    size_t n = params.len < sizeof text - 1 ? params.len : sizeof text - 1;
    memcpy(text, params.ptr, n);
    text[n] = 0;
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = strstr(text, quoted);
    return at ? strtod(at + strlen(quoted), NULL) : 0;
}

static precondor_status open_chain(precondor_text params, uint64_t seed, uint64_t index,
                                   void **system, precondor_shape *shape, precondor_failure *why) {
    chain *c = malloc(sizeof *c);
    if (!c) return precondor_fail(why, PRECONDOR_MEMORY, "no memory for a chain");
#ifdef UNSEEDED
    (void)seed;
    c->key = mix(index);
#elif defined(SAME_FOR_TRAINING)
    c->key = mix(mix(seed << 1) + index);
#else
    c->key = mix(mix(seed) + index);
#endif
    c->masses = (uint64_t)number(params, "masses");
    c->contrast = number(params, "contrast");
    shape->unknowns = c->masses;
#ifdef ODD_BLOCKS
    shape->block_size = 7;
#endif
    *system = c;
    return PRECONDOR_OK;
}

static precondor_status assemble(void *system, uint64_t from, uint64_t to,
                                 const precondor_assembly *out, precondor_failure *why) {
    const chain *c = system;
    uint64_t i;
#ifdef REFUSES
    return precondor_fail(why, PRECONDOR_UNSUPPORTED, "told to fail in assemble");
#endif
    for (i = from; i < to; i++) {
        double before = stiffness(c, i), after = stiffness(c, i + 1), force = 1, place = (double)i;
        uint32_t row_ptr[2] = {0, 0};
        uint64_t cols[3];
        double values[3];
        precondor_rows row = {sizeof row, row_ptr, cols, values, 0};
        precondor_aux at = {sizeof at, PRECONDOR_TEXT("coordinates"), 1, &place, 1};
        precondor_status status;
#ifdef PART_DEPENDENT
        after += from > 0;
#endif
        if (i > 0) cols[row.nnz] = i - 1, values[row.nnz++] = -before;
        cols[row.nnz] = i, values[row.nnz++] = before + after;
        if (i + 1 < c->masses) cols[row.nnz] = i + 1, values[row.nnz++] = -after;
#ifdef NAN_ENTRY
        if (i == 5) values[0] = NAN;
#endif
#ifdef UNSORTED
        if (i == 5) cols[0] = 6, cols[2] = 4;
#endif
#ifdef BEYOND
        if (i == 5) cols[2] = c->masses;
#endif
        row_ptr[1] = (uint32_t)row.nnz;
        if ((status = out->rows(out->ctx, 1, &row, why))) return status;
        if ((status = out->rhs(out->ctx, &force, 1, why))) return status;
        if ((status = out->aux(out->ctx, &at, why))) return status;
    }
    return PRECONDOR_OK;
}

static void close_chain(void *system) { free(system); }

static const precondor_problem springs = {
    sizeof(precondor_problem),
#ifdef SHIPPED
    PRECONDOR_TEXT("poisson"),
#else
    PRECONDOR_TEXT("springs"),
#endif
    PRECONDOR_TEXT("a chain of masses and springs between two walls"),
    PRECONDOR_TEXT("1.0.0"),
    schema,
    open_chain,
    assemble,
    close_chain,
};

static const precondor_problem *const problems[] = {&springs};

#ifndef NAME
#define NAME precondor_plugin_springs
#endif
const precondor_plugin NAME = PRECONDOR_PROBLEMS(problems);
