//! Both methods from outside: M against dense inverses, errors, ranks, refreshes.
#![allow(clippy::unwrap_used)]
use precondor_testkit::dense;
mod dense_row;
mod ic;
mod ilu;
mod pivoting;
