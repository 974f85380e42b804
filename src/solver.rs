//! An iteration with its stopping rule, and what a solve gives.
use precondor_core::Result;
use precondor_core::config::{SolverConfig, SolverKind};
use precondor_core::matrix::Operator;
use precondor_core::precond::Preconditioner;
use precondor_core::solver::{self, Norm, Report, Step};
use std::ops::ControlFlow;

/// An iteration with its stopping rule: what the section `[solver]` of a configuration says.
///
/// Unless told otherwise it stops at ‖b − Ax‖₂ ≤ 10⁻⁵ ‖b‖₂, or after 10 000 iterations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Solver {
    config: SolverConfig,
}

/// A solution, and how it was come by.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// x, on the rows that this rank owns.
    pub x: Vec<f64>,
    /// Outcome, iterations, history, residuals.
    pub report: Report,
}

impl Solver {
    fn of(method: SolverKind) -> Self {
        Solver { config: SolverConfig { method, ..SolverConfig::default() } }
    }

    /// Conjugate gradients: A and M symmetric and positive definite.
    pub fn cg() -> Self {
        Self::of(SolverKind::Cg)
    }

    /// Conjugate gradients for an M that changes from application to application.
    pub fn flexible_cg() -> Self {
        Self::of(SolverKind::FlexibleCg)
    }

    /// Minimal residuals: A symmetric, M symmetric and positive definite.
    pub fn minres() -> Self {
        Self::of(SolverKind::Minres)
    }

    /// GMRES, restarted after so many iterations.
    pub fn gmres(restart: usize) -> Self {
        let mut solver = Self::of(SolverKind::Gmres);
        solver.config.restart = Some(restart);
        solver
    }

    /// GMRES for an M that changes from application to application.
    pub fn flexible_gmres(restart: usize) -> Self {
        let mut solver = Self::of(SolverKind::FlexibleGmres);
        solver.config.restart = Some(restart);
        solver
    }

    /// Stabilised bi-conjugate gradients.
    pub fn bicgstab() -> Self {
        Self::of(SolverKind::Bicgstab)
    }

    /// x ← x + ω M (b − A x).
    pub fn richardson(damping: f64) -> Self {
        let mut solver = Self::of(SolverKind::Richardson);
        solver.config.damping = Some(damping);
        solver
    }

    /// Stop when the relative residual is at most this.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.config.tolerance = tolerance;
        self
    }

    /// Stop, too, when the norm of the residual, not relative to b, is at most this.
    pub fn absolute_tolerance(mut self, tolerance: f64) -> Self {
        self.config.absolute_tolerance = Some(tolerance);
        self
    }

    /// The norm of residuals; the unpreconditioned one unless given.
    pub fn norm(mut self, norm: Norm) -> Self {
        self.config.norm = Some(norm);
        self
    }

    /// Iterations allowed.
    pub fn max_iterations(mut self, most: usize) -> Self {
        self.config.max_iterations = most;
        self
    }

    /// What is set.
    pub fn config(&self) -> &SolverConfig {
        &self.config
    }

    /// Solves A x = b from x = 0. `b` holds the rows that this rank owns. Collective.
    ///
    /// # Errors
    /// As [`solve_from`](Solver::solve_from).
    pub fn solve(&self, a: &dyn Operator, m: &dyn Preconditioner, b: &[f64]) -> Result<Solution> {
        let mut x = vec![0.0; b.len()];
        let report = self.solve_from(a, m, b, &mut x, &mut |_| ControlFlow::Continue(()))?;
        Ok(Solution { x, report })
    }

    /// Solves A x = b from `x`, which holds the last iterate then; `watch` sees every iteration, and may
    /// end the solve. A solve that does not converge is no error: the
    /// [`outcome`](Report::outcome) of the report says how it ended. Collective.
    ///
    /// # Errors
    /// As
    /// [`solve`](precondor_core::solver::solve()).
    pub fn solve_from(
        &self,
        a: &dyn Operator,
        m: &dyn Preconditioner,
        b: &[f64],
        x: &mut [f64],
        watch: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Report> {
        let stop = self.config.stop(None);
        solver::solve(&self.config.algorithm(), a, m, b, x, &stop, watch)
    }
}
