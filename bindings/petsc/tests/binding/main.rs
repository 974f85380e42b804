//! PETSc from Rust. PETSc starts once in a process, so each test runs in processes of its own: alone,
//! and where it says so as two ranks.
mod kept;
mod ksp;
mod lend;
mod life;
mod mat;
use precondor_testkit::mpirun;
mod pc;
mod support;
mod vec;
