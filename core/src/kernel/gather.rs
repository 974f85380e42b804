//! A distributed vector whole on every rank, for methods that need all of it at once.
//!
//! Cost: one gather of the longest part from every rank, size × longest × 8 bytes of memory on each;
//! nothing on one rank. No allocation after setup.
use crate::Result;
use crate::comm::{Comm, Communicator};
use crate::matrix::Space;

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
