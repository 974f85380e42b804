//! Chebyshev smoothing of a symmetric positive definite A, safe by construction.
//!
//! S is k steps of the Chebyshev iteration for D₁⁻¹A from zero, with D₁ = diag(Σⱼ|aᵢⱼ|), on the
//! interval [1/ρ, 1]: I − S A = e(D₁⁻¹A) with e(λ) = Tₖ((θ − λ)/δ)/Tₖ(θ/δ), θ = (1 + 1/ρ)/2,
//! δ = (1 − 1/ρ)/2, and e is the polynomial of degree k with e(0) = 1 that is smallest on the interval.
//!
//! **0 < S < 2A⁻¹**, so that smoothing with S keeps a symmetric cycle positive definite: by Gershgorin
//! all eigenvalues of D₁⁻¹A lie in (0, 1]. Within [1/ρ, 1] |Tₖ| ≤ 1 < Tₖ(θ/δ); left of it Tₖ falls
//! from Tₖ(θ/δ) to 1. So −1 < e < 1 on (0, 1], and S = (I − e(D₁⁻¹A)) A⁻¹ is symmetric with
//! 0 < S < 2A⁻¹. No eigenvalue is estimated, and a row that is far from diagonally dominant does not
//! damp the others, as one bound for all of D⁻¹A would.
//!
//! Cost: setup one pass over A; apply k − 1 products with A and 2 n-vectors. The same S on any number
//! of ranks.
//!
//! Reference: Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, §12.3
//! (recurrence); M. Adams, M. Brezina, J. Hu, R. Tuminaro, *Parallel multigrid smoothing: polynomial
//! versus Gauss–Seidel*, J. Comput. Phys. 188 (2003); A. Baker, R. Falgout, T. Kolev, U. Yang,
//! *Multigrid smoothers for ultraparallel computing*, SIAM J. Sci. Comput. 33 (2011) (D₁).
use crate::matrix::DistCsr;
use crate::{Error, Result};

/// The smoother of one matrix.
pub struct Chebyshev {
    /// 1 / Σⱼ|aᵢⱼ|.
    scale: Vec<f64>,
    /// Weights of the scaled residual and of the last step in each step.
    weights: Vec<[f64; 2]>,
    residual: Vec<f64>,
    step: Vec<f64>,
}

impl Chebyshev {
    /// `degree` steps (at least 1) on [1/`ratio`, 1], `ratio` > 1, for the matrix `a`.
    ///
    /// # Errors
    /// [`Error::Breakdown`] naming the first row without entries other than zero.
    pub fn of(a: &DistCsr, degree: u32, ratio: f64) -> Result<Self> {
        // In order of columns: the same bits on any number of ranks.
        let sums = (0..a.n_own()).map(|i| a.global_entries(i).map(|e| e.1.abs()).sum());
        Self::new(sums, degree, ratio).map_err(|(i, sum)| {
            Error::breakdown(a.global_row(i), format_args!("Σ|a(i,j)| is {sum}; no smoothing"))
        })
    }

    /// The same, given Σⱼ|aᵢⱼ| of every row.
    ///
    /// # Errors
    /// The first row where that is not positive and finite, with the sum.
    pub fn new(
        sums: impl Iterator<Item = f64>,
        degree: u32,
        ratio: f64,
    ) -> std::result::Result<Self, (usize, f64)> {
        let mut scale = Vec::new();
        for (i, sum) in sums.enumerate() {
            if !(sum > 0.0 && (1.0 / sum).is_normal()) {
                return Err((i, sum));
            }
            scale.push(1.0 / sum);
        }
        let weights = Self::weights(degree, ratio);
        let length = if degree > 1 { scale.len() } else { 0 };
        let (residual, step) = (vec![0.0; length], vec![0.0; length]);
        Ok(Chebyshev { scale, weights, residual, step })
    }

    /// The weights of the residual, divided by Σⱼ|aᵢⱼ|, and of the last step in each of the steps, whose sum is z.
    pub fn weights(degree: u32, ratio: f64) -> Vec<[f64; 2]> {
        let (theta, delta) = ((1.0 + 1.0 / ratio) / 2.0, (1.0 - 1.0 / ratio) / 2.0);
        let mut weights = vec![[1.0 / theta, 0.0]];
        let mut rho = delta / theta;
        for _ in 1..degree {
            let next = 1.0 / (2.0 * theta / delta - rho);
            weights.push([2.0 * next / delta, next * rho]);
            rho = next;
        }
        weights
    }

    /// `z = S r`, given `residual(z, out)` for `out = r − A z`. Does not allocate.
    ///
    /// # Errors
    /// What `residual` reports.
    pub fn apply(
        &mut self,
        mut residual: impl FnMut(&[f64], &mut [f64]) -> Result<()>,
        r: &[f64],
        z: &mut [f64],
    ) -> Result<()> {
        let Chebyshev { scale, weights, residual: rest, step } = self;
        let ([[first, _], more @ ..], n) = (weights.as_slice(), z.len()) else { return Ok(()) };
        for ((z, r), s) in z.iter_mut().zip(r).zip(&*scale) {
            *z = first * s * r;
        }
        if !more.is_empty() {
            step[..n].copy_from_slice(z);
        }
        for [of_residual, of_step] in more {
            residual(z, rest)?;
            for (((z, step), rest), s) in z.iter_mut().zip(&mut *step).zip(&*rest).zip(&*scale) {
                *step = of_residual * s * rest + of_step * *step;
                *z += *step;
            }
        }
        Ok(())
    }

    /// Numbers kept.
    pub fn stored_entries(&self) -> usize {
        self.scale.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        8 * (self.scale.len() + self.residual.len() + self.step.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Comm;
    use crate::problem::{Poisson, Problem};

    /// T_k by its recurrence.
    fn polynomial(k: u32, x: f64) -> f64 {
        (0..k).fold((1.0, x), |(t, next), _| (next, 2.0 * x * next - t)).0
    }

    #[test]
    fn on_a_diagonal_matrix_the_error_is_the_polynomial() {
        for (degree, ratio) in [(1, 4.0), (2, 4.0), (2, 1.5), (3, 10.0), (5, 30.0)] {
            for lambda in [1e-3, 0.1, 0.25, 0.5, 0.9, 1.0] {
                // Rows of sum 1 with "diagonal" λ: what is not on the diagonal, the residual leaves out.
                let mut s = Chebyshev::new(std::iter::once(1.0), degree, ratio).expect("positive");
                let residual = |z: &[f64], out: &mut [f64]| {
                    out[0] = 1.0 - lambda * z[0];
                    Ok(())
                };
                let mut z = [f64::NAN];
                s.apply(residual, &[1.0], &mut z).expect("no data error");
                let (theta, delta) = ((1.0 + 1.0 / ratio) / 2.0, (1.0 - 1.0 / ratio) / 2.0);
                let expected = polynomial(degree, (theta - lambda) / delta)
                    / polynomial(degree, theta / delta);
                let error = 1.0 - lambda * z[0];
                assert!((error - expected).abs() < 1e-13, "{degree} {ratio} {lambda}: {error}");
                assert!(error.abs() < 1.0);
            }
        }
    }

    #[test]
    fn smoothing_never_lengthens_an_error() {
        // ‖e‖ in the norm of A falls for any e: 0 < S < 2A⁻¹, also for bad triangles.
        let problem = Poisson { shift: 0.45, ..Poisson::at_level(4) };
        let (system, _) = Problem::Poisson(problem).generate(Comm::solo()).expect("a problem");
        let a = system.a();
        let n = a.n_own();
        let mut s = Chebyshev::of(a, 2, 5.0).expect("positive rows");
        let (mut r, mut z, mut az) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for k in 0..40 {
            let e: Vec<f64> = (0..n).map(|i| ((i * (k + 1) + k * k) as f64).sin()).collect();
            a.spmv(&e, &mut r).expect("one rank");
            let before: f64 = e.iter().zip(&r).map(|(e, r)| e * r).sum();
            let residual = |z: &[f64], out: &mut [f64]| {
                a.spmv(z, out)?;
                out.iter_mut().zip(&r).for_each(|(o, r)| *o = r - *o);
                Ok(())
            };
            s.apply(residual, &r, &mut z).expect("one rank");
            z.iter_mut().zip(&e).for_each(|(z, e)| *z = e - *z);
            a.spmv(&z, &mut az).expect("one rank");
            let after: f64 = z.iter().zip(&az).map(|(z, az)| z * az).sum();
            assert!(after < before, "{after} {before}");
        }
        assert_eq!((s.stored_entries(), s.bytes()), (n, 24 * n));
    }

    #[test]
    fn rows_of_zeros_are_refused() {
        assert_eq!(Chebyshev::new([1.0, 0.0].into_iter(), 2, 4.0).err(), Some((1, 0.0)));
        assert!(Chebyshev::new([1.0, f64::NAN].into_iter(), 2, 4.0).is_err());
    }
}
