"""A method of your own in the table of learned methods beside classical ones: its systems come out of the laboratory as files,

    precondor-lab learned --write sets --size small      # or as published, which takes room
    python3 examples/python/learned_table.py sets --report table

and this program solves them with the methods of that table and with one that is registered here: put your network in its place.
Systems, stopping rule and iteration are those of the laboratory; here no time limit ends a run. Needs Python 3.11.
"""

import argparse
import pathlib
import tomllib

import numpy as np
import scipy.sparse as sp

import precondor

CLASSICAL = [
    {"label": "none"},
    "jacobi",
    {"name": "gauss-seidel", "sweep": "symmetric", "label": "SSOR"},
    "ic",
    "fsai",
    "amg",
]


@precondor.register("mine", parameters={"degree": 2}, symmetric=True, positive_definite=True)
def mine(A, params):
    """A truncated Neumann series in D⁻¹A, damped so that it is positive definite: a stand-in for what a network writes."""
    scale = 1 / np.sqrt(A.diagonal())
    scaled = sp.diags(scale) @ A @ sp.diags(scale)
    damping = 1 / abs(scaled).sum(axis=1).max()
    rest = sp.identity(A.shape[0]) - damping * scaled
    M = term = sp.identity(A.shape[0], format="csr")
    for _ in range(params["degree"]):
        term = term @ rest
        M = M + term
    return damping * (sp.diags(scale) @ M @ sp.diags(scale))


def systems(path, listed):
    """The systems of a set, by their names. One that starts from x0 is that of the correction: A y = b − A x0 from zero."""
    made = {}
    for of in listed["problem"]["matrices"]:
        A = sp.csr_matrix(sp.load_npz(path.parent / of["matrix"]))
        b = np.load(path.parent / of["rhs"]).ravel()
        if "x0" in of:
            b = b - A @ np.load(path.parent / of["x0"]).ravel()
        made[of["label"]] = (A, b)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="what `precondor-lab learned --write` wrote")
    parser.add_argument("--report", type=pathlib.Path, help="folder for a page a set")
    arguments = parser.parse_args()

    for path in sorted(arguments.folder.glob("*.toml")):
        listed = tomllib.loads(path.read_text())
        table = precondor.compare(
            systems(path, listed),
            methods=[*CLASSICAL, {"name": "mlp-fsai", "group": "learned"}, {"name": "mine", "group": "learned"}],
            title=listed["title"],
            **listed["solver"],
        )
        print(f"\n{listed['title']}\n\n| | not solved | iterations | products | time | ρ(1), time | ρ(2), time |\n|---|---|---|---|---|---|---|")
        over = {measure: table.over_systems(measure) for measure in ("iterations", "products", "time")}
        for iterations, products, time in zip(*over.values()):
            within = lambda tau: max((share for at, share in time["profile"] if at <= tau), default=0.0)  # noqa: E731
            means = " | ".join("–" if of["mean"] is None else f"{of['mean']:.4g}" for of in (iterations, products, time))
            print(f"| {time['label']} | {time['failed']} | {means} | {within(1):.0%} | {within(2):.0%} |")
        if arguments.report:
            table.report(arguments.report / path.stem)


if __name__ == "__main__":
    main()
