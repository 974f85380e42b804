//! The least-squares problem of a row of SPAI that touches long rows of A, or very many.
//!
//! min ‖eᵢ − Bᵀ m‖₂ where B has the rows J of A, each divided by its largest entry. Of a row of A that
//! is longer than a row of M may be, only the columns count in which a shorter row of J has an entry, or
//! which are in J; the others stand together as one entry in a column of their own, with their length.
//! So every row of A keeps its length, and what is left out are the products of two long rows in columns
//! where no short one has an entry: with one long row in J, nothing. The normal equations are solved by
//! Cholesky's method with diagonal pivoting; unknowns of rows that depend on those before are zero.
//!
//! Cost of a row with k entries: the entries of the short rows times log(n) for every long one, their
//! products, k³/3 operations; memory k² and those entries.
//!
//! Reference: N. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., SIAM 2002, §10.3
//! (pivoting), §20.4 (normal equations).
use crate::spai::NEW;
use precondor_sdk::core::kernel::batch::packed;
use precondor_sdk::core::kernel::reach::Reach;
use precondor_sdk::core::memory;
use precondor_sdk::prelude::*;

pub(crate) const NOT_FINITE: &str = "it has an entry that is not a finite number";
pub(crate) const ZERO: &str = "it has no non-zero entry: the matrix is singular";

/// Numbers of a problem that a batch of eight may hold: 64 MiB in all.
const BATCHED: usize = 1 << 20;

/// What is left of a pivot, relative to the diagonal entry, counts as nothing below this for each row.
const DEPENDENT: f64 = 64.0 * f64::EPSILON;

/// Which rows of A are long, with their largest entry and the square of their length in units of it.
pub(crate) struct Lengths {
    max_row: usize,
    /// By local number, in increasing order.
    long: Vec<(u32, f64, f64)>,
}

impl Lengths {
    /// Of the rows in `reach`.
    pub fn new(reach: &Reach<'_>, max_row: usize) -> Self {
        let known = |j: u32| {
            let (mut largest, mut square) = (0.0, 0.0);
            reach.visit(j, |_, v| largest = larger(largest, v));
            reach.visit(j, |_, v| square += (v / largest) * (v / largest));
            (j, largest, square)
        };
        let all = 0..reach.numbering().len() as u32;
        Lengths { max_row, long: all.filter(|&j| reach.len(j) > max_row).map(known).collect() }
    }

    /// Whether the problem with the rows `columns` of A is too large for a batch, or has a long row.
    pub fn wide(&self, reach: &Reach<'_>, columns: &[u32]) -> bool {
        let entries: usize = columns.iter().map(|&j| reach.len(j)).sum();
        columns.len() * entries > BATCHED
            || (entries > self.max_row && columns.iter().any(|&j| reach.len(j) > self.max_row))
    }

    /// Largest entry and squared length of row `j`, where it is long.
    fn of(&self, j: u32) -> Option<(f64, f64)> {
        let at = self.long.binary_search_by_key(&j, |row| row.0).ok()?;
        Some((self.long[at].1, self.long[at].2))
    }
}

/// The larger magnitude; what is not a number is the largest.
fn larger(largest: f64, value: f64) -> f64 {
    if largest.is_nan() || largest >= value.abs() { largest } else { value.abs() }
}

/// An entry of the local problem: row, column, value.
type Entry = (u32, u32, f64);

/// What problems are solved in.
#[derive(Default)]
pub(crate) struct Wide {
    columns: Vec<u32>,
    entries: Vec<Entry>,
    /// Largest entry of every row.
    largest: Vec<f64>,
    /// Where the entries of each column stand.
    ends: Vec<u32>,
    sorted: Vec<(u32, f64)>,
    /// B Bᵀ, then its factor: lower triangle, row after row.
    normal: Vec<f64>,
    solution: Vec<f64>,
    order: Vec<u32>,
}

impl Wide {
    /// For the normal equations of a row with `k` entries.
    ///
    /// # Errors
    /// [`Error::Memory`] where they do not fit.
    pub fn make_room(&mut self, k: usize) -> Result<()> {
        self.normal.clear();
        let what = format_args!("the normal equations of {k} entries; lower 'max_row'");
        memory::reserve(&mut self.normal, packed(k, 0), what)
    }

    /// Row `me` of M, with entries in `columns`, into `row`; whether rows were dependent. `number` is
    /// [`NEW`] everywhere, before and after.
    ///
    /// # Errors
    /// The row of A, by its local number, that no row of M can be computed with, and why.
    pub fn fit(
        &mut self,
        reach: &Reach<'_>,
        lengths: &Lengths,
        columns: &[u32],
        me: u32,
        number: &mut [u32],
        row: &mut [f64],
    ) -> std::result::Result<bool, (u32, &'static str)> {
        self.gather(reach, lengths, columns, number);
        let target = number[me as usize];
        for c in self.columns.iter() {
            number[*c as usize] = NEW;
        }
        for (&j, &largest) in columns.iter().zip(&self.largest) {
            if !largest.is_finite() {
                return Err((j, NOT_FINITE));
            }
            if largest == 0.0 {
                return Err((j, ZERO));
            }
        }
        self.square(lengths, columns);
        self.solution.clear();
        self.solution.resize(columns.len(), 0.0);
        for &(a, c, value) in &self.entries {
            if c == target {
                self.solution[a as usize] = value / self.largest[a as usize];
            }
        }
        let rank = self.factorise(columns.len());
        self.solve(rank);
        for ((m, x), largest) in row.iter_mut().zip(&self.solution).zip(&self.largest) {
            *m = x / largest;
        }
        Ok(rank < columns.len())
    }

    /// Numbers the columns that count, and lists the entries in them.
    fn gather(&mut self, reach: &Reach<'_>, lengths: &Lengths, rows: &[u32], number: &mut [u32]) {
        let Wide { columns, entries, largest, .. } = self;
        columns.clear();
        entries.clear();
        largest.clear();
        largest.resize(rows.len(), 0.0);
        for (a, &j) in rows.iter().enumerate() {
            let mut enter = |c: u32| {
                if number[c as usize] == NEW {
                    number[c as usize] = columns.len() as u32;
                    columns.push(c);
                }
                number[c as usize]
            };
            enter(j);
            if reach.len(j) <= lengths.max_row {
                reach.visit(j, |c, value| {
                    entries.push((a as u32, enter(c), value));
                    largest[a] = larger(largest[a], value);
                });
            }
        }
        for (a, &j) in rows.iter().enumerate() {
            if let Some((most, _)) = lengths.of(j) {
                largest[a] = most;
                reach.visit_among(j, columns, |c, value| {
                    if number[c as usize] != NEW {
                        entries.push((a as u32, number[c as usize], value));
                    }
                });
            }
        }
    }

    /// B Bᵀ.
    fn square(&mut self, lengths: &Lengths, rows: &[u32]) {
        let Wide { columns, entries, largest, ends, sorted, normal, .. } = self;
        ends.clear();
        ends.resize(columns.len() + 1, 0);
        entries.iter().for_each(|entry| ends[entry.1 as usize + 1] += 1);
        for c in 0..columns.len() {
            ends[c + 1] += ends[c];
        }
        sorted.clear();
        sorted.resize(entries.len(), (0, 0.0));
        // Entries come in order of rows but for the long ones, which come last.
        for &(a, c, value) in entries.iter() {
            let at = &mut ends[c as usize];
            sorted[*at as usize] = (a, value / largest[a as usize]);
            *at += 1;
        }
        normal.clear();
        normal.resize(packed(rows.len(), 0), 0.0);
        let mut from = 0;
        for &end in &ends[..columns.len()] {
            let column = &sorted[from as usize..end as usize];
            for (k, &(a, x)) in column.iter().enumerate() {
                for &(b, y) in &column[..=k] {
                    normal[packed(a.max(b) as usize, a.min(b) as usize)] += x * y;
                }
            }
            from = end;
        }
        for (a, &j) in rows.iter().enumerate() {
            if let Some((_, square)) = lengths.of(j) {
                let diagonal = &mut normal[packed(a, a)];
                *diagonal = diagonal.max(square);
            }
        }
    }

    /// Cholesky factor of the normal equations scaled to a unit diagonal; how many rows are
    /// independent, in [`order`](Wide::order).
    fn factorise(&mut self, k: usize) -> usize {
        let Wide { normal, solution, order, largest, .. } = self;
        // The scaling joins that of the rows.
        let lengths: Vec<f64> = (0..k).map(|a| normal[packed(a, a)].sqrt()).collect();
        for a in 0..k {
            for b in 0..=a {
                normal[packed(a, b)] /= lengths[a] * lengths[b];
            }
            solution[a] /= lengths[a];
            largest[a] *= lengths[a];
        }
        order.clear();
        order.extend(0..k as u32);
        let at = |a: u32, b: u32| packed(a.max(b) as usize, a.min(b) as usize);
        let mut left = vec![1.0f64; k];
        for step in 0..k {
            // Of rows that are equally independent, the first in J.
            let mut best = step;
            for t in step + 1..k {
                let (x, y) = (left[order[t] as usize], left[order[best] as usize]);
                if x > y || (x == y && order[t] < order[best]) {
                    best = t;
                }
            }
            order.swap(step, best);
            let p = order[step];
            let pivot = left[p as usize];
            if pivot.is_nan() || pivot <= DEPENDENT * k as f64 {
                return step;
            }
            let root = pivot.sqrt();
            normal[at(p, p)] = root;
            for &q in &order[step + 1..] {
                let mut sum = normal[at(p, q)];
                for &r in &order[..step] {
                    sum -= normal[at(p, r)] * normal[at(q, r)];
                }
                let l = sum / root;
                normal[at(p, q)] = l;
                left[q as usize] -= l * l;
            }
        }
        k
    }

    /// The unknowns; those of dependent rows are zero.
    fn solve(&mut self, rank: usize) {
        let Wide { normal, solution, order, .. } = self;
        let at = |a: u32, b: u32| packed(a.max(b) as usize, a.min(b) as usize);
        let (kept, dependent) = order.split_at(rank);
        for &q in dependent {
            solution[q as usize] = 0.0;
        }
        for (step, &p) in kept.iter().enumerate() {
            let known = kept[..step].iter().map(|&r| normal[at(p, r)] * solution[r as usize]);
            solution[p as usize] = (solution[p as usize] - known.sum::<f64>()) / normal[at(p, p)];
        }
        for (step, &p) in kept.iter().enumerate().rev() {
            let known = kept[step + 1..].iter().map(|&q| normal[at(q, p)] * solution[q as usize]);
            solution[p as usize] = (solution[p as usize] - known.sum::<f64>()) / normal[at(p, p)];
        }
    }
}
