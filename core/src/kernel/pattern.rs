//! Sparsity patterns of powers of a matrix: where an approximate inverse may have entries.
//!
//! The pattern of (I + |A|)ᵏ holds all pairs of rows at most k steps apart in the graph of A. It
//! contains the diagonal and every lower power; where A has a full diagonal it is the pattern of
//! Aᵏ. Entries that cancel in a product count.
//!
//! Reference: E. Chow, *A priori sparsity patterns for parallel sparse approximate inverse
//! preconditioners*, SIAM J. Sci. Comput. 21 (2000), §2–3 (powers, and the threshold on the
//! matrix scaled to a unit diagonal).
use super::chunks;
use super::reach::{Numbering, Reach};
use super::remote::{neighbours, on_one_rank, too_many};
use crate::host::Host;
use crate::matrix::{Csr, DistCsr, Space};
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// Rows that one thread takes at a time.
const GRAIN: usize = 4096;

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
}

impl Pattern {
    /// The pattern of (I + |A|)ᵏ with k = `power`. Collective; fetches the rows up to k − 1 steps
    /// away, as [`neighbours`] does.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for 2³² entries or more on a rank; what the communicator reports.
    pub fn power(host: &dyn Host, a: &DistCsr, power: usize, part: Part) -> Result<Self> {
        Self::within(host, &around(a, power.saturating_sub(1))?, power, part)
    }

    /// The pattern of (I + |A|)ᵏ with k = `power`, where `near` has the rows up to k − 1 steps away. Not
    /// collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for 2³² entries or more.
    pub fn within(host: &dyn Host, near: &Reach<'_>, power: usize, part: Part) -> Result<Self> {
        let pool = chunks::Pool::default();
        let made = chunks::collect(host, near.n_own(), GRAIN, |range| {
            let mut chunk = (Vec::with_capacity(range.len()), Vec::new());
            if power <= 1 {
                for i in range {
                    neighbourhood(near, i, power, part, &mut chunk.1);
                    chunk.0.push(chunk.1.len());
                }
                return Ok(chunk);
            }
            pool.with(
                || vec![false; near.numbering().len()],
                |marked| {
                    for i in range {
                        steps(near, i, power, part, marked, &mut chunk.1);
                        chunk.0.push(chunk.1.len());
                    }
                    Ok(chunk)
                },
            )
        })?;
        Self::from_chunks(&made, near.numbering())
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
        let mut cols = Vec::with_capacity(nnz);
        for (ends, more) in made {
            row_ptr.extend(ends.iter().map(|end| (cols.len() + end) as u32));
            cols.extend_from_slice(more);
        }
        let numbering = numbering.clone();
        let theirs = cols.iter().filter(|&&j| numbering.own(j).is_none());
        let mut others: Vec<u64> = theirs.map(|&j| numbering.global(j)).collect();
        others.sort_unstable();
        others.dedup();
        Ok(Pattern { row_ptr, cols, numbering, others })
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
    let size = |i: usize| match a.diagonal(i).abs() {
        0.0 => a.global_entries(i).fold(0.0, |m: f64, (_, v)| m.max(v.abs())),
        d => d,
    };
    let size: Vec<f64> = (0..a.n_own()).map(size).collect();
    let mut ghost_size = vec![0.0; a.ghost_ids().len()];
    if a.space().comm().size() > 1 {
        let token = a.exchange_start(&size)?;
        a.exchange_finish(token, &mut ghost_size)?;
    }
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
pub fn around(a: &DistCsr, steps: usize) -> Result<Reach<'_>> {
    Reach::of(a, neighbours(a, steps)?)
}

/// Own row `i` itself and, for `power` 1, its neighbours: already in order.
fn neighbourhood(near: &Reach<'_>, i: usize, power: usize, part: Part, out: &mut Vec<u32>) {
    let me = near.numbering().of_own(i);
    if power == 0 {
        out.push(me);
        return;
    }
    let first = near.numbering().of_own(0);
    if let Some(cols) = near.own_cols(i)
        && let Ok(diagonal) = cols.binary_search(&(i as u32))
    {
        let kept = if part == Part::Full { cols } else { &cols[..=diagonal] };
        out.extend(kept.iter().map(|c| first + c));
        return;
    }
    let mut met = false;
    near.visit(me, |c, _| {
        if c >= me && !met {
            met = true;
            out.push(me);
        }
        if c != me && (part == Part::Full || c < me) {
            out.push(c);
        }
    });
    if !met {
        out.push(me);
    }
}

/// What own row `i` reaches in `power` steps. `marked` is all false before and after.
fn steps(
    near: &Reach<'_>,
    i: usize,
    power: usize,
    part: Part,
    marked: &mut [bool],
    out: &mut Vec<u32>,
) {
    let (first, me) = (out.len(), near.numbering().of_own(i));
    out.push(me);
    marked[me as usize] = true;
    let mut done = first;
    for _ in 0..power {
        let end = out.len();
        for k in done..end {
            near.visit(out[k], |c, _| {
                if !std::mem::replace(&mut marked[c as usize], true) {
                    out.push(c);
                }
            });
        }
        done = end;
    }
    for &c in &out[first..] {
        marked[c as usize] = false;
    }
    if part == Part::Lower {
        let mut kept = first;
        for k in first..out.len() {
            if out[k] <= me {
                out[kept] = out[k];
                kept += 1;
            }
        }
        out.truncate(kept);
    }
    out[first..].sort_unstable();
}
