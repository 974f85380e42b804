//! The recipe `parallel`: one hierarchy on any number of ranks.
use precondor_plugin_amg::{Amg, Params};
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, from_value, json};
use std::ops::ControlFlow;

/// Iterations, the last residual, and the notes, which rank 0 tells.
fn solved(ranks: usize, problem: &Value, params: &Value) -> (usize, f64, Vec<String>) {
    let params: Params = from_value(params.clone()).expect("valid");
    let mut doc = problem.clone();
    doc["rhs"] = json!("random");
    let problem = Problem::from_json(&doc).expect("valid");
    let all = threads::run(ranks, |backend| {
        let (system, b) = problem.generate(Comm::new(backend)).expect("valid");
        let m = Amg::generate(&params, &system).expect("it works");
        assert!(m.properties().positive_definite, "{:?}", m.notes());
        let stop = Stop {
            criterion: Criterion::RelativeResidual,
            tolerance: 1e-8,
            max_iterations: 200,
            divergence: 1e8,
        };
        let mut x = vec![0.0; b.len()];
        let mut go_on = |_: &_| ControlFlow::Continue(());
        let report =
            solve(&Algorithm::Cg, system.a(), &m, &b, &mut x, &stop, &mut go_on).expect("valid");
        assert_eq!(report.outcome, Outcome::Converged, "{:?}", m.notes());
        (report.iterations, report.history.last().copied().unwrap_or(0.0), m.notes())
    });
    all.into_iter().next().expect("rank 0")
}

fn problems() -> Vec<Value> {
    vec![
        json!({"kind": "poisson", "level": 6}),
        json!({"kind": "diffusion", "mesh": "random", "nodes": 50}),
        json!({"kind": "diffusion", "mesh": "delaunay", "nodes": 50, "coefficient": "blocks"}),
        json!({"kind": "tetrahedra", "nodes": 14}),
        json!({"kind": "elasticity", "nodes": 30}),
        json!({"kind": "graph", "nodes": 3000}),
    ]
}

#[test]
fn hierarchy_and_iterations_are_the_same_on_one_to_eight_ranks() {
    for problem in problems() {
        for smoother in ["chebyshev", "l1-jacobi"] {
            let params = json!({"recipe": "parallel", "smoother": smoother, "together": 100});
            let (its, residual, notes) = solved(1, &problem, &params);
            assert!(notes[0].contains("aggregation by hashed weights"), "{notes:?}");
            for ranks in [2, 3, 5, 8] {
                let (also, last, same) = solved(ranks, &problem, &params);
                assert_eq!((also, &same), (its, &notes), "{problem}, {smoother}, {ranks} ranks");
                let off = (last - residual).abs();
                assert!(off <= 1e-6 * residual, "{problem}, {smoother}, {ranks} ranks: {off:e}");
            }
        }
    }
}

#[test]
fn it_is_what_several_ranks_get_and_takes_hardly_more_iterations_than_sweeps() {
    for problem in problems() {
        let sweeps = json!({"recipe": "aggregation", "finest_smoother": "gauss-seidel"});
        let sweeps = solved(1, &problem, &sweeps).0;
        let (its, _, notes) = solved(3, &problem, &json!({}));
        assert!(notes[0].contains("aggregation by hashed weights"), "{notes:?}");
        assert!(10 * its <= 13 * sweeps + 20, "{problem}: {its}, on one rank {sweeps}");
    }
}

#[test]
fn blocks_of_ranks_are_told_of_and_stay_close() {
    let problem = json!({"kind": "poisson", "level": 6});
    let alone = solved(1, &problem, &json!({})).0;
    let params = json!({"recipe": "aggregation"});
    let (its, _, notes) = solved(3, &problem, &params);
    let text = "each of the 3 ranks has the levels of its own block".to_owned();
    assert!(notes.contains(&text) && its > alone, "{its}, {alone}: {notes:?}");
}

#[test]
fn gauss_seidel_does_not_go_with_it() {
    let params: Params =
        from_value(json!({"recipe": "parallel", "smoother": "gauss-seidel", "together": 10}))
            .expect("valid");
    let problem = Problem::from_json(&json!({"kind": "poisson"})).expect("valid");
    let (system, _) = problem.generate(Comm::solo()).expect("valid");
    let error = Amg::generate(&params, &system).err().expect("refused").to_string();
    assert!(error.contains("'smoother': gauss-seidel depends on the ranks"), "{error}");
    let params = json!({"recipe": "parallel", "finest_smoother": "incomplete-cholesky",
        "together": 10});
    let error = Amg::generate(&from_value(params).expect("valid"), &system).err();
    let error = error.expect("refused").to_string();
    assert!(error.contains("incomplete-cholesky depends on the ranks"), "{error}");
    let convection = Problem::from_json(&json!({"kind": "convection"})).expect("valid");
    let (system, _) = convection.generate(Comm::solo()).expect("valid");
    let params: Params = from_value(json!({"recipe": "parallel"})).expect("valid");
    let error = Amg::generate(&params, &system).err().expect("refused").to_string();
    assert!(error.contains("'parallel' of amg needs a symmetric matrix"), "{error}");
}
