/* PETSc's and hypre's side of scripts/peers.sh --families and --ic: one solve of one system.
   usage: petsc_families STEM cg|bicgstab BLOCK near|plain "OPTIONS"
   STEM.bin holds A and b; where BLOCK > 1 and near is said, rigid body modes are made from STEM.xyz.
   Prints the same line as families.rs. */
#include <petscksp.h>
#include "memory.h"
#include "read.h"

static Vec load_vector(const char *stem, const char *suffix, int block, Vec like) {
  char path[4096];
  PetscViewer viewer;
  Vec v;
  snprintf(path, sizeof path, "%s%s", stem, suffix);
  PetscViewerBinaryOpen(PETSC_COMM_WORLD, path, FILE_MODE_READ, &viewer);
  VecCreate(PETSC_COMM_WORLD, &v);
  if (like) {
    PetscInt local;
    VecGetLocalSize(like, &local);
    VecSetSizes(v, local, PETSC_DECIDE);
  }
  VecSetBlockSize(v, block);
  VecSetFromOptions(v);
  VecLoad(v, viewer);
  PetscViewerDestroy(&viewer);
  return v;
}

int main(int argc, char **argv) {
  char path[4096], *none = NULL, **nobody = &none;
  int zero = 0, ranks, block = argc > 3 ? atoi(argv[3]) : 0, symmetric;
  PetscInt iterations;
  PetscReal residual, norm;
  KSPConvergedReason reason;
  PetscViewer viewer;
  Mat a;
  Vec b, x, r;
  KSP ksp;
  if (argc < 6) give_up("usage", "petsc_families STEM cg|bicgstab BLOCK near|plain OPTIONS");
  PetscInitialize(&zero, &nobody, NULL, NULL);
  PetscPushErrorHandler(PetscAbortErrorHandler, NULL);
  MPI_Comm_size(PETSC_COMM_WORLD, &ranks);
  symmetric = !strcmp(argv[2], "cg");
  PetscOptionsInsertString(NULL, argv[5]);

  snprintf(path, sizeof path, "%s.bin", argv[1]);
  PetscViewerBinaryOpen(PETSC_COMM_WORLD, path, FILE_MODE_READ, &viewer);
  MatCreate(PETSC_COMM_WORLD, &a);
  MatSetType(a, MATAIJ);
  if (block > 1) MatSetBlockSize(a, block);
  MatLoad(a, viewer);
  MatCreateVecs(a, &x, &b);
  VecLoad(b, viewer);
  PetscViewerDestroy(&viewer);
  if (symmetric) {
    MatSetOption(a, MAT_SYMMETRIC, PETSC_TRUE);
    MatSetOption(a, MAT_SPD, PETSC_TRUE);
  }
  if (block > 1 && !strcmp(argv[4], "near")) {
    MatNullSpace near;
    Vec places = load_vector(argv[1], ".xyz", block, b);
    MatNullSpaceCreateRigidBody(places, &near);
    MatSetNearNullSpace(a, near);
    MatNullSpaceDestroy(&near);
    VecDestroy(&places);
  }
  KSPCreate(PETSC_COMM_WORLD, &ksp);
  KSPSetType(ksp, symmetric ? KSPCG : KSPBCGS);
  if (!symmetric) KSPSetPCSide(ksp, PC_RIGHT);
  KSPSetNormType(ksp, KSP_NORM_UNPRECONDITIONED);
  KSPSetTolerances(ksp, 1e-8, 0, 1e8, 2000);
  KSPSetFromOptions(ksp);
  KSPSetOperators(ksp, a, a);

  double before = memory_begin(), begin = clock_now(), work = processor_now();
  KSPSetUp(ksp);
  double ready = clock_now(), set_up = processor_now();
  KSPSolve(ksp, b, x);
  double done = clock_now(), solved = processor_now();
  double own[3] = {set_up - work, solved - set_up, memory_since(before)}, all[3];
  MPI_Reduce(own, all, 3, MPI_DOUBLE, MPI_SUM, 0, PETSC_COMM_WORLD);
  KSPGetIterationNumber(ksp, &iterations);
  KSPGetConvergedReason(ksp, &reason);
  VecDuplicate(b, &r);
  MatMult(a, x, r);
  VecAYPX(r, -1, b);
  VecNorm(r, NORM_2, &residual);
  VecNorm(b, NORM_2, &norm);
  PetscPrintf(PETSC_COMM_WORLD, "%d\t%d\t%.5f\t%.5f\t%.5f\t%.5f\t%.1e\t%.1f\n", ranks,
              reason > 0 ? (int)iterations : -(int)iterations, ready - begin, done - ready, all[0], all[1],
              residual / norm, all[2]);
  return PetscFinalize();
}
