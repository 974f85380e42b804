//! Matrices and vectors in files.
pub mod matrix_market;
