//! How a solve ends: whose fault it is, and what is told.
use super::{Halt, Run, Stage, broke_down, not_finite, units};
use crate::comm::Communicator;
use crate::solver::{APART, Norm, Outcome, Report, TRUST};
use crate::{Error, Result};

/// The exponent of x from which on its range is looked at.
const FAR: i32 = 600;

impl Run<'_> {
    /// Something is not finite: whether M did it, which gave `z` for a finite r.
    pub fn blame(&mut self, z: &[f64]) -> Result<Halt> {
        let space = self.a.space();
        let first = z.iter().position(|z| !z.is_finite());
        let mine = first.map_or(vec![], |i| vec![space.start() + i as u64, z[i].to_bits()]);
        let all = space.comm().all_gather(&mine)?;
        let culprit = all.iter().find(|word| word.len() == 2);
        self.unsound |= culprit.is_some();
        Ok(match culprit {
            None => not_finite(),
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
        let hint = crate::matrix::sign_hint(self.a);
        broke_down(format!("M is not positive definite: rᵀMr = {rho:e} at iteration {at}{hint}"))
    }

    /// A gave pᵀAp = `pq` ≤ 0.
    pub fn indefinite(&mut self, pq: f64) -> Halt {
        self.indefinite = true;
        let at = self.iteration();
        let hint = crate::matrix::sign_hint(self.a);
        broke_down(format!("A is not positive definite: pᵀAp = {pq:e} at iteration {at}{hint}"))
    }

    /// A correction took ‖r‖₂² from `before` to `after`.
    pub fn misled(&self, before: f64, after: f64) -> Halt {
        let relative = |square: f64| square.sqrt() / self.reference;
        broke_down(format!(
            "the correction of gmres took the relative residual from {:.1e} to {:.1e}: M is \
             unstable, or not the same in every iteration",
            relative(before),
            relative(after)
        ))
    }

    /// The solve failed with `e`; `x` is what it was scaled from.
    pub fn failed(mut self, e: Error, x: &mut [f64]) -> Error {
        self.unscale(x);
        self.news.fault.take().unwrap_or(e)
    }

    fn unscale(&self, x: &mut [f64]) {
        if !self.units.zero {
            units::scale(x, -self.units.x());
        }
    }

    /// What is told at the end; `r` is overwritten. A watched solve that failed leaves its best x.
    pub fn report(mut self, outcome: Outcome, x: &mut [f64], r: &mut [f64]) -> Result<Stage> {
        // A wish to stop was granted, or comes too late.
        self.news.wish = false;
        if let Some((best, kept)) = self.best.take() {
            let ended = matches!(
                outcome,
                Outcome::Converged | Outcome::Interrupted | Outcome::RowsUnsolved(_)
            );
            // Where M broke off an iteration, x may hold what it left though the last measure is
            // that of the iterate before.
            if !ended && self.history.last().is_none_or(|last| last.is_nan() || *last >= best) {
                x.copy_from_slice(&kept);
                self.moved();
            }
        }
        let true_relative_residual = match self.truth {
            Some(known) => known,
            None => self.true_residual(x, r).map_err(|halt| match halt {
                Halt::Failed(e) => e,
                Halt::Ended(outcome) => Error::Comm(format!("no residual at the end: {outcome:?}")),
            })?,
        };
        let scaled_residual = self.scaled_residual(x, r, true_relative_residual)?;
        let outcome = self.judge_rows(outcome, [true_relative_residual, scaled_residual], x, r)?;
        if outcome == Outcome::Converged && self.units.x().abs() > FAR {
            let mut largest = [units::largest(x)];
            self.a.space().comm().max(&mut largest)?;
            self.units.check_range(largest[0])?;
        }
        self.unscale(x);
        let report = Report {
            outcome,
            iterations: self.history.len().saturating_sub(1),
            history: self.history,
            true_relative_residual,
            scaled_residual,
            switches: self.switches,
            outside: None,
        };
        let (sound, indefinite, slow) = (!self.unsound, self.indefinite, self.slow);
        Ok(Stage { report, sound, indefinite, slow })
    }

    /// What a solve came to that went on for the sake of single rows.
    fn judge_rows(
        &self,
        outcome: Outcome,
        [relative, scaled]: [f64; 2],
        x: &[f64],
        r: &[f64],
    ) -> Result<Outcome> {
        let stopped = matches!(
            outcome,
            Outcome::IterationLimit | Outcome::Breakdown(_) | Outcome::Diverged(_)
        );
        let met = self.norm != Norm::Unpreconditioned || relative <= TRUST * self.target;
        if !(self.apart.is_some() && stopped && met) {
            return Ok(outcome);
        }
        if scaled <= (TRUST * self.target).max(APART * relative.max(self.target)) {
            return Ok(Outcome::Converged);
        }
        Ok(Outcome::RowsUnsolved(self.rows_left(x, r, relative)?))
    }
}
