//! Tests of the core through its public interface.
#![allow(clippy::unwrap_used)]
mod collectives;
mod fallback;
mod files;
mod kernels;
mod matrices;
mod moved;
mod norms;
mod ranks;
mod rectangle;
mod rows;
mod singular;
mod solvers;
mod split;
mod traffic;
mod units;

use precondor_testkit::{suite as common, world};
