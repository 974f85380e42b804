//! The library from outside: its methods on fresh systems, its training, its shipped models.
#![allow(clippy::unwrap_used)]

mod configurations;
mod counts;
mod fsai;
mod methods;
mod ranks;
mod training;
mod training_ranks;

use precondor_testkit::learning as support;
use precondor_testkit::learning_ranks;
