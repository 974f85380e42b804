//! When a solve stops, and who looks on.
use crate::matrix::Space;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// A norm of the residual r = b − A x. Which method has which: [`Algorithm::has`](super::Algorithm::has).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Hash)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// ‖r‖₂.
    #[default]
    Unpreconditioned,
    /// ‖M r‖₂.
    Preconditioned,
    /// √(rᵀM r), for a positive definite M.
    Natural,
}

impl Norm {
    /// The name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Norm::Unpreconditioned => "unpreconditioned",
            Norm::Preconditioned => "preconditioned",
            Norm::Natural => "natural",
        }
    }
}

/// What is measured to decide when to stop.
#[derive(Clone, Copy, Debug)]
pub enum Criterion<'a> {
    /// ‖b − Ax‖₂ / ‖b‖₂: [`Criterion::Residual`] in the unpreconditioned norm, with no absolute
    /// tolerance.
    RelativeResidual,
    /// ‖b − Ax‖ / ‖b‖, both in this norm. The tolerance is also met where ‖b − Ax‖ itself is at most
    /// `absolute`.
    Residual {
        /// Of the residual and of b.
        norm: Norm,
        /// 0 where only the relative one counts.
        absolute: f64,
    },
    /// ‖x − x*‖₂ for the given x* (own entries).
    AbsoluteError(&'a [f64]),
}

impl Criterion<'_> {
    /// The norm of residuals, and the absolute tolerance.
    pub(super) fn residual(&self) -> (Norm, f64) {
        match *self {
            Criterion::Residual { norm, absolute } => (norm, absolute),
            Criterion::RelativeResidual | Criterion::AbsoluteError(_) => (Norm::default(), 0.0),
        }
    }
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
    /// [`Algorithm::divergence`](super::Algorithm::divergence) is a limit that disturbs nobody.
    pub divergence: f64,
}

impl Stop<'_> {
    /// Refuses numbers that make no sense.
    pub(super) fn check(&self) -> Result<()> {
        let fail = |text: String| Err(Error::Parameter(text));
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return fail(format!("tolerance {} must be a number from 0", self.tolerance));
        }
        let (_, absolute) = self.criterion.residual();
        if !(absolute >= 0.0 && absolute.is_finite()) {
            return fail(format!("absolute tolerance {absolute} must be a number from 0"));
        }
        if self.divergence.is_nan() || self.divergence < 1.0 {
            return fail(format!("divergence limit {} must be at least 1", self.divergence));
        }
        Ok(())
    }

    /// Refuses vectors of another length than the own rows of `space`, and values that are not finite.
    pub(super) fn check_vectors(&self, space: &Space, b: &[f64], x: &[f64]) -> Result<()> {
        let target = match self.criterion {
            Criterion::AbsoluteError(target) => Some(("the known solution x*", target)),
            _ => None,
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
