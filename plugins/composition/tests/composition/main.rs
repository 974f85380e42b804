//! Methods put together, against dense formulas, on saddle point systems, and what is refused.
#![allow(clippy::unwrap_used)]
mod composite;
use precondor_testkit::dense;
mod fieldsplit;
mod refuse;
mod stokes;
mod support;
use precondor_testkit::systems;
