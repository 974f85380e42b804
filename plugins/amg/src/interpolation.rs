//! How a correction on the next level is carried to this one: P, with a few entries a row.
//!
//! **Classical** (extended+i). A coarse unknown is itself. A fine i is written through its equation, weak
//! couplings lumped into the diagonal; a strong fine neighbour j is replaced by the average of its strong
//! coarse neighbours and of i, weighted with its couplings:
//! pᵢc = −(aᵢc + Σⱼ aᵢⱼ aⱼc/bⱼ) / (aᵢᵢ + weak + Σⱼ aᵢⱼ aⱼᵢ/bⱼ), bⱼ = Σ_{c ∈ C} aⱼc + aⱼᵢ, and where bⱼ = 0
//! aᵢⱼ is lumped as well.
//!
//! **Smoothed aggregation**. P = (I − ω D⁻¹ Aˢ) T, with T the indicator of the aggregates, Aˢ the strong part
//! of A with the rest lumped into its diagonal D, and ω = (4/3)/(1 + Σⱼ|aˢᵢⱼ|/dᵢ): four thirds over a bound
//! of the largest eigenvalue, row by row.
//!
//! In both the largest entries of a row are kept, none below a part of the largest, and the row rescaled
//! to its old sum, so that what is constant stays interpolated as it was.
//!
//! Cost: some ten operations a strong coupling and its neighbours' (classical), two a strong coupling
//! (aggregation). References: H. De Sterck, R. Falgout, J. Nolting, U. Yang, *Distance-two interpolation for
//! parallel algebraic multigrid*, Numer. Linear Algebra Appl. 15 (2008) (extended+i); P. Vaněk, J. Mandel,
//! M. Brezina, Computing 56 (1996).
use crate::aggregates::ALONE;
use crate::number::Number;
use crate::rows::Rows;
use crate::strength::Strong;

/// P by rows.
pub(crate) struct Prolongation {
    pub n_coarse: usize,
    /// n + 1 offsets.
    pub start: Vec<u32>,
    pub cols: Vec<u32>,
    pub values: Vec<f32>,
}

impl Prolongation {
    pub fn new(n: usize, n_coarse: usize, entries: usize) -> Self {
        let (cols, values) = (Vec::with_capacity(entries), Vec::with_capacity(entries));
        let mut start = Vec::with_capacity(n + 1);
        start.push(0);
        Prolongation { n_coarse, start, cols, values }
    }
    pub fn end_row(&mut self) {
        self.start.push(self.cols.len() as u32);
    }
    pub fn put(&mut self, col: u32, value: f32) {
        self.cols.push(col);
        self.values.push(value);
    }
    pub fn n_fine(&self) -> usize {
        self.start.len() - 1
    }
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.start[i] as usize..self.start[i + 1] as usize
    }
    /// Entries of the longest row.
    pub fn widest(&self) -> usize {
        self.start.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0)
    }
}

/// How rows of P are shortened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truncation {
    /// Entries a row, at most.
    pub entries: usize,
    /// Entries below this part of the row's largest are dropped.
    pub drop: f32,
}

/// A row of P in the making: values by column, in the order in which columns were met.
struct Row {
    place: Vec<u32>,
    cols: Vec<u32>,
    values: Vec<f32>,
    kept: Vec<(u32, f32)>,
}

const NOWHERE: u32 = u32::MAX;

impl Row {
    fn new(n_coarse: usize) -> Self {
        Row { place: vec![NOWHERE; n_coarse], cols: vec![], values: vec![], kept: vec![] }
    }
    #[inline(always)]
    fn add(&mut self, col: u32, value: f32) {
        match self.place[col as usize] {
            NOWHERE => {
                self.place[col as usize] = self.cols.len() as u32;
                self.cols.push(col);
                self.values.push(value);
            }
            at => self.values[at as usize] += value,
        }
    }
    fn clear(&mut self) {
        self.cols.iter().for_each(|&c| self.place[c as usize] = NOWHERE);
        self.cols.clear();
        self.values.clear();
    }
    /// Appends `factor` times the row, shortened, to `p`.
    fn write(&mut self, factor: f32, by: Truncation, p: &mut Prolongation) {
        let sum: f32 = self.values.iter().sum();
        let largest = self.values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let limit = by.drop * largest;
        self.kept.clear();
        for (&c, &v) in self.cols.iter().zip(&self.values) {
            let size = v.abs();
            if size < limit {
                continue;
            }
            if self.kept.len() < by.entries {
                self.kept.push((c, v));
            } else if self.kept.last().is_some_and(|last| size > last.1.abs()) {
                if let Some(last) = self.kept.last_mut() {
                    *last = (c, v);
                }
            } else {
                continue;
            }
            let mut at = self.kept.len() - 1;
            while at > 0 && self.kept[at - 1].1.abs() < size {
                self.kept.swap(at - 1, at);
                at -= 1;
            }
        }
        let left: f32 = self.kept.iter().map(|e| e.1).sum();
        let factor = if left == 0.0 { factor } else { factor * (sum / left) };
        self.kept.iter().for_each(|&(c, v)| p.put(c, factor * v));
    }
}

/// Extended+i interpolation to the unknowns of `coarse`; `symmetric` says that A is.
pub(crate) fn extended<V: Number>(
    a: &Rows<'_, V>,
    strong: &Strong,
    coarse: &[bool],
    symmetric: bool,
    by: Truncation,
) -> Prolongation {
    let n = a.len();
    let mut n_coarse = 0;
    let number = coarse.iter().map(|&c| {
        n_coarse += u32::from(c);
        if c { n_coarse - 1 } else { NOWHERE }
    });
    let number: Vec<u32> = number.collect();
    // Strong coarse neighbours of the fine unknowns, and their sum.
    let (mut start, mut near) = (Vec::with_capacity(n + 1), Vec::new());
    let mut sums = Vec::with_capacity(n);
    start.push(0u32);
    for (i, &is_coarse) in coarse.iter().enumerate() {
        let mut sum = 0.0;
        if !is_coarse {
            for (j, v) in strong.entries(i) {
                if number[j as usize] != NOWHERE {
                    near.push((number[j as usize], v));
                    sum += v;
                }
            }
        }
        sums.push(sum);
        start.push(near.len() as u32);
    }
    let near_of = |i: usize| &near[start[i] as usize..start[i + 1] as usize];
    let fine = n - n_coarse as usize;
    let mut p = Prolongation::new(n, n_coarse as usize, by.entries * fine + n_coarse as usize);
    let mut row = Row::new(n_coarse as usize);
    for i in 0..n {
        if coarse[i] {
            p.put(number[i], 1.0);
            p.end_row();
            continue;
        }
        let mut diagonal = 1.0 + strong.weak[i];
        near_of(i).iter().for_each(|&(c, v)| row.add(c, v));
        for (j, of_j) in strong.entries(i) {
            let j = j as usize;
            if coarse[j] {
                continue;
            }
            let back = if symmetric {
                // aⱼᵢ/aⱼⱼ out of aᵢⱼ/aᵢᵢ.
                of_j * (a.diagonal[i] / a.diagonal[j]).double() as f32
            } else {
                (a.get(j, i as u32) / a.diagonal[j]).double().min(0.0) as f32
            };
            let sum = sums[j] + back;
            if sum == 0.0 {
                diagonal += of_j;
                continue;
            }
            let factor = of_j / sum;
            diagonal += factor * back;
            near_of(j).iter().for_each(|&(c, v)| row.add(c, factor * v));
        }
        if !row.cols.is_empty() && diagonal > 0.0 {
            row.write(-1.0 / diagonal, by, &mut p);
        }
        row.clear();
        p.end_row();
    }
    p
}

/// The prolongation of smoothed aggregation.
pub(crate) fn smoothed(
    strong: &Strong,
    aggregates: &[u32],
    count: usize,
    by: Truncation,
) -> Prolongation {
    let n = aggregates.len();
    let mut p = Prolongation::new(n, count, 2 * n);
    let mut row = Row::new(count);
    for i in 0..n {
        if aggregates[i] == ALONE || strong.is_alone(i) {
            // Alone with other values than those that aggregates were made with: not smoothed.
            if aggregates[i] != ALONE {
                p.put(aggregates[i], 1.0);
            }
            p.end_row();
            continue;
        }
        let lumped = 1.0 + strong.weak[i];
        let d = if lumped < 0.1 { 1.0 } else { lumped };
        let sum: f32 = strong.entries(i).map(|(_, v)| -v).sum();
        let omega = (4.0 / 3.0) / (1.0 + sum / d);
        row.add(aggregates[i], 1.0 - omega);
        for (j, v) in strong.entries(i) {
            if aggregates[j as usize] != ALONE {
                row.add(aggregates[j as usize], -omega / d * v);
            }
        }
        row.write(1.0, by, &mut p);
        row.clear();
        p.end_row();
    }
    p
}
