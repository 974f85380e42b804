//! Numerics that several methods share. Plugins never depend on each other: they meet here.
pub mod batch;
pub mod chebyshev;
pub mod chunks;
pub mod dense_rows;
pub mod fsai;
pub mod gather;
pub mod grid;
pub mod lanczos;
pub mod least_squares;
pub mod pattern;
pub mod random;
pub mod reach;
pub mod remote;
pub mod sine;
pub mod symmetric;
pub mod triangular;
pub mod wrap;
