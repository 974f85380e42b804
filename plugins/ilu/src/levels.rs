//! Substitutions with a triangle and its transpose on several threads: rows of one level wait for none of each other.
//!
//! The level of a row of (I + U)ᵀ x = r is one more than the highest among the rows that it waits for: those above it
//! with an entry in its column. Rows of (I + U) x = r wait for rows of higher levels only, so that both substitutions
//! go through the levels, upwards and downwards. Rows stand by levels here, and a row's entries in the order in which
//! [`Triangle`] takes them: every number has the bits that it has on one thread.
//!
//! Cost: three passes over U to set up, and U kept twice more; an application two passes, and two meetings of the
//! threads a level, which pays where levels are large: where unknowns are numbered in no order of their places.
use precondor_sdk::core::kernel::chunks;
use precondor_sdk::core::kernel::triangular::Triangle;
use precondor_sdk::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Rows a level, in the mean, from which on threads pay.
const ROWS: usize = 4096;
/// Rows, at least, that one thread takes at a time.
const GRAIN: usize = 1024;

/// U and Uᵀ with rows and columns by levels.
pub struct Levels {
    /// Where each row stands, and which row stands at each place.
    place: Vec<u32>,
    row: Vec<u32>,
    /// First place of each level, and the end of the last.
    starts: Vec<usize>,
    lower: Rows,
    upper: Rows,
    work: Mutex<Vec<f64>>,
}

/// Entries, columns by places.
struct Rows {
    row_ptr: Vec<u32>,
    cols: Vec<u32>,
    values: Vec<f64>,
}

impl Rows {
    /// Rows of these lengths.
    fn new(lengths: impl Iterator<Item = u32>, nnz: usize) -> Self {
        let mut end = 0;
        let ends = lengths.map(|length| {
            end += length;
            end
        });
        let row_ptr = std::iter::once(0).chain(ends).collect();
        Rows { row_ptr, cols: vec![0; nnz], values: vec![0.0; nnz] }
    }

    /// `s` less the products of the row at `place` with x, whose first number is that of place `first`.
    #[inline]
    fn less(&self, s: f64, place: usize, x: &[f64], first: usize) -> f64 {
        let range = self.row_ptr[place] as usize..self.row_ptr[place + 1] as usize;
        let row = self.cols[range.clone()].iter().zip(&self.values[range]);
        row.fold(s, |s, (&j, t)| s - t * x[j as usize - first])
    }

    fn bytes(&self) -> usize {
        4 * self.row_ptr.len() + 12 * self.cols.len()
    }
}

impl Levels {
    /// Of an upper triangle; none where its levels are too small.
    pub fn new(upper: &Triangle) -> Option<Self> {
        let n = upper.n_rows();
        let mut level = vec![0u32; n];
        let mut before = vec![0u32; n];
        for i in 0..n {
            for &j in upper.row(i).0 {
                level[j as usize] = level[j as usize].max(level[i] + 1);
                before[j as usize] += 1;
            }
        }
        let count = level.iter().max().map_or(0, |&last| last as usize + 1);
        if n < ROWS * count.max(1) {
            return None;
        }
        let mut starts = vec![0; count + 1];
        level.iter().for_each(|&level| starts[level as usize + 1] += 1);
        (0..count).for_each(|level| starts[level + 1] += starts[level]);
        let (mut next, mut place, mut row) = (starts.clone(), vec![0; n], vec![0; n]);
        for (i, &level) in level.iter().enumerate() {
            let at = &mut next[level as usize];
            (place[i], row[*at]) = (*at as u32, i as u32);
            *at += 1;
        }
        let (lower, upper) = parts(upper, &place, &row, &before);
        let work = Mutex::new(vec![0.0; n]);
        Some(Levels { place, row, starts, lower, upper, work })
    }

    /// x ← (I + U)⁻¹ D⁻¹ (I + U)⁻ᵀ x, with `inverse` the numbers of D⁻¹ by rows.
    ///
    /// # Errors
    /// What the host reports.
    pub fn solve_in_place(&self, host: &dyn Host, inverse: &[f64], x: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        for pair in self.starts.windows(2) {
            let (done, rest) = work.split_at_mut(pair[0]);
            let level = &mut rest[..pair[1] - pair[0]];
            chunks::rows(host, level.len(), GRAIN, [(level, 1)], |range, [out]| {
                for (place, out) in (pair[0] + range.start..).zip(out) {
                    *out = self.lower.less(x[self.row[place] as usize], place, done, 0);
                }
                Ok(())
            })?;
        }
        for pair in self.starts.windows(2).rev() {
            let (rest, done) = work.split_at_mut(pair[1]);
            let level = &mut rest[pair[0]..];
            chunks::rows(host, level.len(), GRAIN, [(level, 1)], |range, [out]| {
                for (place, out) in (pair[0] + range.start..).zip(out) {
                    let scaled = *out * inverse[self.row[place] as usize];
                    *out = self.upper.less(scaled, place, done, pair[1]);
                }
                Ok(())
            })?;
        }
        let found = &work[..];
        chunks::rows(host, x.len(), GRAIN, [(x, 1)], |range, [out]| {
            for (place, out) in self.place[range].iter().zip(out) {
                *out = found[*place as usize];
            }
            Ok(())
        })
    }

    pub fn bytes(&self) -> usize {
        16 * self.place.len() + 8 * self.starts.len() + self.lower.bytes() + self.upper.bytes()
    }
}

/// Uᵀ and U by places; `before` has the lengths of the rows of Uᵀ. Entries of U stand from right to left.
fn parts(u: &Triangle, place: &[u32], row: &[u32], before: &[u32]) -> (Rows, Rows) {
    let mut lower = Rows::new(row.iter().map(|&i| before[i as usize]), u.nnz());
    let mut upper = Rows::new(row.iter().map(|&i| u.row(i as usize).0.len() as u32), u.nnz());
    let mut next = lower.row_ptr.clone();
    for (i, &own) in place.iter().enumerate() {
        let (cols, values) = u.row(i);
        let first = upper.row_ptr[own as usize] as usize;
        for (k, (&j, &t)) in cols.iter().zip(values).rev().enumerate() {
            (upper.cols[first + k], upper.values[first + k]) = (place[j as usize], t);
        }
        for (&j, &t) in cols.iter().zip(values) {
            let at = &mut next[place[j as usize] as usize];
            (lower.cols[*at as usize], lower.values[*at as usize]) = (own, t);
            *at += 1;
        }
    }
    (lower, upper)
}
