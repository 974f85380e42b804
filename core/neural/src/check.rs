//! What tests of networks have in common: matrices to look at, and that a training on several ranks is that on one.
use precondor_core::comm::threads;
use precondor_core::host::{Alone, Host};
use precondor_core::kernel::bands::{BANDS, Bands};
use precondor_core::kernel::grid::Grid;
use precondor_core::prelude::*;
use precondor_core::problem::{Families, Poisson, Problem};
use std::sync::Arc;

use crate::random::Random;

/// Loss and gradient of the first steps of a run, one for each level: `of` makes them on each of
/// `ranks` ranks.
pub fn on_ranks(
    ranks: usize,
    levels: &[u32],
    of: impl Fn(&Comm, &Families, &Arc<dyn Host>) -> Vec<(f64, Vec<f32>)> + Sync,
) -> Vec<(f64, Vec<f32>)> {
    let problem = |&level: &u32| Problem::Poisson(Poisson::at_level(level));
    let samples = Families::new(levels.iter().map(problem).collect()).expect("valid");
    let host: Arc<dyn Host> = Arc::new(Alone);
    let mut all = threads::run(ranks, |comm| of(&Comm::new(comm), &samples, &host));
    assert!(all.iter().all(|theirs| *theirs == all[0]), "the same on all ranks");
    all.swap_remove(0)
}

/// Asserts that losses and gradients agree to 10⁻⁵.
pub fn agree(one: &[(f64, Vec<f32>)], other: &[(f64, Vec<f32>)]) {
    assert_eq!(one.len(), other.len());
    for ((loss, gradient), (loss_too, gradient_too)) in one.iter().zip(other) {
        assert!((loss - loss_too).abs() < 1e-5 * loss.abs(), "{loss} {loss_too}");
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let size = norm(&mut gradient.iter().map(|&g| g.into()));
        let pairs = gradient.iter().zip(gradient_too);
        let off = norm(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
        assert!(size > 0.0 && off < 1e-5 * size, "{off:e} of {size:e}");
    }
}

/// Bands of a symmetric, diagonally dominant matrix with random couplings.
pub fn random_bands(random: &mut Random, grid: Grid) -> Bands {
    let mut values = Vec::new();
    for (band, &(dx, dy)) in BANDS.iter().enumerate() {
        let nodes: Vec<f64> = (0..grid.nodes()).map(|_| 2.0 * random.unit() - 1.0).collect();
        let mut plane = vec![0.0; grid.plane()];
        grid.to_plane(&nodes, &mut plane);
        for (at, value) in plane.iter_mut().enumerate() {
            let (j, i) = (at / grid.stride(), at % grid.stride());
            let inside =
                |i: usize, j: usize| (1..=grid.mx).contains(&i) && (1..=grid.my).contains(&j);
            let neighbour = inside(i, j) && inside(i + dx as usize, j + dy as usize);
            *value = match (band, neighbour) {
                (_, false) => 0.0,
                (0, true) => 4.0 + 0.8 * *value,
                (1 | 2, true) => -0.9 + 0.2 * *value,
                (_, true) => 0.2 * *value,
            };
        }
        values.extend(plane);
    }
    Bands { grid, values }
}
