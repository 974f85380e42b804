//! Iterations with matrices whose diagonals are zero: bases of linear programs, chemical engineering.
//!
//! The matrices are made here, of the kind of bp_1200 and of impcol_a and the west matrices of the Harwell–Boeing
//! collection: some diagonal is hidden by permutations of rows and columns, and both are badly scaled.
//! SciPy's `spilu` with its defaults finds half of the bases singular (docs/ilu.md).
#![allow(clippy::unwrap_used)]
use precondor_plugin_ilu::Ilu;
use precondor_sdk::core::registry::Native;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Numbers that are easily drawn in any language.
struct Draws(u64);

impl Draws {
    fn new(seed: u64) -> Self {
        Draws(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1))
    }
    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
    fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
    fn sign(&mut self) -> f64 {
        if self.unit() < 0.5 { 1.0 } else { -1.0 }
    }
    fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut p: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|k| p.swap(k, self.below(k + 1)));
        p
    }
    /// 10 to a power within ± `scale`.
    fn scales(&mut self, n: usize, scale: f64) -> Vec<f64> {
        (0..n).map(|_| 10f64.powf(scale * (2.0 * self.unit() - 1.0))).collect()
    }
}

/// A basis of a linear program: a quarter of its columns have one entry, the others a few more, most of
/// them on one side of a hidden diagonal, sized 10^low to 10^high beside it.
fn basis(seed: u64, n: usize, (low, high): (f64, f64), anywhere: f64) -> Csr {
    let mut draws = Draws::new(seed);
    let (row, col) = (draws.permutation(n), draws.permutation(n));
    let (r, s) = (draws.scales(n, 2.0), draws.scales(n, 2.0));
    let mut entries = BTreeMap::new();
    for k in 0..n {
        entries.insert((k, k), draws.sign());
        if draws.unit() < 0.25 {
            continue;
        }
        for _ in 0..2 + draws.below(6) {
            let i = if draws.unit() < anywhere { draws.below(n) } else { draws.below(k + 1) };
            let value = draws.sign() * 10f64.powf(low + (high - low) * draws.unit());
            if i != k {
                entries.insert((i, k), value);
            }
        }
    }
    let entry = |(&(i, j), &v): (&(usize, usize), &f64)| (row[i], col[j], r[i] * v * s[j]);
    Csr::from_triplets(n, n, entries.iter().map(entry).collect::<Vec<_>>()).unwrap()
}

/// A cascade of stages in a plant: each has a few balances in quantities of its own and its neighbours',
/// numbered so that hardly any balance has its own quantity on the diagonal, in units of all sizes.
fn plant(seed: u64, stages: usize) -> Csr {
    let mut draws = Draws::new(seed);
    let (per, n) = (7, 7 * stages);
    let (r, s) = (draws.scales(n, 3.0), draws.scales(n, 3.0));
    let mut entries = BTreeMap::new();
    for stage in 0..stages {
        for k in 0..per {
            let i = stage * per + k;
            // The quantity that this balance is about stands elsewhere among those of its stage.
            entries.insert((i, stage * per + (k + 3) % per), draws.sign());
            for _ in 0..2 {
                let near = (stage + draws.below(3)).saturating_sub(1).min(stages - 1);
                let j = near * per + draws.below(per);
                if (i != j) && !entries.contains_key(&(i, j)) {
                    entries.insert((i, j), 0.7 * (2.0 * draws.unit() - 1.0));
                }
            }
        }
    }
    let entry = |(&(i, j), &v): (&(usize, usize), &f64)| (i, j, r[i] * v * s[j]);
    Csr::from_triplets(n, n, entries.iter().map(entry).collect::<Vec<_>>()).unwrap()
}

/// Iterations of GMRES(30) to a true residual of 1e-8, for a solution of draws; what the notes say.
fn iterations(a: &Csr, params: Value) -> (usize, Vec<String>) {
    let system = System::new(DistCsr::solo(a.clone()).unwrap());
    let m = Native::<Ilu>::method().generate(&params, &system).unwrap();
    let mut draws = Draws::new(99);
    let right: Vec<f64> = (0..a.n_rows()).map(|_| 2.0 * draws.unit() - 1.0).collect();
    let (mut b, mut x) = (vec![0.0; a.n_rows()], vec![0.0; a.n_rows()]);
    a.view().spmv(&right, &mut b, false);
    let criterion = Criterion::RelativeResidual;
    let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 300, divergence: 1e300 };
    let watch = &mut |_: &_| ControlFlow::Continue(());
    let method = Algorithm::Gmres { restart: 30 };
    let report = solve(&method, system.a(), &*m, &b, &mut x, &stop, watch).unwrap();
    assert_eq!(report.outcome, Outcome::Converged, "{params} {:?}", m.notes());
    assert!(report.true_relative_residual <= 1e-8);
    assert!(m.stored_entries() <= 10 * a.nnz() + 2 * a.n_rows());
    (report.iterations, m.notes())
}

#[test]
fn bases_of_linear_programs_are_solved_by_the_default() {
    for seed in 1..=6 {
        for (range, anywhere) in [((-2.0, 0.3), 0.15), ((-1.0, 0.5), 0.15)] {
            let a = basis(seed, 822, range, anywhere);
            let zeros = (0..822).filter(|&i| a.view().get(i, i) == 0.0).count();
            assert!(zeros > 800, "{zeros}");
            let (count, notes) = iterations(&a, json!({}));
            assert!(count <= 8, "seed {seed}, {range:?}: {count}");
            assert!(notes[0].starts_with("no pivot in global row "), "{notes:?}");
        }
    }
}

#[test]
fn plants_are_solved_by_the_default_and_with_every_kind_of_fill() {
    for seed in 1..=4 {
        let a = plant(seed, 60);
        assert!((0..a.n_rows()).all(|i| a.view().get(i, i) == 0.0));
        let (count, _) = iterations(&a, json!({}));
        assert!(count <= 6, "seed {seed}: {count}");
        let (count, _) = iterations(&a, json!({"pivoting": 0.1, "matching": "product"}));
        assert!(count <= 12, "seed {seed}: {count}");
        let (count, _) =
            iterations(&a, json!({"level": 2, "matching": "product", "ordering": "rcm"}));
        assert!(count <= 60, "seed {seed}: {count}");
    }
}

/// Other units change nothing: not the iterations, not what is done.
#[test]
fn counts_do_not_depend_on_units() {
    let a = basis(3, 400, (-1.0, 0.5), 0.15);
    let reference = iterations(&a, json!({}));
    for c in [2.0, 1e3, 2.1e11, 8.9e-12] {
        let scaled = a.with_values(a.view().values.iter().map(|v| c * v).collect()).unwrap();
        assert_eq!(iterations(&scaled, json!({})), reference, "{c}");
    }
}
