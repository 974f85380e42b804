//! Systems that follow each other: each solve goes on from the one before.
use crate::{Solution, Solver};
use precondor_core::host::Host;
use precondor_core::instance::{Counts, Kept, Setup};
use precondor_core::precond::Preconditioner;
use precondor_core::registry::DynGenerator;
use precondor_core::reuse::{Last, Reuse, Solve};
use precondor_core::solver::{Outcome, Report};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Systems that follow each other, time steps or Newton's: a preconditioner goes on from one to the next as [`Reuse`] says,
/// and each solve starts from the last solution where that is asked for. Made by [`Methods::sequence`](crate::Methods::sequence).
///
/// ```no_run
/// use precondor::prelude::*;
///
/// # fn systems() -> Vec<(System, Vec<f64>)> { Vec::new() }
/// # fn main() -> precondor::Result<()> {
/// let methods = Methods::find()?;
/// let sequence = methods.sequence("amg", json!({}), Solver::cg().tolerance(1e-8))?;
/// let mut sequence = sequence.reuse(Reuse::Adaptive).warm_start(true);
/// for (system, b) in systems() {
///     let solution = sequence.solve(&system, &b)?;
///     println!("{} iterations, M {}", solution.report.iterations, sequence.setup().name());
/// }
/// println!("{:?}", sequence.totals());
/// # Ok(()) }
/// ```
pub struct Sequence {
    method: Arc<dyn DynGenerator>,
    params: Value,
    host: Arc<dyn Host>,
    solver: Solver,
    kept: Kept,
    warm: bool,
    last: Last,
    systems: [usize; 2],
    iterations: usize,
}

/// What the solves of a sequence took together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Systems.
    pub systems: usize,
    /// Those that were solved.
    pub converged: usize,
    /// Iterations of all solves.
    pub iterations: usize,
    /// How often M was set up, refreshed and left as it was.
    pub made: Counts,
}

impl Sequence {
    pub(crate) fn new(
        (method, params): (&Arc<dyn DynGenerator>, Value),
        host: Arc<dyn Host>,
        solver: Solver,
    ) -> Self {
        Sequence {
            host,
            kept: Kept::new(method, &params),
            method: Arc::clone(method),
            params,
            solver,
            warm: false,
            last: Last::default(),
            systems: [0; 2],
            iterations: 0,
        }
    }

    /// Before its first system: when M is made anew; [`Reuse::Refresh`] unless said.
    #[must_use]
    pub fn reuse(self, reuse: Reuse) -> Self {
        self.reusing(reuse, None)
    }

    /// Before its first system: M is made anew where that pays, a setup being worth so many iterations.
    #[must_use]
    pub fn adaptive(self, setup_cost: f64) -> Self {
        self.reusing(Reuse::Adaptive, Some(setup_cost))
    }

    fn reusing(self, reuse: Reuse, setup_cost: Option<f64>) -> Self {
        let kept = Kept::new(&self.method, &self.params).reusing(reuse, setup_cost);
        Sequence { kept, ..self }
    }

    /// Whether each solve starts from the last solution that was good.
    #[must_use]
    pub fn warm_start(self, warm: bool) -> Self {
        Sequence { warm, ..self }
    }

    /// Solves the next system. Where M was left as it was and the solve fails, it goes on with an M that is made anew. One that
    /// does not converge is no error. Collective.
    ///
    /// # Errors
    /// What the method reports, and as [`Solver::solve_from`]; the sequence goes on from the last good solution.
    pub fn solve(&mut self, system: &System, b: &[f64]) -> Result<Solution> {
        let space = system.a().space();
        let start = self.last.start(space).filter(|_| self.warm).map(<[f64]>::to_vec);
        let start = start.unwrap_or_else(|| vec![0.0; system.a().n_own()]);
        self.systems[0] += 1;
        let mut x = start.clone();
        let mut report = self.once(false, system, b, &mut x)?;
        if report.outcome != Outcome::Converged && self.kept.setup() == Setup::Kept {
            // Where it is no better, or no number, from the beginning.
            let further = report.true_relative_residual < 1.0;
            if !further {
                x = start;
            }
            report = self.once(true, system, b, &mut x)?.after(report);
        }
        if report.outcome == Outcome::Converged {
            self.systems[1] += 1;
            self.last.keep(space, &x);
        }
        Ok(Solution { x, report })
    }

    fn once(&mut self, anew: bool, system: &System, b: &[f64], x: &mut [f64]) -> Result<Report> {
        let name = self.method.name();
        let lent = system.clone().with_host(Arc::clone(&self.host));
        let made = if anew { self.kept.renew(&lent) } else { self.kept.update(&lent) };
        let m: &dyn Preconditioner = made.map_err(|e: Error| e.inside(name))?;
        let report =
            self.solver.solve_from(system.a(), m, b, x, &mut |_| ControlFlow::Continue(()))?;
        self.kept.solved(Solve::from(&report));
        self.iterations += report.iterations;
        Ok(report)
    }

    /// How M was come by for the last system.
    pub fn setup(&self) -> Setup {
        self.kept.setup()
    }

    /// What all solves took together.
    pub fn totals(&self) -> Totals {
        let [systems, converged] = self.systems;
        Totals { systems, converged, iterations: self.iterations, made: self.kept.counts() }
    }
}
