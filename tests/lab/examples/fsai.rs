//! `mlp-fsai` beside FSAI, on fixed and on adaptive patterns, on fresh systems of every family in a training configuration:
//!
//! ```text
//! cargo run --release -p precondor-lab --example fsai -- CONFIG [KEY=VALUE …]
//! ```
//!
//! Keys: `samples=10` systems a family, `seed=91000` of the systems, `model=FILE` (the shipped one
//! otherwise), `check=10`, `repeats=1` (times are medians of so many), `only=K` (that family alone, 0 the first), `adaptive=JSON` (parameters of
//! `fsai`, `{"power":0,"steps":8,"growth":1}` otherwise), and any parameter of the problems (`nodes=63`;
//! `cube=16` is the `nodes` of the kind `cube`).
//!
//! A line is one family: conjugate gradients from zero to a relative residual of 1e-8 with FSAI on the
//! pattern of A, of A² and an adaptive one, and with `mlp-fsai`: iterations as mean (max); the best and
//! the worst ratio of `mlp-fsai` to FSAI, and how often the check chose FSAI; then entries of G a row,
//! and setup + solve in milliseconds of processor time: medians over repetitions, in which the methods
//! take turns, means over systems. Right-hand sides are random.
use std::ops::ControlFlow;

use precondor_plugin_mlp::fsai::{MlpFsai, Params};
use precondor_plugin_spai::{Fsai, FsaiParams};
use precondor_sdk::core::config;
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::solver::{Algorithm, Criterion, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use precondor_testkit::processor;

/// What a method took.
#[derive(Clone, Copy, Default)]
struct Taken {
    iterations: usize,
    entries: usize,
    setup: f64,
    solve: f64,
}

fn take<M: Preconditioner>(
    a: &DistCsr,
    b: &[f64],
    make: impl FnOnce() -> Result<M>,
) -> Result<(Taken, M)> {
    let start = processor::seconds();
    let m = make()?;
    let setup = processor::seconds() - start;
    let criterion = Criterion::RelativeResidual;
    let stop =
        Stop { criterion, tolerance: 1e-8, max_iterations: 100_000, divergence: f64::INFINITY };
    let mut x = vec![0.0; b.len()];
    let start = processor::seconds();
    let watch = &mut |_: &_| ControlFlow::Continue(());
    let report = solve(&Algorithm::Cg, a, &m, b, &mut x, &stop, watch)?;
    let solve = processor::seconds() - start;
    let (iterations, entries) = (report.iterations, m.stored_entries());
    Ok((Taken { iterations, entries, setup, solve }, m))
}

/// `mean (max)` of the iterations, mean entries a row of `n`, and the mean times.
fn summary(taken: &[Taken], n: u64) -> [String; 3] {
    let mean = |of: fn(&Taken) -> f64| taken.iter().map(of).sum::<f64>() / taken.len() as f64;
    let most = taken.iter().map(|t| t.iterations).max().unwrap_or(0);
    [
        format!("{:.1} ({most})", mean(|t| t.iterations as f64)),
        format!("{:.1}", mean(|t| t.entries as f64) / n as f64),
        format!("{:.0} + {:.0}", 1e3 * mean(|t| t.setup), 1e3 * mean(|t| t.solve)),
    ]
}

/// The same solve several times: medians of its times.
fn median(mut taken: Vec<Taken>) -> Taken {
    let mut of = |time: fn(&Taken) -> f64| {
        taken.sort_by(|a, b| time(a).total_cmp(&time(b)));
        time(&taken[taken.len() / 2])
    };
    let (setup, solve) = (of(|t| t.setup), of(|t| t.solve));
    Taken { setup, solve, ..taken[0] }
}

/// One line for a problem.
fn line(
    problem: &Value,
    [samples, repeats]: [u64; 2],
    params: &Params,
    adaptive: &FsaiParams,
) -> Result<String> {
    let made = Problem::from_json(problem)?;
    let fixed = |power| FsaiParams { power, ..FsaiParams::default() };
    let classic = [fixed(1), fixed(2), adaptive.clone()];
    let (mut all, mut fallbacks, mut n) = ([const { vec![] }; 4], 0, 0);
    for index in 0..samples {
        let (system, b) = made.generate_nth(Comm::solo(), index)?;
        let a = system.a();
        n = a.n_global();
        let mut rounds = [const { vec![] }; 4];
        for round in 0..repeats {
            for (taken, params) in rounds.iter_mut().zip(&classic) {
                taken.push(take(a, &b, || Fsai::generate(params, &system))?.0);
            }
            let (taken, m) = take(a, &b, || MlpFsai::generate(params, &system))?;
            rounds[3].push(taken);
            let fell = m.notes().iter().any(|note| note.starts_with("FSAI"));
            fallbacks += u64::from(round == 0 && fell);
        }
        for (all, rounds) in all.iter_mut().zip(rounds) {
            all.push(median(rounds));
        }
    }
    let pairs = || all[3].iter().zip(&all[0]);
    let ratio = |(ours, theirs): (&Taken, &Taken)| {
        100.0 * (ours.iterations as f64 / theirs.iterations as f64 - 1.0)
    };
    let best = pairs().map(ratio).fold(f64::INFINITY, f64::min);
    let worst = pairs().map(ratio).fold(f64::NEG_INFINITY, f64::max);
    let more = pairs().map(|(ours, theirs)| ours.iterations as i64 - theirs.iterations as i64);
    let told = all.each_ref().map(|taken| summary(taken, n));
    let column = |k: usize| told.each_ref().map(|told| told[k].as_str()).join(" | ");
    Ok(format!(
        "| {} | {n} | {} | {best:+.1} % | {worst:+.1} %, {:+} | {fallbacks} | {} | {} |",
        name(problem),
        column(0),
        more.max().unwrap_or(0),
        column(1),
        column(2),
    ))
}

/// The parameters that tell a problem from the others.
fn name(problem: &Value) -> String {
    let told = |(key, value): (&String, &Value)| match key.as_str() {
        "seed" | "rhs" | "nodes" | "level" => None,
        "kind" => value.as_str().map(str::to_owned),
        _ => Some(format!("{key} {value}").replace('"', "")),
    };
    problem.as_object().into_iter().flatten().filter_map(told).collect::<Vec<_>>().join(", ")
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || Error::Parameter("usage: fsai CONFIG [KEY=VALUE …]".into());
    let file = arguments.next().ok_or_else(usage)?;
    let (mut samples, mut repeats) = (10, 1);
    let (mut only, mut params) = (None, Params::default());
    let mut adaptive = FsaiParams { power: 0, steps: 8, ..FsaiParams::default() };
    let (mut cube, mut set) = (None, vec![("seed".to_owned(), json!(91_000))]);
    for argument in arguments {
        let (key, value) = argument.split_once('=').ok_or_else(usage)?;
        let number = || value.parse::<u64>().map_err(|e| Error::Parameter(format!("{key}: {e}")));
        match key {
            "samples" => samples = number()?,
            "repeats" => repeats = number()?.max(1),
            "only" => only = Some(number()?),
            "check" => params.check = number()? as usize,
            "model" => params.model = Some(value.to_owned()),
            "adaptive" => {
                adaptive = precondor_sdk::serde_json::from_str(value)
                    .map_err(|e| Error::Parameter(format!("{key}: {e}")))?;
            }
            "cube" => cube = Some(json!(number()?)),
            _ => set.push((
                key.to_owned(),
                precondor_sdk::serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
            )),
        }
    }
    let root = config::read(std::path::Path::new(&file))?;
    let data = root.get("data").ok_or_else(usage)?;
    let methods = "FSAI | FSAI, A² | FSAI, adaptive | mlp-fsai";
    let each = |what: &str| methods.split(" | ").map(|m| format!("{m}{what}")).collect::<Vec<_>>();
    let (entries, times) = (each(": entries").join(" | "), each(": ms").join(" | "));
    println!("| family | n | {methods} | best | worst | fell back | {entries} | {times} |");
    println!("{}|", "|---".repeat(17));
    for (k, section) in data.items().iter().enumerate() {
        if only.is_some_and(|only| only != k as u64) {
            continue;
        }
        let mut problem = section.json();
        problem["rhs"] = json!("random");
        for (key, value) in &set {
            match (key.as_str(), problem["kind"] == "cube", &cube) {
                ("nodes", true, Some(cube)) => problem["nodes"] = cube.clone(),
                ("nodes", true, None) => {}
                ("nodes", false, _) => {
                    if let Some(keys) = problem.as_object_mut() {
                        keys.remove("level");
                    }
                    problem["nodes"] = value.clone();
                }
                _ => problem[key] = value.clone(),
            }
        }
        println!("{}", line(&problem, [samples, repeats], &params, &adaptive)?);
    }
    Ok(())
}
