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
//! Libraries are leaked: what they made may outlive everything that could say when to unload them.
#![deny(missing_docs)]

mod chain;
mod child;
mod here;
mod library;
mod method;
mod nested;
mod plugins;
mod probe;
mod search;
mod services;
mod trust;

pub use child::{Asked, Printed, Step, answer, ask, tell};
pub use library::{accept, load_library};
pub use nested::fault;
pub use plugins::{Library, Plugins, Problem};
pub use probe::{MethodInfo, PATIENCE, PROBE, probe, probe_child};
pub use search::{Candidate, Found, Search};
pub use services::{Onlooker, Progress, services};
