//! Collective operations between the ranks of a job.
//!
//! [`Communicator`] is what a world has to offer: [`Solo`] (one rank) and [`threads`] (ranks as
//! threads) live here, MPI is a binding. [`Comm`] is what everybody uses: a communicator with
//! *collective failure*, so that one rank's early return never leaves the others hanging.
pub mod count;
mod guard;
pub mod predict;
mod solo;
pub mod threads;

pub use guard::{Comm, IN_COLLECTIVE, panic_text};
pub use solo::Solo;

use crate::{Error, Result};
use std::ops::Range;

/// Who sends which of my entries to whom, and where what arrives belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HaloPlan {
    /// For each rank that needs entries of mine: its number and my local indices, in its order.
    pub send: Vec<(usize, Vec<u32>)>,
    /// For each rank that I need entries of: its number and where they go among my ghosts.
    pub recv: Vec<(usize, Range<usize>)>,
}

/// The operations a world of ranks offers. Collective unless said otherwise: every rank calls them
/// in the same order, and every rank gets bitwise the same numbers.
///
/// Implementations may be called from one thread a rank only.
pub trait Communicator: Send + Sync {
    /// This rank, `0..size`. Not collective.
    fn rank(&self) -> usize;
    /// Number of ranks. Not collective.
    fn size(&self) -> usize;
    /// `all[r·k..(r+1)·k] = mine` of rank `r`, with `k = mine.len()` equal on all ranks and
    /// `all.len() = size·k`. Does not allocate.
    fn gather_f64(&self, mine: &[f64], all: &mut [f64]) -> Result<()>;
    /// What every rank gave, in rank order; lengths may differ.
    fn all_gather(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>>;
    /// [`all_gather`](Communicator::all_gather) of the status words of [`Comm::scope`], apart so that
    /// a world that counts or traces can tell them from what was asked for. The first is
    /// [`IN_COLLECTIVE`] where the rank takes part in the next operation.
    fn status(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        self.all_gather(mine)
    }
    /// `send[r]` goes to rank `r`; returns what came from each rank, in rank order.
    fn all_to_all(&self, send: &[Vec<u8>]) -> Result<Vec<Vec<u8>>>;
    /// Prepares repeated exchanges of ghost entries along `plan`.
    fn exchange(&self, plan: HaloPlan) -> Result<Box<dyn Exchange>>;
    /// A communicator of the same ranks whose messages never mix with those of this one.
    fn duplicate(&self) -> Result<std::sync::Arc<dyn Communicator>>;
    /// Ends the job on all ranks with `message`. Not collective: one rank calls it, when it cannot
    /// go on and cannot tell the others by any collective.
    fn abort(&self, message: &str);

    /// `x[i] ←` sum over ranks of `x[i]`, added in rank order.
    fn sum(&self, x: &mut [f64]) -> Result<()> {
        reduce(self, x, |a, b| a + b)
    }
    /// `x[i] ←` maximum over ranks of `x[i]`; NaN if any is NaN.
    fn max(&self, x: &mut [f64]) -> Result<()> {
        reduce(self, x, |a, b| if a.is_nan() || a > b { a } else { b })
    }
}

/// A prepared exchange of ghost entries; collective among neighbours.
pub trait Exchange: Send + Sync {
    /// Starts sending the entries of `own` that others need. The returned token is handed to
    /// [`finish`](Exchange::finish); one exchange may be under way at a time. One that a failure
    /// left unfinished on all ranks is forgotten.
    fn start(&self, own: &[f64]) -> Result<u64>;
    /// Waits for the exchange `token` and stores what arrived in `ghost`.
    fn finish(&self, token: u64, ghost: &mut [f64]) -> Result<()>;
}

fn reduce<C: Communicator + ?Sized>(
    comm: &C,
    x: &mut [f64],
    op: impl Fn(f64, f64) -> f64,
) -> Result<()> {
    let (k, size) = (x.len(), comm.size());
    if size == 1 || k == 0 {
        return Ok(());
    }
    let mut stack = [0.0; 256];
    let mut heap;
    let all: &mut [f64] = if size * k <= stack.len() {
        &mut stack[..size * k]
    } else {
        heap = vec![0.0; size * k];
        &mut heap
    };
    comm.gather_f64(x, all)?;
    for (i, x) in x.iter_mut().enumerate() {
        *x = (1..size).fold(all[i], |s, r| op(s, all[r * k + i]));
    }
    Ok(())
}

/// Refuses a token that no exchange under way has.
pub fn no_such_exchange(token: u64) -> Error {
    Error::Comm(format!("no exchange {token} is under way"))
}
