//! MINRES: minimal residuals for symmetric A, definite or not, with symmetric positive definite M.
//!
//! Minimises ‖b − A x‖ in the norm of M, √(rᵀMr), over x0 + K with K the Krylov space of MA, by the
//! Lanczos recurrence
//!   βₖ₊₁ vₖ₊₁ = A zₖ − δₖ vₖ − βₖ vₖ₋₁,  zₖ = M vₖ,  δₖ = zₖᵀA zₖ,  βₖ₊₁ such that vₖ₊₁ᵀzₖ₊₁ = 1
//! and rotations (c, s) that make its tridiagonal matrix triangular. Since that norm falls in every
//! step, no other one need do so: the 2-norm may rise on the way. It is that of
//!   rₖ = s² rₖ₋₁ + c φₖ vₖ₊₁,  φₖ = −s φₖ₋₁ = ±√(rₖᵀM rₖ),
//! and M rₖ the same with zₖ₊₁.
//! In exact arithmetic it ends after as many steps as MA has eigenvalues; with eigenvalues in
//! [−a, −b] ∪ [c, d] of equal lengths 2k steps reduce it by 2 ((√(ad) − √(bc)) / (√(ad) + √(bc)))ᵏ.
//!
//! For a definite A conjugate gradients are the better choice: three vectors less.
//!
//! Cost an iteration: one product with A, one application of M, three reductions (δ, β, and ‖r‖ or
//! ‖Mr‖; two where the natural norm is measured, which is φ). Memory: 7 n-vectors (r, v twice, z, q, w
//! twice).
//!
//! An indefinite M shows as vᵀMv ≤ 0, a singular A that b does not go with as a triangular matrix
//! with a zero on its diagonal.
//!
//! Reference: C. C. Paige, M. A. Saunders, *Solution of Sparse Indefinite Systems of Linear
//! Equations*, SIAM J. Numer. Anal. 12 (1975); H. Elman, D. Silvester, A. Wathen, *Finite Elements
//! and Fast Iterative Solvers*, 2nd ed., Oxford 2014, Algorithm 4.1.
use super::Norm;
use super::run::{Go, Resume, Run, axpy, broke_down};
use std::convert::Infallible;

/// A diagonal entry of the triangular matrix below this, relative to the tridiagonal one, is zero.
const TINY: f64 = 1e-14;

pub(super) fn iterate(run: &mut Run, x: &mut [f64], r: &mut [f64]) -> Go<Infallible> {
    let zeros = || vec![0.0; x.len()];
    let (mut v, mut v_old, mut z, mut q) = (zeros(), zeros(), zeros(), zeros());
    let (mut w, mut w_old) = (zeros(), zeros());
    loop {
        // (Re)start from r.
        v_old.fill(0.0);
        w.fill(0.0);
        w_old.fill(0.0);
        v.copy_from_slice(r);
        run.apply(&v, &mut z);
        let [square] = run.dots([(&v, &z)])?;
        if !square.is_finite() {
            return Err(run.blame(&z)?);
        }
        if square <= 0.0 {
            return Err(run.not_positive(square));
        }
        if run.norm() == Norm::Preconditioned {
            r.copy_from_slice(&z);
        }
        let mut phi = square.sqrt();
        scale(1.0 / phi, [&mut v, &mut z]);
        let (mut beta, mut largest) = (0.0, 0.0_f64);
        // Rotations of the last step and of the one before it.
        let (mut c, mut s, mut c_old, mut s_old) = (1.0, 0.0, 1.0, 0.0);
        loop {
            run.product(&z, &mut q)?;
            let [delta] = run.dots([(&z, &q)])?;
            if !delta.is_finite() {
                return Err(run.blame(&z)?);
            }
            // The next v, not yet of length 1, takes the place of the one before this.
            for ((old, q), v) in v_old.iter_mut().zip(&q).zip(&v) {
                *old = q - delta * v - beta * *old;
            }
            std::mem::swap(&mut v, &mut v_old);
            run.apply(&v, &mut q);
            let [square] = run.dots([(&v, &q)])?;
            if !square.is_finite() {
                return Err(run.blame(&q)?);
            }
            if square < 0.0 {
                return Err(run.not_positive(square));
            }
            let beta_new = square.sqrt();
            // Column (β, δ, β₊) of the tridiagonal matrix under the last two rotations and a new one.
            let (far, near) = (s_old * beta, s * delta + c_old * c * beta);
            let diagonal = c * delta - c_old * s * beta;
            let pivot = diagonal.hypot(beta_new);
            largest = largest.max(beta.hypot(delta)).max(beta_new);
            if pivot <= TINY * largest {
                return Err(broke_down(format!(
                    "A is singular on the Krylov space at iteration {}",
                    run.iteration()
                )));
            }
            (c_old, s_old) = (c, s);
            (c, s) = (diagonal / pivot, beta_new / pivot);
            for ((old, z), w) in w_old.iter_mut().zip(&z).zip(&w) {
                *old = (z - far * *old - near * w) / pivot;
            }
            std::mem::swap(&mut w, &mut w_old);
            axpy(c * phi, &w, x);
            phi *= -s;
            std::mem::swap(&mut z, &mut q);
            beta = beta_new;
            if beta > 0.0 {
                scale(1.0 / beta, [&mut v, &mut z]);
            }
            let square = if run.norm() == Norm::Natural {
                phi * phi
            } else {
                let along = if run.norm() == Norm::Preconditioned { &z } else { &v };
                for (r, along) in r.iter_mut().zip(along) {
                    *r = s * s * *r + c * phi * along;
                }
                let [rr] = run.dots([(&*r, &*r)])?;
                rr
            };
            if run.step(x, square, &z)? {
                if run.confirm(x, r, &mut q)? == Resume::Anew {
                    break;
                }
            } else if square == 0.0 {
                run.renew(x, r)?;
                break;
            }
        }
    }
}

fn scale(by: f64, vectors: [&mut [f64]; 2]) {
    vectors.into_iter().flatten().for_each(|v| *v *= by);
}
