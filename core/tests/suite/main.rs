//! Tests of the core through its public interface.
mod collectives;
mod common;
mod matrices;
mod ranks;
mod solvers;
