"""What can go wrong. Texts are those of the command line: they name the key, file, line or row, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from ._solve import Result


class Error(Exception):
    """Anything that Precondor could not do."""


class ParameterError(Error, ValueError):
    """A parameter is unknown, of the wrong type or out of its range."""


class UnsupportedError(Error):
    """The matrix is not one that this method can handle, or the method does not offer what is asked for."""


class BreakdownError(Error, ArithmeticError):
    """A quantity that must not vanish did; the text names the row."""


class DataError(Error, ValueError):
    """Arrays do not fit together, or hold values that cannot be used; the text names the row."""


class PanickedError(Error, RuntimeError):
    """A method failed half-way, now or before; its preconditioner cannot be used any more."""


class PatternChangedError(Error):
    """The sparsity pattern is another one than the one that was set up for."""


class FileError(Error, OSError):
    """A file could not be read, written or understood."""


class PluginError(Error, ImportError):
    """A library of methods could not be found, trusted, loaded or understood."""


class OutOfMemoryError(Error, MemoryError):
    """An array does not fit; the text says what for, its bytes, and the parameter to change."""


class NotConvergedError(Error, ArithmeticError):
    """A solve that had to converge did not.

    Attributes
    ----------
    result : Result
        How it went, with the last iterate.
    """

    result: Optional["Result"] = None


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a solve, a comparison, a training or a race.

    Attributes
    ----------
    result : Result, Comparison, Training or Tuned
        How it went until then: of a solve ``result.x`` is the last iterate, of a race the best so far (None before any
        configuration solved a system).
    """

    result: Any = None
