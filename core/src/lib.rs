//! The heart of Precondor: what a preconditioner *is*, and the distributed matrices, solvers and
//! model problems around it.
//!
//! This crate knows nobody: no plugin loading, no MPI, no `unsafe`. Plugins are written against it
//! through `precondor-sdk`; `precondor-host` adapts loaded libraries to the same traits.
//!
//! | to … | read |
//! |---|---|
//! | write a method | [`precond::Generator`], [`precond::Preconditioner`] |
//! | build a matrix | [`matrix::Csr`], [`matrix::DistCsr`] |
//! | solve | [`solver::solve`] |
//! | choose a method by name | [`registry::Registry`] |
//! | save and load a preconditioner | [`persist`] |
//! | set one up by a method's name, or read it | [`ready::Ready`] |
//! | keep a preconditioner while values change | [`instance::Kept`] |
//! | give a method the unknowns in another order | [`reordered::Reordered`] |
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod comm;
pub mod config;
mod error;
pub mod file;
pub mod host;
pub mod input;
pub mod instance;
pub mod invariance;
pub mod kernel;
pub mod matrix;
pub mod memory;
pub mod persist;
pub mod precond;
pub mod problem;
pub mod ready;
pub mod registry;
pub mod reordered;
pub mod reuse;
pub mod schema;
pub mod solver;
pub mod system;
pub mod train;
pub mod words;

pub use error::{Error, Result};

/// The names a method or a solver program needs.
pub mod prelude {
    pub use crate::comm::{Comm, Communicator};
    pub use crate::host::Host;
    pub use crate::instance::Instance;
    pub use crate::invariance::Invariances;
    pub use crate::matrix::{Csr, CsrView, DistCsr, Space};
    pub use crate::precond::{Capabilities, Generator, Preconditioner, Properties};
    pub use crate::system::System;
    pub use crate::{Error, Result};
}
