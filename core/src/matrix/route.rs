//! The way of rows to another numbering, spread over the ranks in another way: P A Pᵀ, and vectors there and back.
//!
//! Cost: of the way, two words a row; of a matrix, every entry sent to the rank that its row goes to, 16 bytes each and 16 a
//! row; of a vector, one message between any two ranks that have rows in common, 8 bytes a row, and nothing between a rank and
//! itself. Vectors allocate nothing.
use super::{DistCsr, Space};
use crate::comm::{Comm, Communicator};
use crate::kernel::remote::{put, too_many, words};
use crate::kernel::slab::PairExchange;
use crate::{Error, Result};
use std::sync::Arc;

/// How rows and vectors move.
pub(crate) struct Route {
    from: Arc<Space>,
    to: Arc<Space>,
    forth: PairExchange<f64>,
    back: PairExchange<f64>,
    /// Own rows that go to each rank; to this one, too.
    give: Vec<Vec<u32>>,
    /// Own rows there that come from each.
    take: Vec<Vec<u32>>,
    /// Numbers here of the own rows there.
    origins: Vec<u64>,
}

impl Route {
    /// From rows on `from` to rows on `to`: `number` is that of an own row there, none for one that is left out. Collective,
    /// in a scope.
    ///
    /// # Errors
    /// [`Error::Data`] naming a row whose number is none there or that of another row, and a number that no row has; what the
    /// communicator reports.
    pub fn new(
        from: &Arc<Space>,
        to: Arc<Space>,
        number: impl Fn(usize) -> Option<u64>,
    ) -> Result<Self> {
        let comm = from.comm();
        let mut give = vec![Vec::new(); comm.size()];
        let mut numbers = vec![Vec::new(); comm.size()];
        for i in 0..from.n_own() {
            let row = from.start() + i as u64;
            let Some(there) = number(i) else { continue };
            if there >= to.n_global() {
                return Err(Error::Data(format!(
                    "row {row} is number {there} in another order of {} rows",
                    to.n_global()
                )));
            }
            let rank = to.owner(there);
            give[rank].push(i as u32);
            [there, row].into_iter().for_each(|word| put(&mut numbers[rank], word));
        }
        let mut take = Vec::new();
        let mut origins = vec![u64::MAX; to.n_own()];
        for came in comm.all_to_all(&numbers)? {
            let (mut came, mut rows) = (words(&came), Vec::new());
            while let (Some(there), Some(row)) = (came.next(), came.next()) {
                let at = (there - to.start()) as usize;
                if origins[at] != u64::MAX {
                    let why = format!(
                        "rows {} and {row} are both number {there} in another order",
                        origins[at]
                    );
                    return Err(Error::Data(why));
                }
                origins[at] = row;
                rows.push(at as u32);
            }
            take.push(rows);
        }
        if let Some(at) = origins.iter().position(|&row| row == u64::MAX) {
            let there = to.start() + at as u64;
            return Err(Error::Data(format!("no row is number {there} in another order")));
        }
        let counts = |lists: &[Vec<u32>]| -> Vec<usize> {
            let count =
                |(rank, list): (usize, &Vec<u32>)| if rank == comm.rank() { 0 } else { list.len() };
            lists.iter().enumerate().map(count).collect()
        };
        let (sent, came) = (counts(&give), counts(&take));
        let forth = PairExchange::new(comm, &sent, &came)?;
        let back = PairExchange::new(comm, &came, &sent)?;
        Ok(Route { from: Arc::clone(from), to, forth, back, give, take, origins })
    }

    pub fn comm(&self) -> &Comm {
        self.from.comm()
    }

    /// How rows are spread here.
    pub fn from(&self) -> &Arc<Space> {
        &self.from
    }

    /// How they are spread there.
    pub fn to(&self) -> &Arc<Space> {
        &self.to
    }

    /// The number here of a row that this rank owns there.
    pub fn origin(&self, there: u64) -> Option<u64> {
        let at = usize::try_from(there.checked_sub(self.to.start())?).ok()?;
        self.origins.get(at).copied()
    }

    /// Bytes of it.
    pub fn bytes(&self) -> usize {
        let lists: usize = self.give.iter().chain(&self.take).map(|list| 4 * list.len()).sum();
        self.forth.bytes() + self.back.bytes() + lists + 8 * self.origins.len()
    }

    /// P A Pᵀ, without null spaces and services of a host; `number` is that of any row, or column, of `a` there. Collective, in a
    /// scope.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for 2³² or more entries on a rank; what the communicator reports.
    pub fn matrix(&self, a: &DistCsr, number: impl Fn(u64) -> Option<u64>) -> Result<DistCsr> {
        let start = self.from.start();
        let mut messages = vec![Vec::new(); self.comm().size()];
        for (rows, message) in self.give.iter().zip(&mut messages) {
            for &i in rows {
                let inside = a
                    .global_entries(i as usize)
                    .filter_map(|(col, value)| Some((number(col)?, value)));
                let entries: Vec<(u64, f64)> = inside.collect();
                put(message, number(start + u64::from(i)).unwrap_or_default());
                put(message, entries.len() as u64);
                for (col, value) in entries {
                    put(message, col);
                    put(message, value.to_bits());
                }
            }
        }
        let mut rows: Vec<Vec<(u64, f64)>> = vec![Vec::new(); self.to.n_own()];
        for message in self.comm().all_to_all(&messages)? {
            let mut words = words(&message);
            while let (Some(row), Some(count)) = (words.next(), words.next()) {
                let entry = |_| Some((words.next()?, f64::from_bits(words.next()?)));
                rows[(row - self.to.start()) as usize] = (0..count).filter_map(entry).collect();
            }
        }
        let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
        for mut row in rows {
            row.sort_unstable_by_key(|entry| entry.0);
            cols.extend(row.iter().map(|entry| entry.0));
            values.extend(row.iter().map(|entry| entry.1));
            row_ptr.push(u32::try_from(cols.len()).map_err(|_| too_many())?);
        }
        DistCsr::from_rows(&self.to, &row_ptr, &cols, &values)
    }

    /// `out` ← P `own`. Collective.
    pub fn there(&mut self, own: &[f64], out: &mut [f64]) -> Result<()> {
        moved(self.from.comm().rank(), (&self.give, &self.take), &mut self.forth, own, out)
    }

    /// `out` ← Pᵀ `theirs`, where rows are not left out. Collective.
    pub fn back(&mut self, theirs: &[f64], out: &mut [f64]) -> Result<()> {
        moved(self.from.comm().rank(), (&self.take, &self.give), &mut self.back, theirs, out)
    }
}

/// Moves entries to where they are taken.
fn moved(
    me: usize,
    (give, take): (&[Vec<u32>], &[Vec<u32>]),
    link: &mut PairExchange<f64>,
    from: &[f64],
    to: &mut [f64],
) -> Result<()> {
    for (rank, rows) in give.iter().enumerate().filter(|(rank, _)| *rank != me) {
        link.outbox(rank).iter_mut().zip(rows).for_each(|(out, &i)| *out = from[i as usize]);
    }
    link.exchange()?;
    for (rank, rows) in take.iter().enumerate() {
        if rank == me {
            rows.iter().zip(&give[me]).for_each(|(&i, &j)| to[i as usize] = from[j as usize]);
        } else {
            rows.iter().zip(link.inbox(rank)).for_each(|(&i, &value)| to[i as usize] = value);
        }
    }
    Ok(())
}
