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

/// R = Pᵀ by rows: what both transfers of a cycle use.
pub(crate) struct Restriction {
    /// n_coarse + 1 offsets.
    pub start: Vec<u32>,
    /// Fine rows.
    pub rows: Vec<u32>,
    pub values: Vec<f32>,
}

impl Restriction {
    pub fn of(p: &Prolongation) -> Self {
        let (start, rows, values) = transposed(p.n_coarse, &p.start, &p.cols, &p.values);
        Restriction { start, rows, values }
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

/// Pᵀ A P with entries of type `W`, scaled by `scale`.
pub(crate) fn product<V: Number, W: Number>(
    a: &Rows<'_, V>,
    p: &Prolongation,
    r: &Restriction,
    scale: f64,
) -> Rows<'static, W> {
    match p.widest() {
        0..=2 => padded::<V, W, 2>(a, p, r, scale),
        3 => padded::<V, W, 3>(a, p, r, scale),
        4 => padded::<V, W, 4>(a, p, r, scale),
        5..=6 => padded::<V, W, 6>(a, p, r, scale),
        7..=8 => padded::<V, W, 8>(a, p, r, scale),
        9..=16 => padded::<V, W, 16>(a, p, r, scale),
        _ => plain(a, p, r, scale),
    }
}

/// A sum in the making, and the row that it was last met in.
#[derive(Clone, Copy)]
struct Sum<W> {
    value: W,
    met: u32,
}

const NEVER: u32 = u32::MAX;

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

/// A P by rows, columns in the order in which they were met.
struct Stored<W> {
    start: Vec<usize>,
    entries: Vec<(u32, W)>,
}

fn padded<V: Number, W: Number, const N: usize>(
    a: &Rows<'_, V>,
    p: &Prolongation,
    r: &Restriction,
    scale: f64,
) -> Rows<'static, W> {
    let slots = slots::<N>(p);
    let mut sums = vec![Sum { value: W::ZERO, met: NEVER }; p.n_coarse.max(1)];
    let mut touched = vec![0u32; p.n_coarse + N + 1];
    let mut product = Stored { start: Vec::with_capacity(a.len() + 1), entries: Vec::new() };
    product.entries.reserve(a.nnz());
    product.start.push(0);
    for i in 0..a.len() {
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
        product.entries.extend(touched[..count].iter().map(|&c| {
            let value = &mut sums[c as usize].value;
            (c, std::mem::take(value))
        }));
        product.start.push(product.entries.len());
    }
    second(&product, r, sums, touched)
}

/// The same for rows of P of any length.
fn plain<V: Number, W: Number>(
    a: &Rows<'_, V>,
    p: &Prolongation,
    r: &Restriction,
    scale: f64,
) -> Rows<'static, W> {
    let mut sums = vec![Sum { value: W::ZERO, met: NEVER }; p.n_coarse.max(1)];
    let mut touched = vec![0u32; p.n_coarse + 1];
    let mut product = Stored { start: Vec::with_capacity(a.len() + 1), entries: Vec::new() };
    product.start.push(0);
    for i in 0..a.len() {
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
        product.entries.extend(touched[..count].iter().map(|&c| {
            let value = &mut sums[c as usize].value;
            (c, std::mem::take(value))
        }));
        product.start.push(product.entries.len());
    }
    second(&product, r, sums, touched)
}

/// Pᵀ (A P).
fn second<W: Number>(
    product: &Stored<W>,
    r: &Restriction,
    mut sums: Vec<Sum<W>>,
    mut touched: Vec<u32>,
) -> Rows<'static, W> {
    sums.iter_mut().for_each(|sum| sum.met = NEVER);
    let n = r.n_coarse();
    let (mut start, mut middle) = (Vec::with_capacity(n + 1), Vec::with_capacity(n));
    let (mut diagonal, mut cols, mut values) = (Vec::with_capacity(n), Vec::new(), Vec::new());
    start.push(0);
    for c in 0..n {
        let stamp = c as u32;
        (touched[0], sums[c].met) = (stamp, stamp);
        let mut count = 1;
        for (i, weight) in r.row(c) {
            let weight = W::of_single(weight);
            for &(col, v) in &product.entries[product.start[i]..product.start[i + 1]] {
                let sum = &mut sums[col as usize];
                touched[count] = col;
                count += usize::from(sum.met != stamp);
                sum.met = stamp;
                sum.value += weight * v;
            }
        }
        // What lies below the diagonal fills the row from the front, what lies above it from the back.
        let from = cols.len();
        cols.resize(from + count, stamp);
        values.resize(from + count, W::ZERO);
        let (of_cols, of_values) = (&mut cols[from..], &mut values[from..]);
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
        diagonal.push(d);
        middle.push((from + low) as u32);
        start.push(cols.len() as u32);
    }
    Rows { start: start.into(), middle, cols: cols.into(), values: values.into(), diagonal }
}
