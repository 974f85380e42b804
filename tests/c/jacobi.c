/* Damped Jacobi in plain C: M = omega / diag(A).
 *
 * The same method as plugins/jacobi, written against precondor.h alone; a test compares the two bit
 * for bit.
 *
 *     cc -std=c11 -O2 -ffp-contract=off -shared -fPIC -I bindings/abi/include tests/c/jacobi.c \
 *        -o libprecondor_plugin_jacobi_c.so
 */
#include "precondor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    size_t n;
    int positive;
    double *scale;
} jacobi;

static precondor_status schema(const precondor_sink *out, precondor_failure *why) {
    (void)why;
    precondor_put(out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
                       "\"damping\":{\"description\":\"Damping factor omega.\",\"type\":\"number\","
                       "\"default\":1.0,\"exclusiveMinimum\":0.0,\"exclusiveMaximum\":2.0}}}");
    return PRECONDOR_OK;
}

/* The number after "key": in a flat JSON object, or `otherwise`. The host has checked the object
 * against the schema, so nothing but the number is left to find. */
static double number(precondor_text json, const char *key, double otherwise) {
    char quoted[64], *text = malloc(json.len + 1), *at;
    double value = otherwise;
    if (!text) return NAN;
    if (json.len) memcpy(text, json.ptr, json.len);
    text[json.len] = 0;
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    at = strstr(text, quoted);
    if (at && (at = strchr(at, ':'))) value = strtod(at + 1, NULL);
    free(text);
    return value;
}

/* Entry (i, i), zero where none is stored. */
static double diagonal(const precondor_matrix *a, size_t i) {
    const precondor_block *own = &a->own;
    uint32_t k;
    if (!own->row_ptr) return 0.0;
    for (k = own->row_ptr[i]; k < own->row_ptr[i + 1]; k++)
        if (own->cols[k] == i) return own->values[k];
    return 0.0;
}

static void destroy(void *instance) {
    jacobi *m = instance;
    if (!m) return;
    free(m->scale);
    free(m);
}

static precondor_status generate(precondor_text params, const precondor_system *system,
                                 const precondor_host *host, void **instance,
                                 precondor_failure *why) {
    const precondor_matrix *a = system->a;
    const precondor_comm *comm = a->space->comm;
    const double damping = number(params, "damping", 1.0);
    double negative = 0.0;
    precondor_status status;
    jacobi *m = calloc(1, sizeof *m);
    size_t i;
    (void)host;

    if (m) m->scale = malloc((a->n_own ? a->n_own : 1) * sizeof *m->scale);
    if (!m || !m->scale) {
        destroy(m);
        return precondor_fail(why, PRECONDOR_INTERNAL, "out of memory");
    }
    m->n = a->n_own;
    for (i = 0; i < m->n; i++) {
        const double d = diagonal(a, i);
        if (d == 0.0 || !isfinite(d)) {
            char text[128];
            snprintf(text, sizeof text,
                     "global row %" PRIu64 ": the diagonal entry is %g; jacobi divides by it",
                     precondor_global_row(a, i), d);
            destroy(m);
            return precondor_fail(why, PRECONDOR_BREAKDOWN, text);
        }
        m->scale[i] = damping / d;
        if (m->scale[i] < 0.0) negative = 1.0;
    }
    status = comm->max(comm->ctx, &negative, 1, why);
    if (status != PRECONDOR_OK) {
        destroy(m);
        return status;
    }
    m->positive = negative == 0.0;
    *instance = m;
    return PRECONDOR_OK;
}

static precondor_status apply(void *instance, const double *r, double *z, size_t n,
                              precondor_failure *why) {
    const jacobi *m = instance;
    size_t i;
    if (n != m->n) return precondor_fail(why, PRECONDOR_DATA, "vectors of the wrong length");
    for (i = 0; i < n; i++) z[i] = m->scale[i] * r[i];
    return PRECONDOR_OK;
}

static uint32_t properties(void *instance) {
    const jacobi *m = instance;
    return PRECONDOR_SYMMETRIC | PRECONDOR_CONSTANT | PRECONDOR_RANK_INDEPENDENT |
           (m->positive ? PRECONDOR_POSITIVE_DEFINITE : 0);
}

static uint64_t stored_entries(void *instance) { return ((const jacobi *)instance)->n; }

static uint64_t bytes(void *instance) { return 8 * stored_entries(instance); }

static precondor_status notes(void *instance, const precondor_sink *out, precondor_failure *why) {
    (void)instance, (void)out, (void)why;
    return PRECONDOR_OK;
}

/* The bytes of an instance: its scaling, then whether that is positive. */
static precondor_status save(void *instance, const precondor_sink *out, precondor_failure *why) {
    const jacobi *m = instance;
    precondor_bytes scale = {(const uint8_t *)m->scale, m->n * sizeof *m->scale};
    precondor_bytes positive = {(const uint8_t *)&m->positive, sizeof m->positive};
    (void)why;
    out->put(out->ctx, scale);
    out->put(out->ctx, positive);
    return PRECONDOR_OK;
}

static precondor_status load(precondor_bytes blob, const precondor_system *system,
                             const precondor_host *host, void **instance, precondor_failure *why) {
    const size_t n = system->a->n_own, length = n * sizeof(double);
    jacobi *m;
    (void)host;
    if (blob.len != length + sizeof m->positive)
        return precondor_fail(why, PRECONDOR_DATA, "not the scaling of so many rows");
    m = calloc(1, sizeof *m);
    if (m) m->scale = malloc(length ? length : 1);
    if (!m || !m->scale) {
        destroy(m);
        return precondor_fail(why, PRECONDOR_INTERNAL, "out of memory");
    }
    m->n = n;
    memcpy(m->scale, blob.ptr, length);
    memcpy(&m->positive, blob.ptr + length, sizeof m->positive);
    *instance = m;
    return PRECONDOR_OK;
}

static const precondor_persist_part persist = {sizeof(precondor_persist_part), save, load};

/* The inverse of the diagonal keeps all there is, whatever the damping. */
static precondor_status declare(precondor_text params, uint32_t *out, precondor_failure *why) {
    (void)params, (void)why;
    *out = PRECONDOR_KEEPS_SCALING | PRECONDOR_KEEPS_ROWS | PRECONDOR_KEEPS_COLUMNS |
           PRECONDOR_KEEPS_BOTH | PRECONDOR_KEEPS_PERMUTATION;
    return PRECONDOR_OK;
}

static const precondor_invariance_part invariance = {sizeof(precondor_invariance_part), declare};

static const void *extension(precondor_text id) {
    if (precondor_is(id, PRECONDOR_INVARIANCE)) return &invariance;
    return precondor_is(id, PRECONDOR_PERSIST) ? &persist : NULL;
}

static const precondor_method method = {
    sizeof(precondor_method),
    PRECONDOR_TEXT("jacobi-c"),
    PRECONDOR_TEXT("damped Jacobi in C: scaling by the diagonal"),
    PRECONDOR_TEXT("1.0.0"),
    schema,
    generate,
    apply,
    destroy,
    properties,
    stored_entries,
    bytes,
    notes,
    extension,
};

static const precondor_method *const methods[] = {&method};

const precondor_plugin precondor_plugin_jacobi_c = PRECONDOR_ENTRY(methods);
