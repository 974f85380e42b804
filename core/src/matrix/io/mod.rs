//! Matrices and vectors in files.
pub mod boeing;
pub mod hypre_ij;
mod lines;
pub mod matrix_market;
pub mod numpy;
pub mod petsc_binary;
mod rows;
pub mod scipy;
mod source;
mod stream;
