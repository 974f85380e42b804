//! Finds, checks and loads plugins, and lends them threads, a log and files.
//!
//! ```no_run
//! # fn main() -> precondor_core::Result<()> {
//! use precondor_host::{Plugins, Search};
//! let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() })?;
//! let jacobi = plugins.registry().get("jacobi")?;
//! println!("{} {}, {}", jacobi.name(), jacobi.version(), jacobi.origin());
//! # Ok(()) }
//! ```
//!
//! Plugins are loaded on Linux only; elsewhere every load is an error that says so.
//!
//! A library that was seen before is opened when one of its methods is to do something (`index.rs`, `deferred.rs`); one that
//! was not, in a program that cannot look at it in a child, when a method is asked for that it may have (`unseen.rs`).
//! Libraries are leaked: what they made may outlive everything that could say when to unload them.
#![deny(missing_docs)]

mod chain;
pub mod child;
mod deferred;
mod family;
mod here;
mod index;
mod library;
mod method;
mod nested;
mod plugins;
mod probe;
mod search;
mod services;
mod sight;
#[cfg(unix)]
mod trust;
#[cfg(not(unix))]
mod trust {
    //! Where files have owners and permissions of another kind, none is loaded.
    use precondor_core::Result;
    use std::path::{Path, PathBuf};

    pub(crate) fn check(_: &Path) -> Result<PathBuf> {
        Err(crate::library::elsewhere())
    }
}

mod unseen;

pub use library::{Contents, accept, load_library};
pub use nested::fault;
pub use plugins::{Library, Plugins, Problem};
pub use precondor_abi::HEADER;
pub use probe::{
    LibraryInfo, MethodInfo, PATIENCE, PROBE, ProblemInfo, look_in_children, probe, probe_child,
};
pub use search::{Candidate, Found, Search};
pub use services::{Onlooker, Progress, services};
