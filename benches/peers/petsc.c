/* PETSc's side of scripts/peers.sh: conjugate gradients with several preconditioners on a system from files.
   usage: petsc DIR REPEATS [iterative], which leaves out direct solves; prints the same lines as precondor.rs. "reused" sets up for another matrix of the
   same pattern first, and counts what the new values cost. Where PETSC_OPTIONS loads our library our methods are among the PCs; how much of their solve is
   PETSc's products goes to standard error. */
#include <petscksp.h>
#include "read.h"

typedef struct {
  const char *label, *options;
  int reused;
} Peer;

static const Peer peers[] = {
    {"PETSc GAMG", "-pc_type gamg", 0},
    {"PETSc GAMG, interpolation reused", "-pc_type gamg -pc_gamg_reuse_interpolation true", 1},
    {"hypre BoomerAMG", "-pc_type hypre -pc_hypre_type boomeramg", 0},
    {"hypre BoomerAMG, strong threshold .5",
     "-pc_type hypre -pc_hypre_type boomeramg -pc_hypre_boomeramg_strong_threshold 0.5", 0},
    {"PETSc Cholesky (CHOLMOD)", "-pc_type cholesky -pc_factor_mat_solver_type cholmod", 0},
    {"PETSc Cholesky (CHOLMOD), symbolic reused", "-pc_type cholesky -pc_factor_mat_solver_type cholmod", 1},
    {"PETSc ICC(0)", "-pc_type icc -pc_factor_levels 0", 0},
    {"in PETSc: reference", "-pc_type precondor_reference", 0},
    {"in PETSc: reference post-only, Richardson",
     "-ksp_type richardson -pc_type precondor_reference -pc_precondor_variant post-only", 0},
    {"in PETSc: reference post-only, positions estimated, Richardson",
     "-ksp_type richardson -pc_type precondor_reference -pc_precondor_variant post-only "
     "-pc_precondor_positions estimated", 0},
    {"in PETSc: amg", "-pc_type precondor_amg", 0},
};

/* Seconds in products with A so far. */
static double in_products(void) {
  PetscLogEvent event;
  PetscEventPerfInfo info;
  PetscLogEventGetId("MatMult", &event);
  PetscLogEventGetPerfInfo(0, event, &info);
  return info.time;
}

static Mat to_petsc(Matrix a, Vec like) {
  Mat m;
  PetscInt from, to;
  VecGetOwnershipRange(like, &from, &to);
  MatCreate(PETSC_COMM_WORLD, &m);
  MatSetSizes(m, to - from, to - from, a.n, a.n);
  MatSetType(m, MATAIJ);
  MatSeqAIJSetPreallocation(m, 15, NULL);
  MatMPIAIJSetPreallocation(m, 15, NULL, 15, NULL);
  for (PetscInt i = from; i < to; i++)
    MatSetValues(m, 1, &i, a.row_ptr[i + 1] - a.row_ptr[i], a.cols + a.row_ptr[i], a.values + a.row_ptr[i],
                 INSERT_VALUES);
  MatAssemblyBegin(m, MAT_FINAL_ASSEMBLY);
  MatAssemblyEnd(m, MAT_FINAL_ASSEMBLY);
  MatSetOption(m, MAT_SPD, PETSC_TRUE);
  return m;
}

static void solve(Peer peer, Mat first, Mat a, Vec b, Vec x, int ranks) {
  KSP ksp;
  PetscInt iterations;
  PetscReal residual, norm;
  PetscOptionsClear(NULL);
  PetscOptionsInsertString(NULL, peer.options);
  KSPCreate(PETSC_COMM_WORLD, &ksp);
  KSPSetType(ksp, KSPCG);
  KSPSetNormType(ksp, KSP_NORM_UNPRECONDITIONED);
  KSPSetTolerances(ksp, 1e-8, 0, 1e6, 2000);
  KSPSetFromOptions(ksp);
  if (peer.reused) {
    KSPSetOperators(ksp, first, first);
    KSPSetUp(ksp);
  }
  double begin = clock_now(), work = processor_now();
  KSPSetOperators(ksp, a, a);
  KSPSetUp(ksp);
  double ready = clock_now(), set_up = processor_now(), before = in_products();
  KSPSolve(ksp, b, x);
  double done = clock_now(), solved = processor_now(), products = in_products() - before;
  KSPGetIterationNumber(ksp, &iterations);
  Vec r;
  VecDuplicate(b, &r);
  MatMult(a, x, r);
  VecAYPX(r, -1, b);
  VecNorm(r, NORM_2, &residual);
  VecNorm(b, NORM_2, &norm);
  PetscPrintf(PETSC_COMM_WORLD, "%s\t%d\t%d\t%.5f\t%.5f\t%.5f\t%.5f\t%.1e\t%.0f\n", peer.label, ranks, (int)iterations,
              ready - begin, done - ready, ranks * (set_up - work), ranks * (solved - set_up), residual / norm,
              ranks * peak_megabytes());
  if (strstr(peer.label, "in PETSc")) {
    PetscFPrintf(PETSC_COMM_WORLD, stderr, "%s, %d ranks: %.1f of %.1f ms of the solve are PETSc's products\n", peer.label,
                 ranks, 1e3 * products, 1e3 * (done - ready));
  }
  VecDestroy(&r);
  KSPDestroy(&ksp);
}

int main(int argc, char **argv) {
  char path[4096];
  int ranks;
  if (argc < 3) give_up("usage", "petsc DIR REPEATS [iterative]");
  int iterative = argc > 3 && !strcmp(argv[3], "iterative");
  PetscInitialize(&argc, &argv, NULL, NULL);
  PetscPushErrorHandler(PetscAbortErrorHandler, NULL);
  PetscLogDefaultBegin();
  const char *given = getenv("PETSC_OPTIONS");
  int ours = given && strstr(given, "precondor");
  MPI_Comm_size(PETSC_COMM_WORLD, &ranks);
  const char *name[] = {"a0.mtx", "a1.mtx"};
  Mat matrices[2];
  Vec b, x;
  for (int k = 0; k < 2; k++) {
    snprintf(path, sizeof path, "%s/%s", argv[1], name[k]);
    Matrix a = read_matrix(path);
    if (k == 0) {
      PetscInt from, to;
      VecCreateMPI(PETSC_COMM_WORLD, PETSC_DECIDE, a.n, &b);
      snprintf(path, sizeof path, "%s/b1.mtx", argv[1]);
      double *values = read_vector(path, a.n);
      VecGetOwnershipRange(b, &from, &to);
      for (PetscInt i = from; i < to; i++) VecSetValue(b, i, values[i], INSERT_VALUES);
      VecAssemblyBegin(b);
      VecAssemblyEnd(b);
      VecDuplicate(b, &x);
      free(values);
    }
    matrices[k] = to_petsc(a, b);
    free(a.row_ptr), free(a.cols), free(a.values);
  }
  for (int k = 0; k < (int)(sizeof peers / sizeof *peers); k++) {
    /* Neither a factorisation of PETSc's own nor CHOLMOD works on several ranks. */
    if (ranks > 1 && (strstr(peers[k].label, "ICC") || strstr(peers[k].label, "CHOLMOD"))) continue;
    if (iterative && strstr(peers[k].label, "Cholesky")) continue;
    if (!ours && strstr(peers[k].label, "in PETSc")) continue;
    for (int repeat = 0; repeat < atoi(argv[2]); repeat++) solve(peers[k], matrices[0], matrices[1], b, x, ranks);
  }
  return PetscFinalize();
}
