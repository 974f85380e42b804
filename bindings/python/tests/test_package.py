"""What is said of the package: types, docstrings, the guide."""

import ast
import inspect
import pathlib
import re

import pytest

import precondor
from precondor import _native

PACKAGE = pathlib.Path(precondor.__file__).parent
ROOT = pathlib.Path(__file__).parents[3]


def test_types_are_there_and_those_of_the_module():
    assert (PACKAGE / "py.typed").exists()
    stubs = ast.parse((PACKAGE / "_native.pyi").read_text())
    there = {name for name in dir(_native) if not name.startswith("_")}
    said = {node.name: node for node in stubs.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert set(said) | {"VERSION"} == there
    for name, node in said.items():
        real = getattr(_native, name)
        if isinstance(node, ast.ClassDef):
            members = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
            assert set(members) - {"__new__"} == {m for m in dir(real) if not m.startswith("_")}, name
            continue
        assert [argument.arg for argument in node.args.args] == list(inspect.signature(real).parameters), name


def public():
    for name in precondor.__all__:
        thing = getattr(precondor, name)
        yield name, thing
        if inspect.isclass(thing):
            members = vars(thing).items()
            own = {k: v for k, v in members if not k.startswith("_") and (callable(v) or isinstance(v, property))}
            yield from ((f"{name}.{key}", value) for key, value in own.items())


def test_everything_public_says_what_it_is_and_of_which_types():
    for name, thing in public():
        assert inspect.getdoc(thing) and len(inspect.getdoc(thing)) > 10, name
        function = thing.fget if isinstance(thing, property) else thing
        if not inspect.isfunction(function):
            continue
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, name
        for parameter in signature.parameters.values():
            if parameter.name != "self":
                assert parameter.annotation is not inspect.Parameter.empty, f"{name}: {parameter.name}"


def test_functions_name_their_parameters_in_their_docstrings():
    for name in ["preconditioner", "solve", "problem", "System", "run"]:
        thing = getattr(precondor, name)
        text = inspect.getdoc(thing)
        for parameter in inspect.signature(thing).parameters:
            assert re.search(rf"^(.*, )?\**{parameter}\b.*( :|$)", text, re.M), f"{name}: {parameter}"
        assert "Raises" in text or name == "run", name


def test_versions_agree():
    manifest = (ROOT / "Cargo.toml").read_text()
    assert f'version = "{precondor.__version__}"' in manifest


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="no sources around")
def test_the_reference_is_made_from_the_docstrings():
    script = {"__name__": "reference"}
    exec((ROOT / "scripts/python-api.py").read_text(), script)
    assert set(sum(script["GROUPS"].values(), [])) == set(precondor.__all__), "a name without a group"
    why = "python scripts/python-api.py > docs/python-api.md"
    assert script["page"]() == (ROOT / "docs/python-api.md").read_text(), why


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="no sources around")
def test_the_guide_does_what_it_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/python.md").read_text(), re.M | re.S)
    assert len(blocks) >= 6
    shown = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), shown)
    assert shown["info"] == 0 and shown["r"].converged and len(shown["values"]) == 4
    assert "amg" in capsys.readouterr().out
