"""Methods that are written in Python."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, TypeVar

import numpy as np

from . import _native
from ._arrays import compressed, csr_array, given, real, text, vector, without_copy
from ._errors import DataError, ParameterError
from ._system import system

Method = TypeVar("Method", bound=Callable[..., Any])

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", tuple: "array"}


class Factor:
    """What a method of yours returns where M = GᵀG: G, a sparse matrix, (n, n)."""

    def __init__(self, G: Any) -> None:
        self.G = G


def _schema(name: str, parameters: Mapping[str, Any]) -> str:
    def of(key: str, default: Any) -> Dict[str, Any]:
        if isinstance(default, Mapping):  # a schema of its own
            return dict(default)
        kind = _TYPES.get(type(default.item() if isinstance(default, np.generic) else default))
        if default is not None and kind is None:
            raise ParameterError(f"{name}: the default of '{key}' is of type {type(default).__name__}")
        return {"default": default, "description": "", **given(type=kind)}

    properties = {key: of(key, default) for key, default in parameters.items()}
    for key in properties:
        if key == "name" or not re.fullmatch(r"[a-z][a-z0-9_]*", key):
            raise ParameterError(f"{name}: a parameter cannot be called '{key}'")
    return text({"type": "object", "additionalProperties": False, "properties": properties}, name)


def _takes(function: Callable[..., Any]) -> int:
    """How many arguments a function takes by place, up to two."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    if any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters):
        return 2
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return min(2, sum(one.kind in by_place for one in parameters))


def register(
    name: str,
    *,
    parameters: Optional[Mapping[str, Any]] = None,
    symmetric: bool = False,
    positive_definite: bool = False,
    constant: bool = True,
    summary: Optional[str] = None,
) -> Callable[[Method], Method]:
    """Makes a function or a class of yours a method, chosen by name wherever a method is: in ``preconditioner``, ``solve``
    and ``compare``, and inside others, as the smoother of ``amg`` or ``multigrid``, the ``method`` of ``schwarz``.

    Parameters
    ----------
    name : str
        Small letters, digits and hyphens. A method of yours of that name is replaced, as when a cell is run again.
    parameters : dict, optional
        Names and defaults. Others are refused with the nearest one, as those of any method; a dict in the place of a
        default is its JSON schema (``{"type": "integer", "default": 3, "minimum": 1}``).
    symmetric, positive_definite, constant : bool
        What M is said to be: cg and minres want it symmetric positive definite, all but flexible solvers constant. See
        :func:`check`.
    summary : str, optional
        A line for lists; that of the docstring unless given.

    Notes
    -----
    What is decorated is ``generate(A, params)``, or a class with such a method, of which one object is made. ``A`` is a
    sparse array, (n, n), a copy; what is known beside its entries is in ``A.known``, a dict of arrays, (n, width):
    "coordinates", "coefficient", "near-nullspace", "block-size". ``params`` is a dict. It returns one of

    - a sparse matrix or dense array M, (n, n);
    - ``Factor(G)``: M = GᵀG, symmetric positive definite;
    - a pair (L, U) of sparse triangular matrices with their diagonals: M = (L U)⁻¹;
    - an object with ``apply(r)``, which returns M r, (n,); and, where it has them, ``apply_transpose(r)``,
      ``symmetric``, ``positive_definite``, ``constant`` and ``notes`` (a list of str).

    The first three are applied without Python. Results may be tensors of PyTorch. What the function raises comes back
    from the call that it was in. Such a method works in this process alone: it is not there for PETSc or under mpirun.

    Examples
    --------
    >>> @register("my-jacobi", parameters={"damping": 1.0}, symmetric=True, positive_definite=True)
    ... def my_jacobi(A, params):
    ...     return scipy.sparse.diags(params["damping"] / A.diagonal())

    Raises
    ------
    ParameterError
        For a name or parameters that no method can have.
    PluginError
        Where a method that is not of yours has the name.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ParameterError(f"a method cannot be called '{name}': small letters, digits, and hyphens between them")
    defaults = dict(parameters or {})
    schema = _schema(name, defaults)
    plain = {key: value.get("default") if isinstance(value, Mapping) else value for key, value in defaults.items()}
    said = (symmetric or positive_definite, positive_definite, constant)

    def decorate(method: Method) -> Method:
        generate: Any = method() if inspect.isclass(method) else method
        generate = getattr(generate, "generate", generate)
        if not callable(generate):
            raise ParameterError(f"{name}: {method!r} is no function, and has no 'generate'")
        takes = _takes(generate)

        def call(arrays: Any, known: List[Tuple[str, np.ndarray]], params: str) -> Any:
            indptr, indices, data = arrays
            n = len(indptr) - 1
            A = csr_array((data, indices, indptr), shape=(n, n))
            A.known = dict(known)
            made = generate(*(A, {**plain, **json.loads(params)})[:takes])
            return _form(name, made, n, said)

        lines = (summary or inspect.getdoc(method) or "a method of your own, written in Python").splitlines()
        _native.register(name, lines[0].rstrip("."), schema, call)
        return method

    return decorate


def _form(name: str, made: Any, n: int, said: Tuple[bool, bool, bool]) -> Any:
    """What a method returned, as the extension module takes it."""

    def matrix(of: Any, what: str) -> Any:
        shape, *arrays = compressed(of, f"{name}: {what}")
        if shape != (n, n):
            raise DataError(f"{name}: {what} is {shape[0]}×{shape[1]} for a matrix of {n} rows")
        return tuple(arrays)

    if isinstance(made, Factor):
        return "factor", [matrix(made.G, "G")], [], (True, True, True), []
    if isinstance(made, (tuple, list)) and len(made) == 2:
        return "pair", [matrix(made[0], "L"), matrix(made[1], "U")], [], said, []
    if callable(getattr(made, "apply", None)):
        functions = [_function(name, made.apply, "apply", n)]
        if callable(getattr(made, "apply_transpose", None)):
            functions.append(_function(name, made.apply_transpose, "apply_transpose", n))
        definite = bool(getattr(made, "positive_definite", said[1]))
        claims = (bool(getattr(made, "symmetric", said[0])) or definite, definite, bool(getattr(made, "constant", said[2])))
        return "object", [], functions, claims, [str(note) for note in getattr(made, "notes", [])]
    if made is None:
        raise DataError(f"{name}: its function returned None: a matrix, Factor(G), a pair (L, U) or an object with 'apply'")
    return "inverse", [matrix(made, "M")], [], said, []


def _function(name: str, apply: Callable[[np.ndarray], Any], what: str, n: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda r: vector(real(without_copy(apply(r)), f"{name}: {what}"), f"{name}: what {what} gives", n)


class Check:
    """What :func:`check` found; true where the method keeps its word.

    Attributes
    ----------
    passed, failed : list of str
        What holds, and what does not, with how far it is off.
    not_tried : str or None
        Why the method could not be tried.
    """

    def __init__(self, name: str, passed: List[str], failed: List[str], not_tried: Optional[str]) -> None:
        self.name, self.passed, self.failed, self.not_tried = name, passed, failed, not_tried

    def __bool__(self) -> bool:
        return not self.failed and self.not_tried is None

    def __repr__(self) -> str:
        lines = [f"{self.name}: {len(self.passed)} checks passed", *(f"  FAILED: {why}" for why in self.failed)]
        if self.not_tried is not None:
            lines.append(f"  NOT TRIED on a matrix: {self.not_tried}")
        return "\n".join(lines)


def check(name: str, A: Any = None, **parameters: Any) -> Check:
    """Whether a method keeps its word, as ``precondor plugins check`` asks: numbers are finite, the same r gives the same
    bits, M is linear, symmetric and positive definite where it is said to be, Mᵀ is the transpose, and defaults fit.

    Parameters
    ----------
    name : str
        The method.
    A : sparse matrix, System or Problem, (n, n), optional
        What to try it on, with ``parameters``; small model problems with defaults unless given.

    Returns
    -------
    Check

    Examples
    --------
    >>> assert check("my-jacobi")

    Raises
    ------
    ParameterError
        For a method that is not there.
    """
    if A is None and parameters:
        raise ParameterError(f"{name}: parameters are for a matrix of yours: check('{name}', A, ...)")
    of = None if A is None else system(A)._native
    return Check(name, *_native.check_method(name, of, text(parameters, name)))
