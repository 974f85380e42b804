"""Systems that follow each other."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import numpy as np

from . import _native
from ._arrays import given, real
from ._errors import DataError
from ._preconditioner import Method, Preconditioner, section
from ._solve import Callback, Result, solve
from ._system import Problem, system


class Sequence:
    """Systems that follow each other, time steps or Newton's: M goes on from one to the next, and so may x.

    Parameters
    ----------
    preconditioner : str or dict
        A method's name, or a dict with ``name`` and parameters.
    method : str, optional
        As in :func:`solve`.
    reuse : str
        When M is made anew: "refresh" for every system, refreshed where only values changed and the method can;
        "keep", the first stays as long as systems have its pattern and are solved with it; "adaptive", where keeping
        it longer would cost more than making it anew, by iterations counted so far. Nothing is timed.
    setup_cost : float, optional
        For "adaptive": how many iterations a setup counts for, above 0; estimated from what M stores unless given.
    warm_start : bool
        Whether each solve starts from the last solution that was good.
    **solver
        Keys of the section ``[solver]``: ``tolerance``, ...

    Attributes
    ----------
    results : list of Result
        One for each system so far.
    setups : list of str
        How M was come by for each: "set-up", "refreshed" or "kept"; "set-up" and "refreshed", too, where a solve with a kept
        M failed and went on with one that was made anew.
    preconditioner : Preconditioner or None
        M, as it is now.

    Examples
    --------
    >>> steps = Sequence("amg", "cg", reuse="adaptive", warm_start=True, tolerance=1e-8)
    >>> for A, b in systems:
    ...     x = steps.solve(A, b).x
    >>> steps.totals
    """

    def __init__(
        self,
        preconditioner: Method,
        method: Optional[str] = None,
        *,
        reuse: str = "refresh",
        setup_cost: Optional[float] = None,
        warm_start: bool = False,
        **solver: Any,
    ) -> None:
        _native.check_policy(reuse, setup_cost)
        self._method = section(preconditioner, {})
        self._solver = given(method=method, **solver)
        self._reuse, self._setup_cost, self._warm = reuse, setup_cost, warm_start
        self._last: Optional[np.ndarray] = None
        self.results: List[Result] = []
        self.setups: List[str] = []
        self.preconditioner: Optional[Preconditioner] = None

    def solve(self, A: Any, b: Any = None, *, callback: Optional[Callback] = None) -> Result:
        """Solves the next system.

        Where M was left as it was and the solve fails, it goes on with an M that is made anew; ``iterations`` and
        ``residuals`` are those of both.

        Parameters
        ----------
        A : sparse matrix, System or Problem, (n, n)
            See :class:`System`.
        b : array, (n,), optional
            The right-hand side; a model problem brings its own.
        callback : callable, optional
            See :func:`solve`.

        Returns
        -------
        Result
            A solve that does not converge raises nothing, and the sequence goes on from the last good solution.
        """
        of = system(A)
        if b is None:
            if not isinstance(of, Problem):
                raise DataError("b is missing; only a model problem has one of its own")
            b = of.b
        rhs = real(b, "b")
        if rhs.ndim != 1:
            raise DataError(f"b has shape {rhs.shape}: a sequence takes one right-hand side a system")
        start = self._last if self._warm and self._last is not None and self._last.shape == rhs.shape else None
        how = self._update(of, False)
        result = self._once(of, rhs, start, callback)
        if not result.converged and how == "kept":
            # Where it is no better, or no number, from the beginning.
            further = result.x if result.true_relative_residual < 1.0 else start
            how = self._update(of, True)
            result = _after(result, self._once(of, rhs, further, callback))
        if result.converged:
            self._last = result.x
        self.results.append(result)
        self.setups.append(how)
        return result

    def _update(self, of: Any, anew: bool) -> str:
        m = self.preconditioner
        if m is not None and m.shape == of.shape:
            try:
                return m._native.update(of._native, anew)
            except Exception:
                self.preconditioner = None
                raise
        native = _native.Preconditioner(of._native, self._method, self._reuse, self._setup_cost)
        self.preconditioner = Preconditioner(native)
        return "set-up"

    def _once(self, of: Any, b: np.ndarray, x0: Optional[np.ndarray], callback: Optional[Callback]) -> Result:
        m = self.preconditioner
        assert m is not None
        result = solve(of, b, preconditioner=m, x0=x0, callback=callback, **self._solver)
        result.setup_seconds += m.setup_seconds
        m._native.solved(int(result.iterations), result.converged)
        return result

    @property
    def totals(self) -> Dict[str, int]:
        """What all solves took together: ``systems``, ``converged``, ``iterations``; ``set-up``, ``refreshed`` and ``kept``
        systems."""
        ways = {way: self.setups.count(way) for way in ("set-up", "refreshed", "kept")}
        return {
            "systems": len(self.results),
            "converged": sum(result.converged for result in self.results),
            "iterations": sum(int(result.iterations) for result in self.results),
            **ways,
        }

    def __repr__(self) -> str:
        totals = self.totals
        ways = ", ".join(f"{totals[way]} {way}" for way in ("set-up", "refreshed", "kept"))
        return f"<Sequence: {totals['converged']} of {totals['systems']} solved, {totals['iterations']} iterations; M {ways}>"


def _after(first: Result, then: Result) -> Result:
    """A solve that went on from another."""
    then.iterations += first.iterations
    then.residuals = np.concatenate([first.residuals, then.residuals[1:]])
    then.setup_seconds += first.setup_seconds
    then.solve_seconds += first.solve_seconds
    for key in ("product_seconds", "application_seconds"):
        of = (getattr(first, key), getattr(then, key))
        setattr(then, key, None if None in of else sum(of))
    then.fallback = first.fallback + [(k + int(first.iterations), why, to) for k, why, to in then.fallback]
    then.notes = list(dict.fromkeys(first.notes + then.notes))
    return then
