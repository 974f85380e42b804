//! `amg` and `multigrid` with other smoothers, on thirteen families of matrices: iterations, setup, solve.
//!
//!     cargo build --release
//!     cargo run --release -p precondor-host --example smoothers [-- SIZE [FAMILY,…]]
//!
//! A table for `amg` and one for `multigrid`, families of about SIZE unknowns (40000). Conjugate gradients (BiCGStab
//! for `convection`) to ‖b − Ax‖ ≤ 1e-8 ‖b‖, b normal, from zero; one step before and one after. In a cell: iterations;
//! what one costs, in products with A; milliseconds of setup and of solve. Processor time, the least of three calls.
use precondor_core::comm::Comm;
use precondor_core::problem::Problem;
use precondor_core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use precondor_host::{Plugins, Search};
use precondor_testkit::{families, processor};
use serde_json::{Value, json};
use std::ops::ControlFlow;

const METHODS: [&str; 2] = ["amg", "multigrid"];

/// Name, and parameters for `amg` (where Jacobi is scaled by sums of rows) and for `multigrid`, of a symmetric matrix or another.
fn smoothers(symmetric: bool) -> Vec<(&'static str, [Value; 2])> {
    let both = |method: Value| [json!({"method": method.clone()}), json!({"method": method})];
    let own = |kind: &str, method: Value| [json!({"smoother": kind}), json!({"method": method})];
    let shared = |kind: &str| [json!({"smoother": kind}), json!({"smoother": kind})];
    let zeroth = json!({"name": "spai", "power": 0, "symmetrize": symmetric});
    let first = json!({"name": "spai", "symmetrize": symmetric});
    vec![
        ("Gauss–Seidel", shared("gauss-seidel")),
        ("Jacobi", own("l1-jacobi", json!({"name": "jacobi"}))),
        ("Chebyshev(2)", shared("chebyshev")),
        ("SPAI-0", own("spai-0", zeroth)),
        ("SPAI-1", both(first)),
        ("FSAI", both(json!({"name": "fsai"}))),
        ("ILU(0)", both(json!({"name": if symmetric { "ic" } else { "ilu" }}))),
        ("mlp-fsai", both(json!({"name": "mlp-fsai"}))),
    ]
}

/// Processor seconds: the least of three calls, of one that takes over two seconds, and what the last one returned.
fn least<T>(mut f: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let (mut best, mut calls) = (f64::INFINITY, 0);
    loop {
        let begin = processor::seconds();
        let made = f()?;
        let taken = processor::seconds() - begin;
        (best, calls) = (best.min(taken), calls + 1);
        if calls == 3 || taken > 2.0 {
            return Ok((best, made));
        }
    }
}

/// What a smoother comes to: iterations, and processor milliseconds.
struct Found {
    iterations: usize,
    setup: f64,
    solve: f64,
    product: f64,
}

impl Found {
    fn cell(&self, fastest: f64) -> String {
        let Found { iterations, setup, solve, product } = self;
        let each = solve / *iterations as f64 / product;
        let times = format!("{setup:.0} + {solve:.0}");
        match setup + solve <= fastest {
            true => format!("{iterations}; {each:.1}; **{times}**"),
            false => format!("{iterations}; {each:.1}; {times}"),
        }
    }
}

/// A system, and what tells its family.
struct Case {
    family: families::Family,
    system: System,
    b: Vec<f64>,
}

impl Case {
    fn new(family: families::Family, plugins: &Plugins) -> Result<Self> {
        let (system, b) = Problem::from_json(&family.problem)?.generate(Comm::solo())?;
        // The check of symmetry is kept with the matrix: not counted.
        system.a().first_unsymmetric()?;
        Ok(Case { family, system: system.with_host(plugins.host()), b })
    }

    /// The method `name`, or why it does not solve the system.
    fn measure(&self, plugins: &Plugins, name: &str, params: &Value) -> Result<Found> {
        let (a, b) = (self.system.a(), &self.b);
        let mut x = vec![0.0; b.len()];
        let (products, ()) = least(|| (0..10).try_for_each(|_| a.spmv(b, &mut x)))?;
        let generator = plugins.get(name)?;
        let (setup, m) = least(|| generator.generate(params, &self.system))?;
        let method = if self.family.symmetric { Algorithm::Cg } else { Algorithm::Bicgstab };
        let criterion = Criterion::RelativeResidual;
        let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 500, divergence: 1e6 };
        let (solve, report) = least(|| {
            x.fill(0.0);
            solve(&method, a, &*m, b, &mut x, &stop, &mut |_: &_| ControlFlow::Continue(()))
        })?;
        if report.outcome != Outcome::Converged {
            let text = format!("{:?} after {}", report.outcome, report.iterations);
            return Err(Error::Breakdown(text));
        }
        let [setup, solve, product] = [1e3 * setup, 1e3 * solve, 1e2 * products];
        Ok(Found { iterations: report.iterations, setup, solve, product })
    }

    /// A row of the table of `amg` (0) or `multigrid` (1); none where the method is not made for the mesh.
    fn row(&self, plugins: &Plugins, k: usize) -> Option<String> {
        let name = METHODS[k];
        let all: Vec<Result<Found>> = smoothers(self.family.symmetric)
            .iter()
            .map(|(_, params)| self.measure(plugins, name, &params[k]))
            .collect();
        let total = |found: &Found| found.setup + found.solve;
        let fastest = all.iter().flatten().map(total).min_by(f64::total_cmp)?;
        let cells: Vec<String> = all
            .iter()
            .map(|found| match found {
                Ok(found) => found.cell(fastest),
                Err(error) => reason(error),
            })
            .collect();
        let (n, product) = (self.b.len(), all.iter().flatten().next()?.product);
        Some(format!("| {} | {n} | {product:.2} | {} |", self.family.name, cells.join(" | ")))
    }
}

/// The last part of what an error says, without advice.
fn reason(error: &Error) -> String {
    let text = error.to_string();
    if text.contains("not known to be positive definite") {
        return "refused by `cg`".to_owned();
    }
    let text = text.split("; ").next().unwrap_or_default();
    text.rsplit(": ").next().unwrap_or_default().to_owned()
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let size = words.first().map_or(Ok(40_000), |word| word.parse());
    let size = size.map_err(|_| Error::Parameter(format!("'{}' is no number", words[0])))?;
    let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() })?;
    for (k, name) in METHODS.into_iter().enumerate() {
        let columns: Vec<&str> = smoothers(true).iter().map(|(smoother, _)| *smoother).collect();
        println!("\n`{name}`\n\n| family | unknowns | a product, ms | {} |", columns.join(" | "));
        println!("|{}", "---|".repeat(columns.len() + 3));
        for family in families::families(size) {
            if words.get(1).is_none_or(|names| names.split(',').any(|name| name == family.name)) {
                let row = Case::new(family, &plugins)?.row(&plugins, k);
                row.iter().for_each(|row| println!("{row}"));
            }
        }
    }
    Ok(())
}
