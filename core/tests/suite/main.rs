//! Tests of the core through its public interface.
mod collectives;
mod common;
mod kernels;
mod matrices;
mod ranks;
mod solvers;
