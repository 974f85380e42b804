//! The matrix of the next level, Pᵀ A P, and P by columns.
//!
//! A P is stored, then Pᵀ (A P). Rows of P are laid out in slots of one length, padded with repeats of
//! weight zero, so that the inner loop has no branch that depends on the data; what a row has met so far
//! is told by a stamp beside its sum. Cost: two operations for each entry of A times the length of a row
//! of P, and as many again for the second product.
//!
//! References: F. Gustavson, *Two fast algorithms for sparse matrices*, ACM TOMS 4 (1978).
use crate::interpolation::Prolongation;
use crate::number::Number;
use crate::rows::Rows;
use crate::stripes::Stripes;
use precondor_sdk::core::kernel::chunks::{self, Pool};
use precondor_sdk::prelude::*;
use std::ops::Range;

/// R = Pᵀ by rows: what both transfers of a cycle use.
pub(crate) struct Restriction {
    /// n_coarse + 1 offsets.
    pub start: Vec<u32>,
    /// Fine rows.
    pub rows: Vec<u32>,
    pub values: Vec<f32>,
    /// Coarse rows that write to fine ones.
    pub stripes: Stripes,
}

impl Restriction {
    pub fn of(p: &Prolongation) -> Self {
        let (start, rows, values) = transposed(p.n_coarse, &p.start, &p.cols, &p.values);
        let places = |c: usize| match &rows[start[c] as usize..start[c + 1] as usize] {
            [first, .., last] => (*first as usize, *last as usize + 1),
            [only] => (*only as usize, *only as usize + 1),
            [] => (usize::MAX, 0),
        };
        let stripes = Stripes::cut(p.n_coarse, p.n_fine(), places);
        Restriction { start, rows, values, stripes }
    }
    pub fn n_coarse(&self) -> usize {
        self.start.len() - 1
    }
    /// P again, with rows in the order of their columns.
    pub fn prolongation(&self, n_fine: usize) -> Prolongation {
        let (start, cols, values) = transposed(n_fine, &self.start, &self.rows, &self.values);
        Prolongation { n_coarse: self.n_coarse(), start, cols, values }
    }
    #[inline(always)]
    pub fn row(&self, c: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let range = self.start[c] as usize..self.start[c + 1] as usize;
        self.rows[range.clone()].iter().map(|&i| i as usize).zip(self.values[range].iter().copied())
    }
    pub fn bytes(&self) -> usize {
        4 * (self.start.len() + 2 * self.rows.len())
    }
}

/// The transpose of a matrix with `n` columns.
fn transposed(
    n: usize,
    of_rows: &[u32],
    cols: &[u32],
    values: &[f32],
) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
    let mut start = vec![0u32; n + 2];
    for &c in cols {
        start[c as usize + 2] += 1;
    }
    for c in 2..n + 2 {
        start[c] += start[c - 1];
    }
    let (mut rows, mut transposed) = (vec![0; cols.len()], vec![0.0; cols.len()]);
    for (i, ends) in of_rows.windows(2).enumerate() {
        for k in ends[0] as usize..ends[1] as usize {
            let at = &mut start[cols[k] as usize + 1];
            (rows[*at as usize], transposed[*at as usize]) = (i as u32, values[k]);
            *at += 1;
        }
    }
    start.truncate(n + 1);
    (start, rows, transposed)
}

/// Pᵀ A P with entries of type `W`, scaled by `scale`. The same bits on any number of threads.
///
/// # Errors
/// [`Error::Interrupted`] where the host asks for it.
pub(crate) fn product<V: Number, W: Number>(
    host: &dyn Host,
    a: &Rows<'_, V>,
    p: &Prolongation,
    r: &Restriction,
    scale: f64,
) -> Result<Rows<'static, W>> {
    let first = match p.widest() {
        0..=2 => padded::<V, W, 2>(host, a, p, scale),
        3 => padded::<V, W, 3>(host, a, p, scale),
        4 => padded::<V, W, 4>(host, a, p, scale),
        5..=6 => padded::<V, W, 6>(host, a, p, scale),
        7..=8 => padded::<V, W, 8>(host, a, p, scale),
        9..=16 => padded::<V, W, 16>(host, a, p, scale),
        _ => plain(host, a, p, scale),
    };
    second(host, &first?, r)
}

/// A sum in the making, and the row that it was last met in.
#[derive(Clone, Copy)]
struct Sum<W> {
    value: W,
    met: u32,
}

const NEVER: u32 = u32::MAX;

/// What a thread needs for rows with columns of the next level: a sum for each, and which were met.
struct Work<W> {
    sums: Vec<Sum<W>>,
    touched: Vec<u32>,
}

impl<W: Number> Work<W> {
    /// A row may tell of `more` columns beyond those that there are.
    fn new(n: usize, more: usize) -> Self {
        let never = Sum { value: W::ZERO, met: NEVER };
        Work { sums: vec![never; n.max(1)], touched: vec![0; n + more + 1] }
    }
}

#[derive(Clone, Copy)]
struct Slot<const N: usize> {
    cols: [u32; N],
    values: [f32; N],
}

fn slots<const N: usize>(p: &Prolongation) -> Vec<Slot<N>> {
    let slot = |i: usize| {
        let range = p.range(i);
        let (cols, values) = (&p.cols[range.clone()], &p.values[range]);
        let mut slot = Slot { cols: [cols.first().copied().unwrap_or(0); N], values: [0.0; N] };
        slot.cols[..cols.len()].copy_from_slice(cols);
        slot.values[..cols.len()].copy_from_slice(values);
        slot
    };
    (0..p.n_fine()).map(slot).collect()
}

/// Some rows of A P, columns in the order in which they were met.
struct Stored<W> {
    start: Vec<usize>,
    entries: Vec<(u32, W)>,
}

/// All rows of A P, cut after every `grain`.
struct Product<W> {
    grain: usize,
    parts: Vec<Stored<W>>,
}

impl<W> Product<W> {
    #[inline(always)]
    fn row(&self, i: usize) -> &[(u32, W)] {
        let (part, k) = (&self.parts[i / self.grain], i % self.grain);
        &part.entries[part.start[k]..part.start[k + 1]]
    }
}

/// Parts that rows are cut into, at most, and their least length.
const PARTS: usize = 16;
const ROWS: usize = 4000;

/// A power of two, so that a row's part is found by a shift.
fn grain(n: usize) -> usize {
    n.div_ceil(PARTS).max(ROWS).next_power_of_two()
}

/// A P: `row` adds row i up in the sums and returns how many columns it met.
fn first<W: Number>(
    host: &dyn Host,
    (n, n_coarse): (usize, usize),
    more: usize,
    entries: impl Fn(Range<usize>) -> usize + Sync,
    row: impl Fn(usize, &mut Work<W>) -> usize + Sync,
) -> Result<Product<W>> {
    let (grain, pool) = (grain(n), Pool::default());
    let parts = chunks::collect(host, n, grain, |rows| {
        pool.with(
            || Work::new(n_coarse, more),
            |work| {
                let mut start = Vec::with_capacity(rows.len() + 1);
                let mut all = Vec::with_capacity(entries(rows.clone()));
                start.push(0);
                for i in rows {
                    let count = row(i, work);
                    let Work { sums, touched } = &mut *work;
                    all.extend(touched[..count].iter().map(|&c| {
                        let value = &mut sums[c as usize].value;
                        (c, std::mem::take(value))
                    }));
                    start.push(all.len());
                }
                Ok(Stored { start, entries: all })
            },
        )
    })?;
    Ok(Product { grain, parts })
}

fn padded<V: Number, W: Number, const N: usize>(
    host: &dyn Host,
    a: &Rows<'_, V>,
    p: &Prolongation,
    scale: f64,
) -> Result<Product<W>> {
    let slots = slots::<N>(p);
    let entries = |rows: Range<usize>| (a.start[rows.end] - a.start[rows.start]) as usize;
    first(host, (a.len(), p.n_coarse), N, entries, |i, Work { sums, touched }| {
        let (mut count, stamp) = (0, i as u32);
        for (j, v) in a.row(i) {
            let v = W::of(v.double() * scale);
            let slot = &slots[j as usize];
            for s in 0..N {
                let sum = &mut sums[slot.cols[s] as usize];
                touched[count] = slot.cols[s];
                count += usize::from(sum.met != stamp);
                sum.met = stamp;
                sum.value += v * W::of_single(slot.values[s]);
            }
        }
        count
    })
}

/// The same for rows of P of any length.
fn plain<V: Number, W: Number>(
    host: &dyn Host,
    a: &Rows<'_, V>,
    p: &Prolongation,
    scale: f64,
) -> Result<Product<W>> {
    first(
        host,
        (a.len(), p.n_coarse),
        0,
        |_| 0,
        |i, Work { sums, touched }| {
            let (mut count, stamp) = (0, i as u32);
            for (j, v) in a.row(i) {
                let v = W::of(v.double() * scale);
                for k in p.range(j as usize) {
                    let sum = &mut sums[p.cols[k] as usize];
                    touched[count] = p.cols[k];
                    count += usize::from(sum.met != stamp);
                    sum.met = stamp;
                    sum.value += v * W::of_single(p.values[k]);
                }
            }
            count
        },
    )
}

/// Some rows of a level's matrix.
#[derive(Default)]
struct Part<W> {
    /// Where rows end and where their diagonal entries stand, from the first row on.
    end: Vec<u32>,
    middle: Vec<u32>,
    diagonal: Vec<W>,
    cols: Vec<u32>,
    values: Vec<W>,
}

/// Pᵀ (A P).
fn second<W: Number>(
    host: &dyn Host,
    product: &Product<W>,
    r: &Restriction,
) -> Result<Rows<'static, W>> {
    let (n, pool) = (r.n_coarse(), Pool::default());
    let parts = chunks::collect(host, n, grain(n), |rows| {
        pool.with(|| Work::new(n, 0), |work| Ok(some_rows(product, r, rows, work)))
    })?;
    Ok(joined(n, parts))
}

fn some_rows<W: Number>(
    product: &Product<W>,
    r: &Restriction,
    rows: Range<usize>,
    Work { sums, touched }: &mut Work<W>,
) -> Part<W> {
    let mut part = Part::default();
    for c in rows {
        let stamp = c as u32;
        (touched[0], sums[c].met) = (stamp, stamp);
        let mut count = 1;
        for (i, weight) in r.row(c) {
            let weight = W::of_single(weight);
            for &(col, v) in product.row(i) {
                let sum = &mut sums[col as usize];
                touched[count] = col;
                count += usize::from(sum.met != stamp);
                sum.met = stamp;
                sum.value += weight * v;
            }
        }
        // What lies below the diagonal fills the row from the front, what lies above it from the back.
        let from = part.cols.len();
        part.cols.resize(from + count, stamp);
        part.values.resize(from + count, W::ZERO);
        let (of_cols, of_values) = (&mut part.cols[from..], &mut part.values[from..]);
        let (mut low, mut high) = (0, count);
        for &col in &touched[1..count] {
            let value = std::mem::take(&mut sums[col as usize].value);
            let below = col < stamp;
            high -= usize::from(!below);
            let at = if below { low } else { high };
            (of_cols[at], of_values[at]) = (col, value);
            low += usize::from(below);
        }
        let d = std::mem::take(&mut sums[c].value);
        (of_cols[low], of_values[low]) = (stamp, d);
        part.diagonal.push(d);
        part.middle.push((from + low) as u32);
        part.end.push(part.cols.len() as u32);
    }
    part
}

/// The parts one after the other; one alone as it is.
fn joined<W: Number>(n: usize, parts: Vec<Part<W>>) -> Rows<'static, W> {
    let entries: usize = parts.iter().map(|part| part.cols.len()).sum();
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap_or_default();
    all.cols.reserve_exact(entries - all.cols.len());
    all.values.reserve_exact(entries - all.values.len());
    for part in parts {
        let from = all.cols.len() as u32;
        all.end.extend(part.end.iter().map(|end| from + end));
        all.middle.extend(part.middle.iter().map(|middle| from + middle));
        all.diagonal.extend(part.diagonal);
        all.cols.extend(part.cols);
        all.values.extend(part.values);
    }
    let mut start = Vec::with_capacity(n + 1);
    start.push(0);
    start.append(&mut all.end);
    let Part { middle, diagonal, cols, values, .. } = all;
    Rows { start: start.into(), middle, cols: cols.into(), values: values.into(), diagonal }
}
