//! Messages, bytes and flops of each rank, predicted as functions of a grid and the number of ranks.
//!
//! No matrix is touched: what is sent follows from the pattern of A on a structured grid of m × m nodes in even
//! blocks of rows ([`grid`]). Here stand the parts that predictions are made of: products with a matrix of a
//! [`Stencil`], rows fetched from others, solves with the matrix of the grid ([`slab`]). What one application
//! of a method takes stands beside the method, in the module `traffic` of its crate.
//!
//! Flops are the nominal ones that PETSc's logs count too: two for each stored entry that a product
//! touches, two for each entry of an inner product or `y ← y + αx`, though our inner products are
//! compensated and take more.
pub mod grid;
pub mod slab;

pub use grid::{Layout, Stencil};

use super::count::{Flow, Traffic};
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
    /// `times` over.
    #[must_use]
    pub fn times(self, times: u64) -> Rank {
        Rank { traffic: self.traffic.times(times), flops: self.flops * times }
    }
}

impl Add for Rank {
    type Output = Rank;
    fn add(self, other: Rank) -> Rank {
        Rank { traffic: self.traffic + other.traffic, flops: self.flops + other.flops }
    }
}

/// Flops without a message.
pub fn within(layout: Layout, flops: impl Fn(u64) -> u64) -> Vec<Rank> {
    let rank = |rank| Rank { traffic: Traffic::default(), flops: flops(rank) };
    (0..layout.p).map(rank).collect()
}

/// One product with a matrix of this pattern.
pub fn product(layout: Layout, stencil: &Stencil) -> Vec<Rank> {
    let sent = stencil.halo(layout).into_iter().enumerate();
    let rank = |(rank, exchange)| Rank {
        traffic: Traffic { exchange, ..Traffic::default() },
        flops: 2 * stencil.entries(layout, rank as u64),
    };
    sent.map(rank).collect()
}

/// One application of M = GᵀG, where G has this pattern.
pub fn factored(layout: Layout, lower: &Stencil) -> Vec<Rank> {
    let (g, transpose) = (product(layout, lower), product(layout, &lower.transpose()));
    g.into_iter().zip(transpose).map(|(g, transpose)| g + transpose).collect()
}

/// The look for an entry of A without its mirror: 32 bytes for each entry in a column of others. It
/// happens once for a matrix, in the first setup or solve that needs a symmetric one.
pub fn symmetry(layout: Layout) -> Vec<Flow> {
    let mut sent = silence(layout);
    if layout.p > 1 {
        to_owners(layout, &Stencil::seven(), 32, &mut sent);
    }
    sent
}

/// Nothing sent by any rank.
pub fn silence(layout: Layout) -> Vec<Flow> {
    vec![Flow::default(); layout.p as usize]
}

/// Each entry of a matrix of this pattern in a column of others goes to the owner of the column, in so many bytes.
pub fn to_owners(layout: Layout, pattern: &Stencil, bytes: u64, sent: &mut [Flow]) {
    for (rank, flow) in (0..layout.p).zip(sent) {
        let outside = pattern.entries(layout, rank) - pattern.entries_within(layout, rank);
        flow.calls += 1;
        flow.messages += pattern.owners(layout, rank);
        flow.bytes += bytes * outside;
    }
}

/// The rows of A that ghost columns of `pattern` number: 8 bytes a row asked for, then 8 a row and 16
/// an entry sent.
pub fn fetch(layout: Layout, pattern: &Stencil, sent: &mut [Flow]) {
    for rank in 0..layout.p {
        let mut last = None;
        let mut asked = 0;
        sent[rank as usize].calls += 2;
        for (owner, part) in pattern.sources(layout, rank) {
            let count = part.end - part.start;
            let new = u64::from(last.replace(owner) != Some(owner));
            let reply = &mut sent[owner as usize];
            reply.messages += new;
            reply.bytes += 8 * count + 16 * Stencil::seven().entries_of(layout.m, part);
            sent[rank as usize].messages += new;
            asked += count;
        }
        sent[rank as usize].bytes += 8 * asked;
    }
}

/// A matrix of this pattern tells every owner which of its entries it needs, 8 bytes each.
pub fn announce(layout: Layout, pattern: &Stencil, sent: &mut [Flow]) {
    for (rank, flow) in (0..layout.p).zip(sent) {
        let count: u64 = pattern.ghosts(layout, rank).iter().map(|r| r.end - r.start).sum();
        flow.calls += 1;
        flow.messages += pattern.owners(layout, rank);
        flow.bytes += 8 * count;
    }
}
