//! Rows of a grid into columns and back: from slabs, where each rank has whole rows, to shares of columns,
//! where it has the same few places of every row.
//!
//! Cost: each way a message from every rank that has a slab to every other one that has columns, and back;
//! `rows(r) · columns(q)` numbers there and `around(q, halo) · columns(r)` back, rounded up to a word a
//! message, so nearly `mx·my/p` numbers a rank each way. Nothing is allocated after setup.
use std::ops::Range;

use bytemuck::Pod;

use super::{PairExchange, Slabs};
use crate::Result;
use crate::comm::Comm;

/// A repeated transposition of a grid's numbers.
///
/// Columns lie in blocks of `width`, one block after the other, each of them row after row: column `k` of
/// this rank's in row `j` stands at `((k / width) · my + j) · width + k mod width`.
pub struct Transpose<T> {
    slabs: Slabs,
    rank: usize,
    halo: usize,
    width: usize,
    there: PairExchange<T>,
    back: PairExchange<T>,
}

impl<T: Pod> Transpose<T> {
    /// Prepares the way from the rows of every rank's slab to columns and back to the rows
    /// [around](Slabs::around) its own nodes, `halo` more on both sides. Collective.
    ///
    /// # Errors
    /// As [`PairExchange::new`].
    ///
    /// # Panics
    /// Where `width` is zero.
    pub fn new(slabs: &Slabs, comm: &Comm, halo: usize, width: usize) -> Result<Self> {
        assert!(width > 0, "a block has columns");
        let me = comm.rank();
        let counts = |of: &dyn Fn(usize) -> usize| -> Vec<usize> {
            (0..comm.size()).map(|rank| if rank == me { 0 } else { of(rank) }).collect()
        };
        let there = |from: usize, to: usize| slabs.rows(from).len() * slabs.columns(to).len();
        let back =
            |from: usize, to: usize| slabs.columns(from).len() * slabs.around(to, halo).len();
        Ok(Transpose {
            slabs: slabs.clone(),
            rank: me,
            halo,
            width,
            there: PairExchange::new(comm, &counts(&|q| there(me, q)), &counts(&|q| there(q, me)))?,
            back: PairExchange::new(comm, &counts(&|q| back(me, q)), &counts(&|q| back(q, me)))?,
        })
    }

    /// Where the part of one row of the grid in block `block` of this rank's columns stands.
    fn block(&self, block: usize, row: usize, length: usize) -> Range<usize> {
        let at = (block * self.slabs.grid().my + row) * self.width;
        at..at + length
    }

    /// Columns from the rows `x` of this rank's slab, `stride` numbers apart. Collective; does not allocate.
    ///
    /// # Errors
    /// What the communicator reports.
    ///
    /// # Panics
    /// Where `x` or `columns` is too short.
    pub fn to_columns(&mut self, x: &[T], stride: usize, columns: &mut [T]) -> Result<()> {
        for rank in (0..self.slabs.ranks()).filter(|&rank| rank != self.rank) {
            let part = self.slabs.columns(rank);
            let out = self.there.outbox(rank).chunks_exact_mut(part.len().max(1));
            for (out, row) in out.zip(x.chunks(stride)) {
                out.copy_from_slice(&row[part.clone()]);
            }
        }
        self.there.exchange()?;
        let mine = self.slabs.columns(self.rank);
        let mut put = |row: usize, line: &[T]| {
            for (block, part) in line.chunks(self.width).enumerate() {
                columns[self.block(block, row, part.len())].copy_from_slice(part);
            }
        };
        for rank in 0..self.slabs.ranks() {
            let rows = self.slabs.rows(rank);
            if rank == self.rank {
                rows.zip(x.chunks(stride)).for_each(|(row, x)| put(row, &x[mine.clone()]));
            } else {
                let lines = self.there.inbox(rank).chunks_exact(mine.len().max(1));
                rows.zip(lines).for_each(|(row, line)| put(row, line));
            }
        }
        Ok(())
    }

    /// The rows `x` around this rank's nodes, `stride` numbers apart, from columns; what else stands in a
    /// row stays. Collective; does not allocate.
    ///
    /// # Errors
    /// What the communicator reports.
    ///
    /// # Panics
    /// Where `x` or `columns` is too short.
    pub fn to_rows(&mut self, columns: &[T], x: &mut [T], stride: usize) -> Result<()> {
        let mine = self.slabs.columns(self.rank);
        let length = mine.len().max(1);
        for rank in (0..self.slabs.ranks()).filter(|&rank| rank != self.rank) {
            let rows = self.slabs.around(rank, self.halo);
            for (k, row) in rows.enumerate().filter(|_| !mine.is_empty()) {
                for block in 0..mine.len().div_ceil(self.width) {
                    let first = block * self.width;
                    let part = self.block(block, row, self.width.min(mine.len() - first));
                    let out = &mut self.back.outbox(rank)[k * length + first..][..part.len()];
                    out.copy_from_slice(&columns[part]);
                }
            }
        }
        self.back.exchange()?;
        let rows = self.slabs.around(self.rank, self.halo);
        for (row, x) in rows.zip(x.chunks_mut(stride)) {
            for (block, part) in x[mine.clone()].chunks_mut(self.width).enumerate() {
                part.copy_from_slice(&columns[self.block(block, row, part.len())]);
            }
        }
        for rank in (0..self.slabs.ranks()).filter(|&rank| rank != self.rank) {
            let part = self.slabs.columns(rank);
            let lines = self.back.inbox(rank).chunks_exact(part.len().max(1));
            for (x, line) in x.chunks_mut(stride).zip(lines) {
                x[part.clone()].copy_from_slice(line);
            }
        }
        Ok(())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.there.bytes() + self.back.bytes()
    }
}
