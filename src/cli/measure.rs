//! One solve, measured, which a signal or the end of its time may end.
use crate::backend;
use crate::experiment::Task;
use crate::fallback::Plan;
use crate::session::Session;
use crate::traffic::Meter;
use crate::{interrupt, limit};
use precondor::config;
#[cfg(feature = "petsc")]
pub use precondor::measure::measured;
pub use precondor::measure::{Measured, name, parameters, told};
use precondor_core::Result;
use precondor_core::config::{Backend, MethodConfig, SolverConfig};
use precondor_core::ready::Ready;
use precondor_core::solver::Step;
use std::ops::ControlFlow;

/// Sets up the preconditioner (none: M = I), which a signal may end. Collective.
pub fn set_up(session: &Session, task: &Task, method: Option<&MethodConfig>) -> Result<Ready> {
    interrupt::guarded(|| config::solve::set_up(session, task, method))
}

/// x*, to a thousandth of `tolerance`, which a signal may end. Collective.
pub fn exact(session: &Session, task: &Task, tolerance: f64) -> Result<Vec<f64>> {
    interrupt::guarded(|| config::exact::solution(session, task, tolerance, &interrupt::asked))
}

/// Sets up the preconditioner and solves, as `plan` says where M fails. `exact` is x*, for the rule
/// that needs it. Collective.
pub fn measure(
    session: &Session,
    task: &Task,
    method: Option<&MethodConfig>,
    (solver, plan): (&SolverConfig, &Plan),
    exact: Option<&[f64]>,
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    if solver.backend == Backend::Petsc {
        return backend::measure(session, task, method, solver, watch);
    }
    let meter = session.meter();
    let made = set_up(session, task, method)?;
    measure_with(session, task, (method, &made, meter), (solver, plan), exact, watch)
}

/// As [`measure`], with an M that is there and who has counted since before it was. Collective.
pub fn measure_with(
    session: &Session,
    task: &Task,
    with: (Option<&MethodConfig>, &Ready, Meter<'_>),
    how: (&SolverConfig, &Plan),
    exact: Option<&[f64]>,
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    let mut watch = |step: &Step| {
        watch(step);
        let over = interrupt::asked() || limit::passed();
        if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let make = |method: &_| set_up(session, task, Some(method));
    interrupt::gracefully(|| {
        precondor::measure::measure_with(session, task, with, how, exact, &make, &mut watch)
    })
}
