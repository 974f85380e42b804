//! Which couplings are strong: those that errors are smooth along.
//!
//! Only negative couplings aᵢⱼ < 0 can be, and in systems of several unknowns a node only those of one
//! unknown with itself. With mᵢ = maxₖ(−aᵢₖ):
//!
//! | recipe | strong | |
//! |---|---|---|
//! | aggregation | −aᵢⱼ ≥ θ √(mᵢ mⱼ) | a row left without any keeps its largest coupling |
//! | classical | −aᵢⱼ ≥ θ mᵢ | |
//!
//! A row with Σⱼ|aᵢⱼ| ≤ aᵢᵢ/4 (j ≠ i) has none: smoothing alone reduces its error to a quarter. So rows of
//! boundary conditions, large penalties and short time steps cost nothing on coarser levels.
//!
//! Entries are kept as aᵢⱼ/aᵢᵢ: no unit matters, and f32 is enough.
//!
//! Cost: two passes over A (aggregation), one (classical). References: K. Stüben, *A review of algebraic
//! multigrid*, J. Comput. Appl. Math. 128 (2001), §3.2 (classical); P. Vaněk, J. Mandel, M. Brezina,
//! *Algebraic multigrid by smoothed aggregation*, Computing 56 (1996), with the row's largest coupling in
//! the place of its diagonal entry.
use crate::number::Number;
use crate::rows::Rows;

/// Strong off-diagonal entries of each row.
pub(crate) struct Strong {
    /// n + 1 offsets.
    pub start: Vec<u32>,
    pub cols: Vec<u32>,
    /// aᵢⱼ/aᵢᵢ.
    pub values: Vec<f32>,
    /// Sum of the other couplings of the row over aᵢᵢ, within one unknown.
    pub weak: Vec<f32>,
}

impl Strong {
    #[inline(always)]
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.start[i] as usize..self.start[i + 1] as usize
    }
    #[inline(always)]
    pub fn row(&self, i: usize) -> &[u32] {
        &self.cols[self.range(i)]
    }
    #[inline(always)]
    pub fn entries(&self, i: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let range = self.range(i);
        self.cols[range.clone()].iter().copied().zip(self.values[range].iter().copied())
    }
    pub fn is_alone(&self, i: usize) -> bool {
        self.start[i] == self.start[i + 1]
    }
}

/// A row whose other entries add up to this part of its diagonal entry is left to the smoother.
const DOMINANT: f64 = 0.25;
/// A largest coupling below this part of the diagonal entry is none.
const NOTHING: f64 = 1e-6;

/// What one row has in all.
struct Sums {
    /// Sum of the couplings, within one unknown.
    all: f64,
    /// The largest −aᵢⱼ, within one unknown; 0 for a dominant row.
    largest: f64,
}

fn sums<V: Number>(a: &Rows<'_, V>, i: usize, component: Option<&[u8]>) -> Sums {
    let (mut all, mut absolute, mut largest) = (0.0, 0.0, 0.0f64);
    let d = a.diagonal[i].double();
    for (j, v) in a.row(i) {
        let v = v.double();
        absolute += v.abs();
        if component.is_none_or(|c| c[j as usize] == c[i]) {
            all += v;
            largest = largest.max(-v);
        }
    }
    let dominant = absolute - d <= DOMINANT * d;
    Sums { all: all - d, largest: if dominant { 0.0 } else { largest } }
}

/// The strong couplings of smoothed aggregation; `component` is the unknown of its node that each row is.
pub(crate) fn aggregation<V: Number>(
    a: &Rows<'_, V>,
    theta: f64,
    component: Option<&[u8]>,
) -> Strong {
    let n = a.len();
    let mut rows = Vec::with_capacity(n);
    let mut inverse = Vec::with_capacity(n);
    for i in 0..n {
        let sums = sums(a, i, component);
        inverse.push(if sums.largest > 0.0 { 1.0 / sums.largest } else { 0.0 });
        rows.push(sums);
    }
    // What is as strong as it can be is so in spite of rounding.
    let limit = theta * theta * (1.0 - 1e-14);
    let is_strong =
        |i: usize, j: usize, v: f64| (v < 0.0) & ((v * inverse[i]) * (v * inverse[j]) >= limit);
    collect(a, component, is_strong, &rows, true)
}

/// The strong couplings of classical coarsening.
pub(crate) fn classical<V: Number>(
    a: &Rows<'_, V>,
    theta: f64,
    component: Option<&[u8]>,
) -> Strong {
    let rows: Vec<Sums> = (0..a.len()).map(|i| sums(a, i, component)).collect();
    collect(a, component, |i, _, v| -v >= theta * rows[i].largest && v < 0.0, &rows, false)
}

/// Gathers the strong entries of all rows whose largest coupling is not zero.
fn collect<V: Number>(
    a: &Rows<'_, V>,
    component: Option<&[u8]>,
    is_strong: impl Fn(usize, usize, f64) -> bool,
    rows: &[Sums],
    keep_largest: bool,
) -> Strong {
    let n = a.len();
    let (mut start, mut weak) = (Vec::with_capacity(n + 1), Vec::with_capacity(n));
    let (mut cols, mut values) = (vec![0u32; a.nnz()], vec![0.0f32; a.nnz()]);
    let mut end = 0;
    start.push(0);
    for (i, sums) in rows.iter().enumerate() {
        let inverse = 1.0 / a.diagonal[i].double();
        let (from, mut of_strong) = (end, 0.0);
        if sums.largest > 0.0 {
            // Written in any case and kept where it is strong: no branch has to be foreseen. There is room: the
            // diagonal entry is never kept.
            for (j, v) in a.row(i) {
                let v = v.double();
                let within = component.is_none_or(|c| c[j as usize] == c[i]);
                let strong = within & (j as usize != i) & is_strong(i, j as usize, v);
                (cols[end], values[end]) = (j, (v * inverse) as f32);
                end += usize::from(strong);
                of_strong += if strong { v } else { 0.0 };
            }
            let alone = keep_largest && end == from;
            if alone && sums.largest * inverse > NOTHING {
                let within = |j: u32| component.is_none_or(|c| c[j as usize] == c[i]);
                let largest = a.row(i).find(|&(j, v)| v.double() == -sums.largest && within(j));
                if let Some((j, v)) = largest {
                    (cols[end], values[end]) = (j, (v.double() * inverse) as f32);
                    end += 1;
                    of_strong = v.double();
                }
            }
        }
        weak.push(((sums.all - of_strong) * inverse) as f32);
        start.push(end as u32);
    }
    cols.truncate(end);
    values.truncate(end);
    Strong { start, cols, values, weak }
}
