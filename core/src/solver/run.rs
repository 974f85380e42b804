//! What all methods share: guarded products, reductions that carry news, and the stopping rule.
use super::{Criterion, Outcome, Report, Step, Stop, TRUST, Watcher};
use crate::comm::{Communicator, panic_text};
use crate::matrix::{DistCsr, distance_local, dot_local, total};
use crate::precond::Preconditioner;
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

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

/// Entries of the history that are set aside at the start; more are added as they come.
const HISTORY: usize = 1 << 14;

/// A true residual that fell by less than this factor since it last contradicted the recurrence
/// will not fall any further.
const PROGRESS: f64 = 0.5;

/// A solve under way.
pub(super) struct Run<'a> {
    a: &'a DistCsr,
    m: &'a dyn Preconditioner,
    b: &'a [f64],
    stop: &'a Stop<'a>,
    watch: &'a mut Watcher<'a>,
    b_norm: f64,
    history: Vec<f64>,
    /// ‖b − Ax‖₂ / ‖b‖₂ of the present x, where it is known.
    true_measure: Option<f64>,
    /// The true measure when it last contradicted the recurrence.
    contradicted: f64,
    /// The first error of `apply` on this rank, to be told in the next reduction.
    fault: Option<Error>,
    /// This rank's watcher asked to stop.
    wish: bool,
    mine: Vec<f64>,
    all: Vec<f64>,
}

impl<'a> Run<'a> {
    pub fn new(
        a: &'a DistCsr,
        m: &'a dyn Preconditioner,
        b: &'a [f64],
        stop: &'a Stop<'a>,
        watch: &'a mut Watcher<'a>,
    ) -> Result<Self> {
        Ok(Run {
            a,
            m,
            b,
            stop,
            watch,
            b_norm: a.space().norm(b)?,
            history: Vec::with_capacity(stop.max_iterations.saturating_add(1).min(HISTORY)),
            true_measure: None,
            contradicted: f64::INFINITY,
            fault: None,
            wish: false,
            mine: Vec::new(),
            all: Vec::new(),
        })
    }

    /// First residual `r = b − A x` and first measure.
    pub fn start(&mut self, x: &mut [f64], r: &mut [f64]) -> Go<()> {
        if self.b_norm == 0.0 {
            let mut largest = [self.b.iter().fold(0.0, |m: f64, b| m.max(b.abs()))];
            self.a.space().comm().max(&mut largest).map_err(Halt::Failed)?;
            if largest[0] > 0.0 {
                return Err(Halt::Failed(Error::Data(format!(
                    "the right-hand side is at most {:e}, so small that its norm is 0 in floating \
                     point: scale the system",
                    largest[0]
                ))));
            }
            x.fill(0.0);
            r.fill(0.0);
            self.true_measure = Some(0.0);
            if self.record(x, 0.0)? {
                return Err(Halt::Ended(Outcome::Converged));
            }
            let why = "b = 0 has the solution x = 0, and x* is another vector";
            return Err(broke_down(why));
        }
        let measure = self.true_residual(x, r)?;
        if !measure.is_finite() {
            return Err(Halt::Failed(Error::Data(
                "b − A x0 is not finite: A holds NaN or infinity, or values of A, b or x0 are too large".into(),
            )));
        }
        let met = self.record(x, measure)?;
        if met { self.confirm(x, r) } else { Ok(()) }
    }

    /// Unknowns in all.
    pub fn n_global(&self) -> u64 {
        self.a.n_global()
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

    /// `y = A x`.
    pub fn product(&self, x: &[f64], y: &mut [f64]) -> Go<()> {
        Ok(self.a.spmv(x, y)?)
    }

    /// `r = b − A x`.
    pub fn residual(&self, x: &[f64], r: &mut [f64]) -> Go<()> {
        self.product(x, r)?;
        for (r, b) in r.iter_mut().zip(self.b) {
            *r = b - *r;
        }
        Ok(())
    }

    /// `z = M r`. A failure on this rank leaves NaN in `z` and is told in the next reduction.
    pub fn apply(&mut self, r: &[f64], z: &mut [f64]) {
        self.true_measure = None; // x is about to move
        let applied = catch_unwind(AssertUnwindSafe(|| self.m.apply(r, z)))
            .unwrap_or_else(|panic| Err(Error::Panicked(panic_text(panic))));
        let Err(e) = applied else { return };
        let comm = self.a.space().comm();
        if comm.size() > 1 && matches!(e.root(), Error::Panicked(_)) {
            // The other ranks may be waiting inside `apply`: no reduction would reach them.
            comm.abort(&format!("the preconditioner {e}"));
        }
        self.fault.get_or_insert(e);
        z.fill(f64::NAN);
    }

    /// A failure of `apply` on this rank that no reduction has told yet.
    pub fn fault(&mut self) -> Option<Error> {
        self.fault.take()
    }

    /// Inner products of `pairs`, in one reduction.
    pub fn dots<const K: usize>(&mut self, pairs: [(&[f64], &[f64]); K]) -> Go<[f64; K]> {
        let mut out = [0.0; K];
        self.sums(&pairs.map(|(x, y)| dot_local(x, y)), &mut out)?;
        Ok(out)
    }

    /// Adds each of `mine` over all ranks, in one reduction that also tells of faults and wishes.
    pub fn sums(&mut self, mine: &[[f64; 2]], out: &mut [f64]) -> Go<()> {
        let comm = self.a.space().comm();
        let size = comm.size();
        if size == 1 {
            if let Some(e) = self.fault.take() {
                return Err(Halt::Failed(e));
            }
            for (out, sum) in out.iter_mut().zip(mine) {
                *out = total([*sum]);
            }
            return Ok(());
        }
        let flag = |set: bool| f64::from(u8::from(set));
        self.mine.clear();
        self.mine.extend([flag(self.fault.is_some()), flag(self.wish)]);
        self.mine.extend_from_slice(mine.as_flattened());
        let width = self.mine.len();
        self.all.resize(size * width, 0.0);
        comm.gather_f64(&self.mine, &mut self.all)?;
        let ranks = self.all.chunks_exact(width);
        if ranks.clone().any(|r| r[0] != 0.0) {
            comm.agree(self.fault.take().map_or(Ok(()), Err))?;
        }
        if ranks.clone().any(|r| r[1] != 0.0) {
            return Err(Halt::Ended(Outcome::Interrupted));
        }
        for (k, out) in out.iter_mut().enumerate() {
            *out = total(ranks.clone().map(|r| [r[2 + 2 * k], r[3 + 2 * k]]));
        }
        Ok(())
    }

    /// `r = b − A x` afresh, to start again from, and ‖r‖₂² (not zero).
    pub fn renew(&mut self, x: &[f64], r: &mut [f64]) -> Go<f64> {
        let measure = match self.true_measure {
            Some(known) => known,
            None => self.true_residual(x, r)?,
        };
        if !measure.is_finite() {
            return Err(Halt::Ended(Outcome::Diverged));
        }
        if measure == 0.0 {
            return Err(broke_down("the residual is zero, and yet x is not x*"));
        }
        Ok((measure * self.b_norm).powi(2))
    }

    /// `r = b − A x` and ‖r‖₂ / ‖b‖₂.
    fn true_residual(&mut self, x: &[f64], r: &mut [f64]) -> Go<f64> {
        self.residual(x, r)?;
        let [rr] = self.dots([(&*r, &*r)])?;
        let measure = rr.sqrt() / self.b_norm;
        self.true_measure = Some(measure);
        Ok(measure)
    }

    /// ‖r‖₂ from a residual that was computed, not recurred: a measure that needs no confirmation.
    pub fn know_true(&mut self, rr: f64) {
        self.true_measure = Some(rr.sqrt() / self.b_norm);
    }

    /// Records the measure after an iteration that led to `x` with ‖r‖₂² = `rr`; `z` is what M gave
    /// in it. Says whether the tolerance is met.
    pub fn step(&mut self, x: &[f64], rr: f64, z: &[f64]) -> Go<bool> {
        if !rr.is_finite() {
            return Err(self.blame(z)?);
        }
        self.record(x, rr.max(0.0).sqrt() / self.b_norm)
    }

    /// The tolerance is met by a recurrence: ends the solve where b − Ax agrees, else leaves it in
    /// `r` to start again from.
    pub fn confirm(&mut self, x: &[f64], r: &mut [f64]) -> Go<()> {
        if self.measures_error() {
            return Err(Halt::Ended(Outcome::Converged));
        }
        let measure = match self.true_measure {
            Some(known) => known,
            None => self.true_residual(x, r)?,
        };
        if measure <= TRUST * self.stop.tolerance {
            return Err(Halt::Ended(Outcome::Converged));
        }
        if !measure.is_finite() {
            return Err(Halt::Ended(Outcome::Diverged));
        }
        if let Some(last) = self.history.last_mut() {
            *last = measure;
        }
        if measure > PROGRESS * self.contradicted {
            return Err(broke_down(format!(
                "the recurrence meets the tolerance but the true relative residual stays at \
                 {measure:.1e}: rounding allows no more, or M is unstable; try another preconditioner"
            )));
        }
        self.contradicted = measure;
        self.halt_if_done()
    }

    fn record(&mut self, x: &[f64], residual: f64) -> Go<bool> {
        let measure = match self.stop.criterion {
            Criterion::RelativeResidual => residual,
            Criterion::AbsoluteError(target) => {
                let mut square = [0.0];
                self.sums(&[distance_local(x, target)], &mut square)?;
                square[0].sqrt()
            }
        };
        self.history.push(measure);
        let step = Step { iteration: self.history.len() - 1, measure };
        self.wish |= (self.watch)(&step).is_break();
        if measure <= self.stop.tolerance {
            return Ok(true);
        }
        if measure.is_nan() || measure > self.stop.divergence * self.history[0] {
            return Err(Halt::Ended(Outcome::Diverged));
        }
        self.halt_if_done()?;
        Ok(false)
    }

    fn halt_if_done(&self) -> Go<()> {
        if self.wish && self.a.space().comm().size() == 1 {
            return Err(Halt::Ended(Outcome::Interrupted));
        }
        if self.iterations_left() == 0 {
            return Err(Halt::Ended(Outcome::IterationLimit));
        }
        Ok(())
    }

    /// Something is not finite: whether M did it, which gave `z` for a finite r.
    pub fn blame(&mut self, z: &[f64]) -> Result<Halt> {
        let space = self.a.space();
        let first = z.iter().position(|z| !z.is_finite());
        let mine = first.map_or(vec![], |i| vec![space.start() + i as u64, z[i].to_bits()]);
        let all = space.comm().all_gather(&mine)?;
        Ok(match all.iter().find(|word| word.len() == 2) {
            None => Halt::Ended(Outcome::Diverged),
            Some(word) => broke_down(format!(
                "the preconditioner returned {} in global row {} at iteration {}",
                f64::from_bits(word[1]),
                word[0],
                self.iteration()
            )),
        })
    }

    /// What is told at the end; `r` is overwritten.
    pub fn report(mut self, outcome: Outcome, x: &[f64], r: &mut [f64]) -> Result<Report> {
        // A wish to stop was granted, or comes too late.
        self.wish = false;
        let true_relative_residual = match self.true_measure {
            Some(known) => known,
            None => self.true_residual(x, r).map_err(|halt| match halt {
                Halt::Failed(e) => e,
                Halt::Ended(outcome) => Error::Comm(format!("no residual at the end: {outcome:?}")),
            })?,
        };
        Ok(Report {
            outcome,
            iterations: self.history.len().saturating_sub(1),
            history: self.history,
            true_relative_residual,
        })
    }
}

/// The method cannot go on.
pub(super) fn broke_down(why: impl Into<String>) -> Halt {
    Halt::Ended(Outcome::Breakdown(why.into()))
}

/// `y += alpha x`.
pub(super) fn axpy(alpha: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += alpha * x;
    }
}
