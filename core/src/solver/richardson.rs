//! Richardson's iteration x ← x + ω M (b − A x), also known as the stationary iteration or
//! iterative refinement with M.
//!
//! Converges for every b if and only if all eigenvalues λ of MA satisfy |1 − ωλ| < 1; for real
//! positive λ the best ω is 2 / (λmin + λmax).
//!
//! Cost an iteration: one product with A, one application of M, one reduction. The residual is
//! computed afresh each time, never recurred, so the measure is the true one. The preconditioned norm
//! is that of the next correction: it costs one application more in all.
//! Memory: 2 n-vectors (r, z).
//!
//! Reference: Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, §4.2.1.
use super::Norm;
use super::run::{Go, Run, axpy};
use std::convert::Infallible;

pub(super) fn iterate(run: &mut Run, omega: f64, x: &mut [f64], r: &mut [f64]) -> Go<Infallible> {
    let mut z = vec![0.0; x.len()];
    run.apply(r, &mut z);
    loop {
        axpy(omega, &z, x);
        run.residual(x, r)?;
        let met = if run.norm() == Norm::Unpreconditioned {
            let [rr] = run.dots([(&*r, &*r)])?;
            run.know_true(rr);
            run.step(x, rr, &z)?
        } else {
            run.apply(r, &mut z);
            let [rr, zz] = run.dots([(&*r, &*r), (&z, &z)])?;
            run.know_true(rr);
            run.step(x, zz, &z)?
        };
        if met {
            // r is what a confirmation would compute: nothing is to be started anew.
            run.confirm(x, r, &mut [])?;
        }
        if run.norm() == Norm::Unpreconditioned {
            run.apply(r, &mut z);
        }
    }
}
