//! Tests of the core through its public interface.
mod common;
mod ranks;
mod solvers;
