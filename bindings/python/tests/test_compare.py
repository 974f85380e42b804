"""Comparisons and their forms."""

import csv
import io
import json
import os
import re
import signal
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

import precondor


@pytest.fixture(scope="module")
def table(poisson):
    return precondor.compare(
        poisson,
        methods=[None, "jacobi", "ic", {"name": "fsai", "power": 2}, "ilu", {"name": "spai", "label": "<b>mine</b>", "group": "others"}],
        tolerance=1e-8,
        repeats=3,
    )


def test_every_method_has_its_row(table, poisson):
    assert [row["label"] for row in table] == ["none", "jacobi", "ic", "fsai power 2", "ilu", "<b>mine</b>"]
    assert [row["solver"] for row in table] == ["cg", "cg", "cg", "cg", "gmres", "gmres"]
    assert all(row["converged"] and row["true_relative_residual"] <= 1.1e-8 and row["error"] is None for row in table)
    for row, result in zip(table, table.results):
        assert row["iterations"] == result.iterations and row["seconds"] > 0
    alone = precondor.solve(poisson, poisson.b, "cg", "ic", tolerance=1e-8)
    assert table["ic"].x.tobytes() == alone.x.tobytes() and table.rows[2]["iterations"] == alone.iterations
    assert len(table) == 6 and table.rows[0]["nnz_ratio"] is None and table.rows[2]["nnz_ratio"] < 1
    with pytest.raises(KeyError):
        table["not there"]


def test_printed_it_is_a_table(table):
    text = str(table)
    assert "| solver" in text and "**22**" not in text.split("\n")[0]
    fewest = min(row["iterations"] for row in table if row["group"] == "methods")
    assert f"fewest iterations ({fewest})" in text and "done 3 times" in text
    assert text == repr(table)


def test_in_a_notebook_it_has_curves_and_no_markup_of_others(table):
    html = table._repr_html_()
    assert html.startswith("<style>\n.precondor ") and html.count("<svg") == 1
    assert "&lt;b&gt;mine&lt;/b&gt;" in html and "<b>mine" not in html and "<html" not in html
    assert html.count("<div") == html.count("</div>") and html.count("<tr") == html.count("</tr>")


def test_a_report_is_a_page_and_raw_numbers(table, tmp_path):
    folder = tmp_path / "a" / "report"
    table.report(folder)
    assert sorted(os.listdir(folder)) == ["index.html", "report.json", "results.csv"]
    page = (folder / "index.html").read_text()
    assert page.startswith("<!doctype html>") and "<b>mine" not in page and "http" not in re.sub(r"http://www.w3.org", "", page)
    rows = list(csv.DictReader(io.StringIO((folder / "results.csv").read_text())))
    assert [int(float(row["iterations"])) for row in rows] == [row["iterations"] for row in table]
    said = json.loads((folder / "report.json").read_text())
    assert said["sections"][0]["tables"][0]["rows"][2]["values"]["outcome"] == "converged"
    (tmp_path / "file").write_text("")
    with pytest.raises(precondor.FileError, match="file"):
        table.report(tmp_path / "file" / "below")


def test_pandas_and_matplotlib_are_used_where_they_are(table):
    pandas = pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame.loc["ic", "iterations"] == table["ic"].iterations


def test_curves_are_drawn(table):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = table.plot()
    assert len(axes.get_lines()) == 6 and axes.get_legend() is not None


def test_what_fails_is_a_row_that_says_why(poisson, unsymmetric):
    indefinite = -sp.csr_matrix(poisson.A)
    table = precondor.compare(indefinite, poisson.b, ["ic", "jacobi", {"name": "fsai", "pwer": 3}], tolerance=1e-8)
    assert table.rows[0]["outcome"] == "failed" and "global row 0" in table.rows[0]["error"]
    assert "did you mean 'power'" in table.rows[2]["error"] and table.results[0] is None
    assert "failed" in str(table) and "global row 0" in table._repr_html_()
    limited = precondor.compare(poisson, methods=["jacobi"], max_iterations=2)
    assert limited.rows[0]["outcome"] == "iteration-limit" and not limited.rows[0]["converged"]
    chosen = precondor.compare(unsymmetric, np.ones(unsymmetric.shape[0]), ["jacobi"])
    assert chosen.rows[0]["solver"] == "gmres" and chosen.rows[0]["converged"]


def test_entries_of_any_kind(poisson):
    M = precondor.preconditioner("ic", poisson)
    table = precondor.compare(
        poisson,
        methods={
            "made": M,
            "a function": M.matvec,
            "an operator": LinearOperator(poisson.shape, matvec=M.matvec),
            "of its own solver": {"name": "ic", "solver": {"method": "minres", "tolerance": 1e-3}},
        },
        tolerance=1e-8,
    )
    assert [row["solver"] for row in table] == ["cg", "gmres", "gmres", "minres"]
    assert table.rows[3]["true_relative_residual"] > 1e-7 and all(row["converged"] for row in table)


def test_several_systems_are_as_many_tables(poisson, unsymmetric):
    table = precondor.compare(
        {"poisson": poisson, "another": (unsymmetric, np.ones(unsymmetric.shape[0]))}, methods=["jacobi", "ilu"], tolerance=1e-6
    )
    assert [(row["system"], row["label"]) for row in table] == [
        ("poisson", "jacobi"), ("poisson", "ilu"), ("another", "jacobi"), ("another", "ilu"),
    ]
    assert "## poisson" in str(table) and "## another" in str(table)


@pytest.mark.parametrize(
    "arguments, kind, why",
    [
        (dict(methods=[]), precondor.ParameterError, "nothing to compare"),
        (dict(methods=["ic", "ic"]), precondor.ParameterError, "two methods are called 'ic'"),
        (dict(repeats=0), precondor.ParameterError, "repeats: 0"),
    ],
)
def test_mistakes_are_told(poisson, arguments, kind, why):
    with pytest.raises(kind, match=why):
        precondor.compare(poisson, **arguments)
    with pytest.raises(precondor.DataError, match="b is missing"):
        precondor.compare(poisson.A)
    with pytest.raises(precondor.DataError, match="system 'x'"):
        precondor.compare({"x": poisson.A})


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_leaves_what_was_done():
    n = 20000
    A = sp.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(n, n), format="csr")
    b = np.random.default_rng(0).standard_normal(n)
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(precondor.Interrupted) as caught:
        precondor.compare(A, b, ["ic", {"name": "jacobi", "solver": {"tolerance": 1e-300}}], max_iterations=10**9)
    table = caught.value.result
    assert [row["label"] for row in table] == ["ic"] and "interrupted" in str(table)


def test_several_systems_are_told_of_together():
    systems = {f"level {level}": precondor.problem("poisson", level=level, seed=level) for level in (2, 3, 5)}
    table = precondor.compare(systems, methods=[None, "ic", "amg"], method="cg", tolerance=1e-8, max_iterations=30)
    counts = {label: [row["iterations"] if row["converged"] else None for row in table if row["label"] == label] for label in ("none", "ic", "amg")}
    assert counts["none"][-1] is None and None not in counts["amg"]
    over = {of["label"]: of for of in table.over_systems()}
    assert [over["none"][key] for key in ("solved", "failed")] == [2, 1]
    for label, of in over.items():
        dearest = [max(c for c in column if c is not None) for column in zip(*counts.values())]
        worth = [10 * most if count is None else count for count, most in zip(counts[label], dearest)]
        assert of["mean"] == pytest.approx(np.exp(np.mean(np.log(np.array(worth) + 10.0))) - 10.0)
        least = [min(c for c in column if c is not None) for column in zip(*counts.values())]
        assert of["least"] == pytest.approx(np.mean([a == b for a, b in zip(counts[label], least)]))
        tau, share = np.array(of["profile"]).T
        assert tau[0] == 1.0 and share[0] == of["least"] and share[-1] == pytest.approx(of["solved"] / 3)
        assert (np.diff(tau) >= 0).all() and (np.diff(share) >= 0).all()
    assert all(of["mean"] > 0 for of in table.over_systems("time"))
    # M = I takes a product an iteration; IC(0) goes twice through what it stores, 0.6 of A's entries.
    for row in table:
        if row["converged"]:
            each = (row["products"] - row["iterations"]) / max(row["iterations"], 1)
            assert row["label"] != "none" or abs(row["products"] - row["iterations"]) <= 3
            assert row["label"] != "ic" or 1.9 * row["nnz_ratio"] < each < 2 * row["nnz_ratio"] + 1.5
    assert [of["solved"] for of in table.over_systems("products")] == [of["solved"] for of in over.values()]
    with pytest.raises(precondor.ParameterError, match="'work' is none of iterations, products, time"):
        table.over_systems("work")
    # Of an M of somebody else's it is not known what it takes.
    other = precondor.compare(systems, methods=["ic", {"name": "jacobi"}, lambda r: r / 4.0], method="gmres")
    with pytest.raises(precondor.ParameterError, match="'products' is none of iterations, time"):
        other.over_systems("products")
    text, page = str(table), table._repr_html_()
    assert "Over all systems" in text and page.count("<svg") == 3 + 3
    assert "Over all systems" not in str(precondor.compare(systems["level 2"], methods=["ic"]))


def test_profiles_can_be_drawn(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    systems = {str(level): precondor.problem("poisson", level=level) for level in (2, 3)}
    ax = precondor.compare(systems, methods=["ic", "amg"]).plot_profile("time")
    assert [line.get_label() for line in ax.get_lines()] == ["ic", "amg"] and ax.get_xscale() == "log"
    ax.figure.savefig(tmp_path / "profile.png")
