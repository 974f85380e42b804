//! Compares methods on one system: iterations, numbers stored, time to set up and to solve.
//!
//! The command `precondor compare` does the same from a configuration, with means over many systems, tables and
//! curves.
//!
//!     cargo run --release --example compare
use precondor::core::problem::{Poisson, Problem};
use precondor::prelude::*;
use std::time::Instant;

fn main() -> Result<()> {
    let methods = Methods::find()?;
    let (system, b) = Problem::Poisson(Poisson::at_level(6)).generate(Comm::solo())?;
    println!("{} unknowns\n", system.a().n_global());
    println!(
        "{:<16} {:>10} {:>10} {:>10} {:>10}",
        "method", "iterations", "numbers", "setup", "solve"
    );
    for (name, params) in [
        ("jacobi", json!({})),
        ("gauss-seidel", json!({ "sweep": "symmetric" })),
        ("fsai", json!({})),
        ("ic", json!({})),
        ("multigrid", json!({})),
        ("mlp-reference", json!({})),
    ] {
        let start = Instant::now();
        let m = methods.make(name, params, &system)?;
        let setup = start.elapsed();
        let start = Instant::now();
        let solution = Solver::cg().tolerance(1e-8).solve(system.a(), &*m, &b)?;
        let (iterations, entries) = (solution.report.iterations, m.stored_entries());
        println!(
            "{name:<16} {iterations:>10} {entries:>10} {setup:>10.1?} {:>10.1?}",
            start.elapsed()
        );
    }
    Ok(())
}
