//! scratch
#![allow(clippy::unwrap_used)]
use precondor_plugin_mlp::reference::ReferenceMap;
use precondor_plugin_mlp::reference::pgp::Variant;
use precondor_plugin_mlp::reference::train::Weights;
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::core::solver::{self, Criterion, Method, Stop};
use precondor_sdk::prelude::*;
use std::time::Instant;
fn main() {
    let problem = Problem::Poisson(Poisson::at_level(9));
    let (system, b) = problem.generate(Comm::solo()).unwrap();
    let a = system.a();
    for _ in 0..8 {
        let weights = Weights::shipped(Variant::Spd).unwrap();
        let t = Instant::now();
        let map = ReferenceMap::new(&weights, &system, None).unwrap();
        let setup = t.elapsed().as_secs_f64();
        let mut x = vec![0.0; b.len()];
        let t = Instant::now();
        let stop = Stop {
            criterion: Criterion::RelativeResidual,
            tolerance: 1e-8,
            max_iterations: 100,
            divergence: 1e9,
        };
        let report = solver::solve(&Method::Cg, a, &map, &b, &mut x, &stop, &mut |_| {
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        let cg = t.elapsed().as_secs_f64();
        println!("setup {:.1} cg {:.1} ({})", setup * 1e3, cg * 1e3, report.iterations);
    }
}
