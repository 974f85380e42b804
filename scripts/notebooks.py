#!/usr/bin/env python3
"""Runs the notebooks of examples/python and keeps what their cells show. Needs the package, and PyTorch for one of them:

    python scripts/notebooks.py [NAME.ipynb ...]
"""

import ast
import contextlib
import io
import json
import os
import pathlib
import re
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "examples/python"


def shown(value):
    """What a notebook shows of the value of a cell."""
    data = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "_repr_html_"):
        data["text/html"] = value._repr_html_().splitlines(keepends=True)
    return {"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": data}


def outputs(source, names):
    """Runs a cell: what it prints, and the value of its last expression."""
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, made = io.StringIO(), []
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        value = eval(compile(last, "cell", "eval"), names) if last is not None else None
    if printed.getvalue():
        made.append({"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(keepends=True)})
    return made + ([shown(value)] if value is not None else [])


def run(path):
    """The notebook, run in an empty folder, beside the programs of its own."""
    notebook = json.loads(path.read_text())
    names, before = {"__name__": "__main__"}, os.getcwd()
    sys.path.insert(0, str(path.parent))
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        try:
            for number, cell in enumerate((c for c in notebook["cells"] if c["cell_type"] == "code"), 1):
                cell["outputs"], cell["execution_count"] = outputs("".join(cell["source"]), names), number
                for output in cell["outputs"]:
                    if "execution_count" in output:
                        output["execution_count"] = number
        finally:
            os.chdir(before)
            sys.path.remove(str(path.parent))
    return notebook, names


def without_times(notebook):
    """What does not change from run to run: cells, and how many outputs of which kinds they have."""
    kinds = lambda cell: [sorted(output.get("data", {"text": 0})) for output in cell["outputs"]]  # noqa: E731
    return [(cell["cell_type"], "".join(cell["source"]), kinds(cell) if "outputs" in cell else None) for cell in notebook["cells"]]


def main():
    wanted = [FOLDER / name for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb"))
    for path in wanted:
        notebook, _ = run(path)
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        # The commit of whoever ran it says nothing to others.
        path.write_text(re.sub(r"(precondor \d+\.\d+\.\d+) \([0-9a-f]+\)", r"\1", text))
        print(f"{path.name}: {len(notebook['cells'])} cells")


if __name__ == "__main__":
    main()
