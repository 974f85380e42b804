//! A program that is built without PETSc.
use crate::experiment::Task;
use crate::measure::Measured;
use crate::session::Session;
use precondor::config::backend::WITHOUT;
use precondor_core::config::{MethodConfig, SolverConfig};
use precondor_core::instance::{self, Setup};
use precondor_core::reuse::Reuse;
use precondor_core::solver::Step;
use precondor_core::{Error, Result};
use std::sync::{Arc, Mutex};

/// Nothing.
pub struct Kept;

impl Kept {
    pub fn new(_: Reuse, _: Option<f64>) -> Self {
        Kept
    }
}

/// Says so.
pub fn follow(
    _: &mut Kept,
    _: &Session,
    _: &Task,
    _: Option<&MethodConfig>,
    _: &SolverConfig,
    _: &mut dyn FnMut(&Step),
) -> Result<(Measured, Setup)> {
    Err(Error::Unsupported(WITHOUT.into()))
}

/// Says so.
pub fn measure_kept(
    _: &Session,
    _: &Task,
    _: (Option<&MethodConfig>, &Arc<Mutex<instance::Kept>>),
    _: &SolverConfig,
    _: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    Err(Error::Unsupported(WITHOUT.into()))
}

/// Says so.
pub fn measure(
    _: &Session,
    _: &Task,
    _: Option<&MethodConfig>,
    _: &SolverConfig,
    _: &mut dyn FnMut(&Step),
) -> Result<Measured> {
    Err(Error::Unsupported(WITHOUT.into()))
}
