//! What `auto` loses against the best of its candidates, on systems that it never saw.
//!
//! ```text
//! cargo run --release -p precondor-lab --example regret -- [--systems N] [--model FILE]
//! cargo run --release -p precondor-lab --example regret -- --worth
//! cargo run --release -p precondor-lab --example regret -- --left-out [--model FILE]
//! ```
//!
//! Systems are those of the model's own problems, from random streams that training never draws from,
//! and of problems that it was not trained on. Costs are counted as in training (`src/cost.rs`), for
//! `auto` with three products for its features; regret is cost / least cost − 1. A choice that
//! refuses or does not get there is counted apart. `--worth` measures what setups and applications
//! are worth in products with A, and what fits them best, for the training configuration. `--left-out` solves
//! nothing: for each kind of problems in the model file a forest is grown on all others, and asked about that
//! one; what did not work there is passed over for the next by votes, a system without any costs 100 times the best.
use precondor_plugin_auto::auto::Auto;
use precondor_plugin_auto::cost::{Limits, Run, best, run};
use precondor_plugin_auto::features::Features;
use precondor_plugin_auto::forest::{Forest, Growth};
use precondor_plugin_auto::model::{Kind, Model, Record, loss};
use precondor_plugin_auto::train::{TrainParams, label};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::registry::{Native, NativeTrainable, Registry};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};
use precondor_testkit::processor;
use std::path::Path;
use std::sync::Arc;

/// Problems that the model was not trained on.
fn foreign() -> Vec<Value> {
    vec![
        json!({"kind": "poisson", "level": 8}),
        json!({"kind": "poisson", "nodes": 45, "shift": 0.35}),
        json!({"kind": "poisson", "level": 6, "coefficient": "jump", "contrast": 1e4}),
        json!({"kind": "diffusion", "level": 6, "anisotropy": 0.1}),
        json!({"kind": "diffusion", "level": 6, "mesh": "delaunay", "coefficient": "white"}),
        json!({"kind": "cube", "nodes": 26, "deviation": 1.0}),
        json!({"kind": "diffusion", "nodes": 160, "mesh": "random", "coefficient": "blocks", "decades": 2}),
        json!({"kind": "diffusion", "nodes": 120, "stretch": 30, "shift": 0.1}),
        json!({"kind": "tetrahedra", "nodes": 24, "decades": 1}),
        json!({"kind": "elasticity", "nodes": 60}),
        json!({"kind": "elasticity", "dimension": 3, "nodes": 10}),
        json!({"kind": "graph", "nodes": 50000}),
        json!({"kind": "l-shape", "nodes": 60}),
        json!({"kind": "convection", "nodes": 120, "peclet": 3}),
        json!({"kind": "convection", "nodes": 70, "peclet": 300}),
        json!({"kind": "circuit", "nodes": 15000, "decades": 5, "rails": 4}),
        json!({"kind": "circuit", "nodes": 4000, "decades": 2, "gyrators": 0.2, "units": 3}),
        json!({"kind": "helmholtz", "nodes": 90, "waves": 1.2}),
    ]
}

fn methods() -> Result<Arc<Registry>> {
    use precondor_plugin_ilu::{Ic, Ilu};
    use precondor_plugin_mlp::reference::MlpReference;
    use precondor_plugin_reference::Reference;
    let mut registry = Registry::new();
    registry.add(Native::<precondor_plugin_jacobi::Jacobi>::method())?;
    registry.add(Native::<precondor_plugin_gauss_seidel::GaussSeidel>::method())?;
    registry.add(Native::<precondor_plugin_spai::Fsai>::method())?;
    registry.add(Native::<Ic>::method())?;
    registry.add(Native::<Ilu>::method())?;
    registry.add(Native::<precondor_plugin_spai::Spai>::method())?;
    registry.add(Native::<Reference>::method())?;
    registry.add(NativeTrainable::<MlpReference>::method())?;
    registry.add(NativeTrainable::<precondor_plugin_mlp::fsai::MlpFsai>::method())?;
    registry.add(Native::<precondor_plugin_multigrid::Multigrid>::method())?;
    registry.add(Native::<precondor_plugin_amg::Amg>::method())?;
    registry.add(NativeTrainable::<Auto>::method())?;
    Ok(Arc::new(registry))
}

/// Seed of the right-hand sides; that of a training run is another.
const SEED: u64 = 1 << 40;

/// One system: what the candidates took, the candidate that auto chose, seconds of processor time of
/// all and of auto.
struct Found {
    runs: Vec<Option<Run>>,
    chosen: usize,
    seconds: Vec<f64>,
    choosing: f64,
}

fn look(
    model: &Model,
    system: &System,
    limits: Limits,
    index: u64,
    params: &Value,
) -> Result<Found> {
    let mut runs = Vec::new();
    let mut seconds = Vec::new();
    for candidate in &model.candidates {
        let start = processor::seconds();
        runs.push(run(candidate, system, limits, (SEED, index))?.ok());
        seconds.push(processor::seconds() - start);
    }
    let start = processor::seconds();
    Features::of(system.a())?;
    let choosing = processor::seconds() - start;
    let notes = system.host().inner("auto", params, system)?.notes();
    let mut names = Vec::new();
    for candidate in &model.candidates {
        names.push(format!("chosen: {}", label(&model.candidates, candidate)?));
    }
    let chosen = names.iter().position(|name| notes.contains(name));
    let chosen = chosen.ok_or_else(|| Error::Data(format!("no choice in {notes:?}")))?;
    Ok(Found { runs, chosen, seconds, choosing })
}

/// Products with A that looking at the features is worth.
const LOOKING: f64 = 3.0;

/// Mean and greatest regret of costs and of seconds, and how many did not get there.
fn regret(found: &[Found], choice: impl Fn(&Found) -> (usize, bool)) -> String {
    let (mut costs, mut seconds, mut lost) = (Vec::new(), Vec::new(), 0);
    for f in found {
        let Some(least) = best(&f.runs) else { continue };
        let (class, looked) = choice(f);
        let (Some(run), Some(reference)) = (f.runs[class], f.runs[least]) else {
            lost += 1;
            continue;
        };
        let extra = if looked { LOOKING } else { 0.0 };
        costs.push((f64::from(run.cost) + extra) / f64::from(reference.cost) - 1.0);
        let there = (0..f.runs.len()).filter(|&k| f.runs[k].is_some());
        let fastest = there.map(|k| f.seconds[k]).fold(f64::INFINITY, f64::min);
        let looking = if looked { f.choosing } else { 0.0 };
        seconds.push((f.seconds[class] + looking) / fastest - 1.0);
    }
    let percent = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let most = values.iter().copied().fold(0.0, f64::max);
        format!("{:.0} % ({:.0} %)", 100.0 * mean, 100.0 * most)
    };
    match costs.is_empty() {
        true => format!("– | – | {lost}"),
        false => format!("{} | {} | {lost}", percent(&costs), percent(&seconds)),
    }
}

fn table(title: &str, model: &Model, found: &[Found]) -> Result<()> {
    let solved = found.iter().filter(|f| best(&f.runs).is_some()).count();
    let right = found.iter().filter(|f| best(&f.runs) == Some(f.chosen)).count();
    println!("\n{title}: {solved} systems; auto picked the cheapest on {right}\n");
    println!("| choice | is cheapest on | regret, mean (max) | in seconds | lost |");
    println!("|---|---|---|---|---|");
    println!("| **auto** | | {} |", regret(found, |f| (f.chosen, true)));
    for (k, candidate) in model.candidates.iter().enumerate() {
        let cheapest = found.iter().filter(|f| best(&f.runs) == Some(k)).count();
        let name = label(&model.candidates, candidate)?;
        println!("| always {name} | {cheapest} | {} |", regret(found, |_| (k, false)));
    }
    Ok(())
}

/// What forests that never saw a kind of problems lose on it, by the runs in the model file.
fn left_out(model: &Model, trained: &TrainParams) -> Result<()> {
    let TrainParams { trees, depth, leaf, seed, .. } = *trained;
    let problems = model.card.samples.as_array().cloned().unwrap_or_default();
    let kind = |record: &Record| problems[record.family]["kind"].as_str().unwrap_or_default();
    let mut kinds: Vec<&str> = model.runs.iter().map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    println!(
        "| kind left out | systems | first choice | passed over | regret, mean (max) | always what is best on the others |"
    );
    println!("|---|---|---|---|---|---|");
    let mut all = Vec::new();
    for left in kinds {
        let solved: Vec<(&Record, usize)> =
            model.runs.iter().filter_map(|r| Some((r, best(&r.runs)?))).collect();
        let (asked, seen): (Vec<_>, Vec<_>) =
            solved.into_iter().partition(|(r, _)| kind(r) == left);
        let features = seen.iter().map(|(r, _)| r.seen()).collect::<Result<Vec<_>>>()?;
        let classes: Vec<u32> = seen.iter().map(|&(_, best)| best as u32).collect();
        let forest = Forest::fit(&features, &classes, Growth { trees, depth, leaf, seed })?.0;
        let mean_loss =
            |class: usize| -> f64 { seen.iter().map(|(r, _)| loss(&r.runs, class).ln()).sum() };
        let classes = model.candidates.len();
        let constant = (0..classes).min_by(|&a, &b| mean_loss(a).total_cmp(&mean_loss(b)));
        let (mut chosen, mut passed) = (vec![0; classes], 0);
        let (mut found, mut fixed) = (Vec::new(), Vec::new());
        for (record, _) in &asked {
            let order = forest.votes(&record.seen()?, classes).order();
            chosen[order[0]] += 1;
            passed += usize::from(record.runs[order[0]].is_none());
            let there = order.into_iter().find(|&class| record.runs[class].is_some());
            found.push(loss(&record.runs, there.unwrap_or(0)) - 1.0);
            fixed.push(loss(&record.runs, constant.unwrap_or(0)) - 1.0);
        }
        let summary = |of: &[f64]| {
            let mean = of.iter().sum::<f64>() / of.len().max(1) as f64;
            let most = of.iter().copied().fold(0.0, f64::max);
            format!("{:.0} % ({:.0} %)", 100.0 * mean, 100.0 * most)
        };
        let mut words = Vec::new();
        for (k, count) in chosen.iter().enumerate().filter(|(_, c)| **c > 0) {
            words.push(format!("{} {count}", label(&model.candidates, &model.candidates[k])?));
        }
        println!(
            "| {left} | {} | {} | {passed} | {} | {} |",
            asked.len(),
            words.join(", "),
            summary(&found),
            summary(&fixed)
        );
        all.extend(found);
    }
    let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
    println!("\nMean over all {} systems: {:.0} %", all.len(), 100.0 * mean);
    Ok(())
}

fn describe(problem: &Value) -> String {
    let fields = problem.as_object().into_iter().flatten();
    let shown = fields.filter(|(key, _)| {
        !matches!(
            key.as_str(),
            "kind" | "seed" | "rhs" | "contrast" | "correlation" | "scale" | "decades"
        )
    });
    let words: Vec<String> = shown.map(|(key, value)| format!("{key} {value}")).collect();
    format!("{} {}", problem["kind"].as_str().unwrap_or_default(), words.join(", "))
}

/// Median seconds of processor time of nine calls.
fn timed(mut what: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..9 {
        let start = processor::seconds();
        what()?;
        times.push(processor::seconds() - start);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[4])
}

/// Matrices that the worth of methods is measured on.
fn measured() -> Vec<Value> {
    vec![
        json!({"kind": "poisson", "level": 6}),
        json!({"kind": "poisson", "level": 8}),
        json!({"kind": "diffusion", "level": 7, "mesh": "delaunay"}),
        json!({"kind": "diffusion", "nodes": 200, "mesh": "random"}),
        json!({"kind": "diffusion", "nodes": 200, "stretch": 100, "shift": 0}),
        json!({"kind": "cube", "nodes": 24}),
        json!({"kind": "tetrahedra", "nodes": 28}),
        json!({"kind": "elasticity", "nodes": 100}),
        json!({"kind": "elasticity", "dimension": 3, "nodes": 16}),
        json!({"kind": "graph", "nodes": 30000}),
        json!({"kind": "circuit", "nodes": 30000}),
        json!({"kind": "convection", "nodes": 200}),
    ]
}

/// The c and d that make c + d·n/nnz nearest to what was measured, relatively; none negative.
fn fit(points: &[(f64, f64)]) -> [f64; 2] {
    let sums = |c: &dyn Fn(f64) -> f64, d: &dyn Fn(f64) -> f64| -> f64 {
        points.iter().map(|&(rows, seen)| c(rows) * d(rows) / (seen * seen)).sum()
    };
    let right =
        |c: &dyn Fn(f64) -> f64| -> f64 { points.iter().map(|&(rows, seen)| c(rows) / seen).sum() };
    let (one, rows) = (|_: f64| 1.0, |rows: f64| rows);
    let [a, b, d] = [sums(&one, &one), sums(&one, &rows), sums(&rows, &rows)];
    let [f, g] = [right(&one), right(&rows)];
    let determinant = a * d - b * b;
    let found = [(d * f - b * g) / determinant, (a * g - b * f) / determinant];
    match found {
        [c, _] if c < 0.0 => [0.0, g / d],
        [_, r] if r < 0.0 => [f / a, 0.0],
        found => found,
    }
}

/// What setups and applications are worth in products with A.
fn worth(model: &Model, host: &Arc<dyn Host>) -> Result<()> {
    println!("| system | method | setup | apply |\n|---|---|---|---|");
    let mut seen = vec![(Vec::new(), Vec::new()); model.candidates.len()];
    for problem in measured() {
        let (system, b) = Problem::from_json(&problem)?.generate(Comm::solo())?;
        let system = system.with_host(Arc::clone(host));
        let rows = b.len() as f64 / system.a().nnz_own() as f64;
        let mut y = vec![0.0; b.len()];
        let product = timed(|| system.a().spmv(&b, &mut y))?;
        // What the check of symmetry finds stays with the matrix: a new one each time, and one that was
        // checked.
        let values = || system.a().own().view().values.to_vec();
        let fresh = (0..9).map(|_| system.a().with_values(values(), vec![]));
        let mut fresh = fresh.collect::<Result<Vec<_>>>()?;
        let checked = system.a().clone();
        checked.first_unsymmetric()?;
        let symmetry =
            timed(|| fresh.pop().unwrap_or(checked.clone()).first_unsymmetric().map(|_| ()))?;
        let features = timed(|| Features::of(&checked).map(|_| ()))?;
        let (symmetry, features) = (symmetry / product, features / product);
        println!(
            "| {} | features | {features:.1}, and {symmetry:.1} to check the symmetry, which conjugate gradients need, too | |",
            describe(&problem)
        );
        for (candidate, seen) in model.candidates.iter().zip(&mut seen) {
            let (name, params) = candidate.named()?;
            let Ok(m) = system.host().inner(&name, &params, &system) else { continue };
            let setup = timed(|| system.host().inner(&name, &params, &system).map(|_| ()))?;
            let apply = timed(|| m.apply(&b, &mut y))?;
            let (setup, apply) = (setup / product, apply / product);
            println!("| {} | {name} | {setup:.1} | {apply:.2} |", describe(&problem));
            seen.0.push((rows, setup));
            seen.1.push((rows, apply));
        }
    }
    println!("\n| method | setup | setup_rows | apply | apply_rows |\n|---|---|---|---|---|");
    for (candidate, (setups, applications)) in model.candidates.iter().zip(&seen) {
        let ([s, r], [a, v]) = (fit(setups), fit(applications));
        println!(
            "| {} | {s:.1} | {r:.0} | {a:.2} | {v:.1} |",
            label(&model.candidates, candidate)?
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1)
    };
    // Methods find each other for as long as somebody holds the registry.
    let registry = methods()?;
    let host = precondor_host::services(&registry, Path::new("."));
    let shipped =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/auto/models/auto.json").to_owned();
    let path = after("--model").unwrap_or(&shipped);
    let model = Model::read(&host.read(path)?, Kind::Model)?;
    if arguments.iter().any(|argument| argument == "--worth") {
        return worth(&model, &host);
    }
    let systems = match after("--systems").map(|text| text.parse::<u64>()) {
        None => 5,
        Some(Ok(systems)) => systems,
        Some(Err(e)) => return Err(Error::Parameter(format!("--systems: {e}"))),
    };
    let trained: TrainParams = serde_json::from_value(model.card.training.clone())
        .map_err(|e| Error::Data(e.to_string()))?;
    if arguments.iter().any(|argument| argument == "--left-out") {
        return left_out(&model, &trained);
    }
    let limits = Limits { tolerance: trained.tolerance, max_iterations: trained.max_iterations };
    let own = model.card.samples.as_array().cloned().unwrap_or_default();
    let params = json!({ "model": path });
    for (title, problems) in
        [("Problems it was trained on, other systems", own), ("Other problems", foreign())]
    {
        let mut all = Vec::new();
        for problem in &problems {
            let kind = Problem::from_json(problem)?;
            let mut found = Vec::new();
            for index in 0..systems {
                let (system, _) = kind.generate_nth(Comm::solo(), index)?;
                let system = system.with_host(Arc::clone(&host));
                found.push(look(&model, &system, limits, index, &params)?);
            }
            let counts = |of: &dyn Fn(&Found) -> Option<usize>| -> Result<String> {
                let mut words = Vec::new();
                for (k, candidate) in model.candidates.iter().enumerate() {
                    let count = found.iter().filter(|f| of(f) == Some(k)).count();
                    if count > 0 {
                        words.push(format!("{} {count}", label(&model.candidates, candidate)?));
                    }
                }
                Ok(words.join(", "))
            };
            eprintln!(
                "{}: cheapest {}; auto took {}; regret {}",
                describe(problem),
                counts(&|f| best(&f.runs))?,
                counts(&|f| Some(f.chosen))?,
                regret(&found, |f| (f.chosen, true))
            );
            all.extend(found);
        }
        table(title, &model, &all)?;
    }
    Ok(())
}
