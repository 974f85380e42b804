//! Numerics that several methods share. Plugins never depend on each other: they meet here.

pub mod sine;
pub mod triangular;
