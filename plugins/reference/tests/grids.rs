//! Counts of the wrapped reference solve on grids of practice, as published for its unlearned form.
#![allow(clippy::unwrap_used)]
use precondor_plugin_reference::Reference;
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::{Poisson, Problem, Tetrahedra};
use precondor_sdk::core::registry::Native;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;

use precondor_testkit::algebra::*;
use precondor_testkit::ranks::{cuts, on_parts};

/// Iterations of conjugate gradients to 1e-8 of the residual.
fn count(params: &Value, problem: &Problem, index: u64) -> usize {
    let (system, b) = problem.generate_nth(Comm::solo(), index).unwrap();
    let m = Native::<Reference>::method().generate(params, &system).unwrap();
    assert!(m.properties().positive_definite, "{:?}", m.notes());
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 100, divergence: 1e6 };
    let (mut x, mut watch) = (vec![0.0; b.len()], |_: &_| ControlFlow::Continue(()));
    let report = solve(&Algorithm::Cg, system.a(), &*m, &b, &mut x, &stop, &mut watch).unwrap();
    assert_eq!(report.outcome, Outcome::Converged);
    report.iterations
}

fn tetrahedra(nodes: usize, shift: f64) -> Problem {
    Problem::Tetrahedra(Tetrahedra { nodes, shift, seed: 91, ..Tetrahedra::default() })
}

/// Nodes are moved by up to `shift` in each direction here: by 1.2 times as much as within a ball, in the mean square.
#[test]
fn tetrahedra_take_six_iterations_of_seven_products() {
    let params = json!({"smoother": "chebyshev", "degree": 3, "interpolation": 0.0});
    for (nodes, shift, most) in [(7, 0.2, 6), (15, 0.2, 6), (15, 0.28, 6), (23, 0.28, 7)] {
        for index in 0..2 {
            let found = count(&params, &tetrahedra(nodes, shift), index);
            assert!(found <= most, "{nodes} nodes, shift {shift}: {found}");
        }
    }
}

#[test]
fn bad_nodes_are_what_costs_iterations_at_large_shifts() {
    let params = |bad: f64| json!({"smoother": "chebyshev", "degree": 3, "bad_nodes": bad, "interpolation": 0.0});
    for (problem, gain) in [
        (tetrahedra(23, 0.45), 1),
        (Problem::Poisson(Poisson { shift: 0.49, ..Poisson::at_level(7) }), 1),
    ] {
        let [with, without] = [1.45, 0.0].map(|bad| count(&params(bad), &problem, 0));
        assert!(with + gain <= without, "{with} with exact solves, {without} without");
    }
}

#[test]
fn two_dimensions_take_the_published_counts() {
    // Chebyshev of degree 3 and a plain reference solve, shifts of .25 and .35: 6 and 7 in the table of the form.
    let params = json!({"smoother": "chebyshev", "degree": 3, "interpolation": 0.0});
    for (level, shift, most) in [(5, 0.25, 6), (7, 0.25, 7), (5, 0.35, 7), (7, 0.35, 8)] {
        let problem = Problem::Poisson(Poisson { shift, seed: 92, ..Poisson::at_level(level) });
        let found = count(&params, &problem, 0);
        assert!(found <= most, "level {level}, shift {shift}: {found}");
    }
}

/// M, column by column, of a matrix spread in this way.
fn matrix_of(whole: &System, starts: &[u64], params: &Value) -> (Dense, Properties, Vec<String>) {
    let n = whole.a().n_own();
    let parts = on_parts(whole, starts, |system| {
        let m = Native::<Reference>::method().generate(params, &system).unwrap();
        let first = system.a().space().start() as usize;
        let column = |j: usize| {
            let r: Vec<f64> =
                (0..system.a().n_own()).map(|i| f64::from(u8::from(first + i == j))).collect();
            let mut z = vec![f64::NAN; r.len()];
            m.apply(&r, &mut z).unwrap();
            z
        };
        ((0..n).map(column).collect::<Dense>(), m.properties(), m.notes())
    });
    let columns: Dense =
        (0..n).map(|j| parts.iter().flat_map(|part| part.0[j].clone()).collect()).collect();
    (transpose(&columns), parts[0].1, parts[0].2.clone())
}

#[test]
fn the_exact_solve_takes_bad_nodes_out_before_and_after() {
    let problem = Problem::Poisson(Poisson { shift: 0.45, seed: 4, ..Poisson::at_level(3) });
    let (system, _) = problem.generate(Comm::solo()).unwrap();
    let n = system.a().n_own();
    let params = |bad: f64| json!({"smoother": "none", "interpolation": 0.0, "bad_nodes": bad});
    let (m, properties, notes) = matrix_of(&system, &[0, n as u64], &params(1.3));
    assert!(properties.positive_definite && positive_definite(&m));
    // An application leaves no residual at bad nodes, and at no others.
    let a = dense(n, |i, j| system.a().own().view().get(i, j));
    let product = multiply(&a, &m);
    let is_solved =
        |i: &usize| (0..n).all(|j| (f64::from(u8::from(*i == j)) - product[*i][j]).abs() < 1e-12);
    let solved = (0..n).filter(is_solved).count();
    let told = format!("{solved} bad nodes are solved for exactly");
    assert!(solved > 0 && notes.iter().any(|n| n.starts_with(&told)), "{told}: {notes:?}");
    assert!(distance(&m, &transpose(&m)) < 1e-13);
    // On several ranks it is the same, where blocks do not cross, and else says so.
    for starts in cuts(n as u64) {
        let (parts, properties, notes) = matrix_of(&system, &starts, &params(1.3));
        assert!(distance(&parts, &transpose(&parts)) < 1e-12, "{starts:?}");
        assert_eq!(properties.positive_definite, properties.rank_independent, "{starts:?}");
        match properties.rank_independent {
            true => assert!(distance(&parts, &m) < 1e-12, "{starts:?}"),
            false => assert!(notes.iter().any(|n| n.contains("different ranks")), "{notes:?}"),
        }
    }
}

#[test]
fn large_blocks_raise_the_threshold() {
    let problem = Problem::Poisson(Poisson { shift: 0.3, ..Poisson::at_level(5) });
    let (system, _) = problem.generate(Comm::solo()).unwrap();
    let m = Native::<Reference>::method().generate(&json!({"bad_nodes": 0.9}), &system).unwrap();
    let notes = m.notes();
    assert!(notes.iter().any(|n| n.contains("at 0.9 blocks have more than 64")), "{notes:?}");
}
