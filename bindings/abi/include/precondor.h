/* precondor.h: the binary contract between Precondor and its plugins.
 *
 * A plugin is a shared library libprecondor_plugin_NAME.so (NAME: lower-case letters, digits, _)
 * that exports one data symbol, precondor_plugin_NAME, of type precondor_plugin: a table that leads
 * to the tables of its methods, and of families of problems. Nothing runs until the host calls a function of those tables.
 *
 *     static const precondor_method *const methods[] = {&my_method};
 *     const precondor_plugin precondor_plugin_NAME = PRECONDOR_ENTRY(methods);
 *
 *     cc -shared -fPIC -I. my.c -o libprecondor_plugin_NAME.so
 *     precondor plugins check ./libprecondor_plugin_NAME.so
 *
 * Rules that hold everywhere:
 *
 * 1. Nothing is freed by the side that did not allocate it. Text and bytes leave through a
 *    precondor_sink that the caller owns. Shared objects (with retain and release) are counted.
 * 2. Tables grow only at their end, and start with their size in bytes (the entry table: after a
 *    magic number and the version). Set `size` to sizeof the struct; check the size of a table you
 *    are given before you read fields that came in a later minor version.
 * 3. Every call that can fail returns a precondor_status; 0 is success. Tell why with
 *    precondor_fail(). Messages are lower-case fragments that name the culprit (parameter, global
 *    row, file) and what to do.
 * 4. No exception, longjmp or panic leaves a function that the other side called.
 * 5. A pointer that comes with a length may be NULL where the length is 0.
 * 6. What you do not retain is valid during the call only.
 * 7. Communication, inner, log, read and progress are called on the thread that entered the plugin
 *    only, never inside a body of parallel_for.
 * 8. In generate, refresh, train, save and load, failure is collective and the host sees to it:
 *    return an error at once, wherever you are; the other ranks get PRECONDOR_ELSEWHERE from the
 *    operation they are in, and return it at once too. In apply an error in the data never skips
 *    communication: write NaN, carry on, and return the error at the end.
 *
 * Vectors are arrays of the entries that this rank owns. Rows are numbered from 0. Row numbers
 * without "global" are local: 0 is this rank's first row.
 *
 * The version below is that of this file. A host refuses plugins of another major version; within a
 * major version, plugins built with any minor version keep working.
 */
#ifndef PRECONDOR_H
#define PRECONDOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "PRECOND\0" as a little-endian number. */
#define PRECONDOR_MAGIC UINT64_C(0x00444e4f43455250)
#define PRECONDOR_ABI_MAJOR 1
#define PRECONDOR_ABI_MINOR 1

/* ---- outcome of a call ------------------------------------------------------------------- */

typedef int32_t precondor_status;

enum {
    PRECONDOR_OK = 0,
    PRECONDOR_PARAMETER = 1,       /* unknown, of the wrong type or out of its range */
    PRECONDOR_UNSUPPORTED = 2,     /* not a matrix, or number of ranks, for this method */
    PRECONDOR_BREAKDOWN = 3,       /* something vanished; the message names the global row */
    PRECONDOR_DATA = 4,            /* data handed in do not fit together */
    PRECONDOR_ELSEWHERE = 5,       /* another rank failed: return this at once */
    PRECONDOR_COMM = 6,            /* the communication itself failed */
    PRECONDOR_PANICKED = 7,        /* the callee is broken: only destroy it */
    PRECONDOR_PATTERN_CHANGED = 8, /* refresh or load met another sparsity pattern */
    PRECONDOR_FILE = 9,            /* a file; its path, and `number` = line from 1, or 0 */
    PRECONDOR_PLUGIN = 10,         /* a plugin library */
    PRECONDOR_INTERRUPTED = 11,    /* stopped on request */
    PRECONDOR_INTERNAL = 12,       /* anything else */
    PRECONDOR_MEMORY = 13          /* something does not fit into memory; since 1.1 */
};

/* ---- text, bytes, sinks ------------------------------------------------------------------ */

/* Borrowed UTF-8 text, not terminated by a zero. */
typedef struct precondor_text {
    const uint8_t *ptr;
    size_t len;
} precondor_text;

/* A string literal as text, for static tables. */
#define PRECONDOR_TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

/* Borrowed bytes. */
typedef struct precondor_bytes {
    const uint8_t *ptr;
    size_t len;
} precondor_bytes;

/* Where a callee writes text (UTF-8) or bytes; owned by the caller. Pieces are joined, except for
 * notes, where each is one. */
typedef struct precondor_sink {
    size_t size;
    void *ctx; /* first argument of the calls */
    void (*put)(void *ctx, precondor_bytes bytes);
} precondor_sink;

/* Where a callee tells why it failed; owned by the caller. NULL: nobody wants to know. */
typedef struct precondor_failure {
    size_t size;
    void *ctx;
    uint64_t number; /* rank (ELSEWHERE) or line (FILE); written by the callee */
    void (*message)(void *ctx, precondor_text text); /* appends to the message */
    void (*path)(void *ctx, precondor_text text);    /* the file of PRECONDOR_FILE */
    void (*part)(void *ctx, precondor_text text);    /* the part it happened in; outermost first */
} precondor_failure;

/* Where a callee puts one block of bytes for each rank; owned by the caller. */
typedef struct precondor_parts {
    size_t size;
    void *ctx;
    void (*put)(void *ctx, uint64_t rank, precondor_bytes bytes);
} precondor_parts;

/* ---- ranks, row distributions, matrices --------------------------------------------------
 *
 * Shared objects: `retain` hands back a table that lives until `release`, which is called once for
 * each `retain` with that table's ctx. It may be another table than the one it was called on (a
 * matrix whose arrays are borrowed is copied), and NULL where memory ran out. What comes back
 * through `out` parameters is retained for you: release it. */

typedef struct precondor_comm precondor_comm;
typedef struct precondor_exchange precondor_exchange;
typedef struct precondor_space precondor_space;
typedef struct precondor_matrix precondor_matrix;
typedef struct precondor_system precondor_system;
typedef struct precondor_host precondor_host;
typedef struct precondor_method precondor_method;

/* Who sends which entries to whom, and where what arrives belongs. */
typedef struct precondor_halo_plan {
    size_t size;
    size_t n_send;              /* ranks that need entries of mine */
    const uint64_t *send_ranks; /* their numbers */
    const size_t *send_starts;  /* n_send + 1 offsets into send_index, from 0 */
    const uint32_t *send_index; /* own entries to send, for one rank after the other */
    size_t n_recv;              /* ranks that I need entries of */
    const uint64_t *recv_ranks; /* their numbers */
    const size_t *recv_starts;  /* first ghost entry that comes from each */
    const size_t *recv_ends;    /* one past the last ghost entry that comes from each */
} precondor_halo_plan;

/* The ranks of a group and their collective operations: called by all ranks in the same order,
 * giving all of them bitwise the same numbers. */
struct precondor_comm {
    size_t size;
    void *ctx;
    uint64_t rank;  /* this rank, from 0 */
    uint64_t ranks; /* how many there are */
    const precondor_comm *(*retain)(void *ctx);
    void (*release)(void *ctx);
    /* all[r*k .. (r+1)*k] = the k numbers of rank r; k equal on all ranks. */
    precondor_status (*gather_f64)(void *ctx, const double *mine, size_t k, double *all,
                                   precondor_failure *why);
    /* x[i] = sum over ranks, added in rank order. */
    precondor_status (*sum)(void *ctx, double *x, size_t k, precondor_failure *why);
    /* x[i] = maximum over ranks, NaN if any is NaN. */
    precondor_status (*max)(void *ctx, double *x, size_t k, precondor_failure *why);
    /* Puts the words of every rank, in native byte order, into `all`; counts may differ. */
    precondor_status (*all_gather)(void *ctx, const uint64_t *mine, size_t k,
                                   const precondor_parts *all, precondor_failure *why);
    /* send[r], of `ranks` blocks, goes to rank r; puts what came from each into `got`. */
    precondor_status (*all_to_all)(void *ctx, const precondor_bytes *send, size_t n_send,
                                   const precondor_parts *got, precondor_failure *why);
    /* Prepares repeated exchanges of ghost entries. */
    precondor_status (*exchange)(void *ctx, const precondor_halo_plan *plan,
                                 const precondor_exchange **out, precondor_failure *why);
    /* The same ranks, with messages that never mix with these. */
    precondor_status (*duplicate)(void *ctx, const precondor_comm **out, precondor_failure *why);
    /* Ends the job on all ranks. Not collective; may return. */
    void (*abort)(void *ctx, precondor_text message);
};

/* A prepared exchange of ghost entries; collective among neighbours. One at a time. */
struct precondor_exchange {
    size_t size;
    void *ctx;
    const precondor_exchange *(*retain)(void *ctx);
    void (*release)(void *ctx);
    /* Starts sending the entries of `own` that others need; *token is for finish. */
    precondor_status (*start)(void *ctx, const double *own, size_t n_own, uint64_t *token,
                              precondor_failure *why);
    /* Waits for the exchange `token` and stores what arrived in `ghost`. */
    precondor_status (*finish)(void *ctx, uint64_t token, double *ghost, size_t n_ghost,
                               precondor_failure *why);
};

/* Which rank owns which rows: contiguous blocks. */
struct precondor_space {
    size_t size;
    void *ctx;
    const precondor_comm *comm; /* the ranks; lives as long as this table */
    const uint64_t *starts;     /* first row of each rank, then the number of rows: ranks + 1 */
    const precondor_space *(*retain)(void *ctx);
    void (*release)(void *ctx);
};

/* Compressed rows. Columns are strictly increasing within each row. */
typedef struct precondor_block {
    const uint32_t *row_ptr; /* rows + 1 offsets; may be NULL where there are no entries */
    const uint32_t *cols;    /* column of each entry */
    const double *values;    /* value of each entry */
    size_t nnz;              /* entries */
} precondor_block;

/* The rows of a square matrix that this rank owns, immutable. A is split by columns:
 * A x = own x + ghost x_ghost, with x_ghost fetched by the exchange. */
struct precondor_matrix {
    size_t size;
    void *ctx;
    const precondor_space *space; /* distribution of the rows; lives as long as this table */
    size_t n_own;                 /* own rows */
    precondor_block own;          /* columns of this rank, numbered from its first row */
    precondor_block ghost;        /* columns of others, numbered by their place in ghost_ids */
    const uint64_t *ghost_ids;    /* global numbers of the ghost columns, strictly increasing */
    size_t n_ghost;               /* ghost columns */
    const precondor_exchange *exchange; /* fetches ghost entries; lives as long as this table */
    /* Keeps the matrix; copies arrays that are borrowed themselves. */
    const precondor_matrix *(*retain)(void *ctx);
    void (*release)(void *ctx);
    /* y = A x, n = n_own entries each. Collective; does not allocate. */
    precondor_status (*spmv)(void *ctx, const double *x, double *y, size_t n,
                             precondor_failure *why);
};

/* Numbers that come along with the rows of a matrix. */
typedef struct precondor_aux {
    size_t size;
    /* coordinates     where an unknown is: 1 to 3 numbers a row
     * grid-index      column and row of its node on a grid, 0 the first
     * coefficient     of the differential equation: one number a row
     * null-space      orthonormal vectors that A takes to zero: a number of each in every row
     * near-nullspace  vectors that A takes to nearly zero (rigid body modes): the same
     * block-size      unknowns of a node, one after the other: the same whole number in every row
     * symmetry-tolerance  part of a row's largest entry by which mirror images may differ: the same */
    precondor_text name;
    size_t width;         /* numbers a row */
    const double *values; /* n_own * width numbers, row after row */
    size_t n_values;
} precondor_aux;

/* A matrix and what else is known about the problem. */
struct precondor_system {
    size_t size;
    void *ctx;
    const precondor_matrix *a;       /* lives as long as this table */
    const precondor_aux *const *aux; /* n_aux of them, each with a name of its own */
    size_t n_aux;
    const precondor_system *(*retain)(void *ctx);
    void (*release)(void *ctx);
};

/* ---- host services ----------------------------------------------------------------------- */

/* Rows with global columns, sorted within each row. */
typedef struct precondor_rows {
    size_t size;
    const uint32_t *row_ptr; /* own rows + 1 offsets; may be NULL where there are no entries */
    const uint64_t *cols;    /* global column of each entry */
    const double *values;    /* value of each entry */
    size_t nnz;              /* entries */
} precondor_rows;

/* Loop body: does from..to (without to). */
typedef precondor_status (*precondor_body)(void *arg, size_t from, size_t to,
                                           precondor_failure *why);

enum {
    PRECONDOR_LOG_WARN = 0, /* something the user should act on */
    PRECONDOR_LOG_INFO = 1, /* something worth knowing */
    PRECONDOR_LOG_DEBUG = 2 /* for whoever looks for a fault */
};

enum {
    PRECONDOR_SPLIT_SELF = 0, /* every rank for itself */
    PRECONDOR_SPLIT_WORLD = 1 /* all ranks together */
};

struct precondor_host {
    size_t size;
    void *ctx;
    const precondor_host *(*retain)(void *ctx);
    void (*release)(void *ctx);
    /* Threads that parallel_for may use. */
    size_t (*threads)(void *ctx);
    /* Runs body(arg, from, to) on the ranges that make up 0..n, at most `grain` long, in any order
     * and possibly at the same time. The ranges depend on n and grain only. Nested calls run one
     * after the other. Gives the first error by range. A plugin has no threads of its own. */
    precondor_status (*parallel_for)(void *ctx, size_t n, size_t grain, precondor_body body,
                                     void *arg, precondor_failure *why);
    /* Writes a line to the log. */
    void (*log)(void *ctx, uint32_t level, precondor_text message);
    /* Puts the content of a file that a parameter names into `out`, the same on all ranks.
     * Collective. */
    precondor_status (*read)(void *ctx, precondor_text path, const precondor_sink *out,
                             precondor_failure *why);
    /* Sets up the method `name` with `params` (a JSON object) for another system. Collective. Use
     * *instance through *method, and destroy it. */
    precondor_status (*inner)(void *ctx, precondor_text name, precondor_text params,
                              const precondor_system *system, const precondor_method **method,
                              void **instance, precondor_failure *why);
    /* A matrix of `space` from this rank's rows, which are copied. Collective. */
    precondor_status (*matrix_new)(void *ctx, const precondor_space *space,
                                   const precondor_rows *rows, const precondor_matrix **out,
                                   precondor_failure *why);
    /* A distribution of n_own rows on this rank, over this rank alone (PRECONDOR_SPLIT_SELF) or
     * over all ranks of `space` (PRECONDOR_SPLIT_WORLD, collective). */
    precondor_status (*space_split)(void *ctx, const precondor_space *space, uint32_t which,
                                    size_t n_own, const precondor_space **out,
                                    precondor_failure *why);
    /* ---- since 1.1: there where `size` says so, and where it is not NULL. Call precondor_step,
     * which looks. ---- */
    /* Tells that `done` of `total` units of a long piece of work are done; `what` names them. */
    void (*progress)(void *ctx, uint64_t done, uint64_t total, precondor_text what);
    /* Not 0 where setup shall stop: return PRECONDOR_INTERRUPTED. Every rank is asked for itself. */
    int32_t (*cancelled)(void *ctx);
};

/* ---- what a plugin exports --------------------------------------------------------------- */

/* What a solver may assume about M. */
enum {
    PRECONDOR_SYMMETRIC = 1,         /* M equals its transpose up to rounding */
    PRECONDOR_POSITIVE_DEFINITE = 2, /* M is symmetric and positive definite */
    PRECONDOR_CONSTANT = 4,          /* every application uses the same M */
    PRECONDOR_RANK_INDEPENDENT = 8   /* M is the same operator on any number of ranks */
};

/* One method: M is an approximate inverse of A. All functions must be there. An instance may be
 * applied from several threads at the same time. */
struct precondor_method {
    size_t size;
    precondor_text id;      /* what a user types: lower-case letters, digits and - */
    precondor_text summary; /* one line for lists */
    precondor_text version; /* version of the library */
    /* Writes the JSON schema of the parameters: an object whose "properties" have type, description,
     * default and range (minimum, exclusiveMinimum, maximum, exclusiveMaximum, enum). A property
     * with "x-precondor-method": true names a method, one with "x-precondor-file": true a file. */
    precondor_status (*schema)(const precondor_sink *out, precondor_failure *why);
    /* Builds M for `system` and stores it in *instance. `params` is a JSON object that the host has
     * checked against the schema; keys may be missing. Collective. */
    precondor_status (*generate)(precondor_text params, const precondor_system *system,
                                 const precondor_host *host, void **instance,
                                 precondor_failure *why);
    /* z = M r, n entries each, which do not overlap; z is overwritten whatever it held. Collective;
     * does not allocate. */
    precondor_status (*apply)(void *instance, const double *r, double *z, size_t n,
                              precondor_failure *why);
    /* Ends an instance. */
    void (*destroy)(void *instance);
    /* A sum of the PRECONDOR_SYMMETRIC … flags. */
    uint32_t (*properties)(void *instance);
    /* Numbers that M is made of on this rank (matrix entries, stencils, factors). */
    uint64_t (*stored_entries)(void *instance);
    /* Bytes that this rank keeps for M, indices and work space included. */
    uint64_t (*bytes)(void *instance);
    /* What a reader of a report should know: fallbacks, shifts, estimates. Each put is one note. */
    precondor_status (*notes)(void *instance, const precondor_sink *out, precondor_failure *why);
    /* The table of the optional part `id` ("explicit/1", …), which lives for ever, or NULL. */
    const void *(*extension)(precondor_text id);
};

/* Where a family puts the rows that it was asked for; owned by the caller. Each call goes on where the
 * last one of its kind ended. Since 1.1, as all that follows up to the entry table. */
typedef struct precondor_assembly {
    size_t size;
    void *ctx;
    /* The next n rows of A. */
    precondor_status (*rows)(void *ctx, size_t n, const precondor_rows *rows,
                             precondor_failure *why);
    /* The next n entries of b; of a system that gives none, all are 1. */
    precondor_status (*rhs)(void *ctx, const double *values, size_t n, precondor_failure *why);
    /* What is known of the next rows under a name, as many numbers for each row. */
    precondor_status (*aux)(void *ctx, const precondor_aux *aux, precondor_failure *why);
} precondor_assembly;

/* How large a system is; written by the callee. */
typedef struct precondor_shape {
    size_t size; /* set by the caller */
    uint64_t unknowns;   /* rows of A */
    uint64_t block_size; /* unknowns of a node, one after the other; ranks get whole nodes. The caller
                            has set it to 1 */
} precondor_shape;

/* A family of linear systems A x = b: [problem] kind = "ID". All functions must be there, and may be
 * called from any thread. */
typedef struct precondor_problem {
    size_t size;
    precondor_text id;      /* what a user types as kind: lower-case letters, digits and - */
    precondor_text summary; /* one line for lists */
    precondor_text version; /* version of the library */
    /* Writes the JSON schema of the parameters, as that of a method. The key "seed" is the host's, and
     * kind, label, levels, samples, sequence, matrix, matrices, x0, preconditioner_matrix, null_space
     * and left_null_space mean something else. */
    precondor_status (*schema)(const precondor_sink *out, precondor_failure *why);
    /* Stores system `index` under `seed` in *system, a function of these and the parameters only, and
     * its size in *shape. Take all random numbers from seed and index, and nothing from the rank: every
     * rank makes the same system. The top bit of seed is set for systems to be learned from. `params` is
     * a JSON object with all parameters that have a default. */
    precondor_status (*open)(precondor_text params, uint64_t seed, uint64_t index, void **system,
                             precondor_shape *shape, precondor_failure *why);
    /* Puts the rows from..to (without to) into `out`. Not collective: other ranks ask for other rows. */
    precondor_status (*assemble)(void *system, uint64_t from, uint64_t to,
                                 const precondor_assembly *out, precondor_failure *why);
    /* Ends a system. */
    void (*close)(void *system);
} precondor_problem;

/* The entry table. */
typedef struct precondor_plugin {
    uint64_t magic; /* PRECONDOR_MAGIC; the one field that stands before a size */
    uint32_t abi_major;
    uint32_t abi_minor;
    size_t size;
    const precondor_method *const *methods; /* n_methods pointers */
    size_t n_methods;
    /* ---- since 1.1: there where `size` says so. */
    const precondor_problem *const *problems; /* n_problems pointers */
    size_t n_problems;
} precondor_plugin;

/* The entry table of an array of pointers to methods. */
#define PRECONDOR_ENTRY(array)                                                                     \
    {                                                                                              \
        PRECONDOR_MAGIC, PRECONDOR_ABI_MAJOR, PRECONDOR_ABI_MINOR, sizeof(precondor_plugin),       \
            (array), sizeof(array) / sizeof((array)[0]), NULL, 0                                   \
    }

/* That of an array of pointers to problems, with no method. */
#define PRECONDOR_PROBLEMS(array)                                                                  \
    {                                                                                              \
        PRECONDOR_MAGIC, PRECONDOR_ABI_MAJOR, PRECONDOR_ABI_MINOR, sizeof(precondor_plugin), NULL, \
            0, (array), sizeof(array) / sizeof((array)[0])                                         \
    }

/* That of both. */
#define PRECONDOR_METHODS_AND_PROBLEMS(array, families)                                            \
    {                                                                                              \
        PRECONDOR_MAGIC, PRECONDOR_ABI_MAJOR, PRECONDOR_ABI_MINOR, sizeof(precondor_plugin),       \
            (array), sizeof(array) / sizeof((array)[0]), (families),                               \
            sizeof(families) / sizeof((families)[0])                                               \
    }

/* ---- optional parts of a method: tables found by extension(id) --------------------------- */

#define PRECONDOR_EXPLICIT "explicit/1"
#define PRECONDOR_REFRESH "refresh/1"
#define PRECONDOR_APPLY_MANY "apply-many/1"
#define PRECONDOR_APPLY_AND_MULTIPLY "apply-and-multiply/1"
#define PRECONDOR_APPLY_TRANSPOSE "apply-transpose/1"
#define PRECONDOR_DELEGATE "delegate/1"
#define PRECONDOR_TRAIN "train/1"
#define PRECONDOR_PERSIST "persist/1"
#define PRECONDOR_INVARIANCE "invariance/1"

/* What M keeps when A changes; D is diagonal and positive, P a permutation, ' the transpose. */
enum {
    PRECONDOR_KEEPS_SCALING = 1,     /* M(cA) = M(A)/c for c > 0 */
    PRECONDOR_KEEPS_ROWS = 2,        /* M(DA) = M(A) D^-1 */
    PRECONDOR_KEEPS_COLUMNS = 4,     /* M(AD) = D^-1 M(A) */
    PRECONDOR_KEEPS_BOTH = 8,        /* M(DAD) = D^-1 M(A) D^-1 */
    PRECONDOR_KEEPS_PERMUTATION = 16 /* M(PAP') = P M(A) P' */
};

enum {
    PRECONDOR_KIND_INVERSE = 0, /* the stored matrix is M */
    PRECONDOR_KIND_FACTOR = 1   /* the stored matrix is G, and M is the transpose of G times G */
};

enum {
    PRECONDOR_VALUE_F64 = 0, /* double */
    PRECONDOR_VALUE_F32 = 1, /* float */
    PRECONDOR_VALUE_BF16 = 2 /* the upper half of a float, uint16_t */
};

/* Like precondor_block, with values of another type. */
typedef struct precondor_explicit_block {
    const uint32_t *row_ptr;
    const uint32_t *cols;
    const void *values;
    size_t nnz;
} precondor_explicit_block;

/* The rows of M, or of its factor, that this rank owns, split like a matrix. */
typedef struct precondor_explicit {
    size_t size;         /* set by the caller */
    uint32_t kind;       /* PRECONDOR_KIND_… */
    uint32_t value_type; /* PRECONDOR_VALUE_… */
    size_t n_own;
    precondor_explicit_block own;
    precondor_explicit_block ghost;
    const uint64_t *ghost_ids;
    size_t n_ghost;
} precondor_explicit;

/* explicit/1: the explicitly stored inverse. */
typedef struct precondor_explicit_part {
    size_t size;
    /* Fills in *out; the arrays stay until refresh or destroy. PRECONDOR_UNSUPPORTED where this
     * instance has none. */
    precondor_status (*view)(void *instance, precondor_explicit *out, precondor_failure *why);
} precondor_explicit_part;

/* refresh/1: new values on the same pattern. */
typedef struct precondor_refresh_part {
    size_t size;
    /* Rebuilds the instance, which nobody else uses meanwhile. Collective. After an error it may
     * only be destroyed; PRECONDOR_PATTERN_CHANGED asks the host to generate anew. What `inner` set up
     * remembers its parameters and services: params and host are not looked at then. */
    precondor_status (*refresh)(void *instance, precondor_text params,
                                const precondor_system *system, const precondor_host *host,
                                precondor_failure *why);
} precondor_refresh_part;

/* apply-many/1: several vectors at once. */
typedef struct precondor_apply_many_part {
    size_t size;
    /* Z_j = M R_j for k vectors of n entries, one after the other. */
    precondor_status (*apply_many)(void *instance, size_t k, const double *r, double *z, size_t n,
                                   precondor_failure *why);
} precondor_apply_many_part;

/* apply-and-multiply/1: an application that gives the product with A, too. */
typedef struct precondor_apply_and_multiply_part {
    size_t size;
    /* z = M r and y = A z with the matrix that the instance was made for, vectors that do not overlap;
     * PRECONDOR_UNSUPPORTED, on all ranks and with nothing done, where this instance does not give it. */
    precondor_status (*apply_and_multiply)(void *instance, const double *r, double *z, double *y,
                                           size_t n, precondor_failure *why);
} precondor_apply_and_multiply_part;

/* apply-transpose/1. */
typedef struct precondor_apply_transpose_part {
    size_t size;
    /* z = (transpose of M) r; PRECONDOR_UNSUPPORTED where this instance has no transpose. */
    precondor_status (*apply_transpose)(void *instance, const double *r, double *z, size_t n,
                                        precondor_failure *why);
} precondor_apply_transpose_part;

/* delegate/1: the method chooses another one to do its work. */
typedef struct precondor_delegate_part {
    size_t size;
    /* Writes the id of the method that M is of; PRECONDOR_UNSUPPORTED where it is of none but this
       one. */
    precondor_status (*name)(void *instance, const precondor_sink *out, precondor_failure *why);
} precondor_delegate_part;

/* Training systems, made on demand. Calls from any thread. */
typedef struct precondor_samples {
    size_t size;
    void *ctx;
    uint64_t families; /* kinds of systems offered, at least one */
    /* System `index` of family `family` under `seed`, a function of these only, on one rank. */
    precondor_status (*sample)(void *ctx, uint64_t family, uint64_t seed, uint64_t index,
                               const precondor_system **out, precondor_failure *why);
    /* Writes the configuration of the samples as JSON. */
    void (*describe)(void *ctx, const precondor_sink *out);
} precondor_samples;

/* Who looks on while a model is trained. */
typedef struct precondor_watch {
    size_t size;
    void *ctx;
    uint64_t checkpoint_every; /* steps between checkpoints; 0 for none */
    /* `step` of `steps` is done; mean loss since the last report; rate of the step. */
    void (*progress)(void *ctx, uint64_t step, uint64_t steps, double loss, double learning_rate);
    /* Keeps the state to resume from; training ends with its error. */
    precondor_status (*checkpoint)(void *ctx, precondor_bytes state, precondor_failure *why);
    /* Not 0 where training shall stop: hand over a checkpoint, return PRECONDOR_INTERRUPTED. */
    int32_t (*cancelled)(void *ctx);
    /* ---- since 1.1: there where `size` says so, and where it is not NULL. */
    /* The loss on the systems kept for validation, after so many steps. */
    void (*validated)(void *ctx, uint64_t step, double loss);
} precondor_watch;

/* train/1: the method learns. */
typedef struct precondor_train_part {
    size_t size;
    /* Writes the JSON schema of the parameters of training. */
    precondor_status (*schema)(const precondor_sink *out, precondor_failure *why);
    /* Trains a model and writes it to `model`. `resume` is a checkpoint of the same run, or NULL.
     * Collective over `comm`. */
    precondor_status (*train)(precondor_text params, const precondor_comm *comm,
                              const precondor_host *host, const precondor_samples *samples,
                              const precondor_bytes *resume, const precondor_watch *watch,
                              const precondor_sink *model, precondor_failure *why);
} precondor_train_part;

/* persist/1: instances as bytes. The host does all file work. */
typedef struct precondor_persist_part {
    size_t size;
    /* Writes what load needs to make this rank's part of M again. The host keeps it with the method's
     * id, version and parameters, the distribution of the rows and what tells the pattern of A.
     * Collective. */
    precondor_status (*save)(void *instance, const precondor_sink *out, precondor_failure *why);
    /* An instance from what save wrote, as if generate had made it for `system`. The host has checked
     * that method, version, parameters and pattern are those of save, and so is the distribution, but
     * for the SDK's form of explicit rows, which it spreads anew. PRECONDOR_DATA for bytes that are
     * not understood. Collective. */
    precondor_status (*load)(precondor_bytes blob, const precondor_system *system,
                             const precondor_host *host, void **instance, precondor_failure *why);
} precondor_persist_part;

/* invariance/1: what M keeps when A changes. */
typedef struct precondor_invariance_part {
    size_t size;
    /* Stores in *out what M keeps with these parameters, provided that methods they name keep it, too:
     * a sum of the PRECONDOR_KEEPS_… flags. Hosts pass over what they do not know. */
    precondor_status (*declare)(precondor_text params, uint32_t *out, precondor_failure *why);
} precondor_invariance_part;

/* ---- helpers ------------------------------------------------------------------------------ */

/* A C string as text. */
static inline precondor_text precondor_str(const char *string) {
    precondor_text text;
    text.ptr = (const uint8_t *)string;
    text.len = strlen(string);
    return text;
}

/* Whether `text` reads `string`. */
static inline int precondor_is(precondor_text text, const char *string) {
    return text.len == strlen(string) && (text.len == 0 || !memcmp(text.ptr, string, text.len));
}

/* Tells why, and returns `status`: return precondor_fail(why, PRECONDOR_DATA, "…"); */
static inline precondor_status precondor_fail(precondor_failure *why, precondor_status status,
                                              const char *message) {
    if (why) why->message(why->ctx, precondor_str(message));
    return status;
}

/* Puts a C string into a sink. */
static inline void precondor_put(const precondor_sink *sink, const char *string) {
    precondor_bytes bytes;
    bytes.ptr = (const uint8_t *)string;
    bytes.len = strlen(string);
    if (sink) sink->put(sink->ctx, bytes);
}

/* Between the parts of a long setup: tells how far it is. PRECONDOR_INTERRUPTED where it shall stop:
 * return that. A host of 1.0 is told nothing and stops nothing. */
static inline precondor_status precondor_step(const precondor_host *host, uint64_t done,
                                              uint64_t total, const char *what) {
    if (host->size >= offsetof(precondor_host, progress) + sizeof host->progress && host->progress)
        host->progress(host->ctx, done, total, precondor_str(what));
    if (host->size >= offsetof(precondor_host, cancelled) + sizeof host->cancelled &&
        host->cancelled && host->cancelled(host->ctx))
        return PRECONDOR_INTERRUPTED;
    return PRECONDOR_OK;
}

/* The auxiliary data `name` of a system, or NULL. */
static inline const precondor_aux *precondor_find_aux(const precondor_system *system,
                                                      const char *name) {
    size_t i;
    for (i = 0; i < system->n_aux; i++)
        if (precondor_is(system->aux[i]->name, name)) return system->aux[i];
    return NULL;
}

/* Starts fetching the ghost entries of x, which has n_own entries. */
static inline precondor_status precondor_exchange_start(const precondor_matrix *a, const double *x,
                                                        uint64_t *token, precondor_failure *why) {
    return a->exchange->start(a->exchange->ctx, x, a->n_own, token, why);
}

/* Waits for them: `ghost` has n_ghost entries. */
static inline precondor_status precondor_exchange_finish(const precondor_matrix *a, uint64_t token,
                                                         double *ghost, precondor_failure *why) {
    return a->exchange->finish(a->exchange->ctx, token, ghost, a->n_ghost, why);
}

/* Global number of own row i. */
static inline uint64_t precondor_global_row(const precondor_matrix *a, size_t i) {
    return a->space->starts[a->space->comm->rank] + i;
}

#ifdef __cplusplus
}
#endif
#endif
