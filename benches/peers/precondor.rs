//! Precondor's side of `scripts/peers.sh`: writes the systems for the others, and solves them itself.
//!
//!     peers write DIR GRID          two systems of one family, as DIR/a0.mtx, DIR/b0.mtx, DIR/a1.mtx …
//!     peers solve GRID REPEATS [L]  the second of them with every method below (whose label begins with L)
//!
//! GRID is the level of a triangulated square, 9, or the nodes a side of a cube of tetrahedra, 63^3; nodes shifted by a quarter of a spacing.
//!
//! One line a solve: label, threads, iterations, seconds of setup and solve by the clock, then by the
//! processor over all threads, true relative residual, peak memory of the process in MB so far.
use precondor_core::comm::Comm;
use precondor_core::matrix::io::matrix_market;
use precondor_core::problem::{Poisson, Problem, Rhs, Tetrahedra};
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

/// Methods that are measured as they follow a sequence, too: set up for system 0, refreshed for system 1.
const REFRESHED: [&str; 2] = ["reference", "amg"];

/// Label, solver, method, parameters.
fn methods() -> Vec<(&'static str, Algorithm, &'static str, Value)> {
    let richardson = Algorithm::Richardson { damping: 1.0 };
    let post = |positions: &str| json!({"variant": "post-only", "positions": positions});
    vec![
        ("mlp-reference spd", Algorithm::Cg, "mlp-reference", json!({})),
        ("mlp-reference spd, Richardson", richardson, "mlp-reference", json!({})),
        (
            "mlp-reference stencil, Richardson",
            richardson,
            "mlp-reference",
            json!({"variant": "stencil"}),
        ),
        ("reference", Algorithm::Cg, "reference", json!({})),
        ("reference post-only, Richardson", richardson, "reference", post("none")),
        (
            "reference post-only, positions given, Richardson",
            richardson,
            "reference",
            post("given"),
        ),
        (
            "reference post-only, positions estimated, Richardson",
            richardson,
            "reference",
            post("estimated"),
        ),
        ("amg", Algorithm::Cg, "amg", json!({})),
        ("PCG(A0^-1)", Algorithm::Cg, "fast-poisson", json!({})),
        ("geometric multigrid", Algorithm::Cg, "multigrid", json!({})),
        ("cholesky", Algorithm::Cg, "cholesky", json!({})),
        ("ic", Algorithm::Cg, "ic", json!({})),
    ]
}

fn number(text: &str) -> Result<u32> {
    text.parse().map_err(|_| Error::Parameter(format!("'{text}' is no number")))
}

fn problem(grid: &str) -> Result<Problem> {
    Ok(match grid.strip_suffix("^3") {
        Some(nodes) => {
            let nodes = number(nodes)? as usize;
            Problem::Tetrahedra(Tetrahedra { seed: SEED, nodes, ..Tetrahedra::default() })
        }
        None => {
            let poisson = Poisson::at_level(number(grid)?);
            Problem::Poisson(Poisson { seed: SEED, rhs: Rhs::Load, ..poisson })
        }
    })
}

/// Peak memory in MB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().strip_suffix(" kB")).and_then(|kib| kib.parse().ok());
    kib.map_or(f64::NAN, |kib: f64| kib * 1024.0 / 1e6)
}

fn write(dir: &Path, grid: &str) -> Result<()> {
    for index in 0..2 {
        let (system, b) = problem(grid)?.generate_nth(Comm::solo(), index)?;
        let what = format!("perturbed Poisson, grid {grid}, seed {SEED}, system {index}");
        matrix_market::write(&dir.join(format!("a{index}.mtx")), system.a().own(), &what)?;
        matrix_market::write_vector(&dir.join(format!("b{index}.mtx")), &b, &what)?;
    }
    Ok(())
}

fn solve(grid: &str, repeats: usize, label: &str) -> Result<()> {
    let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() })?;
    for problem in plugins.problems() {
        eprintln!("passed over: {}: {}", problem.path.display(), problem.reason);
    }
    let host = plugins.host();
    let (system, b) = problem(grid)?.generate_nth(Comm::solo(), 1)?;
    let stop = Stop {
        criterion: Criterion::RelativeResidual,
        tolerance: 1e-8,
        max_iterations: 2000,
        divergence: 1e6,
    };
    // The fill of a direct solve in three dimensions is another subject.
    let direct = |name: &str| grid.ends_with("^3") && name == "cholesky";
    let methods: Vec<_> =
        methods().into_iter().filter(|m| m.0.starts_with(label) && !direct(m.2)).collect();
    // Last, as another system's memory counts to their peaks.
    let again = methods.iter().filter(|m| label.is_empty() && REFRESHED.contains(&m.2)).cloned();
    let again: Vec<_> = again.map(|m| (m, true)).collect();
    for ((label, method, name, params), again) in
        methods.into_iter().map(|m| (m, false)).chain(again)
    {
        let generator = plugins.get(name)?;
        let label = if again { format!("{label}, refreshed") } else { label.into() };
        for _ in 0..repeats {
            let kept = match again {
                true => {
                    let (before, _) = problem(grid)?.generate_nth(Comm::solo(), 0)?;
                    Some(generator.generate(&params, &before.with_host(host.clone()))?)
                }
                false => None,
            };
            // A matrix that nothing is known of yet.
            let own = system.a().own().view();
            let a = system.a().with_values(own.values.to_vec(), vec![])?;
            let system = system.with_matrix(a)?.with_host(host.clone());
            let (begin, work) = (Instant::now(), processor::seconds());
            let made = match kept {
                None => generator.generate(&params, &system),
                Some(mut kept) => kept.refresh(&system).map(|()| kept),
            };
            let m = match made {
                Err(Error::Unsupported(why)) => {
                    eprintln!("left out: {label}: {why}");
                    break;
                }
                m => m?,
            };
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
    match args[1..] {
        ["write", dir, grid] => write(Path::new(dir), grid),
        ["solve", grid, repeats] => solve(grid, number(repeats)? as usize, ""),
        ["solve", grid, repeats, label] => solve(grid, number(repeats)? as usize, label),
        _ => Err(Error::Parameter("peers write DIR GRID | solve GRID REPEATS [LABEL]".into())),
    }
}
