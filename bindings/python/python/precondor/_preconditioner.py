"""M, as SciPy's LinearOperator."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np
from scipy.sparse.linalg import LinearOperator

from . import _native
from ._arrays import as_tensor_like, csr_array, text, without_copy
from ._system import PathLike, system

Method = Union[str, Mapping[str, Any]]

_FLOAT = np.dtype(np.float64)


class Preconditioner(LinearOperator):
    """An approximate inverse M of a matrix: a ``LinearOperator`` of SciPy, for ``M=`` of its solvers.

    ``M @ r``, ``M(r)`` and ``M.matvec(r)`` are z = M r, for r of shape (n,), (n, 1) or (n, k); ``M.rmatvec`` is with the
    transpose, where the method has one. Tensors of PyTorch on the CPU give tensors; their numbers are not copied on the
    way in. A product releases the interpreter, so that several threads may apply one M at a time. Made by
    :func:`preconditioner` and :func:`load`.
    """

    def __init__(self, native: "_native.Preconditioner") -> None:
        self._native = native
        super().__init__(_FLOAT, (native.size, native.size))

    # Products, the quick way for what solvers hand over and SciPy's for anything else.

    def matvec(self, x: Any) -> Any:
        """M x, for x of shape (n,) or (n, 1)."""
        if type(x) is np.ndarray and x.dtype == _FLOAT and x.ndim == 1 and x.flags.forc and x.flags.aligned:
            return self._native.apply(x)
        if not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__"):
            return as_tensor_like(x, super().matvec(without_copy(x)))
        return super().matvec(x)

    def __matmul__(self, x: Any) -> Any:
        if type(x) is np.ndarray and x.ndim == 1:
            return self.matvec(x)
        if not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__"):
            return as_tensor_like(x, super().__matmul__(without_copy(x)))
        return super().__matmul__(x)

    __call__ = __matmul__

    def _vector(self, x: np.ndarray) -> np.ndarray:
        return np.require(x.ravel(), np.float64, ["A", "C"])

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        if np.iscomplexobj(x):
            return self._matvec(x.real) + 1j * self._matvec(x.imag)
        return self._native.apply(self._vector(x))

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        if np.iscomplexobj(x):
            return self._rmatvec(x.real) + 1j * self._rmatvec(x.imag)
        return self._native.apply_transpose(self._vector(x))

    def _matmat(self, x: np.ndarray) -> np.ndarray:
        if np.iscomplexobj(x):
            return self._matmat(x.real) + 1j * self._matmat(x.imag)
        rows = np.require(np.asarray(x).T, np.float64, ["A", "C"])
        return self._native.apply_many(rows).T

    def _rmatmat(self, x: np.ndarray) -> np.ndarray:
        return np.column_stack([self._rmatvec(column) for column in np.asarray(x).T])

    # What it is.

    @property
    def name(self) -> str:
        """The method."""
        return self._native.name

    @property
    def parameters(self) -> Dict[str, Any]:
        """The parameters that were given."""
        return json.loads(self._native.parameters)

    @property
    def symmetric(self) -> bool:
        """Whether M is known to be symmetric."""
        return self._native.facts["symmetric"]

    @property
    def positive_definite(self) -> bool:
        """Whether M is known to be symmetric positive definite, as cg and minres want it."""
        return self._native.facts["positive_definite"]

    @property
    def constant(self) -> bool:
        """Whether every application is with the same M; else use a flexible solver."""
        return self._native.facts["constant"]

    @property
    def notes(self) -> List[str]:
        """What there is to know of this M: fallbacks taken, shifts added, estimates made."""
        return self._native.facts["notes"]

    @property
    def nnz(self) -> int:
        """Numbers that M is made of."""
        return self._native.facts["stored_entries"]

    @property
    def _passes(self) -> float:
        """How often an application goes through these."""
        return self._native.facts["passes"]

    @property
    def nbytes(self) -> int:
        """Bytes that M takes, indices and work space included; a copy of A that a method goes on using is not."""
        return self._native.facts["nbytes"]

    @property
    def setup_seconds(self) -> float:
        """Seconds of the last setup, update or load."""
        return self._native.facts["setup_seconds"]

    @property
    def refreshed(self) -> bool:
        """Whether the last :meth:`update` reused what was set up for the pattern."""
        return self._native.facts["refreshed"]

    @property
    def chosen(self) -> Optional[str]:
        """The method that does the work, where this one chooses among others (``auto``)."""
        return self._native.facts["delegate"]

    @property
    def factor(self) -> Optional[Any]:
        """G with M = GᵀG as a sparse array, (n, n), where that is what M is stored as; else None."""
        kind, stored = self._stored()
        return stored if kind == "factor" else None

    @property
    def matrix(self) -> Optional[Any]:
        """M as a sparse array, (n, n), where it is stored explicitly; else None. A factor is multiplied out."""
        kind, stored = self._stored()
        return (stored.T @ stored).tocsr() if kind == "factor" and stored is not None else stored

    def _stored(self) -> Tuple[Optional[str], Optional[Any]]:
        explicit = self._native.explicit()
        if explicit is None:
            return None, None
        kind, indptr, indices, values = explicit
        return kind, csr_array((values, indices, indptr), shape=self.shape)

    # What it can be made to be.

    def update(self, A: Any) -> "Preconditioner":
        """Makes M that of another matrix of as many rows, and returns it.

        With the pattern of the one before, and a method that offers it, what was set up for the pattern is used again
        (``refreshed``): bit for bit what a new setup gives. Else it is set up anew.
        """
        self._native.update(system(A)._native, True)
        return self

    def save(self, path: PathLike) -> None:
        """Writes M to a file, whole or not at all, for :func:`load`, and for ``--load-preconditioner`` of the program.

        Raises
        ------
        UnsupportedError
            Where the method offers no ``persist/1``.
        """
        self._native.save(os.fspath(path))

    def __repr__(self) -> str:
        given = "".join(f", {key}={value!r}" for key, value in self.parameters.items())
        return f"<Preconditioner {self.name}{given}: {self.shape[0]} rows, {self.nnz} numbers, {self.nbytes} bytes>"

    def __reduce__(self) -> Any:
        raise TypeError("a preconditioner is not pickled: M.save(path) keeps it, and precondor.load(path, A) brings it back")


def section(method: Method, parameters: Mapping[str, Any]) -> str:
    """A method and its parameters as the section of a configuration."""
    if isinstance(method, Mapping):
        return text({**method, **parameters}, "preconditioner")
    return text({"name": method, **parameters}, "preconditioner")


def preconditioner(method: Method, A: Any, /, **parameters: Any) -> Preconditioner:
    """Sets a preconditioner up for a matrix.

    Parameters
    ----------
    method : str or dict
        The name of a method (:func:`methods`), or a dict with ``name`` and parameters, as the section
        ``[preconditioner]`` of a configuration has them.
    A : sparse matrix, System or Problem, (n, n)
        See :class:`System` for what is taken.
    **parameters
        Those of the method (:func:`describe`). A parameter that names a method takes a name or such a dict.

    Returns
    -------
    Preconditioner

    Examples
    --------
    >>> M = preconditioner("ilu", A, level=1)
    >>> x, info = scipy.sparse.linalg.gmres(A, b, M=M)

    Raises
    ------
    ParameterError
        For a method or parameter that is not there, or a value out of its range.
    UnsupportedError, BreakdownError
        For a matrix that the method cannot handle; names the row.
    DataError
        See :class:`System`.
    """
    return Preconditioner(_native.Preconditioner(system(A)._native, section(method, parameters)))


def load(path: PathLike, A: Any) -> Preconditioner:
    """The preconditioner that :meth:`Preconditioner.save` wrote, for a matrix with the pattern that it was saved for.

    Raises
    ------
    FileError
        Where the file is damaged, or belongs to another method, version or pattern.
    """
    return Preconditioner(_native.load(os.fspath(path), system(A)._native))
