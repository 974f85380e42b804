//! Entries against iterations: thresholded exact inverses, with and without a coarse part, and in fewer
//! bits, beside SPAI and FSAI.
//!
//!     cargo bench -p precondor-plugin-dense --bench entries
use precondor_plugin_dense::filter::Filter;
use precondor_plugin_dense::inverse::Inverse;
use precondor_plugin_spai::{Fsai, Spai};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::{Poisson, Problem, Rhs};
use precondor_sdk::core::registry::Native;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;

use precondor_testkit::methods;

const SEED: u64 = 5200;
const SYSTEMS: u64 = 3;
/// A name, a method and its parameters.
type Case = (String, &'static str, Value);

fn cases(level: u32) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for power in [1, 2, 4] {
        let params = json!({"power": power, "symmetrize": true});
        cases.push((format!("SPAI, pattern of A^{power}"), "spai", params));
        cases.push((format!("FSAI, pattern of A^{power}"), "fsai", json!({"power": power})));
    }
    for keep in [7, 20, 60] {
        cases.push((format!("A⁻¹, {keep} a row"), "filter", json!({"keep": keep})));
    }
    for coarse in (2..level).map(|level| (1 << level) - 1) {
        for keep in [7, 20] {
            let params = json!({"keep": keep, "coarse": [coarse, coarse]});
            let name = format!("{coarse} × {coarse} coarse nodes + {keep} a row of what remains");
            cases.push((name, "filter", params));
        }
    }
    for precision in ["f64", "f32", "bf16", "int8"] {
        cases.push((format!("A⁻¹, all, {precision}"), "filter", json!({"precision": precision})));
    }
    cases
}

fn main() -> Result<()> {
    let host = methods::Methods::of([
        Native::<Inverse>::method(),
        Native::<Filter>::method(),
        Native::<Spai>::method(),
        Native::<Fsai>::method(),
    ]);
    for level in [4, 5] {
        println!("\nLevel {level}, seed {SEED}, {SYSTEMS} systems, random load, to 1e-8.\n");
        println!("| M | entries a row | bytes a row | CG | GMRES(100) | Richardson, ω = 1 |");
        println!("|---|---|---|---|---|---|");
        for (name, method, params) in cases(level) {
            let (mut entries, mut bytes, mut sums) = (0.0, 0.0, [Some(0); 3]);
            for index in 0..SYSTEMS {
                let problem = Poisson { seed: SEED, rhs: Rhs::Random, ..Poisson::at_level(level) };
                let (system, b) = Problem::Poisson(problem).generate_nth(Comm::solo(), index)?;
                let system = system.with_host(host.clone());
                let m = host.inner(method, &params, &system)?;
                entries += m.stored_entries() as f64 / b.len() as f64;
                bytes += m.bytes() as f64 / b.len() as f64;
                let richardson = Algorithm::Richardson { damping: 1.0 };
                let solvers = [Algorithm::Cg, Algorithm::Gmres { restart: 100 }, richardson];
                for (sum, solver) in sums.iter_mut().zip(solvers) {
                    if solver == Algorithm::Cg && !m.properties().positive_definite {
                        *sum = None;
                        continue;
                    }
                    let criterion = Criterion::RelativeResidual;
                    let (tolerance, max_iterations, divergence) = (1e-8, 5000, 1e6);
                    let stop = Stop { criterion, tolerance, max_iterations, divergence };
                    let (mut x, mut watch) =
                        (vec![0.0; b.len()], |_: &_| ControlFlow::Continue(()));
                    let report = solve(&solver, system.a(), &*m, &b, &mut x, &stop, &mut watch)?;
                    let done = (report.outcome == Outcome::Converged).then_some(report.iterations);
                    *sum = sum.zip(done).map(|(sum, more)| sum + more);
                }
            }
            let n = SYSTEMS as f64;
            let shown = sums.map(|s| s.map_or("–".into(), |s| format!("{:.1}", s as f64 / n)));
            println!("| {name} | {:.1} | {:.0} | {} |", entries / n, bytes / n, shown.join(" | "));
        }
    }
    Ok(())
}
