//! A distributed vector, or matrix, whole on every rank, for methods that need all of it at once.
//!
//! Cost of a vector: one gather of the longest part from every rank, size × longest × 8 bytes of memory on each;
//! nothing on one rank. No allocation after setup. Of a matrix: an exchange of all rows ([`remote`]).
use super::remote;
use crate::Result;
use crate::comm::{Comm, Communicator};
use crate::matrix::{DistCsr, Space};

/// Gathers vectors of one [`Space`].
pub struct Gather {
    comm: Comm,
    starts: Vec<u64>,
    longest: usize,
    mine: Vec<f64>,
    all: Vec<f64>,
}

impl Gather {
    /// For vectors of `space`.
    pub fn new(space: &Space) -> Self {
        let starts = space.starts().to_vec();
        let lengths = starts.windows(2).map(|pair| (pair[1] - pair[0]) as usize);
        let longest = if space.comm().size() > 1 { lengths.max().unwrap_or(0) } else { 0 };
        let all = vec![0.0; longest * space.comm().size()];
        Gather { comm: space.comm().clone(), starts, longest, mine: vec![0.0; longest], all }
    }

    /// `whole` ← the parts `own` of all ranks, in order of rows. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    ///
    /// # Panics
    /// Where `own` or `whole` has another length than the space says.
    pub fn whole(&mut self, own: &[f64], whole: &mut [f64]) -> Result<()> {
        if self.comm.size() == 1 {
            whole.copy_from_slice(own);
            return Ok(());
        }
        self.mine[..own.len()].copy_from_slice(own);
        self.comm.gather_f64(&self.mine, &mut self.all)?;
        for (rank, rows) in self.starts.windows(2).enumerate() {
            let (from, n) = (rows[0] as usize, (rows[1] - rows[0]) as usize);
            let theirs = &self.all[rank * self.longest..][..n];
            whole[from..from + n].copy_from_slice(theirs);
        }
        Ok(())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        8 * (self.starts.len() + self.mine.len() + self.all.len())
    }
}

/// All rows of a matrix on every rank, in their order: `each` is given every one's global number and its entries by global
/// column. Collective.
///
/// # Errors
/// What the communicator reports, and the first error of `each`.
pub fn rows(a: &DistCsr, mut each: impl FnMut(usize, &[(usize, f64)]) -> Result<()>) -> Result<()> {
    let mine = a.space().start()..a.space().start() + a.n_own() as u64;
    let others: Vec<u64> = (0..mine.start).chain(mine.end..a.n_global()).collect();
    let theirs = remote::fetch(a, &others)?;
    let (mut entries, mut fetched) = (Vec::new(), theirs.row_ptr.windows(2));
    for row in 0..a.n_global() {
        entries.clear();
        if mine.contains(&row) {
            let own = a.global_entries((row - mine.start) as usize);
            entries.extend(own.map(|(col, value)| (col as usize, value)));
        } else if let Some(range) = fetched.next() {
            let cols = theirs.cols[range[0]..range[1]].iter().map(|&col| col as usize);
            entries.extend(cols.zip(theirs.values[range[0]..range[1]].iter().copied()));
        }
        each(row as usize, &entries)?;
    }
    Ok(())
}
