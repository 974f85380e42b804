//! Iteration counts by the relative residual.
use crate::support::run;
use precondor_sdk::core::solver::{Algorithm, Criterion};
use precondor_sdk::prelude::*;

const RELATIVE: (Criterion<'_>, f64) = (Criterion::RelativeResidual, 1e-5);

/// Richardson iterations with ω = 1 from zero with b = 1, until ‖b − A x‖ ≤ 1e-5 ‖b‖.
pub fn relative_iterations(a: &DistCsr, m: &dyn Preconditioner) -> usize {
    richardson(a, m, &vec![1.0; a.n_own()])
}

/// Richardson iterations with ω = 1 from zero, until ‖b − A x‖ ≤ 1e-5 ‖b‖.
pub fn richardson(a: &DistCsr, m: &dyn Preconditioner, b: &[f64]) -> usize {
    run(Algorithm::Richardson { damping: 1.0 }, a, m, b, RELATIVE).0
}

/// Iterations of conjugate gradients from zero, until ‖b − A x‖ ≤ 1e-5 ‖b‖.
pub fn cg(a: &DistCsr, m: &dyn Preconditioner, b: &[f64]) -> usize {
    run(Algorithm::Cg, a, m, b, RELATIVE).0
}
