#!/usr/bin/env python3
"""What `precondor tune` finds beside an exhaustive grid, and which methods win on which suites: the tables of docs/tune.md.

    scripts/tune.py target/release/precondor FOLDER [SECONDS [PART OF A NAME]]

Systems of the grid are those that `tune` holds out; times of one comparison are in pairs, system by system.
"""
import csv
import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

PROGRAM, FOLDER = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2])
BUDGET = float(sys.argv[3]) if len(sys.argv) > 3 else 110.0
ONLY = sys.argv[4] if len(sys.argv) > 4 else ""
HELD_OUT = 4

# Families of which amg's parameters are tuned.
FAMILIES = {
    "elasticity, 40 nodes a side": 'kind = "elasticity"\nnodes = 40',
    "L-shape, graded": 'kind = "l-shape"\nnodes = 40\ngrading = 4.0',
    "cube, weak coupling in z": 'kind = "cube"\nnodes = 20\nanisotropy = 0.01\ndeviation = 0.5',
    "diffusion, anisotropic, Delaunay": 'kind = "diffusion"\nmesh = "delaunay"\nlevel = 6\nanisotropy = 0.01',
    "cube, log-normal": 'kind = "cube"\nnodes = 24\ndeviation = 1.0',
}
# Suites of files for which methods are sought.
SUITES = {
    "Poisson-like": [f"kind = 'diffusion'\nmesh = 'delaunay'\nnodes = {n}" for n in (80, 120)] + ["kind = 'l-shape'\nnodes = 60", "kind = 'cube'\nnodes = 28\ndeviation = 1.0"],
    "convection": [f"kind = 'convection'\nnodes = {n}\npeclet = {p}" for n in range(40, 64, 4) for p in (1.0, 3.0)],
    "well conditioned": [f"kind = 'graph'\nnodes = {n}\nshift = {s}" for n in (3000, 5000) for s in (0.3, 0.1)],
}


def precondor(*words):
    ran = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    if ran.returncode not in (0, 1):
        sys.exit(ran.stderr)
    return ran.stdout


def grid():
    """amg's parameters, all combinations."""
    axes = {
        "recipe": ["aggregation", "classical"],
        "strength": [0.05, 0.1, 0.25, 0.5],
        "smoother": ["gauss-seidel", "chebyshev", "l1-jacobi", "incomplete-cholesky"],
        "steps": [1, 2],
        "interpolation_drop": [None, 0.02, 0.15],
    }
    for values in itertools.product(*axes.values()):
        point = dict(zip(axes, values))
        steps = point.pop("steps")
        yield {"name": "amg", "before": steps, "after": steps, **{k: v for k, v in point.items() if v is not None}}


def table(name, fields):
    return f"[[run]]\nlabel = {json.dumps(name)}\npreconditioner = {{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in fields.items()) + " }\n"


def ratios(path, base):
    """Geometric means of times, in units of those of `base`, of runs that solved all."""
    times = {}
    for row in csv.DictReader(path.open()):
        if row["outcome"] == "converged":
            seconds = float(row["setup_seconds"]) + float(row["solve_seconds"])
            times.setdefault(row["label"], {})[row["case"], row["system"]] = seconds
    of_base = times[base]
    whole = {label: of for label, of in times.items() if of.keys() == of_base.keys()}
    return {label: math.exp(sum(math.log(of[k] / of_base[k]) for k in of) / len(of)) for label, of in whole.items()}


def family(name, problem):
    solver = '[solver]\nmethod = "cg"\ntolerance = 1e-8\n'
    config = FOLDER / "family.toml"
    config.write_text(f'[problem]\n{problem}\n{solver}[tune]\nmethods = ["amg"]\nbudget = {BUDGET}\n')
    out = json.loads(precondor("tune", config, "--output", FOLDER / "tuned.toml", "--force", "--json", "--report", FOLDER / "race"))
    found = out["winner"]["preconditioner"]
    config.write_text(f"repeats = 5\n[problem]\n{problem}\nsamples = {HELD_OUT}\n{solver}" + table("default", {"name": "amg"})
        + table("tuned", found) + "".join(table(f"grid {k}", point) for k, point in enumerate(grid())))
    precondor("compare", config, "--json", "--report", FOLDER / "grid")
    of = ratios(FOLDER / "grid" / "results.csv", "default")
    best = min((ratio, label) for label, ratio in of.items() if label.startswith("grid"))
    # The best of many by chance is less than it is: once more, and nothing but these.
    point = list(grid())[int(best[1].split()[1])]
    config.write_text(f"repeats = 15\n[problem]\n{problem}\nsamples = {HELD_OUT}\n{solver}" + table("default", {"name": "amg"})
        + table("tuned", found) + table("grid", point))
    precondor("compare", config, "--json", "--report", FOLDER / "again")
    of = ratios(FOLDER / "again" / "results.csv", "default")
    words = ", ".join(f"{k} {v}" for k, v in found.items() if k != "name") or "defaults"
    print(f"| {name} | {of['grid']:.2f} | {of['tuned']:.2f} | {of['tuned'] / of['grid']:.2f} | {out['configurations']} | {'yes' if out['gap'] else 'no'} | {words} |", flush=True)


def suite(name, problems):
    folder = FOLDER / "suite"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.mtx"):
        old.unlink()
    for k, problem in enumerate(problems):
        for seed in range(12 // len(problems)):
            config = FOLDER / "problem.toml"
            config.write_text(f"[problem]\n{problem}\nseed = {seed}\n")
            precondor("problem", config, "-o", folder / f"{k}-{seed}.mtx")
    config = FOLDER / "suite.toml"
    config.write_text(f'[problem]\nmatrices = "suite/*.mtx"\nrhs = "random"\n[solver]\ntolerance = 1e-8\n[tune]\nbudget = {BUDGET}\n')
    out = json.loads(precondor("tune", config, "--output", FOLDER / "tuned.toml", "--force", "--json", "--report", FOLDER / "race"))
    rows = next(s for s in out["sections"] if s["id"] == "held_out")["tables"][0]["rows"]
    shown = "; ".join(f"{row['label']} {row['values']['ratio'] or 1:.2f}" for row in rows)
    winner = out["winner"]
    found = winner["preconditioner"] or {"name": "none"}
    words = ", ".join(f"{k} {v}" for k, v in found.items() if k != "name")
    print(f"| {name} | {winner['solver']}, `{found['name']}`{' (' + words + ')' if words else ''} | {'yes' if out['gap'] else 'no'} | {shown} |", flush=True)


FOLDER.mkdir(parents=True, exist_ok=True)
print("| family | best of the grid | tuned | tuned / grid | configurations | gap said | found |\n|---|---|---|---|---|---|---|", flush=True)
for name, problem in FAMILIES.items():
    if ONLY in name:
        family(name, problem)
print("\n| suite | found | gap said | finalists, ratios to the best as it comes |\n|---|---|---|---|", flush=True)
for name, problems in SUITES.items():
    if ONLY in name:
        suite(name, problems)
