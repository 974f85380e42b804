//! What all methods share: guarded products, reductions that carry news, and the stopping rule.
use super::fallback::Foreseen;
use super::guard::{Guard, Trip};
use super::{Criterion, Outcome, Report, Step, Stop, Switch, TRUST, Watcher};
use crate::comm::{Communicator, panic_text};
use crate::matrix::{Operator, distance_local, dot_local, total};
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

/// A solve under way.
pub(super) struct Run<'a> {
    a: &'a dyn Operator,
    m: &'a dyn Preconditioner,
    b: &'a [f64],
    stop: &'a Stop<'a>,
    watch: &'a mut Watcher<'a>,
    b_norm: f64,
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
            history.reserve(stop.max_iterations.saturating_add(1).min(HISTORY));
        }
        Ok(Run {
            a,
            m,
            b,
            stop,
            watch,
            b_norm: a.space().norm(b)?,
            history,
            switches,
            later,
            guard,
            foreseen,
            best: None,
            unsound: false,
            indefinite: false,
            slow: false,
            true_measure: None,
            contradicted: f64::INFINITY,
            fault: None,
            wish: false,
            mine: Vec::new(),
            all: Vec::new(),
        })
    }

    /// First residual `r = b − A x` and first measure. A later stage of a solve starts from the x
    /// that the one before it left, and records nothing for it.
    pub fn start(&mut self, x: &mut [f64], r: &mut [f64]) -> Go<()> {
        if self.later {
            let residual = self.true_residual(x, r)?;
            let measure = self.measure(x, residual)?;
            self.keep(x, measure);
            if let Some(guard) = &mut self.guard {
                guard.start(measure);
            }
            return self.halt_if_done();
        }
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
            let measure = self.measure(x, 0.0)?;
            if self.record(measure)? {
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
        let measure = self.measure(x, measure)?;
        if self.guard.is_some() {
            self.keep(x, measure);
        }
        if let Some(guard) = &mut self.guard {
            guard.start(measure);
        }
        let met = self.record(measure)?;
        if met {
            return self.confirm(x, r);
        }
        match self.foreseen.take() {
            None => Ok(()),
            Some(Foreseen { reason, cg_works }) => {
                self.unsound = !cg_works;
                Err(broke_down(reason))
            }
        }
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

    /// `y = A x`.
    pub fn product(&self, x: &[f64], y: &mut [f64]) -> Go<()> {
        Ok(self.a.apply(x, y)?)
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

    /// `r = b − A x` and ‖r‖₂².
    pub fn true_square(&mut self, x: &[f64], r: &mut [f64]) -> Go<f64> {
        Ok((self.true_residual(x, r)? * self.b_norm).powi(2))
    }

    /// x is another one than that of the last residual.
    pub fn moved(&mut self) {
        self.true_measure = None;
    }

    /// A correction took ‖r‖₂² from `before` to `after`.
    pub fn misled(&self, before: f64, after: f64) -> Halt {
        let relative = |square: f64| square.sqrt() / self.b_norm;
        broke_down(format!(
            "the correction of gmres took the relative residual from {:.1e} to {:.1e}: M is \
             unstable, or not the same in every iteration",
            relative(before),
            relative(after)
        ))
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
        let measure = self.measure(x, rr.max(0.0).sqrt() / self.b_norm)?;
        if self.best.as_ref().is_some_and(|(best, _)| measure < *best) {
            self.keep(x, measure);
        }
        self.look_and_record(measure)
    }

    /// As [`step`](Run::step) where x is not made in every iteration, and the residual is measured.
    pub fn step_without_x(&mut self, rr: f64, z: &[f64]) -> Go<bool> {
        if !rr.is_finite() {
            return Err(self.blame(z)?);
        }
        self.look_and_record(rr.max(0.0).sqrt() / self.b_norm)
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

    fn look_and_record(&mut self, measure: f64) -> Go<bool> {
        let met = self.record(measure)?;
        let left = self.iterations_left();
        let trip = if met { None } else { self.guard.as_mut().and_then(|g| g.look(measure, left)) };
        match trip {
            Some(Trip { why, slow }) => {
                self.slow = slow;
                Err(broke_down(why))
            }
            None => Ok(met),
        }
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

    /// What decides when to stop, at `x` with the relative residual `residual`.
    fn measure(&mut self, x: &[f64], residual: f64) -> Go<f64> {
        let Criterion::AbsoluteError(target) = self.stop.criterion else { return Ok(residual) };
        let mut square = [0.0];
        self.sums(&[distance_local(x, target)], &mut square)?;
        Ok(square[0].sqrt())
    }

    fn record(&mut self, measure: f64) -> Go<bool> {
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
        let culprit = all.iter().find(|word| word.len() == 2);
        self.unsound |= culprit.is_some();
        Ok(match culprit {
            None => Halt::Ended(Outcome::Diverged),
            Some(word) => broke_down(format!(
                "the preconditioner returned {} in global row {} at iteration {}",
                f64::from_bits(word[1]),
                word[0],
                self.iteration()
            )),
        })
    }

    /// M gave rᵀMr = `rho` ≤ 0.
    pub fn not_positive(&mut self, rho: f64) -> Halt {
        self.unsound = true;
        let at = self.iteration();
        broke_down(format!("M is not positive definite: rᵀMr = {rho:e} at iteration {at}"))
    }

    /// A gave pᵀAp = `pq` ≤ 0.
    pub fn indefinite(&mut self, pq: f64) -> Halt {
        self.indefinite = true;
        let at = self.iteration();
        let hint = crate::matrix::sign_hint(self.a);
        broke_down(format!("A is not positive definite: pᵀAp = {pq:e} at iteration {at}{hint}"))
    }

    /// What is told at the end; `r` is overwritten. A watched solve that failed leaves its best x.
    pub fn report(mut self, outcome: Outcome, x: &mut [f64], r: &mut [f64]) -> Result<Stage> {
        // A wish to stop was granted, or comes too late.
        self.wish = false;
        if let Some((best, kept)) = self.best.take() {
            let ended = matches!(outcome, Outcome::Converged | Outcome::Interrupted);
            // Where M broke off an iteration, x may hold what it left though the last measure is
            // that of the iterate before.
            if !ended && self.history.last().is_none_or(|last| last.is_nan() || *last >= best) {
                x.copy_from_slice(&kept);
                self.true_measure = None;
            }
        }
        let true_relative_residual = match self.true_measure {
            Some(known) => known,
            None => self.true_residual(x, r).map_err(|halt| match halt {
                Halt::Failed(e) => e,
                Halt::Ended(outcome) => Error::Comm(format!("no residual at the end: {outcome:?}")),
            })?,
        };
        let report = Report {
            outcome,
            iterations: self.history.len().saturating_sub(1),
            history: self.history,
            true_relative_residual,
            switches: self.switches,
            outside: None,
        };
        let (sound, indefinite, slow) = (!self.unsound, self.indefinite, self.slow);
        Ok(Stage { report, sound, indefinite, slow })
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
