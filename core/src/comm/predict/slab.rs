//! What a solve with the matrix of the grid sends ([`Solver`](crate::kernel::separable::Solver)): slabs of whole
//! rows of the grid, a transpose to columns and one back; with b bytes a number, ⌈b·k/8⌉ words of 8 bytes for
//! k numbers:
//!
//! - rank s sends rank r the nodes that s owns and r wants, in one message where there are any;
//! - rank r sends every other rank q `rows(r) · columns(q)` numbers, then
//!   `columns(r) · around(q, halo)` numbers back: 2 (p − 1) messages where all have both.
//!
//! A rank without a row of the grid has nothing to transform: from p = m ranks on more of them do not
//! make the transforms faster.
//!
//! Flops: 2.5 N log₂ N for the sine transform of a row of N − 1 nodes (that of a real Fourier transform of
//! length N), 4 for each node and mode in the tridiagonal systems, 2 for each coefficient that a sweep
//! with a stencil touches. These are rounded down, and agree with no counter.
use super::{Layout, Rank, silence};
use crate::comm::count::{Flow, Traffic};
use std::collections::BTreeMap;
use std::ops::Range;

/// Who has which rows and columns of the grid.
#[derive(Clone, Copy, Debug)]
pub struct Slabs(pub Layout);

impl Slabs {
    fn cut(self, node: u64) -> u64 {
        (node + self.0.m / 2) / self.0.m
    }
    /// The rows of the grid that `rank` transforms.
    pub fn rows(self, rank: u64) -> Range<u64> {
        let own = self.0.rows(rank);
        self.cut(own.start)..self.cut(own.end)
    }
    /// The rows of the grid that the nodes of `rank` are in, and `halo` more on either side.
    pub fn around(self, rank: u64, halo: u64) -> Range<u64> {
        let own = self.0.rows(rank);
        if own.is_empty() {
            return self.rows(rank);
        }
        let m = self.0.m;
        (own.start / m).saturating_sub(halo)..(own.end.div_ceil(m) + halo).min(m)
    }
    fn columns(self, rank: u64) -> Range<u64> {
        let cut = |rank: u64| rank * self.0.m / self.0.p;
        cut(rank)..cut(rank + 1)
    }
    fn ranks(self) -> Range<u64> {
        0..self.0.p
    }
}

/// How many rows or nodes.
pub fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// Bytes that so many numbers travel in.
fn bytes(width: u64, numbers: u64) -> u64 {
    8 * (width * numbers).div_ceil(8)
}

fn message(width: u64, numbers: u64) -> Flow {
    Flow { calls: 0, messages: u64::from(numbers > 0), bytes: bytes(width, numbers) }
}

fn add(flow: &mut Flow, more: Flow, times: u64) {
    flow.messages += times * more.messages;
    flow.bytes += times * more.bytes;
}

/// Each rank gets the nodes of the rows that it wants from those who own them.
fn bring(slabs: Slabs, width: u64, wants: impl Fn(u64) -> Range<u64>, sent: &mut [Flow]) {
    let m = slabs.0.m;
    for rank in slabs.ranks() {
        sent[rank as usize].calls += 1;
        let rows = wants(rank);
        for (owner, nodes) in slabs.0.split(rows.start * m..(rows.end * m).max(rows.start * m)) {
            if owner != rank {
                add(&mut sent[owner as usize], message(width, length(&nodes)), 1);
            }
        }
    }
}

/// From each rank to each other `from(r) · to(q)` numbers.
fn all_to_all(
    slabs: Slabs,
    width: u64,
    from: impl Fn(u64) -> u64,
    to: impl Fn(u64) -> u64,
    sent: &mut [Flow],
) {
    // Few different shares: how many ranks have each.
    let mut shares = BTreeMap::<u64, u64>::new();
    slabs.ranks().for_each(|rank| *shares.entry(to(rank)).or_default() += 1);
    for rank in slabs.ranks() {
        let (flow, mine) = (&mut sent[rank as usize], from(rank));
        flow.calls += 1;
        for (&share, &count) in &shares {
            let others = count - u64::from(share == to(rank));
            add(flow, message(width, mine * share), others);
        }
    }
}

/// A solve in numbers of `width` bytes: each rank is brought the nodes of the rows that it `wants`, and gets
/// the solution in the rows around its own nodes and `halo` more.
pub fn solve(slabs: Slabs, width: u64, wants: impl Fn(u64) -> Range<u64>, halo: u64) -> Vec<Rank> {
    let around = |rank| length(&slabs.around(rank, halo));
    let (rows, columns) = (|r| length(&slabs.rows(r)), |r| length(&slabs.columns(r)));
    let mut sent = silence(slabs.0);
    if slabs.0.p > 1 {
        bring(slabs, width, wants, &mut sent);
        all_to_all(slabs, width, rows, columns, &mut sent);
        all_to_all(slabs, width, columns, around, &mut sent);
    }
    let n = (slabs.0.m + 1) as f64;
    let rank = |(r, exchange)| {
        let transforms = (rows(r) + around(r)) as f64 * 2.5 * n * n.log2();
        let flops = transforms as u64 + 4 * columns(r) * slabs.0.m;
        Rank { traffic: Traffic { exchange, ..Traffic::default() }, flops }
    };
    slabs.ranks().zip(sent).map(rank).collect()
}
