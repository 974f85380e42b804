//! Precondor in PETSc, and PETSc in Rust; no PETSc is needed at build time.
//!
//! * [`Petsc`], [`Vec`], [`Mat`], [`Ksp`], [`Pc`], [`Options`], [`Viewer`]: PETSc from Rust.
//! * [`api`]: PETSc's functions, looked up in the libpetsc that runs in the process.
//! * [`matrix`]: PETSc's matrices as ours.
//! * [`pc`]: every method as a preconditioner of PETSc; what `libprecondor_petsc.so` is loaded for.
//!
//! Without the feature `petsc`, which needs MPI, there is nothing here but a word about that for a PETSc
//! that loads the library.
//!
//! # PETSc from Rust
//!
//! Safe code cannot bring PETSc down. An object exists only where PETSc is initialised, and keeps it
//! so; it is destroyed when it is dropped, and cannot leave its thread. Every call returns a
//! [`Result`]: PETSc's own message with its [traceback](Error::traceback), which is not printed;
//! lengths and ranks that do not fit are refused before PETSc sees them; errors and panics of closures
//! that PETSc calls come back from the call that it was in.
//!
//! ```no_run
//! use precondor_petsc::{Ksp, Mat, Norm, Petsc, Ranks, Tolerances, Vec};
//!
//! # fn main() -> precondor_petsc::Result<()> {
//! let petsc = Petsc::init(&["-ksp_converged_reason"])?;
//! // −u'' on three nodes.
//! let a = Mat::from_rows(
//!     &petsc,
//!     Ranks::One,
//!     3,
//!     &[0, 2, 5, 7],
//!     &[0, 1, 0, 1, 2, 1, 2],
//!     &[2.0, -1.0, -1.0, 2.0, -1.0, -1.0, 2.0],
//! )?;
//! let b = Vec::from_slice(&petsc, Ranks::One, &[1.0, 1.0, 1.0])?;
//! let mut x = b.like()?;
//!
//! let mut ksp = Ksp::new(&petsc, Ranks::One)?;
//! ksp.set_operators(&a, &a)?.set_type("cg")?.set_norm(Norm::Unpreconditioned)?;
//! ksp.set_tolerances(&Tolerances { relative: 1e-10, ..Tolerances::default() })?;
//! ksp.monitor(|iteration, residual| {
//!     println!("{iteration}: {residual:.1e}");
//!     Ok(())
//! })?;
//! ksp.pc()?.set_type("icc")?;
//! ksp.set_from_options()?;
//! let reason = ksp.solve(&b, &mut x)?;
//! println!("{reason} after {} iterations: {:?}", ksp.iterations()?, x.to_vec()?);
//!
//! drop((a, b, x, ksp));
//! petsc.finalize()
//! # }
//! ```
//!
//! A preconditioner of Precondor takes the place of PETSc's with [`Pc::method`] (by name) or
//! [`Pc::shell`] (anything that implements
//! [`Preconditioner`](precondor_core::precond::Preconditioner)).
//!
//! Under `mpirun` objects of [`Ranks::All`] are spread over all ranks. [`Petsc::init`] starts MPI where
//! nobody has, and [`Petsc::finalize`] then ends it.
#[cfg(not(feature = "petsc"))]
mod absent;
#[cfg(feature = "petsc")]
pub mod api;
#[cfg(feature = "petsc")]
mod binding;
#[cfg(feature = "petsc")]
pub mod matrix;
#[cfg(feature = "petsc")]
pub mod pc;

#[cfg(feature = "petsc")]
pub use binding::*;
