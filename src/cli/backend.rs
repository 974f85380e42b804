//! Solving with PETSc, where this program is built with it.
#[cfg(feature = "petsc")]
mod petsc;

use crate::experiment::Task;
use crate::measure::Measured;
use crate::session::Session;
#[cfg(not(feature = "petsc"))]
use precondor::config::backend::WITHOUT;
#[cfg(not(feature = "petsc"))]
use precondor_core::Error;
use precondor_core::Result;
use precondor_core::config::{MethodConfig, SolverConfig};
use precondor_core::solver::Step;

/// Solves with PETSc.
#[cfg(feature = "petsc")]
pub fn measure(
    session: &Session,
    task: &Task,
    method: Option<&MethodConfig>,
    config: &SolverConfig,
    watch: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    petsc::measure(session, task, method, config, watch)
}

/// Says that there is no PETSc here.
#[cfg(not(feature = "petsc"))]
pub fn measure(
    _: &Session,
    _: &Task,
    _: Option<&MethodConfig>,
    _: &SolverConfig,
    _: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    Err(Error::Unsupported(WITHOUT.into()))
}
