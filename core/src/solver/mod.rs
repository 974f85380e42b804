//! Iterative solvers, one file each, behind [`solve`].
//!
//! | file | for | vectors of length n | a product with A, M and reductions an iteration |
//! |---|---|---|---|
//! | `richardson.rs` | any A, M | 2 | 1, 1, 1 |
//! | `cg.rs` | A, M symmetric positive definite; M constant, or any in the flexible form | 4 | 1, 1, 3 |
//! | `minres.rs` | A symmetric, M symmetric positive definite | 7 | 1, 1, 3 |
//! | `gmres.rs` | any A; M constant on the right or on the left, or any in the flexible form | at most m + 4, flexible 2m + 3 | 1, 1, 2 |
//! | `bicgstab.rs` | any A, M constant | 6 | 2, 2, 3 |
//!
//! They measure the *unpreconditioned* residual, or the error where x* is known, so their counts
//! compare. Other norms ([`Norm`]) are for those who ask for them:
//!
//! | | unpreconditioned ‖r‖₂ | preconditioned ‖Mr‖₂ | natural √(rᵀMr) |
//! |---|---|---|---|
//! | Richardson | yes | yes | – |
//! | CG, flexible CG, MINRES | yes | yes | yes |
//! | GMRES with M on the right, flexible GMRES, BiCGStab | yes | – | – |
//! | GMRES with M on the left | – | yes | – |
//!
//! The tolerance is met where ‖r‖ ≤ max(tolerance · ‖b‖, absolute tolerance), as in PETSc. A
//! recurrence that says so is not believed: b − Ax is computed, and where it is more than [`TRUST`]
//! times the tolerance, the method starts again from it. Where that no longer helps, the outcome is a
//! breakdown that says so.
//!
//! Nor is a norm believed that sees some rows only: where the residual of a row, relative to the size
//! of the row ([`Report::scaled_residual`]), is neither within the tolerance nor within [`APART`] times
//! the relative residual, the method goes on. See `run/rows.rs`.
//!
//! A is anything with a product ([`Operator`]). Where it is known to be singular the methods never see
//! it: they work within its range (`singular.rs`).
//!
//! [`solve_with_fallback`] watches a solve and goes on by other means where the preconditioner
//! fails (`guard.rs`, `fallback.rs`).
//!
//! A, b and x are brought into the middle of the range of floating point by powers of two
//! (`run/units.rs`), which change no bit of any system that does not need it.
//!
//! On several ranks every decision rests on reductions that give all ranks the same bits. Two words
//! ride along in each of them: a rank's failed `apply`, and its watcher's wish to stop. So either
//! reaches all ranks without a message of its own.
mod algorithm;
mod assumed;
mod bicgstab;
mod cg;
mod fallback;
mod gmres;
mod guard;
mod minres;
mod report;
mod richardson;
mod run;
mod singular;
mod stop;

use crate::matrix::{NullSpaces, Operator, Space, Symmetry, sign_hint};
use crate::precond::Preconditioner;
use crate::{Error, Result};
use run::{Halt, Past, Run, Stage};

pub use algorithm::Algorithm;
pub use assumed::AssumedDefinite;
pub use fallback::{Fallback, Foreseen, Next, Replacement, foresee, solve_with_fallback};
pub use report::{Outcome, Outside, Report, Switch};
pub use run::{Residuals, residuals};
pub use stop::{Criterion, Norm, Step, Stop, Watcher};

/// A solve is [`Outcome::Converged`] where the true residual is at most this many times the
/// tolerance; the residual of a method's recurrence has met the tolerance itself.
pub const TRUST: f64 = 1.1;

/// Times the relative residual, or the tolerance, that the scaled residual may be apart from it.
pub const APART: f64 = 1e3;

/// `b ←` its part in the range of a matrix with these null spaces; says what lay outside, of which
/// nothing is known (zero) without a left null space. Collective.
///
/// # Errors
/// What the communicator reports.
pub fn project_rhs(null: &NullSpaces, space: &Space, b: &mut [f64]) -> Result<Outside> {
    singular::split(null, space, b)
}

/// Solves A x = b from the initial guess in `x`, preconditioned by `m`. Collective.
///
/// Vectors hold own entries. b = 0 gives x = 0 at once. `x` holds the last iterate whatever the
/// outcome.
///
/// A may be any [`Operator`]. Where it is known to be singular ([`Operator::null_spaces`]) the
/// least-squares solution with the smallest norm is found: b, residuals and iterates are projected,
/// `m` may be singular in the same way, and [`Report::outside`] tells what of b is out of reach.
///
/// # Errors
/// All ranks fail together:
/// - [`Error::Data`] for vectors of the wrong length, values of b, x0 or A that are not finite, and
///   solutions outside the range of floating point;
/// - [`Error::Parameter`] for a tolerance, damping or restart that makes no sense;
/// - [`Error::Unsupported`] where the method cannot work with this A or M: conjugate gradients and
///   MINRES with an A known to be unsymmetric, or an M that is not known to be positive definite (see
///   [`AssumedDefinite`]); anything but Richardson and the flexible methods with an M that is not
///   constant; a norm that the method does not have; no memory for the basis of GMRES;
/// - what `apply` reports on any rank ([`Error::Elsewhere`] on the others).
///
/// A panic in `apply` is [`Error::Panicked`] on one rank; on several ranks it ends the job.
pub fn solve(
    method: &Algorithm,
    a: &dyn Operator,
    m: &dyn Preconditioner,
    b: &[f64],
    x: &mut [f64],
    stop: &Stop,
    watch: &mut Watcher,
) -> Result<Report> {
    Ok(stage(method, a, m, b, x, stop, watch, Past::default())?.report)
}

/// [`solve`], or one stage of it.
#[allow(clippy::too_many_arguments, reason = "those of `solve`, and one more")]
fn stage(
    method: &Algorithm,
    a: &dyn Operator,
    m: &dyn Preconditioner,
    b: &[f64],
    x: &mut [f64],
    stop: &Stop,
    watch: &mut Watcher,
    past: Past,
) -> Result<Stage> {
    let checked = method.check(stop).and_then(|()| stop.check());
    let checked = checked.and_then(|()| stop.check_vectors(a.space(), b, x));
    a.space().comm().agree(checked)?;
    if let Some(null) = a.null_spaces() {
        let (mut done, outside) =
            singular::within(null, (a, m), b, x, stop, |a, m, b, x, stop| {
                stage(method, a, m, b, x, stop, watch, past)
            })?;
        done.report.outside = Some(outside);
        return Ok(done);
    }
    method.check_preconditioner(m).map_err(|e| match e {
        Error::Unsupported(why) => Error::Unsupported(why + sign_hint(a)),
        other => other,
    })?;
    if let Some(who) = method.symmetric()
        && let Symmetry::Unsymmetric(at) = a.symmetric()?
    {
        let why = format!("{who} needs a symmetric matrix; {at}; use gmres or bicgstab");
        return Err(Error::Unsupported(why));
    }
    let mut r = vec![0.0; x.len()];
    let mut run = Run::new(method, a, m, b, stop, watch, past)?;
    let ended = run.start(x, &mut r).and_then(|()| match *method {
        Algorithm::Richardson { damping } => richardson::iterate(&mut run, damping, x, &mut r),
        Algorithm::Cg => cg::iterate(&mut run, false, x, &mut r),
        Algorithm::FlexibleCg => cg::iterate(&mut run, true, x, &mut r),
        Algorithm::Minres => minres::iterate(&mut run, x, &mut r),
        Algorithm::Gmres { restart } => {
            gmres::iterate(&mut run, restart, gmres::Form::Right, x, &mut r)
        }
        Algorithm::LeftGmres { restart } => {
            gmres::iterate(&mut run, restart, gmres::Form::Left, x, &mut r)
        }
        Algorithm::FlexibleGmres { restart } => {
            gmres::iterate(&mut run, restart, gmres::Form::Flexible, x, &mut r)
        }
        Algorithm::Bicgstab => bicgstab::iterate(&mut run, x, &mut r),
    });
    match ended {
        Ok(never) => match never {},
        Err(Halt::Failed(e)) => Err(run.failed(e, x)),
        Err(Halt::Ended(outcome)) => run.report(outcome, x, &mut r),
    }
}
