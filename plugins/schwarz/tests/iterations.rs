//! The price of more ranks in iterations, and what overlap buys back: the table of docs/ranks.md.
#![allow(clippy::unwrap_used)]
use precondor_plugin_gauss_seidel::GaussSeidel;
use precondor_plugin_ilu::{Ic, Ilu};
use precondor_plugin_schwarz::Schwarz;
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::registry::Native;
use precondor_sdk::core::solver::{Criterion, Method, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;

#[path = "../../../tests/support/methods.rs"]
mod methods;

/// Iterations from x = 0 to a relative residual of 1e-8 on 63 × 63 nodes, the same on all ranks.
fn iterations(method: Method, ranks: usize, params: &Value) -> usize {
    let host = methods::Methods::of([
        Native::<Schwarz>::method(),
        Native::<Ilu>::method(),
        Native::<Ic>::method(),
        Native::<GaussSeidel>::method(),
    ]);
    let problem = json!({"kind": "poisson", "level": 6, "shift": 0.25, "rhs": "random"});
    let problem = Problem::from_json(&problem).unwrap();
    let counts = threads::run(ranks, |comm| {
        let (system, b) = problem.generate(Comm::new(comm)).unwrap();
        let system = system.with_host(host.clone());
        let m = host.inner("schwarz", params, &system).unwrap();
        let criterion = Criterion::RelativeResidual;
        let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 1000, divergence: 1e5 };
        let mut x = vec![0.0; b.len()];
        let watch = &mut |_: &_| ControlFlow::Continue(());
        let report = solve(&method, system.a(), &*m, &b, &mut x, &stop, watch).unwrap();
        assert_eq!(report.outcome, Outcome::Converged);
        assert!(report.true_relative_residual <= 1e-8);
        report.iterations
    });
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    counts[0]
}

const RANKS: [usize; 4] = [1, 2, 4, 8];

/// Iterations on 1, 2, 4 and 8 ranks with 0, 1 and 2 layers of overlap.
fn table(method: Method, params: &Value) -> [[usize; 4]; 3] {
    [0, 1, 2].map(|overlap| {
        RANKS.map(|ranks| {
            let mut params = params.clone();
            params["overlap"] = overlap.into();
            iterations(method, ranks, &params)
        })
    })
}

const GMRES: Method = Method::Gmres { restart: 200 };

#[test]
fn iterations_are_those_of_the_documentation() {
    let restricted = table(GMRES, &json!({"inner": "ilu"}));
    let more_fill = table(GMRES, &json!({"inner": {"name": "ilu", "level": 2}}));
    let additive = table(Method::Cg, &json!({"inner": "ic"}));
    let sweeps = json!({"inner": {"name": "gauss-seidel", "sweep": "symmetric"}});
    let sweeps = table(Method::Cg, &sweeps);
    let nearly_exact = json!({"name": "ilu", "drop_tolerance": 1e-4});
    let exact = table(GMRES, &json!({"inner": nearly_exact}));
    let exact_additive = table(GMRES, &json!({"inner": nearly_exact, "variant": "additive"}));
    panic!(
        "{restricted:?}\n{more_fill:?}\n{additive:?}\n{sweeps:?}\n{exact:?}\n{exact_additive:?}"
    );
}
