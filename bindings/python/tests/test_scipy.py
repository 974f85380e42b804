"""SciPy's own solvers with our preconditioners."""

import inspect
import json
import os
import subprocess

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

import precondor

#: SciPy 1.12 gave the tolerance another name.
RELATIVE = "rtol" if "rtol" in inspect.signature(sla.cg).parameters else "tol"
TOLERANCE = 1e-8

#: Parameters that a method cannot do without, on this problem of 31 by 31 nodes.
NEEDED = {"fieldsplit": {"stride": 31}, "composite": {"methods": ["jacobi", "ic"]}}
#: Methods for grids of a fixed size.
LEVEL = {"mlp-dense": 3, "ridge": 3}
SHIPPED = [name for name in precondor.methods() if precondor.describe(name)["origin"] != "Python"]
ALL = sorted(set(SHIPPED) - {"cholesky"})


def tolerance(value=TOLERANCE):
    return {RELATIVE: value, "atol": 0.0}


def count(solver, A, b, M, **options):
    """Iterations of one of SciPy's solvers, and what it found."""
    steps = []
    x, info = solver(A, b, M=M, callback=steps.append, **tolerance(), **options)
    return x, info, len(steps)


@pytest.fixture(scope="module", params=ALL)
def made(request):
    name = request.param
    p = precondor.problem("poisson", level=LEVEL.get(name, 5), seed=3)
    return p, precondor.preconditioner(name, p, **NEEDED.get(name, {}))


def test_conjugate_gradients_take_as_many_iterations_as_ours(made):
    p, M = made
    if not M.positive_definite:
        pytest.skip("not a preconditioner for cg")
    x, info, iterations = count(sla.cg, p.A, p.b, M)
    ours = precondor.solve(p.A, p.b, "cg", M, tolerance=TOLERANCE)
    assert info == 0 and ours.converged
    assert abs(iterations - ours.iterations) <= 1
    assert np.linalg.norm(p.b - p.A @ x) <= 1.1 * TOLERANCE * np.linalg.norm(p.b)
    assert np.linalg.norm(x - ours.x) <= 1e-5 * np.linalg.norm(x)


def test_minres(made):
    p, M = made
    if not M.positive_definite:
        pytest.skip("not a preconditioner for minres")
    x, info = sla.minres(p.A, p.b, M=M, **{RELATIVE: 1e-10})
    # What it measures is relative to the norms of M, A and x.
    assert info == 0 and np.linalg.norm(p.b - p.A @ x) <= 1e-4 * np.linalg.norm(p.b)


@pytest.mark.parametrize("solver", [sla.gmres, sla.bicgstab, sla.lgmres], ids=lambda f: f.__name__)
def test_solvers_for_any_matrix(made, solver):
    p, M = made
    if not M.constant and solver is not sla.lgmres:
        pytest.skip("not the same in every application")
    options = {"callback_type": "legacy"} if solver is sla.gmres else {}
    x, info, _ = count(solver, p.A, p.b, M, **options)
    assert info == 0 and np.linalg.norm(p.b - p.A @ x) <= 1e-6 * np.linalg.norm(p.b)


def test_lobpcg_finds_the_smallest_eigenvalues(made):
    p, M = made
    if not M.positive_definite or p.A.shape[0] < 100:
        pytest.skip("not a preconditioner for lobpcg, or few unknowns")
    X = np.random.default_rng(0).standard_normal((p.A.shape[0], 4))
    A = sp.csr_matrix(p.A)
    found, _ = sla.lobpcg(A, X, M=M, largest=False, tol=1e-6, maxiter=400)
    exact = sla.eigsh(A, 4, sigma=0, return_eigenvectors=False)
    assert np.allclose(np.sort(found), np.sort(exact), rtol=1e-5)


def test_a_transpose_is_one_and_many_are_each(made):
    p, M = made
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, p.A.shape[0]))
    block = rng.standard_normal((p.A.shape[0], 3))
    one_by_one = np.column_stack([M @ column for column in block.T])
    size = np.abs(one_by_one).max()
    assert np.allclose(M @ block, one_by_one, rtol=0, atol=1e-12 * size)
    assert np.allclose(M.matmat(np.asfortranarray(block)), one_by_one, rtol=0, atol=1e-12 * size)
    try:
        transposed = M.rmatvec(y)
    except precondor.UnsupportedError as error:
        assert "transpose" in str(error)
        return
    # Parts of amg are in single precision.
    assert abs(y @ (M @ x) - transposed @ x) <= 1e-6 * np.linalg.norm(y) * np.linalg.norm(M @ x)
    assert np.array_equal(M.T @ y, transposed) and np.array_equal(M.H.matmat(block)[:, 0], M.rmatvec(block[:, 0]))


def test_the_explicit_inverse_is_what_is_applied(made):
    p, M = made
    r = np.random.default_rng(6).standard_normal(p.A.shape[0])
    if M.matrix is None:
        assert M.factor is None
        return
    tolerance = 1e-9 if M.name not in ("filter", "inverse") else 1e-2
    assert np.allclose(M.matrix @ r, M @ r, rtol=0, atol=tolerance * np.abs(M @ r).max())
    if M.factor is not None:
        assert np.allclose(M.factor.T @ (M.factor @ r), M @ r, rtol=0, atol=1e-9 * np.abs(M @ r).max())


def test_an_unsymmetric_system(unsymmetric):
    b = np.ones(unsymmetric.shape[0])
    for name in ["ilu", "spai", "gauss-seidel", "jacobi", "amg"]:
        M = precondor.preconditioner(name, unsymmetric)
        x, info, _ = count(sla.gmres, unsymmetric, b, M, callback_type="legacy")
        assert info == 0 and np.linalg.norm(b - unsymmetric @ x) <= 1e-6 * np.linalg.norm(b)


def test_the_program_takes_as_many_iterations(tmp_path, poisson):
    program = os.environ.get("PRECONDOR_PROGRAM")
    if program is None:
        pytest.skip("PRECONDOR_PROGRAM names no program")
    sp.save_npz(tmp_path / "A.npz", sp.csr_matrix(poisson.A))
    np.save(tmp_path / "b.npy", poisson.b)
    for method, name in [("cg", "fsai"), ("cg", "amg"), ("gmres", "ilu"), ("minres", "ic"), ("bicgstab", "spai")]:
        configuration = tmp_path / "solve.toml"
        configuration.write_text(
            f"[problem]\nmatrix = 'A.npz'\nrhs = 'b.npy'\n[solver]\nmethod = '{method}'\ntolerance = 1e-9\n"
            f"[preconditioner]\nname = '{name}'\n"
        )
        said = subprocess.run([program, "solve", "--json", str(configuration)], capture_output=True, text=True, check=True)
        said = json.loads(said.stdout)
        ours = precondor.solve(poisson.A, poisson.b, method, name, tolerance=1e-9)
        assert ours.iterations == said["iterations"]
        assert ours.true_relative_residual == said["true_relative_residual"]
        assert precondor.run(configuration).x.tobytes() == ours.x.tobytes()
