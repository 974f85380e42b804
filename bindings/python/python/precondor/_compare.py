"""Several methods on one system, side by side."""

from __future__ import annotations

import json
import os
import statistics
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

import numpy as np
from scipy.sparse.linalg import LinearOperator

from . import _native
from ._arrays import given, text
from ._errors import DataError, Error, Interrupted, ParameterError
from ._preconditioner import Method, Preconditioner
from ._solve import Result, solve
from ._system import PathLike, Problem, System, system

Entry = Union[Method, Preconditioner, LinearOperator, Callable[[np.ndarray], Any], None]

#: Keys of an entry that are not of its method.
_OWN = ("label", "group", "solver")


class Comparison:
    """What :func:`compare` found. Printed, it is a table; in a notebook, with curves.

    Attributes
    ----------
    rows : list of dict
        For each system and method: ``system``, ``label``, ``group``, ``solver``, ``outcome``, ``converged``,
        ``iterations``, ``products`` (with A, an application of M counted as nnz(M)/nnz(A) of one, twice that for a factor that is
        applied with its transpose; None where that is not known), ``true_relative_residual``, ``nnz_ratio`` (of M to A), ``bytes``, ``setup_seconds``,
        ``solve_seconds`` and ``seconds`` (medians), ``error`` (why it failed, or None).
    results : list of Result or None
        One for each row, the first of its repetitions; None where it failed.
    """

    def __init__(self, said: Dict[str, Any], results: List[Optional[Result]]) -> None:
        self._said, self.results = said, results
        self._written: Optional[Dict[str, str]] = None
        self.rows: List[Dict[str, Any]] = [
            {"system": case["label"], **_numbers(row, case["nnz"])} for case in said["cases"] for row in case["rows"]
        ]

    def _forms(self) -> Dict[str, str]:
        if self._written is None:
            self._written = _native.forms_of_report(text(self._said, "comparison"))
        return self._written

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Dict[str, Any]]:
        return iter(self.rows)

    def __getitem__(self, label: str) -> Optional[Result]:
        """The result of the first row with this label."""
        for row, result in zip(self.rows, self.results):
            if row["label"] == label:
                return result
        raise KeyError(label)

    def __str__(self) -> str:
        return self._forms()["text"]

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._forms()["fragment"]

    def to_pandas(self) -> Any:
        """The rows as a ``DataFrame``, its index the labels (of several systems, with the system before).

        Raises
        ------
        ImportError
            Without pandas, which is no dependency of this package.
        """
        import pandas

        several = len(self._said["cases"]) > 1
        frame = pandas.DataFrame(self.rows)
        return frame.set_index(["system", "label"]) if several else frame.drop(columns="system").set_index("label")

    def over_systems(self, measure: str = "iterations") -> List[Dict[str, Any]]:
        """What every method did over all systems.

        Parameters
        ----------
        measure : str
            "iterations", "time" of setup and solve, or "products" with A, where these are known of all solves.

        Returns
        -------
        list of dict
            ``label``, ``group``, ``solved`` and ``failed`` (systems), ``mean`` (geometric, of value + shift: 10 iterations or products, 10 ms;
            a failure counts as ten times the dearest solve of its system), ``least`` (the share of systems where the method takes
            the least), ``profile``: the corners (τ, ρ) of its performance profile (Dolan and Moré 2002), ρ being the share of
            systems solved with at most τ times the least.
        """
        of = json.loads(_native.over_systems(text(self._said, "comparison")))
        if measure not in of:
            raise ParameterError(f"measure: '{measure}' is none of {', '.join(sorted(of))}")
        return of[measure]

    def plot_profile(self, measure: str = "iterations", ax: Any = None) -> Any:
        """Draws the performance profiles with matplotlib, and returns its ``Axes``; see :meth:`over_systems`.

        Raises
        ------
        ImportError
            Without matplotlib, which is no dependency of this package: :meth:`report` draws without it.
        """
        ax = _axes(ax)
        for of in self.over_systems(measure):
            ax.semilogx(*zip(*of["profile"]), label=of["label"])
        ax.set_xlabel(f"τ, times the least {measure}")
        ax.set_ylabel("share of systems")
        ax.legend()
        return ax

    def plot(self, ax: Any = None) -> Any:
        """Draws the convergence of all solves with matplotlib, and returns its ``Axes``; both axes are logarithmic.

        Raises
        ------
        ImportError
            Without matplotlib, which is no dependency of this package: :meth:`report` draws without it.
        """
        ax = _axes(ax)
        several = len(self._said["cases"]) > 1
        for row, result in zip(self.rows, self.results):
            if result is not None:
                label = f"{row['label']}, {row['system']}" if several else row["label"]
                ax.loglog(range(1, len(result.residuals)), result.residuals[1:], label=label)
        ax.set_xlabel("iteration")
        ax.set_ylabel(self._said["cases"][0]["rows"][0]["measure"])
        ax.legend()
        return ax

    def report(self, folder: PathLike) -> None:
        """Writes ``index.html`` (one page that needs nothing else), ``results.csv`` and ``report.json`` into a folder,
        which is made where it is not there.

        Raises
        ------
        FileError
            Where it cannot be written, or another run writes there.
        """
        forms = self._forms()
        names = {"index.html": "page", "results.csv": "csv", "report.json": "json"}
        _native.write_report(os.fspath(folder), [(name, forms[form]) for name, form in names.items()])


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


def _numbers(row: Dict[str, Any], nnz: int) -> Dict[str, Any]:
    middle = lambda values: statistics.median(values) if values else None  # noqa: E731
    entries = row["stored_entries"]
    return {
        **{key: row[key] for key in ("label", "group", "solver", "outcome", "converged", "iterations", "products")},
        "true_relative_residual": row["true_relative_residual"],
        "nnz_ratio": None if entries is None else entries / max(nnz, 1),
        "bytes": row["bytes"],
        "setup_seconds": middle(row["setup_seconds"]),
        "solve_seconds": middle(row["solve_seconds"]),
        "seconds": middle([a + b for a, b in zip(row["setup_seconds"], row["solve_seconds"])]),
        "error": row["data"].get("error"),
    }


def _label(entry: Entry) -> str:
    if entry is None:
        return "none"
    if isinstance(entry, str):
        return entry
    if isinstance(entry, Mapping):
        rest = {key: value for key, value in entry.items() if key not in (*_OWN, "name")}
        words = [f"{key} {value['name'] if isinstance(value, Mapping) else value}" for key, value in rest.items()]
        return " ".join([str(entry.get("name", "none")), ", ".join(words)]).strip()
    if isinstance(entry, Preconditioner):
        return entry.name
    return getattr(entry, "__name__", type(entry).__name__)


def _entries(methods: Union[Iterable[Entry], Mapping[str, Entry]]) -> List[Tuple[str, str, Dict[str, Any], Entry]]:
    """Label, group, solver and method of each entry."""
    named = list(methods.items()) if isinstance(methods, Mapping) else [(None, entry) for entry in methods]
    entries, seen = [], set()
    for name, entry in named:
        own = {key: entry[key] for key in _OWN if key in entry} if isinstance(entry, Mapping) else {}
        label = name or own.get("label") or _label(entry)
        if label in seen:
            raise ParameterError(f"two methods are called '{label}': give them a 'label', or hand a dict over")
        seen.add(label)
        if isinstance(entry, Mapping):
            rest = {key: value for key, value in entry.items() if key not in _OWN}
            entry = rest or None
        entries.append((label, str(own.get("group", "")), dict(own.get("solver", {})), entry))
    if any(group for _, group, *_ in entries):
        entries = [(label, group or "methods", own, entry) for label, group, own, entry in entries]
    if not entries:
        raise ParameterError("there is nothing to compare: name a method")
    return entries


def _cases(a: Any, b: Any) -> List[Tuple[str, System, Any]]:
    if isinstance(a, Mapping):
        if b is not None:
            raise DataError("several systems bring their right-hand sides: {label: (A, b)} or {label: problem}")
        cases = []
        for label, one in a.items():
            pair = (one, None) if isinstance(one, Problem) else one
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise DataError(f"system '{label}': give a problem, or a pair (A, b)")
            cases += [(str(label), *case[1:]) for case in _cases(*pair)]
        return cases
    of = system(a)
    if b is None:
        if not isinstance(of, Problem):
            raise DataError("b is missing; only a model problem has one of its own")
        b = of.b
    label = str(of.parameters["kind"]) if isinstance(of, Problem) else "the system"
    return [(label, of, b)]


def compare(
    A: Any,
    b: Any = None,
    methods: Union[Iterable[Entry], Mapping[str, Entry]] = ("jacobi", "ic", "fsai", "amg"),
    *,
    method: Optional[str] = None,
    repeats: int = 1,
    title: str = "Comparison",
    **solver: Any,
) -> Comparison:
    """Solves one system, or several, with several preconditioners, one after the other.

    Parameters
    ----------
    A : sparse matrix, System or Problem, (n, n); or dict
        The system; or several, ``{label: (A, b)}`` or ``{label: problem}``.
    b : array, (n,), optional
        The right-hand side; a model problem brings its own.
    methods : list or dict of entries
        An entry is what :func:`solve` takes as ``preconditioner``; None is no preconditioner. A dict may have, beside
        ``name`` and parameters, a ``label``, a ``group`` (rows that stand together) and a ``solver`` (a dict of keys
        for this entry alone). In a dict of entries the keys are the labels.
    method : str, optional
        The iteration. Unless given, "cg" where A is symmetric and the preconditioner known to be positive definite,
        else "gmres".
    repeats : int
        How often every setup and solve is done; times are medians.
    title : str
        The heading of the report.
    **solver
        Keys of the section ``[solver]``: ``tolerance``, ...

    Returns
    -------
    Comparison
        A method that fails is a row that says why.

    Raises
    ------
    Interrupted
        On Ctrl-C; its ``result`` is the comparison as far as it got.
    ParameterError
        Where no entry could be solved with, whatever the matrix: a key of ``solver`` that is not there.

    Examples
    --------
    >>> table = compare(A, b, ["ic", "fsai", {"name": "amg"}], tolerance=1e-8)
    >>> table.report("report")
    """
    if repeats < 1:
        raise ParameterError(f"repeats: {repeats} is not 1 or more")
    entries = _entries(methods)
    said: Dict[str, Any] = {
        "title": title,
        "command": f"precondor.compare(..., {', '.join(label for label, *_ in entries)})",
        "notes": [f"Every solve was done {repeats} times, setup included: times are medians, from the shortest to the "
                  "longest in brackets."] if repeats > 1 else [],
        "cases": [],
    }
    results: List[Optional[Result]] = []
    try:
        for label, of, rhs in _cases(A, b):
            about = f"{of.shape[0]} unknowns, {of.nnz} entries"
            case: Dict[str, Any] = {"label": label, "notes": [about], "nnz": of.nnz, "rows": []}
            said["cases"].append(case)
            for entry in entries:
                row, result = _one(of, rhs, entry, given(method=method, **solver), repeats)
                case["rows"].append(row)
                results.append(result)
    except KeyboardInterrupt as interrupt:
        said["notes"].append("It was interrupted before all was done.")
        said["cases"] = [case for case in said["cases"] if case["rows"]]
        raised = Interrupted(*interrupt.args)
        raised.result = Comparison(said, results)
        raise raised from None
    return Comparison(said, results)


def _one(
    of: System, b: Any, entry: Tuple[str, str, Dict[str, Any], Entry], solver: Dict[str, Any], repeats: int
) -> Tuple[Dict[str, Any], Optional[Result]]:
    """A row, and the first of its results."""
    label, group, own, m = entry
    keys = {**solver, **own}
    runs: List[Result] = []
    error: Optional[Error] = None
    name = keys.get("method", "gmres")
    try:
        for _ in range(repeats):
            if "method" not in keys:
                name, run = _chosen(of, b, m, keys)
            else:
                run = solve(of, b, preconditioner=m, **keys)
            runs.append(run)
    except Error as failed:
        error = failed
    first = runs[0] if runs and error is None else None
    ours = first.preconditioner if first else None
    times = runs if first else []
    row = {
        "label": label,
        "group": group,
        "solver": str(name),
        "measure": first.measure if first else "",
        "outcome": first.outcome if first else "failed",
        "converged": bool(first and first.converged),
        "iterations": int(first.iterations) if first else None,
        "products": _work(first, m, of.nnz) if first else None,
        "true_relative_residual": _finite(first.true_relative_residual) if first else None,
        "stored_entries": ours.nnz if ours else None,
        "bytes": ours.nbytes if ours else None,
        "setup_seconds": [run.setup_seconds for run in times],
        "solve_seconds": [run.solve_seconds for run in times],
        "history": [_finite(value) for value in first.residuals] if first else [],
        "remarks": [str(error)] if error else [first.reason] if first and first.reason else [],
        "asides": first.notes if first else [],
        "data": {"error": str(error) if error else None},
    }
    return row, first


def _work(result: Result, m: Entry, nnz: int) -> Optional[float]:
    """Products with A, an application of M counted by the entries that it goes through, where that is known."""
    ours = result.preconditioner
    if result.products is None or result.applications is None or (ours is None and m is not None):
        return None
    entries = ours.nnz * ours._passes if ours else 0
    return result.products + result.applications * entries / max(nnz, 1)


def _finite(value: float) -> Optional[float]:
    return float(value) if np.isfinite(value) else None


def _chosen(of: System, b: Any, m: Entry, keys: Dict[str, Any]) -> Tuple[str, Result]:
    """A solve with cg where that may be, else with gmres."""
    definite = m is None or keys.get("assume") == "spd" or isinstance(m, Preconditioner) and m.positive_definite
    made = 0.0
    if isinstance(m, (str, Mapping)):
        from ._preconditioner import preconditioner

        m = preconditioner(m, of)
        made, definite = m.setup_seconds, definite or m.positive_definite
    name = "cg" if definite and of._native.symmetric() else "gmres"
    result = solve(of, b, name, m, **keys)
    result.setup_seconds += made
    return name, result

