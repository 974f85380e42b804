"""Methods that are written in Python."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla

import precondor


@precondor.register("t-inverse", parameters={"damping": 1.0}, symmetric=True, positive_definite=True)
def inverse(A, params):
    """Scaling by the diagonal, in Python.

    With a second paragraph.
    """
    return sp.diags(params["damping"] / A.diagonal())


@precondor.register("t-factor")
def factor(A, params):
    return precondor.Factor(sp.diags(A.diagonal() ** -0.5))


@precondor.register("t-pair")
def pair(A):
    lower = sp.tril(A, format="csr")
    return lower @ sp.diags(1 / A.diagonal()), sp.triu(A, format="csr")


@precondor.register("t-object")
class Solver:
    """Whatever SciPy's incomplete factors make."""

    def generate(self, A, params):
        return Solves(A)


class Solves:
    def __init__(self, A):
        self.factors = sla.spilu(sp.csc_matrix(A), drop_tol=1e-3)
        self.notes = ["made by SuperLU"]

    def apply(self, r):
        return self.factors.solve(r)

    def apply_transpose(self, r):
        return self.factors.solve(r, "T")


ALL = ["t-inverse", "t-factor", "t-pair", "t-object"]


def test_they_are_methods_like_others(poisson):
    A, b = poisson.A, poisson.b
    assert set(ALL) <= set(precondor.methods())
    assert precondor.methods()["t-inverse"] == "Scaling by the diagonal, in Python"
    said = precondor.describe("t-inverse")
    assert said["origin"] == "Python" and [one["name"] for one in said["parameters"]] == ["damping"]
    jacobi = precondor.solve(A, b, "cg", "jacobi", tolerance=1e-9)
    for name in ["t-inverse", "t-factor"]:
        r = precondor.solve(A, b, "cg", name, tolerance=1e-9)
        assert r.converged and abs(r.iterations - jacobi.iterations) <= 1
    sweep = precondor.solve(A, b, "gmres", {"name": "gauss-seidel", "sweep": "symmetric"}, tolerance=1e-9)
    assert abs(precondor.solve(A, b, "gmres", "t-pair", tolerance=1e-9).iterations - sweep.iterations) <= 1
    r = precondor.solve(A, b, "gmres", "t-object", tolerance=1e-9)
    assert r.iterations < 10 and "made by SuperLU" in r.notes
    assert np.array_equal(precondor.preconditioner("t-inverse", A, damping=0.5) @ b, 0.5 * (precondor.preconditioner("t-inverse", A) @ b))
    table = precondor.compare(poisson, methods=[*ALL, "ic"], tolerance=1e-8)
    assert all(row["converged"] for row in table)


@pytest.mark.parametrize("name", ALL)
def test_they_keep_their_word(name, poisson, unsymmetric):
    checked = precondor.check(name)
    assert checked and "M is linear" in checked.passed and "checks passed" in repr(checked)
    assert precondor.check(name, poisson) and "Mᵀ is the transpose" in precondor.check(name, unsymmetric).passed


@pytest.mark.parametrize("name", ALL)
def test_they_work_inside_others(name, poisson):
    b = poisson.b
    for outer in [
        {"name": "amg", "method": name},
        {"name": "multigrid", "method": name},
        {"name": "reference", "method": name} if name in ("t-inverse", "t-factor") else {"name": "schwarz", "method": name},
        {"name": "schwarz", "method": name},
        {"name": "composite", "methods": ["jacobi", name]},
    ]:
        r = precondor.solve(poisson, b, "flexible-gmres", outer, tolerance=1e-8)
        assert r.converged, outer
    with pytest.raises(precondor.ParameterError, match="'dampin'.*did you mean 'damping'"):
        precondor.preconditioner("amg", poisson, method={"name": "t-inverse", "dampin": 1})


def test_as_a_smoother_of_amg_it_is_as_good_as_the_same_of_ours(poisson):
    own = precondor.solve(poisson, poisson.b, "cg", {"name": "amg", "method": {"name": "t-inverse"}}, tolerance=1e-8)
    ours = precondor.solve(poisson, poisson.b, "cg", {"name": "amg", "method": {"name": "jacobi"}}, tolerance=1e-8)
    assert abs(own.iterations - ours.iterations) <= 1


def test_what_is_explicit_shows_and_is_kept(poisson, tmp_path):
    r = poisson.b
    for name in ["t-inverse", "t-factor"]:
        M = precondor.preconditioner(name, poisson)
        assert M.symmetric and M.positive_definite and np.allclose(M.matrix @ r, M @ r)
        M.save(tmp_path / "M")
        assert np.array_equal(precondor.load(tmp_path / "M", poisson) @ r, M @ r)
    with pytest.raises(precondor.UnsupportedError, match="explicitly stored"):
        precondor.preconditioner("t-object", poisson).save(tmp_path / "M")
    filtered = precondor.preconditioner("filter", poisson, method="t-inverse")
    assert np.allclose(filtered @ r, precondor.preconditioner("t-inverse", poisson) @ r, rtol=1e-2)


def test_transposes_and_many(unsymmetric):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, unsymmetric.shape[0]))
    for name in ALL:
        M = precondor.preconditioner(name, unsymmetric)
        assert np.isclose(y @ (M @ x), M.rmatvec(y) @ x) and np.allclose(M @ np.column_stack([x, y]), np.column_stack([M @ x, M @ y]))
    L, U = pair(unsymmetric)
    assert np.allclose(L @ (U @ (precondor.preconditioner("t-pair", unsymmetric) @ x)), x)


def test_what_is_known_of_the_matrix_is_told():
    seen = {}

    @precondor.register("t-known")
    def known(A, params):
        seen.update(A.known)
        return sp.eye(A.shape[0])

    p = precondor.problem("poisson", level=3)
    precondor.preconditioner("t-known", p)
    assert np.array_equal(seen["coordinates"], p.coordinates) and seen["grid-index"].shape == (49, 2)


def test_a_cell_that_is_run_again_replaces_what_it_made(csr, b):
    for factor in [1.0, 2.0]:

        @precondor.register("t-again")
        def again(A, params, factor=factor):
            return factor * sp.eye(A.shape[0])

        M = precondor.preconditioner("t-again", csr)
        assert np.array_equal(M @ b, factor * b)
        assert np.array_equal(precondor.preconditioner("schwarz", csr, method="t-again") @ b, factor * b)
    assert list(precondor.methods()).count("t-again") == 1


def made(value, **claims):
    @precondor.register("t-wrong", **claims)
    def wrong(A, params):
        return value(A) if callable(value) else value


def zeros(n):
    return sp.csr_matrix((np.zeros(n), (range(n), range(n))), shape=(n, n))


class Falls:
    def apply(self, r):
        raise LookupError("nothing at hand")


class Apply:
    def __init__(self, f):
        self.apply = f


@pytest.mark.parametrize(
    "value, claims, kind, why",
    [
        (None, {}, precondor.DataError, "t-wrong: its function returned None"),
        (sp.eye(3), {}, precondor.DataError, "t-wrong: M is 3×3 for a matrix of 225 rows"),
        (precondor.Factor(sp.eye(3)), {}, precondor.DataError, "t-wrong: G is 3×3"),
        ("text", {}, precondor.DataError, "t-wrong: M is no matrix: str"),
        (lambda A: np.nan * sp.eye(A.shape[0]), {}, precondor.DataError, "t-wrong: global row 0: the entry in column 0 is NaN"),
        (lambda A: 1j * sp.eye(A.shape[0]), {}, precondor.UnsupportedError, "t-wrong: M is complex"),
        (lambda A: (sp.triu(A), sp.triu(A)), {}, precondor.DataError, "global row 0: L is lower triangular, and has an entry in column"),
        (lambda A: (sp.tril(A, -1), sp.triu(A)), {}, precondor.DataError, "global row 0: L has no diagonal entry"),
        (lambda A: (sp.tril(A), sp.tril(A)), {}, precondor.DataError, "global row 1: U is upper triangular, and has an entry in column 0"),
        (lambda A: (zeros(A.shape[0]), sp.triu(A)), {}, precondor.BreakdownError, "global row 0: the diagonal entry of L is 0"),
        (lambda A: sp.tril(A), {"symmetric": True}, precondor.DataError, "M is said to be symmetric, and is not: global row 1: a"),
        (Apply(lambda r: r[1:]), {}, precondor.DataError, "t-wrong: what apply gives has shape"),
        (Apply(lambda r: None), {}, precondor.DataError, "t-wrong: apply holds object"),
        (Falls(), {}, LookupError, "nothing at hand"),
    ],
)
def test_mistakes_are_told(csr, b, value, claims, kind, why):
    made(value, **claims)
    with pytest.raises(kind, match=why):
        precondor.preconditioner("t-wrong", csr) @ b
    with pytest.raises(kind, match=why):
        precondor.preconditioner("schwarz", csr, method="t-wrong") @ b


def test_what_it_raises_comes_back_from_wherever_it_was(csr, b):
    def fail(A):
        raise LookupError("in generate")

    made(fail)
    for call in [
        lambda: precondor.solve(csr, b, "gmres", "t-wrong"),
        lambda: precondor.solve(csr, b, "gmres", {"name": "amg", "method": "t-wrong"}),
        lambda: precondor.inverse(csr, "gmres", "t-wrong"),
    ]:
        with pytest.raises(LookupError, match="in generate"):
            call()
    made(Falls())
    with pytest.raises(LookupError, match="nothing at hand"):
        precondor.solve(csr, b, "gmres", {"name": "composite", "methods": ["jacobi", "t-wrong"]})


def test_false_claims_are_found(poisson):
    @precondor.register("t-liar", positive_definite=True)
    def liar(A, params):
        return Apply(lambda r: -r)

    checked = precondor.check("t-liar")
    assert not checked and any("positive definite" in why for why in checked.failed) and "FAILED" in repr(checked)

    @precondor.register("t-liar")
    def other(A, params):
        return Apply(np.abs)

    assert any("M is linear" in why for why in precondor.check("t-liar", poisson).failed)

    @precondor.register("t-liar", symmetric=True)
    def third(A, params):
        lower = sp.tril(A, format="csr")
        return Apply(lambda r: lower @ r)

    assert any("symmetric" in why for why in precondor.check("t-liar").failed)

    @precondor.register("t-liar")
    def fourth(A, params):
        raise precondor.UnsupportedError("not for this one")

    assert "not for this one" in precondor.check("t-liar").not_tried
    with pytest.raises(precondor.UnsupportedError, match="assume = 'spd'"):
        precondor.solve(poisson, poisson.b, "cg", "t-pair")
    assert precondor.check("jacobi") and precondor.check("ic", poisson)


@pytest.mark.parametrize(
    "name, options, kind, why",
    [
        ("My Net", {}, precondor.ParameterError, "a method cannot be called 'My Net'"),
        ("jacobi", {}, precondor.PluginError, "there is a method 'jacobi' already, linked in"),
        ("t-bad", {"parameters": {"name": 1}}, precondor.ParameterError, "cannot be called 'name'"),
        ("t-bad", {"parameters": {"x": object()}}, precondor.ParameterError, "the default of 'x' is of type object"),
    ],
)
def test_names_and_parameters_that_cannot_be_are_refused(name, options, kind, why):
    with pytest.raises(kind, match=why):
        precondor.register(name, **options)(lambda A, params: None)
    with pytest.raises(precondor.ParameterError, match="has no 'generate'"):
        precondor.register("t-bad")(3)
    with pytest.raises(precondor.ParameterError, match="check\\('jacobi', A"):
        precondor.check("jacobi", damping=1)


def test_parameters_are_checked_by_their_types_and_ranges(csr):
    seen = []

    @precondor.register(
        "t-parameters",
        parameters={"width": 3, "rate": 0.5, "path": None, "on": True, "sizes": [1], "order": {"type": "integer", "default": 1, "minimum": 1}},
    )
    def wanted(A, params):
        seen.append(params)
        return sp.eye(A.shape[0])

    precondor.preconditioner("t-parameters", csr, width=np.int32(5), path="x")
    assert seen == [{"width": 5, "rate": 0.5, "path": "x", "on": True, "sizes": [1], "order": 1}]
    for given, why in [({"width": 1.5}, "'width': 1.5 is not of type integer"), ({"order": 0}, "'order': 0 must be at least 1"), ({"wdth": 1}, "did you mean 'width'")]:
        with pytest.raises(precondor.ParameterError, match=why):
            precondor.preconditioner("t-parameters", csr, **given)


def test_tensors_are_matrices_and_vectors_of_methods(csr, b):
    torch = pytest.importorskip("torch")

    @precondor.register("t-torch", symmetric=True, positive_definite=True)
    def dense(A, params):
        return torch.linalg.inv(torch.from_numpy(A.toarray()))

    assert np.allclose(precondor.preconditioner("t-torch", csr) @ b, sla.spsolve(csr.tocsc(), b), rtol=1e-8)

    @precondor.register("t-torch-object")
    def apply(A, params):
        scale = torch.from_numpy(1 / A.diagonal()).requires_grad_()
        return Apply(lambda r: scale * torch.from_numpy(r))

    assert np.allclose(precondor.preconditioner("t-torch-object", csr) @ b, b / csr.diagonal())


def test_they_take_no_memory_and_end_with_the_interpreter(child):
    assert child("""
import os, gc, numpy as np, scipy.sparse as sp, precondor
def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
class Apply:
    def __init__(self, A):
        self.A, self.apply = A, lambda r: r
@precondor.register("t-object")
def make(A, params):
    return Apply(A)
@precondor.register("t-matrix")
def matrix(A, params):
    return sp.eye(A.shape[0])
A = sp.diags([-1.0, 2.5, -1.0], [-1, 0, 1], shape=(300, 300), format="csr")
r = np.ones(300)
def some(count):
    for _ in range(count):
        for name in ["t-object", "t-matrix"]:
            precondor.preconditioner(name, A) @ r
            precondor.preconditioner("schwarz", A, method=name) @ r
    gc.collect()
some(50)
before = memory()
some(500)
assert memory() - before < 4 << 20, memory() - before
held = precondor.preconditioner("t-object", A)
print("done")
""") == "done\n"
