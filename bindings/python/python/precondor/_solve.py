"""Solving, and inverses that solve."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np
from scipy.sparse.linalg import LinearOperator

from . import _native
from ._arrays import given, real, size_of, text, vector
from ._errors import DataError, Interrupted, NotConvergedError, ParameterError
from ._preconditioner import Method, Preconditioner, section
from ._system import PathLike, System, system

Callback = Callable[[int, float], Any]


class Result:
    """How a solve went.

    Attributes
    ----------
    x : array, (n,) or (n, k)
        The last iterate, whatever the outcome.
    converged : bool
        Whether the stopping criterion holds, for all columns.
    outcome : str
        "converged", "iteration-limit", "diverged", "breakdown", "rows-unsolved" or "interrupted"; of several columns
        that of the first that did not converge.
    reason : str or None
        What there is to say beyond the outcome.
    iterations : int, or array of int, (k,)
        Iterations done.
    residuals : array, (iterations + 1,), or list of k such
        The stopping measure before the first and after every iteration.
    measure : str
        What that is, in words.
    true_relative_residual : float
        ‖b − A x‖₂ / ‖b‖₂, computed from x; the largest of several columns.
    scaled_residual : float
        The largest residual of a row relative to the size of the row.
    setup_seconds : float
        To set the preconditioner up, where this solve did; looking at spectra included.
    solve_seconds : float
        Of that, ``product_seconds`` with A and ``application_seconds`` of M, where they are known.
    products, applications : int or None
        How many products with A there were, and applications of M, where that is known.
    fallback : list of (iteration, reason, to)
        Where the solve noticed that its preconditioner fails, and went on by other means.
    notes : list of str
        What matrix, method and solver have to say.
    preconditioner : Preconditioner or None
        M, for the next solve.
    columns : list of Result
        One for each right-hand side.
    """

    def __init__(self, went: List[Dict[str, Any]], m: Any, setup_seconds: float, two_dimensional: bool) -> None:
        first = went[0]
        self.preconditioner = m if isinstance(m, Preconditioner) else None
        worst = next((one for one in went if not one["converged"]), first)
        self.converged: bool = all(one["converged"] for one in went)
        self.outcome: str = worst["outcome"]
        self.measure: str = first["measure"]
        self.reason: Optional[str] = worst["reason"]
        self.true_relative_residual: float = max(one["true_relative_residual"] for one in went)
        self.scaled_residual: float = max(one["scaled_residual"] for one in went)
        self.setup_seconds: float = setup_seconds + sum(one["setup_seconds"] for one in went)
        self.solve_seconds: float = sum(one["solve_seconds"] for one in went)
        spent = [[one[f"{what}_seconds"] for one in went] for what in ("product", "application")]
        self.product_seconds, self.application_seconds = (None if None in of else sum(of) for of in spent)
        counts = [[one[what] for one in went] for what in ("products", "applications")]
        self.products, self.applications = (None if None in of else sum(of) for of in counts)
        self.fallback: List[Tuple[int, str, str]] = [switch for one in went for switch in one["fallback"]]
        self.notes: List[str] = list(dict.fromkeys(note for one in went for note in one["notes"]))
        self.x: np.ndarray
        self.iterations: Any
        self.residuals: Any
        if two_dimensional:
            self.x = np.column_stack([one["x"] for one in went])
            self.iterations = np.array([one["iterations"] for one in went])
            self.residuals = [one["residuals"] for one in went]
            self.columns = [Result([one], m, 0.0, False) for one in went]
        else:
            self.x, self.iterations, self.residuals = first["x"], first["iterations"], first["residuals"]
            self.columns = [self]

    def __repr__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return (
            f"<{self.outcome}{reason} after {self.iterations} iterations, relative residual "
            f"{self.true_relative_residual:.2e}; set up in {self.setup_seconds:.3g} s, solved in {self.solve_seconds:.3g} s>"
        )


def _operator(a: LinearOperator) -> Callable[[np.ndarray], np.ndarray]:
    if np.dtype(a.dtype or np.float64).kind == "c":
        real(np.zeros(0, a.dtype), "A")
    size = size_of(a.shape, "A")
    return lambda x: vector(a.matvec(x), "the product with A", size)


def _applied(m: Any, size: int) -> Any:
    """M as the extension module takes it: one of ours, or a function."""
    if m is None:
        return None
    ours: Any
    if isinstance(m, Preconditioner):
        m_size, ours = m.shape[0], m._native
    else:
        apply = m.matvec if isinstance(m, LinearOperator) else m if callable(m) else getattr(m, "__matmul__", None)
        if apply is None:
            raise ParameterError(
                f"the preconditioner is of type {type(m).__name__}: give a method's name, a dict with 'name', a "
                "Preconditioner, or what maps a residual to a correction (LinearOperator, matrix, function)"
            )
        m_size = m.shape[0] if hasattr(m, "shape") else size
        ours = lambda r: vector(apply(r), "what the preconditioner gives", size)  # noqa: E731
    if m_size != size:
        raise DataError(f"the preconditioner has {m_size} rows, A has {size}")
    return ours


class _Problem:
    """A, what M is made from, and M, for solves with one matrix."""

    def __init__(self, a: Any, m: Any, preconditioner_matrix: Any) -> None:
        self.product = _operator(a) if isinstance(a, LinearOperator) and not isinstance(a, System) else None
        self.system: Optional[_native.System] = None
        if self.product is None:
            self.system = system(a)._native
        self.size = self.system.size if self.system is not None else size_of(a.shape, "A")
        self.other: Optional[_native.System] = None
        if preconditioner_matrix is not None:
            other = system(preconditioner_matrix)
            if other.shape[0] != self.size:
                raise DataError(f"the preconditioner's matrix has {other.shape[0]} rows, A has {self.size}")
            self.other = other._native if self.system is None else self.system.beside(other._native)
        self.m, self.setup_seconds = m, 0.0
        if isinstance(m, (str, Mapping)):
            # Of an operator alone it is said that it has no entries.
            source = self.other or self.system or system(a)._native
            self.m = Preconditioner(_native.Preconditioner(source, section(m, {})))
            self.setup_seconds = self.m.setup_seconds
        self.applied = _applied(self.m, self.size)

    def solve(self, b: np.ndarray, x0: Optional[np.ndarray], solver: str, callback: Optional[Callback]) -> Any:
        return _native.solve(
            self.system, self.product, b, x0, self.applied, None if self.product else self.other, solver, callback
        )


def solve(
    A: Any,
    b: Any,
    method: Optional[str] = None,
    preconditioner: Union[Method, Preconditioner, LinearOperator, Callable[[np.ndarray], Any], None] = None,
    *,
    x0: Any = None,
    preconditioner_matrix: Any = None,
    callback: Optional[Callback] = None,
    **solver: Any,
) -> Result:
    """Solves A x = b.

    Parameters
    ----------
    A : sparse matrix, System, Problem or LinearOperator, (n, n)
        See :class:`System`. A LinearOperator has a product alone: hand a sparse matrix near to it over as
        ``preconditioner_matrix``, or a preconditioner that is there.
    b : array, (n,) or (n, k)
        One right-hand side, or k as columns, for which M is set up once.
    method : str, optional
        "cg", "flexible-cg", "minres", "gmres", "flexible-gmres", "bicgstab" or "richardson"; "gmres" unless given.
    preconditioner : optional
        A method's name; a dict with ``name`` and parameters; a Preconditioner; or what maps a residual to a correction:
        a LinearOperator, a sparse matrix, a function. Nothing is known of the last three: say ``assume="spd"`` where cg
        or minres is to take them. None unless given.
    x0 : array, (n,) or (n, k), optional
        Where to start; zero unless given.
    preconditioner_matrix : sparse matrix, optional
        What M is made from; A unless given.
    callback : callable, optional
        ``callback(iteration, measure)`` before the first and after every iteration. What it raises ends the solve.
    **solver
        Keys of the section ``[solver]`` of a configuration: ``tolerance`` (1e-5 unless given), ``max_iterations``,
        ``restart``, ``norm``, ``absolute_tolerance``, ``assume``, ``fallback``, ``check``, ...

    Returns
    -------
    Result
        A solve that does not converge raises nothing: look at ``converged``.

    Raises
    ------
    Interrupted
        On Ctrl-C; its ``result`` has the last iterate.
    ParameterError, UnsupportedError, BreakdownError, DataError
        As on the command line, with the same texts.

    Examples
    --------
    >>> r = solve(A, b, "cg", "fsai", tolerance=1e-8)
    >>> r.converged, r.iterations
    """
    asked = text(given(method=method, **solver), "solver")
    problem = _Problem(A, preconditioner, preconditioner_matrix)
    size = problem.size
    rhs = real(b, "b")
    two_dimensional = rhs.ndim == 2
    if rhs.ndim not in (1, 2) or rhs.shape[0] != size:
        raise DataError(f"b has shape {rhs.shape}; A has {size} rows")
    if two_dimensional and rhs.shape[1] == 0:
        raise DataError("b has no columns")
    start = None if x0 is None else real(x0, "x0")
    if start is not None and start.shape != rhs.shape:
        raise DataError(f"x0 has shape {start.shape}, b {rhs.shape}")
    went = []
    for k in range(rhs.shape[1] if two_dimensional else 1):
        column = (lambda v: np.ascontiguousarray(v[:, k] if two_dimensional else v))  # noqa: B023, E731
        one, raised = problem.solve(column(rhs), None if start is None else column(start), asked, callback)
        went.append(one)
        if raised is not None:
            break
    result = Result(went, problem.m, problem.setup_seconds, two_dimensional)
    _raise(raised, result)
    return result


def _raise(raised: Optional[BaseException], result: Result) -> None:
    if raised is None:
        return
    if isinstance(raised, KeyboardInterrupt):
        interrupted = Interrupted(*raised.args)
        interrupted.result = result
        raise interrupted
    raise raised


def run(configuration: Union[PathLike, Mapping[str, Any]], *, callback: Optional[Callback] = None) -> Result:
    """Carries a configuration out, as ``precondor solve`` does.

    Parameters
    ----------
    configuration : path or dict
        A TOML file, or a dict with its sections: ``{"problem": {...}, "solver": {...}, "preconditioner": {...}}``. Paths
        in a file are relative to its folder, those in a dict to the present one.
    callback : callable, optional
        See :func:`solve`.

    Returns
    -------
    Result
        Bit for bit what the command line computes.
    """
    if isinstance(configuration, Mapping):
        one, raised = _native.run(None, text(configuration, "configuration"), callback)
    else:
        one, raised = _native.run(os.fspath(configuration), "", callback)
    setup = one.pop("setup_seconds")
    result = Result([{**one, "setup_seconds": 0.0}], None, setup, False)
    _raise(raised, result)
    return result


class Inverse(LinearOperator):
    """A⁻¹ as an operator that solves: ``OPinv`` of ``eigsh``, for instance. Made by :func:`inverse`.

    Attributes
    ----------
    solves : int
        Solves so far.
    iterations : int
        Iterations of all of them.
    last : Result or None
        How the last one went.
    """

    def __init__(self, problem: _Problem, solver: str, symmetric: bool) -> None:
        self._problem, self._solver, self._symmetric = problem, solver, symmetric
        self.preconditioner = problem.m
        self.solves, self.iterations = 0, 0
        self.last: Optional[Result] = None
        super().__init__(np.dtype(np.float64), (problem.size, problem.size))

    def _matvec(self, b: np.ndarray) -> np.ndarray:
        if np.iscomplexobj(b):
            return self._matvec(b.real) + 1j * self._matvec(b.imag)
        went, raised = self._problem.solve(vector(b, "b", self.shape[0]), None, self._solver, None)
        self.last = Result([went], self._problem.m, 0.0, False)
        self.solves += 1
        self.iterations += self.last.iterations
        _raise(raised, self.last)
        if not self.last.converged:
            error = NotConvergedError(f"a solve that has to converge did not: {self.last!r}")
            error.result = self.last
            raise error
        return self.last.x

    def _rmatvec(self, b: np.ndarray) -> np.ndarray:
        if not self._symmetric:
            raise NotImplementedError("solves with the transpose are there for cg and minres alone, whose A is symmetric")
        return self._matvec(b)


def inverse(
    A: Any,
    method: Optional[str] = None,
    preconditioner: Union[Method, Preconditioner, LinearOperator, Callable[[np.ndarray], Any], None] = None,
    *,
    preconditioner_matrix: Any = None,
    **solver: Any,
) -> Inverse:
    """An operator that solves with A: every product is a solve, which has to converge.

    Parameters are those of :func:`solve`. The preconditioner is set up once, and A is copied: what is done to it later does
    not reach the operator. Choose a ``tolerance`` below what the user of
    the operator asks for: ``eigsh(A, sigma=0, OPinv=inverse(A, "cg", "amg", tolerance=1e-10))``.

    Raises
    ------
    NotConvergedError
        From a product whose solve does not converge; its ``result`` says how far it got.
    """
    problem = _Problem(A, preconditioner, preconditioner_matrix)
    if problem.system is not None:
        problem.system.keep()
    return Inverse(problem, text(given(method=method, **solver), "solver"), method in ("cg", "flexible-cg", "minres"))
