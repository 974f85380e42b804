//! Reference solves: the inverse of an unperturbed matrix as a preconditioner, bare and wrapped.
//!
//! | method | M |
//! |---|---|
//! | [`FastPoisson`] | A0⁻¹, A0 the separable operator nearest to A, by fast transforms |
//! | [`Reference`] | P A0⁻¹ Pᵀ in smoothing on both sides or one, A0⁻¹ by `fast-poisson` or any method by name |
#![deny(missing_docs)]
mod bad;
mod fast_poisson;
mod params;
mod planes;
mod positions;
mod reference;
mod shifted;
mod single;
mod smoother;
pub mod traffic;
mod transfer;

pub use fast_poisson::{FastPoisson, FastSolve, Params as FastPoissonParams};
pub use params::{Params, Precision, Variant};
pub use positions::Source;
pub use reference::{Reference, Wrapped};
pub use smoother::Kind;

precondor_sdk::export_plugin!(Reference, FastPoisson);
