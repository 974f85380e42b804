//! Matrices and vectors in files.
pub mod hypre_ij;
mod lines;
pub mod matrix_market;
pub mod petsc_binary;
mod rows;
mod source;
