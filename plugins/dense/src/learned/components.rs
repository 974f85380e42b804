//! Principal components of many vectors: the directions in which they differ most.
//!
//! Randomised subspace iteration, `Y ← T orth(Tᵀ orth(T …))` from random combinations, by matrix
//! products alone, so that 1600 vectors of length 25 425 take seconds. The result is an
//! orthonormal basis of (nearly) the dominant subspace; its directions come in no order.
//!
//! - **Cost**: `4 m q k` flops a pass for `m` vectors of length `q` and `k` components, two passes and a half.
//! - **Reference**: N. Halko, P.-G. Martinsson, J. Tropp, *Finding structure with randomness*, SIAM Review
//!   53 (2011), algorithm 4.4; orthonormalisation by shifted Cholesky QR: T. Fukaya et al., *Shifted
//!   Cholesky QR for computing the QR factorization of ill-conditioned matrices*, SIAM J. Sci. Comput. 42
//!   (2020).

use linfa_linalg::cholesky::CholeskyInplace;
use linfa_linalg::triangular::{SolveTriangular, UPLO};
use ndarray::Array2;
use precondor_sdk::prelude::*;

use precondor_neural::net::{Operand, multiply};
use precondor_neural::random::Random;

/// Passes over the vectors after the first.
const PASSES: usize = 2;

/// Rounds of orthonormalisation, at most, and the deviation from orthonormality where they end.
const ROUNDS: usize = 10;
const ORTHONORMAL: f64 = 1e-4;

/// An orthonormal basis, row after row, of `k` directions in which the vectors (rows of length `q`) are
/// longest; `k` is at most their number and their length.
///
/// # Errors
/// [`Error::Data`] where the vectors are not finite.
pub fn principal(vectors: &[f32], q: usize, k: usize, random: &mut Random) -> Result<Vec<f32>> {
    if let Some(place) = vectors.iter().position(|v| !v.is_finite()) {
        return Err(Error::Data(format!(
            "vector {} has {} at place {}: it has no components",
            place / q,
            vectors[place],
            place % q
        )));
    }
    let m = vectors.len() / q;
    let t = Operand::new(vectors, m, q);
    let mut weights = vec![0.0; k * m];
    random.signs(1.0, &mut weights);
    let mut basis = vec![0.0; k * q];
    for pass in 0..=PASSES {
        multiply(1.0, Operand::new(&weights, k, m), t, 0.0, &mut basis);
        orthonormalise(&mut basis, q)?;
        if pass < PASSES {
            multiply(1.0, Operand::new(&basis, k, q), t.transposed(), 0.0, &mut weights);
            orthonormalise(&mut weights, m)?;
        }
    }
    Ok(basis)
}

/// Makes the rows orthonormal, keeping what they span: `Y ← L⁻¹ Y` with `L Lᵀ = Y Yᵀ + shift`, until they are.
fn orthonormalise(y: &mut [f32], q: usize) -> Result<()> {
    let k = y.len() / q;
    let mut product = vec![0.0; k * k];
    for _ in 0..ROUNDS {
        let rows = Operand::new(y, k, q);
        multiply(1.0, rows, rows.transposed(), 0.0, &mut product);
        let mut gram = Array2::from_shape_fn((k, k), |(i, j)| {
            0.5 * (f64::from(product[i * k + j]) + f64::from(product[j * k + i]))
        });
        let off = |((i, j), &g): ((usize, usize), &f64)| (g - f64::from(u8::from(i == j))).abs();
        if gram.indexed_iter().map(off).fold(0.0, f64::max) < ORTHONORMAL {
            break;
        }
        // Above the rounding of the products, so that the factorisation exists.
        let shift = 1e-6 * gram.diag().fold(0.0, |max: f64, &d| max.max(d));
        gram.diag_mut().mapv_inplace(|d| d + shift + f64::MIN_POSITIVE);
        let failed = |e: linfa_linalg::LinalgError| {
            Error::Data(format!("the principal components of the inverses were not found: {e}"))
        };
        let factor = gram.cholesky_into().map_err(failed)?;
        let inverse = factor.solve_triangular(&Array2::eye(k), UPLO::Lower).map_err(failed)?;
        let inverse: Vec<f32> = inverse.iter().map(|&v| v as f32).collect();
        let old = y.to_vec();
        multiply(1.0, Operand::new(&inverse, k, k), Operand::new(&old, k, q), 0.0, y);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `m` vectors of length `q`: random combinations of `rank` random directions, the first far longer.
    fn vectors(m: usize, q: usize, rank: usize) -> (Vec<f32>, Vec<f32>) {
        let mut random = Random::new(7, 0);
        let mut noise = |n: usize| (0..n).map(|_| random.unit() as f32 - 0.5).collect::<Vec<_>>();
        let (directions, mut weights) = (noise(rank * q), noise(m * rank));
        weights.iter_mut().step_by(rank).for_each(|w| *w *= 1000.0);
        let mut vectors = vec![0.0; m * q];
        let weights = Operand::new(&weights, m, rank);
        multiply(1.0, weights, Operand::new(&directions, rank, q), 0.0, &mut vectors);
        (vectors, directions)
    }

    /// Largest difference between the vectors and their projections on the basis.
    fn missed(vectors: &[f32], basis: &[f32], q: usize) -> f32 {
        let (m, k) = (vectors.len() / q, basis.len() / q);
        let (mut parts, mut back) = (vec![0.0; m * k], vectors.to_vec());
        let basis = Operand::new(basis, k, q);
        multiply(1.0, Operand::new(vectors, m, q), basis.transposed(), 0.0, &mut parts);
        multiply(-1.0, Operand::new(&parts, m, k), basis, 1.0, &mut back);
        back.iter().fold(0.0, |max, v| max.max(v.abs()))
    }

    #[test]
    fn as_many_components_as_directions_span_them() {
        let (vectors, directions) = vectors(60, 40, 6);
        let basis = principal(&vectors, 40, 6, &mut Random::new(1, 0)).unwrap();
        assert!(missed(&directions, &basis, 40) < 1e-3);
        assert!(missed(&vectors, &basis, 40) < 1e-2);
    }

    #[test]
    fn the_basis_is_orthonormal_even_where_directions_are_fewer() {
        let (vectors, directions) = vectors(60, 40, 3);
        let basis = principal(&vectors, 40, 8, &mut Random::new(1, 0)).unwrap();
        let mut gram = vec![0.0; 64];
        let rows = Operand::new(&basis, 8, 40);
        multiply(1.0, rows, rows.transposed(), 0.0, &mut gram);
        for (k, g) in gram.iter().enumerate() {
            assert!((g - f32::from(u8::from(k / 8 == k % 8))).abs() < 1e-3, "{k}: {g}");
        }
        assert!(missed(&directions, &basis, 40) < 1e-3);
    }

    #[test]
    fn vectors_that_are_not_finite_are_refused() {
        let mut bad = vec![1.0; 80];
        bad[3] = f32::NAN;
        assert!(principal(&bad, 8, 2, &mut Random::new(1, 0)).is_err());
    }
}
