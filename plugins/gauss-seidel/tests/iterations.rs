//! Iteration counts on perturbed Poisson problems, against those of independent programs.
#![allow(clippy::unwrap_used)]
use precondor_plugin_gauss_seidel::{GaussSeidel, Params, Sweep};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;

/// Iterations from x = 0, and x.
fn iterations(
    method: Algorithm,
    sweep: Sweep,
    (system, b): &(System, Vec<f64>),
    (criterion, tolerance): (Criterion, f64),
) -> (usize, Vec<f64>) {
    let m = GaussSeidel::generate(&Params { sweep, ..Params::default() }, system).unwrap();
    let stop = Stop { criterion, tolerance, max_iterations: 10_000, divergence: 1e5 };
    let mut x = vec![0.0; b.len()];
    let watch = &mut |_: &_| ControlFlow::Continue(());
    let report = solve(&method, system.a(), &m, b, &mut x, &stop, watch).unwrap();
    assert_eq!(report.outcome, Outcome::Converged);
    (report.iterations, x)
}

fn problem(params: Value, index: u64) -> (System, Vec<f64>) {
    Problem::from_json(&params).unwrap().generate_nth(Comm::solo(), index).unwrap()
}

#[test]
fn richardson_takes_as_many_steps_as_in_the_calibration_of_the_problem() {
    for (level, expected) in [(2, 20.8), (3, 99.5), (4, 463.0)] {
        let count = 20;
        let counts = (0..count).map(|index| {
            let problem = problem(json!({"kind": "poisson", "level": level, "shift": 0.25}), index);
            let tight = (Criterion::RelativeResidual, 1e-12);
            let (_, exact) = iterations(Algorithm::Cg, Sweep::Symmetric, &problem, tight);
            let rule = (Criterion::AbsoluteError(&exact), 1e-5);
            let richardson = Algorithm::Richardson { damping: 1.0 };
            iterations(richardson, Sweep::Forward, &problem, rule).0
        });
        let mean = counts.sum::<usize>() as f64 / count as f64;
        assert!((mean / expected - 1.0).abs() < 0.04, "level {level}: {mean}, expected {expected}");
    }
}

#[test]
fn symmetric_sweeps_make_cg_as_fast_as_ssor_elsewhere() {
    for (level, expected) in [(5, 44.0), (7, 157.0)] {
        let params = json!({"kind": "poisson", "level": level, "shift": 0.25, "rhs": "random"});
        let counts = (0..5).map(|index| {
            let rule = (Criterion::RelativeResidual, 1e-8);
            iterations(Algorithm::Cg, Sweep::Symmetric, &problem(params.clone(), index), rule).0
        });
        let mean = counts.sum::<usize>() as f64 / 5.0;
        assert!((mean / expected - 1.0).abs() < 0.06, "level {level}: {mean}, expected {expected}");
    }
}
