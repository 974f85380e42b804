//! Methods by name that solve with the reference matrix: an incomplete factorisation, a sparse
//! approximate inverse, one multigrid cycle, beside the exact transform.
use precondor_plugin_ilu::Ic;
use precondor_plugin_multigrid::Multigrid;
use precondor_plugin_reference::{FastPoisson, Reference};
use precondor_plugin_spai::Fsai;
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::core::registry::Native;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;

use precondor_testkit::methods;

/// Iterations of conjugate gradients to 1e-8 of the residual at a level.
fn iterations(solver: Value, level: u32) -> usize {
    let host = methods::Methods::of([
        Native::<Reference>::method(),
        Native::<FastPoisson>::method(),
        Native::<Ic>::method(),
        Native::<Fsai>::method(),
        Native::<Multigrid>::method(),
    ]);
    let problem = Problem::Poisson(Poisson { seed: 17, ..Poisson::at_level(level) });
    let (system, b) = problem.generate(Comm::solo()).expect("a problem");
    let system = system.with_host(host.clone());
    let params = json!({"smoother": "chebyshev", "method": solver});
    let m = host.inner("reference", &params, &system).expect("set up");
    assert!(m.properties().positive_definite, "{params}");
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 300, divergence: 1e6 };
    let (mut x, mut watch) = (vec![0.0; b.len()], |_: &_| ControlFlow::Continue(()));
    let report = solve(&Algorithm::Cg, system.a(), &*m, &b, &mut x, &stop, &mut watch);
    let report = report.expect("solved");
    assert_eq!(report.outcome, Outcome::Converged, "{params}");
    report.iterations
}

#[test]
fn one_cycle_does_almost_what_the_exact_solve_does_and_local_methods_do_not() {
    for level in [5, 6] {
        let exact = iterations(json!("fast-poisson"), level);
        let cycle = iterations(json!({"name": "multigrid", "smoother": "chebyshev"}), level);
        assert!(exact <= 7 && cycle <= exact + 3, "level {level}: {cycle}, exactly {exact}");
    }
    // What is local on A0 stays local in the wrapping: iterations grow with the grid.
    for solver in ["ic", "fsai"] {
        let [coarse, fine] = [5, 6].map(|level| iterations(json!(solver), level));
        assert!(coarse > 10 && 2 * fine > 3 * coarse, "{solver}: {coarse}, then {fine}");
    }
}
