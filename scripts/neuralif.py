#!/usr/bin/env python3
# /// script
# dependencies = ["numpy==1.24.2", "scipy==1.10.1"]
# ///
"""Writes the very test matrices of NeuralIF's random set, whose random stream is NumPy's (RandomState, which NumPy keeps) in
the order of a set of CPython (3.8 or later), for `precondor-lab learned --neuralif FOLDER`:

    python scripts/neuralif.py FOLDER [COUNT]

As `apps/synthetic.py` of github.com/paulhausner/neural-incomplete-factorization makes them for mode 'test': n = 10000, of 100
matrices the first COUNT (100), system k from seed 103600 + k. A has some 1 million entries, 12 MB a file."""
import pathlib
import sys

import numpy as np
import scipy.sparse as sparse

N, PLACES, SHIFT, SEED = 10_000, 100_000, 1e-3, 103_600


def system(seed):
    """A = M Mᵀ + SHIFT·I and b, in the order in which the published program draws."""
    random = np.random.RandomState(seed)
    rows = [random.randint(0, N) for _ in range(PLACES)]
    columns = [random.randint(0, N) for _ in range(PLACES)]
    places = list(set(zip(rows, columns)))
    values = [random.normal(0, 1) for _ in places]
    m = sparse.csr_matrix((values, tuple(zip(*places))), shape=(N, N))
    a = (m @ m.T + SHIFT * sparse.identity(N)).tocsr()
    a.sort_indices()
    return a, random.uniform(0, 1, size=N)


def main():
    folder = pathlib.Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        a, b = system(SEED + k)
        # Rounding differs between both halves in the last digit.
        sparse.save_npz(folder / f"{k:03}.npz", (a + a.T) / 2, compressed=False)
        np.save(folder / f"{k:03}_b.npy", b)
        print(f"{k:03}: {a.nnz} entries", flush=True)


if __name__ == "__main__":
    main()
