//! `amg` and `multigrid` with other smoothers, on thirteen families of matrices: iterations, setup, solve.
//!
//!     cargo build --release -p precondor-plugin-{amg,ilu,jacobi,mlp,multigrid,spai}
//!     cargo run --release -p precondor-host --example smoothers [-- SIZE [FAMILY,…]]
//!
//! One table a family, of about SIZE unknowns (40000). Conjugate gradients (BiCGStab for `convection`) to
//! ‖b − Ax‖ ≤ 1e-8 ‖b‖, b normal, from zero; one step before and one after; processor time, the least of three, in
//! milliseconds and in products with A. "An iteration": one application and the solver's own product.
use precondor_core::comm::Comm;
use precondor_core::problem::Problem;
use precondor_core::solver::{Criterion, Method, Outcome, Stop, solve};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use precondor_host::{Plugins, Search};
use serde_json::{Value, json};
use std::ops::ControlFlow;

#[path = "support/families.rs"]
mod families;
#[path = "support/processor.rs"]
mod processor;

/// Name, and parameters for `amg` and for `multigrid`, of a symmetric matrix or another.
fn smoothers(symmetric: bool) -> Vec<(&'static str, [Value; 2])> {
    let both = |method: Value| [json!({"method": method.clone()}), json!({"method": method})];
    let own = |kind: &str, method: Value| [json!({"smoother": kind}), json!({"method": method})];
    let shared = |kind: &str| [json!({"smoother": kind}), json!({"smoother": kind})];
    let zeroth = json!({"name": "spai", "power": 0, "symmetrize": symmetric});
    let first = json!({"name": "spai", "symmetrize": symmetric});
    vec![
        ("Gauss–Seidel", shared("gauss-seidel")),
        ("ℓ1-Jacobi", own("l1-jacobi", json!({"name": "jacobi"}))),
        ("Chebyshev(2)", shared("chebyshev")),
        ("SPAI-0", own("spai-0", zeroth)),
        ("SPAI-1", both(first)),
        ("FSAI", both(json!({"name": "fsai"}))),
        ("ILU(0)", both(json!({"name": if symmetric { "ic" } else { "ilu" }}))),
        ("mlp-fsai", both(json!({"name": "mlp-fsai"}))),
    ]
}

/// Processor seconds: the least of three calls, and what the last one returned.
fn least<T>(mut f: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let mut best = f64::INFINITY;
    let mut run = || {
        let begin = processor::seconds();
        let made = f()?;
        best = best.min(processor::seconds() - begin);
        Ok::<T, Error>(made)
    };
    run()?;
    run()?;
    let made = run()?;
    Ok((best, made))
}

/// Iterations, or why there are none; seconds of setup, solve, and one product.
fn measure(
    plugins: &Plugins,
    family: &families::Family,
    system: &System,
    b: &[f64],
    name: &str,
    params: &Value,
) -> Result<(String, [f64; 3])> {
    let a = system.a();
    let mut x = vec![0.0; b.len()];
    let (product, ()) = least(|| (0..10).try_for_each(|_| a.spmv(b, &mut x)))?;
    let generator = plugins.get(name)?;
    let (setup, m) = least(|| generator.generate(params, system))?;
    let method = if family.symmetric { Method::Cg } else { Method::Bicgstab };
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 500, divergence: 1e6 };
    let (solved, report) = least(|| {
        x.fill(0.0);
        solve(&method, a, &*m, b, &mut x, &stop, &mut |_: &_| ControlFlow::Continue(()))
    })?;
    let end = match report.outcome == Outcome::Converged {
        true => report.iterations.to_string(),
        false => format!("{:?} after {}", report.outcome, report.iterations),
    };
    Ok((end, [setup, solved / report.iterations.max(1) as f64, product / 10.0].map(|s| 1e3 * s)))
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let size = words.first().map_or(Ok(40_000), |word| word.parse());
    let size = size.map_err(|_| Error::Parameter(format!("'{}' is no number", words[0])))?;
    let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() })?;
    for family in families::families(size) {
        if words.get(1).is_some_and(|names| !names.split(',').any(|name| name == family.name)) {
            continue;
        }
        let (system, b) = Problem::from_json(&family.problem)?.generate(Comm::solo())?;
        let system = system.with_host(plugins.host());
        // The check of symmetry is kept with the matrix: not counted.
        system.a().first_unsymmetric()?;
        println!("\n{}, {} unknowns\n", family.name, b.len());
        println!(
            "| method | smoother | iterations | setup, ms (products) | an iteration, products | setup + solve, ms |"
        );
        println!("|---|---|---|---|---|---|");
        for (k, name) in ["amg", "multigrid"].into_iter().enumerate() {
            for (smoother, params) in smoothers(family.symmetric) {
                match measure(&plugins, &family, &system, &b, name, &params[k]) {
                    Ok((its, [setup, iteration, product])) => {
                        let count: f64 = its.parse().unwrap_or(f64::NAN);
                        println!(
                            "| {name} | {smoother} | {its} | {setup:.0} ({:.0}) | {:.1} | {:.0} |",
                            setup / product,
                            iteration / product,
                            setup + count * iteration
                        );
                    }
                    // A grid method says of other meshes what it needs, once.
                    Err(Error::Unsupported(_)) if name == "multigrid" => break,
                    Err(error) => println!("| {name} | {smoother} | {error} | – | – | – |"),
                }
            }
        }
    }
    Ok(())
}
