//! The rematch: `mlp-reference` against the unlearned forms on the same kernels, setup included:
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p precondor-lab --example rematch -- [ROUNDS [LEVEL …]]
//! ```
//!
//! A line is one grid: for each form its iterations to a relative residual of 1e-8 and the milliseconds that a setup and
//! one solve, and a setup and ten solves, take; medians of rounds in which all forms take turns. Then what the faster network takes in
//! units of the fastest unlearned form that knows A alone, and of that form with true positions at no cost: its solve with the
//! setup of the form without. Systems are of seed 7, which no shipped model was trained on; nothing is known of a matrix before its setup.
#![allow(clippy::unwrap_used)]
use precondor::report::median;
use precondor_host::{Plugins, Search};
use precondor_sdk::core::problem::{Poisson, Problem, Tetrahedra};
use precondor_sdk::core::solver::{Algorithm, Criterion, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;
use std::time::Instant;

const SEED: u64 = 7;
const SHIFTS: [f64; 5] = [0.05, 0.15, 0.25, 0.35, 0.45];

/// What a form knows.
#[derive(Clone, Copy, PartialEq)]
enum Knows {
    A,
    Positions,
    Network,
}

struct Form {
    label: &'static str,
    knows: Knows,
    solver: Algorithm,
    method: &'static str,
    params: Value,
}

fn forms() -> Vec<Form> {
    let (cg, richardson) = (Algorithm::Cg, Algorithm::Richardson { damping: 1.0 });
    let form = |label, knows, solver, method, params| Form { label, knows, solver, method, params };
    let post = |positions: &str| json!({"variant": "post-only", "positions": positions});
    vec![
        form("A0⁻¹", Knows::A, cg, "fast-poisson", json!({})),
        form("symmetric", Knows::A, cg, "reference", json!({})),
        form("post-only", Knows::A, richardson, "reference", post("none")),
        form("estimated", Knows::A, richardson, "reference", post("estimated")),
        form("true positions", Knows::Positions, richardson, "reference", post("given")),
        form("network spd", Knows::Network, cg, "mlp-reference", json!({})),
        form(
            "network stencil",
            Knows::Network,
            richardson,
            "mlp-reference",
            json!({"variant": "stencil"}),
        ),
    ]
}

/// Iterations, setup and solve in milliseconds.
type Run = (usize, f64, f64);

/// One solve, on a matrix that nothing is known of; none where the method does not take it, or does not get there.
fn run(plugins: &Plugins, form: &Form, system: &System, b: &[f64]) -> Result<Option<Run>> {
    let a = system.a().with_values(system.a().own().view().values.to_vec(), vec![])?;
    let system = system.with_matrix(a)?.with_host(plugins.host());
    let begin = Instant::now();
    let m = match plugins.get(form.method)?.generate(&form.params, &system) {
        Err(Error::Unsupported(_)) => return Ok(None),
        m => m?,
    };
    let ready = Instant::now();
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 60, divergence: 1e6 };
    let (mut x, mut watch) = (vec![0.0; b.len()], |_: &_| ControlFlow::Continue(()));
    let report = solve(&form.solver, system.a(), &*m, b, &mut x, &stop, &mut watch)?;
    let ms = |from: Instant, to: Instant| 1e3 * (to - from).as_secs_f64();
    let solved = report.true_relative_residual <= 1.1e-8;
    Ok(solved.then(|| (report.iterations, ms(begin, ready), ms(ready, Instant::now()))))
}

fn line(plugins: &Plugins, rounds: usize, name: &str, shift: f64, problem: &Problem) -> Result<()> {
    let forms = forms();
    let (system, b) = problem.generate(Comm::solo())?;
    let mut runs: Vec<Vec<Run>> = forms.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (form, runs) in forms.iter().zip(&mut runs) {
            runs.extend(run(plugins, form, &system, &b)?);
        }
    }
    // Medians of setup and solve; a setup and one solve, and ten.
    let of = |runs: &[Run], part: fn(&Run) -> f64| median(runs.iter().map(part).collect());
    let totals = runs.iter().map(|runs| {
        Some([of(runs, |r| r.1)?, of(runs, |r| r.1 + r.2)?, of(runs, |r| r.1 + 10.0 * r.2)?])
    });
    let totals: Vec<Option<[f64; 3]>> = totals.collect();
    let mut cells = vec![name.to_owned(), shift.to_string()];
    for (runs, total) in runs.iter().zip(&totals) {
        cells.push(match (runs.first(), total) {
            (Some(first), Some([_, one, ten])) => format!("{} · {one:.2} · {ten:.1}", first.0),
            _ => "–".into(),
        });
    }
    let all = || forms.iter().zip(&totals).filter_map(|(form, total)| Some((form, (*total)?)));
    let least = |knows: Knows, which: usize| {
        let known = all().filter(|(form, _)| form.knows == knows);
        known.map(|(_, total)| total[which]).fold(f64::INFINITY, f64::min)
    };
    // Positions at no cost.
    let bare = all().find(|(form, _)| form.label == "post-only").map_or(f64::NAN, |(_, t)| t[0]);
    let given = all().find(|(form, _)| form.knows == Knows::Positions).map(|(_, total)| total);
    for which in [1, 2] {
        let (network, best) = (least(Knows::Network, which), least(Knows::A, which));
        let bound = given.map_or(f64::NAN, |total| total[which] - total[0] + bare);
        cells.push(match network.is_finite() {
            true => format!("{:.2} (bound {:.2})", network / best, bound / best),
            false => format!("– (bound {:.2})", bound / best),
        });
    }
    println!("| {} |", cells.join(" | "));
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let rounds = arguments.first().copied().unwrap_or(5);
    let levels = arguments.get(1..).filter(|levels| !levels.is_empty()).unwrap_or(&[5, 7, 9]);
    let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() })?;
    println!("{} thread(s), seed {SEED}, {rounds} rounds\n", plugins.host().threads());
    let labels: Vec<&str> = forms().iter().map(|form| form.label).collect();
    println!("| grid | shift | {} | network / best, one | ten |", labels.join(" | "));
    println!("{}|", "|---".repeat(labels.len() + 4));
    for &level in levels {
        let level = level as u32;
        for shift in SHIFTS {
            let poisson = Poisson { seed: SEED, shift, ..Poisson::at_level(level) };
            let side = (1 << level) - 1;
            line(&plugins, rounds, &format!("{side}²"), shift, &Problem::Poisson(poisson))?;
        }
    }
    for nodes in [31, 63] {
        for shift in [0.1, 0.2, 0.28] {
            let cube = Tetrahedra { seed: SEED, nodes, shift, ..Tetrahedra::default() };
            line(&plugins, rounds, &format!("{nodes}³"), shift, &Problem::Tetrahedra(cube))?;
        }
    }
    Ok(())
}
