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
