//! Solving with PETSc, where this program is built with it.
#[cfg(not(feature = "petsc"))]
mod absent;
#[cfg(feature = "petsc")]
mod lent;
#[cfg(feature = "petsc")]
mod options;
#[cfg(feature = "petsc")]
mod petsc;

#[cfg(not(feature = "petsc"))]
pub use absent::{Kept, follow, measure, measure_kept};
#[cfg(feature = "petsc")]
pub use petsc::{Kept, follow, measure, measure_kept};
