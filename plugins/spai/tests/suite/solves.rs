//! Iteration counts on perturbed Poisson problems (31 × 31 nodes, relative residual 1e-8), against
//! those of independent prototypes on other meshes of the same kind.
use precondor_plugin_spai::{Fsai, FsaiParams, Spai, SpaiParams};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::kernel::lanczos;
use precondor_sdk::core::problem::{Poisson, Problem, Rhs};
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Step, Stop, solve};
use precondor_sdk::prelude::*;
use std::ops::ControlFlow;

fn iterations<G: Generator>(params: &G::Params, method: Algorithm) -> Vec<usize> {
    iterations_at::<G>(5, 1..=5, params, method)
}

fn iterations_at<G: Generator>(
    level: u32,
    seeds: std::ops::RangeInclusive<u64>,
    params: &G::Params,
    method: Algorithm,
) -> Vec<usize> {
    let stop = Stop {
        criterion: Criterion::RelativeResidual,
        tolerance: 1e-8,
        max_iterations: 5000,
        divergence: 1e8,
    };
    let count = |seed| {
        let problem =
            Problem::Poisson(Poisson { seed, rhs: Rhs::Random, ..Poisson::at_level(level) });
        let (system, b) = problem.generate(Comm::solo()).unwrap();
        let m = G::generate(params, &system).unwrap();
        let mut x = vec![0.0; b.len()];
        let mut unwatched = |_: &Step| ControlFlow::Continue(());
        let report = solve(&method, system.a(), &m, &b, &mut x, &stop, &mut unwatched).unwrap();
        assert_eq!(report.outcome, Outcome::Converged);
        report.iterations
    };
    seeds.map(count).collect()
}

fn near(counts: &[usize], expected: f64) {
    let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    assert!((mean / expected - 1.0).abs() < 0.08, "{counts:?}, expected about {expected}");
}

#[test]
fn spai_in_conjugate_gradients_and_richardson() {
    let symmetrize = SpaiParams { symmetrize: true, ..SpaiParams::default() };
    near(&iterations::<Spai>(&symmetrize, Algorithm::Cg), 63.0);
    near(&iterations_at::<Spai>(7, 1..=1, &symmetrize, Algorithm::Cg), 231.0);
    // Richardson's iteration at its best damping, 2/(λmin + λmax).
    let problem = Problem::Poisson(Poisson { seed: 1, ..Poisson::at_level(5) });
    let (system, _) = problem.generate(Comm::solo()).unwrap();
    let m = Spai::generate(&symmetrize, &system).unwrap();
    let ends = lanczos::of_preconditioned(system.a(), &m, &lanczos::Options::default()).unwrap();
    let richardson = Algorithm::Richardson { damping: 2.0 / (ends.min + ends.max) };
    near(&iterations_at::<Spai>(5, 1..=1, &SpaiParams::default(), richardson), 949.0);
}

#[test]
fn fsai_in_conjugate_gradients() {
    let power = |power| FsaiParams { power, ..FsaiParams::default() };
    near(&iterations::<Fsai>(&power(1), Algorithm::Cg), 55.0);
    near(&iterations::<Fsai>(&power(2), Algorithm::Cg), 36.0);
}

#[test]
fn unsymmetric_spai_in_gmres_and_bicgstab() {
    let gmres = iterations::<Spai>(&SpaiParams::default(), Algorithm::Gmres { restart: 100 });
    let cg = SpaiParams { symmetrize: true, ..SpaiParams::default() };
    let cg = iterations::<Spai>(&cg, Algorithm::Cg);
    // GMRES minimises what CG only bounds; it can differ by the asymmetry of M alone.
    assert!(gmres.iter().zip(&cg).all(|(g, c)| *g <= c + 3), "{gmres:?} and {cg:?}");
    let bicgstab = iterations::<Spai>(&SpaiParams::default(), Algorithm::Bicgstab);
    assert!(bicgstab.iter().zip(&cg).all(|(b, c)| b < c), "{bicgstab:?} and {cg:?}");
}
