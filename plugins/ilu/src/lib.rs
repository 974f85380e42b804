//! Incomplete factorisations: `ilu` ([`ilu`]: ILU(0), ILU(k), ILUT, ILUTP) and `ic` ([`ic`]: IC(0)).
//!
//! | file | what |
//! |---|---|
//! | [`ilu`], [`ic`] | the methods: parameters, setup, application |
//! | `block` | one attempt at a block: permuted, scaled, factorised as asked |
//! | `rearranged` | rows and columns in another order, and scaled |
//! | `level` | ILU(k): fill by level, then values on that pattern |
//! | `threshold` | ILUT, ILUTP: fill by size, columns exchanged |
//! | `cholesky` | IC(0): values on the pattern of A |
//! | `levels` | IC(0): substitutions on several threads |
//! | `factors` | A ≈ (I + L) D (I + U): pivots, substitutions |
//! | [`traffic`] | what an application sends and computes on several ranks |
#![deny(missing_docs)]
use precondor_sdk::prelude::*;

mod block;
mod cholesky;
mod factors;
pub mod ic;
pub mod ilu;
mod level;
mod levels;
mod rearranged;
mod threshold;
pub mod traffic;

pub use ic::Ic;
pub use ilu::Ilu;

export_plugin!(Ilu, Ic);

/// What both methods say about themselves on several ranks and after refreshes.
fn notes(ranks: usize, refreshed: u32, what: &str) -> Vec<String> {
    let own = format!(
        "one block per rank, overlap 0: each of the {ranks} ranks factorises its own block only; \
         schwarz lets them overlap"
    );
    let again = format!("refreshed {refreshed} times, {what}");
    [(ranks > 1, own), (refreshed > 0, again)].into_iter().filter(|n| n.0).map(|n| n.1).collect()
}
