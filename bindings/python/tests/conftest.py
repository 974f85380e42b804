import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

import precondor

# Jobs in the background are started with SIGINT ignored, and Python leaves it so.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def poisson():
    return precondor.problem("poisson", level=4, seed=3)


@pytest.fixture
def csr(poisson):
    """A matrix of SciPy of its own, symmetric positive definite."""
    return sp.csr_matrix(poisson.A, copy=True)


@pytest.fixture
def unsymmetric():
    n = 12
    one = sp.diags([-1.4, 3.0, -1.0], [-1, 0, 1], shape=(n, n))
    return sp.csr_matrix(sp.kronsum(one, one))


@pytest.fixture
def b(csr):
    return np.random.default_rng(7).standard_normal(csr.shape[0])


@pytest.fixture
def child(tmp_path):
    """Runs a program in a Python of its own, strict about what it leaves, and returns what it printed."""

    def run(source, *, arguments=(), timeout=120):
        path = tmp_path / "child.py"
        path.write_text(source)
        folder = str(pathlib.Path(precondor.__file__).parents[1])
        prelude = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", str(path)]
        environment = {**__import__("os").environ, "PYTHONPATH": folder}
        done = subprocess.run(
            [*prelude, *arguments], capture_output=True, text=True, timeout=timeout, env=environment, cwd=tmp_path
        )
        assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Fatal" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
        return done.stdout

    return run
