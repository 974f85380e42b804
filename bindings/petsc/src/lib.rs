//! Precondor in PETSc, and PETSc in Rust; no PETSc is needed at build time.
//!
//! * [`api`]: PETSc's functions, looked up in the libpetsc that runs in the process.
//!
//! Empty without the feature `petsc`, which needs MPI.
#[cfg(feature = "petsc")]
pub mod api;
#[cfg(feature = "petsc")]
mod binding;

#[cfg(feature = "petsc")]
pub use binding::*;
