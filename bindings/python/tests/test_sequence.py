"""Systems that follow each other."""

import csv
import os
import subprocess

import numpy as np
import pytest
import scipy.sparse as sp

import precondor

STEPS = 12


def heat(k):
    return precondor.problem("heat", index=k, nodes=15)


def run(sequence, systems=STEPS):
    for k in range(systems):
        sequence.solve(heat(k))
    return sequence


@pytest.mark.parametrize("reuse, warm", [("refresh", False), ("refresh", True), ("keep", True), ("adaptive", True)])
def test_a_sequence_goes_as_the_program_says(tmp_path, reuse, warm):
    program = os.environ.get("PRECONDOR_PROGRAM")
    if program is None:
        pytest.skip("PRECONDOR_PROGRAM names no program")
    (tmp_path / "sequence.toml").write_text(
        f"[problem]\nkind = 'heat'\nnodes = 15\nsamples = {STEPS}\nsequence = true\n"
        "[solver]\nmethod = 'cg'\ntolerance = 1e-6\n"
        f"[[run]]\npreconditioner = 'ic'\nreuse = '{reuse}'\nwarm_start = {str(warm).lower()}\n"
    )
    command = [program, "compare", "sequence.toml", "--report", "report"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "report" / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    sequence = run(precondor.Sequence("ic", "cg", reuse=reuse, warm_start=warm, tolerance=1e-6))
    assert [int(result.iterations) for result in sequence.results] == [int(row["iterations"]) for row in rows]
    assert sequence.setups == [row["setup"] for row in rows]
    assert sequence.totals["converged"] == STEPS


def test_policies_make_m_as_often_as_they_say():
    def ways(reuse, **more):
        sequence = run(precondor.Sequence("amg", "cg", reuse=reuse, warm_start=True, tolerance=1e-8, **more))
        totals = sequence.totals
        return totals["set-up"], totals["refreshed"], totals["kept"]

    assert ways("refresh") == (1, STEPS - 1, 0)
    assert ways("keep") == (1, 0, STEPS - 1)
    assert ways("adaptive", setup_cost=1e-6)[2] < ways("adaptive", setup_cost=1e6)[2] == STEPS - 1


def test_a_warm_start_saves_iterations():
    def iterations(warm):
        return run(precondor.Sequence("ic", "cg", warm_start=warm, tolerance=1e-6)).totals["iterations"]

    assert iterations(True) < iterations(False)


def test_where_a_kept_m_fails_the_solve_goes_on_with_a_new_one():
    a = sp.csr_matrix(precondor.problem("poisson", level=4).A)
    b = np.ones(a.shape[0])
    stretched = sp.diags(np.logspace(0, 6, a.shape[0]))
    sequence = precondor.Sequence("ic", "cg", reuse="keep", max_iterations=40, tolerance=1e-8)
    assert sequence.solve(a, b).converged
    other = sequence.solve((stretched @ a @ stretched).tocsr(), stretched @ b)
    assert other.converged and sequence.setups[-1] == "refreshed"
    assert len(other.residuals) == other.iterations + 1 > 40
    assert other.setup_seconds > 0.0 and sequence.totals["iterations"] == sum(r.iterations for r in sequence.results)


def test_other_sizes_and_patterns_are_set_up_anew():
    sequence = precondor.Sequence("ic", "cg", reuse="keep", warm_start=True, tolerance=1e-8)
    for level in (3, 4, 4):
        p = precondor.problem("poisson", level=level)
        assert sequence.solve(p).converged
    a = precondor.problem("diffusion", mesh="delaunay", nodes=225)
    same_size = sequence.results[-1].x.shape == a.b.shape
    assert sequence.solve(a).converged
    assert sequence.setups[:3] == ["set-up", "set-up", "kept"] and (sequence.setups[3] == "set-up" or not same_size)


def test_what_is_wrong_is_said():
    with pytest.raises(precondor.ParameterError, match="reuse: 'never' is none of 'keep', 'refresh', 'adaptive'"):
        precondor.Sequence("ic", reuse="never")
    with pytest.raises(precondor.ParameterError, match="setup_cost"):
        precondor.Sequence("ic", setup_cost=3.0)
    with pytest.raises(precondor.ParameterError, match="setup_cost"):
        precondor.Sequence("ic", reuse="adaptive", setup_cost=-1.0)
    with pytest.raises(precondor.ParameterError, match="setup_cost"):
        precondor.Sequence("ic", reuse="adaptive", setup_cost=float("nan"))
    p = precondor.problem("poisson", level=3)
    with pytest.raises(precondor.DataError, match="one right-hand side"):
        precondor.Sequence("ic").solve(p.A, np.ones((49, 2)))
    with pytest.raises(precondor.DataError, match="b is missing"):
        precondor.Sequence("ic").solve(p.A)
    with pytest.raises(precondor.ParameterError):
        precondor.Sequence("no-such-method").solve(p)


def test_a_failed_setup_leaves_the_sequence_usable():
    p = precondor.problem("poisson", level=3)
    sequence = precondor.Sequence("ic", "cg", tolerance=1e-8)
    assert sequence.solve(p).converged
    with pytest.raises(precondor.Error):
        sequence.solve(sp.csr_matrix(np.diag(np.r_[0.0, np.ones(48)])), np.ones(49))
    assert sequence.solve(p).converged and sequence.totals["systems"] == 2
