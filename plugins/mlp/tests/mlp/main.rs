//! The library from outside: its methods on fresh systems, its training, its shipped models.
#![allow(clippy::unwrap_used)]

mod configurations;
mod counts;
mod foreign;
mod fsai;
mod grids;
#[path = "../../../../tests/support/learning_ranks.rs"]
mod learning_ranks;
mod methods;
mod ranks;
#[path = "../../../../tests/support/learning.rs"]
mod support;
mod training;
mod training_ranks;
