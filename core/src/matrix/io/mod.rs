//! Matrices and vectors in files.
pub mod matrix_market;
pub mod petsc_binary;
