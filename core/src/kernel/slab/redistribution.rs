//! Nodes from whoever has them to all who want them, by consecutive numbers.
//!
//! Cost: a message from rank s to rank r where r wants nodes that s has: 8 bytes a number, 4 for `f32`,
//! rounded up to a word a message. Nothing is allocated after setup.
use std::ops::Range;

use bytemuck::Pod;

use super::PairExchange;
use crate::Result;
use crate::comm::Comm;

/// A repeated movement of consecutive nodes, some numbers each.
pub struct Redistribution<T> {
    link: PairExchange<T>,
    give: Vec<Range<usize>>,
    take: Vec<Range<usize>>,
    kept: Range<usize>,
}

fn overlap(a: Range<usize>, b: Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

impl<T: Pod> Redistribution<T> {
    /// Every rank `has` some consecutive nodes, no two the same, and `wants` some; each of them comes with
    /// `planes` numbers. What it has itself, it keeps. Collective.
    ///
    /// # Errors
    /// As [`PairExchange::new`].
    pub fn new(
        comm: &Comm,
        planes: usize,
        has: impl Fn(usize) -> Range<usize>,
        wants: impl Fn(usize) -> Range<usize>,
    ) -> Result<Self> {
        let me = comm.rank();
        let side = |of: &dyn Fn(usize) -> Range<usize>| -> Vec<Range<usize>> {
            (0..comm.size()).map(|rank| if rank == me { 0..0 } else { of(rank) }).collect()
        };
        let give = side(&|rank| overlap(has(me), wants(rank)));
        let take = side(&|rank| overlap(has(rank), wants(me)));
        let count = |side: &[Range<usize>]| -> Vec<usize> {
            side.iter().map(|nodes| planes * nodes.len()).collect()
        };
        let link = PairExchange::new(comm, &count(&give), &count(&take))?;
        Ok(Redistribution { link, give, take, kept: overlap(has(me), wants(me)) })
    }

    /// The nodes that this rank both has and wants; they are not touched. An empty range stands anywhere.
    pub fn kept(&self) -> Range<usize> {
        self.kept.clone()
    }

    /// Calls `give(plane, nodes, out)` to have numbers written that others want.
    pub fn give(&mut self, mut give: impl FnMut(usize, Range<usize>, &mut [T])) {
        for (rank, nodes) in self.give.iter().enumerate().filter(|(_, nodes)| !nodes.is_empty()) {
            let planes = self.link.outbox(rank).chunks_exact_mut(nodes.len());
            planes.enumerate().for_each(|(plane, out)| give(plane, nodes.clone(), out));
        }
    }

    /// Moves what was given, and calls `take(plane, nodes, from)` with what came. Collective; does not
    /// allocate.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn fetch(&mut self, mut take: impl FnMut(usize, Range<usize>, &[T])) -> Result<()> {
        self.link.exchange()?;
        for (rank, nodes) in self.take.iter().enumerate().filter(|(_, nodes)| !nodes.is_empty()) {
            let planes = self.link.inbox(rank).chunks_exact(nodes.len());
            planes.enumerate().for_each(|(plane, from)| take(plane, nodes.clone(), from));
        }
        Ok(())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let ranges = self.give.len() + self.take.len();
        self.link.bytes() + size_of::<Range<usize>>() * ranges
    }
}
