//! Solving with PETSc, where this program is built with it.
#[cfg(not(feature = "petsc"))]
mod absent;
#[cfg(feature = "petsc")]
mod petsc;

#[cfg(not(feature = "petsc"))]
pub use absent::{Kept, follow, measure};
#[cfg(feature = "petsc")]
pub use petsc::{Kept, follow, measure};
