//! Methods put together, against dense formulas, on saddle point systems, and what is refused.
#![allow(clippy::unwrap_used)]
mod composite;
#[path = "../../../../tests/support/dense.rs"]
mod dense;
mod fieldsplit;
mod refuse;
mod stokes;
mod support;
#[path = "../support/systems.rs"]
mod systems;
