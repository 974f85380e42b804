//! Speed of writing the stencils of `mlp-reference` against the peak of single-precision matrix
//! products on the same core: `cargo bench -p precondor-plugin-mlp --bench assembly`.
#![allow(clippy::unwrap_used)]
use std::time::Instant;

use ndarray::Array2;
use ndarray::linalg::general_mat_mul;
use precondor_plugin_mlp::grid::Bands;
use precondor_plugin_mlp::reference::pgp::{Description, Variant};
use precondor_plugin_mlp::reference::train::Weights;
use precondor_plugin_mlp::reference::{ReferenceMap, assemble};
use precondor_sdk::core::host::Alone;
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::prelude::*;

/// Best time of several calls, in seconds.
fn best<R>(mut f: impl FnMut() -> R) -> f64 {
    let time = |_| {
        let start = Instant::now();
        std::hint::black_box(f());
        start.elapsed().as_secs_f64()
    };
    (0..40).map(time).fold(f64::INFINITY, f64::min)
}

fn main() {
    let n = 256;
    let (a, b) = (Array2::from_elem((n, n), 0.5f32), Array2::from_elem((n, n), 0.25f32));
    let mut c = Array2::zeros((n, n));
    let peak = 2.0 * (n as f64).powi(3) / best(|| general_mat_mul(1.0, &a, &b, 0.0, &mut c));
    println!("matrix product {n}³: {:.1} Gflop/s", peak / 1e9);

    for level in [6, 8] {
        let problem = Problem::Poisson(Poisson::at_level(level));
        let system = problem.generate(Comm::solo()).unwrap().0;
        let matrix = system.a();
        let bands = Bands::of(matrix, None).unwrap();
        let description = Description::new(&bands);
        for variant in [Variant::Spd, Variant::Stencil] {
            let weights = Weights::shipped(variant).unwrap();
            let write =
                || assemble(&Alone, &weights.net, &weights.parameters, variant, &description);
            let seconds = best(write);
            let flops = (weights.net.flops() * bands.grid.nodes()) as f64;
            let map = ReferenceMap::new(&weights, &system, None).unwrap();
            let (r, mut z) = (vec![1.0; matrix.n_own()], vec![0.0; matrix.n_own()]);
            println!(
                "level {level} {variant:?}: network {:.2} ms, {:.1} Gflop/s = {:.0} % of the peak; \
                 bands {:.2} ms, description {:.2} ms, all of setup {:.2} ms, application {:.3} ms",
                1e3 * seconds,
                flops / seconds / 1e9,
                100.0 * flops / seconds / peak,
                1e3 * best(|| Bands::of(matrix, None)),
                1e3 * best(|| Description::<f32>::new(&bands)),
                1e3 * best(|| ReferenceMap::new(&weights, &system, None)),
                1e3 * best(|| map.apply(&r, &mut z)),
            );
        }
    }
}
