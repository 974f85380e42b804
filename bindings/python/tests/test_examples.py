"""The examples, made small: what they say is so."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import precondor

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples/python"


def run(name, *arguments, folder):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    environment = {**__import__("os").environ, "PYTHONPATH": str(pathlib.Path(precondor.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def iterations(text, label, section):
    """Of a method in the table of a section."""
    after = text[text.index(f"## {section}\n") :]
    return int(re.search(rf"^\| {re.escape(label)} +\| \w+ +\| +\**(\d+)\**", after, re.M).group(1))


@pytest.mark.skipif(not EXAMPLES.exists(), reason="no sources around")
def test_the_dense_network_beats_classical_methods_on_its_own_grid(tmp_path):
    pytest.importorskip("torch")
    said = run("dense_network.py", "--level", 2, "--steps", 300, "--systems", 200, "--save", "m.safetensors", "--report", "report", folder=tmp_path)
    assert "torch-dense: " in said and "FAILED" not in said
    for k in range(3):
        assert iterations(said, "torch-dense", f"system {k}") < iterations(said, "ic", f"system {k}")
    assert (tmp_path / "report/index.html").exists()
    # Written for mlp-dense it is the same network.
    p = precondor.problem("poisson", level=2, shift=0.25, seed=2)
    r = precondor.solve(p, p.b, "gmres", {"name": "mlp-dense", "model": tmp_path / "m.safetensors"}, tolerance=1e-8)
    assert abs(r.iterations - iterations(said, "torch-dense", "system 0")) <= 1
    assert np.linalg.norm(p.b - p.A @ r.x) <= 1.1e-8 * np.linalg.norm(p.b)


@pytest.mark.skipif(not EXAMPLES.exists(), reason="no sources around")
def test_the_graph_network_learns_to_beat_what_it_starts_from(tmp_path):
    pytest.importorskip("torch")
    said = run("graph_network.py", "--steps", 300, folder=tmp_path)
    before, after = map(float, re.search(r"loss (\S+) before, (\S+) after", said).groups())
    assert after < before
    for kind in ["poisson", "diffusion"]:
        assert iterations(said, "graph-factor", kind) < iterations(said, "gauss-seidel sweep symmetric", kind)
        assert iterations(said, "graph-factor in amg", kind) < iterations(said, "graph-factor", kind)


@pytest.mark.skipif(not EXAMPLES.exists(), reason="no sources around")
def test_a_method_joins_the_table_of_learned_and_classical_ones(tmp_path):
    pytest.importorskip("tomllib")
    import scipy.sparse as sp

    # As `precondor-lab learned --write` writes a set, whose systems start from x0, and stop at an absolute residual.
    folder, listed = tmp_path / "sets", "title = 'Diffusion'\n"
    (folder / "d").mkdir(parents=True)
    for k in range(3):
        p = precondor.problem("diffusion", level=4, index=k, rhs="random")
        sp.save_npz(folder / f"d/{k}.npz", sp.csr_matrix(p.A))
        np.save(folder / f"d/{k}_b.npy", p.b)
        np.save(folder / f"d/{k}_x0.npy", np.arange(float(len(p.b))))
        listed += (
            f"[[problem.matrices]]\nlabel = 'system {k}'\nmatrix = 'd/{k}.npz'\nrhs = 'd/{k}_b.npy'\nx0 = 'd/{k}_x0.npy'\n"
        )
    rule = "[solver]\nmethod = 'cg'\nmax_iterations = 2000\ntolerance = 1e-30\nabsolute_tolerance = 1e-6\n"
    (folder / "d.toml").write_text(listed + rule)
    said = run("learned_table.py", "sets", "--report", "table", folder=tmp_path)
    rows = {row[1].strip(): [cell.strip() for cell in row[2:8]] for row in (line.split("|") for line in said.splitlines()) if len(row) == 9}
    assert {"none", "SSOR", "ic", "amg", "mlp-fsai", "mine"} <= set(rows), said
    solved = {label: row for label, row in rows.items() if row[0] == "0"}
    assert set(solved) >= {"none", "SSOR", "ic", "amg", "mlp-fsai", "mine"}, said
    assert float(rows["mine"][1]) < float(rows["none"][1]) and float(rows["amg"][1]) < float(rows["ic"][1])
    # M = I costs nothing; every iteration takes a product, and an application of M counts by its entries.
    assert float(rows["none"][2]) <= float(rows["none"][1]) + 3 and float(rows["mine"][2]) > 2 * float(rows["mine"][1])
    # The same as from x0.
    A, b, x0 = (sp.load_npz(folder / "d/0.npz"), np.load(folder / "d/0_b.npy"), np.load(folder / "d/0_x0.npy"))
    keys = dict(tolerance=1e-30, absolute_tolerance=1e-6, max_iterations=2000)
    there = precondor.solve(A, b, "cg", "ic", x0=x0, **keys).iterations
    assert abs(precondor.solve(A, b - A @ x0, "cg", "ic", **keys).iterations - there) <= 1
    page = (tmp_path / "table/d/index.html").read_text()
    assert "Over all systems" in page and "mine" in page


@pytest.mark.skipif(not EXAMPLES.exists(), reason="no sources around")
def test_a_network_tells_positions_as_well_as_one_product_more_does(tmp_path):
    pytest.importorskip("torch")
    said = run("learned_positions.py", "--steps", 400, "--level", 6, "--trainings", 1, folder=tmp_path)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines() if line.startswith("| ")]
    # Errors at .1, .25 and .35, of the same number of products with and without a network.
    errors = {(row[0].split(";")[0], row[1]): [float(cell) for cell in row[2::2]] for row in rows if "A0⁻¹" in row[0]}
    for products in "12":
        learned, plain = errors["network, A0⁻¹", products], errors[f"Chebyshev({products}), A0⁻¹", products]
        assert learned[1] < plain[1] and learned[2] < plain[2], said
    counts = {row[0]: [float(cell) for cell in row[3::2]] for row in rows[1:]}
    for none, estimated, true in zip(counts["none"], counts["estimated by `reference`"], counts["true positions"]):
        assert true < estimated < none, said
