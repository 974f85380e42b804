"""What a PC of ours is told of a matrix beside its entries, as a plugin says that fails with just that."""
import sys

import petsc4py

petsc4py.init(["told", "-dll_append", sys.argv[1]])
from petsc4py import PETSc


def matrix(shift):
    """Second differences of four unknowns whose rows add up to `shift`."""
    a = PETSc.Mat().createAIJ([4, 4], nnz=3)
    for i in range(4):
        for j in (i - 1, i + 1):
            if 0 <= j < 4:
                a.setValue(i, j, -1.0, addv=True)
                a.setValue(i, i, 1.0, addv=True)
        a.setValue(i, i, shift, addv=True)
    a.assemble()
    return a


def vectors(*lists):
    made = []
    for values in lists:
        x = PETSc.Vec().createSeq(4)
        x.setArray(values)
        made.append(x)
    return made


def told(what, a, places=None):
    pc = PETSc.PC().create()
    pc.setOperators(a)
    pc.setType("precondor_faulty")
    if places is not None:
        pc.setCoordinates(places)
    try:
        pc.setUp()
    except PETSc.Error as error:
        found = [line for line in str(error).splitlines() if "told of" in line or "given" in line]
        line = found[0]
        word = "told of" if "told of" in line else "PCSetCoordinates"
        print(f"{what}: {line[line.index(word):]}", flush=True)


ODD = (0.5, -0.5, 0.5, -0.5)
told("nothing", matrix(0.1))
a = matrix(0.1)
a.setBlockSize(2)
told("block-size", a)
a = matrix(0.1)
a.setNearNullSpace(PETSc.NullSpace().create(constant=True, vectors=vectors(ODD)))
told("near", a)
a = matrix(0.1)
a.setNullSpace(PETSc.NullSpace().create(constant=True))
told("constant", a)
a = matrix(0.1)
a.setNullSpace(PETSc.NullSpace().create(constant=True, vectors=vectors(ODD)))
told("vectors", a)
told("row sums", matrix(0.0))
told("places", matrix(0.1), [[0, 1], [2, 3], [4, 5], [6, 7]])
a = matrix(0.1)
a.setBlockSize(2)
told("places of nodes", a, [[0, 1, 2], [3, 4, 5]])
told("places of too few", matrix(0.1), [[0, 1], [2, 3], [4, 5]])
# A grid of two nodes of two unknowns.
grid = PETSc.DMDA().create([2], dof=2)
grid.setUniformCoordinates(0, 1)
a = grid.createMatrix()
for i in range(4):
    a.setValue(i, i, 1.0)
a.assemble()
told("grid", a)
