//! Precondor's side of `scripts/peers.sh`: writes the systems for the others, and solves them itself.
//!
//!     peers write DIR LEVEL          two systems of one family, as DIR/a0.mtx, DIR/b0.mtx, DIR/a1.mtx …
//!     peers solve LEVEL REPEATS [L]  the second of them with every method below (whose label begins with L)
//!
//! One line a solve: label, threads, iterations, seconds of setup and solve by the clock, then by the
//! processor over all threads, true relative residual, peak memory of the process in MB so far.
use precondor_core::comm::Comm;
use precondor_core::matrix::io::matrix_market;
use precondor_core::problem::{Poisson, Problem, Rhs};
use precondor_core::solver::{self, Algorithm, Criterion, Stop};
use precondor_core::{Error, Result};
use precondor_host::{Plugins, Search};
use precondor_testkit::processor;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// What is solved; not a seed that any shipped model was trained on.
const SEED: u64 = 7;

/// Label, solver, method, parameters.
fn methods() -> Vec<(&'static str, Algorithm, &'static str, Value)> {
    let richardson = Algorithm::Richardson { damping: 1.0 };
    let jacobi = json!({"smoother": "jacobi", "damping": 0.6});
    vec![
        ("mlp-reference spd", Algorithm::Cg, "mlp-reference", json!({})),
        ("mlp-reference spd, Richardson", richardson, "mlp-reference", json!({})),
        (
            "mlp-reference stencil, Richardson",
            richardson,
            "mlp-reference",
            json!({"variant": "stencil"}),
        ),
        ("reference, symmetric GS, P", Algorithm::Cg, "reference", json!({})),
        ("reference, Jacobi, P", Algorithm::Cg, "reference", jacobi),
        ("PCG(A0^-1)", Algorithm::Cg, "fast-poisson", json!({})),
        ("geometric multigrid", Algorithm::Cg, "multigrid", json!({})),
        ("cholesky", Algorithm::Cg, "cholesky", json!({})),
        ("ic", Algorithm::Cg, "ic", json!({})),
    ]
}

fn problem(level: u32) -> Problem {
    Problem::Poisson(Poisson { seed: SEED, rhs: Rhs::Load, ..Poisson::at_level(level) })
}

/// Peak memory in MB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().strip_suffix(" kB")).and_then(|kib| kib.parse().ok());
    kib.map_or(f64::NAN, |kib: f64| kib * 1024.0 / 1e6)
}

fn write(dir: &Path, level: u32) -> Result<()> {
    for index in 0..2 {
        let (system, b) = problem(level).generate_nth(Comm::solo(), index)?;
        let what = format!("perturbed Poisson, level {level}, seed {SEED}, system {index}");
        matrix_market::write(&dir.join(format!("a{index}.mtx")), system.a().own(), &what)?;
        matrix_market::write_vector(&dir.join(format!("b{index}.mtx")), &b, &what)?;
    }
    Ok(())
}

fn solve(level: u32, repeats: usize, label: &str) -> Result<()> {
    let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() })?;
    for problem in plugins.problems() {
        eprintln!("passed over: {}: {}", problem.path.display(), problem.reason);
    }
    let host = plugins.host();
    let (system, b) = problem(level).generate_nth(Comm::solo(), 1)?;
    let stop = Stop {
        criterion: Criterion::RelativeResidual,
        tolerance: 1e-8,
        max_iterations: 2000,
        divergence: 1e6,
    };
    for (label, method, name, params) in methods().into_iter().filter(|m| m.0.starts_with(label)) {
        let Ok(generator) = plugins.get(name) else { continue };
        for _ in 0..repeats {
            // A matrix that nothing is known of yet.
            let own = system.a().own().view();
            let a = system.a().with_values(own.values.to_vec(), vec![])?;
            let system = system.for_matrix(a).with_host(host.clone());
            let (begin, work) = (Instant::now(), processor::seconds());
            let m = generator.generate(&params, &system)?;
            let (ready, set_up) = (Instant::now(), processor::seconds());
            let mut x = vec![0.0; b.len()];
            let mut watch = |_: &solver::Step| ControlFlow::Continue(());
            let report = solver::solve(&method, system.a(), &*m, &b, &mut x, &stop, &mut watch)?;
            let (done, solved) = (Instant::now(), processor::seconds());
            println!(
                "{label}\t{}\t{}\t{:.5}\t{:.5}\t{:.5}\t{:.5}\t{:.1e}\t{:.0}",
                host.threads(),
                report.iterations,
                (ready - begin).as_secs_f64(),
                (done - ready).as_secs_f64(),
                set_up - work,
                solved - set_up,
                report.true_relative_residual,
                peak(),
            );
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| {
        text.parse::<u32>().map_err(|_| Error::Parameter(format!("'{text}' is no number")))
    };
    match args[1..] {
        ["write", dir, level] => write(Path::new(dir), number(level)?),
        ["solve", level, repeats] => solve(number(level)?, number(repeats)? as usize, ""),
        ["solve", level, repeats, label] => solve(number(level)?, number(repeats)? as usize, label),
        _ => Err(Error::Parameter("peers write DIR LEVEL | solve LEVEL REPEATS [LABEL]".into())),
    }
}
