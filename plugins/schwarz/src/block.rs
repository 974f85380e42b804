//! One rank's block: its own rows and those of others around them, and how vectors get there and
//! back.
use precondor_sdk::core::comm::{Exchange, HaloPlan};
use precondor_sdk::core::kernel::remote::{Rows, fetch, neighbours};
use precondor_sdk::prelude::*;
use std::ops::Range;

/// The rows of a block, in order of their global numbers: those of lower ranks, the own ones, those
/// of higher ranks.
pub(crate) struct Block {
    /// Global numbers of the rows of others, increasing.
    others: Vec<u64>,
    start: u64,
    n_own: usize,
    below: usize,
}

impl Block {
    /// Own rows of `a` and `layers` layers of rows around them in the graph of A, none of them reached
    /// through a row of more than `longest` entries, with the rows of others. Collective.
    pub fn around(a: &DistCsr, layers: u32, longest: u32) -> Result<(Self, Rows)> {
        let rows = neighbours(a, layers as usize, longest as usize)?;
        let start = a.space().start();
        let below = rows.ids.partition_point(|&id| id < start);
        Ok((Block { others: rows.ids.clone(), start, n_own: a.n_own(), below }, rows))
    }

    /// The rows of others, of a matrix with the same pattern, in one exchange. Collective.
    pub fn again(&self, a: &DistCsr) -> Result<Rows> {
        fetch(a, &self.others)
    }

    /// Rows of the block.
    pub fn len(&self) -> usize {
        self.n_own + self.others.len()
    }

    /// Whether there are no rows of others in it.
    pub fn is_own(&self) -> bool {
        self.others.is_empty()
    }

    /// Where the own rows stand.
    pub fn own(&self) -> Range<usize> {
        self.below..self.below + self.n_own
    }

    /// Global number of the block's row `i`, where there is one.
    pub fn global(&self, i: u64) -> Option<u64> {
        let i = usize::try_from(i).ok().filter(|&i| i < self.len())?;
        let own = self.own();
        Some(match i {
            i if i < own.start => self.others[i],
            i if i < own.end => self.start + (i - own.start) as u64,
            i => self.others[i - self.n_own],
        })
    }

    /// The block's number of the global row `id`, where it is one of its rows.
    fn local(&self, id: u64) -> Option<u32> {
        let own = id.wrapping_sub(self.start);
        if own < self.n_own as u64 {
            return Some((self.below as u64 + own) as u32);
        }
        let k = self.others.binary_search(&id).ok()?;
        Some(if k < self.below { k } else { k + self.n_own } as u32)
    }

    /// A on the rows and columns of the block; `rows` are those of others. Not collective.
    pub fn matrix(&self, a: &DistCsr, rows: &Rows) -> Result<DistCsr> {
        if self.others.is_empty() {
            return DistCsr::solo(a.own().clone());
        }
        if self.len() > u32::MAX as usize {
            let why = "2³² or more rows in a block: use more ranks, or less overlap";
            return Err(Error::Unsupported(why.into()));
        }
        let nnz = a.nnz_own() + rows.cols.len();
        let (mut cols, mut values) = (Vec::with_capacity(nnz), Vec::with_capacity(nnz));
        let mut row_ptr = Vec::with_capacity(self.len() + 1);
        row_ptr.push(0);
        let mut close = |entries: &mut dyn Iterator<Item = (u64, f64)>| -> Result<()> {
            for (id, value) in entries {
                if let Some(col) = self.local(id) {
                    cols.push(col);
                    values.push(value);
                }
            }
            let too_many = |_| Error::Unsupported("2³² or more entries in a block".into());
            row_ptr.push(u32::try_from(cols.len()).map_err(too_many)?);
            Ok(())
        };
        let theirs = |k: usize| {
            let range = rows.row_ptr[k]..rows.row_ptr[k + 1];
            rows.cols[range.clone()].iter().copied().zip(rows.values[range].iter().copied())
        };
        (0..self.below).try_for_each(|k| close(&mut theirs(k)))?;
        (0..self.n_own).try_for_each(|i| close(&mut a.global_entries(i)))?;
        (self.below..self.others.len()).try_for_each(|k| close(&mut theirs(k)))?;
        DistCsr::solo(Csr::new(self.len(), row_ptr, cols, values)?)
    }

    pub fn bytes(&self) -> usize {
        8 * self.others.len()
    }
}

/// Moves vectors between their owners and the blocks.
pub(crate) struct Ways {
    /// Brings the entries of others.
    bring: Box<dyn Exchange>,
    /// Takes them back.
    back: Box<dyn Exchange>,
    /// Own entries that others have in their blocks, as they come back.
    index: Vec<u32>,
    arrived: Vec<f64>,
    /// The entries of others.
    halo: Vec<f64>,
}

impl Ways {
    /// Collective.
    pub fn new(space: &Space, block: &Block) -> Result<Self> {
        let plan = space.halo(&block.others)?;
        let mut reverse = HaloPlan::default();
        for (rank, range) in &plan.recv {
            reverse.send.push((*rank, (range.start as u32..range.end as u32).collect()));
        }
        let mut index = Vec::new();
        for (rank, theirs) in &plan.send {
            reverse.recv.push((*rank, index.len()..index.len() + theirs.len()));
            index.extend_from_slice(theirs);
        }
        Ok(Ways {
            bring: space.comm().exchange(plan)?,
            back: space.comm().exchange(reverse)?,
            arrived: vec![0.0; index.len()],
            index,
            halo: vec![0.0; block.others.len()],
        })
    }

    /// 1/√c for every row of the block, which is in c blocks. Collective.
    pub fn weights(&mut self, block: &Block) -> Result<Vec<f64>> {
        let mut own = vec![1.0; block.n_own];
        self.index.iter().for_each(|&i| own[i as usize] += 1.0);
        own.iter_mut().for_each(|count| *count = 1.0 / f64::sqrt(*count));
        let mut whole = vec![0.0; block.len()];
        self.bring(block, &own, &mut whole)?;
        Ok(whole)
    }

    /// `whole` ← the entries of `own` and of its neighbours on the rows of the block. Collective.
    pub fn bring(&mut self, block: &Block, own: &[f64], whole: &mut [f64]) -> Result<()> {
        let token = self.bring.start(own)?;
        whole[block.own()].copy_from_slice(own);
        self.bring.finish(token, &mut self.halo)?;
        let (below, above) = self.halo.split_at(block.below);
        whole[..block.below].copy_from_slice(below);
        whole[block.own().end..].copy_from_slice(above);
        Ok(())
    }

    /// `own` ← the sum of what all blocks hold on own rows, in order of the ranks that are not this
    /// one, this one first. Collective.
    pub fn add_back(&mut self, block: &Block, whole: &[f64], own: &mut [f64]) -> Result<()> {
        let (below, above) = self.halo.split_at_mut(block.below);
        below.copy_from_slice(&whole[..block.below]);
        above.copy_from_slice(&whole[block.own().end..]);
        let token = self.back.start(&self.halo)?;
        own.copy_from_slice(&whole[block.own()]);
        self.back.finish(token, &mut self.arrived)?;
        for (&i, value) in self.index.iter().zip(&self.arrived) {
            own[i as usize] += value;
        }
        Ok(())
    }

    pub fn bytes(&self) -> usize {
        4 * self.index.len() + 8 * (self.arrived.len() + self.halo.len())
    }
}
