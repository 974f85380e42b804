//! Sparsity patterns of powers of a matrix: where an approximate inverse may have entries.
//!
//! The pattern of (I + |A|)ᵏ holds all pairs of rows at most k steps apart in the graph of A. It
//! contains the diagonal and every lower power; where A has a full diagonal it is the pattern of
//! Aᵏ. Entries that cancel in a product count.
//!
//! Cost: a row takes O(k·max_row²) steps at most, however long the rows of A are ([`Bound`]).
//!
//! Reference: E. Chow, *A priori sparsity patterns for parallel sparse approximate inverse
//! preconditioners*, SIAM J. Sci. Comput. 21 (2000), §2–3 (powers, and the threshold on the
//! matrix scaled to a unit diagonal).
use super::chunks;
use super::reach::{Numbering, Reach};
use super::remote::{neighbours, on_one_rank, too_many};
use super::search::Search;
use crate::comm::{Comm, Communicator};
use crate::host::Host;
use crate::matrix::{Csr, DistCsr, Space};
use crate::memory;
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// Rows that one thread takes at a time.
const GRAIN: usize = 4096;

/// Entries that methods let a row have unless told otherwise.
pub const MAX_ROW: u32 = 200;

/// What does not fit where rows are long.
const TOO_LONG: &str = "the pattern; lower 'max_row' or 'power'";

/// Which part of a pattern is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Full,
    /// Columns up to the row's own.
    Lower,
}

/// The places of a distributed matrix's entries, on the rows that this rank owns.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// `n_own + 1` offsets.
    pub row_ptr: Vec<u32>,
    /// Columns, increasing within a row, as [`numbering`](Pattern::numbering) numbers them.
    pub cols: Vec<u32>,
    numbering: Numbering,
    /// Global numbers of the rows of others that columns point to, increasing.
    others: Vec<u64>,
    /// Own rows that were longer than they may be.
    cut: Cut,
}

/// Rows that a limit on their length cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// How many.
    pub rows: u64,
    /// Global number of the first.
    pub first: u64,
}

impl Cut {
    fn add(&mut self, row: u64) {
        *self = self.with(Cut { rows: 1, first: row });
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Cut) -> Cut {
        match (self.rows, other.rows) {
            (0, _) => other,
            (_, 0) => self,
            (x, y) => Cut { rows: x + y, first: self.first.min(other.first) },
        }
    }

    /// Those of all ranks. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn of_all(self, comm: &Comm) -> Result<Cut> {
        if comm.size() == 1 {
            return Ok(self);
        }
        let all = comm.all_gather(&[self.rows, self.first])?;
        Ok(all
            .iter()
            .fold(Cut::default(), |sum, cut| sum.with(Cut { rows: cut[0], first: cut[1] })))
    }
}

/// How long the rows of a pattern may be.
///
/// One dense row in A makes Aᵏ full, and the small system of a row of k entries costs k³: rows keep
/// the [`max_row`](Bound::max_row) entries that are strongest, and no path of a power leads through a
/// row of A that is longer. The strength of an entry of A is |aᵢⱼ| / √|aᵢᵢ aⱼⱼ|, which no scaling D A D
/// changes, that of a pair of rows further apart the largest product over the shortest paths between
/// them; of equals that with the smaller column is the stronger. The diagonal always stays.
pub struct Bound {
    /// Entries of a row, its diagonal one counted, at most.
    pub max_row: usize,
    /// Whether some row of the matrix is longer, on any rank.
    pub exceeded: bool,
    /// √|aⱼⱼ| of ghost columns, where a row is longer.
    ghost_roots: Vec<f64>,
}

impl Bound {
    /// For patterns of powers of `a`. Collective: one reduction, and an exchange where a row is longer.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn new(a: &DistCsr, max_row: u32) -> Result<Self> {
        let (max_row, comm) = (max_row.max(1) as usize, a.space().comm());
        let (own, ghost) = (a.own().view(), a.ghost().view());
        let long = (0..a.n_own()).any(|i| own.range(i).len() + ghost.range(i).len() > max_row);
        let exceeded = if comm.size() > 1 { comm.any(long)? } else { long };
        let ghost_roots = match exceeded {
            true => {
                a.on_ghosts(&(0..a.n_own()).map(|i| Size::of_row(a, i).sqrt()).collect::<Vec<_>>())?
            }
            false => Vec::new(),
        };
        Ok(Bound { max_row, exceeded, ghost_roots })
    }

    /// √|aⱼⱼ| by the local numbers of `near`.
    pub(super) fn roots(&self, near: &Reach<'_>) -> Vec<f64> {
        let number = near.numbering();
        let root = |j: u32| {
            let mut size = Size::default();
            near.visit(j, |c, value| size.add(c == j, value));
            size.get().sqrt()
        };
        let mut roots: Vec<f64> = (0..number.len() as u32).map(root).collect();
        // Rows that were not fetched: known where it matters.
        for (&j, &root) in near.ghost_numbers().iter().zip(&self.ghost_roots) {
            roots[j as usize] = root;
        }
        roots
    }

    /// What a report should say of the rows that were cut, where there are any.
    pub fn note(&self, cut: Cut) -> Option<String> {
        (cut.rows > 0).then(|| {
            format!(
                "{} row(s) of the pattern, global row {} the first, keep the strongest {} entries \
                 ('max_row')",
                cut.rows, cut.first, self.max_row
            )
        })
    }
}

/// The size of a row for comparisons: its diagonal entry in magnitude; where that is zero or missing,
/// its largest.
#[derive(Default)]
struct Size {
    diagonal: f64,
    largest: f64,
}

impl Size {
    fn add(&mut self, diagonal: bool, value: f64) {
        self.largest = self.largest.max(value.abs());
        if diagonal {
            self.diagonal = value.abs();
        }
    }

    fn get(&self) -> f64 {
        if self.diagonal == 0.0 { self.largest } else { self.diagonal }
    }

    fn of_row(a: &DistCsr, i: usize) -> f64 {
        let (mut size, me) = (Size::default(), a.global_row(i));
        a.global_entries(i).for_each(|(j, value)| size.add(j == me, value));
        size.get()
    }
}

impl Pattern {
    /// The pattern of (I + |A|)ᵏ with k = `power`, its rows no longer than [`Bound`] says. Collective;
    /// for k > 1 fetches the rows up to k steps away, as [`neighbours`] does.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for 2³² entries or more on a rank; what the communicator reports.
    pub fn power(
        host: &dyn Host,
        a: &DistCsr,
        power: usize,
        part: Part,
        bound: &Bound,
    ) -> Result<Self> {
        let steps = if power > 1 { power } else { 0 };
        Self::within(host, &around(a, steps, bound.max_row)?, power, part, bound)
    }

    /// The pattern of (I + |A|)ᵏ with k = `power`, where `near` has the rows up to k steps away and `bound`
    /// is that of the same matrix. Not collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for 2³² entries or more.
    pub fn within(
        host: &dyn Host,
        near: &Reach<'_>,
        power: usize,
        part: Part,
        bound: &Bound,
    ) -> Result<Self> {
        let search = Search::new(near, power, part, bound);
        let pool = chunks::Pool::default();
        let made = chunks::collect(host, near.n_own(), GRAIN, |range| {
            let (mut ends, mut cols) = (Vec::with_capacity(range.len()), Vec::new());
            let mut cut = Cut::default();
            pool.with(
                || search.work(),
                |work| {
                    for i in range {
                        let me = near.numbering().global(near.numbering().of_own(i));
                        let most = bound.max_row.min(near.numbering().len());
                        memory::grow(&mut cols, most, TOO_LONG).map_err(|e| e.of_row(me))?;
                        if search.row(i, work, &mut cols) {
                            cut.add(me);
                        }
                        ends.push(cols.len());
                    }
                    Ok(((ends, cols), cut))
                },
            )
        })?;
        let (made, cuts): (Vec<_>, Vec<Cut>) = made.into_iter().unzip();
        let mut pattern = Self::from_chunks(&made, near.numbering())?;
        pattern.cut = cuts.into_iter().fold(Cut::default(), Cut::with);
        Ok(pattern)
    }

    /// Of the own rows that the chunks of a loop made, one after the other: for each chunk where
    /// its rows end, and their columns (increasing within a row, as `numbering` numbers them).
    ///
    /// # Errors
    /// [`Error::Unsupported`] for 2³² entries or more.
    pub fn from_chunks(made: &[(Vec<usize>, Vec<u32>)], numbering: &Numbering) -> Result<Self> {
        let nnz: usize = made.iter().map(|(_, cols)| cols.len()).sum();
        u32::try_from(nnz).map_err(|_| too_many())?;
        let mut row_ptr =
            Vec::with_capacity(made.iter().map(|(ends, _)| ends.len()).sum::<usize>() + 1);
        row_ptr.push(0);
        let mut cols = Vec::new();
        memory::reserve(&mut cols, nnz, TOO_LONG)?;
        for (ends, more) in made {
            row_ptr.extend(ends.iter().map(|end| (cols.len() + end) as u32));
            cols.extend_from_slice(more);
        }
        let numbering = numbering.clone();
        let theirs = cols.iter().filter(|&&j| numbering.own(j).is_none());
        let mut others: Vec<u64> = theirs.map(|&j| numbering.global(j)).collect();
        others.sort_unstable();
        others.dedup();
        Ok(Pattern { row_ptr, cols, numbering, others, cut: Cut::default() })
    }

    /// Fetches the rows of `a` that columns of this pattern point to, and numbers the columns as
    /// they are numbered there. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn reach<'a>(&mut self, a: &'a DistCsr) -> Result<Reach<'a>> {
        let reach = Reach::new(a, &self.others)?;
        self.renumber(&reach)?;
        Ok(reach)
    }

    /// As [`reach`](Pattern::reach), and also fetches the rows that own rows of `a` point to.
    /// Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn reach_around<'a>(&mut self, a: &'a DistCsr) -> Result<Reach<'a>> {
        let mut ids = [&self.others, a.ghost_ids()].concat();
        ids.sort_unstable();
        ids.dedup();
        let reach = Reach::new(a, &ids)?;
        self.renumber(&reach)?;
        Ok(reach)
    }

    /// Numbers the columns as `reach` does. Not collective.
    ///
    /// # Errors
    /// [`Error::Data`] for a column without a number there.
    pub fn renumber(&mut self, reach: &Reach<'_>) -> Result<()> {
        let to = reach.numbering();
        if *to != self.numbering {
            for j in &mut self.cols {
                let id = self.numbering.global(*j);
                let missing = || Error::Data(format!("the rows around lack column {id}"));
                *j = to.local(id).ok_or_else(missing)?;
            }
            self.numbering = to.clone();
        }
        Ok(())
    }

    /// Local numbers of the columns.
    pub fn numbering(&self) -> &Numbering {
        &self.numbering
    }

    /// Columns of own row `i`.
    #[inline]
    pub fn row(&self, i: usize) -> &[u32] {
        &self.cols[self.row_ptr[i] as usize..self.row_ptr[i + 1] as usize]
    }

    /// The rows of `range` by their number of columns, rows of one size in increasing order: a
    /// batch of rows is as expensive as its largest.
    pub fn by_size(&self, range: Range<usize>, order: &mut Vec<u32>) {
        let size = |i: usize| (self.row_ptr[i + 1] - self.row_ptr[i]) as usize;
        let mut next = vec![0; range.clone().map(size).max().map_or(0, |largest| largest + 1)];
        range.clone().for_each(|i| next[size(i)] += 1);
        let mut sum = 0;
        for count in &mut next {
            sum += std::mem::replace(count, sum);
        }
        order.clear();
        order.resize(range.len(), 0);
        for i in range {
            let to = &mut next[size(i)];
            order[*to] = i as u32;
            *to += 1;
        }
    }

    /// Own rows that were cut to the length that they may have.
    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// Global numbers of the rows of others that columns point to, increasing.
    pub fn others(&self) -> &[u64] {
        &self.others
    }

    /// Bytes of its arrays.
    pub fn bytes(&self) -> usize {
        4 * (self.row_ptr.len() + self.cols.len()) + 16 * self.others.len()
    }

    /// The matrix with these places and `values`, one each. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn matrix(&self, space: &Arc<Space>, values: Vec<f64>) -> Result<DistCsr> {
        if space.comm().size() == 1 {
            let own = Csr::new(space.n_own(), self.row_ptr.clone(), self.cols.clone(), values)?;
            return on_one_rank(space, own);
        }
        let cols: Vec<u64> = self.cols.iter().map(|&j| self.numbering.global(j)).collect();
        DistCsr::from_rows(space, &self.row_ptr, &cols, &values)
    }
}

/// The entries of A with |aᵢⱼ| > `threshold` · √(|aᵢᵢ aⱼⱼ|), and the diagonal. Where a diagonal
/// entry is zero or missing, the row's largest entry stands in for it. Collective.
///
/// # Errors
/// What the communicator reports.
pub fn strong_entries(a: &DistCsr, threshold: f64) -> Result<DistCsr> {
    let size: Vec<f64> = (0..a.n_own()).map(|i| Size::of_row(a, i)).collect();
    let ghost_size = a.on_ghosts(&size)?;
    let start = a.space().start();
    let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
    for i in 0..a.n_own() {
        let weak = |v: f64, other: f64| v.abs() <= threshold * (size[i] * other).sqrt();
        for (col, v) in a.global_entries(i) {
            let j = col.wrapping_sub(start) as usize;
            let drop = match a.ghost_ids().binary_search(&col) {
                Ok(g) => weak(v, ghost_size[g]),
                Err(_) => j != i && weak(v, size[j]),
            };
            if !drop {
                cols.push(col);
                values.push(v);
            }
        }
        row_ptr.push(cols.len() as u32);
    }
    DistCsr::from_rows(a.space(), &row_ptr, &cols, &values)
}

/// A number that tells patterns of this rank's rows apart: equal for equal patterns, different for
/// different ones but for chance (one in 2⁶⁴).
pub fn digest(a: &DistCsr) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    // Four chains, so that the multiplications overlap.
    let mut chain = [1u64, 2, 3, 4];
    let mut add = |words: &[u32]| {
        let (fours, rest) = words.as_chunks::<4>();
        let rest: [u32; 4] = std::array::from_fn(|l| rest.get(l).map_or(u32::MAX, |&w| w));
        for four in fours.iter().chain([&rest]) {
            for (h, &word) in chain.iter_mut().zip(four) {
                *h = (*h ^ u64::from(word)).wrapping_mul(PRIME).rotate_left(29);
            }
        }
    };
    for block in [a.own().view(), a.ghost().view()] {
        add(block.row_ptr);
        add(block.cols);
    }
    let halves: Vec<u32> =
        a.ghost_ids().iter().flat_map(|&id| [id as u32, (id >> 32) as u32]).collect();
    add(&halves);
    chain.iter().fold(0, |h: u64, &c| (h ^ c).wrapping_mul(PRIME).rotate_left(29))
}

/// Own rows of `a` and the rows of others at most `steps` steps away from them in the graph of A, as
/// [`neighbours`] fetches them. Collective.
///
/// # Errors
/// What the communicator reports.
pub fn around(a: &DistCsr, steps: usize, longest: usize) -> Result<Reach<'_>> {
    Reach::of(a, neighbours(a, steps, longest)?)
}
