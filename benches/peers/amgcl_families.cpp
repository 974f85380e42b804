// AMGCL's side of scripts/peers.sh --families: one solve of one system.
// usage: amgcl_families STEM cg|bicgstab BLOCK SETTING
// SETTING: COARSENING-SMOOTHER with sa or rs and spai0, ilu0 or gs; with -block: values are BLOCK by BLOCK matrices;
// with -rigid: rigid body modes are made from STEM.xyz. Prints the same line as families.rs.
#include <string>
#include <vector>

#include <boost/range.hpp>

#include <amgcl/adapter/block_matrix.hpp>
#include <amgcl/adapter/crs_tuple.hpp>
#include <amgcl/amg.hpp>
#include <amgcl/backend/builtin.hpp>
#include <amgcl/coarsening/ruge_stuben.hpp>
#include <amgcl/coarsening/smoothed_aggregation.hpp>
#include <amgcl/make_block_solver.hpp>
#include <amgcl/make_solver.hpp>
#include <amgcl/relaxation/gauss_seidel.hpp>
#include <amgcl/relaxation/ilu0.hpp>
#include <amgcl/relaxation/spai0.hpp>
#include <amgcl/solver/bicgstab.hpp>
#include <amgcl/solver/cg.hpp>
#include <amgcl/value_type/static_matrix.hpp>
#include <omp.h>

#include "memory.h"
#include "read.h"

using namespace amgcl;
template <class V> using Backend = backend::builtin<V>;

static Matrix a;
static double *b, *places;
static int dimension;

// Columns of the near null space, row after row: translations, then rotations about the centre.
static std::vector<double> rigid_body_modes() {
  int d = dimension, nodes = a.n / d, count = d == 2 ? 3 : 6;
  std::vector<double> modes((size_t)a.n * count, 0.0);
  for (int node = 0; node < nodes; node++) {
    const double *p = places + (size_t)node * d;
    double *rows = &modes[(size_t)node * d * count];
    for (int k = 0; k < d; k++) rows[k * count + k] = 1;
    for (int k = 0, mode = d; k < d; k++)
      for (int l = k + 1; l < d; l++, mode++) {
        rows[k * count + mode] = -p[l];
        rows[l * count + mode] = p[k];
      }
  }
  return modes;
}

template <class P> auto near_null_space(P &p, bool rigid, int) -> decltype(p.precond.coarsening.nullspace, void()) {
  p.precond.coarsening.aggr.block_size = dimension;
  if (!rigid) return;
  p.precond.coarsening.nullspace.cols = dimension == 2 ? 3 : 6;
  p.precond.coarsening.nullspace.B = rigid_body_modes();
}
template <class P> void near_null_space(P &, bool, long) {}

template <class Solver> void solve(bool told, bool rigid) {
  auto system = boost::make_tuple(a.n, boost::make_iterator_range(a.row_ptr, a.row_ptr + a.n + 1),
                                  boost::make_iterator_range(a.cols, a.cols + a.nnz),
                                  boost::make_iterator_range(a.values, a.values + a.nnz));
  typename Solver::params p;
  p.solver.tol = 1e-8;
  p.solver.maxiter = 1000;
  if (told) near_null_space(p, rigid, 0);
  std::vector<double> x(a.n, 0.0), right(b, b + a.n);
  double before = memory_begin(), begin = clock_now(), work = processor_now();
  Solver solver(system, p);
  double ready = clock_now(), set_up = processor_now();
  auto result = solver(right, x);
  double done = clock_now(), solved = processor_now(), peak = memory_since(before);
  double residual = 0, norm = 0;
  for (int i = 0; i < a.n; i++) {
    double r = b[i];
    for (int k = a.row_ptr[i]; k < a.row_ptr[i + 1]; k++) r -= a.values[k] * x[a.cols[k]];
    residual += r * r;
    norm += b[i] * b[i];
  }
  int iterations = boost::get<0>(result);
  residual = sqrt(residual / norm);
  printf("%d\t%d\t%.5f\t%.5f\t%.5f\t%.5f\t%.1e\t%.1f\n", omp_get_max_threads(),
         residual < 2e-8 ? iterations : -iterations, ready - begin, done - ready, set_up - work, solved - set_up,
         residual, peak);
}

template <class Coarsening, template <class> class Relaxation>
void scalar(bool symmetric, bool told, bool rigid) {
  typedef amg<Backend<double>, Coarsening, Relaxation> M;
  if (symmetric) solve<make_solver<M, solver::cg<Backend<double>>>>(told, rigid);
  else solve<make_solver<M, solver::bicgstab<Backend<double>>>>(told, rigid);
}

template <int D, template <class> class Relaxation> void blocks() {
  typedef Backend<static_matrix<double, D, D>> B;
  solve<make_block_solver<amg<B, coarsening::smoothed_aggregation, Relaxation>, solver::cg<B>>>(false, false);
}

template <template <class> class Relaxation> void with(const std::string &setting, bool symmetric) {
  bool rigid = setting.find("-rigid") != std::string::npos;
  if (setting.find("-block") != std::string::npos) {
    if (dimension == 2) blocks<2, Relaxation>();
    else blocks<3, Relaxation>();
  } else if (setting[0] == 's') {
    scalar<coarsening::smoothed_aggregation, Relaxation>(symmetric, dimension > 1, rigid);
  } else {
    scalar<coarsening::ruge_stuben, Relaxation>(symmetric, false, false);
  }
}

int main(int argc, char **argv) {
  if (argc < 5) give_up("usage", "amgcl_families STEM cg|bicgstab BLOCK SETTING");
  std::string stem = argv[1], setting = argv[4];
  bool symmetric = std::string(argv[2]) == "cg";
  dimension = atoi(argv[3]);
  FILE *file = open_petsc((stem + ".bin").c_str());
  a = read_petsc_matrix(file, stem.c_str());
  b = read_petsc_vector(file, stem.c_str(), a.n);
  fclose(file);
  if (dimension > 1) {
    file = open_petsc((stem + ".xyz").c_str());
    places = read_petsc_vector(file, stem.c_str(), a.n);
    fclose(file);
  }
  if (setting.find("spai0") != std::string::npos) with<relaxation::spai0>(setting, symmetric);
  else if (setting.find("ilu0") != std::string::npos) with<relaxation::ilu0>(setting, symmetric);
  else if (setting.find("gs") != std::string::npos) with<relaxation::gauss_seidel>(setting, symmetric);
  else give_up(setting.c_str(), "is no setting");
}
