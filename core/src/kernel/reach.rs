//! Own and fetched rows of a distributed matrix in one local numbering.
use super::remote::{Rows, fetch};
use super::triangular::SEARCHED;
use crate::matrix::{CsrView, DistCsr};
use crate::{Error, Result};
use std::ops::Range;

/// Local numbers for global columns, in the same order: those of lower ranks, this rank's, those
/// of higher ranks. Because the order is the global one, sums over a row are formed in the same
/// order, and so come out bitwise the same, on every number of ranks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbering {
    start: u64,
    n_own: usize,
    below: usize,
    /// Global numbers of the columns that others own, strictly increasing.
    others: Vec<u64>,
}

impl Numbering {
    fn new(a: &DistCsr, mut others: Vec<u64>) -> Result<Self> {
        others.sort_unstable();
        others.dedup();
        let start = a.space().start();
        let below = others.partition_point(|&g| g < start);
        let numbers = Numbering { start, n_own: a.n_own(), below, others };
        if numbers.len() > u32::MAX as usize {
            return Err(super::remote::too_many());
        }
        Ok(numbers)
    }
    /// How many columns have a number.
    pub fn len(&self) -> usize {
        self.n_own + self.others.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Local number of own row `i`.
    #[inline]
    pub fn of_own(&self, i: usize) -> u32 {
        (self.below + i) as u32
    }
    /// Own row with the local number `j`, where this rank owns it.
    #[inline]
    pub fn own(&self, j: u32) -> Option<usize> {
        let i = (j as usize).wrapping_sub(self.below);
        (i < self.n_own).then_some(i)
    }
    /// Local number of the global column `id`, where it has one.
    pub fn local(&self, id: u64) -> Option<u32> {
        let own = id.wrapping_sub(self.start);
        if own < self.n_own as u64 {
            return Some(self.of_own(own as usize));
        }
        let k = self.others.binary_search(&id).ok()?;
        Some(if id < self.start { k } else { k + self.n_own } as u32)
    }
    /// Global number of the local column `j`.
    #[inline]
    pub fn global(&self, j: u32) -> u64 {
        match self.own(j) {
            Some(i) => self.start + i as u64,
            None => self.others[self.place(j)],
        }
    }
    /// Where the local number `j`, not this rank's, stands among the columns of others.
    fn place(&self, j: u32) -> usize {
        let j = j as usize;
        if j < self.below { j } else { j - self.n_own }
    }
}

/// The rows of a matrix that this rank owns, and some that it fetched from others.
pub struct Reach<'a> {
    numbering: Numbering,
    own: CsrView<'a>,
    ghost: CsrView<'a>,
    /// Local number of each ghost column.
    ghost_number: Vec<u32>,
    /// Ghost columns that belong to lower ranks.
    ghosts_below: u32,
    /// For each column that others own: its row among the fetched ones, or [`NONE`].
    fetched: Vec<u32>,
    row_ptr: Vec<usize>,
    cols: Vec<u32>,
    values: Vec<f64>,
}

const NONE: u32 = u32::MAX;

impl<'a> Reach<'a> {
    /// Own rows of `a` and the rows `ids` of others (strictly increasing). Collective.
    ///
    /// # Errors
    /// What [`fetch`] reports.
    pub fn new(a: &'a DistCsr, ids: &[u64]) -> Result<Self> {
        Self::of(a, fetch(a, ids)?)
    }

    /// Own rows of `a` and rows that were fetched already. Not collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for 2³² columns or more.
    pub fn of(a: &'a DistCsr, rows: Rows) -> Result<Self> {
        let mine = a.space().start()..a.space().start() + a.n_own() as u64;
        let mut others = [a.ghost_ids(), &rows.ids].concat();
        others.extend(rows.cols.iter().filter(|g| !mine.contains(g)));
        let numbering = Numbering::new(a, others)?;
        let local = |id: &u64| {
            let missing = || Error::Data(format!("column {id} has no local number"));
            numbering.local(*id).ok_or_else(missing)
        };
        let cols = rows.cols.iter().map(local).collect::<Result<_>>()?;
        let ghost_number = a.ghost_ids().iter().map(local).collect::<Result<_>>()?;
        let mut fetched = vec![NONE; numbering.others.len()];
        for (row, id) in rows.ids.iter().enumerate() {
            fetched[numbering.place(local(id)?)] = row as u32;
        }
        Ok(Reach {
            ghost_number,
            ghosts_below: a.ghost_ids().partition_point(|&g| g < mine.start) as u32,
            own: a.own().view(),
            ghost: a.ghost().view(),
            row_ptr: rows.row_ptr,
            values: rows.values,
            numbering,
            fetched,
            cols,
        })
    }

    /// Rows that this rank owns.
    pub fn n_own(&self) -> usize {
        self.numbering.n_own
    }

    /// The local numbering.
    pub fn numbering(&self) -> &Numbering {
        &self.numbering
    }

    /// Local number of each ghost column, increasing.
    pub fn ghost_numbers(&self) -> &[u32] {
        &self.ghost_number
    }

    /// Local columns, counted from [`of_own(0)`](Numbering::of_own), of own row `i`, where this
    /// rank owns all of them.
    #[inline]
    pub fn own_cols(&self, i: usize) -> Option<&'a [u32]> {
        self.ghost.range(i).is_empty().then(|| self.own.row_cols(i))
    }

    /// Values in the own block of the own rows `rows`, one row after the other.
    #[inline]
    pub fn own_values(&self, rows: Range<usize>) -> &'a [f64] {
        &self.own.values[self.own.row_ptr[rows.start] as usize..self.own.row_ptr[rows.end] as usize]
    }

    /// Entries of row `j`; none of one that was not fetched.
    #[inline]
    pub fn len(&self, j: u32) -> usize {
        match self.numbering.own(j) {
            Some(i) => self.own.range(i).len() + self.ghost.range(i).len(),
            None => self.fetched_range(j).len(),
        }
    }

    /// Where the entries of a row of others stand; nowhere if it was not fetched.
    #[inline]
    fn fetched_range(&self, j: u32) -> Range<usize> {
        match self.fetched[self.numbering.place(j)] {
            NONE => 0..0,
            row => self.row_ptr[row as usize]..self.row_ptr[row as usize + 1],
        }
    }

    /// The entry of row `j` in column `c`, where it is stored: a search that takes the logarithm of
    /// the row's length.
    pub fn entry(&self, j: u32, c: u32) -> Option<f64> {
        let found = |cols: &[u32], values: &[f64], c: u32| {
            cols.binary_search(&c).ok().and_then(|at| values.get(at).copied())
        };
        match (self.numbering.own(j), self.numbering.own(c)) {
            (Some(i), Some(c)) => found(self.own.row_cols(i), self.own.row_values(i), c as u32),
            (Some(i), None) => {
                let ghost = self.ghost_number.binary_search(&c).ok()?;
                found(self.ghost.row_cols(i), self.ghost.row_values(i), ghost as u32)
            }
            (None, _) => {
                let range = self.fetched_range(j);
                found(&self.cols[range.clone()], &self.values[range], c)
            }
        }
    }

    /// Calls `f(column, value)` at least for the entries of row `j` in the columns `wanted`: a row
    /// much longer than these is searched for them, so that a dense row costs each of its neighbours
    /// little.
    #[inline]
    pub fn visit_among(&self, j: u32, wanted: &[u32], mut f: impl FnMut(u32, f64)) {
        if self.len(j) <= SEARCHED * wanted.len() {
            return self.visit(j, f);
        }
        for &c in wanted {
            if let Some(value) = self.entry(j, c) {
                f(c, value);
            }
        }
    }

    /// Calls `f(column, value)` for the entries of row `j`, all in local numbers, in increasing
    /// order of columns. Rows that were not fetched have no entries.
    #[inline]
    pub fn visit(&self, j: u32, mut f: impl FnMut(u32, f64)) {
        let first = self.numbering.below as u32;
        let Some(i) = self.numbering.own(j) else {
            let range = self.fetched_range(j);
            self.cols[range.clone()].iter().zip(&self.values[range]).for_each(|(&c, &v)| f(c, v));
            return;
        };
        let ghosts = self.ghost.row_cols(i).iter().zip(self.ghost.row_values(i));
        for (&g, &v) in ghosts.clone().take_while(|(g, _)| **g < self.ghosts_below) {
            f(self.ghost_number[g as usize], v);
        }
        for (&c, &v) in self.own.row_cols(i).iter().zip(self.own.row_values(i)) {
            f(first + c, v);
        }
        for (&g, &v) in ghosts.skip_while(|(g, _)| **g < self.ghosts_below) {
            f(self.ghost_number[g as usize], v);
        }
    }
}
