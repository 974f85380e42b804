"""Training the networks that come with the package, on model problems or on matrices of yours."""

from __future__ import annotations

import json
import os
import pathlib
import sys
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from . import _native
from ._arrays import text
from ._errors import FileError, Interrupted, ParameterError
from ._methods import describe
from ._models import _of, write
from ._system import PathLike, system


class Training:
    """A training, at its end or where it was interrupted.

    Attributes
    ----------
    method : str
    model : bytes or None
        The model's file; None where the training was interrupted.
    checkpoint : bytes or None
        The last state to go on from, where one was kept.
    losses, learning_rates : array, (steps,)
        Of every step done.
    validation : list of (step, loss)
        The loss on the systems that were kept out of the training, at every look.
    """

    def __init__(self, method: str, went: Mapping[str, Any]) -> None:
        self.method = method
        self.model: Optional[bytes] = went["model"]
        self.checkpoint: Optional[bytes] = went["checkpoint"]
        self.losses: np.ndarray = went["losses"]
        self.learning_rates: np.ndarray = went["learning_rates"]
        self.validation: List[Tuple[int, float]] = went["validation"]

    @property
    def card(self) -> Dict[str, Any]:
        """What the model says of itself: architecture, parameters and systems of the training, metrics."""
        return _of(self._finished(), "the model").card if self.method != "auto" else json.loads(self._finished())

    def _finished(self) -> bytes:
        if self.model is None:
            raise ParameterError("the training was interrupted: there is no model yet")
        return self.model

    def save(self, path: PathLike) -> None:
        """Writes the model, whole or not at all, for ``preconditioner(method, A, model=path)`` and for configurations.

        Raises
        ------
        FileError
            Where it cannot be written.
        """
        write(pathlib.Path(path), self._finished())

    def plot(self, ax: Any = None) -> Any:
        """Draws the losses with matplotlib, and returns its ``Axes``.

        Raises
        ------
        ImportError
            Without matplotlib, which is no dependency of this package.
        """
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        ax.plot(range(1, len(self.losses) + 1), self.losses, label="training", linewidth=0.8)
        if self.validation:
            ax.plot(*zip(*self.validation), label="validation", marker="o")
        ax.set_xlabel("step")
        ax.set_ylabel("loss")
        ax.legend()
        return ax

    def __repr__(self) -> str:
        steps = len(self.losses)
        loss = f", last loss {self.losses[-1]:.4g}" if steps else ""
        held = f", least on validation {min(loss for _, loss in self.validation):.4g}" if self.validation else ""
        end = "" if self.model is not None else ", interrupted"
        return f"<Training of {self.method}: {steps} steps{loss}{held}{end}>"


def _shown() -> Optional[Callable[[int, int, float], None]]:
    """A bar of tqdm where it is there; else a line on a terminal."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        if not sys.stderr.isatty():
            return None

        def line(step: int, steps: int, loss: float) -> None:
            end = "\n" if step == steps else ""
            print(f"\rstep {step} of {steps}, loss {loss:.4g}  ", end=end, file=sys.stderr, flush=True)

        return line
    bar = tqdm(total=0, unit="step")

    def advance(step: int, steps: int, loss: float) -> None:
        bar.total = steps
        bar.set_postfix(loss=f"{loss:.4g}")
        bar.update(step - bar.n)
        if step == steps:
            bar.close()

    return advance


def train(
    method: str,
    matrices: Optional[Sequence[Any]] = None,
    *,
    validation: Union[Sequence[Any], float, None] = None,
    problems: Union[Mapping[str, Any], Sequence[Mapping[str, Any]], None] = None,
    output: Optional[PathLike] = None,
    resume: Union[bool, bytes] = False,
    checkpoint_every: int = 500,
    progress: bool = True,
    callback: Optional[Callable[[int, int, float], Any]] = None,
    **parameters: Any,
) -> Training:
    """Trains a model for a method that learns.

    Parameters
    ----------
    method : str
        "mlp-fsai" for any symmetric positive definite matrices; "mlp-reference", "mlp-dense" and "ridge" for grids of one
        size; "auto" for which method to choose.
    matrices : list of sparse matrices, Systems or Problems
        What to learn from. They are kept in memory.
    validation : list of matrices, or float, optional
        Matrices that are not learned from, on which the loss is watched: the weights with the least loss there are the
        model. A number is the share of ``matrices`` that is held back, from the end of the list. One eighth of them unless
        given, where the method watches and there are eight or more.
    problems : dict or list of dict, optional
        In place of matrices: model problems as in ``[data]`` of a configuration, ``{"kind": "poisson", "level": 5}``; with
        ``pool`` and ``validation`` as numbers of systems.
    output : path, optional
        Where to write the model. Checkpoints go beside it, to ``output`` + ".checkpoint".
    resume : bool or bytes, optional
        To go on from that checkpoint, or from that of an interrupted :class:`Training`; it ends with the same model as a
        training that was not interrupted.
    checkpoint_every : int
        Steps between checkpoints; 0 for none.
    progress : bool
        Whether to show how far it is: with tqdm where that is there, else on a terminal.
    callback : callable, optional
        ``callback(step, steps, loss)`` ten times a second at most. What it raises ends the training.
    **parameters
        Those of the training (``describe(method)["training"]``): ``steps``, ``hidden``, ``rate``, ``patience``, ...; with
        ``initial``, a model's file, a network goes on from its weights.

    Returns
    -------
    Training

    Examples
    --------
    >>> t = train("mlp-fsai", [A1, A2, A3, A4], validation=[A5], steps=300, output="mine.safetensors")
    >>> M = preconditioner("mlp-fsai", A, model="mine.safetensors")

    Raises
    ------
    Interrupted
        On Ctrl-C; its ``result`` is the training until then, whose ``checkpoint`` it can go on from.
    ParameterError
        For a method that has nothing to train, and parameters that are not there or out of their range.
    """
    described = describe(method)["training"]
    if described is None:
        raise ParameterError(f"{method} has nothing to train")
    known = {one["name"] for one in described}
    systems: List[Any] = []
    learn: List[Any] = []
    sections: List[Mapping[str, Any]] = []
    given: Dict[str, Any] = dict(parameters)
    if matrices is None and problems is None:
        raise ParameterError("there is nothing to learn from: give 'matrices' or 'problems'")
    if matrices is not None and problems is not None:
        raise ParameterError("give either 'matrices' or 'problems', not both")
    if matrices is not None:
        learn, held = _split(method, list(matrices), validation, "validation" in known)
        systems = [system(one)._native for one in [*learn, *held]]
        given.update({"systems": len(learn)} if "systems" in known else {"pool": len(learn)})
        if "validation" in known:
            given["validation"] = len(held)
    else:
        sections = [problems] if isinstance(problems, Mapping) else list(problems or ())
        if validation is not None:
            given["validation"] = validation
    beside = None if output is None else pathlib.Path(f"{os.fspath(output)}.checkpoint")
    state = resume if isinstance(resume, bytes) else None
    if resume is True:
        if beside is None:
            raise ParameterError("resume=True needs 'output': the checkpoint lies beside it")
        try:
            state = beside.read_bytes()
        except OSError as error:
            raise FileError(f"{beside}: there is no checkpoint to go on from ({error.strerror})") from None
    told = [one for one in (callback, _shown() if progress else None) if one is not None]

    def tell(step: int, steps: int, loss: float) -> None:
        for one in told:
            one(step, steps, loss)

    went, raised = _native.train(
        method, text(given, "train"), systems, len(learn), text(sections, "problems"), state, beside, checkpoint_every, tell if told else None
    )
    training = Training(method, went)
    if raised is not None:
        if isinstance(raised, KeyboardInterrupt):
            interrupted = Interrupted(*raised.args)
            interrupted.result = training
            raise interrupted
        raise raised
    if output is not None:
        training.save(output)
        if beside is not None:
            beside.unlink(missing_ok=True)
    return training


def _split(
    method: str, matrices: List[Any], validation: Union[Sequence[Any], float, None], watches: bool
) -> Tuple[List[Any], List[Any]]:
    """Matrices to learn from, and those that are held back."""
    if validation is not None and not watches:
        raise ParameterError(f"{method} watches no validation loss")
    if validation is None:
        validation = 1 / 8 if watches and len(matrices) >= 8 else 0.0
    if isinstance(validation, (int, float)):
        if not 0 <= validation < 1:
            raise ParameterError(f"validation: {validation} is no share of the matrices, 0 or more and less than 1")
        cut = len(matrices) - round(validation * len(matrices))
        matrices, validation = matrices[:cut], matrices[cut:]
    if not matrices:
        raise ParameterError("there are no matrices to learn from")
    return matrices, list(validation)
