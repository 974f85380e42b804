//! The price of more ranks in iterations, and what overlap buys back: the table of docs/ranks.md.
#![allow(clippy::unwrap_used)]
use precondor_plugin_gauss_seidel::GaussSeidel;
use precondor_plugin_ilu::{Ic, Ilu};
use precondor_plugin_schwarz::Schwarz;
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::core::problem::Problem;
use precondor_sdk::core::registry::Native;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::serde_json::{Value, json};
use std::ops::ControlFlow;

use precondor_testkit::methods;

/// Iterations from x = 0 to a relative residual of 1e-8 on 63 × 63 nodes, the same on all ranks.
fn iterations(method: Algorithm, ranks: usize, params: &Value) -> usize {
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
fn table(method: Algorithm, params: &Value) -> [[usize; 4]; 3] {
    [0, 1, 2].map(|overlap| {
        RANKS.map(|ranks| {
            let mut params = params.clone();
            params["overlap"] = overlap.into();
            iterations(method, ranks, &params)
        })
    })
}

const GMRES: Algorithm = Algorithm::Gmres { restart: 200 };

#[test]
fn iterations_are_those_of_the_documentation() {
    let (ilu, ic) = (json!("ilu"), json!("ic"));
    let ssor = json!({"name": "gauss-seidel", "sweep": "symmetric"});
    let nearly_exact = json!({"name": "ilu", "drop_tolerance": 1e-4});
    let documented: [(Algorithm, Value, &str, [[usize; 4]; 3]); 9] = [
        (GMRES, ilu.clone(), "restricted", [[67, 76, 74, 87], [67, 68, 68, 69], [67, 67, 67, 67]]),
        (GMRES, ilu, "additive", [[67, 76, 74, 87], [67, 88, 89, 89], [67, 91, 90, 86]]),
        (
            GMRES,
            json!({"name": "ilu", "level": 2}),
            "restricted",
            [[28, 42, 54, 65], [28, 31, 34, 37], [28, 30, 31, 33]],
        ),
        (
            GMRES,
            nearly_exact.clone(),
            "restricted",
            [[6, 35, 49, 62], [6, 20, 27, 34], [6, 16, 21, 27]],
        ),
        (
            GMRES,
            nearly_exact.clone(),
            "weighted",
            [[6, 35, 49, 62], [6, 23, 31, 40], [6, 20, 27, 35]],
        ),
        (GMRES, nearly_exact, "additive", [[6, 35, 49, 62], [6, 21, 28, 35], [6, 17, 22, 27]]),
        (
            Algorithm::Cg,
            ic.clone(),
            "weighted",
            [[68, 77, 80, 90], [68, 70, 71, 74], [68, 70, 71, 73]],
        ),
        (Algorithm::Cg, ic, "additive", [[68, 77, 80, 90], [68, 90, 92, 92], [68, 94, 93, 89]]),
        (Algorithm::Cg, ssor, "weighted", [[80, 94, 97, 103], [80, 86, 86, 88], [80, 85, 79, 88]]),
    ];
    for (method, inner, variant, expected) in documented {
        let found = table(method, &json!({"method": inner, "variant": variant}));
        // Rounding may move a count that is close to the border.
        let close = |(a, b): (&usize, &usize)| a.abs_diff(*b) <= 1;
        let all = found.as_flattened().iter().zip(expected.as_flattened());
        assert!(all.clone().all(close), "{variant} {inner}: {found:?}, documented {expected:?}");
    }
}
