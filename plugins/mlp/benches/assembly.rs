//! Where the time of `mlp-reference` goes, phase by phase, against what the cost model of docs/cost.md counts:
//! `cargo bench -p precondor-plugin-mlp --bench assembly [LEVEL …]`. One thread, and its processor time (Linux):
//! the clock tells little on a machine that others use, too.
#![allow(clippy::unwrap_used)]

use ndarray::Array2;
use ndarray::linalg::general_mat_mul;
use precondor_plugin_mlp::reference::pgp::{Description, Variant, matrix_stencil};
use precondor_plugin_mlp::reference::train::Weights;
use precondor_plugin_mlp::reference::{ReferenceMap, assemble};
use precondor_sdk::core::host::Alone;
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::kernel::separable::{Separable, Solver};
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::prelude::*;

/// Seconds that this thread has run.
fn processor() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

/// Best time of several calls, in seconds.
fn best<R>(mut f: impl FnMut() -> R) -> f64 {
    let time = |_| {
        let start = processor();
        std::hint::black_box(f());
        processor() - start
    };
    (0..25).map(time).fold(f64::INFINITY, f64::min)
}

fn main() {
    let levels: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let levels = if levels.is_empty() { vec![6, 8, 9] } else { levels };
    let n = 256;
    let (a, b) = (Array2::from_elem((n, n), 0.5f32), Array2::from_elem((n, n), 0.25f32));
    let mut c = Array2::zeros((n, n));
    let peak = 2.0 * (n as f64).powi(3) / best(|| general_mat_mul(1.0, &a, &b, 0.0, &mut c));
    println!("matrix product {n}³: {:.1} Gflop/s", peak / 1e9);

    for level in levels {
        let problem = Problem::Poisson(Poisson::at_level(level));
        let system = problem.generate(Comm::solo()).unwrap().0;
        let matrix = system.a();
        let bands = Bands::of(matrix, None).unwrap();
        let grid = bands.grid;
        let per_node = |seconds: f64| 1e9 * seconds / grid.nodes() as f64;
        let laplacian = Separable::laplacian(&[grid.mx, grid.my]);
        let mut solver = Solver::<f32>::alone(&laplacian).unwrap();
        let mut x = vec![1.0; grid.nodes()];
        let (r, mut z) = (vec![1.0; matrix.n_own()], vec![0.0; matrix.n_own()]);
        println!(
            "level {level}, ns a node: product with A {:.2}, bands {:.2}, description {:.2}, A as a \
             stencil {:.2}, plan of the solve with A0 {:.2}, that solve {:.2}",
            per_node(best(|| matrix.spmv(&r, &mut z))),
            per_node(best(|| Bands::of(matrix, None))),
            per_node(best(|| Description::<f32>::new(&bands))),
            per_node(best(|| matrix_stencil::<f32>(&bands))),
            per_node(best(|| Solver::<f32>::alone(&laplacian))),
            per_node(best(|| solver.solve(&Alone, &mut x, grid.mx))),
        );
        for variant in [Variant::Spd, Variant::Stencil, Variant::Sweep] {
            let weights = Weights::shipped(variant).unwrap();
            let write = best(|| assemble(&Alone, &weights, &bands, None, 0..grid.my));
            let flops = (weights.net.flops() * grid.nodes()) as f64;
            let map = ReferenceMap::new(&weights, &system, None).unwrap();
            println!(
                "  {variant:?}: description, network and decoding {:.2} ({} flops of the network: {:.1} \
                 Gflop/s = {:.0} % of the product), all of setup {:.2}, application {:.2}",
                per_node(write),
                weights.net.flops(),
                flops / write / 1e9,
                100.0 * flops / write / peak,
                per_node(best(|| ReferenceMap::new(&weights, &system, None))),
                per_node(best(|| map.apply(&r, &mut z))),
            );
        }
    }
}
