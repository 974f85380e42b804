//! What the cycle costs, in milliseconds and in products with A, and what a solve costs.
//!
//!     cargo bench -p precondor-plugin-multigrid --bench cycle [-- LEVEL …]
use precondor_plugin_multigrid::{Kind, Multigrid, Params};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::{Poisson, Problem, Rhs};
use precondor_sdk::core::solver::{Algorithm, Criterion, Stop, solve};
use precondor_sdk::prelude::*;
use std::ops::ControlFlow;
use std::time::Instant;

/// Seconds: the least of `runs` calls.
fn least(runs: usize, mut f: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let begin = Instant::now();
        f()?;
        best = best.min(begin.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn main() -> Result<()> {
    let given: Vec<u32> = std::env::args().filter_map(|level| level.parse().ok()).collect();
    let levels = if given.is_empty() { vec![8, 9] } else { given };
    println!(
        "| level | smoother | product, ms | setup, ms | cycle, ms | CG to 1e-8: its | solve, ms |"
    );
    println!("|---|---|---|---|---|---|---|");
    for level in levels {
        let problem = Poisson { seed: 41, rhs: Rhs::Load, ..Poisson::at_level(level) };
        let (system, b) = Problem::Poisson(problem).generate(Comm::solo())?;
        let a = system.a();
        // The check of symmetry is kept with the matrix: not counted.
        a.require_symmetric("this benchmark")?;
        let (mut x, mut z) = (vec![0.0; b.len()], vec![0.0; b.len()]);
        let product = least(9, || a.spmv(&b, &mut z))?;
        for smoother in [Kind::Chebyshev, Kind::GaussSeidel] {
            let params = Params { smoother, ..Params::default() };
            let setup = least(9, || Multigrid::generate(&params, &system).map(drop))?;
            let m = Multigrid::generate(&params, &system)?;
            let cycle = least(9, || m.apply(&b, &mut z))?;
            let criterion = Criterion::RelativeResidual;
            let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 50, divergence: 1e6 };
            let mut iterations = 0;
            let solved = least(5, || {
                x.fill(0.0);
                let mut watch = |_: &_| ControlFlow::Continue(());
                let report = solve(&Algorithm::Cg, a, &m, &b, &mut x, &stop, &mut watch)?;
                iterations = report.iterations;
                Ok(())
            })?;
            println!(
                "| {level} | {smoother:?} | {:.2} | {:.1} ({:.0} products) | {:.2} ({:.1} products) | \
                 {iterations} | {:.1} |",
                1e3 * product,
                1e3 * setup,
                setup / product,
                1e3 * cycle,
                cycle / product,
                1e3 * solved
            );
        }
    }
    Ok(())
}
