//! Reference solves: the inverse of an unperturbed matrix as a preconditioner, bare and wrapped.
//!
//! | method | M |
//! |---|---|
//! | [`Sine`] | (s A0)⁻¹, by the fast sine transform |
//! | [`Reference`] | P (s A0)⁻¹ Pᵀ in symmetric smoothing, A0⁻¹ by `sine` or any method by name |
#![deny(missing_docs)]
mod reference;
mod sine;
mod smoother;
pub mod traffic;

pub use reference::{Params, Reference, Wrapped};
pub use sine::{Params as SineParams, Sine, SineSolve};
pub use smoother::Kind;

precondor_sdk::export_plugin!(Reference, Sine);
