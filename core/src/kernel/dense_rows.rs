//! Matrices whose rows have an entry in every column, spread over ranks.
use crate::matrix::{DistCsr, Space};
use crate::{Error, Result};
use std::sync::Arc;

/// The matrix with these entries, all columns of own rows, row after row. Collective.
///
/// # Errors
/// [`Error::Data`] where there are not n entries for each own row; what the communicator reports.
pub fn matrix(space: &Arc<Space>, entries: &[f64]) -> Result<DistCsr> {
    let (n, n_own) = (space.n_global(), space.n_own());
    let row_ptr: Vec<u32> = (0..=n_own as u64).map(|i| (i * n) as u32).collect();
    let cols: Vec<u64> = (0..n_own).flat_map(|_| 0..n).collect();
    DistCsr::from_rows(space, &row_ptr, &cols, entries)
}

/// The same with other entries; index arrays and halo of `m` are shared. Not collective.
///
/// # Errors
/// [`Error::Data`] where there are not n entries for each own row.
pub fn renewed(m: &DistCsr, entries: &[f64]) -> Result<DistCsr> {
    let (n, n_own, first) = (m.n_global() as usize, m.n_own(), m.space().start() as usize);
    if entries.len() != n * n_own {
        return Err(Error::Data(format!("{} entries for {n_own} rows of {n}", entries.len())));
    }
    let mut own = Vec::with_capacity(n_own * n_own);
    let mut ghost = Vec::with_capacity(n_own * (n - n_own));
    for row in entries.chunks_exact(n.max(1)) {
        own.extend_from_slice(&row[first..first + n_own]);
        ghost.extend_from_slice(&row[..first]);
        ghost.extend_from_slice(&row[first + n_own..]);
    }
    m.with_values(own, ghost)
}

/// The rows that this rank owns, of a dense matrix that is whole on every rank, row after row.
pub fn own<'a>(a: &DistCsr, whole: &'a [f64]) -> &'a [f64] {
    let (n, first) = (a.n_global() as usize, a.space().start() as usize);
    &whole[first * n..(first + a.n_own()) * n]
}
