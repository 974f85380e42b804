"""Matrices and what is known of them; model problems and files."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from scipy.sparse.linalg import LinearOperator

from . import _native
from ._arrays import columns, compressed, csr_array, text
from ._errors import UnsupportedError

PathLike = Union[str, "os.PathLike[str]"]


class System:
    """A square matrix and what is known of it beside its entries.

    Wherever this package takes a matrix ``A`` it takes one of these. A bare matrix does for most methods; those for
    systems of equations want the rest.

    Parameters
    ----------
    A : sparse matrix or array, (n, n)
        Any format of ``scipy.sparse``, a sparse tensor of PyTorch, or a dense array. The arrays of a CSR matrix in
        float64 with indices of 32 bits, sorted and without duplicates, are used where they are; anything else is
        converted, with one copy: other formats, float32 and integers (widened), indices of 64 bits. Entries that stand
        twice are added up, as SciPy does. Do not change ``A`` in place while it is being set up for.
    coordinates : array, (n, d) or (nodes, d), optional
        Where each unknown, or each node, is; d is 1, 2 or 3.
    near_null_space : array, (n, k), optional
        Vectors that A takes to nearly zero, as columns: rigid body modes.
    coefficient : array, (n,), optional
        The coefficient of the differential equation at each unknown; positive.
    block_size : int, optional
        Unknowns of a node, one after the other in A; 1 unless given.
    null_space, left_null_space : "none", "constant", or array, (n, k), optional
        The null space of a singular A and that of its transpose. Rows and columns that add up to zero are seen without
        it; "none" takes no notice.
    symmetry_tolerance : float, optional
        Difference of an entry of A from its mirror image, relative to the largest of its row, that counts as none; 1e-10
        unless given.

    Raises
    ------
    DataError
        For a matrix that is not square, or has an entry that is not finite; names its row.
    UnsupportedError
        For complex numbers.
    """

    def __init__(
        self,
        A: Any,
        *,
        coordinates: Any = None,
        near_null_space: Any = None,
        coefficient: Any = None,
        block_size: Optional[int] = None,
        null_space: Any = None,
        left_null_space: Any = None,
        symmetry_tolerance: Optional[float] = None,
    ) -> None:
        shape, indptr, indices, data = compressed(A)
        n = shape[0]
        known: List[Tuple[str, np.ndarray]] = []
        if block_size is not None:
            known.append(("block-size", np.full((n, 1), float(block_size))))
        if coordinates is not None:
            places = np.asarray(coordinates)
            if block_size is not None and places.shape[:1] == (n // block_size,):
                places = np.repeat(places, block_size, axis=0)
            known.append(("coordinates", columns(places, "coordinates", n)))
        if near_null_space is not None:
            known.append(("near-nullspace", columns(near_null_space, "near_null_space", n)))
        if coefficient is not None:
            known.append(("coefficient", columns(coefficient, "coefficient", n)))
        nulls = [
            null if null is None or isinstance(null, str) else columns(null, name, n)
            for name, null in (("null_space", null_space), ("left_null_space", left_null_space))
        ]
        self.A = A
        self._native = _native.System(
            shape,
            indptr,
            indices,
            data,
            known,
            null_space=nulls[0],
            left_null_space=nulls[1],
            symmetry_tolerance=symmetry_tolerance,
        )

    @property
    def shape(self) -> Tuple[int, int]:
        """(n, n), for n unknowns."""
        return (self._native.size, self._native.size)

    @property
    def nnz(self) -> int:
        """Entries, after those that stand twice were added up."""
        return self._native.nnz

    @property
    def known(self) -> List[str]:
        """What is known beside the entries, by name."""
        return self._native.known

    def __repr__(self) -> str:
        known = f"; known: {', '.join(self.known)}" if self.known else ""
        return f"<System of {self.shape[0]} unknowns, {self.nnz} entries{known}>"


class Problem(System):
    """A model problem: a system with its right-hand side. Made by :func:`problem`.

    Attributes
    ----------
    A : sparse array, (n, n)
    b : array, (n,)
    coordinates : array, (n, d), or None
        Where the unknowns are, in units of the domain.
    parameters : dict
        The kind and all its parameters.
    """

    def __init__(self, parameters: Dict[str, Any], index: int = 0) -> None:
        (indptr, indices, data), self.b, known, said = _native.problem(text(parameters, "problem"), index)
        n = len(indptr) - 1
        self.A = csr_array((data, indices, indptr), shape=(n, n))
        self.parameters: Dict[str, Any] = json.loads(said)
        self._known = dict(known)
        self._x: Optional[np.ndarray] = None
        # A null space is seen again.
        rows = [(name, values) for name, values in known if name != "null-space"]
        self._native = _native.System((n, n), indptr, indices, data, rows)

    @property
    def coordinates(self) -> Optional[np.ndarray]:
        """Where the unknowns are: (n, d)."""
        return self._known.get("coordinates")

    @property
    def coefficient(self) -> Optional[np.ndarray]:
        """The coefficient at the unknowns, where the problem has one: (n,)."""
        values = self._known.get("coefficient")
        return None if values is None else values[:, 0]

    @property
    def x(self) -> np.ndarray:
        """The solution of A x = b, to 1e-12 in the relative residual: (n,). Solved for when it is asked for first."""
        if self._x is None:
            from ._solve import NotConvergedError, solve

            for method, preconditioner in (("cg", "ic"), ("gmres", "ilu")):
                try:
                    result = solve(
                        self, self.b, method, preconditioner, tolerance=1e-12, restart=100 if method == "gmres" else None
                    )
                except UnsupportedError:
                    continue  # A is not symmetric
                if result.converged:
                    self._x = result.x
                    break
            else:
                raise NotConvergedError("no solver at hand gets x to 1e-12")
        return self._x

    def __repr__(self) -> str:
        return f"<Problem {self.parameters.get('kind')}: {self.shape[0]} unknowns, {self.nnz} entries>"


def problem(kind: str, *, index: int = 0, **parameters: Any) -> Problem:
    """A model problem.

    Parameters
    ----------
    kind : str
        One of :func:`problems`.
    index : int
        Which system of the family; the random parts of each are its own.
    **parameters
        Those of the kind: ``level`` or ``nodes``, ``seed``, ...

    Examples
    --------
    >>> p = problem("poisson", level=4, seed=3)
    >>> p.A.shape, p.coordinates.shape
    ((225, 225), (225, 2))

    Raises
    ------
    ParameterError
        For a kind or a parameter that is not there, with the nearest one.
    """
    return Problem({"kind": kind, **parameters}, index)


def problems() -> Dict[str, List[Dict[str, Any]]]:
    """The kinds of model problems, each with its parameters: name, kind, default, about, choices."""
    return json.loads(_native.problems())


def read(path: PathLike) -> Any:
    """The matrix in a file, as a sparse array.

    Matrix Market (gzipped or not), PETSc's binary format, hypre's IJ files, Harwell- and Rutherford-Boeing, ``.npy`` and
    SciPy's ``.npz``; the content says which. What the reader did (duplicates added up, values ignored) is in the
    ``notes`` of the array.

    Raises
    ------
    FileError
        With file and line.
    """
    (indptr, indices, data), notes = _native.read(os.fspath(path))
    columns_there = int(indices.max()) + 1 if len(indices) else 0
    n = len(indptr) - 1
    a = csr_array((data, indices, indptr), shape=(n, max(n, columns_there)))
    a.notes = notes
    return a


def read_vector(path: PathLike, size: int) -> np.ndarray:
    """The vector of ``size`` entries in a file, or several as columns: (size,) or (size, k). Formats are those of
    :func:`read`.

    Raises
    ------
    FileError
        With file and line, and where there are not that many entries.
    """
    vectors = _native.read_vector(os.fspath(path), size)
    return vectors[0] if len(vectors) == 1 else np.column_stack(vectors)


def system(a: Any) -> System:
    """``a`` as a system."""
    if isinstance(a, System):
        return a
    if isinstance(a, LinearOperator):
        raise UnsupportedError(
            "A is a LinearOperator, which has no entries to make a preconditioner from: hand a sparse matrix near to it "
            "over, as preconditioner_matrix of solve or in the place of A of preconditioner"
        )
    return System(a)


__all__: Sequence[str] = ["Problem", "System", "problem", "problems", "read", "read_vector"]
