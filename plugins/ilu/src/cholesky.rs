//! IC(0): the values of L and D in A ≈ (I + L) D (I + L)ᵀ on the pattern of A.
use crate::factors::{Factors, ZERO};
use precondor_sdk::core::kernel::triangular::{Shape, Triangle};
use precondor_sdk::prelude::*;

/// Factors with the strictly lower pattern of `a`, without values; U is still missing.
pub fn pattern(a: CsrView<'_>) -> Result<Factors> {
    let n = a.n_rows();
    let nnz = a.nnz().saturating_sub(n).div_ceil(2);
    let mut lower = Triangle::with_capacity(Shape::Lower, n, nnz);
    for i in 0..n {
        lower.push_pattern(strictly_lower(a, i));
        lower.end_row()?;
    }
    let upper = Triangle::with_capacity(Shape::Upper, 0, 0);
    Ok(Factors { lower, upper, inverse: vec![0.0; n] })
}

/// Whether `a` has the pattern that `factors` were made for.
pub fn fits(factors: &Factors, a: CsrView<'_>) -> bool {
    factors.inverse.len() == a.n_rows()
        && (0..a.n_rows()).all(|i| factors.lower.row(i).0 == strictly_lower(a, i))
}

/// L and D of A + `alpha`·diag(A), and U = Lᵀ. Row i of L D solves a triangular system with the
/// rows of L above it, restricted to the pattern.
///
/// Returns the first row whose pivot is not positive, if any; then the factors are unusable.
pub fn factorise(
    factors: &mut Factors,
    a: CsrView<'_>,
    diagonal: &[f64],
    alpha: f64,
) -> Option<usize> {
    let Factors { lower, upper, inverse } = factors;
    // Row i of L D; zero wherever L has no entry.
    let mut work = vec![0.0; a.n_rows()];
    for (i, &d) in diagonal.iter().enumerate() {
        for (&j, &value) in strictly_lower(a, i).iter().zip(a.row_values(i)) {
            work[j as usize] = value;
        }
        let shifted = (1.0 + alpha) * d;
        let mut pivot = shifted;
        for t in 0..lower.row(i).0.len() {
            let k = lower.row(i).0[t] as usize;
            let wk = work[k] - lower.row_dot_among(k, &work, &lower.row(i).0[..t]);
            let l = wk * inverse[k];
            work[k] = wk;
            lower.row_mut(i).1[t] = l;
            pivot -= wk * l;
        }
        for &j in lower.row(i).0 {
            work[j as usize] = 0.0;
        }
        if pivot <= ZERO * shifted || !pivot.recip().is_finite() {
            return Some(i);
        }
        inverse[i] = pivot.recip();
    }
    *upper = lower.transposed();
    None
}

fn strictly_lower(a: CsrView<'_>, i: usize) -> &[u32] {
    let row = a.row_cols(i);
    &row[..row.partition_point(|&j| (j as usize) < i)]
}
