/* Matrix Market files as precondor writes them: general real coordinates row after row, or an array; PETSc's
   binary files with indices of 32 bits. */
#ifndef PEERS_READ_H
#define PEERS_READ_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

typedef struct {
  int n, nnz, *row_ptr, *cols;
  double *values;
} Matrix;

static void give_up(const char *path, const char *why) {
  fprintf(stderr, "%s: %s\n", path, why);
  exit(1);
}

/* Opens a file behind its comments; says whether its matrix is stored as its lower triangle. */
static FILE *open_file(const char *path, char *line, int size, int *symmetric) {
  FILE *file = fopen(path, "r");
  if (!file || !fgets(line, size, file)) give_up(path, "cannot be read");
  *symmetric = strstr(line, "symmetric") != NULL;
  do {
    if (!fgets(line, size, file)) give_up(path, "has no size line");
  } while (line[0] == '%');
  return file;
}

static Matrix read_matrix(const char *path) {
  char line[256];
  int symmetric, rows, columns, stored;
  FILE *file = open_file(path, line, sizeof line, &symmetric);
  if (sscanf(line, "%d %d %d", &rows, &columns, &stored) != 3) give_up(path, "has no size line");
  int *i = (int *)malloc(sizeof(int) * stored), *j = (int *)malloc(sizeof(int) * stored);
  double *v = (double *)malloc(sizeof(double) * stored);
  Matrix a = {rows, 0, (int *)calloc(rows + 1, sizeof(int)), NULL, NULL};
  for (int k = 0; k < stored; k++) {
    if (!fgets(line, sizeof line, file)) give_up(path, "ends too early");
    char *rest = line;
    i[k] = (int)strtol(rest, &rest, 10) - 1;
    j[k] = (int)strtol(rest, &rest, 10) - 1;
    v[k] = strtod(rest, &rest);
    a.row_ptr[i[k] + 1]++;
    if (symmetric && i[k] != j[k]) a.row_ptr[j[k] + 1]++;
  }
  fclose(file);
  for (int row = 0; row < rows; row++) a.row_ptr[row + 1] += a.row_ptr[row];
  a.nnz = a.row_ptr[rows];
  a.cols = (int *)malloc(sizeof(int) * a.nnz);
  a.values = (double *)malloc(sizeof(double) * a.nnz);
  int *next = (int *)malloc(sizeof(int) * rows);
  memcpy(next, a.row_ptr, sizeof(int) * rows);
  /* Sorted by rows and columns: a row's lower entries come before those that mirror later rows. */
  for (int k = 0; k < stored; k++) {
    a.cols[next[i[k]]] = j[k];
    a.values[next[i[k]]++] = v[k];
    if (symmetric && i[k] != j[k]) {
      a.cols[next[j[k]]] = i[k];
      a.values[next[j[k]]++] = v[k];
    }
  }
  free(next), free(i), free(j), free(v);
  return a;
}

static double *read_vector(const char *path, int n) {
  char line[256];
  int symmetric;
  FILE *file = open_file(path, line, sizeof line, &symmetric);
  double *b = (double *)malloc(sizeof(double) * n);
  for (int k = 0; k < n; k++) {
    if (!fgets(line, sizeof line, file)) give_up(path, "ends too early");
    b[k] = strtod(line, NULL);
  }
  fclose(file);
  return b;
}

static FILE *open_petsc(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) give_up(path, "cannot be read");
  return file;
}

/* `count` numbers of `size` bytes, which are in big-endian order in the file. */
static void *read_big_endian(FILE *file, const char *path, size_t size, size_t count) {
  char *numbers = (char *)malloc(size * count + 1), swap;
  if (fread(numbers, size, count, file) != count) give_up(path, "ends too early");
  for (size_t k = 0; k < count; k++)
    for (size_t byte = 0; byte < size / 2; byte++) {
      char *low = numbers + k * size + byte, *high = numbers + (k + 1) * size - 1 - byte;
      swap = *low, *low = *high, *high = swap;
    }
  return numbers;
}

static Matrix read_petsc_matrix(FILE *file, const char *path) {
  int *head = (int *)read_big_endian(file, path, 4, 4);
  if (head[0] != 1211216) give_up(path, "does not start with a matrix");
  Matrix a = {head[1], head[3], NULL, NULL, NULL};
  int *lengths = (int *)read_big_endian(file, path, 4, a.n);
  a.row_ptr = (int *)calloc(a.n + 1, sizeof(int));
  for (int row = 0; row < a.n; row++) a.row_ptr[row + 1] = a.row_ptr[row] + lengths[row];
  a.cols = (int *)read_big_endian(file, path, 4, a.nnz);
  a.values = (double *)read_big_endian(file, path, 8, a.nnz);
  free(head), free(lengths);
  return a;
}

static double *read_petsc_vector(FILE *file, const char *path, int n) {
  int *head = (int *)read_big_endian(file, path, 4, 2);
  if (head[0] != 1211214 || head[1] != n) give_up(path, "does not go on with a vector of that length");
  free(head);
  return (double *)read_big_endian(file, path, 8, n);
}

/* Seconds by the clock. */
static double clock_now(void) {
  struct timeval t;
  gettimeofday(&t, NULL);
  return t.tv_sec + 1e-6 * t.tv_usec;
}

/* Seconds of processor time of all threads. */
static double processor_now(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec + r.ru_stime.tv_sec + 1e-6 * (r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static double peak_megabytes(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_maxrss * 1024.0 / 1e6;
}
#endif
