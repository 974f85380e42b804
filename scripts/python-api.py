#!/usr/bin/env python3
"""Prints docs/python-api.md: the reference of the Python package, out of its docstrings. Needs the package:

    python scripts/python-api.py > docs/python-api.md
"""

import inspect
import re

import precondor

#: Headings, and what stands below them.
GROUPS = {
    "Preconditioners": ["preconditioner", "Preconditioner", "load", "methods", "Methods", "describe", "Description"],
    "Solving": ["solve", "Result", "inverse", "Inverse", "run", "Sequence", "compare", "Comparison", "tune", "Tuned"],
    "Matrices": ["System", "problem", "Problem", "problems", "read", "read_vector"],
    "Methods of your own": ["register", "Factor", "check", "Check", "load_library", "passed_over"],
    "Training": ["train", "Training", "read_model", "write_model", "Model"],
    "The process": ["threads"],
    "Errors": [
        "Error", "ParameterError", "UnsupportedError", "BreakdownError", "DataError", "FileError", "PluginError",
        "PatternChangedError", "PanickedError", "OutOfMemoryError", "NotConvergedError", "Interrupted",
    ],
}


def markdown(text):
    """A docstring in NumPy's form."""
    out, section, lines = [], None, text.splitlines()
    for k, line in enumerate(lines):
        rule = lines[k + 1] if k + 1 < len(lines) else ""
        if re.fullmatch(r"-{3,}", rule) and len(rule) == len(line):
            section = line
            out += [f"*{line}*", ""]
        elif re.fullmatch(r"-{3,}", line):
            continue
        elif section == "Examples":
            if line and out[-1] == "":
                out.append("```python")
            if not line and out[-1] not in ("", "```"):
                out.append("```")
            out.append(line)
        elif section and line and not line.startswith(" ") and section != "Notes":
            name, _, kind = line.partition(" : ")
            name = name.replace("*", "\\*")
            out.append(f"- **{name}**" + (f" : {kind}" if kind else ""))
        else:
            out.append(("  " + line.strip()) if line.startswith("    ") else line)
    if section == "Examples":
        out.append("```")
    text = "\n".join(out)
    text = re.sub(r"``([^`\n]+)``", r"`\1`", text)
    return re.sub(r":(?:func|class|meth):`~?([^`]+)`", r"`\1`", text)


def signature(name, thing):
    try:
        plain = inspect.signature(thing)
    except (TypeError, ValueError):
        return name
    parameters = [one.replace(annotation=inspect.Parameter.empty) for one in plain.parameters.values() if one.name != "self"]
    return f"{name}{plain.replace(parameters=parameters, return_annotation=inspect.Signature.empty)}"


def entry(name):
    thing = getattr(precondor, name)
    out = [f"### {name}", ""]
    error = inspect.isclass(thing) and issubclass(thing, BaseException)
    made = name in ("System", "Factor") or not inspect.isclass(thing)
    if made:
        out += ["```python", signature(name, thing), "```", ""]
    if error:
        bases = [base.__name__ for base in thing.__bases__ if base is not Exception]
        out += [f"Of {' and '.join(bases)}.", ""] if bases else []
    out += [markdown(inspect.getdoc(thing)), ""]
    if inspect.isclass(thing) and not error:
        for key, member in vars(thing).items():
            if key.startswith("_"):
                continue
            if isinstance(member, property):
                out += [f"- `{key}`: {' '.join(markdown(inspect.getdoc(member)).split())}"]
            elif inspect.isfunction(member):
                first = markdown(inspect.getdoc(member)).split("\n\n")[0]
                out += [f"- `{signature(key, member)}`: {' '.join(first.split())}"]
        out.append("")
    return out


def page():
    out = ["# The Python package", "", "Made from the docstrings by `scripts/python-api.py`. How to use it: [From Python](python.md).", ""]
    for group, names in GROUPS.items():
        out += [f"## {group}", ""]
        for name in names:
            out += entry(name)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
