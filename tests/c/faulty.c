/* One plugin with one fault, chosen when it is compiled: what a host must survive. */
#include "precondor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef NAME
#define NAME precondor_plugin_faulty
#endif

/* Waits for ever. */
#if defined HANGS_IN_LOAD || defined HANGS_IN_DESCRIBE || defined HANGS_IN_GENERATE || \
    defined HANGS_IN_APPLY || defined HANGS_AT_THE_END
static void hang(void) {
    volatile int forever = 1;
    while (forever) {}
}
#endif

static precondor_status schema(const precondor_sink *out, precondor_failure *why) {
    (void)why;
#if defined HANGS_IN_DESCRIBE
    hang();
#endif
#if defined SCHEMA_IS_NO_JSON
    precondor_put(out, "damping: a number");
#elif defined SCHEMA_IS_CYCLIC
    precondor_put(out, "{\"properties\":{\"a\":{\"$ref\":\"#/$defs/A\"}},\"$defs\":{\"A\":{\"anyOf\":["
                       "{\"$ref\":\"#/$defs/A\"},{\"type\":\"null\"}]}}}");
#elif defined INNER
    precondor_put(out, "{\"type\":\"object\",\"required\":[\"solver\"],\"properties\":{\"solver\":"
                       "{\"x-precondor-method\":true}}}");
#elif defined DEFAULT_OUT_OF_RANGE
    precondor_put(out, "{\"type\":\"object\",\"properties\":{\"damping\":{\"type\":\"number\","
                       "\"maximum\":1.0,\"default\":2.0}}}");
#else
    precondor_put(out, "{\"type\":\"object\",\"properties\":{}}");
#endif
    return PRECONDOR_OK;
}

#if defined INNER
/* The method inside this one. */
struct inner {
    const precondor_method *method;
    void *instance;
};
#endif

static precondor_status generate(precondor_text params, const precondor_system *system,
                                 const precondor_host *host, void **instance,
                                 precondor_failure *why) {
    (void)params, (void)system, (void)host, (void)instance;
#if defined HANGS_IN_GENERATE
    hang();
#elif defined PRINTS
    fputs("hello\033[31m from generate", stdout);
    fflush(stdout);
#elif defined EXITS_IN_GENERATE
    fputs("no licence\n", stderr);
    exit(3);
#endif
#if defined TELL_AUX
    /* Says what comes along with the matrix, and does no more. */
    char text[2048] = "told of";
    size_t i, k, at = strlen(text);
    for (i = 0; i < system->n_aux; i++) {
        const precondor_aux *aux = system->aux[i];
        at += (size_t)snprintf(text + at, sizeof text - at, " %.*s (%zu):", (int)aux->name.len,
                               aux->name.ptr, aux->width);
        for (k = 0; k < aux->n_values && at + 32 < sizeof text; k++)
            at += (size_t)snprintf(text + at, sizeof text - at, " %g", aux->values[k]);
    }
    return precondor_fail(why, PRECONDOR_UNSUPPORTED, text);
#elif defined INNER
    struct inner *of = calloc(1, sizeof *of);
    if (!of) return precondor_fail(why, PRECONDOR_MEMORY, "no memory");
    *instance = of;
    return host->inner(host->ctx, precondor_str("jacobi"), precondor_str("{}"), system,
                       &of->method, &of->instance, why);
#elif defined GENERATE_STATUS
    return precondor_fail(why, GENERATE_STATUS, "told to fail in generate");
#elif defined WAITS
    /* Until somebody wants it to stop; then like a setup that is done, or interrupted. */
    uint64_t turn = 0;
    precondor_status status = PRECONDOR_OK;
    (void)why;
    host->log(host->ctx, PRECONDOR_LOG_WARN, precondor_str("setup has begun"));
    while (status == PRECONDOR_OK) status = precondor_step(host, turn++, 0, "turns");
    return status;
#elif defined DEAF
    /* Hears that it shall stop, says so, and goes on. */
    int told = 0;
    (void)why;
    host->log(host->ctx, PRECONDOR_LOG_WARN, precondor_str("setup has begun"));
    for (;;) {
        if (precondor_step(host, 0, 1, "turns") != PRECONDOR_OK && !told++)
            host->log(host->ctx, PRECONDOR_LOG_WARN, precondor_str("asked to stop"));
    }
#elif defined NEW_STATUS
    (void)why;
    return 4711;
#else
    (void)why;
    return PRECONDOR_OK;
#endif
}

#if !defined NO_APPLY
/* An instance that is NULL, and NaN as its result: both are the plugin's affair. */
static precondor_status apply(void *instance, const double *r, double *z, size_t n,
                              precondor_failure *why) {
    size_t i;
    (void)instance, (void)r, (void)why;
#if defined HANGS_IN_APPLY
    hang();
#endif
#if defined INNER
    const struct inner *of = instance;
    precondor_status status = of->method->apply(of->instance, r, z, n, why);
#if defined NOT_LINEAR
    for (i = 0; i < n; i++) z[i] *= z[i];
#endif
    (void)i;
    return status;
#elif defined RANK_DEPENDENT || defined PRINTS || defined DEFAULT_OUT_OF_RANGE
    /* Divided by the number of own rows. */
    for (i = 0; i < n; i++) z[i] = r[i] / (double)n;
#else
    for (i = 0; i < n; i++) z[i] = NAN;
#endif
#if defined APPLY_STATUS
    return precondor_fail(why, APPLY_STATUS, "told to fail in apply");
#else
    return PRECONDOR_OK;
#endif
}
#endif

static void destroy(void *instance) {
#if defined INNER
    struct inner *of = instance;
    if (of->method) of->method->destroy(of->instance);
    free(of);
#else
    (void)instance;
#endif
}
static uint32_t properties(void *instance) {
    (void)instance;
#if defined RANK_DEPENDENT
    return PRECONDOR_CONSTANT | PRECONDOR_RANK_INDEPENDENT;
#else
    return PRECONDOR_CONSTANT;
#endif
}
static uint64_t none(void *instance) { return (void)instance, 0; }

static precondor_status notes(void *instance, const precondor_sink *out, precondor_failure *why) {
    (void)instance, (void)why;
    precondor_put(out, "first");
    precondor_put(out, "second");
    return PRECONDOR_OK;
}

#if defined WRONG_INVERSE
/* Offsets that lead beyond the entries. */
static precondor_status view(void *instance, precondor_explicit *out, precondor_failure *why) {
    static const uint32_t row_ptr[] = {0, 1, 2, 400000}, cols[] = {0, 1, 2};
    static const double values[] = {1, 1, 1};
    (void)instance, (void)why;
    out->kind = PRECONDOR_KIND_INVERSE;
    out->value_type = PRECONDOR_VALUE_F64;
    out->n_own = 3;
    out->own.row_ptr = row_ptr;
    out->own.cols = cols;
    out->own.values = values;
    out->own.nnz = 3;
    return PRECONDOR_OK;
}
static const precondor_explicit_part explicit_part = {sizeof explicit_part, view};
#elif defined SHORT_EXTENSION
static const size_t explicit_part = sizeof(size_t);
#endif

static const void *extension(precondor_text id) {
#if defined WRONG_INVERSE || defined SHORT_EXTENSION
    if (precondor_is(id, PRECONDOR_EXPLICIT)) return &explicit_part;
#endif
    (void)id;
    return NULL;
}

#if defined HANGS_IN_LOAD
__attribute__((constructor)) static void at_load(void) { hang(); }
#elif defined HANGS_AT_THE_END
__attribute__((destructor)) static void at_the_end(void) { hang(); }
#endif

#if defined TRACE
__attribute__((constructor)) static void leave_a_trace(void) {
    FILE *file = fopen(TRACE, "a");
    if (!file) return;
    fputs("opened\n", file);
    fclose(file);
}
#endif

#if defined CRASH
__attribute__((constructor)) static void crash(void) { abort(); }
#endif

static const precondor_method method = {
#if defined SHORT_METHOD
    3 * sizeof(size_t),
#else
    sizeof(precondor_method),
#endif
#if defined WRONG_ID
    PRECONDOR_TEXT("Faulty <b>"),
#else
    PRECONDOR_TEXT("faulty"),
#endif
    PRECONDOR_TEXT("has one fault"),
    {NULL, 0}, /* no version: nothing at all is a text, too */
    schema,
    generate,
#if defined NO_APPLY
    NULL,
#else
    apply,
#endif
    destroy,
    properties,
    none,
    none,
    notes,
    extension,
};

static const precondor_method *const methods[] = {
    &method,
#if defined TWICE
    &method,
#elif defined NULL_METHOD
    NULL,
#endif
};

#if defined NULL_FAMILY
static const precondor_problem *const families[] = {NULL};
#endif

const precondor_plugin NAME = {
#if defined OTHER_MAGIC
    42,
#else
    PRECONDOR_MAGIC,
#endif
#if defined NEWER_ABI
    PRECONDOR_ABI_MAJOR + 1, 3,
#elif defined OLDER_ABI
    PRECONDOR_ABI_MAJOR - 1, 0,
#elif defined NEWER_MINOR
    PRECONDOR_ABI_MAJOR, PRECONDOR_ABI_MINOR + 7,
#else
    PRECONDOR_ABI_MAJOR, PRECONDOR_ABI_MINOR,
#endif
#if defined SHORT_ENTRY
    sizeof(size_t),
#else
    sizeof(precondor_plugin),
#endif
    methods,
#if defined TOO_MANY
    SIZE_MAX,
#elif defined NONE
    0,
#else
    sizeof methods / sizeof methods[0],
#endif
#if defined NULL_FAMILY
    families, 1,
#elif defined TOO_MANY_FAMILIES
    NULL, SIZE_MAX,
#elif defined NO_FAMILIES_THERE
    NULL, 1,
#else
    NULL, 0,
#endif
};
