"""Which method, with which parameters."""

import json
import os
import signal
import subprocess

import numpy as np
import pytest
import scipy.sparse as sp

import precondor

#: Iterations follow from the seed, times do not.
COUNTED = dict(measure="iterations", configurations=24, budget=600, progress=False)


def matrices(count, seed=0):
    """Diffusion on meshes, as matrices of SciPy."""
    made = (precondor.problem("diffusion", mesh="delaunay", level=4, seed=seed, index=k) for k in range(count))
    return [sp.csr_matrix(one.A) for one in made]


def test_what_is_found_beats_the_defaults_on_matrices_that_were_held_out(tmp_path):
    made = {f"mesh {k}": one for k, one in enumerate(matrices(9))}
    methods = ["amg", "ic", "jacobi", {"name": "gauss-seidel", "sweep": "symmetric"}]
    t = precondor.tune(made, methods=methods, method="cg", tolerance=1e-8, **COUNTED)
    assert t.gap and t.method == "cg" and t.winner == t.config["preconditioner"]
    assert t.config["solver"] == {"method": "cg", "tolerance": 1e-8} and "problem" not in t.config
    assert t.held_out[0]["role"] == "tuned" and t.held_out[0]["preconditioner"] == t.winner
    assert all(row["iterations"] > t.held_out[0]["iterations"] for row in t.held_out[1:])
    assert "% less iterations than" in t.statement[0] and "over 3 systems" in t.statement[0]
    # None was raced on a matrix that is told of.
    of = {held: {row["label"] for row in t.trials if (row["stage"] == "held out") == held} for held in (False, True)}
    assert len(of[True]) == 3 and len(of[False]) == 6 and of[True] | of[False] == set(made)
    # The winner solves a held-out system in as many iterations as were told.
    first = next(row for row in t.trials if row["stage"] == "held out")
    A = made[first["label"]]
    r = precondor.solve(A, np.ones(A.shape[0]), t.method, t.winner, tolerance=1e-8)
    assert r.iterations == int(first["iterations"])
    assert "On held-out systems" in str(t) and "<svg" in t._repr_html_()
    t.report(tmp_path / "race")
    assert {path.name for path in (tmp_path / "race").iterdir()} == {"index.html", "race.csv", "report.json", "tuned.toml"}
    t.save(tmp_path / "tuned.toml")
    assert (tmp_path / "tuned.toml").read_text() == (tmp_path / "race/tuned.toml").read_text()
    # The seed says what is drawn.
    again = precondor.tune(made, methods=methods, method="cg", tolerance=1e-8, **COUNTED)
    drawn = lambda t: [(row["label"], row["method"], row["parameters"], row["iterations"]) for row in t.trials]  # noqa: E731
    assert drawn(again) == drawn(t)
    assert drawn(precondor.tune(made, methods=methods, method="cg", tolerance=1e-8, seed=1, **COUNTED)) != drawn(t)


def test_model_problems_and_the_program_race_alike(tmp_path):
    program = os.environ.get("PRECONDOR_PROGRAM")
    if program is None:
        pytest.skip("PRECONDOR_PROGRAM names no program")
    (tmp_path / "tune.toml").write_text(
        "[problem]\nkind = 'poisson'\nlevel = 3\nsamples = 3\n[solver]\nmethod = 'cg'\n"
        "[tune]\nmethods = ['amg', 'ic']\nmeasure = 'iterations'\nconfigurations = 24\nbudget = 600\n"
    )
    done = subprocess.run(
        [program, "tune", "tune.toml", "--json", "--report", "race"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    t = precondor.tune(
        problem={"kind": "poisson", "level": 3, "samples": 3}, methods=["amg", "ic"], method="cg", **COUNTED
    )
    theirs = json.loads(done.stdout)
    assert theirs["winner"]["preconditioner"] == t.winner and theirs["gap"] == t.gap and theirs["readings"] == t.statement
    rows = (tmp_path / "race/race.csv").read_text().splitlines()
    assert len(rows) - 1 == len(t.trials) == theirs["trials"]
    # The configuration that won runs here as it is, and has the first of the held-out systems.
    assert t.config["problem"]["kind"] == "poisson"
    first = next(row for row in t.trials if row["stage"] == "held out")
    assert precondor.run(t.config).iterations == int(first["iterations"])
    t.report(tmp_path / "ours")
    assert (tmp_path / "ours/finalists.toml").read_text() == (tmp_path / "race/finalists.toml").read_text()


def test_a_method_written_in_python_races(tmp_path):
    seen = []

    @precondor.register("tuned-diagonal", parameters={"scale": 1.0}, symmetric=True, positive_definite=True)
    def diagonal(A, params):
        seen.append(params["scale"])
        return sp.diags(params["scale"] / A.diagonal())

    t = precondor.tune(matrices(4), methods=["tuned-diagonal", "ic"], method="cg", **dict(COUNTED, configurations=6))
    assert any(row["method"] == "tuned-diagonal" and row["iterations"] for row in t.trials)
    assert seen and t.winner["name"] == "ic"


def test_others_may_be_held_out_and_a_configuration_be_beaten():
    given = {"name": "amg", "strength": 0.5}
    others = matrices(2, seed=5)
    t = precondor.tune(
        matrices(1), held_out=others, preconditioner=given, methods=["jacobi"], method="cg", **dict(COUNTED, configurations=4)
    )
    assert any("given" in row["role"] and row["preconditioner"] == given for row in t.held_out)
    assert {row["label"] for row in t.trials if row["stage"] == "held out"} == {"held_out[0]", "held_out[1]"}
    t = precondor.tune(
        problem={"kind": "poisson", "level": 2, "samples": 2}, held_out={"kind": "poisson", "level": 3, "samples": 1},
        methods=["jacobi", "none"], method="cg", **dict(COUNTED, configurations=4),
    )
    assert t.gap is False and "Nothing better was found" in t.statement[0]


def test_a_model_that_has_seen_a_matrix_loses_there(tmp_path):
    made = matrices(4)
    path = tmp_path / "mine.safetensors"
    precondor.train("mlp-fsai", made, validation=0, steps=4, batch=2, hidden=[4], output=path, progress=False)
    methods = [{"name": "mlp-fsai", "model": str(path)}, "jacobi"]
    t = precondor.tune(made, methods=methods, method="cg", **dict(COUNTED, configurations=4))
    told = [row["error"] for row in t.trials if row["method"] == "mlp-fsai"]
    assert told and all("was trained on this very matrix" in why for why in told)


def test_a_callback_sees_it_and_may_end_it():
    seen = []
    precondor.tune(matrices(3), methods=["jacobi"], method="cg", callback=lambda *told: seen.append(told), **COUNTED)

    def fail(*_):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        precondor.tune(matrices(3), callback=fail, budget=600, progress=False)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_leaves_the_best_so_far():
    def interrupt(seconds, budget, configurations, best):
        if best is not None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        precondor.tune(matrices(4), methods=["amg", "ic"], callback=interrupt, budget=600, progress=False)
    best = caught.value.result
    assert best.gap is None and best.winner["name"] in ("amg", "ic") and "INCOMPLETE" in best.statement[0]
    assert best.held_out == []


@pytest.mark.parametrize(
    "options, kind, why",
    [
        ({}, precondor.ParameterError, "either 'matrices' or 'problem'"),
        ({"matrices": [sp.eye(3)]}, precondor.DataError, "several, or others as 'held_out'"),
        ({"matrices": [sp.eye(3), sp.eye(3)], "methods": ["amgg"]}, precondor.ParameterError, "no preconditioner 'amgg'"),
        ({"matrices": [sp.eye(3), sp.eye(3)], "methods": []}, precondor.ParameterError, "at least one is needed"),
        ({"matrices": [sp.eye(3), sp.eye(3)], "budget": 0}, precondor.ParameterError, "'budget': 0"),
        ({"matrices": [sp.eye(3), sp.eye(3)], "measure": "speed"}, precondor.ParameterError, "is not one of"),
        ({"matrices": [sp.eye(3), sp.eye(3)], "tolerence": 1e-3}, precondor.ParameterError, "did you mean 'tolerance'"),
        ({"matrices": [sp.eye(3), sp.eye(3)], "method": "cg", "solvers": ["cg"]}, precondor.ParameterError, "give one of both"),
        ({"matrices": [sp.eye(3), (sp.eye(3), np.ones(2))]}, precondor.DataError, r"b of matrices\[1\] has shape"),
        ({"problem": {"kind": "poison"}}, precondor.ParameterError, "did you mean 'poisson'"),
        ({"problem": {"kind": "cube", "nodes": 4}}, precondor.DataError, "every system of .problem. has the same matrix"),
        ({"matrices": [sp.eye(3), 2 * sp.eye(3)], "methods": ["fieldsplit"], "budget": 3}, precondor.DataError, "fieldsplit: "),
    ],
)
def test_mistakes_are_told(options, kind, why):
    with pytest.raises(kind, match=why):
        precondor.tune(progress=False, **options)
