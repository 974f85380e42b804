//! Which iteration, and what it asks of A, M and the norm.
use super::stop::{Criterion, Norm, Stop};
use crate::precond::Preconditioner;
use crate::{Error, Result};

/// A solver and its own parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// x ← x + ω M (b − A x).
    Richardson {
        /// ω.
        damping: f64,
    },
    /// Conjugate gradients, for symmetric positive definite A and M.
    Cg,
    /// Conjugate gradients for positive definite preconditioners that change from application to
    /// application.
    FlexibleCg,
    /// Minimal residuals, for symmetric A, definite or not, and symmetric positive definite M.
    Minres,
    /// Generalised minimal residuals, right-preconditioned, restarted.
    Gmres {
        /// Iterations between restarts.
        restart: usize,
    },
    /// The same, left-preconditioned: what it minimises, and measures, is ‖M(b − Ax)‖₂.
    LeftGmres {
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

/// Growth of the residual of Richardson's iteration that nothing but divergence explains in practice.
const RICHARDSON_GROWTH: f64 = 1e30;

impl Algorithm {
    /// What a user types.
    pub fn name(&self) -> &'static str {
        match self {
            Algorithm::Richardson { .. } => "richardson",
            Algorithm::Cg => "cg",
            Algorithm::FlexibleCg => "flexible-cg",
            Algorithm::Minres => "minres",
            Algorithm::Gmres { .. } | Algorithm::LeftGmres { .. } => "gmres",
            Algorithm::FlexibleGmres { .. } => "flexible-gmres",
            Algorithm::Bicgstab => "bicgstab",
        }
    }

    /// Whether the method measures residuals in `norm`, at no more than a reduction an iteration.
    pub fn has(&self, norm: Norm) -> bool {
        match self {
            Algorithm::Cg | Algorithm::FlexibleCg | Algorithm::Minres => true,
            Algorithm::Richardson { .. } => norm != Norm::Natural,
            Algorithm::LeftGmres { .. } => norm == Norm::Preconditioned,
            Algorithm::Gmres { .. } | Algorithm::FlexibleGmres { .. } | Algorithm::Bicgstab => {
                norm == Norm::Unpreconditioned
            }
        }
    }

    /// Why the method cannot measure in `norm`, if so.
    pub fn refuses(&self, norm: Norm) -> Option<String> {
        let own = match self {
            _ if self.has(norm) => return None,
            Algorithm::LeftGmres { .. } => {
                "gmres with side = 'left' measures the preconditioned residual: norm = 'preconditioned'"
            }
            Algorithm::Gmres { .. } => {
                "gmres with side = 'right' measures the unpreconditioned residual; with side = 'left' \
                 it measures the preconditioned one"
            }
            Algorithm::Richardson { .. } => {
                "richardson measures the unpreconditioned or the preconditioned residual; the natural \
                 norm belongs to cg and minres"
            }
            _ => "it is right-preconditioned, and measures the unpreconditioned residual",
        };
        Some(format!("{} does not have the {} norm: {own}", self.name(), norm.name()))
    }

    /// A limit of [`Stop::divergence`] that stops nothing which would converge: none for Krylov
    /// methods, whose residual may grow by any factor on the way. Richardson's
    /// iteration is given up at 1e30: a matrix I − ωMA whose powers grow that far and then vanish does
    /// not occur.
    pub fn divergence(&self) -> f64 {
        match self {
            Algorithm::Richardson { .. } => RICHARDSON_GROWTH,
            _ => f64::INFINITY,
        }
    }

    /// What errors call a method that needs a symmetric A and a symmetric positive definite M.
    pub(super) fn symmetric(&self) -> Option<&'static str> {
        match self {
            Algorithm::Cg => Some("the method of conjugate gradients"),
            Algorithm::FlexibleCg => Some("flexible-cg"),
            Algorithm::Minres => Some("minres"),
            _ => None,
        }
    }

    /// Refuses parameters that make no sense, alone or with this criterion.
    pub(super) fn check(&self, stop: &Stop) -> Result<()> {
        let fail = |text: String| Err(Error::Parameter(text));
        if let Criterion::Residual { norm, .. } = stop.criterion
            && let Some(why) = self.refuses(norm)
        {
            return Err(Error::Unsupported(why));
        }
        match *self {
            // The error is measured, whatever the residual would be.
            Algorithm::LeftGmres { .. }
                if matches!(stop.criterion, Criterion::RelativeResidual) =>
            {
                let why = self.refuses(Norm::Unpreconditioned).unwrap_or_default();
                Err(Error::Unsupported(why))
            }
            Algorithm::Richardson { damping } if damping == 0.0 || !damping.is_finite() => {
                fail(format!("damping {damping} must be a finite number other than 0"))
            }
            Algorithm::Gmres { restart: 0 }
            | Algorithm::LeftGmres { restart: 0 }
            | Algorithm::FlexibleGmres { restart: 0 } => fail("restart must be at least 1".into()),
            _ => Ok(()),
        }
    }

    /// Refuses an M that the method cannot work with.
    pub(super) fn check_preconditioner(&self, m: &dyn Preconditioner) -> Result<()> {
        let is = m.properties();
        let flexible = match self {
            Algorithm::Cg => Some("flexible-cg"),
            Algorithm::Richardson { .. }
            | Algorithm::FlexibleCg
            | Algorithm::FlexibleGmres { .. } => None,
            _ => Some("flexible-gmres"),
        };
        if let Some(use_this) = flexible.filter(|_| !is.constant) {
            return Err(Error::Unsupported(format!(
                "{} needs a preconditioner that is the same in every iteration, and this one is not; \
                 use {use_this}",
                self.name()
            )));
        }
        if let Some(who) = self.symmetric().filter(|_| !is.positive_definite) {
            let is = match is.symmetric {
                true => "not known to be positive definite",
                false => "not symmetric",
            };
            return Err(Error::Unsupported(format!(
                "{who} needs a symmetric positive definite preconditioner, and this one is {is}; use \
                 gmres or bicgstab, or say assume = 'spd' where it is nevertheless"
            )));
        }
        Ok(())
    }
}
