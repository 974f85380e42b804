//! Iterative solvers, one file each, behind [`solve`].
//!
//! | file | for | vectors of length n | a product with A, M and reductions an iteration |
//! |---|---|---|---|
//! | `richardson.rs` | any A, M | 2 | 1, 1, 1 |
//! | `cg.rs` | A, M symmetric positive definite | 4 | 1, 1, 3 |
//! | `minres.rs` | A symmetric, M symmetric positive definite | 7 | 1, 1, 3 |
//! | `gmres.rs` | any A; M constant, or any in the flexible form | m + 4, flexible 2m + 3 | 1, 1, 2 |
//! | `bicgstab.rs` | any A, M constant | 6 | 2, 2, 3 |
//!
//! All of them measure the *unpreconditioned* residual, or the error where x* is known, so their
//! counts compare. A recurrence that says "converged" is not believed: b − Ax is computed, and where
//! it is more than [`TRUST`] times the tolerance, the method starts again from it. Where that no
//! longer helps, the outcome is a breakdown that says so.
//!
//! [`solve_with_fallback`] watches a solve and goes on by other means where the preconditioner
//! fails (`guard.rs`, `fallback.rs`).
//!
//! On several ranks every decision rests on reductions that give all ranks the same bits. Two words
//! ride along in each of them: a rank's failed `apply`, and its watcher's wish to stop. So either
//! reaches all ranks without a message of its own.
mod bicgstab;
mod cg;
mod fallback;
mod gmres;
mod guard;
mod minres;
mod richardson;
mod run;
mod singular;

use crate::matrix::{NullSpaces, Operator, Space, Symmetry};
use crate::precond::Preconditioner;
use crate::{Error, Result};
use run::{Halt, Past, Run, Stage};
use std::ops::ControlFlow;

pub use fallback::{Fallback, Foreseen, Next, Replacement, foresee, solve_with_fallback};

/// A solve is [`Outcome::Converged`] where the true residual is at most this many times the
/// tolerance; the residual of a method's recurrence has met the tolerance itself.
pub const TRUST: f64 = 1.1;

/// How a solve ended. Not converging is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The stopping criterion holds.
    Converged,
    /// It does not hold after the allowed number of iterations.
    IterationLimit,
    /// The stopping measure grew beyond the divergence limit, or is not finite.
    Diverged,
    /// The method cannot go on; the text says why.
    Breakdown(String),
    /// The watcher asked to stop.
    Interrupted,
}

/// What is measured to decide when to stop.
#[derive(Clone, Copy, Debug)]
pub enum Criterion<'a> {
    /// ‖b − Ax‖₂ / ‖b‖₂, unpreconditioned.
    RelativeResidual,
    /// ‖x − x*‖₂ for the given x* (own entries).
    AbsoluteError(&'a [f64]),
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Stop<'a> {
    /// What is measured.
    pub criterion: Criterion<'a>,
    /// Stop when the measure is at most this.
    pub tolerance: f64,
    /// Iterations allowed.
    pub max_iterations: usize,
    /// Give up when the measure exceeds this many times its initial value; may be infinite.
    pub divergence: f64,
}

/// A step of a solve, as its watcher sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Iterations done.
    pub iteration: usize,
    /// The stopping measure.
    pub measure: f64,
}

/// Who looks on while a solve goes; may ask to stop. Called on all ranks, for the initial guess
/// (iteration 0) and after each iteration.
///
/// On one rank the wish to stop is granted at once; on several it travels with the next reduction,
/// so that one more iteration may be done, and one rank's wish stops all.
pub type Watcher<'w> = dyn FnMut(&Step) -> ControlFlow<()> + 'w;

/// How a solve went.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Iterations done.
    pub iterations: usize,
    /// The stopping measure before the first and after every iteration.
    pub history: Vec<f64>,
    /// ‖b − Ax‖₂ / ‖b‖₂ of the returned x, recomputed at the end.
    pub true_relative_residual: f64,
    /// Where a watched solve went on by other means; see [`solve_with_fallback`].
    pub switches: Vec<Switch>,
    /// What of b lies outside of the range of A, where A is known to be singular.
    pub outside: Option<Outside>,
}

/// The part of a right-hand side that no x can reach: that in the left null space.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Outside {
    /// Its norm.
    pub norm: f64,
    /// Its norm relative to that of the whole right-hand side.
    pub relative: f64,
}

/// `b ←` its part in the range of a matrix with these null spaces; says what lay outside, of which
/// nothing is known (zero) without a left null space. Collective.
///
/// # Errors
/// What the communicator reports.
pub fn project_rhs(null: &NullSpaces, space: &Space, b: &mut [f64]) -> Result<Outside> {
    singular::split(null, space, b)
}

/// A solve noticed that its preconditioner fails, and went on by other means.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Switch {
    /// Iterations done before.
    pub iteration: usize,
    /// What was noticed.
    pub reason: String,
    /// What the solve went on with.
    pub to: String,
}

/// A solver and its own parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// x ← x + ω M (b − A x).
    Richardson {
        /// ω.
        damping: f64,
    },
    /// Conjugate gradients, for symmetric positive definite A and M.
    Cg,
    /// Minimal residuals, for symmetric A, definite or not, and symmetric positive definite M.
    Minres,
    /// Generalised minimal residuals, right-preconditioned, restarted.
    Gmres {
        /// Iterations between restarts.
        restart: usize,
    },
    /// GMRES for preconditioners that change from application to application.
    FlexibleGmres {
        /// Iterations between restarts.
        restart: usize,
    },
    /// Stabilised bi-conjugate gradients.
    Bicgstab,
}

impl Report {
    /// What a user should try where the solve ended at the iteration limit and the history shows
    /// why.
    pub fn hint(&self, method: &Method) -> Option<String> {
        let &(Method::Gmres { restart } | Method::FlexibleGmres { restart }) = method else {
            return None;
        };
        let &[.., last] = self.history.as_slice() else { return None };
        let before = *self.history.get(self.history.len().checked_sub(restart + 1)?)?;
        let stagnates = self.outcome == Outcome::IterationLimit && last > STAGNANT * before;
        stagnates.then(|| {
            format!(
                "gmres stagnates: the last {restart} iterations, one restart to the next, took the \
                 measure from {before:.1e} to {last:.1e}; raise 'restart', or take a better \
                 preconditioner"
            )
        })
    }
}

/// A measure that falls by less than this between two restarts stagnates.
const STAGNANT: f64 = 0.9;

impl Method {
    /// What a user types.
    pub fn name(&self) -> &'static str {
        match self {
            Method::Richardson { .. } => "richardson",
            Method::Cg => "cg",
            Method::Minres => "minres",
            Method::Gmres { .. } => "gmres",
            Method::FlexibleGmres { .. } => "flexible-gmres",
            Method::Bicgstab => "bicgstab",
        }
    }

    /// What errors call a method that needs a symmetric A and a symmetric positive definite M.
    fn symmetric(&self) -> Option<&'static str> {
        match self {
            Method::Cg => Some("the method of conjugate gradients"),
            Method::Minres => Some("minres"),
            _ => None,
        }
    }
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
/// - [`Error::Data`] for vectors of the wrong length, values of b, x0 or A that are not finite;
/// - [`Error::Parameter`] for a tolerance, damping or restart that makes no sense;
/// - [`Error::Unsupported`] where the method cannot work with this A or M: conjugate gradients and
///   MINRES with an A known to be unsymmetric, or an M that is not known to be positive definite;
///   anything but Richardson and flexible GMRES with an M that is not constant;
/// - what `apply` reports on any rank ([`Error::Elsewhere`] on the others).
///
/// A panic in `apply` is [`Error::Panicked`] on one rank; on several ranks it ends the job.
pub fn solve(
    method: &Method,
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
    method: &Method,
    a: &dyn Operator,
    m: &dyn Preconditioner,
    b: &[f64],
    x: &mut [f64],
    stop: &Stop,
    watch: &mut Watcher,
    past: Past,
) -> Result<Stage> {
    let checked =
        check_parameters(method, stop).and_then(|()| check_vectors(a.space(), b, x, stop));
    a.space().comm().agree(checked)?;
    if let Some(null) = a.null_spaces() {
        let (mut done, outside) =
            singular::within(null, (a, m), b, x, stop, |a, m, b, x, stop| {
                stage(method, a, m, b, x, stop, watch, past)
            })?;
        done.report.outside = Some(outside);
        return Ok(done);
    }
    check_preconditioner(method, m)?;
    if let Some(who) = method.symmetric()
        && let Symmetry::Unsymmetric(at) = a.symmetric()?
    {
        let why = format!("{who} needs a symmetric matrix; {at}; use gmres or bicgstab");
        return Err(Error::Unsupported(why));
    }
    let mut r = vec![0.0; x.len()];
    let mut run = Run::new(a, m, b, stop, watch, past)?;
    let ended = run.start(x, &mut r).and_then(|()| match *method {
        Method::Richardson { damping } => richardson::iterate(&mut run, damping, x, &mut r),
        Method::Cg => cg::iterate(&mut run, x, &mut r),
        Method::Minres => minres::iterate(&mut run, x, &mut r),
        Method::Gmres { restart } => gmres::iterate(&mut run, restart, false, x, &mut r),
        Method::FlexibleGmres { restart } => gmres::iterate(&mut run, restart, true, x, &mut r),
        Method::Bicgstab => bicgstab::iterate(&mut run, x, &mut r),
    });
    match ended {
        Ok(never) => match never {},
        Err(Halt::Failed(e)) => Err(run.fault().unwrap_or(e)),
        Err(Halt::Ended(outcome)) => run.report(outcome, x, &mut r),
    }
}

fn check_parameters(method: &Method, stop: &Stop) -> Result<()> {
    let fail = |text: String| Err(Error::Parameter(text));
    if !(stop.tolerance >= 0.0 && stop.tolerance.is_finite()) {
        return fail(format!("tolerance {} must be a number from 0", stop.tolerance));
    }
    if stop.divergence.is_nan() || stop.divergence < 1.0 {
        return fail(format!("divergence limit {} must be at least 1", stop.divergence));
    }
    match *method {
        Method::Richardson { damping } if damping == 0.0 || !damping.is_finite() => {
            fail(format!("damping {damping} must be a finite number other than 0"))
        }
        Method::Gmres { restart: 0 } | Method::FlexibleGmres { restart: 0 } => {
            fail("restart must be at least 1".into())
        }
        _ => Ok(()),
    }
}

fn check_vectors(space: &Space, b: &[f64], x: &[f64], stop: &Stop) -> Result<()> {
    let target = match stop.criterion {
        Criterion::RelativeResidual => None,
        Criterion::AbsoluteError(target) => Some(("the known solution x*", target)),
    };
    for (name, v) in
        [("the right-hand side b", b), ("the initial guess x0", x)].into_iter().chain(target)
    {
        if v.len() != space.n_own() {
            return Err(Error::Data(format!(
                "{name} has {} entries for {} rows",
                v.len(),
                space.n_own()
            )));
        }
        if let Some(i) = v.iter().position(|v| !v.is_finite()) {
            return Err(Error::Data(format!(
                "{name} is {} in global row {}",
                v[i],
                space.start() + i as u64
            )));
        }
    }
    Ok(())
}

fn check_preconditioner(method: &Method, m: &dyn Preconditioner) -> Result<()> {
    let is = m.properties();
    let needs_constant =
        !matches!(method, Method::Richardson { .. } | Method::FlexibleGmres { .. });
    if needs_constant && !is.constant {
        return Err(Error::Unsupported(format!(
            "{} needs a preconditioner that is the same in every iteration, and this one is not; \
             use flexible-gmres",
            method.name()
        )));
    }
    if let Some(who) = method.symmetric().filter(|_| !is.positive_definite) {
        return Err(Error::Unsupported(format!(
            "{who} needs a symmetric positive definite preconditioner, and this one is {}; use gmres \
             or bicgstab",
            if is.symmetric { "not known to be positive definite" } else { "not symmetric" }
        )));
    }
    Ok(())
}
