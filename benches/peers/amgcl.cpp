// AMGCL's side of scripts/peers.sh: conjugate gradients with smoothed aggregation on a system from files.
// usage: amgcl DIR REPEATS; prints the same lines as precondor.rs.
#include <boost/range.hpp>

#include <amgcl/adapter/crs_tuple.hpp>
#include <amgcl/amg.hpp>
#include <amgcl/backend/builtin.hpp>
#include <amgcl/coarsening/smoothed_aggregation.hpp>
#include <amgcl/make_solver.hpp>
#include <amgcl/relaxation/gauss_seidel.hpp>
#include <amgcl/relaxation/ilu0.hpp>
#include <amgcl/relaxation/spai0.hpp>
#include <amgcl/relaxation/spai1.hpp>
#include <amgcl/solver/cg.hpp>
#include <cmath>
#include <omp.h>
#include <string>
#include <vector>

#include "read.h"

typedef amgcl::backend::builtin<double> Backend;

template <template <class> class Relaxation>
void solve(const char *label, const Matrix &a, const std::vector<double> &b, int repeats) {
  typedef amgcl::make_solver<amgcl::amg<Backend, amgcl::coarsening::smoothed_aggregation, Relaxation>,
                             amgcl::solver::cg<Backend>>
      Solver;
  for (int repeat = 0; repeat < repeats; repeat++) {
    auto system = boost::make_tuple(a.n, boost::make_iterator_range(a.row_ptr, a.row_ptr + a.n + 1),
                                  boost::make_iterator_range(a.cols, a.cols + a.nnz),
                                  boost::make_iterator_range(a.values, a.values + a.nnz));
    typename Solver::params parameters;
    parameters.solver.tol = 1e-8;
    parameters.solver.maxiter = 2000;
    std::vector<double> x(a.n, 0.0);
    double begin = clock_now(), work = processor_now();
    Solver solver(system, parameters);
    double ready = clock_now(), set_up = processor_now();
    auto result = solver(b, x);
    double done = clock_now(), solved = processor_now();
    double residual = 0, norm = 0;
    for (int i = 0; i < a.n; i++) {
      double r = b[i];
      for (int k = a.row_ptr[i]; k < a.row_ptr[i + 1]; k++) r -= a.values[k] * x[a.cols[k]];
      residual += r * r;
      norm += b[i] * b[i];
    }
    printf("%s\t%d\t%d\t%.5f\t%.5f\t%.5f\t%.5f\t%.1e\t%.0f\n", label, omp_get_max_threads(), (int)boost::get<0>(result),
           ready - begin, done - ready, set_up - work, solved - set_up, std::sqrt(residual / norm), peak_megabytes());
    fflush(stdout);
  }
}

int main(int argc, char **argv) {
  if (argc < 3) give_up("usage", "amgcl DIR REPEATS");
  std::string dir = argv[1];
  Matrix a = read_matrix((dir + "/a1.mtx").c_str());
  double *values = read_vector((dir + "/b1.mtx").c_str(), a.n);
  std::vector<double> b(values, values + a.n);
  int repeats = atoi(argv[2]);
  solve<amgcl::relaxation::spai0>("AMGCL smoothed aggregation, SPAI-0", a, b, repeats);
  solve<amgcl::relaxation::gauss_seidel>("AMGCL smoothed aggregation, Gauss-Seidel", a, b, repeats);
  solve<amgcl::relaxation::ilu0>("AMGCL smoothed aggregation, ILU(0)", a, b, repeats);
  solve<amgcl::relaxation::spai1>("AMGCL smoothed aggregation, SPAI-1", a, b, repeats);
}
