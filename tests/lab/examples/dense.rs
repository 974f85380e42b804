//! Trains a dense inverse as a configuration says and counts iterations on systems that no training draws:
//!
//! ```sh
//! cargo run --release -p precondor-lab --example dense -- plugins/dense/models/mlp-dense-level3.toml train.seed=2
//! ```
//!
//! `KEY=VALUE` overrides a key of the configuration. Printed for the model as it is and refined by one Newton
//! step, with Richardson's damping ω: iterations, mean (maximum) over 20 systems, until ‖x − x*‖ < 1e-5 and
//! until ‖b − A x‖ ≤ 1e-5 ‖b‖ with b = 1. The tables of docs/dense.md come from here.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use precondor_neural::model::Card;
use precondor_plugin_dense::learned::exact::inverse;
use precondor_plugin_dense::mlp::MlpDense;
use precondor_plugin_dense::ridge::RidgeInverse;
use precondor_sdk::core::config;
use precondor_sdk::core::host::Level;
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::problem::{Families, Poisson, Problem};
use precondor_sdk::core::registry::{DynGenerator, NativeTrainable};
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::core::train::{Training, Unwatched};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};

/// Systems a table counts on, and their seed.
const SYSTEMS: u64 = 20;
const SEED: u64 = 31;

/// A host with one file, the model.
struct OneFile(Vec<u8>);

impl Host for OneFile {
    fn inner(&self, name: &str, _: &Value, _: &System) -> Result<Box<dyn Instance>> {
        Err(Error::Parameter(format!("no method '{name}' here")))
    }
    fn read(&self, _: &str) -> Result<Vec<u8>> {
        Ok(self.0.clone())
    }
    fn log(&self, _: Level, message: &str) {
        eprintln!("{message}");
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let missing = || Error::Parameter("give a configuration with [model], [train], [data]".into());
    let mut root = config::read(Path::new(&arguments.next().ok_or_else(missing)?))?;
    arguments.try_for_each(|flag| config::set(&mut root, &flag))?;
    let section = |name: &str| root.get(name).map(|node| node.json()).ok_or_else(missing);
    let (params, data) = (section("train")?, section("data")?);
    let method: Arc<dyn DynGenerator> = match section("model")?["method"].as_str() {
        Some("ridge") => NativeTrainable::<RidgeInverse>::method(),
        _ => NativeTrainable::<MlpDense>::method(),
    };
    let problem = Problem::from_json(&data)?;
    let samples = Families::new(vec![problem.clone()])?;
    let start = Instant::now();
    let host: Arc<dyn Host> = Arc::new(OneFile(Vec::new()));
    let (comm, watch) = (&Comm::solo(), &mut Unwatched);
    let training = Training { comm, host: &host, samples: &samples, resume: None, watch };
    let model = method.train(&params, training)?;
    println!("{} {params} on {data}", method.name());
    println!("  {:.1} s of training, {} bytes", start.elapsed().as_secs_f64(), model.len());
    println!("  {}", Card::of(&model)?.metrics);

    let level = data["level"].as_u64().and_then(|level| u32::try_from(level).ok());
    let fresh = Poisson { seed: SEED, ..Poisson::at_level(level.ok_or_else(missing)?) };
    let host: Arc<dyn Host> = Arc::new(OneFile(model));
    for newton in 0..=1 {
        let mut counts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut seconds = Vec::new();
        for index in 0..SYSTEMS {
            let (system, b) = Problem::Poisson(fresh.clone()).generate_nth(Comm::solo(), index)?;
            let system = system.with_host(host.clone());
            let start = Instant::now();
            let m = method.generate(&json!({"model": "model", "newton": newton}), &system)?;
            seconds.push(start.elapsed().as_secs_f64());
            let exact = solution(system.a(), &b)?;
            let mut run =
                |label: String, solver: Algorithm, criterion: Criterion<'_>| -> Result<()> {
                    let mut x = vec![0.0; b.len()];
                    let stop =
                        Stop { criterion, tolerance: 1e-5, max_iterations: 1000, divergence: 1e6 };
                    let report = solve(&solver, system.a(), &*m, &b, &mut x, &stop, &mut |_| {
                        ControlFlow::Continue(())
                    })?;
                    let converged = report.outcome == Outcome::Converged;
                    let count = if converged { report.iterations } else { usize::MAX };
                    counts.entry(label).or_default().push(count);
                    Ok(())
                };
            for damping in [0.6, 0.7, 0.8, 1.0] {
                let richardson = Algorithm::Richardson { damping };
                let error = Criterion::AbsoluteError(&exact);
                run(format!("ω = {damping:.1}, error"), richardson, error)?;
            }
            let richardson = Algorithm::Richardson { damping: 1.0 };
            run("ω = 1.0, residual".into(), richardson, Criterion::RelativeResidual)?;
            if m.properties().positive_definite {
                run("PCG, error".into(), Algorithm::Cg, Criterion::AbsoluteError(&exact))?;
            }
        }
        seconds.sort_by(f64::total_cmp);
        let median = 1e3 * seconds[seconds.len() / 2];
        println!("  newton = {newton}: {median:.2} ms of setup a system");
        for (label, counts) in counts {
            let failed = counts.iter().filter(|&&count| count == usize::MAX).count();
            let counts: Vec<usize> = counts.into_iter().filter(|&c| c != usize::MAX).collect();
            let mean = counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64;
            let most = counts.iter().max().copied().unwrap_or(0);
            println!("    {label}: {mean:.2} ({most}), {} systems, {failed} failed", counts.len());
        }
    }
    Ok(())
}

/// The solution of a system, by the inverse of its matrix.
fn solution(a: &DistCsr, b: &[f64]) -> Result<Vec<f64>> {
    let inverse = inverse(&Bands::of(a, None)?)?;
    let product = |row: &[f64]| row.iter().zip(b).map(|(m, b)| m * b).sum();
    Ok(inverse.chunks_exact(b.len()).map(product).collect())
}
