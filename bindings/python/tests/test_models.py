"""Model files, and networks that were trained elsewhere."""

import os
import subprocess

import numpy as np
import pytest
import scipy.sparse as sp

import precondor

ARCHITECTURE = {"grid": [3, 3], "inputs": "bands", "whiten": False, "ridge": False, "components": 0, "hidden": [5]}


def bands(A):
    return np.concatenate([A.diagonal(offset) for offset in (0, 1, 3, 4)])


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    A = precondor.problem("poisson", level=2, seed=1).A
    inverse = np.linalg.inv(A.toarray())
    return {
        "layer1.weight": 0.01 * rng.standard_normal((5, 28)),
        "layer1.bias": np.ones((5, 1)),
        "layer2.weight": 0.01 * rng.standard_normal((81, 5)),
        "layer2.bias": inverse.ravel()[:, None],
    }


def forward(arrays, A):
    hidden = np.maximum(arrays["layer1.weight"] @ bands(A) + arrays["layer1.bias"][:, 0], 0)
    return (arrays["layer2.weight"] @ hidden + arrays["layer2.bias"][:, 0]).reshape(9, 9)


def test_a_network_of_ones_own_weights_is_a_model_of_ours(tmp_path, arrays):
    path = tmp_path / "mine.safetensors"
    precondor.write_model(path, "mlp-dense", ARCHITECTURE, arrays, training={"seed": 4}, metrics={"loss": 0.5})
    # The level of A is measured against that of the regular mesh: this one.
    A = precondor.problem("poisson", level=2, shift=0.0).A
    for factor in [1.0, 8.0]:
        M = precondor.preconditioner("mlp-dense", factor * A, model=path)
        assert np.allclose(factor * M.matrix.toarray(), forward(arrays, A), rtol=1e-5, atol=1e-6)
    model = precondor.read_model(path)
    assert model.card["method"] == "mlp-dense" and model.card["metrics"] == {"loss": 0.5}
    for name, values in arrays.items():
        assert np.array_equal(model.arrays[name], values.astype(np.float32))


def test_the_program_takes_it(tmp_path, arrays):
    program = os.environ.get("PRECONDOR_PROGRAM")
    if program is None:
        pytest.skip("PRECONDOR_PROGRAM names no program")
    precondor.write_model(tmp_path / "mine.safetensors", "mlp-dense", ARCHITECTURE, arrays)
    (tmp_path / "solve.toml").write_text(
        "[problem]\nkind = 'poisson'\nlevel = 2\nseed = 7\n[solver]\nmethod = 'gmres'\ntolerance = 1e-8\n"
        "[preconditioner]\nname = 'mlp-dense'\nmodel = 'mine.safetensors'\n"
    )
    done = subprocess.run([program, "solve", "--json", "solve.toml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and '"converged": true' in done.stdout, done.stdout + done.stderr


def test_models_that_come_along_are_read(tmp_path):
    t = precondor.train("ridge", [precondor.problem("poisson", level=2, index=k).A for k in range(5)], precision="bf16", progress=False)
    t.save(tmp_path / "ridge.safetensors")
    model = precondor.read_model(tmp_path / "ridge.safetensors")
    assert model.card == t.card and model.arrays["ridge"].dtype == np.float32 and np.isfinite(model.arrays["ridge"]).all()


def test_what_is_no_model_is_refused(tmp_path, arrays):
    path = tmp_path / "m"
    with pytest.raises(precondor.FileError, match="m: No such file"):
        precondor.read_model(path)
    for content, why in [(b"", "cut off"), (b"\xff" * 8, "cut off"), (b"\2\0\0\0\0\0\0\0{}", "no entry 'precondor'"), (b"\2\0\0\0\0\0\0\0no", "no entry")]:
        path.write_bytes(content)
        with pytest.raises(precondor.FileError, match=why):
            precondor.read_model(path)
    precondor.write_model(path, "mlp-dense", ARCHITECTURE, arrays)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(precondor.FileError, match="'layer2.weight' is not whole"):
        precondor.read_model(path)
    with pytest.raises(precondor.DataError, match="array 'x' has numbers that are not finite"):
        precondor.write_model(path, "mlp-dense", ARCHITECTURE, {"x": [np.inf]})
    with pytest.raises(precondor.FileError, match="below"):
        precondor.write_model(tmp_path / "not" / "below", "mlp-dense", ARCHITECTURE, arrays)
    A = precondor.problem("poisson", level=2).A
    for change, why in [({"layer1.bias": np.ones(5)}, r"'layer1.bias' has shape \[5\], not \[5, 1\]"), ({"more": np.ones(1)}, "5 arrays, 4 expected")]:
        precondor.write_model(path, "mlp-dense", ARCHITECTURE, {**arrays, **change})
        with pytest.raises(precondor.Error, match=why):
            precondor.preconditioner("mlp-dense", A, model=path)
    precondor.write_model(path, "mlp-fsai", ARCHITECTURE, arrays)
    with pytest.raises(precondor.Error, match="for the method 'mlp-fsai', not 'mlp-dense'"):
        precondor.preconditioner("mlp-dense", A, model=path)
    assert sp.issparse(A)
