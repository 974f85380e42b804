//! Solves sparse linear systems A x = b with preconditioners that are chosen by name.
//!
//! ```no_run
//! use precondor::prelude::*;
//!
//! # fn main() -> precondor::Result<()> {
//! // −x″ = 1 on five nodes.
//! let row_ptr = vec![0, 2, 5, 8, 11, 13];
//! let cols = vec![0, 1, 0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4];
//! let values = vec![2.0, -1.0, -1.0, 2.0, -1.0, -1.0, 2.0, -1.0, -1.0, 2.0, -1.0, -1.0, 2.0];
//! let methods = Methods::find()?;
//! let system = methods.system(Csr::new(5, row_ptr, cols, values)?)?;
//! let m = methods.make("ic", json!({}), &system)?;
//! let solution = Solver::cg().tolerance(1e-10).solve(system.a(), &*m, &[1.0; 5])?;
//! println!("{} iterations: x = {:?}", solution.report.iterations, solution.x);
//! # Ok(()) }
//! ```
//!
//! | to … | read |
//! |---|---|
//! | find methods by name, link them in, add your own | [`Methods`] |
//! | set an iteration up and solve | [`Solver`] |
//! | solve systems that follow each other | [`Sequence`] |
//! | see how a solve went | [`Report`](core::solver::Report) |
//! | carry out a configuration | [`Config`] |
//! | find the method and the parameters that take least | `tune`, of the feature `report` |
//! | bring a matrix | [`Csr`](core::matrix::Csr), [`matrix_market`](core::matrix::io::matrix_market), [`System`](core::system::System) |
//! | solve with a product alone, without a matrix | [`Operator`](core::matrix::Operator) |
//! | see whether a method keeps its word | [`check`] |
//! | write a method | [`Generator`](core::precond::Generator) |
//!
//! # Where methods come from
//!
//! A method is a shared library that is found when a program starts, or it is linked in: with the feature
//! `linked` all that are shipped are, with `linked-ilu` and its like one family. The feature `cli`, on
//! unless `default-features = false`, builds the program `precondor`, and `libraries` the shipped methods
//! as libraries beside it. A program that is to carry all it needs depends on
//!
//! ```toml
//! precondor = { version = "0.1", default-features = false, features = ["linked"] }
//! ```
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod check;
pub mod config;
mod launcher;
#[cfg(feature = "report")]
#[doc(hidden)]
pub mod measure;
mod methods;
#[cfg(feature = "report")]
pub mod models;
#[cfg(feature = "report")]
pub mod report;
mod sequence;
mod solver;
#[cfg(feature = "report")]
pub mod tune;

pub use config::{Config, Solved};
pub use launcher::launched;
pub use methods::{Methods, linked};
pub use precondor_core as core;
pub use precondor_core::{Error, Result};
pub use precondor_host::Search;
pub use sequence::{Sequence, Totals};
pub use solver::{Solution, Solver};
pub use {schemars, serde, serde_json};

/// What most programs need.
pub mod prelude {
    pub use crate::{Config, Methods, Sequence, Solution, Solver};
    pub use precondor_core::matrix::Operator;
    pub use precondor_core::prelude::*;
    pub use precondor_core::registry::Native;
    pub use precondor_core::reuse::Reuse;
    pub use precondor_core::solver::Outcome;
    pub use serde_json::json;
}

/// The program of the guide's page compiles.
#[cfg(doctest)]
#[doc = include_str!("../docs/rust.md")]
struct Guide;
