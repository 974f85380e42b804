//! Numerics that several methods share. Plugins never depend on each other: they meet here.

pub mod lanczos;
pub mod random;
pub mod sine;
pub mod symmetry;
pub mod triangular;
