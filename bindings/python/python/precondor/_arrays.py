"""What users bring, as the arrays that the extension module takes."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Optional, Tuple

import numpy as np
import scipy.sparse as sp

from ._errors import DataError, ParameterError, UnsupportedError

#: SciPy's sparse arrays where it has them.
csr_array = getattr(sp, "csr_array", sp.csr_matrix)


def refuse_complex(dtype: np.dtype, what: str) -> None:
    if dtype.kind == "c":
        raise UnsupportedError(
            f"{what} is complex ({dtype}): only real numbers are taken; a complex system of n unknowns is a real one of 2n"
        )
    if dtype.kind not in "fiub":
        raise DataError(f"{what} holds {dtype}, not numbers")


def real(values: Any, what: str) -> np.ndarray:
    """A dense array of float64, itself where it is one; in native order and aligned."""
    if sp.issparse(values):
        raise DataError(f"{what} is sparse: hand a dense array over, {what}.toarray()")
    if hasattr(values, "detach") and hasattr(values, "numpy"):
        values = values.detach()  # a tensor of PyTorch
    array = np.asarray(values)
    refuse_complex(array.dtype, what)
    return np.require(array, np.float64, ["A"])


def vector(values: Any, what: str, size: int) -> np.ndarray:
    """A contiguous vector of that many numbers."""
    array = real(values, what)
    if array.ndim == 2 and 1 in array.shape:
        array = array.ravel()
    if array.shape != (size,):
        raise DataError(f"{what} has shape {array.shape}; A has {size} rows")
    return np.ascontiguousarray(array)


def columns(values: Any, what: str, size: int) -> np.ndarray:
    """Numbers that belong to rows: a vector is one column."""
    array = real(values, what)
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[0] != size:
        raise DataError(f"{what} has shape {np.shape(values)}; A has {size} rows")
    return np.ascontiguousarray(array)


def compressed(a: Any, what: str = "A") -> Tuple[Tuple[int, int], np.ndarray, np.ndarray, np.ndarray]:
    """Shape, row offsets, columns and values of a matrix; those of a CSR matrix in float64 are its own arrays."""
    if _is_torch(a):
        a = _of_torch(a)
    if not sp.issparse(a):
        dense = np.asarray(a)
        if dense.ndim != 2:
            raise DataError(f"{what} is no matrix: {type(a).__name__} of shape {dense.shape}")
        refuse_complex(dense.dtype, what)
        a = sp.csr_matrix(dense)
    refuse_complex(a.dtype, what)
    if a.ndim != 2:
        raise DataError(f"{what} has {a.ndim} dimensions; a matrix has 2")
    if a.format != "csr":
        a = a.tocsr()
    indptr, indices, data = (np.asarray(array) for array in (a.indptr, a.indices, a.data))
    if len(indptr) != a.shape[0] + 1:
        raise DataError(f"{what} has {len(indptr)} row offsets for {a.shape[0]} rows")
    # Arrays may be longer than what they hold.
    entries = max(int(indptr[-1]), 0)
    indptr, indices = (_indices(array) for array in (indptr, indices[:entries]))
    data = np.require(data[:entries], np.float64, ["A", "C"])
    return (int(a.shape[0]), int(a.shape[1])), indptr, indices, data


def _indices(array: np.ndarray) -> np.ndarray:
    kept = array.dtype in (np.dtype(np.int32), np.dtype(np.int64))
    return np.require(array, array.dtype if kept else np.int64, ["A", "C"])


def _is_torch(a: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(a, torch.Tensor)


def _of_torch(a: Any) -> Any:
    """A tensor of PyTorch, sparse or dense, without a copy of its values."""
    torch = sys.modules["torch"]
    a = a.detach()
    if a.layout == torch.sparse_csr:
        parts = a.values(), a.col_indices(), a.crow_indices()
        return sp.csr_matrix(tuple(part.numpy() for part in parts), shape=tuple(a.shape))
    if a.layout == torch.strided:
        return a.numpy()
    coo = (a if a.layout == torch.sparse_coo else a.to_sparse()).coalesce()
    rows, cols = coo.indices().numpy()
    return sp.coo_matrix((coo.values().numpy(), (rows, cols)), shape=tuple(a.shape)).tocsr()


def as_tensor_like(like: Any, array: np.ndarray) -> Any:
    """An array as what ``like`` is: a tensor of PyTorch, or itself."""
    return sys.modules["torch"].from_numpy(array) if _is_torch(like) else array


def without_copy(values: Any) -> Any:
    """The numbers of whatever offers DLPack on a CPU, as an array of NumPy in the same place."""
    if isinstance(values, np.ndarray) or not hasattr(values, "__dlpack__"):
        return values
    if getattr(values, "requires_grad", False):
        values = values.detach()
    return np.from_dlpack(values)


def text(values: Any, key: str) -> str:
    """Parameters as JSON, with the numbers of NumPy and paths."""

    def other(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            return value.tolist()
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        raise TypeError(f"{type(value).__name__} cannot be a parameter")

    try:
        return json.dumps(values, default=other, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{key}: {error}") from None


def given(**values: Any) -> dict:
    """Those that are not ``None``."""
    return {key: value for key, value in values.items() if value is not None}


def size_of(shape: Optional[Tuple[int, ...]], what: str) -> int:
    """Rows of a square operator."""
    if shape is None or len(shape) != 2 or shape[0] != shape[1]:
        raise DataError(f"{what} is of shape {shape}; it must be square")
    return int(shape[0])
