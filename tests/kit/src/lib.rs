//! What the tests of all crates share.
//!
//! | module | what |
//! |---|---|
//! | [`program`] | folders for a test, programs that are run and what they said |
//! | [`mpirun`] | programs under `mpirun`, with a time limit |
//! | [`documents`] | commands that documents show |
//! | [`compile`] | plugins in C |
//! | [`algebra`], [`matrices`], [`dense`] | small dense matrices to compare with; matrices to try |
//! | [`suite`], [`world`] | what the core's tests share; what holds in every world of ranks |
//! | [`ranks`] | a system spread over ranks, and ranks that fail at will |
//! | [`learning`], [`learning_ranks`] | training without a host, on one rank and on several |
//! | [`methods`], [`patience`], [`threads`] | hosts: one that offers methods, one that ends setups, one that lends threads |
//! | [`systems`], [`neumann`], [`elasticity`] | saddle points; singular systems and a cantilever in files |
//! | [`families`], [`foreign`], [`grids`] | families of matrices to measure on; matrices unlike those of a training |
//! | [`springs`] | a family of problems that is not shipped |
//! | [`shipped`] | shipped models and the configurations that made them |
//! | [`processor`], [`memory`] | what a benchmark takes |
#![deny(missing_docs)]
#![allow(clippy::unwrap_used, reason = "tests may")]

pub mod algebra;
pub mod compile;
pub mod dense;
pub mod documents;
pub mod elasticity;
pub mod families;
pub mod foreign;
pub mod grids;
pub mod learning;
pub mod learning_ranks;
pub mod matrices;
pub mod memory;
pub mod methods;
pub mod mpirun;
pub mod neumann;
pub mod patience;
pub mod processor;
pub mod program;
pub mod ranks;
pub mod shipped;
pub mod springs;
pub mod suite;
pub mod systems;
pub mod threads;
pub mod world;
