"""The methods that are there, and what they say of themselves."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List

from . import _native
from ._system import PathLike


class Description(Dict[str, Any]):
    """What a method says of itself: ``name``, ``summary``, ``version``, ``origin``, ``extensions``, ``keeps``,
    ``parameters`` (of which each has name, kind, default, about and choices), ``training`` (the same, of what is
    trained) and the JSON ``schema``. Printed, it is a page."""

    def __str__(self) -> str:
        lines = [f"{self['name']}: {self['summary']}", f"version {self['version']}, {self['origin']}"]
        if self["extensions"]:
            lines.append(f"offers {', '.join(self['extensions'])}")
        for title, parameters in (("parameters", self["parameters"]), ("parameters of training", self["training"])):
            if parameters is None:
                continue
            lines += ["", f"{title}:"] + ([] if parameters else ["  none"])
            for one in parameters:
                default = "" if one["default"] is None else f", {json.dumps(one['default'])} unless given"
                lines.append(f"  {one['name']}: {one['kind']}{default}")
                lines += [f"      {line}" for line in one["about"].splitlines()]
                lines += [f'      - "{choice}": {meaning}' for choice, meaning in one["choices"]]
        return "\n".join(lines)

    __repr__ = __str__


class Methods(Dict[str, str]):
    """Names of methods, each with a line about it. Printed, it is a list."""

    def __str__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name:{width}}  {summary}" for name, summary in self.items())

    __repr__ = __str__


def methods() -> Methods:
    """The methods that are there: those that come with the package, those of libraries in the folders of
    ``PRECONDOR_PATH``, and your own. A library replaces a method of its name that comes with the package.

    Examples
    --------
    >>> sorted(methods())
    ['amg', 'auto', ...]
    """
    return Methods(_native.methods_there())


def passed_over() -> List[str]:
    """Libraries that were found and not loaded, and methods that a library stands for, in words."""
    return _native.passed_over()


def describe(name: str) -> Description:
    """What a method says of itself, from its schema: the only statement of its parameters.

    Raises
    ------
    ParameterError
        For a method that is not there, with the nearest one.
    """
    return Description(json.loads(_native.describe(name)))


def load_library(path: PathLike) -> List[str]:
    """Loads a library of methods (``libprecondor_plugin_NAME.so``) that is on no search path, and returns their names.
    Families of problems that it has are kinds for :func:`problem` from then on.

    Its code is run, as that of a module that is imported. A file, or folder, that others than root and you can write
    is refused.

    Raises
    ------
    PluginError
        Where it cannot be trusted, loaded or understood, or another method has the name of one of its methods.
    """
    return _native.load_library(os.fspath(path))


def threads() -> int:
    """Threads that methods and products with A run on: as many as there are processors, or as the environment variable
    ``RAYON_NUM_THREADS`` said before the first of them ran. No result depends on it by a bit."""
    return _native.threads()
