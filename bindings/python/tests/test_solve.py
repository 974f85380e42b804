"""Our own solvers, inverses, configurations."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from scipy.sparse.linalg import LinearOperator

import precondor


def residual(A, b, x):
    return np.linalg.norm(b - A @ x) / np.linalg.norm(b)


@pytest.mark.parametrize("method", ["cg", "flexible-cg", "minres", "gmres", "flexible-gmres", "bicgstab"])
def test_every_iteration_solves(csr, b, method):
    r = precondor.solve(csr, b, method, "ic", tolerance=1e-9)
    assert r.converged and r.outcome == "converged" and r.reason is None
    assert residual(csr, b, r.x) <= 1.1e-9 and np.isclose(r.true_relative_residual, residual(csr, b, r.x), rtol=1e-3)
    assert r.iterations == len(r.residuals) - 1 and r.residuals[-1] <= 1e-9 and r.residuals[0] == 1.0
    assert r.setup_seconds > 0 and r.solve_seconds > r.product_seconds > 0 and r.application_seconds > 0
    assert r.preconditioner.name == "ic" and r.columns == [r] and r.fallback == []
    assert repr(r).startswith(f"<converged after {r.iterations} iterations")
    again = precondor.solve(csr, b, method, r.preconditioner, tolerance=1e-9)
    assert again.x.tobytes() == r.x.tobytes()


def test_without_anything_said_it_is_gmres_to_the_default(csr, b):
    r = precondor.solve(csr, b)
    assert r.converged and 1e-7 < r.true_relative_residual <= 1.1e-5 and r.preconditioner is None
    assert precondor.solve(csr, b, "richardson", "jacobi", damping=0.5, max_iterations=20).outcome == "iteration-limit"


def test_several_right_hand_sides_are_each(csr):
    B = np.random.default_rng(3).standard_normal((csr.shape[0], 3))
    for order in "CF":
        r = precondor.solve(csr, np.asarray(B, order=order), "cg", "ic", tolerance=1e-9)
        assert r.converged and r.x.shape == B.shape and r.iterations.shape == (3,) and len(r.residuals) == 3
        for k, one in enumerate(r.columns):
            alone = precondor.solve(csr, B[:, k], "cg", "ic", tolerance=1e-9)
            assert np.array_equal(r.x[:, k], alone.x) and one.iterations == r.iterations[k] == alone.iterations
    start = precondor.solve(csr, B, "cg", "ic", x0=r.x, tolerance=1e-8)
    assert (start.iterations == 0).all()
    assert precondor.solve(csr, B[:, :1], "cg").x.shape == (csr.shape[0], 1)


def test_lists_and_float32_are_right_hand_sides(csr):
    n = csr.shape[0]
    assert precondor.solve(csr, [1] * n, "cg").converged
    assert precondor.solve(csr, np.ones(n, np.float32), "cg").converged


@pytest.mark.parametrize(
    "b, x0, why",
    [
        (np.ones(3), None, r"b has shape \(3,\); A has 225 rows"),
        (np.ones((225, 0)), None, "b has no columns"),
        (np.ones((225, 1, 1)), None, "b has shape"),
        (np.ones(225), np.ones(224), r"x0 has shape \(224,\), b \(225,\)"),
        (np.ones(225), np.ones((225, 1)), "x0 has shape"),
        (np.full(225, np.nan), None, "the right-hand side b is NaN in global row 0"),
        (sp.csr_matrix(np.ones((225, 1))), None, "b is sparse: hand a dense array over"),
        (np.array(["x"] * 225), None, "holds <U1, not numbers"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(csr, b, x0, why):
    with pytest.raises(precondor.DataError, match=why):
        precondor.solve(csr, b, x0=x0)


@pytest.mark.parametrize(
    "options, kind, why",
    [
        ({"tolerence": 1e-8}, precondor.ParameterError, "solver: 'tolerence': there is no such key; did you mean 'tolerance'"),
        ({"tolerance": -1}, precondor.ParameterError, "solver: 'tolerance': -1"),
        ({"method": "conjugate"}, precondor.ParameterError, "solver: 'method'"),
        ({"method": "cg", "restart": 3}, precondor.ParameterError, "'restart': cg has no such parameter"),
        ({"backend": "petsc"}, precondor.UnsupportedError, "petsc4py"),
        ({"method": "cg", "preconditioner": "ilu"}, precondor.UnsupportedError, "cg: .*needs a symmetric positive definite preconditioner"),
        ({"preconditioner": "ic", "fallback": {"preconditioner": "jacobbi"}}, precondor.ParameterError, "did you mean 'jacobi'"),
        ({"preconditioner": 7}, precondor.ParameterError, "the preconditioner is of type int: give a method's name, a dict"),
    ],
)
def test_mistakes_are_told_as_on_the_command_line(csr, b, options, kind, why):
    with pytest.raises(kind, match=why):
        precondor.solve(csr, b, **options)


def test_cg_refuses_a_matrix_that_is_not_symmetric(unsymmetric):
    with pytest.raises(precondor.UnsupportedError, match="needs a symmetric matrix; .*use gmres or bicgstab"):
        precondor.solve(unsymmetric, np.ones(unsymmetric.shape[0]), "cg")


def test_the_error_can_be_what_stops(csr, b):
    r = precondor.solve(csr, b, "cg", "ic", stop="absolute-error", tolerance=1e-6)
    assert r.converged and np.linalg.norm(r.x - sla.spsolve(csr.tocsc(), b)) <= 1.1e-6


def test_a_failing_preconditioner_is_replaced_where_that_is_asked_for(csr, b):
    r = precondor.solve(
        csr, b, "cg", {"name": "jacobi"}, tolerance=1e-9, fallback={"preconditioner": "ic", "contraction": 0.01}
    )
    assert r.converged and len(r.fallback) == 1 and r.fallback[0][2] == "cg with ic"
    r = precondor.solve(csr, b, "cg", "ic", check="lanczos")
    assert any("eigenvalue" in note for note in r.notes)


def test_any_operator_is_a_preconditioner(csr, b):
    M = precondor.preconditioner("ic", csr)
    expected = precondor.solve(csr, b, "gmres", M)
    for other in [LinearOperator(csr.shape, matvec=M.matvec), M.matvec, 1.0 * M]:
        r = precondor.solve(csr, b, "gmres", other)
        assert r.iterations == expected.iterations and r.preconditioner is None
    jacobi = sp.diags(1 / csr.diagonal())
    assert precondor.solve(csr, b, "gmres", jacobi).iterations == precondor.solve(csr, b, "gmres", "jacobi").iterations
    with pytest.raises(precondor.UnsupportedError, match="assume = 'spd'"):
        precondor.solve(csr, b, "cg", jacobi)
    assert precondor.solve(csr, b, "cg", jacobi, assume="spd").converged
    ilu = sla.spilu(csr.tocsc(), drop_tol=1e-2)
    assert precondor.solve(csr, b, "gmres", ilu.solve).iterations < precondor.solve(csr, b, "gmres").iterations
    with pytest.raises(precondor.DataError, match="the preconditioner has 9 rows, A has 225"):
        precondor.solve(csr, b, "gmres", sp.eye(9))


def test_an_operator_is_a_matrix_that_has_a_product_alone(csr, b):
    calls = []

    def product(x):
        calls.append(1)
        return csr @ x

    A = LinearOperator(csr.shape, matvec=product, dtype=np.float64)
    r = precondor.solve(A, b, "cg", "ic", preconditioner_matrix=csr, tolerance=1e-9)
    with_entries = precondor.solve(csr, b, "cg", "ic", tolerance=1e-9)
    assert r.converged and abs(r.iterations - with_entries.iterations) <= 1 and len(calls) >= r.iterations
    assert precondor.solve(A, b, "gmres", with_entries.preconditioner).converged
    with pytest.raises(precondor.UnsupportedError, match="preconditioner_matrix"):
        precondor.solve(A, b, "cg", "ic")
    with pytest.raises(precondor.UnsupportedError, match="'check' needs the entries of A"):
        precondor.solve(A, b, check="lanczos")
    with pytest.raises(precondor.UnsupportedError, match="complex"):
        precondor.solve(LinearOperator(csr.shape, matvec=product, dtype=complex), b)
    with pytest.raises(precondor.DataError, match="must be square"):
        precondor.solve(LinearOperator((3, 4), matvec=product, dtype=float), b)


def test_the_preconditioner_may_be_made_from_another_matrix(csr, b):
    near = csr.copy()
    near.data *= 1 + 0.1 * np.random.default_rng(0).random(csr.nnz)
    near = (near + near.T).tocsr() / 2
    r = precondor.solve(csr, b, "cg", "ic", preconditioner_matrix=near, tolerance=1e-9)
    assert r.converged and np.array_equal(r.preconditioner @ b, precondor.preconditioner("ic", near) @ b)
    with pytest.raises(precondor.DataError, match="9 rows, A has 225"):
        precondor.solve(csr, b, "cg", "ic", preconditioner_matrix=sp.eye(9, format="csr"))


class Mine(Exception):
    pass


def fail(*_):
    raise Mine("told by me")


def test_what_a_callback_raises_comes_back(csr, b):
    seen = []
    r = precondor.solve(csr, b, "cg", callback=lambda k, measure: seen.append((k, measure)))
    assert [k for k, _ in seen] == list(range(r.iterations + 1)) and [m for _, m in seen] == list(r.residuals)
    A = LinearOperator(csr.shape, matvec=fail, dtype=np.float64)
    for call in [
        lambda: precondor.solve(csr, b, "cg", callback=fail),
        lambda: precondor.solve(csr, b, "gmres", fail),
        lambda: precondor.solve(A, b, "gmres"),
        lambda: precondor.inverse(csr, "gmres", fail) @ b,
        lambda: precondor.run({"problem": {"kind": "poisson"}}, callback=fail),
    ]:
        with pytest.raises(Mine, match="told by me"):
            call()
    with pytest.raises(precondor.DataError, match="what the preconditioner gives has shape"):
        precondor.solve(csr, b, "gmres", lambda r: r[1:])
    with pytest.raises(precondor.DataError, match="what the preconditioner gives"):
        precondor.solve(csr, b, "gmres", lambda r: None)


def endless(n=20000):
    """A system that conjugate gradients take long for."""
    A = sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(n, n), format="csr")
    return A, np.random.default_rng(0).standard_normal(n)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_a_solve_and_gives_the_iterate_back():
    A, b = endless()
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt) as caught:
        precondor.solve(A, b, "cg", tolerance=1e-300, max_iterations=10**9)
    assert isinstance(caught.value, precondor.Interrupted)
    r = caught.value.result
    assert r.outcome == "interrupted" and not r.converged and r.iterations > 0 and np.abs(r.x).max() > 0
    assert np.isclose(r.true_relative_residual, residual(A, b, r.x), rtol=1e-6)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_handler_of_signals_may_end_a_solve_with_an_exception_of_its_own():
    A, b = endless()
    before = signal.signal(signal.SIGALRM, fail)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Mine):
            precondor.solve(A, b, "cg", tolerance=1e-300, max_iterations=10**9)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_other_threads_run_while_one_solves():
    A, b = endless()
    done, counted = threading.Event(), [0]

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(0.001)

    other = threading.Thread(target=count)
    other.start()
    try:
        precondor.solve(A, b, "cg", tolerance=1e-300, max_iterations=4000)
    finally:
        done.set()
        other.join()
    assert counted[0] > 5


def test_an_inverse_solves(csr, b):
    inverse = precondor.inverse(csr, "cg", "amg", tolerance=1e-11)
    x = sla.spsolve(csr.tocsc(), b)
    assert isinstance(inverse, LinearOperator) and np.allclose(inverse @ b, x, rtol=1e-8)
    assert inverse.solves == 1 and inverse.iterations == inverse.last.iterations > 0
    assert np.allclose(inverse.rmatvec(b), x, rtol=1e-8) and inverse.matmat(np.column_stack([b, b])).shape == (225, 2)
    found = sla.eigsh(csr, 3, sigma=0, OPinv=precondor.inverse(csr, "cg", "amg", tolerance=1e-11))[0]
    assert np.allclose(found, sla.eigsh(csr, 3, sigma=0)[0], rtol=1e-7)
    kept = csr.copy()
    inverse = precondor.inverse(kept, "cg", "ic", tolerance=1e-11)
    kept.data[:] = np.nan
    assert np.allclose(inverse @ b, x, rtol=1e-8)
    with pytest.raises(precondor.NotConvergedError, match="iteration-limit") as caught:
        precondor.inverse(csr, "cg", max_iterations=2) @ b
    assert caught.value.result.iterations == 2
    with pytest.raises(NotImplementedError, match="transpose"):
        precondor.inverse(csr, "gmres").rmatvec(b)


def test_a_configuration_is_carried_out(tmp_path, poisson):
    configuration = {
        "problem": {"kind": "poisson", "level": 4, "seed": 3},
        "solver": {"method": "cg", "tolerance": 1e-9},
        "preconditioner": {"name": "schwarz", "method": {"name": "ic"}},
    }
    r = precondor.run(configuration)
    m = {"name": "schwarz", "method": "ic"}
    assert r.x.tobytes() == precondor.solve(poisson, poisson.b, "cg", m, tolerance=1e-9).x.tobytes()
    path = tmp_path / "solve.toml"
    path.write_text("[problem]\nkind = 'poisson'\nlevel = 4\nseed = 3\n[solver]\nmethod = 'cg'\ntolerance = 1e-9\n"
                    "[preconditioner]\nname = 'schwarz'\nmethod = 'ic'\n")
    assert precondor.run(path).x.tobytes() == r.x.tobytes() and r.setup_seconds > 0
    for broken, why in [
        ({**configuration, "solvr": {}}, "'solvr': there is no such key; did you mean 'solver'"),
        ({**configuration, "problem": {"kind": "poison"}}, "did you mean 'poisson'"),
        ({**configuration, "preconditioner": {"name": "ic", "x": 1}}, "preconditioner: 'x': "),
    ]:
        with pytest.raises(precondor.ParameterError, match=why):
            precondor.run(broken)
    path.write_text("[problem]\nkind = 'poisson'\nlevl = 4\n")
    with pytest.raises(precondor.ParameterError, match="solve.toml:3:1: 'levl'"):
        precondor.run(path)
    with pytest.raises(precondor.FileError, match="not-there.toml"):
        precondor.run(tmp_path / "not-there.toml")


def test_paths_are_those_of_the_folder_that_the_program_is_in(tmp_path, monkeypatch, poisson):
    precondor.preconditioner("jacobi", poisson)
    model = tmp_path / "M.safetensors"
    monkeypatch.chdir(tmp_path)
    precondor.preconditioner("fsai", poisson).save("M.safetensors")
    assert model.exists()
    with pytest.raises(precondor.FileError, match="own.safetensors"):
        precondor.preconditioner("mlp-fsai", poisson, model="own.safetensors")
    (tmp_path / "own.safetensors").write_bytes(b"")
    with pytest.raises(precondor.Error, match="own.safetensors") as caught:
        precondor.preconditioner("mlp-fsai", poisson, model="own.safetensors")
    assert "No such file" not in str(caught.value)
