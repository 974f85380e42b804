//! One line of the table of networks: trains `mlp-reference` with the given parameters of training and
//! counts iterations on fresh systems of levels 5 and 7:
//!
//! ```text
//! cargo run --release -p precondor-lab --example networks -- [KEY=VALUE …]
//! ```
//!
//! Keys are those of `[train]`, and `shifts=0.3`, `levels=4,5`, `output=FILE`.
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use precondor_neural::model::{Kind, Reader};
use precondor_plugin_mlp::reference::train::{TrainParams, Weights};
use precondor_plugin_mlp::reference::{MlpReference, ReferenceMap};
use precondor_sdk::core::host::Alone;
use precondor_sdk::core::problem::{Families, Poisson, Problem};
use precondor_sdk::core::solver::{Algorithm, Criterion, Stop, solve};
use precondor_sdk::core::train::{Trainable, Training, Unwatched};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{from_str, from_value, to_value};

/// Richardson iterations by the relative residual: mean (max).
fn count(weights: &Weights, level: u32, meshes: u64) -> Result<String> {
    let problem = Problem::Poisson(Poisson { seed: 62000, ..Poisson::at_level(level) });
    let mut counts = Vec::new();
    for index in 0..meshes {
        let (system, b) = problem.generate_nth(Comm::solo(), index)?;
        let a = system.a();
        let m = ReferenceMap::new(weights, &system, None)?;
        let stop = Stop {
            criterion: Criterion::RelativeResidual,
            tolerance: 1e-5,
            max_iterations: 99,
            divergence: 1e8,
        };
        let method = Algorithm::Richardson { damping: 1.0 };
        let mut x = vec![0.0; b.len()];
        let report = solve(&method, a, &m, &b, &mut x, &stop, &mut |_| ControlFlow::Continue(()))?;
        counts.push(report.iterations);
    }
    let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    Ok(format!("{mean:.2} ({})", counts.iter().max().copied().unwrap_or(0)))
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut params = to_value(TrainParams::default())?;
    let (mut shifts, mut levels) = ("0.3".to_owned(), "4,5".to_owned());
    let mut output = None;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for argument in &arguments {
        let (key, value) = argument.split_once('=').ok_or("an argument is KEY=VALUE")?;
        match key {
            "shifts" => value.clone_into(&mut shifts),
            "levels" => value.clone_into(&mut levels),
            "output" => output = Some(value),
            _ => params[key] = from_str(value).unwrap_or_else(|_| value.into()),
        }
    }
    let params: TrainParams = from_value(params)?;
    let mut problems = Vec::new();
    for shift in shifts.split(',') {
        for level in levels.split(',') {
            let (level, shift) = (level.parse()?, shift.parse()?);
            problems.push(Problem::Poisson(Poisson { shift, ..Poisson::at_level(level) }));
        }
    }
    let samples = Families::new(problems)?;
    let (comm, host): (_, Arc<dyn Host>) = (Comm::solo(), Arc::new(Alone));
    let watch = &mut Unwatched;
    let start = Instant::now();
    let training = Training { comm: &comm, host: &host, samples: &samples, resume: None, watch };
    let model = MlpReference::train(&params, training)?;
    let seconds = start.elapsed().as_secs_f64();
    let weights = Weights::read(&model)?;
    let metrics = Reader::new(&model, MlpReference::NAME, Kind::Model)?.card.metrics;
    println!(
        "| {} | {} | {} | {seconds:.0} | {:.3e} | {} | {} |",
        arguments.join(" "),
        weights.net.flops(),
        weights.net.outputs(),
        metrics["validation_loss"].as_f64().unwrap_or(f64::NAN),
        count(&weights, 5, 12)?,
        count(&weights, 7, 3)?
    );
    if let Some(output) = output {
        std::fs::write(output, model)?;
    }
    Ok(())
}
