"""Writes the small files of tests/fuzz/corpus that NumPy and SciPy made: run in the root of the sources."""
import io
from pathlib import Path

import numpy as np
import scipy
import scipy.io as sio
import scipy.sparse as sp

corpus = Path("tests/fuzz/corpus")
rows = np.array([0, 0, 1, 1, 2, 2, 3, 3])
cols = np.array([0, 1, 0, 1, 2, 3, 0, 3])
values = np.array([4.0, -1.0, -2.5, 4.0, 1e-3, 2.0, 1.0, 1 / 3])
a = sp.coo_matrix((values, (rows, cols)), shape=(4, 4))

for name, matrix in [
    ("csr", a.tocsr()),
    ("csc", a.tocsc()),
    ("bsr", a.tobsr((2, 2))),
    ("dia", a.todia()),
    # Each entry in two halves.
    ("coo", sp.coo_matrix((np.r_[values, values] / 2, (np.r_[rows, rows], np.r_[cols, cols])), shape=(4, 4))),
]:
    sp.save_npz(corpus / "npz" / f"{name}.npz", matrix)
sp.save_npz(corpus / "npz" / "stored.npz", a.tocsr().astype(np.float32).astype(np.float64), compressed=False)
text = io.BytesIO()
sio.mmwrite(text, a, comment=f"by SciPy {scipy.__version__}", precision=17)
(corpus / "matrix-market" / "scipy").write_bytes(text.getvalue())

columns = np.array([[1.0, -2.0], [0.5, 3.0], [2.0, 0.25], [-1.0, 7.0]])
np.save(corpus / "npy" / "columns.npy", columns)
np.save(corpus / "npy" / "fortran.npy", np.asfortranarray(columns))
np.save(corpus / "npy" / "big.npy", columns[:, 0].astype(">f4"))
np.save(corpus / "npy" / "integers.npy", np.array([1, -2, 300], dtype=np.int16))
np.save(corpus / "npy" / "booleans.npy", np.array([True, False, True]))

sio.hb_write(str(corpus / "boeing" / "scipy.rua"), a.tocsc())
