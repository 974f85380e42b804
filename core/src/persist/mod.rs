//! Saved preconditioners: M as bytes, and back.
//!
//! A saved preconditioner is a safetensors file. Its header says which method made it, with which
//! parameters, for which pattern of A; one that does not belong to the method or the matrix at hand
//! is refused before anything is built from it.
//!
//! - A method that stores M, or a factor of it, is kept row by row ([`Rows`]): `row_ptr` (n + 1
//!   offsets), `cols` (global columns) and `values` (f64, f32 or bf16) of the whole matrix, so a
//!   file does not depend on the number of ranks that wrote it. Loaded on the same number of
//!   ranks, M has every bit of the one that was saved.
//! - Any other method's bytes are kept as they are, one array a rank, and go back to the same
//!   distribution of rows only.
//!
//! A file ends with a checksum of all that stands before it: one that is damaged or was edited, be it a
//! single flag of its header, is refused.
//!
//! [`gather`] makes the file's content, [`Opened`] reads one. Both are collective; rank 0 alone
//! touches the file.
mod container;
mod digest;
mod file;
mod rows;
mod stored;

pub use container::seal;
pub use digest::Digest;
pub use file::{About, FORMAT, Header, Opened, gather};
pub use rows::{Numbers, Rows, explicit};
pub use stored::Stored;

use crate::Error;

/// The error of a method without `save` and `load`.
pub fn no_persist(name: &str) -> Error {
    Error::Unsupported(format!("{name} cannot be saved or loaded"))
}
