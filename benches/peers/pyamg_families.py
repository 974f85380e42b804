"""PyAMG's side of scripts/peers.sh --families, for reference: one solve of one system.

usage: pyamg_families.py STEM cg|bicgstab BLOCK sa|rs; prints the same line as families.rs."""
import resource
import sys
import time

import numpy
import pyamg
import scipy.sparse

stem, solver, block, setting = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
with open(stem + ".bin", "rb") as file:
    _, n, _, nnz = numpy.fromfile(file, ">i4", 4)
    row_ptr = numpy.concatenate([[0], numpy.cumsum(numpy.fromfile(file, ">i4", n))]).astype(numpy.int32)
    cols = numpy.fromfile(file, ">i4", nnz).astype(numpy.int32)
    values = numpy.fromfile(file, ">f8", nnz).astype(float)
    numpy.fromfile(file, ">i4", 2)
    b = numpy.fromfile(file, ">f8", n).astype(float)
a = scipy.sparse.csr_matrix((values, cols, row_ptr), shape=(n, n))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-6
begin, work = time.perf_counter(), time.process_time()
if setting == "sa":
    near = None
    if block > 1:
        near = numpy.kron(numpy.ones((n // block, 1)), numpy.eye(block))
    a_ = a.tobsr((block, block)) if block > 1 else a
    symmetry = "symmetric" if solver == "cg" else "nonsymmetric"
    ml = pyamg.smoothed_aggregation_solver(a_, B=near, symmetry=symmetry)
else:
    ml = pyamg.ruge_stuben_solver(a)
ready, set_up = time.perf_counter(), time.process_time()
residuals = []
x = ml.solve(b, tol=1e-8, maxiter=500, accel=solver, residuals=residuals)
done, solved = time.perf_counter(), time.process_time()
residual = numpy.linalg.norm(b - a @ x) / numpy.linalg.norm(b)
iterations = (len(residuals) - 1) * (1 if residual < 2e-8 else -1)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-6 - before
print(f"1\t{iterations}\t{ready - begin:.5f}\t{done - ready:.5f}\t{set_up - work:.5f}\t{solved - set_up:.5f}\t{residual:.1e}\t{peak:.1f}")
