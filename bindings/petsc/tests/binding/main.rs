//! PETSc from Rust. PETSc starts once in a process, so each test runs in processes of its own: alone,
//! and where it says so as two ranks.
mod kept;
mod ksp;
mod lend;
mod life;
mod mat;
#[path = "../../../../tests/support/mpirun.rs"]
#[allow(dead_code, reason = "shared with other tests, which use other parts of it")]
mod mpirun;
mod pc;
mod support;
mod vec;
