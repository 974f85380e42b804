//! The preconditioned method of conjugate gradients, for symmetric positive definite A and M.
//!
//! Minimises the A-norm of the error over the Krylov space of MA; after k iterations it is at most
//! 2 ((√κ − 1) / (√κ + 1))ᵏ times the first one, with κ = λmax/λmin of MA.
//!
//! Cost an iteration: one product with A, one application of M, three reductions (rᵀz, pᵀAp, and
//! ‖r‖, which is looked at before M is applied once more). Memory: 4 n-vectors (r, z, p, q).
//!
//! An indefinite A shows as pᵀAp ≤ 0, an indefinite M as rᵀz ≤ 0; both end in a breakdown that says
//! so.
//!
//! Reference: M. R. Hestenes, E. Stiefel, *Methods of Conjugate Gradients for Solving Linear
//! Systems*, J. Res. NBS 49 (1952); Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed.,
//! SIAM 2003, Algorithm 9.1.
use super::run::{Go, Run, axpy};
use std::convert::Infallible;

pub(super) fn iterate(run: &mut Run, x: &mut [f64], r: &mut [f64]) -> Go<Infallible> {
    let (mut z, mut p, mut q) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![0.0; x.len()]);
    // ρ of the previous iteration; none where p starts anew from z.
    let mut previous = None;
    loop {
        run.apply(r, &mut z);
        let [rho] = run.dots([(&*r, &*z)])?;
        if !rho.is_finite() {
            return Err(run.blame(&z)?);
        }
        if rho <= 0.0 {
            return Err(run.not_positive(rho));
        }
        let beta = previous.map_or(0.0, |previous| rho / previous);
        for (p, z) in p.iter_mut().zip(&z) {
            *p = z + beta * *p;
        }
        run.product(&p, &mut q)?;
        let [pq] = run.dots([(&p, &q)])?;
        if pq <= 0.0 {
            return Err(run.indefinite(pq));
        }
        let alpha = rho / pq;
        run.coefficients(alpha, beta);
        axpy(alpha, &p, x);
        axpy(-alpha, &q, r);
        let [rr] = run.dots([(&*r, &*r)])?;
        previous = Some(rho);
        let met = run.step(x, rr, &z)?;
        if met {
            run.confirm(x, r)?;
            previous = None;
        } else if rr == 0.0 {
            run.renew(x, r)?;
            previous = None;
        }
    }
}
