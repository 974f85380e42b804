//! Iteration counts on perturbed Poisson problems, against those of independent programs.
#![allow(clippy::unwrap_used)]
use precondor_plugin_ilu::{Ic, Ilu, ic, ilu};
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::json;
use std::ops::ControlFlow;

fn problem(level: u32, rhs: &str, index: u64, comm: Comm) -> (System, Vec<f64>) {
    let params = json!({"kind": "poisson", "level": level, "shift": 0.25, "rhs": rhs});
    Problem::from_json(&params).unwrap().generate_nth(comm, index).unwrap()
}

/// Iterations from x = 0 to a relative residual of 1e-8.
fn iterations<G: Generator>(
    method: Algorithm,
    params: &G::Params,
    (system, b): &(System, Vec<f64>),
) -> usize {
    let m = G::generate(params, system).unwrap();
    assert!(m.notes().iter().all(|note| !note.contains('α')), "{:?}", m.notes());
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 10_000, divergence: 1e5 };
    let mut x = vec![0.0; b.len()];
    let watch = &mut |_: &_| ControlFlow::Continue(());
    let report = solve(&method, system.a(), &m, b, &mut x, &stop, watch).unwrap();
    assert_eq!(report.outcome, Outcome::Converged);
    assert!(report.true_relative_residual <= 1e-8);
    report.iterations
}

#[test]
fn ic_makes_cg_as_fast_as_elsewhere() {
    for (level, expected) in [(5, 37.0), (7, 133.0)] {
        let counts = (0..5).map(|index| {
            let problem = problem(level, "random", index, Comm::solo());
            iterations::<Ic>(Algorithm::Cg, &ic::Params::default(), &problem)
        });
        let mean = counts.sum::<usize>() as f64 / 5.0;
        assert!((mean / expected - 1.0).abs() < 0.06, "level {level}: {mean}, expected {expected}");
    }
}

/// More fill, fewer iterations; more ranks, more.
#[test]
fn fill_saves_iterations_and_ranks_cost_some() {
    let method = Algorithm::Gmres { restart: 100 };
    let on = |ranks: usize, level: u32| {
        let params = ilu::Params { level: Some(level), ..ilu::Params::default() };
        let counts = threads::run(ranks, |comm| {
            iterations::<Ilu>(method, &params, &problem(5, "ones", 0, Comm::new(comm)))
        });
        assert!(counts.iter().all(|&count| count == counts[0]), "{counts:?}");
        counts[0]
    };
    let alone: Vec<usize> = (0..4).map(|level| on(1, level)).collect();
    assert!(alone.windows(2).all(|pair| pair[1] < pair[0]), "{alone:?}");
    let three: Vec<usize> = (0..4).map(|level| on(3, level)).collect();
    assert!(three.windows(2).all(|pair| pair[1] < pair[0]), "{three:?}");
    assert!(alone.iter().zip(&three).all(|(one, three)| three > one), "{alone:?} {three:?}");
}
