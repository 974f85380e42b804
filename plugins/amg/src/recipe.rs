//! Which recipe: by what the matrix shows.
//!
//! Aggregation is cheaper to set up and to apply nearly everywhere. Where the coefficient changes from element
//! to element by orders of magnitude its aggregates are too coarse, and classical coarsening takes a third of the
//! iterations (e^(2N) with N normal, 199809 unknowns: 17 instead of 49). That shows in the diagonal: the
//! median of |log aᵢᵢ/aⱼⱼ| over couplings is 0.8 there and at most 0.41 on the twelve other families of
//! `benches/families.rs`.
use crate::coarsening::Scheme;
use crate::rows::Rows;

/// The median above which the coefficient is noise.
const NOISE: f64 = 0.6;
/// Rows that are looked at, at most.
const SAMPLE: usize = 20_000;

/// The scheme for a symmetric matrix.
pub(crate) fn of(a: &Rows<'_, f64>) -> Scheme {
    if noise(a) > NOISE { Scheme::Classical } else { Scheme::Aggregation }
}

/// The median of |log aᵢᵢ/aⱼⱼ| over the couplings of some rows; 0 where there are none.
fn noise(a: &Rows<'_, f64>) -> f64 {
    let step = a.len().div_ceil(SAMPLE).max(1);
    let mut ratios: Vec<f64> = (0..a.len())
        .step_by(step)
        .flat_map(|i| {
            let d = a.diagonal[i];
            let others = a.row(i).filter(move |&(j, v)| j as usize != i && v != 0.0);
            others.map(move |(j, _)| (d / a.diagonal[j as usize]).ln().abs())
        })
        .collect();
    let middle = ratios.len() / 2;
    if ratios.is_empty() { 0.0 } else { *ratios.select_nth_unstable_by(middle, f64::total_cmp).1 }
}
