//! The extension module of the Python package `precondor`: methods by name, solvers, model problems and files.
//!
//! What Python sees is written in Python (`python/precondor/`); this module has what needs Rust. Arrays come in as they
//! are (`arrays.rs`), parameters and results as JSON, and no method works while the interpreter is held.
//!
//! Without the feature `extension` there is nothing here.
#![deny(missing_docs)]

#[cfg(feature = "extension")]
mod arrays;
#[cfg(feature = "extension")]
mod callback;
#[cfg(feature = "extension")]
mod error;
#[cfg(feature = "extension")]
mod interpreter;
#[cfg(feature = "extension")]
mod methods;
#[cfg(feature = "extension")]
mod preconditioner;
#[cfg(feature = "extension")]
mod problem;
#[cfg(feature = "extension")]
mod register;
#[cfg(feature = "extension")]
mod report;
#[cfg(feature = "extension")]
mod solve;
#[cfg(feature = "extension")]
mod suite;
#[cfg(feature = "extension")]
mod system;
#[cfg(feature = "extension")]
mod train;
#[cfg(feature = "extension")]
mod triangular;
#[cfg(feature = "extension")]
mod tune;

#[cfg(feature = "extension")]
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::interpreter::end;
    #[pymodule_export]
    use crate::methods::{describe, load_library, methods_there, passed_over, problems, threads};
    #[pymodule_export]
    use crate::preconditioner::{Preconditioner, check_policy, load};
    #[pymodule_export]
    use crate::problem::{problem, read, read_vector};
    #[pymodule_export]
    use crate::register::{check_method, register};
    #[pymodule_export]
    use crate::report::{forms_of_report, write_report};
    #[pymodule_export]
    use crate::solve::{run, solve};
    #[pymodule_export]
    use crate::suite::over_systems;
    #[pymodule_export]
    use crate::system::System;
    #[pymodule_export]
    use crate::train::train;
    #[pymodule_export]
    use crate::tune::tune;

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
