# %% [markdown]
# A neural network against SPAI and GAMG, inside PETSc, from Python.
#
# An unmodified petsc4py gains every method of Precondor by one option, `-dll_append`. This script
# builds the linear finite elements of Poisson's equation on a shifted mesh, solves them by conjugate
# gradients with several preconditioners, prints a table and draws the residuals:
#
#     cargo build --release --features petsc
#     /usr/bin/python3 examples/petsc4py_compare.py
#
# Run it under `mpirun -n 4` for the same on four ranks.

# %%
import argparse
import os
import sys
from pathlib import Path

parser = argparse.ArgumentParser(description="A network against SPAI and GAMG inside PETSc")
parser.add_argument("--level", type=int, default=6, help="(2^level - 1)^2 unknowns")
parser.add_argument("--shift", type=float, default=0.25, help="largest shift of a node, in grid steps")
parser.add_argument("--seed", type=int, default=7)
parser.add_argument("--picture", default="petsc4py_compare.png", help="where to draw the residuals")
given = parser.parse_args()

# %% The library: PETSC_OPTIONS may load it (-dll_append), else it is where PRECONDOR_PETSC_PC says or where
# `cargo build` puts it. Further options in PETSC_OPTIONS hold for every solve; -pc_type chooses a single one.
arguments = [sys.argv[0]]
if "-dll_append" not in os.environ.get("PETSC_OPTIONS", "").split():
    root = Path(__file__).resolve().parent.parent
    name = "libprecondor_petsc.so"
    candidates = [root / "target" / kind / "deps" / name for kind in ("release", "debug")]
    candidates.insert(0, Path(os.environ.get("PRECONDOR_PETSC_PC", root / name)))
    library = next((path for path in candidates if path.exists()), None)
    if library is None:
        sys.exit(f"error: no {name} in {candidates}: cargo build --release --features petsc, or name an "
                 "installed one in PETSC_OPTIONS=\"-dll_append FILE\"")
    arguments += ["-dll_append", str(library)]

import petsc4py

petsc4py.init(arguments)
from petsc4py import PETSc
import numpy as np

# %% The mesh: a square grid of triangles whose inner nodes are moved a little.
m = 2**given.level - 1
h = 1.0 / (m + 1)
random = np.random.default_rng(given.seed)
nodes = np.stack(np.meshgrid(np.arange(m + 2), np.arange(m + 2), indexing="xy"), axis=-1) * h
angle = random.uniform(0, 2 * np.pi, (m, m))
radius = given.shift * h * np.sqrt(random.uniform(0, 1, (m, m)))
nodes[1:-1, 1:-1] += np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)

# %% The matrix: every rank adds the triangles around its own rows.
n = m * m
a = PETSc.Mat().createAIJ([n, n], nnz=7)
a.setOption(PETSc.Mat.Option.IGNORE_OFF_PROC_ENTRIES, True)
b = a.createVecRight()
start, end = a.getOwnershipRange()
first, last = max(start // m, 0), min((end - 1) // m + 1, m)
for j in range(first, last + 1):
    for i in range(m + 1):
        # Two triangles of the cell (i, j), cut from lower left to upper right.
        for corners in (((i, j), (i + 1, j), (i + 1, j + 1)), ((i, j), (i + 1, j + 1), (i, j + 1))):
            p = np.array([nodes[y, x] for x, y in corners])
            edges = np.array([p[2] - p[1], p[0] - p[2], p[1] - p[0]])
            area = 0.5 * abs(edges[0][0] * edges[1][1] - edges[0][1] * edges[1][0])
            local = edges @ edges.T / (4 * area)
            rows = [(y - 1) * m + x - 1 if 0 < x <= m and 0 < y <= m else -1 for x, y in corners]
            for row, values in zip(rows, local):
                if start <= row < end:
                    a.setValues(row, rows, values, addv=True)  # columns of -1 are left out
                    b.setValue(row, area / 3, addv=True)
a.assemble()
b.assemble()

# %% The solves: the same solver and rule, one preconditioner after the other.
results = {}
kinds = ("jacobi", "precondor_spai", "precondor_fsai", "precondor_mlp_fsai", "gamg",
         "precondor_reference", "precondor_mlp_reference")
asked = PETSc.Options().getString("pc_type", "")
for kind in (asked,) if asked else kinds:
    ksp = PETSc.KSP().create()
    ksp.setType("cg")
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=1e-8)
    ksp.setOperators(a)
    ksp.getPC().setType(kind)
    if kind == "precondor_spai":
        # Conjugate gradients need a symmetric M.
        PETSc.Options()["pc_precondor_symmetrize"] = True
    ksp.setFromOptions()
    PETSc.Options().delValue("pc_precondor_symmetrize")
    ksp.setConvergenceHistory()
    x = b.duplicate()
    ksp.setUp()
    ksp.solve(b, x)
    rule = f"{ksp.getType()} to {ksp.getTolerances()[0]:g}"
    results[kind] = (ksp.getConvergenceHistory() / b.norm(), ksp.getConvergedReason())
    ksp.destroy()

PETSc.Sys.Print(f"{n} unknowns, shift {given.shift} h, {rule}")
PETSc.Sys.Print(f"{'preconditioner':<26}iterations")
for kind, (history, reason) in results.items():
    outcome = "" if reason > 0 else f"  (not converged: {reason})"
    PETSc.Sys.Print(f"{kind:<26}{len(history) - 1}{outcome}")

# %% The picture.
if PETSc.COMM_WORLD.rank == 0:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5))
    for kind, (history, _) in results.items():
        axes.semilogy(history, label=kind, linewidth=2 if "mlp" in kind else 1)
    axes.set_xlabel("iteration")
    axes.set_ylabel("‖b − Ax‖ / ‖b‖")
    axes.set_title(f"Poisson on a shifted mesh, {n} unknowns")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(given.picture, dpi=150)
    print(f"drawn: {given.picture}")
