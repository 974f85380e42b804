//! What a matrix and a preconditioner are, dense; beside [`algebra`](crate::algebra).
use crate::algebra::{Dense, dense, transpose};
use precondor_core::prelude::*;

/// A on one rank.
pub fn to_dense(a: &DistCsr) -> Dense {
    dense(a.n_own(), |i, j| a.own().view().get(i, j))
}

/// The entries of a matrix in one memory, square or not.
pub fn dense_of(a: &Csr) -> Dense {
    let row = |i| (0..a.n_cols()).map(|j| a.view().get(i, j)).collect();
    (0..a.n_rows()).map(row).collect()
}

/// M on one rank, column by column.
pub fn applied(m: &dyn Preconditioner, n: usize) -> Dense {
    let column = |j: usize| {
        let unit: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i == j))).collect();
        let mut z = vec![f64::NAN; n];
        m.apply(&unit, &mut z).unwrap();
        z
    };
    transpose(&(0..n).map(column).collect::<Vec<_>>())
}
