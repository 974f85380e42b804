//! What all methods share. Here: a solve's state.
//!
//! | file | what |
//! |---|---|
//! | `start.rs` | how it starts: the norm of b, the first residual |
//! | `products.rs` | where A and M are applied |
//! | `units.rs` | powers of two that keep A, b, x and M within the range of floating point |
//! | `sums.rs` | reductions that carry news |
//! | `measure.rs` | the stopping rule: steps, and what they are worth when they say "converged" |
//! | `rows.rs` | residuals of single rows |
//! | `end.rs` | how a solve ends: blame, breakdowns, the report |
mod end;
mod measure;
mod products;
mod rows;
mod start;
mod sums;
mod units;

use super::fallback::Foreseen;
use super::guard::Guard;
use super::{Algorithm, Criterion, Norm, Outcome, Report, Stop, Switch, Watcher};
use crate::matrix::Operator;
use crate::precond::Preconditioner;
use crate::{Error, Result};
use rows::Apart;
use sums::News;
use units::Units;

pub use rows::{Residuals, residuals};

/// Why a method stopped iterating: the reason travels up through `?`.
pub(super) enum Halt {
    Ended(Outcome),
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(e: Error) -> Self {
        Halt::Failed(e)
    }
}

/// A result of a step of a method.
pub(super) type Go<T> = std::result::Result<T, Halt>;

/// How a method goes on where its tolerance is met and the solve is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// With the recurrence that it has.
    On,
    /// From the true residual, which r holds now.
    Anew,
}

/// Entries of the history that are set aside at the start; more are added as they come.
const HISTORY: usize = 1 << 14;

/// A true residual that fell by less than this factor since it last contradicted the recurrence
/// will not fall any further.
const PROGRESS: f64 = 0.5;

/// What a stage of a solve takes over from the one before it, and who watches it.
#[derive(Default)]
pub(super) struct Past {
    history: Vec<f64>,
    switches: Vec<Switch>,
    guard: Option<Guard>,
    /// Why the stage need not begin.
    foreseen: Option<Foreseen>,
}

impl Past {
    /// None: the first stage.
    pub fn new(guard: Option<Guard>) -> Self {
        Past { guard, ..Past::default() }
    }

    /// The same, ended after the first residual.
    pub fn foreseen(self, foreseen: Option<Foreseen>) -> Self {
        Past { foreseen, ..self }
    }
}

/// How a stage ended.
pub(super) struct Stage {
    pub report: Report,
    /// Nothing that M gave showed that it is not finite or not positive definite.
    pub sound: bool,
    /// Conjugate gradients saw that A is not positive definite.
    pub indefinite: bool,
    /// Its guard ended it for its pace alone.
    pub slow: bool,
}

impl Stage {
    /// For the next stage, watched by `guard`.
    pub fn past(self, guard: Option<Guard>) -> Past {
        let Report { history, switches, .. } = self.report;
        Past { history, switches, guard, foreseen: None }
    }
}

/// A solve under way. All vectors are those of the scaled system (`units.rs`).
pub(super) struct Run<'a> {
    a: &'a dyn Operator,
    m: &'a dyn Preconditioner,
    b: &'a [f64],
    stop: &'a Stop<'a>,
    watch: &'a mut Watcher<'a>,
    units: Units,
    norm: Norm,
    /// ‖b‖₂, and the norm of b that is measured in.
    b_norm: f64,
    reference: f64,
    /// The tolerance, or what the absolute one amounts to.
    target: f64,
    history: Vec<f64>,
    /// What happened in earlier stages.
    switches: Vec<Switch>,
    /// There was an earlier stage.
    later: bool,
    guard: Option<Guard>,
    foreseen: Option<Foreseen>,
    /// Whether M gives products with A, once that is known.
    multiplies: Option<bool>,
    /// The best measure and its x, where the solve is watched.
    best: Option<(f64, Vec<f64>)>,
    unsound: bool,
    indefinite: bool,
    slow: bool,
    /// ‖b − Ax‖₂ / ‖b‖₂ of the present x, where it is known and b − Ax is in the method's r.
    truth: Option<f64>,
    /// The scaled residual of the same.
    scaled: Option<f64>,
    /// The tolerance is met, and rows are not solved.
    apart: Option<Apart>,
    /// The true residual when it last contradicted the recurrence.
    contradicted: f64,
    news: News,
}

impl<'a> Run<'a> {
    pub fn new(
        method: &Algorithm,
        a: &'a dyn Operator,
        m: &'a dyn Preconditioner,
        b: &'a [f64],
        stop: &'a Stop<'a>,
        watch: &'a mut Watcher<'a>,
        past: Past,
    ) -> Result<Self> {
        let Past { mut history, switches, guard, foreseen } = past;
        let later = !history.is_empty();
        if !later {
            history.reserve(stop.max_iterations.min(HISTORY));
        }
        let units = Units::of(a, b, matches!(method, Algorithm::Richardson { .. }))?;
        let mut run = Run {
            a,
            m,
            b,
            stop,
            watch,
            units,
            norm: stop.criterion.residual().0,
            b_norm: 0.0,
            reference: 0.0,
            target: stop.tolerance,
            history,
            switches,
            later,
            guard,
            foreseen,
            multiplies: None,
            best: None,
            unsound: false,
            indefinite: false,
            slow: false,
            truth: None,
            scaled: None,
            apart: None,
            contradicted: f64::INFINITY,
            news: News::default(),
        };
        run.b_norm = run.norm_of_b()?;
        run.reference = run.b_norm;
        Ok(run)
    }

    /// Unknowns in all.
    pub fn n_global(&self) -> u64 {
        self.a.space().n_global()
    }

    /// The number of the iteration under way, counted from 1.
    pub fn iteration(&self) -> usize {
        self.history.len()
    }

    /// Iterations that may still be done.
    pub fn iterations_left(&self) -> usize {
        self.stop.max_iterations.saturating_sub(self.history.len().saturating_sub(1))
    }

    /// Whether the measure needs x, not only the norm of the residual.
    pub fn measures_error(&self) -> bool {
        matches!(self.stop.criterion, Criterion::AbsoluteError(_))
    }

    /// The norm of the residual that is measured.
    pub fn norm(&self) -> Norm {
        self.norm
    }

    /// Conjugate gradients tell their coefficients; β = 0 where they start.
    pub fn coefficients(&mut self, alpha: f64, beta: f64) {
        if let Some(guard) = &mut self.guard {
            guard.coefficients(alpha, beta);
        }
    }

    /// `x` is the best iterate so far.
    fn keep(&mut self, x: &[f64], measure: f64) {
        let (best, kept) = self.best.get_or_insert_with(|| (measure, vec![0.0; x.len()]));
        *best = measure;
        kept.copy_from_slice(x);
    }
}

/// The method cannot go on.
pub(super) fn broke_down(why: impl Into<String>) -> Halt {
    Halt::Ended(Outcome::Breakdown(why.into()))
}

/// Numbers ran out.
fn not_finite() -> Halt {
    Halt::Ended(Outcome::Diverged("the residual is not finite".into()))
}

/// `y += alpha x`.
pub(super) fn axpy(alpha: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += alpha * x;
    }
}
