//! What all methods share. Here: a solve's state, how it starts, and where A and M are applied.
//!
//! | file | what |
//! |---|---|
//! | `units.rs` | powers of two that keep A, b, x and M within the range of floating point |
//! | `sums.rs` | reductions that carry news |
//! | `measure.rs` | the stopping rule: steps, and what they are worth when they say "converged" |
//! | `rows.rs` | residuals of single rows |
//! | `end.rs` | how a solve ends: blame, breakdowns, the report |
mod end;
mod measure;
mod rows;
mod sums;
mod units;

use super::fallback::Foreseen;
use super::guard::Guard;
use super::{Criterion, Method, Norm, Outcome, Report, Stop, Switch, Watcher};
use crate::comm::{Communicator, panic_text};
use crate::matrix::{Operator, square_local};
use crate::precond::Preconditioner;
use crate::{Error, Result};
use rows::Apart;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
        method: &Method,
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
        let units = Units::of(a, b, matches!(method, Method::Richardson { .. }))?;
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

    /// ‖b‖₂.
    fn norm_of_b(&self) -> Result<f64> {
        let comm = self.a.space().comm();
        let mine = square_local(self.b, units::power(-self.units.b));
        let mut all = vec![0.0; 2 * comm.size()];
        comm.gather_f64(&mine, &mut all)?;
        Ok(crate::matrix::total(all.chunks_exact(2).map(|r| [r[0], r[1]])).sqrt())
    }

    /// First residual `r = b − A x` and first measure. A later stage of a solve starts from the x
    /// that the one before it left, and records nothing for it.
    pub fn start(&mut self, x: &mut [f64], r: &mut [f64]) -> Go<()> {
        if self.units.zero {
            return self.without_b(x, r);
        }
        units::scale(x, self.units.x());
        self.refer(r)?;
        let residual = self.true_residual(x, r)?;
        if !residual.is_finite() && !self.later {
            return Err(Halt::Failed(Error::Data(
                "b − A x0 is not finite: A holds NaN or infinity, or values of A or x0 are too large \
                 beside b"
                    .into(),
            )));
        }
        let measure = match self.measures_error() {
            true => self.measure(x, 0.0)?,
            false => self.true_measure(r, residual)?,
        };
        if self.later || self.guard.is_some() {
            self.keep(x, measure);
        }
        if let Some(guard) = &mut self.guard {
            guard.start(measure);
        }
        if self.later {
            return self.halt_if_done();
        }
        if self.record(measure)? {
            let mut work = vec![0.0; r.len()];
            self.confirm(x, r, &mut work)?;
            return Ok(());
        }
        match self.foreseen.take() {
            None => Ok(()),
            Some(Foreseen { reason, cg_works }) => {
                self.unsound = !cg_works;
                Err(broke_down(reason))
            }
        }
    }

    /// b = 0.
    fn without_b(&mut self, x: &mut [f64], r: &mut [f64]) -> Go<()> {
        x.fill(0.0);
        r.fill(0.0);
        (self.truth, self.scaled) = (Some(0.0), Some(0.0));
        let measure = if self.measures_error() { self.measure(x, 0.0)? } else { 0.0 };
        if self.record(measure)? {
            return Err(Halt::Ended(Outcome::Converged));
        }
        Err(broke_down("b = 0 has the solution x = 0, and x* is another vector"))
    }

    /// The norm of b that is measured in, and the tolerance relative to it; `r` is overwritten.
    fn refer(&mut self, r: &mut [f64]) -> Go<()> {
        if self.norm != Norm::Unpreconditioned {
            let of_b = units::power(-self.units.b);
            r.iter_mut().zip(self.b).for_each(|(r, b)| *r = of_b * b);
            self.reference = self.norm_with_m(r)?;
            if self.reference == 0.0 {
                return Err(broke_down("M b = 0: M is singular"));
            }
        }
        let (_, absolute) = self.stop.criterion.residual();
        if absolute > 0.0 {
            let m = self.units.m.unwrap_or(0);
            let unit = match self.norm {
                Norm::Unpreconditioned => units::factor(-self.units.b),
                Norm::Preconditioned => units::factor(m - self.units.b),
                Norm::Natural => units::factor(m).sqrt() * units::factor(-self.units.b),
            };
            self.target = self.target.max(absolute * unit / self.reference);
        }
        Ok(())
    }

    /// ‖M r‖₂ or √(rᵀM r). Allocates a vector.
    fn norm_with_m(&mut self, r: &[f64]) -> Go<f64> {
        let mut z = vec![0.0; r.len()];
        self.precondition(r, &mut z);
        let [rz, zz] = self.dots([(r, &z), (&z, &z)])?;
        if !(rz.is_finite() && zz.is_finite()) {
            return Err(self.blame(&z)?);
        }
        if self.norm == Norm::Preconditioned {
            return Ok(zz.sqrt());
        }
        if rz < 0.0 {
            return Err(self.not_positive(rz));
        }
        Ok(rz.sqrt())
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

    /// `y = A x`: here and nowhere else.
    pub fn product(&self, x: &[f64], y: &mut [f64]) -> Go<()> {
        self.a.apply(x, y)?;
        units::scale(y, -self.units.a);
        Ok(())
    }

    /// `r = b − A x`.
    pub fn residual(&self, x: &[f64], r: &mut [f64]) -> Go<()> {
        self.product(x, r)?;
        let of_b = units::power(-self.units.b);
        for (r, b) in r.iter_mut().zip(self.b) {
            *r = of_b * b - *r;
        }
        Ok(())
    }

    /// `z = M r`, with which x is about to move. A failure on this rank leaves NaN in `z` and is
    /// told in the next reduction.
    pub fn apply(&mut self, r: &[f64], z: &mut [f64]) {
        self.moved();
        self.precondition(r, z);
    }

    /// `z = M r`: here and nowhere else.
    fn precondition(&mut self, r: &[f64], z: &mut [f64]) {
        let applied = catch_unwind(AssertUnwindSafe(|| self.m.apply(r, z)))
            .unwrap_or_else(|panic| Err(Error::Panicked(panic_text(panic))));
        let comm = self.a.space().comm();
        if let Err(e) = applied {
            if comm.size() > 1 && matches!(e.root(), Error::Panicked(_)) {
                // The other ranks may be waiting inside `apply`: no reduction would reach them.
                comm.abort(&format!("the preconditioner {e}"));
            }
            self.fail(e);
            z.fill(f64::NAN);
        }
        let power = match self.units.m {
            Some(known) => known,
            None => {
                // The first time, and of an A that is not plain: the size of M.
                let mut largest = [units::largest(z), units::largest(r)];
                match comm.max(&mut largest) {
                    Ok(()) => *self
                        .units
                        .m
                        .insert(units::exponent(largest[1]) - units::exponent(largest[0])),
                    Err(e) => {
                        self.fail(e);
                        0
                    }
                }
            }
        };
        units::scale(z, power);
    }

    /// Something failed on this rank: told in the next reduction.
    pub fn fail(&mut self, e: Error) {
        self.news.fault.get_or_insert(e);
    }

    /// x is another one than that of the last residual.
    pub fn moved(&mut self) {
        (self.truth, self.scaled) = (None, None);
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
