//! Iterative solvers, one file each, behind [`solve`].
use std::ops::ControlFlow;

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
    /// Give up when the measure exceeds this many times its initial value.
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

/// Who looks on while a solve goes; may ask to stop. Called on all ranks.
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
