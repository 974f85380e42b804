//! The stopping rule: what a step is worth, and whether it is true.
use super::rows::Verdict;
use super::units;
use super::{Go, Halt, PROGRESS, Resume, Run, broke_down, not_finite};
use crate::matrix::distance_local;
use crate::solver::guard::Trip;
use crate::solver::{Criterion, Norm, Outcome, Step, TRUST};

impl Run<'_> {
    /// `r = b − A x` afresh, to start again from, and ‖r‖₂² (not zero).
    pub fn renew(&mut self, x: &[f64], r: &mut [f64]) -> Go<f64> {
        let relative = match self.truth {
            Some(known) => known,
            None => self.true_residual(x, r)?,
        };
        if !relative.is_finite() {
            return Err(not_finite());
        }
        if relative == 0.0 {
            return Err(broke_down("the residual is zero, and yet x is not x*"));
        }
        Ok((relative * self.b_norm).powi(2))
    }

    /// `r = b − A x` and ‖r‖₂².
    pub fn true_square(&mut self, x: &[f64], r: &mut [f64]) -> Go<f64> {
        Ok((self.true_residual(x, r)? * self.b_norm).powi(2))
    }

    /// `r = b − A x`, unless it is known to be that.
    pub fn know(&mut self, x: &[f64], r: &mut [f64]) -> Go<()> {
        if self.truth.is_none() {
            self.true_residual(x, r)?;
        }
        Ok(())
    }

    /// `r = b − A x` and ‖r‖₂ / ‖b‖₂.
    pub(super) fn true_residual(&mut self, x: &[f64], r: &mut [f64]) -> Go<f64> {
        self.moved();
        self.residual(x, r)?;
        let [rr] = self.dots([(&*r, &*r)])?;
        self.know_true(rr);
        Ok(rr.sqrt() / self.b_norm)
    }

    /// ‖r‖₂² of a residual that was computed, not recurred: a measure that needs no confirmation.
    pub fn know_true(&mut self, rr: f64) {
        (self.truth, self.scaled) = (Some(rr.sqrt() / self.b_norm), None);
    }

    /// The measure of the true residual `r`, with ‖r‖₂ / ‖b‖₂ = `relative`.
    pub(super) fn true_measure(&mut self, r: &[f64], relative: f64) -> Go<f64> {
        match self.norm {
            Norm::Unpreconditioned => Ok(relative),
            Norm::Preconditioned | Norm::Natural => Ok(self.norm_with_m(r)? / self.reference),
        }
    }

    /// `z = M r` where x stays, and ‖z‖₂².
    pub fn preconditioned_square(&mut self, r: &[f64], z: &mut [f64]) -> Go<f64> {
        self.precondition(r, z);
        let [zz] = self.dots([(&*z, &*z)])?;
        if zz.is_finite() { Ok(zz) } else { Err(self.blame(z)?) }
    }

    /// Whether a residual with this square is within the tolerance.
    pub fn within(&self, square: f64) -> bool {
        square.sqrt() <= TRUST * self.target * self.reference
    }

    /// Records the measure after an iteration that led to `x`, where the residual has this square of
    /// its [`norm`](Run::norm); `z` is what M gave in it. Says whether the tolerance is met.
    pub fn step(&mut self, x: &[f64], square: f64, z: &[f64]) -> Go<bool> {
        if !square.is_finite() {
            return Err(self.blame(z)?);
        }
        let measure = self.measure(x, square)?;
        if self.best.as_ref().is_some_and(|(best, _)| measure < *best) {
            self.keep(x, measure);
        }
        self.look_and_record(measure)
    }

    /// As [`step`](Run::step) where x is not made in every iteration, and the residual is measured.
    pub fn step_without_x(&mut self, square: f64, z: &[f64]) -> Go<bool> {
        if !square.is_finite() {
            return Err(self.blame(z)?);
        }
        self.look_and_record(square.max(0.0).sqrt() / self.reference)
    }

    fn look_and_record(&mut self, measure: f64) -> Go<bool> {
        let met = self.record(measure)?;
        let left = self.iterations_left();
        let trip = match measure <= self.target {
            true => None,
            false => self.guard.as_mut().and_then(|g| g.look(measure, left)),
        };
        match trip {
            Some(Trip { why, slow }) => {
                self.slow = slow;
                Err(broke_down(why))
            }
            None => Ok(met),
        }
    }

    /// The tolerance is met by a recurrence: ends the solve where b − Ax agrees and all rows are
    /// solved, else says how to go on. `work` is overwritten.
    pub fn confirm(&mut self, x: &[f64], r: &mut [f64], work: &mut [f64]) -> Go<Resume> {
        if self.measures_error() {
            return Err(Halt::Ended(Outcome::Converged));
        }
        let recurred = self.truth.is_none();
        let next = match self.truth {
            Some(relative) => self.judge(x, r, relative, None),
            None => {
                let relative = self.true_residual(x, work)?;
                let plain = self.norm == Norm::Unpreconditioned;
                self.judge(x, work, relative, plain.then_some(&*r))
            }
        };
        match next {
            Ok(Resume::On) if recurred => self.moved(), // r is not b − Ax
            _ if recurred => r.copy_from_slice(work),
            _ => {}
        }
        next
    }

    /// What the true residual `r`, beside the one that was `recurred`, says of a measure that meets the tolerance.
    fn judge(
        &mut self,
        x: &[f64],
        r: &[f64],
        relative: f64,
        recurred: Option<&[f64]>,
    ) -> Go<Resume> {
        let measure = self.true_measure(r, relative)?;
        if measure == 0.0 && relative > 0.0 {
            return Err(broke_down("M r = 0 for a residual r that is not: M is singular"));
        }
        if measure <= TRUST * self.target {
            let next = match self.look_at_rows(x, r, relative, recurred)? {
                Verdict::Solved => return Err(Halt::Ended(Outcome::Converged)),
                Verdict::Idle => {
                    let why = self.rows_left(x, r, relative)?;
                    return Err(Halt::Ended(Outcome::RowsUnsolved(why)));
                }
                Verdict::Go(next) => next,
            };
            self.halt_if_done()?;
            return Ok(next);
        }
        if !measure.is_finite() {
            return Err(not_finite());
        }
        if let Some(last) = self.history.last_mut() {
            *last = measure;
        }
        if measure > PROGRESS * self.contradicted {
            let norm = match self.norm {
                Norm::Unpreconditioned => String::new(),
                other => format!(" {}", other.name()),
            };
            return Err(broke_down(format!(
                "the recurrence meets the tolerance but the true{norm} relative residual stays at \
                 {measure:.1e}: rounding allows no more, or M is unstable; try another preconditioner"
            )));
        }
        self.contradicted = measure;
        self.halt_if_done()?;
        Ok(Resume::Anew)
    }

    /// What decides when to stop, at `x` where the residual has this square.
    pub(super) fn measure(&mut self, x: &[f64], square: f64) -> Go<f64> {
        let Criterion::AbsoluteError(target) = self.stop.criterion else {
            return Ok(square.max(0.0).sqrt() / self.reference);
        };
        let mut error = [0.0];
        let unit = if self.units.zero { 0 } else { self.units.x() };
        self.sums(&[distance_local(x, target, units::factor(unit))], &mut error)?;
        Ok(error[0].sqrt() * units::factor(-unit))
    }

    pub(super) fn record(&mut self, measure: f64) -> Go<bool> {
        self.history.push(measure);
        let iteration = self.history.len() - 1;
        let step = Step { iteration, measure };
        self.news.wish |= (self.watch)(&step).is_break();
        let met = measure <= self.target;
        if met && self.apart.as_ref().is_none_or(|apart| iteration >= apart.next) {
            return Ok(true);
        }
        if measure.is_nan() {
            return Err(not_finite());
        }
        let (first, limit) = (self.history[0], self.stop.divergence);
        if !met && measure > limit * first {
            return Err(Halt::Ended(Outcome::Diverged(format!(
                "the measure grew from {first:.1e} to {measure:.1e}, more than 'divergence' = {limit:e} \
                 allows"
            ))));
        }
        self.halt_if_done()?;
        Ok(false)
    }

    pub(super) fn halt_if_done(&self) -> Go<()> {
        if self.news.wish && self.a.space().comm().size() == 1 {
            return Err(Halt::Ended(Outcome::Interrupted));
        }
        if self.iterations_left() == 0 {
            return Err(Halt::Ended(Outcome::IterationLimit));
        }
        Ok(())
    }
}
