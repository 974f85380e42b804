//! Ranks of an MPI job as a world of Precondor, over [rsmpi](https://docs.rs/mpi).
//!
//! Empty without the feature `mpi`. Built against the library that `mpicc` (or the variable `MPICC`)
//! stands for: Open MPI and MPICH are tried.
//!
//! * [`World`] starts MPI, is the world of all ranks, and ends MPI at a point that its owner chooses.
//! * [`Foreign`] is a world on a communicator that somebody else owns, PETSc for one.
//!
//! Both hand out a [`Communicator`](precondor_core::comm::Communicator) over a *duplicate*, so that
//! messages of this framework never mix with others'.
//!
//! **Threads.** MPI is asked for `MPI_THREAD_FUNNELED`: a world belongs to the thread that made it.
//! Every operation checks that, so that safe code cannot call MPI from two threads at once.
//!
//! **Communicators** are freed collectively, when their world ends ([`World::finish`],
//! [`Foreign::free`]) or, where they are no longer used on any rank, when a further one is made;
//! never by dropping one, and never after `MPI_Finalize`. What is left of a world that has ended
//! reports an error.
//!
//! **Errors of MPI** are reported with the text of the library (`MPI_ERRORS_RETURN`). One that
//! strikes while foreign buffers are lent to MPI ends the job: they could not be given back.
#[cfg(feature = "mpi")]
mod communicator;
#[cfg(feature = "mpi")]
mod exchange;
#[cfg(feature = "mpi")]
mod family;
#[cfg(feature = "mpi")]
mod world;

#[cfg(feature = "mpi")]
pub use communicator::Mpi;
#[cfg(feature = "mpi")]
pub use mpi::ffi::MPI_Comm;
#[cfg(feature = "mpi")]
pub use world::{Foreign, World, library};
