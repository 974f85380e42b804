//! Sparse approximate inverses: explicit matrices on a pattern chosen beforehand (for [`Fsai`] also
//! an adaptive one), so that to apply them is to multiply with a sparse matrix.
//!
//! | method | approximates | for |
//! |---|---|---|
//! | [`Spai`] | A⁻¹ by M, in the Frobenius norm | any A |
//! | [`Fsai`] | the inverse Cholesky factor by G, M = GᵀG | symmetric positive definite A |
#![deny(missing_docs)]
use precondor_sdk::prelude::*;

mod adaptive;
mod fsai;
mod plan;
mod spai;
pub mod traffic;
mod wide;

pub use fsai::{Factored, Fsai, FsaiParams};
pub use spai::{Inverse, Spai, SpaiParams};

export_plugin!(Spai, Fsai);
