/* Grids of a DMDA, cut in any way: linear elements on triangles whose nodes are shifted, with their coordinates (-dim 2), or finite
   volumes with a coefficient between .5 and 1.5 (-dim 3), free at the ends of axes or, with -rings 1, 2 or 3, closed along as many. */
#include <petscdmda.h>
#include <petscksp.h>

static double noise(PetscInt i, PetscInt j, PetscInt k)
{
  unsigned long long z = 0x9e3779b97f4a7c15ull * (unsigned long long)(1 + i + 4099 * (j + 4099 * k));
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return 2. * (double)((z ^ (z >> 31)) >> 11) / 9007199254740992. - 1.;
}

/* Node (i, j) of m by m between walls. */
static void place(PetscInt m, PetscReal shift, PetscInt i, PetscInt j, double p[2])
{
  int inner = i >= 0 && j >= 0 && i < m && j < m;
  p[0] = (i + 1 + (inner ? shift * noise(i, j, 0) : 0.)) / (m + 1);
  p[1] = (j + 1 + (inner ? shift * noise(i, j, 1) : 0.)) / (m + 1);
}

static PetscErrorCode triangles(DM da, Mat a, PetscInt m, PetscReal shift)
{
  PetscInt xs, ys, w, h;
  PetscCall(DMDAGetCorners(da, &xs, &ys, NULL, &w, &h, NULL));
  for (PetscInt j = ys - 1; j < ys + h; j++) {
    for (PetscInt i = xs - 1; i < xs + w; i++) {
      for (int upper = 0; upper < 2; upper++) {
        PetscInt n[3][2] = {{i, j}, {i + 1, j + 1}, {upper ? i : i + 1, upper ? j + 1 : j}};
        double p[3][2], e[3][2];
        for (int k = 0; k < 3; k++) place(m, shift, n[k][0], n[k][1], p[k]);
        for (int k = 0; k < 3; k++)
          for (int d = 0; d < 2; d++) e[k][d] = p[(k + 2) % 3][d] - p[(k + 1) % 3][d];
        double area = .5 * PetscAbsReal(e[1][0] * e[2][1] - e[1][1] * e[2][0]);
        for (int s = 0; s < 3; s++) {
          MatStencil row = {0, n[s][1], n[s][0], 0};
          if (row.i < xs || row.j < ys || row.i >= xs + w || row.j >= ys + h) continue;
          for (int t = 0; t < 3; t++) {
            MatStencil col = {0, n[t][1], n[t][0], 0};
            if (col.i < 0 || col.j < 0 || col.i >= m || col.j >= m) continue;
            PetscScalar v = (e[s][0] * e[t][0] + e[s][1] * e[t][1]) / (4. * area);
            PetscCall(MatSetValuesStencil(a, 1, &row, 1, &col, &v, ADD_VALUES));
          }
        }
      }
    }
  }
  DM cda;
  Vec x;
  DMDACoor2d **at;
  PetscCall(DMDASetUniformCoordinates(da, 0., 1., 0., 1., 0., 1.));
  PetscCall(DMGetCoordinateDM(da, &cda));
  PetscCall(DMGetCoordinates(da, &x));
  PetscCall(DMDAVecGetArray(cda, x, &at));
  for (PetscInt j = ys; j < ys + h; j++)
    for (PetscInt i = xs; i < xs + w; i++) {
      double p[2];
      place(m, shift, i, j, p);
      at[j][i].x = p[0];
      at[j][i].y = p[1];
    }
  PetscCall(DMDAVecRestoreArray(cda, x, &at));
  return 0;
}

static PetscErrorCode volumes(DM da, Mat a, const PetscInt m[3], PetscInt rings)
{
  PetscInt s[3], w[3];
  PetscCall(DMDAGetCorners(da, &s[0], &s[1], &s[2], &w[0], &w[1], &w[2]));
  for (PetscInt k = s[2]; k < s[2] + w[2]; k++)
    for (PetscInt j = s[1]; j < s[1] + w[1]; j++)
      for (PetscInt i = s[0]; i < s[0] + w[0]; i++) {
        PetscInt here[3] = {i, j, k};
        MatStencil row = {k, j, i, 0};
        PetscScalar sum = 0.;
        for (int d = 0; d < 3; d++)
          for (int up = 0; up < 2; up++) {
            PetscInt face[3] = {i, j, k}, there[3] = {i, j, k};
            there[d] += up ? 1 : -1;
            if (d >= rings && (there[d] < 0 || there[d] >= m[d])) continue;
            face[d] = up ? (here[d] + 1) % m[d] : here[d];
            PetscScalar v = -(1. + .5 * noise(face[0], face[1], 7 * face[2] + d));
            MatStencil col = {there[2], there[1], there[0], 0};
            PetscCall(MatSetValuesStencil(a, 1, &row, 1, &col, &v, ADD_VALUES));
            sum -= v;
          }
        PetscCall(MatSetValuesStencil(a, 1, &row, 1, &row, &sum, ADD_VALUES));
      }
  MatNullSpace null;
  PetscCall(MatNullSpaceCreate(PETSC_COMM_WORLD, PETSC_TRUE, 0, NULL, &null));
  PetscCall(MatSetNullSpace(a, null));
  PetscCall(MatNullSpaceDestroy(&null));
  return 0;
}

int main(int argc, char **argv)
{
  PetscInt dim = 2, m = 31, rings = 0;
  PetscReal shift = .2;
  DM da;
  Mat a;
  Vec b, x;
  KSP ksp;
  PetscCall(PetscInitialize(&argc, &argv, NULL, NULL));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-dim", &dim, NULL));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-m", &m, NULL));
  PetscCall(PetscOptionsGetInt(NULL, NULL, "-rings", &rings, NULL));
  PetscCall(PetscOptionsGetReal(NULL, NULL, "-shift", &shift, NULL));
  PetscInt nodes[3] = {m, dim == 3 ? m - 1 : m, m - 2};
  DMBoundaryType ends[3];
  for (int d = 0; d < 3; d++) ends[d] = d < rings ? DM_BOUNDARY_PERIODIC : DM_BOUNDARY_NONE;
  if (dim == 2)
    PetscCall(DMDACreate2d(PETSC_COMM_WORLD, DM_BOUNDARY_NONE, DM_BOUNDARY_NONE, DMDA_STENCIL_BOX, m, m, PETSC_DECIDE, PETSC_DECIDE, 1, 1, NULL, NULL, &da));
  else
    PetscCall(DMDACreate3d(PETSC_COMM_WORLD, ends[0], ends[1], ends[2], DMDA_STENCIL_STAR, nodes[0], nodes[1], nodes[2], PETSC_DECIDE, PETSC_DECIDE, PETSC_DECIDE, 1, 1, NULL, NULL, NULL, &da));
  PetscCall(DMSetFromOptions(da));
  PetscCall(DMSetUp(da));
  PetscCall(DMCreateMatrix(da, &a));
  if (dim == 2) PetscCall(triangles(da, a, m, shift));
  else PetscCall(volumes(da, a, nodes, rings));
  PetscCall(MatAssemblyBegin(a, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(a, MAT_FINAL_ASSEMBLY));
  PetscCall(DMCreateGlobalVector(da, &b));
  PetscCall(VecDuplicate(b, &x));
  /* The same right-hand side however the grid is cut. */
  PetscInt s[3], w[3];
  PetscCall(DMDAGetCorners(da, &s[0], &s[1], &s[2], &w[0], &w[1], &w[2]));
  PetscScalar *values;
  PetscInt at = 0;
  PetscCall(VecGetArray(b, &values));
  for (PetscInt k = 0; k < w[2]; k++)
    for (PetscInt j = 0; j < w[1]; j++)
      for (PetscInt i = 0; i < w[0]; i++) values[at++] = noise(i + s[0], j + s[1], 100 + k + s[2]);
  PetscCall(VecRestoreArray(b, &values));
  MatNullSpace null;
  PetscCall(MatGetNullSpace(a, &null));
  if (null) PetscCall(MatNullSpaceRemove(null, b));
  PetscCall(KSPCreate(PETSC_COMM_WORLD, &ksp));
  PetscCall(KSPSetOperators(ksp, a, a));
  PetscCall(KSPSetFromOptions(ksp));
  PetscCall(KSPSolve(ksp, b, x));
  PetscCall(KSPDestroy(&ksp));
  PetscCall(VecDestroy(&b));
  PetscCall(VecDestroy(&x));
  PetscCall(MatDestroy(&a));
  PetscCall(DMDestroy(&da));
  return PetscFinalize();
}
