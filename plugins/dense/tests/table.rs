//! The paper's table of thresholded exact inverses: 225 unknowns, Richardson's iteration with ω = 1
//! until the error is below 1e-5.
use precondor_plugin_dense::filter::Filter;
use precondor_plugin_dense::inverse::Inverse;
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::core::registry::Native;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::serde_json::json;
use std::ops::ControlFlow;

use precondor_testkit::methods;

#[test]
fn thresholds_are_absolute_as_in_the_published_table() {
    let host = methods::Methods::of([Native::<Inverse>::method(), Native::<Filter>::method()]);
    // Threshold, entries kept in per cent, iterations: what was published; the last count varies most
    // from mesh to mesh, between 119 and 193 in a sketch.
    for (threshold, percent, published) in [
        (0.0, 100.0, 1..=1),
        (0.01, 69.9, 9..=9),
        (0.02, 52.7, 12..=13),
        (0.03, 41.7, 18..=21),
        (0.04, 33.9, 30..=40),
        (0.05, 28.1, 80..=250),
    ] {
        let systems = 6;
        let (mut kept, mut iterations) = (0, 0);
        for index in 0..systems {
            let problem = Problem::Poisson(Poisson { seed: 77, ..Poisson::at_level(4) });
            let (system, b) = problem.generate_nth(Comm::solo(), index).expect("a problem");
            let system = system.with_host(host.clone());
            let b = vec![1.0; b.len()];
            let made = |name, params| system.host().inner(name, &params, &system).expect("made");
            let mut exact = vec![0.0; b.len()];
            made("inverse", json!({})).apply(&b, &mut exact).expect("applied");
            let m = made("filter", json!({"method": "inverse", "threshold": threshold}));
            kept += m.stored_entries();
            let criterion = Criterion::AbsoluteError(&exact);
            let stop = Stop { criterion, tolerance: 1e-5, max_iterations: 1000, divergence: 1e8 };
            let mut x = vec![0.0; b.len()];
            let (method, watch) =
                (Algorithm::Richardson { damping: 1.0 }, &mut |_: &_| ControlFlow::Continue(()));
            let report = solve(&method, system.a(), &*m, &b, &mut x, &stop, watch).expect("solved");
            assert_eq!(report.outcome, Outcome::Converged, "{threshold}");
            iterations += report.iterations;
        }
        let systems = systems as f64;
        let kept = 100.0 * kept as f64 / (225.0 * 225.0) / systems;
        assert!((kept - percent).abs() < 0.3, "{threshold}: {kept} % kept");
        let mean = iterations as f64 / systems;
        assert!(published.contains(&(mean.round() as usize)), "{threshold}: {mean} iterations");
    }
}
