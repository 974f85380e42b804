//! Sparse matrices: [`Csr`] in one memory, [`DistCsr`] spread over ranks by rows.
mod csr;
mod dist;
mod explicit;
pub mod io;
mod space;
mod stats;
mod symmetry;

pub use csr::{Csr, CsrStorage, CsrView, OwnedArrays};
pub use dist::DistCsr;
pub use explicit::{Explicit, ExplicitKind, ExplicitView, Values};
pub use space::{Space, distance_local, dot_local};
pub(crate) use space::{total, two_sum};
pub use stats::{Square, Statistics, Unequal};
pub use symmetry::Unsymmetric;
