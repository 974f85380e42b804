//! Eigenvalues and eigenvectors of a symmetric matrix: Householder's reflections to a tridiagonal one, and the
//! implicit QL iteration (`kernel/ql.rs`), whose rotations act on whole rows of the transposed eigenvectors.
//!
//! Cost: about 3 n³ multiplications for the vectors, 4 n³ more where the matrix is not tridiagonal.
//! Reference: J. Wilkinson, C. Reinsch, *Handbook for Automatic Computation*, vol. 2, Springer 1971, II/2–4.
use crate::kernel::ql;
use crate::{Error, Result};

/// Steps that one eigenvalue may take; three or so do.
const STEPS: usize = 100;

/// Eigenvalues of the tridiagonal matrix with this diagonal and these entries beside it, and the orthonormal
/// eigenvectors as rows.
///
/// # Errors
/// [`Error::Breakdown`] where the iteration does not end (entries that are not finite).
pub(super) fn tridiagonal(diagonal: Vec<f64>, beside: Vec<f64>) -> Result<(Vec<f64>, Vec<f64>)> {
    let n = diagonal.len();
    let mut rows = vec![0.0; n * n];
    (0..n).for_each(|i| rows[i * n + i] = 1.0);
    iterate(diagonal, beside, rows)
}

/// The same for a whole symmetric matrix of order `n`.
///
/// # Errors
/// As [`tridiagonal`].
pub(super) fn symmetric(mut a: Vec<f64>, n: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut rows = vec![0.0; n * n];
    (0..n).for_each(|i| rows[i * n + i] = 1.0);
    let mut beside = vec![0.0; n.saturating_sub(1)];
    for k in 0..n.saturating_sub(2) {
        // The reflection that leaves one entry below the diagonal of column k: I − v vᵀ, |v|² = 2.
        let mut v: Vec<f64> = (0..n).map(|i| if i > k { a[i * n + k] } else { 0.0 }).collect();
        let size = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        beside[k] = a[(k + 1) * n + k];
        if v[k + 2..].iter().all(|v| *v == 0.0) {
            continue;
        }
        beside[k] = -size.copysign(v[k + 1]);
        v[k + 1] -= beside[k];
        let scale = (2.0 / v.iter().map(|v| v * v).sum::<f64>()).sqrt();
        v.iter_mut().for_each(|v| *v *= scale);
        let mut p: Vec<f64> =
            a.chunks_exact(n).map(|row| row.iter().zip(&v).map(|(a, v)| a * v).sum()).collect();
        let half = 0.5 * p.iter().zip(&v).map(|(p, v)| p * v).sum::<f64>();
        p.iter_mut().zip(&v).for_each(|(p, v)| *p -= half * v);
        for (i, row) in a.chunks_exact_mut(n).enumerate() {
            for ((a, p_j), v_j) in row.iter_mut().zip(&p).zip(&v) {
                *a -= v[i] * p_j + p[i] * v_j;
            }
        }
        let mut sums = vec![0.0; n];
        for (row, v) in rows.chunks_exact(n).zip(&v) {
            sums.iter_mut().zip(row).for_each(|(s, r)| *s += v * r);
        }
        for (row, v) in rows.chunks_exact_mut(n).zip(&v) {
            row.iter_mut().zip(&sums).for_each(|(r, s)| *r -= v * s);
        }
    }
    if n > 1 {
        beside[n - 2] = a[(n - 1) * n + n - 2];
    }
    let diagonal = (0..n).map(|i| a[i * n + i]).collect();
    iterate(diagonal, beside, rows)
}

/// The QL iteration; rotations are applied to neighbouring rows.
fn iterate(mut d: Vec<f64>, mut e: Vec<f64>, mut rows: Vec<f64>) -> Result<(Vec<f64>, Vec<f64>)> {
    let n = d.len();
    e.push(0.0);
    let ended = ql::iterate(&mut d, &mut e, STEPS, |i, s, c| {
        let (low, high) = rows[i * n..(i + 2) * n].split_at_mut(n);
        for (low, high) in low.iter_mut().zip(high) {
            (*low, *high) = (c * *low - s * *high, s * *low + c * *high);
        }
    });
    if !ended {
        let why = "the eigenvalues of an axis of the grid cannot be found";
        return Err(Error::Breakdown(why.into()));
    }
    Ok((d, rows))
}
