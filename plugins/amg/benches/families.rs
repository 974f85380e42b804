//! Setup and solve on thirteen families of matrices of 100 000 to 260 000 unknowns: iterations, milliseconds,
//! and both in products with A.
//!
//!     cargo bench -p precondor-plugin-amg --bench families [-- FAMILY,… [PARAMETERS …]]
//!
//! PARAMETERS are JSON objects, one run each; `{}` where there is none. Conjugate gradients (BiCGStab for
//! `convection`) to ‖b − Ax‖ ≤ 1e-8 ‖b‖, b normal, x₀ = 0, best of three.
use precondor_plugin_amg::{Amg, Params};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::from_str;
use precondor_testkit::families;
use std::ops::ControlFlow;
use std::time::Instant;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let names = words.next();
    let mut parameters: Vec<String> = words.collect();
    if parameters.is_empty() {
        parameters.push("{}".into());
    }
    println!(
        "| family | unknowns | entries per row | parameters | its | setup, ms (products) | solve, ms | \
         total, ms | MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for families::Family { name, problem, symmetric } in families::families(200_000) {
        if names
            .as_ref()
            .is_some_and(|names| names != "all" && !names.split(',').any(|n| n == name))
        {
            continue;
        }
        let (system, b) = Problem::from_json(&problem)?.generate(Comm::solo())?;
        // Known to methods as to nobody: no auxiliary data.
        let system = System::new(system.a().clone());
        let a = system.a();
        // The check of symmetry is kept with the matrix: not counted.
        a.first_unsymmetric()?;
        let method = if symmetric { Algorithm::Cg } else { Algorithm::Bicgstab };
        let mut y = vec![0.0; b.len()];
        let product = least(9, || a.spmv(&b, &mut y))?;
        for text in &parameters {
            let params: Params = from_str(text).map_err(|e| Error::Parameter(e.to_string()))?;
            let setup = least(3, || Amg::generate(&params, &system).map(drop))?;
            let m = Amg::generate(&params, &system)?;
            let criterion = Criterion::RelativeResidual;
            let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 500, divergence: 1e6 };
            let mut end = String::new();
            let solved = least(3, || {
                y.fill(0.0);
                let mut watch = |_: &_| ControlFlow::Continue(());
                let report = solve(&method, a, &m, &b, &mut y, &stop, &mut watch)?;
                end = match report.outcome == Outcome::Converged {
                    true => report.iterations.to_string(),
                    false => format!("{:?}", report.outcome),
                };
                Ok(())
            })?;
            println!(
                "| {name} | {} | {:.1} | `{text}` | {end} | {:.0} ({:.0}) | {:.0} | {:.0} | {:.0} |",
                b.len(),
                a.nnz_own() as f64 / b.len() as f64,
                1e3 * setup,
                setup / product,
                1e3 * solved,
                1e3 * (setup + solved),
                m.bytes() as f64 / 1e6
            );
        }
    }
    Ok(())
}

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
