//! Inverses as matrices: exact, learned, and any explicit one made sparser and smaller.
//!
//! | method | M | file |
//! |---|---|---|
//! | `inverse` | A⁻¹, dense | [`inverse`] |
//! | `filter` | another method's M without its small entries, symmetrized, in fewer bits, or split into a coarse and a sparse part | [`filter`] |
//! | `ridge` | A⁻¹ by linear regression from the bands of A; one size | [`ridge`](mod@ridge) |
//! | `mlp-dense` | A⁻¹ as a network writes it; one size | [`mlp`](mod@mlp) |
//!
//! They are yardsticks: what an approximate inverse could be, and what a network has to beat. What the learned ones
//! share is in [`learned`].
#![deny(missing_docs)]
mod elimination;
pub mod filter;
pub mod inverse;
pub mod learned;
pub mod mlp;
pub mod ridge;

use precondor_sdk::prelude::*;

export_plugin!(
    inverse::Inverse, filter::Filter;
    trainable: mlp::MlpDense, ridge::RidgeInverse
);
