//! Solves a system of your own, given as CSR arrays: the Laplacian of a chain with a load of 1.
//!
//!     cargo run --example solve_csr
use precondor::prelude::*;

fn main() -> precondor::Result<()> {
    let n = 1000;
    let entries = (0..n).flat_map(|i| {
        let beside = [(i, i + 1, -1.0), (i + 1, i, -1.0)];
        std::iter::once((i, i, 2.0)).chain(beside.into_iter().filter(move |_| i + 1 < n))
    });
    let a = Csr::from_triplets(n, n, entries)?; // or Csr::new(n, row_ptr, cols, values)
    let methods = Methods::find()?;
    let system = methods.system(a)?;
    let m = methods.make("ic", json!({}), &system)?;
    let solution = Solver::cg().tolerance(1e-10).solve(system.a(), &*m, &vec![1.0; n])?;
    let report = &solution.report;
    println!("{:?} after {} iterations", report.outcome, report.iterations);
    println!("relative residual {:.1e}", report.true_relative_residual);
    println!("x in the middle: {:.6}", solution.x[n / 2]);
    Ok(())
}
