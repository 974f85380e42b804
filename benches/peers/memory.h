/* Memory of this process, as Linux counts it. */
#ifndef PEERS_MEMORY_H
#define PEERS_MEMORY_H
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* MB of a line of /proc/self/status. */
static double megabytes(const char *key) {
  char line[256];
  double kib = NAN;
  FILE *file = fopen("/proc/self/status", "r");
  if (!file) return kib;
  while (fgets(line, sizeof line, file))
    if (!strncmp(line, key, strlen(key))) sscanf(line + strlen(key), "%lf", &kib);
  fclose(file);
  return kib * 1024.0 / 1e6;
}

/* Starts a new peak; MB that are resident now. What reading has freed goes back first. */
static double memory_begin(void) {
  malloc_trim(0);
  FILE *file = fopen("/proc/self/clear_refs", "w");
  if (file) {
    fputs("5", file);
    fclose(file);
  }
  return megabytes("VmRSS:");
}

/* MB at the peak since then. */
static double memory_since(double before) { return megabytes("VmHWM:") - before; }
#endif
