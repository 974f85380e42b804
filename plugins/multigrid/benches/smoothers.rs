//! Two-grid and V-cycles with different smoothers: iterations, and the work they stand for.
//!
//!     cargo bench -p precondor-plugin-multigrid --bench smoothers
use precondor_plugin_gauss_seidel::GaussSeidel;
use precondor_plugin_jacobi::Jacobi;
use precondor_plugin_multigrid::Multigrid;
use precondor_plugin_spai::{Fsai, Spai};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::{Poisson, Problem, Rhs};
use precondor_sdk::core::registry::Native;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;

use precondor_testkit::methods;

const LEVELS: [u32; 4] = [5, 6, 7, 8];
const SEED: u64 = 5100;

/// Name, parameters, and products with A of one smoothing step before and one after with their
/// residuals.
fn smoothers() -> Vec<(&'static str, Value, f64)> {
    let fsai = |power: u32| json!({"method": {"name": "fsai", "power": power}});
    let sweep = json!({"name": "gauss-seidel", "sweep": "symmetric"});
    vec![
        ("Jacobi", json!({"method": "jacobi"}), 2.3),
        ("Jacobi, two steps", json!({"method": "jacobi", "before": 2, "after": 2}), 4.6),
        ("Gauss-Seidel, forward/backward", json!({"smoother": "gauss-seidel"}), 2.0),
        ("symmetric Gauss-Seidel", json!({"method": sweep, "damping": 1.0}), 4.0),
        ("Chebyshev(2)", json!({"smoother": "chebyshev"}), 4.0),
        ("SPAI-1", json!({"method": {"name": "spai", "symmetrize": true}}), 4.0),
        ("FSAI, tril(A)", fsai(1), 4.3),
        ("FSAI, tril(A²)", fsai(2), 7.7),
    ]
}

/// Mean iterations to 1e-8 of the residual; none where a run did not get there in 200.
fn iterations(method: Algorithm, level: u32, params: &Value) -> Result<Option<f64>> {
    let host = methods::Methods::of([
        Native::<Multigrid>::method(),
        Native::<GaussSeidel>::method(),
        Native::<Jacobi>::method(),
        Native::<Spai>::method(),
        Native::<Fsai>::method(),
    ]);
    let systems = if level < 8 { 3 } else { 1 };
    let mut sum = 0;
    for index in 0..systems {
        let problem = Poisson { seed: SEED, rhs: Rhs::Random, ..Poisson::at_level(level) };
        let (system, b) = Problem::Poisson(problem).generate_nth(Comm::solo(), index)?;
        let system = system.with_host(host.clone());
        let m = host.inner("multigrid", params, &system)?;
        let criterion = Criterion::RelativeResidual;
        let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 200, divergence: 1e6 };
        let (mut x, mut watch) = (vec![0.0; b.len()], |_: &_| ControlFlow::Continue(()));
        let report = solve(&method, system.a(), &*m, &b, &mut x, &stop, &mut watch)?;
        if report.outcome != Outcome::Converged {
            return Ok(None);
        }
        sum += report.iterations;
    }
    Ok(Some(sum as f64 / systems as f64))
}

fn main() -> Result<()> {
    println!(
        "Perturbed Poisson, levels {LEVELS:?}, seed {SEED}, 3 systems (level 8: 1), to 1e-8.\n"
    );
    println!(
        "| smoother | two-grid, alone | two-grid, CG | V(1,1), alone | V(1,1), CG | products of a \
         cycle | products to tolerance, CG, last level |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, params, work) in smoothers() {
        let mut cells = Vec::new();
        let mut last = None;
        for two_grid in [true, false] {
            for method in [Algorithm::Richardson { damping: 1.0 }, Algorithm::Cg] {
                let mut params = params.clone();
                if two_grid {
                    params["levels"] = json!(2);
                }
                let mut counts = Vec::new();
                for level in LEVELS {
                    last = iterations(method, level, &params)?;
                    counts.push(last.map_or("–".into(), |count| format!("{count:.1}")));
                }
                cells.push(counts.join(" / "));
            }
        }
        let cycle = work * 4.0 / 3.0;
        let total = last.map_or("–".into(), |count| format!("{:.0}", count * (cycle + 1.0)));
        println!("| {name} | {} | {cycle:.1} | {total} |", cells.join(" | "));
    }
    Ok(())
}
