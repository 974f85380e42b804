"""Which method, with which parameters, takes least on a family of systems."""

from __future__ import annotations

import csv
import io
import json
import os
import pathlib
import sys
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from . import _native
from ._arrays import given, text, vector
from ._errors import DataError, Interrupted, ParameterError
from ._models import write
from ._preconditioner import Method
from ._system import PathLike, Problem, System, system

Systems = Union[Sequence[Any], Mapping[str, Any]]
Problems = Union[Mapping[str, Any], Sequence[Mapping[str, Any]]]


class Tuned:
    """What :func:`tune` found. Printed, it is a table; in a notebook, with pictures of the race.

    Attributes
    ----------
    config : dict
        The configuration that won: ``solver`` (its ``method`` and what was given), ``preconditioner`` (``name`` and
        parameters; left out for M = I), and, of model problems, ``problem``, the first of the held-out systems. For
        ``precondor.run`` and, as a file, for the program.
    winner : dict or None
        ``config["preconditioner"]``: what :func:`solve`, :func:`compare` and :func:`preconditioner` take.
    method : str
        The iteration that goes with it.
    gap : bool or None
        Whether a tuned configuration takes less on the held-out systems than the best of what was there before; where it is
        False that is the winner. None where nothing is known of held-out systems.
    statement : list of str
        What may be said, in sentences.
    held_out : list of dict
        A row for each finalist on the held-out systems: ``label``, ``role``, ``solver``, ``outcome``, ``iterations``,
        ``setup_seconds``, ``solve_seconds``, ``seconds``, ``ratio`` (to what is to be beaten), ``verdict``, ``preconditioner``.
    trials : list of dict
        Every trial, as texts: ``at``, ``stage``, ``label``, ``method``, ``parameters``, ``solver``, ``outcome``,
        ``iterations``, ``cost``, ...
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = told
        self.config: Dict[str, Any] = json.loads(told["configuration"])
        self.winner: Optional[Dict[str, Any]] = self.config.get("preconditioner")
        self.method: str = self.config["solver"]["method"]
        self.gap: Optional[bool] = told["gap"]
        self.statement: List[str] = told["statement"]
        self.trials: List[Dict[str, str]] = list(csv.DictReader(io.StringIO(told["csv"])))
        sections = json.loads(told["json"])["sections"]
        tables = [section["tables"][0] for section in sections if section["id"] == "held_out"]
        self.held_out: List[Dict[str, Any]] = [_row(row) for table in tables for row in table["rows"]]

    def __str__(self) -> str:
        return self._told["text"]

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._told["fragment"]

    def to_pandas(self) -> Any:
        """The finalists on the held-out systems as a ``DataFrame``, its index the labels.

        Raises
        ------
        ImportError
            Without pandas, which is no dependency of this package.
        """
        import pandas

        return pandas.DataFrame(self.held_out).set_index("label")

    def save(self, path: PathLike) -> None:
        """Writes the configuration that won as TOML, with what may be said of it; whole or not at all.

        Raises
        ------
        FileError
            Where it cannot be written.
        """
        write(pathlib.Path(path), self._told["written"].encode())

    def report(self, folder: PathLike) -> None:
        """Writes ``index.html`` (one page that shows the race and needs nothing else), ``race.csv`` (every trial),
        ``report.json``, ``tuned.toml`` and, of model problems, ``finalists.toml`` for ``precondor compare`` into a folder, which
        is made where it is not there.

        Raises
        ------
        FileError
            Where it cannot be written, or another run writes there.
        """
        told = self._told
        names = {"index.html": "page", "race.csv": "csv", "report.json": "json", "tuned.toml": "written"}
        if told["finalists"] is not None:
            names["finalists.toml"] = "finalists"
        _native.write_report(os.fspath(folder), [(name, told[form]) for name, form in names.items()])


def _row(row: Mapping[str, Any]) -> Dict[str, Any]:
    values = dict(row["values"])
    iterations = values.get("iterations")
    if isinstance(iterations, Mapping):
        values["iterations"] = iterations["mean"]
    return {"label": row["label"], **values, "preconditioner": row["preconditioner"]}


def _shown(budget: float) -> Optional[Callable[[float, float, int, Optional[str]], None]]:
    """A bar of tqdm where it is there; else a line on a terminal."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        if not sys.stderr.isatty():
            return None

        def line(seconds: float, budget: float, configurations: int, best: Optional[str]) -> None:
            told = f"{seconds:.0f} s of {budget:.0f} s, {configurations} configurations, best {best}"
            print(f"\r{told:<100.100}", end="", file=sys.stderr, flush=True)

        return line
    bar = tqdm(total=round(budget, 1), unit="s", bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s{postfix}")

    def advance(seconds: float, budget: float, configurations: int, best: Optional[str]) -> None:
        bar.set_postfix_str(f"{configurations} configurations, best {best}")
        bar.update(min(seconds, budget) - bar.n)

    return advance


def _given(systems: Systems, what: str) -> List[Tuple[str, Any, np.ndarray]]:
    """Labels, systems and right-hand sides."""
    named = systems.items() if isinstance(systems, Mapping) else ((f"{what}[{k}]", one) for k, one in enumerate(systems))
    made = []
    for label, one in named:
        a, b = one if isinstance(one, tuple) else (one, None)
        if isinstance(one, tuple) and len(one) != 2:
            raise DataError(f"{label}: give a matrix, a pair (A, b), or a problem")
        of: System = system(a)
        if b is None:
            b = of.b if isinstance(of, Problem) else np.ones(of.shape[0])
        made.append((str(label), of._native, vector(b, f"b of {label}", of.shape[0])))
    return made


def _is_problems(systems: Any) -> bool:
    one = systems[0] if isinstance(systems, Sequence) and systems else systems
    return isinstance(one, Mapping) and "kind" in one


def tune(
    matrices: Optional[Systems] = None,
    *,
    problem: Optional[Problems] = None,
    budget: float = 60.0,
    held_out: Union[float, Systems, Problems, None] = None,
    methods: Optional[Iterable[Method]] = None,
    preconditioner: Optional[Method] = None,
    method: Optional[str] = None,
    solvers: Optional[Iterable[str]] = None,
    measure: str = "time",
    solves: int = 1,
    configurations: Optional[int] = None,
    time_limit: Optional[float] = None,
    seed: int = 0,
    title: Optional[str] = None,
    progress: bool = True,
    callback: Optional[Callable[[float, float, int, Optional[str]], Any]] = None,
    **solver: Any,
) -> Tuned:
    """Finds the method, with its parameters, that takes least on systems like these.

    Configurations drawn from the methods' schemas race on some of the systems, losers end early, and the best meets the methods
    as they come on systems that were held out: what is said is said of these alone. It is the race of ``precondor tune``, in
    this process: one after the other, with the interpreter free meanwhile. A method that never looks whether it is to end is
    waited for; the program ends it.

    Parameters
    ----------
    matrices : list or dict of sparse matrices, Systems, Problems or pairs (A, b)
        The systems; b is all ones unless given. In a dict the keys are what they are called. They are kept in memory.
    problem : dict or list of dict, optional
        In place of matrices: model problems as in ``[problem]`` of a configuration, ``{"kind": "poisson", "level": 5}``, with
        ``samples``, how many systems to race on (8).
    budget : float
        Seconds that all of it may take, the held-out systems included.
    held_out : float, or systems, or problems, optional
        The share of the matrices that is held out (a third unless given), and of model problems as many fresh ones; or
        other systems for the end, in any of the forms of ``matrices`` and ``problem``.
    methods : list of str or dict, optional
        The methods that race, those registered here among them; what a dict gives is not drawn. All unless given.
    preconditioner : str or dict, optional
        A configuration that is to be beaten.
    method : str, optional
        The iteration. Unless given it is tried which, of ``solvers`` where these are given.
    solvers : list of str, optional
        The iterations that are tried.
    measure : str
        What is made small: "time", "iterations" or "products" (with A, an application of M counted in products).
    solves : int
        Solves for each setup, where the measure is time.
    configurations : int, optional
        Configurations that are drawn, at most.
    time_limit : float, optional
        Seconds that setup and solve of a run may take.
    seed : int
        What configurations, orders and the held-out matrices are drawn from.
    title : str, optional
        The heading of the report.
    progress : bool
        Whether to show how far it is: with tqdm where that is there, else on a terminal.
    callback : callable, optional
        ``callback(seconds, budget, configurations, best)`` ten times a second at most. What it raises ends the race.
    **solver
        Keys of the section ``[solver]``: ``tolerance``, ...

    Returns
    -------
    Tuned

    Raises
    ------
    Interrupted
        On Ctrl-C; its ``result`` is the best so far, of which nothing is said on held-out systems; None where none was.
    ParameterError
        Where a key is not there or out of its range, with the nearest one.
    DataError
        Where nothing can be held out: one matrix, or a model problem about which nothing is random; where no configuration
        solves the first system.

    Examples
    --------
    >>> t = tune(matrices, budget=60, tolerance=1e-8)
    >>> print(t.statement)
    >>> r = solve(A, b, t.method, t.winner, tolerance=1e-8)
    """
    if (matrices is None) == (problem is None):
        raise ParameterError("give either 'matrices' or 'problem'")
    tune = given(
        budget=budget, measure=measure, solves=solves, configurations=configurations, time_limit=time_limit, seed=seed,
        methods=None if methods is None else list(methods), solvers=None if solvers is None else list(solvers),
    )
    sections = given(
        title=title, problem=problem, preconditioner=preconditioner, solver=given(method=method, **solver), tune=tune
    )
    practice = None if matrices is None else _given(matrices, "matrices")
    others = None
    if _is_problems(held_out):
        sections["held_out"] = held_out
    elif isinstance(held_out, (Sequence, Mapping)):
        others = _given(held_out, "held_out")
    elif held_out is not None:
        tune["held_out"] = held_out
    if practice is not None and len(practice) < (2 if others is None and "held_out" not in sections else 1):
        raise DataError(
            f"{len(practice)} matrices: what wins on what it was tuned on is no news; give several, or others as 'held_out'"
        )
    told = [one for one in (callback, _shown(budget) if progress else None) if one is not None]

    def tell(*how: Any) -> None:
        for one in told:
            one(*how)

    command = f"precondor.tune(..., budget={budget:g}, seed={seed})"
    try:
        went, raised = _native.tune(
            text(sections, "tune"), practice, others, command, tell if told else None
        )
    except KeyboardInterrupt as interrupt:
        raise Interrupted(*interrupt.args) from None
    tuned = Tuned(went)
    if isinstance(raised, KeyboardInterrupt):
        interrupted = Interrupted(*raised.args)
        interrupted.result = tuned
        raise interrupted
    if raised is not None:
        raise raised
    return tuned
