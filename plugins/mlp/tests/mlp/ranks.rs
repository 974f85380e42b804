//! `mlp-reference` on several ranks: the same map, on a part of the grid each.

use crate::counts::*;
use precondor_plugin_mlp::reference::MlpReference;
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::problem::{Coefficient, Poisson, Problem};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, from_value, json};

use parts::{cuts, fails_everywhere, on_parts};
use precondor_testkit::ranks as parts;

fn generate(params: &Value, system: &System) -> Result<impl Preconditioner + use<>> {
    MlpReference::generate(&from_value(params.clone()).unwrap(), system)
}

/// A matrix like that of a distorted mesh on a grid of any shape: couplings vary, rows far from the boundary
/// sum to zero.
fn rectangle(grid: Grid) -> System {
    let n = grid.nodes();
    let weight = |i: u64, j: u64, (dx, dy): (i64, i64)| {
        let wave = (0.37 * (i.min(j) * 31 + i.max(j) * 17) as f64).sin();
        if dx * dy == 0 { 1.0 + 0.1 * wave } else { 0.05 * (1.0 + wave) }
    };
    let all = (0..n as u64).flat_map(|i| {
        let inside = grid.around(i).filter(|&(j, _)| j != i);
        let sum: f64 = inside.map(|(j, step)| weight(i, j, step)).sum();
        let axes = grid.around(i).filter(|(j, step)| *j != i && step.0 * step.1 == 0).count();
        let entry = move |(j, step): (u64, (i64, i64))| {
            let value = if i == j { sum + (4 - axes) as f64 } else { -weight(i, j, step) };
            (i as usize, j as usize, value)
        };
        grid.around(i).map(entry).collect::<Vec<_>>()
    });
    System::new(DistCsr::solo(Csr::from_triplets(n, n, all.collect::<Vec<_>>()).unwrap()).unwrap())
}

fn poisson(poisson: Poisson) -> System {
    Problem::Poisson(Poisson { seed: 904, ..poisson }).generate(Comm::solo()).unwrap().0
}

/// M times a few vectors, of the ranks' rows in order.
fn applied(params: &Value, whole: &System, starts: &[u64]) -> Vec<Vec<f64>> {
    let parts = on_parts(whole, starts, |system| {
        let m = generate(params, &system).unwrap();
        assert!(m.properties().rank_independent);
        let rows =
            system.a().space().start()..system.a().space().start() + system.a().n_own() as u64;
        let apply = |k: u64| {
            let r: Vec<f64> =
                rows.clone().map(|row| ((row * (k + 1) + k) as f64 * 0.7).sin()).collect();
            let mut z = vec![f64::NAN; r.len()];
            m.apply(&r, &mut z).unwrap();
            z
        };
        (0..3).map(apply).collect::<Vec<_>>()
    });
    (0..3).map(|k| parts.iter().flat_map(|part| part[k].clone()).collect()).collect()
}

/// The systems and variants that must not notice how many ranks there are; whether to the last bit.
fn cases() -> Vec<(&'static str, System, Value, bool)> {
    let mut cases = Vec::new();
    for variant in ["spd", "stencil", "sweep"] {
        let params = json!({ "variant": variant });
        for (mx, my) in [(15, 15), (9, 23), (23, 6), (1, 7), (7, 1), (2, 2)] {
            let grid = json!({ "variant": variant, "grid": [mx, my] });
            cases.push((variant, rectangle(Grid { mx, my }), grid, true));
        }
        let smooth = Poisson { coefficient: Coefficient::Smooth, ..Poisson::at_level(5) };
        cases.push((variant, poisson(smooth.clone()), params.clone(), true));
        let estimated = json!({ "variant": variant, "coefficient": "estimated" });
        cases.push((variant, poisson(smooth), estimated, true));
        let jump = Poisson { coefficient: Coefficient::Jump, ..Poisson::at_level(5) };
        cases.push((variant, poisson(jump), params, false));
    }
    cases
}

#[test]
fn any_number_of_ranks_gives_the_same_map() {
    for (variant, system, params, exact) in cases() {
        let alone = applied(&params, &system, &[0, system.a().n_global()]);
        for starts in cuts(system.a().n_global()) {
            let ranks = applied(&params, &system, &starts);
            if exact {
                assert!(ranks == alone, "{variant} {params} {starts:?}");
            }
            for (ranks, alone) in ranks.iter().zip(&alone) {
                let size = alone.iter().fold(0.0, |most: f64, z| most.max(z.abs()));
                let off = ranks.iter().zip(alone).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(off <= 1e-5 * size, "{variant} {params} {starts:?}: {off:e}");
            }
        }
    }
}

#[test]
fn iterations_do_not_depend_on_the_number_of_ranks() {
    for (variant, system, params, _) in cases() {
        // Richardson's method is not for coefficients that vary, the conjugate gradients' not for `stencil`.
        let stationary = system.aux("coefficient").is_none();
        let definite = variant != "stencil";
        let counts = |starts: &[u64]| {
            let counts = on_parts(&system, starts, |system| {
                let m = generate(&params, &system).unwrap();
                let (a, b) = (system.a(), vec![1.0; system.a().n_own()]);
                let krylov = definite.then(|| cg(a, &m, &b));
                (krylov, stationary.then(|| richardson(a, &m, &b)))
            });
            assert!(counts.iter().all(|count| *count == counts[0]));
            counts[0]
        };
        let alone = counts(&[0, system.a().n_global()]);
        for starts in cuts(system.a().n_global()) {
            assert_eq!(counts(&starts), alone, "{variant} {params} {starts:?}");
        }
    }
}

#[test]
fn no_rank_holds_the_whole_grid() {
    let system = poisson(Poisson::at_level(7));
    let n = system.a().n_global();
    for variant in ["spd", "stencil", "sweep"] {
        let held = |ranks: u64| {
            let starts: Vec<u64> = (0..=ranks).map(|r| r * n / ranks).collect();
            let parts = on_parts(&system, &starts, |system| {
                let m = generate(&json!({ "variant": variant }), &system).unwrap();
                (m.stored_entries(), m.bytes())
            });
            let most = parts.iter().map(|p| p.1).max().unwrap();
            (parts.iter().map(|p| p.0).sum::<usize>(), most)
        };
        let ((entries, bytes), (entries_of_all, most)) = (held(1), held(4));
        assert_eq!(entries, entries_of_all, "{variant}");
        assert!(2 * most < bytes, "{variant}: {most} bytes on one of 4 ranks, {bytes} on one");
        println!("{variant}: {bytes} bytes on one rank, {most} at most on one of four");
    }
}

#[test]
fn misfits_are_told_on_all_ranks_as_the_first_row() {
    let grid = Grid { mx: 6, my: 5 };
    let whole = rectangle(grid);
    let view = whole.a().own().view();
    let told = |row: usize, change: &dyn Fn(usize, f64) -> f64| {
        let entries = (0..30).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, v)));
        let changed = entries.map(|(i, j, v)| (i, j, if i == row { change(j, v) } else { v }));
        let a = Csr::from_triplets(30, 30, changed.collect::<Vec<_>>()).unwrap();
        let system = System::new(DistCsr::solo(a).unwrap());
        let texts = cuts(30).into_iter().flat_map(|starts| {
            on_parts(&system, &starts, |system| {
                let comm = system.a().space().comm().clone();
                comm.scope(|| generate(&json!({"grid": [6, 5]}), &system))
                    .err()
                    .unwrap()
                    .to_string()
            })
        });
        texts.collect::<Vec<_>>()
    };
    for row in [0, 7, 14, 29] {
        for text in told(row, &|j, v| if j == row { -v } else { v }) {
            assert!(text.contains(&format!("global row {row}: the diagonal entry is -")), "{text}");
        }
        for text in told(row, &|j, v| if j == row { v } else { f64::NAN }) {
            assert!(text.contains(&format!("global row {row}, column ")), "{text}");
        }
        // The upper one of two entries that differ stands in the row that is named.
        let other = if row == 0 { 1 } else { row - 1 };
        for text in told(row, &|j, v| if j == other { 2.0 * v } else { v }) {
            let row = row.min(other);
            assert!(text.contains(&format!("global row {row}: the matrix is not symm")), "{text}");
        }
    }
    // Several rows at once.
    let a = Csr::from_triplets(30, 30, (0..30).map(|i| (i, i, if i > 3 { -1.0 } else { 1.0 })))
        .unwrap();
    let system = System::new(DistCsr::solo(a).unwrap());
    for starts in cuts(30) {
        let texts = on_parts(&system, &starts, |system| {
            let comm = system.a().space().comm().clone();
            comm.scope(|| generate(&json!({"grid": [6, 5]}), &system)).err().unwrap().to_string()
        });
        assert!(
            texts.iter().all(|t| t.contains("global row 4: the diagonal entry is -1")),
            "{texts:?}"
        );
    }
    let values = |bad: usize| (0..30).map(|i| if i >= bad { 0.0 } else { 1.0 }).collect();
    let system = rectangle(grid).with_aux("coefficient", 1, values(11)).unwrap();
    for starts in cuts(30) {
        let texts = on_parts(&system, &starts, |system| {
            let comm = system.a().space().comm().clone();
            comm.scope(|| generate(&json!({}), &system)).err().unwrap().to_string()
        });
        assert!(
            texts.iter().all(|t| t.contains("global row 11: the coefficient is 0")),
            "{texts:?}"
        );
    }
}

#[test]
fn bands_of_all_ranks_are_those_of_one() {
    let grid = Grid { mx: 7, my: 6 };
    let system = rectangle(grid);
    let whole = Bands::of(system.a(), Some([7, 6])).unwrap();
    for starts in cuts(42) {
        for bands in on_parts(&system, &starts, |system| Bands::of(system.a(), None).unwrap()) {
            assert!(bands == whole, "{starts:?}");
        }
    }
}

#[test]
fn a_rank_that_fails_at_any_collective_ends_all() {
    let smooth = Poisson { coefficient: Coefficient::Jump, ..Poisson::at_level(3) };
    let system = poisson(smooth);
    let params = from_value(json!({ "variant": "sweep" })).unwrap();
    let operations = fails_everywhere::<MlpReference>(&params, &system, &[0, 20, 33, 49]);
    assert!(operations > 20, "{operations}");
}
