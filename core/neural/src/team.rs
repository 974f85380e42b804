//! Ranks that train together: who does what of a batch, and what all have to agree on.
//!
//! Training is data-parallel: all ranks draw the same batches, each evaluates its share, gradients are averaged over all
//! matrices of the batch, and all ranks take the same step. `batch` is counted per rank: n ranks with batch b train as one
//! rank with batch n·b, up to the rounding of sums. Every rank makes and holds all training matrices.

use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use precondor_core::prelude::*;

/// The ranks that train together.
pub struct Team {
    comm: Comm,
    /// What is added up over the ranks.
    sum: Vec<f64>,
}

impl Team {
    /// All ranks of a communicator.
    pub fn new(comm: &Comm) -> Self {
        Team { comm: comm.clone(), sum: Vec::new() }
    }

    /// Ranks.
    pub fn size(&self) -> usize {
        self.comm.size()
    }

    /// What this rank does of `count` things that are numbered over all ranks.
    pub fn share(&self, count: usize) -> Range<usize> {
        let (rank, size) = (self.comm.rank(), self.comm.size());
        count * rank / size..count * (rank + 1) / size
    }

    /// The part of `count` things that this rank's share is.
    pub fn weight(&self, count: usize) -> f64 {
        self.share(count).len() as f64 / count as f64
    }

    /// From means over this rank's share of `count` matrices, a gradient and a loss, those over all of
    /// them. Collective.
    pub fn mean(&mut self, count: usize, gradient: &mut [f32], loss: f64) -> Result<f64> {
        if self.size() == 1 {
            return Ok(loss);
        }
        let weight = self.weight(count);
        self.sum.clear();
        self.sum.extend(gradient.iter().map(|&g| weight * f64::from(g)));
        // The mean of nothing is no number.
        self.sum.push(if weight > 0.0 { weight * loss } else { 0.0 });
        self.comm.sum(&mut self.sum)?;
        let loss = self.sum.pop().unwrap_or(f64::NAN);
        gradient.iter_mut().zip(&self.sum).for_each(|(g, sum)| *g = *sum as f32);
        Ok(loss)
    }

    /// `x[i]` ← its sum over the ranks. Collective.
    pub fn sum(&self, x: &mut [f64]) -> Result<()> {
        self.comm.sum(x)
    }

    /// The words of all ranks, one rank after the other. Collective.
    pub fn gather(&self, mine: &[u64]) -> Result<Vec<u64>> {
        Ok(self.comm.all_gather(mine)?.concat())
    }
}

/// Refuses bytes that are not the same on all ranks. Collective.
///
/// # Errors
/// [`Error::Data`] with the first rank that has others than rank 0.
pub fn same(comm: &Comm, what: &str, bytes: &[u8]) -> Result<()> {
    if comm.size() == 1 {
        return Ok(());
    }
    let mut digest = DefaultHasher::new();
    digest.write(bytes);
    let digest = digest.finish();
    let all = comm.all_gather(&[digest])?;
    match all.iter().position(|theirs| *theirs != all[0]) {
        None => Ok(()),
        Some(rank) => Err(Error::Data(format!(
            "{what} is not the same on ranks 0 and {rank}; ranks that train together need the same \
             program, files and kind of processor"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_core::comm::threads;

    #[test]
    fn shares_cover_all_and_differ_by_one_at_most() {
        for (ranks, count) in [(1, 5), (3, 7), (4, 2), (5, 0)] {
            let shares = threads::run(ranks, |comm| Team::new(&Comm::new(comm)).share(count));
            assert_eq!(
                shares.iter().cloned().flatten().collect::<Vec<_>>(),
                Vec::from_iter(0..count)
            );
            let sizes = shares.iter().map(Range::len);
            assert!(sizes.clone().max() <= sizes.min().map(|least| least + 1));
        }
    }

    #[test]
    fn what_differs_between_ranks_is_told_on_all() {
        for guilty in 1..3 {
            let ends = threads::run(3, |comm| {
                let comm = Comm::new(comm);
                same(&comm, "the model", b"the same for all")?;
                let mut mine = *b"the same for all";
                mine[9] ^= u8::from(comm.rank() == guilty);
                same(&comm, "the model", &mine)
            });
            for end in ends {
                let text = end.unwrap_err().to_string();
                let expected = format!("the model is not the same on ranks 0 and {guilty};");
                assert!(text.starts_with(&expected), "{text}");
            }
        }
    }
}
