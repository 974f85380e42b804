//! Both methods from outside: M against dense inverses, errors, ranks, refreshes.
#![allow(clippy::unwrap_used)]
#[path = "../../../../tests/support/dense.rs"]
mod dense;
mod dense_row;
mod ic;
mod ilu;
mod pivoting;
