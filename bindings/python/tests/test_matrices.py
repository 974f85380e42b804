"""What is taken for A."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

import precondor


def applied(A, r, **known):
    """M r for a method that looks at all entries of A, in their order."""
    system = precondor.System(A, **known) if known else A
    return precondor.preconditioner("gauss-seidel", system, sweep="symmetric") @ r


FORMATS = ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"]


@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_the_same_matrix(csr, b, form, kind):
    A = getattr(sp, f"{form}_{kind}")(csr)
    assert np.array_equal(applied(A, b), applied(csr, b))


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("value", [np.float64, np.float32, np.int64, np.int8, np.uint16, ">f8", np.longdouble])
def test_numbers_of_any_type_are_widened(index, value):
    A = sp.csr_matrix(sp.diags([-1.0, 4.0, -2.0], [-1, 0, 1], shape=(9, 9)))
    r = np.arange(9.0) if np.dtype(value).kind != "u" else np.ones(9)
    if np.dtype(value).kind == "u":
        A = abs(A)
    same = sp.csr_matrix(A)
    same.data = same.data.astype(value)
    same.indices, same.indptr = same.indices.astype(index), same.indptr.astype(index)
    assert np.array_equal(applied(same, r), applied(A, r))


def test_booleans_are_ones():
    A = sp.csr_matrix(np.eye(4, dtype=bool))
    assert np.array_equal(precondor.preconditioner("jacobi", A) @ np.arange(4.0), np.arange(4.0))


def test_unsorted_and_double_entries_are_what_scipy_takes_them_for(csr, b):
    rng = np.random.default_rng(1)
    rows, cols = csr.nonzero()
    values = np.asarray(csr[rows, cols]).ravel()
    split = rng.random(len(values))
    rows, cols = np.tile(rows, 2), np.tile(cols, 2)
    values = np.concatenate([values * split, values * (1 - split)])
    order = rng.permutation(len(rows))
    rows, cols, values = rows[order], cols[order], values[order]
    # Rows one after the other, with their entries as they came.
    by_row = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=csr.shape[0]))])
    A = sp.csr_matrix((values[by_row], cols[by_row], indptr), shape=csr.shape)
    assert not A.has_sorted_indices and not A.has_canonical_format
    before = A.data.copy(), A.indices.copy()
    assert np.allclose(applied(A, b), applied(csr, b), rtol=1e-12)
    assert precondor.System(A).nnz == csr.nnz
    # Nothing was done to the matrix itself.
    assert np.array_equal(A.data, before[0]) and np.array_equal(A.indices, before[1])


def test_arrays_that_cannot_be_written_or_have_gaps_or_stand_askew(csr, b):
    expected = applied(csr, b)
    for array in (csr.data, csr.indices, csr.indptr):
        array.flags.writeable = False
    assert np.array_equal(applied(csr, b), expected)

    gaps = csr.copy()
    gaps.data = np.repeat(csr.data, 2)[::2]
    gaps.indices = np.repeat(csr.indices, 3)[::3]
    assert not gaps.data.flags.contiguous
    assert np.array_equal(applied(gaps, b), expected)

    askew = csr.copy()
    room = np.zeros(8 * csr.nnz + 1, np.uint8)
    askew.data = room[1:].view(np.float64)
    askew.data[:] = csr.data
    assert not askew.data.flags.aligned
    assert np.array_equal(applied(askew, b), expected)

    longer = csr.copy()
    longer.data = np.concatenate([csr.data, [np.nan] * 3])
    longer.indices = np.concatenate([csr.indices, np.array([-1] * 3, np.int32)])
    assert np.array_equal(applied(longer, b), expected)


def test_residuals_of_any_kind(csr, b):
    M = precondor.preconditioner("gauss-seidel", csr)
    expected = M @ b
    read_only = b.copy()
    read_only.flags.writeable = False
    for r in [read_only, np.repeat(b, 2)[::2], b[::-1][::-1], b.astype(">f8"), list(b)]:
        assert np.array_equal(M.matvec(np.asarray(r)), expected)
    assert np.array_equal(M @ b[:, np.newaxis], expected[:, np.newaxis])
    assert np.allclose(M @ b.astype(np.float32), expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(M @ (b + 2j * b), expected + 2j * expected)
    whole = np.arange(len(b)) % 5
    assert np.array_equal(M @ whole, M @ whole.astype(float))
    for wrong in [b[:-1], np.zeros((len(b), 2, 2))]:
        with pytest.raises(ValueError):
            M @ wrong
    with pytest.raises(ValueError, match="shape"):
        M._native.apply(b[:-1])


def test_dense_matrices_and_lists_are_taken_without_their_zeros(csr, b):
    assert np.array_equal(applied(csr.toarray(), b), applied(csr, b))
    assert precondor.System([[2.0, 0.0], [0.0, 3.0]]).nnz == 2


@pytest.mark.parametrize("value, said", [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_what_is_not_finite_is_refused_with_its_row(csr, value, said):
    row = 37
    csr.data[csr.indptr[row]] = value
    with pytest.raises(precondor.DataError, match=f"global row {row}: the entry in column {csr.indices[csr.indptr[row]]} is {said}"):
        precondor.preconditioner("jacobi", csr)


def test_complex_numbers_are_refused_and_say_so(csr, b):
    for call in [
        lambda: precondor.preconditioner("jacobi", csr.astype(complex)),
        lambda: precondor.solve(csr, b.astype(complex)),
        lambda: precondor.solve(csr, b, x0=b * 1j),
    ]:
        with pytest.raises(precondor.UnsupportedError, match="complex128.*only real numbers"):
            call()


@pytest.mark.parametrize(
    "A, why",
    [
        (sp.csr_matrix((3, 4)), "A is 3×4; it must be square"),
        (np.zeros(3), "A is no matrix: ndarray of shape"),
        (np.zeros((2, 2, 2)), "A is no matrix"),
        ("A.mtx", "A is no matrix: str"),
        (None, "A is no matrix: NoneType"),
        (np.array([["a", "b"], ["c", "d"]]), "holds <U1, not numbers"),
    ],
)
def test_what_is_no_matrix_is_refused(A, why):
    with pytest.raises(precondor.DataError, match=why):
        precondor.preconditioner("jacobi", A)


def broken(change):
    A = sp.csr_matrix(sp.diags([-1.0, 4.0, -1.0], [-1, 0, 1], shape=(6, 6)))
    change(A)
    return A


def beyond(A):
    A.indices[3] = 6


def negative(A):
    A.indices[3] = -1


def wide_and_negative(A):
    A.indices = A.indices.astype(np.int64)
    A.indices[3] = -1


def backwards(A):
    A.indptr[2] = 12


def late(A):
    A.indptr[0] = 1


def few(A):
    A.data = A.data[:-2]


@pytest.mark.parametrize(
    "change, why",
    [
        (beyond, "global row 1: column 6 of a matrix with 6 columns"),
        (negative, "global row 1: column -1 of a matrix"),
        (wide_and_negative, "column index 3 of A is -1"),
        (backwards, "global row 2: its entries 12 to 8"),
        (late, "its first row offset is not 0"),
        (few, "16 column indices and 14 values"),
    ],
)
def test_arrays_that_are_no_matrix_are_refused(change, why):
    with pytest.raises(precondor.DataError, match=why):
        precondor.preconditioner("jacobi", broken(change))


def test_an_empty_matrix_and_one_without_entries():
    empty = sp.csr_matrix((0, 0))
    assert (precondor.preconditioner("jacobi", empty) @ np.zeros(0)).shape == (0,)
    with pytest.raises(precondor.BreakdownError, match="global row 0"):
        precondor.preconditioner("jacobi", sp.csr_matrix((5, 5)))


def test_an_operator_has_no_entries(csr):
    A = LinearOperator(csr.shape, matvec=lambda x: csr @ x)
    with pytest.raises(precondor.UnsupportedError, match="preconditioner_matrix"):
        precondor.preconditioner("jacobi", A)


@pytest.mark.parametrize("seed", range(30))
def test_any_arrays_are_solved_with_or_refused(seed):
    """Whatever stands in the arrays, the answer is an exception of ours or a vector."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 9))
    entries = int(rng.integers(0, 4 * n))
    indptr = np.sort(rng.integers(0, entries + 1, n + 1))
    indptr[0], indptr[-1] = 0, entries
    if rng.random() < 0.3:
        indptr[rng.integers(0, n + 1)] = rng.integers(-2, entries + 3)
    indices = rng.integers(-1 if rng.random() < 0.3 else 0, n + (rng.random() < 0.3), entries)
    data = rng.choice([0.0, 1.0, -2.5, 1e300, 1e-300, np.nan if rng.random() < 0.2 else 3.0], entries)
    A = sp.csr_matrix((n, n))
    A.indptr, A.indices, A.data = indptr.astype(rng.choice([np.int32, np.int64])), indices, data
    for method in ["jacobi", "ilu", "spai", "gauss-seidel", "amg", "auto"]:
        try:
            assert precondor.preconditioner(method, A).matvec(np.ones(n)).shape == (n,)
        except precondor.Error:
            pass


def test_what_is_known_of_a_matrix_reaches_it(csr):
    n = csr.shape[0]
    places = np.random.default_rng(2).random((n // 5, 2))
    system = precondor.System(csr, block_size=5, coordinates=places, near_null_space=np.ones(n), coefficient=np.ones(n))
    assert system.known == ["block-size", "coefficient", "coordinates", "near-nullspace"]
    assert system.shape == csr.shape and system.nnz == csr.nnz and "225 unknowns" in repr(system)
    for known, why in [
        ({"coordinates": np.ones((n, 4))}, "4 coordinates a row"),
        ({"coordinates": np.ones((n - 1, 2))}, "coordinates has shape"),
        ({"near_null_space": np.full(n, np.nan)}, "'near-nullspace': NaN in global row 0"),
        ({"block_size": 0}, "'block-size': 0 in global row 0"),
    ]:
        with pytest.raises(precondor.DataError, match=why):
            precondor.System(csr, **known)
    with pytest.raises(precondor.ParameterError, match="'nearly' is not"):
        precondor.System(csr, null_space="nearly")


def test_null_spaces_are_seen_given_or_left_alone():
    n = 20
    A = sp.lil_matrix(sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(n, n)))
    A[0, 0] = A[n - 1, n - 1] = 1.0
    A = A.tocsr()
    b = np.linspace(-1, 1, n)
    seen = precondor.solve(A, b, "cg", tolerance=1e-10)
    assert seen.converged and any("A is singular" in note for note in seen.notes)
    given = precondor.solve(precondor.System(A, null_space=np.ones(n)), b, "cg", tolerance=1e-10)
    assert given.converged and np.allclose(given.x, seen.x)
    alone = precondor.System(A, null_space="none")
    assert "null-space" not in alone.known
    with pytest.raises(precondor.DataError, match="null space"):
        precondor.System(A, null_space=np.arange(n))
