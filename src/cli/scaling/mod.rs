//! Messages, bytes and flops of each rank, predicted as functions of the grid and the number of ranks.
//!
//! Nothing here runs a solver or touches a matrix: the formulas follow from the pattern of A on a
//! structured grid of m × m nodes in even blocks of rows ([`grid`]), from what one application of a
//! method does ([`work`]) and from the products, applications and reductions of an iteration
//! ([`schedule`]). They are checked against the counters of real runs, number by number, so that they
//! may be trusted where no run can be made: [`cluster`] turns them into seconds on a machine that the
//! user describes, up to hundreds of thousands of ranks.
//!
//! Flops are the nominal ones that PETSc's logs count too: two for each stored entry that a product
//! touches, two for each entry of an inner product or `y ← y + αx`, though our inner products are
//! compensated and take more.
pub mod cluster;
pub mod grid;
pub mod reckon;
pub mod schedule;
pub mod slab;
pub mod work;

use precondor_core::comm::count::Traffic;
use serde::Serialize;
use std::ops::Add;

/// What one rank does in some part of a solve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rank {
    /// What it sends.
    pub traffic: Traffic,
    /// Its nominal floating point operations.
    pub flops: u64,
}

impl Rank {
    fn times(self, times: u64) -> Rank {
        Rank { traffic: self.traffic.times(times), flops: self.flops * times }
    }
}

impl Add for Rank {
    type Output = Rank;
    fn add(self, other: Rank) -> Rank {
        Rank { traffic: self.traffic + other.traffic, flops: self.flops + other.flops }
    }
}

#[cfg(test)]
mod tests;
