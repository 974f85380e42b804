//! Sparse matrices: [`Csr`] in one memory, [`DistCsr`] spread over ranks by rows.
mod blocks;
mod csr;
mod dist;
mod eliminate;
mod explicit;
pub mod io;
mod null_space;
mod operator;
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
pub use null_space::{NullSpace, NullSpaces};
pub use operator::{Operator, Symmetry};
pub use space::{Space, dot_local};
pub(crate) use space::{advance, distance_local, square_local, total, turn, two_sum};
pub use spectrum::{Definite, Spectrum};
pub use stats::{Square, Statistics, Unequal};
pub use symmetry::{Unsymmetric, sign_hint};
pub use triangle::Triangle;
