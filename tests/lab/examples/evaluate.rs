//! Counts and condition numbers of `mlp-reference` models on fresh systems:
//!
//! ```text
//! cargo run --release -p precondor-lab --example evaluate -- [KEY=VALUE …] MODEL …
//! ```
//!
//! A MODEL is a model file or the name of a shipped variant. Keys (lists by commas): `levels=2,…,9`, `meshes=20` (a list: one number a level, the last
//! one for the rest), `shift=0.25`, `seed=61000`, `coefficient=constant`, `contrast=10`,
//! `correlation=0.3`, `rhs=ones`, `tolerance=1e-5` (of rule R), `source=auto` and `coarse=63` (how
//! `mlp-reference` takes a coefficient that varies), `lanczos=1` (0 leaves κ out), `absolute=1` (0 leaves rule E out).
//!
//! A line is one level: iterations as mean (max) of Richardson with ω = 1 and of conjugate gradients, by
//! the relative residual (R, 1e-5) and by the error (E, 1e-5; x* by conjugate gradients in iterative
//! refinement), and the ends of the spectrum of MA by Lanczos over all meshes.
use std::ops::ControlFlow;
use std::time::Instant;

use precondor_plugin_mlp::reference::train::Weights;
use precondor_plugin_mlp::reference::{Params, ReferenceMap};
use precondor_sdk::core::kernel::lanczos;
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, from_value, json};

/// What is measured.
struct Plan {
    levels: Vec<u32>,
    meshes: Vec<u64>,
    problem: Value,
    params: Value,
    tolerance: f64,
    lanczos: bool,
    absolute: bool,
}

impl Plan {
    fn read(arguments: &[String]) -> std::result::Result<(Plan, Vec<String>), String> {
        let mut plan = Plan {
            levels: (2..=9).collect(),
            meshes: vec![20, 20, 20, 12, 6, 3, 2, 1],
            problem: json!({ "kind": "poisson", "shift": 0.25, "seed": 61000 }),
            params: json!({}),
            tolerance: 1e-5,
            lanczos: true,
            absolute: true,
        };
        let mut models = Vec::new();
        for argument in arguments {
            let Some((key, value)) = argument.split_once('=') else {
                models.push(argument.clone());
                continue;
            };
            let bad = |e: &dyn std::fmt::Display| format!("{argument}: {e}");
            let numbers = || -> std::result::Result<Vec<u64>, String> {
                value.split(',').map(|v| v.parse::<u64>().map_err(|e| bad(&e))).collect()
            };
            match key {
                "levels" => plan.levels = numbers()?.into_iter().map(|l| l as u32).collect(),
                "meshes" => plan.meshes = numbers()?,
                "tolerance" => plan.tolerance = value.parse().map_err(|e| bad(&e))?,
                "source" => plan.params["coefficient"] = value.into(),
                "coarse" => plan.params["coarse"] = numbers()?[0].into(),
                "lanczos" => plan.lanczos = value != "0",
                "absolute" => plan.absolute = value != "0",
                _ => {
                    let number = precondor_sdk::serde_json::from_str(value);
                    plan.problem[key] = number.unwrap_or_else(|_| value.into());
                }
            }
        }
        Ok((plan, models))
    }
}

/// A map that is taken to be positive definite, as observed: conjugate gradients ask for it.
struct Trusted(ReferenceMap);

impl Preconditioner for Trusted {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.0.apply(r, z)
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        self.0.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// The counts of one system; `None` where 300 iterations did not do.
#[derive(Default)]
struct Counts {
    richardson: Option<usize>,
    richardson_error: Option<usize>,
    cg: Option<usize>,
    cg_error: Option<usize>,
    ends: Option<[f64; 2]>,
}

fn iterations(
    method: &Algorithm,
    a: &DistCsr,
    m: &dyn Preconditioner,
    b: &[f64],
    (criterion, tolerance): (Criterion<'_>, f64),
) -> Result<(Option<usize>, Vec<f64>)> {
    let mut x = vec![0.0; a.n_own()];
    let stop = Stop { criterion, tolerance, max_iterations: 300, divergence: 1e8 };
    let report = solve(method, a, m, b, &mut x, &stop, &mut |_| ControlFlow::Continue(()))?;
    let done = report.outcome == Outcome::Converged;
    Ok((done.then_some(report.iterations), x))
}

/// x* to rounding.
fn exact(a: &DistCsr, m: &dyn Preconditioner, b: &[f64]) -> Result<Vec<f64>> {
    let (mut x, mut r) = (vec![0.0; a.n_own()], b.to_vec());
    for _ in 0..3 {
        let cg = iterations(&Algorithm::Cg, a, m, &r, (Criterion::RelativeResidual, 1e-9))?;
        x.iter_mut().zip(&cg.1).for_each(|(x, d)| *x += d);
        a.spmv(&x, &mut r)?;
        r.iter_mut().zip(b).for_each(|(r, b)| *r = b - *r);
    }
    Ok(x)
}

fn measure(plan: &Plan, weights: &Weights, system: &System, b: &[f64]) -> Result<Counts> {
    let a = system.a();
    let params: Params =
        from_value(plan.params.clone()).map_err(|e| Error::Parameter(e.to_string()))?;
    let m = Trusted(ReferenceMap::with(weights, system, &params)?);
    let richardson = Algorithm::Richardson { damping: 1.0 };
    let relative = (Criterion::RelativeResidual, plan.tolerance);
    let mut counts = Counts {
        richardson: iterations(&richardson, a, &m, b, relative)?.0,
        cg: iterations(&Algorithm::Cg, a, &m, b, relative)?.0,
        ..Counts::default()
    };
    if plan.absolute {
        let exact = exact(a, &m, b)?;
        let error = (Criterion::AbsoluteError(&exact), 1e-5);
        counts.richardson_error = iterations(&richardson, a, &m, b, error)?.0;
        counts.cg_error = iterations(&Algorithm::Cg, a, &m, b, error)?.0;
    }
    if plan.lanczos {
        let options = lanczos::Options { max_steps: 60, tolerance: 1e-4 };
        let ends = lanczos::of_preconditioned(a, &m, &options)?;
        counts.ends = Some([ends.min, ends.max]);
    }
    Ok(counts)
}

/// Mean (max); how many did not converge, where any.
fn told(all: &[Counts], of: impl Fn(&Counts) -> Option<usize>) -> String {
    let counts: Vec<usize> = all.iter().filter_map(of).collect();
    let most = counts.iter().max().copied().unwrap_or(0);
    let mean = counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64;
    match all.len() - counts.len() {
        0 => format!("{mean:.2} ({most})"),
        failed => format!("{mean:.2} ({most}), {failed} failed"),
    }
}

fn evaluate(plan: &Plan, weights: &Weights) -> Result<()> {
    for (k, &level) in plan.levels.iter().enumerate() {
        let start = Instant::now();
        let mut doc = plan.problem.clone();
        doc["level"] = level.into();
        let problem = Problem::from_json(&doc)?;
        let meshes = plan.meshes.get(k).or(plan.meshes.last()).copied().unwrap_or(1);
        let mut all = Vec::new();
        for index in 0..meshes {
            let (system, b) = problem.generate_nth(Comm::solo(), index)?;
            all.push(measure(plan, weights, &system, &b)?);
        }
        let ends: Vec<[f64; 2]> = all.iter().filter_map(|c| c.ends).collect();
        let low = ends.iter().map(|e| e[0]).fold(f64::INFINITY, f64::min);
        let high = ends.iter().map(|e| e[1]).fold(0.0, f64::max);
        let worst = ends.iter().map(|e| e[1] / e[0]).fold(0.0, f64::max);
        let (mut errors, mut spectrum) = (String::new(), String::new());
        if plan.absolute {
            let richardson = told(&all, |c| c.richardson_error);
            errors = format!(" | E {richardson}, CG {}", told(&all, |c| c.cg_error));
        }
        if plan.lanczos {
            spectrum = format!(" | λ {low:.4} … {high:.4}, κ {worst:.3}");
        }
        println!(
            "L{level} ({meshes}) | R {}, CG {}{errors}{spectrum} | {:.1} s",
            told(&all, |c| c.richardson),
            told(&all, |c| c.cg),
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

fn weights(name: &str) -> Result<Weights> {
    match from_value(name.into()) {
        Ok(variant) => Weights::shipped(variant),
        Err(_) => Weights::read(&std::fs::read(name).map_err(|e| Error::file(name, e))?),
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (plan, models) = Plan::read(&arguments)?;
    for name in &models {
        let weights = weights(name)?;
        let (flops, outputs) = (weights.net.flops(), weights.net.outputs());
        println!("{name}: {flops} flops a node, {outputs} numbers a node");
        evaluate(&plan, &weights)?;
    }
    Ok(())
}
