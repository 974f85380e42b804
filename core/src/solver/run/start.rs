//! How a solve starts: the norm of b, the first residual, the first measure.
use super::{Go, Halt, Run, broke_down, units};
use crate::comm::Communicator;
use crate::matrix::square_local;
use crate::solver::fallback::Foreseen;
use crate::solver::{Norm, Outcome};
use crate::{Error, Result};

impl Run<'_> {
    /// ‖b‖₂.
    pub(super) fn norm_of_b(&self) -> Result<f64> {
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
    pub(super) fn norm_with_m(&mut self, r: &[f64]) -> Go<f64> {
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
}
