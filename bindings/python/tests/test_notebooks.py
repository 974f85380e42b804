"""The notebooks run, and show what they show."""

import json
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[3]
NOTEBOOKS = sorted((ROOT / "examples/python").glob("*.ipynb"))


@pytest.mark.skipif(not NOTEBOOKS, reason="no sources around")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_it_shows(path):
    if "import torch" in path.read_text():
        pytest.importorskip("torch")
    script = {"__name__": "notebooks", "__file__": str(ROOT / "scripts/notebooks.py")}
    exec((ROOT / "scripts/notebooks.py").read_text(), script)
    kept = json.loads(path.read_text())
    ran, names = script["run"](path)
    why = f"python scripts/notebooks.py {path.name}"
    assert script["without_times"](ran) == script["without_times"](kept), why
    # Tables solved everything.
    tables = [value for value in names.values() if type(value).__name__ == "Comparison"]
    assert all(row["converged"] for table in tables for row in table)
    if path.stem in ("first_steps", "which_preconditioner", "own_network"):
        assert tables and "<svg" in json.dumps(ran)
