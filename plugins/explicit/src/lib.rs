//! Inverses as matrices: the exact one, and any explicit one made sparser and smaller.
//!
//! | method | M |
//! |---|---|
//! | [`Inverse`] | A⁻¹, dense |
//! | [`Filter`] | another method's M without its small entries, symmetrized, in fewer bits, or split into a coarse and a sparse part |
#![deny(missing_docs)]
mod coarse;
mod dense;
mod filter;
mod inverse;
mod largest;
mod rows;
mod stored;

pub use filter::{Filter, Filtered, Params, Precision};
pub use inverse::{Exact, Inverse, Params as InverseParams, ROWS};

precondor_sdk::export_plugin!(Inverse, Filter);
