"""Preconditioners chosen by name, classical and learned, for SciPy and PyTorch.

>>> import precondor
>>> M = precondor.preconditioner("amg", A)
>>> x, info = scipy.sparse.linalg.cg(A, b, M=M)
>>> r = precondor.solve(A, b, "cg", "fsai", tolerance=1e-8)
>>> precondor.methods()
"""

import atexit as _atexit

from . import _native
from ._compare import Comparison, compare
from ._errors import (
    BreakdownError,
    DataError,
    Error,
    FileError,
    Interrupted,
    NotConvergedError,
    OutOfMemoryError,
    PanickedError,
    ParameterError,
    PatternChangedError,
    PluginError,
    UnsupportedError,
)
from ._methods import Description, Methods, describe, load_library, methods, passed_over, threads
from ._models import Model, read_model, write_model
from ._native import VERSION as __version__
from ._preconditioner import Preconditioner, load, preconditioner
from ._register import Check, Factor, check, register
from ._sequence import Sequence
from ._solve import Inverse, Result, inverse, run, solve
from ._system import Problem, System, problem, problems, read, read_vector
from ._train import Training, train
from ._tune import Tuned, tune

__all__ = [
    "BreakdownError",
    "Check",
    "Comparison",
    "DataError",
    "Description",
    "Error",
    "Factor",
    "FileError",
    "Interrupted",
    "Inverse",
    "Methods",
    "Model",
    "NotConvergedError",
    "OutOfMemoryError",
    "PanickedError",
    "ParameterError",
    "PatternChangedError",
    "PluginError",
    "Preconditioner",
    "Problem",
    "Result",
    "Sequence",
    "System",
    "Training",
    "Tuned",
    "UnsupportedError",
    "check",
    "compare",
    "describe",
    "inverse",
    "load",
    "load_library",
    "methods",
    "passed_over",
    "preconditioner",
    "problem",
    "problems",
    "read",
    "read_model",
    "read_vector",
    "register",
    "run",
    "solve",
    "threads",
    "train",
    "tune",
    "write_model",
]

# Daemon threads that solve are not ended within a solve.
_atexit.register(_native.end)
