"""What a PC of ours does over its life, asked through petsc4py, on any number of ranks.

    mpirun -n 2 /usr/bin/python3 tests/petsc/life.py target/debug/deps/libprecondor_petsc.so /tmp
"""
import ctypes
import gc
import json
import os
import sys

LIBRARY, FOLDER = sys.argv[1:]
import petsc4py

petsc4py.init(["life", "-dll_append", LIBRARY])
from petsc4py import PETSc
import numpy as np

live = ctypes.CDLL(LIBRARY).precondor_petsc_live
live.restype = ctypes.c_size_t
COMM = PETSc.COMM_WORLD
RANK, SIZE = COMM.rank, COMM.size


def laplacian(mx, my, diagonal=lambda row: 4.0, coupling=-1.0, more=()):
    """The five-point matrix of a grid, and further entries."""
    n = mx * my
    a = PETSc.Mat().createAIJ([n, n], nnz=9, comm=COMM)
    a.setOption(PETSc.Mat.Option.NEW_NONZERO_ALLOCATION_ERR, False)
    for row in range(*a.getOwnershipRange()):
        i, j = row % mx, row // mx
        a[row, row] = diagonal(row)
        for x, y in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if 0 <= x < mx and 0 <= y < my:
                a[row, y * mx + x] = coupling
        for r, c, value in more:
            if r == row:
                a[r, c] = value
    a.assemble()
    return a


def vector(a, f=lambda k: 1.0 + (k * 7 % 11)):
    """A vector of a's rows with entry f(k) in row k."""
    x = a.createVecRight()
    for row in range(*x.getOwnershipRange()):
        x[row] = f(row)
    x.assemble()
    return x


def pc(kind, a, p=None, prefix=None, options=()):
    """A PC of that type, set up."""
    new = PETSc.PC().create(COMM)
    database = PETSc.Options(prefix)
    if prefix:
        new.setOptionsPrefix(prefix)
    for key, value in options:
        database[key] = value
    new.setOperators(a, p)
    new.setType(kind)
    new.setFromOptions()
    for key, _ in options:
        database.delValue(key)
    new.setUp()
    return new


def product(m, x, transpose=False):
    """M x."""
    y = x.duplicate()
    y.set(7.0)
    (m.applyTranspose if transpose else m.apply)(x, y)
    return y


def shown(of):
    """What a view says, as rank 0 sees it."""
    path = os.path.join(FOLDER, "view.txt")
    viewer = PETSc.Viewer().createASCII(path, comm=COMM)
    of.view(viewer)
    viewer.destroy()
    COMM.barrier()
    text = open(path).read() if RANK == 0 else ""
    COMM.barrier()
    return text


def says(of, *parts):
    """The view has all of these, as rank 0 sees it."""
    text = shown(of)
    for part in parts if RANK == 0 else ():
        assert part in text, f"'{part}' is not in\n{text}"


def refused(f, *parts):
    """f fails on all ranks, with all of these in the message of each."""
    try:
        f()
    except PETSc.Error as error:
        for part in parts:
            assert part in str(error), f"'{part}' is not in\n{error}"
        return
    raise AssertionError(f"it should have failed with {parts}")


def close(x, y, to=1e-12):
    """x and y agree."""
    d = x.copy()
    d.axpy(-1.0, y)
    assert d.norm() <= to * max(1.0, y.norm()), (d.norm(), y.norm())


def test_a_product_is_what_the_method_says():
    a = laplacian(9, 7, diagonal=lambda row: 4.0 + row % 3)
    x = vector(a)
    m = pc("precondor_jacobi", a, prefix="p_", options=[("pc_precondor_damping", 0.5)])
    expected = x.copy()
    expected.pointwiseDivide(x, a.getDiagonal())
    expected.scale(0.5)
    close(product(m, x), expected)
    close(product(m, x, transpose=True), expected)
    assert live() == 1
    m.destroy()


def test_transposes_and_many_vectors_at_once():
    a = laplacian(9, 7, more=[(3, 30, 0.5), (40, 2, -0.25)])
    m = pc("precondor_spai", a)
    x, y = vector(a), vector(a, lambda k: 1.0 / (k + 1))
    left, right = product(m, x).dot(y), x.dot(product(m, y, transpose=True))
    assert abs(left - right) <= 1e-12 * abs(left), (left, right)
    n, k = a.getSize()[0], 3
    many = PETSc.Mat().createDense([n, k], comm=COMM)
    many.setUp()
    for row in range(*many.getOwnershipRange()):
        for col in range(k):
            many[row, col] = (row * (col + 2)) % 5 - 1.0
    many.assemble()
    result = many.duplicate()
    result.zeroEntries()
    result.assemble()
    m.matApply(many, result)
    for col in range(k):
        close(result.getColumnVector(col), product(m, many.getColumnVector(col)))
    m.destroy()
    # An unsymmetric V-cycle has no transpose, and PETSc says so.
    m = pc("precondor_multigrid", laplacian(9, 7), prefix="t_", options=[("pc_precondor_after", 2)])
    refused(lambda: product(m, x, transpose=True), "transpose")
    m.destroy()


def solver(a, kind, prefix=None):
    ksp = PETSc.KSP().create(COMM)
    if prefix:
        ksp.setOptionsPrefix(prefix)
    ksp.setType("gmres")
    ksp.setTolerances(rtol=1e-8)
    ksp.setOperators(a)
    ksp.getPC().setType(kind)
    ksp.setFromOptions()
    return ksp


def solve(ksp, b):
    x = b.duplicate()
    ksp.solve(b, x)
    return x


def test_new_values_refresh_and_a_new_pattern_rebuilds():
    a = laplacian(9, 7)
    b = vector(a)
    ksp = solver(a, "precondor_spai")
    x = solve(ksp, b)
    says(ksp, "type: precondor_spai", "method: spai", "power = 1 (default)", "setups: 1 from nothing, 0 refreshed")
    a.scale(2.0)
    x.scale(0.5)
    close(solve(ksp, b), x, 1e-6)
    says(ksp, "setups: 1 from nothing, 1 refreshed")
    # Nothing is done for the same matrix, nor where the user wants the old one kept.
    solve(ksp, b)
    says(ksp, "setups: 1 from nothing, 1 refreshed")
    ksp.getPC().setReusePreconditioner(True)
    a.scale(3.0)
    solve(ksp, b)
    says(ksp, "setups: 1 from nothing, 1 refreshed")
    ksp.getPC().setReusePreconditioner(False)
    other = laplacian(9, 7, more=[(0, 20, 0.5), (20, 0, 0.5)])
    ksp.setOperators(other)
    y = solve(ksp, b)
    fresh = solver(other, "precondor_spai")
    close(solve(fresh, b), y, 1e-14)
    assert fresh.getIterationNumber() == ksp.getIterationNumber()
    says(ksp, "setups: 2 from nothing, 1 refreshed")
    # Another size in the same solver.
    ksp.reset()
    small = laplacian(5, 5)
    ksp.setOperators(small)
    solve(ksp, vector(small))
    assert ksp.getConvergedReason() > 0
    ksp.destroy()
    fresh.destroy()
    assert live() == 0


def test_several_at_once_and_a_change_of_type():
    a = laplacian(9, 7)
    b = vector(a)
    kinds = ["precondor_jacobi", "precondor_spai", "precondor_fsai", "precondor_ilu"]
    all = [solver(a, kind) for kind in kinds]
    for ksp in all:
        solve(ksp, b)
    assert live() == 4
    counts = [ksp.getIterationNumber() for ksp in all]
    assert counts[0] > counts[1] > 0, counts
    one = all[0]
    for kind in ["jacobi", "precondor_ilu", "none", "precondor_spai", "precondor_jacobi"]:
        one.getPC().setType(kind)
        one.setFromOptions()
        solve(one, b)
        assert one.getConvergedReason() > 0
        assert live() == (4 if kind.startswith("precondor") else 3)
    assert one.getIterationNumber() == counts[0]
    for ksp in all:
        ksp.destroy()
    assert live() == 0


def test_a_breakdown_is_a_failed_pc_with_our_message():
    a = laplacian(9, 7, diagonal=lambda row: 0.0 if row == 60 else 4.0)
    b = vector(a)
    ksp = solver(a, "precondor_jacobi")
    solve(ksp, b)
    assert ksp.getConvergedReason() == PETSc.KSP.ConvergedReason.DIVERGED_PCSETUP_FAILED
    says(ksp, "failed: ", "jacobi", "global row 60", "the diagonal entry is 0")
    # It recovers with a matrix that has none.
    ksp.setOperators(laplacian(9, 7))
    solve(ksp, b)
    assert ksp.getConvergedReason() > 0
    ksp.destroy()


def test_what_cannot_be_is_refused_with_the_reason():
    a = laplacian(9, 7)
    wide = PETSc.Mat().createAIJ([6, 8], nnz=1, comm=COMM)
    wide.assemble()
    refused(lambda: pc("precondor_jacobi", wide), "6×8; it must be square")
    loose = PETSc.Mat().createAIJ([6, 6], nnz=1, comm=COMM)
    loose.setUp()
    refused(lambda: pc("precondor_jacobi", loose), "not assembled")

    class Free:
        def mult(self, mat, x, y):
            a.mult(x, y)

    free = PETSc.Mat().createPython(a.getSizes(), Free(), comm=COMM)
    free.setUp()
    refused(lambda: pc("precondor_jacobi", free), "type python", "second (Pmat)")
    # The matrix to build from may be another one.
    m = pc("precondor_jacobi", free, a)
    close(product(m, vector(a)), product(pc("precondor_jacobi", a), vector(a)))
    m.destroy()
    # Structured methods name the first row that does not fit.
    more = [(10, 62, 0.5)]
    refused(lambda: pc("precondor_fast_poisson", laplacian(9, 7, more=more)), "fast-poisson: ", "global row 10")
    # A type without a method, whose options were not read.
    bare = PETSc.PC().create(COMM)
    bare.setOperators(a)
    bare.setType("precondor")
    refused(bare.setUp, "no method was chosen", "-pc_precondor_name")
    bare.destroy()


def test_matrices_of_other_types_are_converted():
    a = laplacian(8, 8)
    x = vector(a)
    expected = product(pc("precondor_spai", a), x)
    for kind in ["dense", "baij", "sbaij"]:
        other = a.copy()
        if kind == "sbaij":
            other.setOption(PETSc.Mat.Option.SYMMETRIC, True)
        other = other.convert(kind)
        close(product(pc("precondor_spai", other), x), expected)


def test_an_explicit_inverse_is_a_matrix_of_petsc():
    a = laplacian(9, 7, diagonal=lambda row: 4.0 + row % 3)
    x = vector(a)
    for kind in ["spai", "fsai"]:
        expected = product(pc(f"precondor_{kind}", a), x)
        m = pc(f"precondor_{kind}", a, prefix="e_", options=[("pc_precondor_explicit", "true")])
        says(m, "applied as a matrix of PETSc")
        close(product(m, x), expected)
        stored = m.query("precondor_explicit")
        assert stored is not None
        m.destroy()
    refused(
        lambda: pc("precondor_gauss_seidel", a, prefix="e_", options=[("pc_precondor_explicit", "true")]),
        "gauss-seidel stores no inverse",
    )


def test_the_grid_of_a_dmda_is_recognised_however_it_is_cut():
    for mx, my, cut in [(9, 7, (1, SIZE)), (9, 7, (SIZE, 1)), (12, 1, (SIZE, 1))]:
        da = PETSc.DMDA().create([mx, my], dof=1, stencil_width=1, proc_sizes=cut, comm=COMM)
        a = da.createMatrix()
        a.setOption(PETSc.Mat.Option.NEW_NONZERO_ALLOCATION_ERR, False)
        row, col = PETSc.Mat.Stencil(), PETSc.Mat.Stencil()
        (xs, xe), (ys, ye) = da.getRanges()
        for j in range(ys, ye):
            for i in range(xs, xe):
                row.index = (i, j)
                for x, y, value in (
                    (i, j, 4.0), (i - 1, j, -1.0), (i + 1, j, -1.0), (i, j - 1, -1.0), (i, j + 1, -1.0),
                ):
                    if 0 <= x < mx and 0 <= y < my:
                        col.index = (x, y)
                        a.setValueStencil(row, col, value)
        a.assemble()
        m = pc("precondor_fast_poisson", a)
        says(m, "method: fast-poisson")
        # Cut into columns the numbering is another one, unless there is but one row.
        if cut[0] > 1 and my > 1:
            says(m, f"the DMDA is cut into {SIZE} by 1 processes")
        x = vector(a)
        # fast-poisson is the inverse of this very matrix.
        close(product(m, a * x), x, 1e-10)
        m.destroy()
        da.destroy()


def neumann(mx, my):
    """The Laplacian of a grid: rows add up to zero."""
    n = mx * my
    a = PETSc.Mat().createAIJ([n, n], nnz=5, comm=COMM)
    for row in range(*a.getOwnershipRange()):
        i, j = row % mx, row // mx
        near = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
        near = [(x, y) for x, y in near if 0 <= x < mx and 0 <= y < my]
        a[row, row] = float(len(near))
        for x, y in near:
            a[row, y * mx + x] = -1.0
    a.assemble()
    return a


def krylov(kind, a, p, of, rtol=1e-9):
    """A KSP of that type with a PC of ours."""
    ksp = PETSc.KSP().create(COMM)
    ksp.setType(kind)
    ksp.setOperators(a, p)
    ksp.setTolerances(rtol=rtol, max_it=500)
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.getPC().setType(of)
    return ksp


def solved(ksp, b):
    """The solution, and the number of iterations."""
    x = b.duplicate()
    x.set(0.0)
    ksp.solve(b, x)
    assert ksp.getConvergedReason() > 0, ksp.getConvergedReason()
    return x, ksp.getIterationNumber()


def test_a_singular_level_is_solved_in_its_range():
    a = neumann(12, 9)
    constant = PETSc.NullSpace().create(constant=True, comm=COMM)
    b = vector(a)
    inside = b.copy()
    constant.remove(inside)
    for method in ("inverse", "ic", "schwarz", "jacobi"):
        # With the null space known to PETSc, with nothing but the rows' sums, and its vector given.
        counts = []
        ones = vector(a, lambda k: 1.0)
        ones.normalize()
        for null in (constant, None, PETSc.NullSpace().create(vectors=[ones], comm=COMM)):
            p = a.copy()
            if null is not None:
                p.setNullSpace(null)
            whole = p.copy()
            whole.setNullSpace(constant)
            whole.setTransposeNullSpace(constant)
            ksp = krylov("cg", whole, p, "precondor_" + method)
            x, count = solved(ksp, inside)
            constant.remove(x)
            close(a * x, inside, 1e-7)
            counts.append(count)
            ksp.destroy()
        assert len(set(counts)) == 1, (method, counts)
        # The inverse is a direct method: of a singular matrix too.
        assert method != "inverse" or counts[0] <= 2, counts
    # A singular level within another method: one solve with the level's own matrix.
    a.setNullSpace(constant)
    a.setTransposeNullSpace(constant)
    outer = PETSc.KSP().create(COMM)
    outer.setType("fgmres")
    outer.setOperators(a)
    outer.setTolerances(rtol=1e-9)
    outer.getPC().setType("ksp")
    inner = outer.getPC().getKSP()
    inner.setType("preonly")
    inner.getPC().setType("precondor_inverse")
    x, count = solved(outer, inside)
    constant.remove(x)
    close(a * x, inside, 1e-7)
    assert count <= 2, count
    outer.destroy()


def test_near_null_spaces_and_block_sizes_are_taken():
    # Of no effect on methods that do not ask for them, and no trouble on any number of ranks.
    n = 24
    a = laplacian(n, 2)
    a.setBlockSize(2)
    vectors = [vector(a, lambda k: float(k % 2)), vector(a, lambda k: float(k))]
    for x in vectors:
        x.normalize()
    dot = vectors[0].dot(vectors[1])
    vectors[1].axpy(-dot, vectors[0])
    vectors[1].normalize()
    a.setNearNullSpace(PETSc.NullSpace().create(vectors=vectors, comm=COMM))
    m = pc("precondor_ic", a)
    plain = pc("precondor_ic", laplacian(n, 2))
    close(product(m, vector(a)), product(plain, vector(a)))
    for each in (m, plain):
        each.destroy()
    # Vectors that make no basis are refused.
    bad = neumann(6, 4)
    ones = vector(bad, lambda k: 1.0)
    ones.normalize()
    basis = PETSc.NullSpace().create(vectors=[ones], comm=COMM)
    ones.set(0.0)
    bad.setNullSpace(basis)
    m = PETSc.PC().create(COMM)
    m.setOperators(bad)
    m.setType("precondor_ic")
    refused(m.setUp, "vector 1 of the null space is zero")
    m.destroy()


class Free:
    """A product with a matrix, and nothing else."""

    def __init__(self, a):
        self.a = a

    def mult(self, _, x, y):
        self.a.mult(x, y)


def test_the_preconditioner_is_made_from_the_second_operator():
    p = laplacian(9, 7)
    a = laplacian(9, 7, diagonal=lambda row: 4.5 + row % 2)
    b = vector(a)
    inverse = pc("precondor_inverse", p)
    expected = product(inverse, b)
    shell = PETSc.Mat().createPython(p.getSizes(), Free(a), comm=COMM)
    shell.setUp()
    for operator in (a, shell):
        ksp = krylov("gmres", operator, p, "precondor_inverse")
        ksp.setUp()
        close(product(ksp.getPC(), b), expected)
        x, count = solved(ksp, b)
        close(a * x, b, 1e-7)
        assert count > 2, "M is P's inverse, not A's"
        ksp.destroy()
        own = krylov("gmres", a, a, "precondor_inverse")
        assert solved(own, b)[1] <= 2
        own.destroy()
    inverse.destroy()
    refused(lambda: pc("precondor_inverse", shell), "python", "Pmat")


def steps(reuse, systems, warm=False, options=()):
    """Systems one after the other in one solver: their iterations, and how often M was made and how."""
    ksp = PETSc.KSP().create(COMM)
    ksp.setOptionsPrefix("s_")
    database = PETSc.Options("s_")
    for key, value in (("pc_precondor_reuse", reuse), *options):
        database[key] = value
    ksp.setType("cg")
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=1e-8, max_it=60)
    ksp.setInitialGuessNonzero(warm)
    ksp.getPC().setType("precondor_fsai")
    ksp.setFromOptions()
    for key in ("pc_precondor_reuse", *(key for key, _ in options)):
        database.delValue(key)
    a, counts = laplacian(12, 12), []
    b = vector(a)
    x = b.duplicate()
    for scale in systems:
        # Half of the unknowns in other units, and never the same matrix twice.
        unit = vector(a, lambda k: scale if k < 72 else 1.0)
        step = laplacian(12, 12)
        step.diagonalScale(unit, unit)
        step.copy(a)
        if ksp.getOperators()[0] != a:
            ksp.setOperators(a)
        if not warm:
            x.set(0.0)
        ksp.solve(b, x)
        counts.append((ksp.getIterationNumber(), ksp.getConvergedReason() > 0))
    line = [line for line in shown(ksp).splitlines() if "setups: " in line]
    ksp.destroy()
    made = [int(word) for word in line[0].replace(",", "").split() if word.isdigit()] if line else None
    return counts, made


def test_options_say_when_it_is_made_anew():
    slow = [1.0 + 0.06 * k for k in range(12)]
    found = {reuse: steps(reuse, slow) for reuse in ("keep", "refresh", "adaptive")}
    # The policy is ours; PETSc's own word, that the old one stays, is obeyed before we are asked.
    found["petsc"] = steps("refresh", slow, options=[("ksp_reuse_preconditioner", "1")])
    iterations = {key: sum(count for count, _ in counts) for key, (counts, _) in found.items()}
    assert iterations["refresh"] < iterations["adaptive"] < iterations["keep"] == iterations["petsc"], iterations
    assert all(good for counts, _ in found.values() for _, good in counts)
    if RANK == 0:
        assert [found[key][1] for key in ("keep", "refresh", "petsc")] == [[1, 0, 11], [1, 11, 0], [1, 0, 0]], found
        made = found["adaptive"][1]
        assert made[0] == 1 and made[1] > 0 and made[2] > 0 and sum(made) == 12, made
        # The same on any number of ranks.
        path = os.path.join(FOLDER, "steps.json")
        told = json.loads(json.dumps(found))
        if SIZE == 1:
            json.dump(told, open(path, "w"))
        assert json.load(open(path)) == told, (told, open(path).read())
    # What a setup counts for may be said.
    for cost, made in (("1e6", [1, 0, 11]), ("0.001", [1, 10, 1])):
        told = steps("adaptive", slow, options=[("pc_precondor_setup_cost", cost)])[1]
        assert told in (None, made), told


def test_a_solve_that_fails_ends_what_was_kept_and_a_guess_is_respected():
    # The third solve fails with the M of the first; the fourth has one of its own.
    counts, made = steps("keep", [1.0, 1.01, 1e3, 1e3, 1e3])
    assert [good for _, good in counts] == [True, True, False, True, True], counts
    assert made in (None, [1, 1, 3]), made
    # A start from the solution has nothing to do, whoever keeps M.
    for reuse in ("keep", "refresh", "adaptive"):
        counts, _ = steps(reuse, [1.0, 1.0, 1.0], warm=True)
        assert [count > 0 for count, _ in counts] == [True, False, False], counts


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        gc.collect()
        PETSc.garbage_cleanup(COMM)
        COMM.barrier()
        assert live() == 0, f"{name} leaves {live()} PCs"
        PETSc.Sys.Print(f"ok {name}")
