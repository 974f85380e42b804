"""Memory, threads, processes, the end of the interpreter."""

import numpy as np
import pytest
import scipy.sparse as sp

import precondor

#: Memory of this process, in bytes.
MEMORY = """
import os
def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
"""


@pytest.mark.parametrize("method", ["jacobi", "fsai", "ic", "gauss-seidel", "amg", "mlp-fsai"])
def test_ten_thousand_setups_take_no_memory(child, method):
    said = child(MEMORY + f"""
import numpy as np, scipy.sparse as sp, precondor, gc
A = sp.diags([-1.0, 2.5, -1.0], [-1, 0, 1], shape=(60, 60), format="csr")
r = np.ones(60)
def some(count):
    for k in range(count):
        M = precondor.preconditioner({method!r}, A)
        M @ r
        M.update(A)
        try:
            precondor.preconditioner({method!r}, A, nothing=k)
        except precondor.Error:
            pass
    gc.collect()
some(500)
before = memory()
some({10_000 if method in ("jacobi", "fsai") else 2_000})
print(memory() - before)
""")
    assert int(said) < 4 << 20, f"{int(said) >> 10} KiB more"


def test_solves_with_callbacks_that_raise_take_no_memory(child):
    said = child(MEMORY + """
import numpy as np, scipy.sparse as sp, precondor, gc
from scipy.sparse.linalg import LinearOperator
A = sp.diags([-1.0, 2.5, -1.0], [-1, 0, 1], shape=(60, 60), format="csr")
b = np.ones(60)
def fail(*_):
    raise ValueError("no")
def some(count):
    for _ in range(count):
        precondor.solve(A, b, "gmres", lambda r: r)
        for a, m, callback in [(A, fail, None), (A, None, fail), (LinearOperator(A.shape, matvec=fail, dtype=float), None, None)]:
            try:
                precondor.solve(a, b, "gmres", m, callback=callback)
            except ValueError:
                continue
            raise AssertionError("nothing was raised")
    gc.collect()
some(200)
before = memory()
some(2000)
print(memory() - before)
""")
    assert int(said) < 4 << 20, f"{int(said) >> 10} KiB more"


def test_a_setup_copies_nothing_of_a_matrix_of_the_right_types(child):
    """Jacobi keeps a number a row; a copy of A would be twelve bytes an entry."""
    source = MEMORY + """
import numpy as np, scipy.sparse as sp, precondor, sys
n, width = 100_000, 60
cols = (np.arange(n)[:, None] + np.arange(width)[None, :]) % n
cols.sort(axis=1)
cols = cols.astype(np.int32).ravel()
values = np.ones(n * width)
A = sp.csr_matrix((values, cols, np.arange(0, n * width + 1, width, dtype=np.int32)), shape=(n, n))
A.has_canonical_format = True
precondor.preconditioner("jacobi", sp.eye(10, format="csr"))
if sys.argv[1] == "wide":
    A.indices = A.indices.astype(np.int64)
import resource
before = memory()
top = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
M = precondor.preconditioner("jacobi", A)
print(memory() - before, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - top) << 10, 12 * A.nnz, 8 * n)
"""
    kept, most, of_a, of_m = map(int, child(source, arguments=["as-is"]).split())
    assert kept < of_a / 8 and most < of_a / 8, f"{kept} and {most} bytes for an M of {of_m}, A has {of_a}"
    kept, _, _, _ = map(int, child(source, arguments=["wide"]).split())
    assert kept > of_a / 4, "a copy is not seen"


def test_m_keeps_the_arrays_that_it_uses(child):
    assert child("""
import gc, numpy as np, scipy.sparse as sp, precondor
def make(name):
    A = sp.diags([-1.0, 2.5, -1.0], [-1, 0, 1], shape=(5000, 5000), format="csr")
    return precondor.preconditioner(name, A)
r = np.random.default_rng(0).standard_normal(5000)
for name in ["gauss-seidel", "amg", "schwarz", "ic"]:
    M = make(name)
    z = M @ r
    gc.collect()
    junk = [np.full(5000 * 3, np.nan) for _ in range(50)]
    assert np.array_equal(M @ r, z)
    del M
    gc.collect()
print("done")
""") == "done\n"


@pytest.mark.parametrize("end", ["", "import sys; sys.exit(0)", "import threading; threading.Thread(target=lambda: M @ r).start()"])
def test_the_interpreter_ends_with_everything_alive(child, end):
    child(f"""
import numpy as np, scipy.sparse as sp, precondor
p = precondor.problem("poisson", level=7)
M = precondor.preconditioner("amg", p)
inverse = precondor.inverse(p, "cg", M)
r = M @ p.b
result = precondor.solve(p, p.b, "cg", M)
held = [precondor.preconditioner(name, p) for name in ("fsai", "mlp-fsai", "schwarz")]
circle = [M]; circle.append(circle)
M.myself = M
{end}
""")


@pytest.mark.parametrize("solve", [
    'precondor.solve(A, b, "cg", lambda r: r, assume="spd", **endless)',
    'precondor.solve(A, b, "cg", "jacobi", callback=lambda k, measure: None, **endless)',
    'precondor.solve(A, b, "cg", "jacobi", **endless)',
    '[precondor.preconditioner("jacobi", A) for _ in range(10**9)]',
    '[M @ b for _ in range(10**9)]',
])
def test_a_daemon_at_work_does_not_crash_the_end(child, solve):
    child(f"""
import threading, numpy as np, scipy.sparse as sp, precondor, time
n = 50_000
A = sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(n, n), format="csr")
b, endless, M = np.ones(n), dict(tolerance=1e-300, max_iterations=10**9), precondor.preconditioner("jacobi", A)
def work():
    {solve}
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
""")


def test_a_process_that_was_forked_off_goes_on_alone(child):
    assert child("""
import multiprocessing, numpy as np, precondor
p = precondor.problem("poisson", level=8)
M = precondor.preconditioner("amg", p)
z = M @ p.b
def work(_):
    again = precondor.preconditioner("amg", p)
    return bool(np.array_equal(M @ p.b, z) and np.array_equal(again @ p.b, z) and precondor.threads() == 1)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(4)))
""") == "[True, True, True, True]\n"


def test_threads_are_as_many_as_the_environment_says_and_change_no_bit(child, monkeypatch):
    source = """
import hashlib, precondor
p = precondor.problem("poisson", level=8)
r = precondor.solve(p, p.b, "cg", "amg", tolerance=1e-8)
print(precondor.threads(), hashlib.sha256(r.x.tobytes()).hexdigest())
"""
    said = []
    for threads in ["1", "3"]:
        monkeypatch.setenv("RAYON_NUM_THREADS", threads)
        said.append(child(source).split())
    assert [threads for threads, _ in said] == ["1", "3"] and said[0][1] == said[1][1]


def test_importing_needs_nothing_else(child):
    assert child("""
import sys, precondor
print(sorted(name for name in sys.modules if name.split(".")[0] in ("torch", "pandas", "matplotlib", "mpi4py", "petsc4py")))
""") == "[]\n"


def test_a_product_costs_little_more_than_the_array_it_fills():
    """Counted in calls of Python's: none but the method itself."""
    import sys

    M = precondor.preconditioner("jacobi", sp.eye(10, format="csr"))
    r = np.ones(10)
    calls = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        M.matvec(r)
    finally:
        sys.setprofile(None)
    assert calls == ["matvec"]


def test_petsc4py_lives_beside_it_in_one_process(child):
    pytest.importorskip("petsc4py")
    said = child("""
import petsc4py
petsc4py.init([])
from petsc4py import PETSc
import numpy as np, precondor
p = precondor.problem("poisson", level=5, seed=1)
M = precondor.preconditioner("amg", p)
class Context:
    def apply(self, pc, r, z):
        z.setArray(M @ r.getArray(readonly=True))
A = PETSc.Mat().createAIJ(p.shape, csr=(p.A.indptr, p.A.indices, p.A.data))
b, x = A.createVecs()
b.setArray(p.b)
ksp = PETSc.KSP().create()
ksp.setOperators(A)
ksp.setType("cg")
ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
ksp.setTolerances(rtol=1e-8)
ksp.getPC().setType("python")
ksp.getPC().setPythonContext(Context())
ksp.solve(b, x)
r = precondor.solve(p, p.b, "cg", M, tolerance=1e-8)
print(ksp.getIterationNumber() - r.iterations, np.linalg.norm(x.getArray() - r.x) < 1e-6 * np.linalg.norm(r.x))
""")
    difference, same = said.split()
    assert abs(int(difference)) <= 1 and same == "True"
