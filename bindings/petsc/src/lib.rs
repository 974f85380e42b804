//! Precondor in PETSc, and PETSc in Rust; no PETSc is needed at build time.
//!
//! * [`api`]: PETSc's functions, looked up in the libpetsc that runs in the process.
//! * [`matrix`]: PETSc's matrices as ours.
//! * [`pc`]: every method as a preconditioner of PETSc; what `libprecondor_petsc.so` is loaded for.
//!
//! Empty without the feature `petsc`, which needs MPI.
#[cfg(feature = "petsc")]
pub mod api;
#[cfg(feature = "petsc")]
pub mod matrix;
#[cfg(feature = "petsc")]
pub mod pc;
