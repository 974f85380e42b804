//! The library from outside: its methods on fresh systems, its training, its shipped models.
#![allow(clippy::unwrap_used)]

mod configurations;
mod dense;
mod foreign;
mod fsai;
mod grids;
mod methods;
use precondor_testkit::patience;
mod ranks;
mod support;
mod training;
mod training_ranks;
