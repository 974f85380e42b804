//! Sparse matrices: [`Csr`] in one memory, [`DistCsr`] spread over ranks by rows.
mod csr;
mod dist;
mod eliminate;
mod explicit;
pub mod io;
mod singular;
mod space;
mod spectrum;
mod stats;
mod symmetry;
mod triangle;

pub use csr::{Csr, CsrStorage, CsrView, OwnedArrays};
pub use dist::DistCsr;
pub use eliminate::Eliminated;
pub use explicit::{Explicit, ExplicitKind, ExplicitView, Values};
pub use singular::{row_sums_vanish, sign_hint, structural_rank};
pub(crate) use space::total;
pub use space::{Space, distance_local, dot_local};
pub use spectrum::{Definite, Spectrum};
pub use stats::{Square, Statistics, Unequal};
pub use symmetry::Unsymmetric;
pub use triangle::Triangle;
