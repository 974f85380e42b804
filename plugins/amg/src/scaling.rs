//! Rows and columns in other units: A is looked at as B A B, with b = diag(B) a positive vector that A takes to nearly zero.
//!
//! Interpolation keeps constants. Where the unknowns are badly scaled, A takes something else to nearly zero, which
//! a few symmetric Gauss–Seidel sweeps on A x = 0 from diag(A)^−½ find; B A B takes constants there. It is left
//! alone where the row sums of A are small against its entries on most rows, because constants are then right
//! already, and sweeps would only add boundary layers to them.
//!
//! Iterations of conjugate gradients with a random scaling 1 … 100 of rows and columns, Poisson on 65025 unknowns: as
//! without it (`-p precondor-plugin-amg --test amg scaled`). Cost: eight products with A.
//!
//! Reference: M. Brezina, R. Falgout, S. MacLachlan, T. Manteuffel, S. McCormick, J. Ruge, *Adaptive smoothed
//! aggregation (αSA)*, SIAM J. Sci. Comput. 25 (2004), of which this is the first stage.
use crate::number::Number;
use crate::rows::Rows;

/// Symmetric sweeps.
const SWEEPS: usize = 4;
/// A row sum below this part of the sum of magnitudes is small.
const SMALL: f64 = 0.1;
/// A vector whose deciles, the first and the last, are no further apart is as good as constants.
const EVEN: f64 = 3.0;
/// A row whose other entries, in units in which the diagonal is one, add up to so little is left alone.
const DOMINANT: f64 = 0.25;

/// b, where another scaling is worth it; `component` is the unknown of its node that each row is.
pub(crate) fn cure(a: &Rows<'_, f64>, component: Option<&[u8]>) -> Option<Vec<f64>> {
    let start: Vec<f64> = a.diagonal.iter().map(|d| 1.0 / d.sqrt()).collect();
    let beside = |i: usize| {
        a.row(i).filter(move |&(j, _)| {
            j as usize != i && component.is_none_or(|c| c[j as usize] == c[i])
        })
    };
    let moved: Vec<bool> = (0..a.len())
        .map(|i| {
            let others: f64 = beside(i).map(|(j, v)| (v * start[j as usize]).abs()).sum();
            others * start[i] > DOMINANT
        })
        .collect();
    let (mut of, mut large) = (0usize, 0usize);
    for i in (0..a.len()).filter(|&i| moved[i]) {
        let d = a.diagonal[i];
        let (sum, size) = beside(i).fold((d, d), |(s, t), (_, v)| (s + v, t + v.abs()));
        of += 1;
        large += usize::from(sum.abs() > SMALL * size);
    }
    if 2 * large <= of {
        return None;
    }
    let mut b = start;
    let mut relax = |i: usize| {
        if moved[i] {
            let sum: f64 = beside(i).map(|(j, v)| v * b[j as usize]).sum();
            b[i] = -sum / a.diagonal[i];
        }
    };
    for _ in 0..SWEEPS {
        (0..a.len()).for_each(&mut relax);
        (0..a.len()).rev().for_each(&mut relax);
    }
    // What changes its sign is no scaling.
    let sound = b.iter().all(|b| b.is_normal() && *b > 0.0);
    let mut of_moved: Vec<f64> = b.iter().zip(&moved).filter(|e| *e.1).map(|e| *e.0).collect();
    let mut quantile = |part: usize| {
        let at = part * of_moved.len() / 10;
        *of_moved.select_nth_unstable_by(at, f64::total_cmp).1
    };
    (sound && quantile(9) > EVEN * quantile(1)).then_some(b)
}

/// B A B.
pub(crate) fn scaled(a: &Rows<'_, f64>, b: &[f64]) -> Rows<'static, f64> {
    let mut values = Vec::with_capacity(a.nnz());
    for (i, &scale) in b.iter().enumerate() {
        values.extend(a.row(i).map(|(j, v)| v.double() * scale * b[j as usize]));
    }
    Rows {
        start: a.start.to_vec().into(),
        middle: a.middle.clone(),
        cols: a.cols.to_vec().into(),
        values: values.into(),
        diagonal: a.diagonal.iter().zip(b).map(|(d, b)| d * b * b).collect(),
    }
}
