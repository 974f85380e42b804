"""Model files: reading them, and writing those of networks that were trained elsewhere."""

from __future__ import annotations

import json
import math
import os
import pathlib
from typing import Any, Dict, Mapping, NamedTuple, Optional

import numpy as np

from . import _native
from ._arrays import real, text
from ._errors import DataError, FileError
from ._system import PathLike

_KEY = "precondor"


class Model(NamedTuple):
    """A model file.

    Attributes
    ----------
    card : dict
        What it says of itself: ``method``, ``kind``, ``version``, ``architecture``, ``training``, ``samples``, ``metrics``.
    arrays : dict of arrays, float32
        By name; a layer's weights are (outputs, inputs), its bias is (outputs, 1).
    """

    card: Dict[str, Any]
    arrays: Dict[str, np.ndarray]


def _of(content: bytes, path: Any) -> Model:
    def bad(why: str) -> FileError:
        return FileError(f"{path}: this is no model file: {why}")

    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise bad("it is cut off")
    try:
        header = json.loads(content[8 : 8 + length])
        card = json.loads(header.pop("__metadata__")[_KEY])
    except (ValueError, KeyError, TypeError):
        raise bad(f"its header has no entry '{_KEY}'") from None
    data, arrays = content[8 + length :], {}
    for name, of in sorted(header.items()):
        start, end = of["data_offsets"]
        kind = {"F32": "<f4", "BF16": "<u2"}.get(of["dtype"])
        if kind is None or end > len(data) or math.prod(of["shape"]) * np.dtype(kind).itemsize != end - start:
            raise bad(f"array '{name}' is not whole, or not of float32 or bfloat16")
        values = np.frombuffer(data[start:end], kind)
        if kind == "<u2":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        arrays[name] = values.astype(np.float32).reshape(of["shape"])
    return Model(card, arrays)


def read_model(path: PathLike) -> Model:
    """The card and the arrays of a model file.

    Raises
    ------
    FileError
        Where it cannot be read or is no model.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    return _of(content, path)


def write_model(
    path: PathLike,
    method: str,
    architecture: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    training: Optional[Mapping[str, Any]] = None,
    samples: Any = None,
    metrics: Optional[Mapping[str, Any]] = None,
) -> None:
    """Writes a model for one of our methods, of weights that were trained elsewhere: for ``model=path`` of the method here,
    in configurations, in PETSc and under mpirun.

    Parameters
    ----------
    path : path
        Written whole or not at all.
    method : str
        Such as "mlp-dense".
    architecture : dict
        As the method's own models have it: ``read_model(path).card["architecture"]``. The guide's chapter *From Python*
        says what each method makes of it, and the names and shapes of its arrays.
    arrays : dict of arrays or tensors
        By name. Where they do not fit the architecture, the method says so when it reads them.
    training, samples, metrics : dict or list, optional
        How it came to be, for whoever reads its card: parameters with a ``seed``; what it was trained on; what was measured.

    Raises
    ------
    DataError
        For an array with a number that is not finite.
    FileError
        Where it cannot be written.
    """
    card = {
        "method": method,
        "kind": "model",
        "version": _native.VERSION,
        "architecture": dict(architecture),
        "training": dict(training or {}),
        "samples": samples if samples is not None else [],
        "metrics": dict(metrics or {}),
    }
    header: Dict[str, Any] = {"__metadata__": {_KEY: text(card, "card")}}
    parts, at = [], 0
    for name, values in sorted(arrays.items()):
        array = np.ascontiguousarray(real(values, name), dtype="<f4")
        if not np.isfinite(array).all():
            raise DataError(f"array '{name}' has numbers that are not finite in float32")
        parts.append(array.tobytes())
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    write(pathlib.Path(path), len(head).to_bytes(8, "little") + head + b"".join(parts))


def write(path: pathlib.Path, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise FileError(f"{path}: {error.strerror or error}") from None
