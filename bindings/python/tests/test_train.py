"""Training from Python."""

import os
import signal
import threading

import numpy as np
import pytest
import scipy.sparse as sp

import precondor

SMALL = dict(steps=30, batch=4, hidden=[4], progress=False)


def matrices(count, seed=0):
    """Diffusion with rough coefficients on grids of several sizes, as matrices of SciPy."""
    return [sp.csr_matrix(precondor.problem("diffusion", level=3 + k % 2, seed=seed, index=k).A) for k in range(count)]


def test_on_matrices_of_ones_own(tmp_path):
    path = tmp_path / "mine.safetensors"
    t = precondor.train("mlp-fsai", matrices(6), validation=matrices(2, seed=9), output=path, **SMALL)
    assert t.model == path.read_bytes() and len(t.losses) == len(t.learning_rates) == 30
    assert [step for step, _ in t.validation] == [0, 30] and np.isfinite(t.losses).all()
    card = t.card
    assert card["training"]["pool"] == 6 and card["training"]["validation"] == 2
    assert card["samples"][0]["kind"] == "matrices" and len(card["samples"][0]["digests"]) == 8
    assert card["metrics"]["validation_loss"] == min(loss for _, loss in t.validation)
    A = matrices(1, seed=5)[0]
    r = precondor.solve(A, np.ones(A.shape[0]), "cg", {"name": "mlp-fsai", "model": path}, tolerance=1e-8)
    assert r.converged and "30 steps" in repr(t)
    again = precondor.train("mlp-fsai", matrices(6), validation=matrices(2, seed=9), **SMALL)
    assert again.model == t.model
    assert not (tmp_path / "mine.safetensors.checkpoint").exists()


def test_it_learns():
    made = matrices(12)
    t = precondor.train("mlp-fsai", made[:9], validation=made[9:], steps=150, batch=6, hidden=[8], rate=0.01, progress=False)
    assert t.validation[-1][1] < t.validation[0][1]


def test_some_matrices_are_held_back():
    made = matrices(8)
    assert precondor.train("mlp-fsai", made, **SMALL).card["training"]["validation"] == 1
    assert precondor.train("mlp-fsai", made, validation=0.5, **SMALL).card["training"]["pool"] == 4
    none = precondor.train("mlp-fsai", made, validation=0, **SMALL)
    assert none.card["training"]["pool"] == 8 and none.validation == []


def test_on_model_problems_it_is_the_programs_training(tmp_path):
    program = os.environ.get("PRECONDOR_PROGRAM")
    if program is None:
        pytest.skip("PRECONDOR_PROGRAM names no program")
    import subprocess

    (tmp_path / "train.toml").write_text(
        "[model]\nmethod = 'mlp-fsai'\noutput = 'theirs.safetensors'\n[train]\nsteps = 30\nbatch = 4\nhidden = [4]\npool = 5\n"
        "validation = 1\n[[data]]\nkind = 'poisson'\nlevel = 3\n[[data]]\nkind = 'diffusion'\nlevel = 3\n"
    )
    subprocess.run([program, "train", "train.toml"], cwd=tmp_path, check=True, capture_output=True)
    problems = [{"kind": "poisson", "level": 3}, {"kind": "diffusion", "level": 3}]
    ours = precondor.train("mlp-fsai", problems=problems, pool=5, validation=1, **SMALL)
    assert ours.model == (tmp_path / "theirs.safetensors").read_bytes()


def test_on_from_a_model(tmp_path):
    first, made = tmp_path / "first.safetensors", matrices(6)
    held = matrices(2, seed=9)
    before = precondor.train("mlp-fsai", made, validation=held, output=first, **SMALL)
    t = precondor.train("mlp-fsai", made, validation=held, initial=first, **SMALL)
    assert t.validation[0][1] == min(loss for _, loss in before.validation) and t.card["metrics"]["validation_loss"] <= t.validation[0][1]
    assert t.card["initial"]["samples"] == before.card["samples"]
    with pytest.raises(precondor.ParameterError, match="parameter 'initial'.*architecture"):
        precondor.train("mlp-fsai", made, initial=first, **{**SMALL, "hidden": [5]})
    with pytest.raises(precondor.FileError, match="there_is_none"):
        precondor.train("mlp-fsai", made, initial="there_is_none", **SMALL)


def test_other_methods_learn_from_lists(tmp_path):
    grid = [precondor.problem("poisson", level=3, seed=3, index=k).A for k in range(20)]
    t = precondor.train("ridge", grid, components=5, progress=False)
    t.save(tmp_path / "ridge.safetensors")
    A = precondor.problem("poisson", level=3, seed=8).A
    M = precondor.preconditioner("ridge", A, model=tmp_path / "ridge.safetensors")
    assert precondor.solve(A, np.ones(49), "gmres", M, tolerance=1e-8).converged
    assert len(precondor.train("mlp-reference", grid, steps=5, batch=2, hidden=[4], progress=False).losses) == 5
    assert precondor.train("mlp-dense", grid, epochs=3, batch=5, progress=False).model
    assert precondor.train("auto", grid[:3], trees=2, progress=False).model


def test_a_callback_sees_it_and_may_end_it():
    seen = []
    precondor.train("mlp-fsai", matrices(4), callback=lambda *told: seen.append(told), **SMALL)
    assert seen[-1][:2] == (30, 30)

    def fail(*_):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        precondor.train("mlp-fsai", matrices(4), callback=fail, **SMALL)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(tmp_path):
    made, path = matrices(4), tmp_path / "mine.safetensors"
    options = dict(SMALL, steps=300)
    whole = precondor.train("mlp-fsai", made, **options)

    def interrupt(step, steps, loss):
        if step < steps:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        precondor.train("mlp-fsai", made, output=path, callback=interrupt, **options)
    part = caught.value.result
    assert 0 < len(part.losses) < 300 and part.model is None and "interrupted" in repr(part)
    assert (tmp_path / "mine.safetensors.checkpoint").read_bytes() == part.checkpoint and not path.exists()
    with pytest.raises(precondor.ParameterError, match="no model yet"):
        part.save(path)
    assert precondor.train("mlp-fsai", made, resume=part.checkpoint, **options).model == whole.model
    rest = precondor.train("mlp-fsai", made, output=path, resume=True, **options)
    assert path.read_bytes() == whole.model and len(rest.losses) == 300 - len(part.losses)
    with pytest.raises(precondor.DataError, match="checkpoint"):
        precondor.train("mlp-fsai", matrices(4, seed=1), resume=part.checkpoint, **options)


@pytest.mark.parametrize(
    "arguments, kind, why",
    [
        (("jacobi", [sp.eye(3)]), precondor.ParameterError, "jacobi has nothing to train"),
        (("mlp-fsa", [sp.eye(3)]), precondor.ParameterError, "did you mean 'mlp-fsai'"),
        (("mlp-fsai",), precondor.ParameterError, "nothing to learn from"),
        (("mlp-fsai", []), precondor.ParameterError, "no matrices to learn from"),
        (("mlp-fsai", [sp.eye(3)], {"problems": []}), precondor.ParameterError, "not both"),
        (("mlp-fsai", [sp.eye(3)], {"stps": 3}), precondor.ParameterError, "train: 'stps': .*did you mean 'steps'"),
        (("mlp-fsai", [sp.eye(3)], {"steps": 0}), precondor.ParameterError, "train: 'steps': 0"),
        (("mlp-fsai", [sp.eye(3)], {"validation": 1.5}), precondor.ParameterError, "validation: 1.5"),
        (("ridge", [sp.eye(3)], {"validation": 0.5}), precondor.ParameterError, "ridge watches no validation loss"),
        (("mlp-fsai", [-sp.eye(3)]), precondor.BreakdownError, "global row 0"),
        (("mlp-fsai", [sp.csr_matrix((2, 3))]), precondor.DataError, "2×3"),
        (("mlp-fsai", None, {"problems": {"kind": "poison"}}), precondor.ParameterError, "did you mean 'poisson'"),
        (("mlp-fsai", None, {"problems": []}), precondor.ParameterError, "at least one problem"),
        (("mlp-fsai", [sp.eye(3)], {"resume": True}), precondor.ParameterError, "needs 'output'"),
        (("mlp-fsai", [sp.eye(3)], {"resume": True, "output": "not-there"}), precondor.FileError, "no checkpoint to go on from"),
    ],
)
def test_mistakes_are_told(arguments, kind, why):
    *rest, options = arguments if isinstance(arguments[-1], dict) else (*arguments, {})
    with pytest.raises(kind, match=why):
        precondor.train(*rest, progress=False, **options)
