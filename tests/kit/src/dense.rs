//! Dense matrices to compare with, matrices to try, ranks to spread them over: for the tests of
//! methods that work on each rank's own block.
use precondor_core::comm::{Comm, threads};
use precondor_core::prelude::*;
use precondor_core::registry::Native;
use proptest::prelude::Strategy;
use serde_json::Value;
use std::sync::Arc;

pub use crate::algebra::*;

/// The entries that are not zero.
pub fn sparse(a: &Dense) -> Csr {
    let n = a.len();
    let places = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    let entries: Vec<_> =
        places.map(|(i, j)| (i, j, a[i][j])).filter(|&(_, _, v)| v != 0.0).collect();
    Csr::from_triplets(n, n, entries).unwrap()
}

/// The system of a matrix on one rank.
pub fn system(a: &Csr) -> System {
    System::new(DistCsr::solo(a.clone()).unwrap())
}

/// Runs `f` on ranks that own `rows[rank]` rows each.
pub fn on_ranks<T: Send>(a: &Csr, rows: &[usize], f: impl Fn(System) -> T + Sync) -> Vec<T> {
    assert_eq!(rows.iter().sum::<usize>(), a.n_rows());
    threads::run(rows.len(), |comm| {
        let rank = comm.rank();
        let space = Space::new(Comm::new(comm), rows[rank]).unwrap();
        let (view, start) = (a.view(), space.start() as usize);
        let range = view.row_ptr[start] as usize..view.row_ptr[start + rows[rank]] as usize;
        let offsets = &view.row_ptr[start..=start + rows[rank]];
        let row_ptr: Vec<u32> = offsets.iter().map(|p| p - offsets[0]).collect();
        let cols: Vec<u64> = view.cols[range.clone()].iter().map(|&j| j.into()).collect();
        let a = DistCsr::from_rows(&space, &row_ptr, &cols, &view.values[range]).unwrap();
        f(System::new(a))
    })
}

/// M through the registry's door, from parameters as a user gives them.
pub fn generate<G: Generator>(params: Value, system: &System) -> Result<Arc<dyn Preconditioner>> {
    let m: Box<dyn Preconditioner> = Native::<G>::method().generate(&params, system)?;
    Ok(Arc::from(m))
}

/// M, or Mᵀ, as a dense matrix: its columns one by one, each over garbage.
pub fn as_dense(m: &dyn Preconditioner, n: usize, transposed: bool) -> Dense {
    let columns = dense(n, |j, i| f64::from(u8::from(i == j)));
    let columns = columns.iter().map(|e| {
        let mut z = vec![f64::NAN; n];
        if transposed { m.apply_transpose(e, &mut z) } else { m.apply(e, &mut z) }.unwrap();
        z
    });
    transpose(&columns.collect())
}

/// Numbers that the two kinds of matrices below are filled with.
pub fn entries() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(-1.0..1.0f64, 37..64)
}

/// Number (i, j) of a list that repeats, 0 where it is small.
fn filling(n: usize, entries: &[f64], cut: f64) -> impl Fn(usize, usize) -> f64 + '_ {
    move |i, j| Some(entries[(i * n + j) % entries.len()]).filter(|v| v.abs() >= cut).unwrap_or(0.0)
}

/// A sparse matrix without symmetry, each diagonal entry more than the rest of its row together.
pub fn dominant(n: usize, entries: &[f64]) -> Dense {
    let filling = filling(n, entries, 0.6);
    let off = |i, j| if i == j { 0.0 } else { filling(i, j) };
    let sum = |i| (0..n).map(|k| off(i, k).abs()).sum::<f64>();
    dense(n, |i, j| if i == j { 1.0 + sum(i) } else { off(i, j) })
}

/// B Bᵀ + I/10 with B sparse: positive definite, with entries of both signs off the diagonal, so
/// no M-matrix.
pub fn definite(n: usize, entries: &[f64]) -> Dense {
    let filling = filling(n, entries, 0.8);
    let b = dense(n, |i, j| if i == j { 0.5 } else { filling(i, j) });
    let square = multiply(&b, &transpose(&b));
    dense(n, |i, j| square[i][j] + if i == j { 0.1 } else { 0.0 })
}

/// The five-point Laplacian on m × m inner points of the unit square.
pub fn laplacian(m: usize) -> Csr {
    let entry = |i: usize, j: usize| match (i / m).abs_diff(j / m) + (i % m).abs_diff(j % m) {
        0 => 4.0,
        1 => -1.0,
        _ => 0.0,
    };
    let near = |i: usize| [i.wrapping_sub(m), i.wrapping_sub(1), i, i + 1, i + m];
    let all = (0..m * m).flat_map(|i| near(i).map(|j| (i, j))).filter(|&(_, j)| j < m * m);
    let entries: Vec<_> = all.map(|(i, j)| (i, j, entry(i, j))).collect();
    let stored: Vec<_> = entries.into_iter().filter(|e| e.2 != 0.0).collect();
    Csr::from_triplets(m * m, m * m, stored).unwrap()
}
