//! Aggregates that do not depend on the number of ranks.
//!
//! Every row has a random weight that is a hash of its global number. Round after round an undecided row whose
//! weight is the largest within two strong couplings becomes a root, and one with a root within two couplings
//! is out: a maximal independent set of distance two. A root's strong neighbours join its aggregate, then the
//! rows beside those. Aggregates are numbered in the order of their roots, on the roots' ranks. A row
//! without strong couplings belongs to none.
//!
//! Cost: a handful of rounds of two exchanges each, three more to join. Reference: N. Bell, S. Dalton, L. Olson,
//! *Exposing fine-grained parallelism in algebraic multigrid methods*, SIAM J. Sci. Comput. 34 (2012), §3.
use crate::parallel::strength::Strong;
use precondor_sdk::core::kernel::random::mix;
use precondor_sdk::prelude::*;
use std::sync::Arc;

/// The aggregates of own rows and of those of others.
pub(crate) struct Aggregates {
    /// Who has which of them.
    pub space: Arc<Space>,
    /// Global number of the aggregate of each row, own rows first; [`NONE`] for a row that has none.
    pub of: Vec<f64>,
    /// The own row that each own aggregate grew from.
    pub roots: Vec<usize>,
}

/// No aggregate.
pub(crate) const NONE: f64 = -1.0;

/// Weights are whole numbers below this one; what is beyond marks a root.
const ROOT: f64 = (1u64 << 52) as f64;
/// A row that is decided, and no root.
const OUT: f64 = 0.0;

impl Aggregates {
    /// Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn of(a: &DistCsr, strong: &Strong) -> Result<Self> {
        let (n, comm) = (a.n_own(), a.space().comm());
        let weight = |i: usize| ((mix(a.global_row(i)) >> 12) + 1) as f64;
        let mut state: Vec<f64> =
            (0..n).map(|i| if strong.is_alone(i) { OUT } else { weight(i) }).collect();
        let undecided = |s: f64| s > OUT && s < ROOT;
        while comm.any(state.iter().any(|&s| undecided(s)))? {
            let near = largest_near(a, strong, &state)?;
            let beyond = largest_near(a, strong, &near)?;
            for (state, &most) in state.iter_mut().zip(&beyond) {
                if undecided(*state) {
                    if most >= ROOT {
                        *state = OUT;
                    } else if most == *state {
                        *state += ROOT;
                    }
                }
            }
        }
        let roots: Vec<usize> = (0..n).filter(|&i| state[i] >= ROOT).collect();
        let space = Space::new(comm.clone(), roots.len())?;
        let mut of = vec![NONE; n];
        roots.iter().enumerate().for_each(|(k, &i)| of[i] = (space.start() + k as u64) as f64);
        for _ in 0..2 {
            of = joined(a, strong, of)?;
        }
        let theirs = a.on_ghosts(&of)?;
        of.extend(theirs);
        Ok(Aggregates { space, of, roots })
    }
}

/// The largest of each own row's number and those of its strong neighbours. Collective.
fn largest_near(a: &DistCsr, strong: &Strong, own: &[f64]) -> Result<Vec<f64>> {
    let ghosts = a.on_ghosts(own)?;
    let all = |j: usize| own.get(j).copied().unwrap_or_else(|| ghosts[j - own.len()]);
    let most = |i: usize| strong.entries(i).fold(own[i], |most, (j, _)| f64::max(most, all(j)));
    Ok((0..own.len()).map(most).collect())
}

/// Rows without an aggregate join that of their strongest neighbour that has one. Collective.
fn joined(a: &DistCsr, strong: &Strong, own: Vec<f64>) -> Result<Vec<f64>> {
    let ghosts = a.on_ghosts(&own)?;
    let all = |j: usize| own.get(j).copied().unwrap_or_else(|| ghosts[j - own.len()]);
    let join = |i: usize| {
        if own[i] != NONE {
            return own[i];
        }
        let near = strong.entries(i).filter(|&(j, _)| all(j) != NONE);
        // The first in order of columns where several are as strong.
        let best =
            near.fold((NONE, 0.0), |best, (j, v)| if -v > best.1 { (all(j), -v) } else { best });
        best.0
    };
    Ok((0..own.len()).map(join).collect())
}
