//! Patterns of FSAI that grow.
use crate::common::*;
use precondor_plugin_spai::{Factored, Fsai, FsaiParams};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::{Diffusion, Problem, Rhs};
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Step, Stop, solve};
use precondor_sdk::prelude::*;
use std::ops::ControlFlow;

/// From the pattern of Aᵏ, k = `power`; no row stops early.
fn grown(power: u32, steps: u32, growth: u32) -> FsaiParams {
    FsaiParams { power, steps, growth, tolerance: 0.0, ..FsaiParams::default() }
}

fn fsai(a: &Csr, params: &FsaiParams) -> Factored {
    Fsai::generate(params, &solo(a)).unwrap()
}

/// Diffusion on 31 × 31 nodes, a tenth as strong across a direction as along it.
fn anisotropic(index: u64) -> (System, Vec<f64>) {
    let (nodes, rhs) = (Some(31), Rhs::Random);
    let problem = Diffusion { nodes, rhs, anisotropy: 0.1, seed: 77, ..Diffusion::default() };
    Problem::Diffusion(problem).generate_nth(Comm::solo(), index).unwrap()
}

#[test]
fn everything_allowed_is_the_inverse_cholesky_factor() {
    let a = poisson(5);
    for (power, steps, growth) in [(0, 24, 1), (1, 8, 5), (0, 8, 100)] {
        let m = fsai(&a, &grown(power, steps, growth));
        assert_eq!(m.stored_entries(), 25 * 26 / 2);
        let g = explicit(&m);
        let gagt = product(&product(&g, &dense(&a)), &transpose(&g));
        for (i, row) in gagt.iter().enumerate() {
            for (j, x) in row.iter().enumerate() {
                assert!((x - f64::from(u8::from(i == j))).abs() < 1e-12, "({i}, {j}): {x}");
            }
        }
        assert!(g.iter().enumerate().all(|(i, row)| row[i + 1..].iter().all(|&x| x == 0.0)));
        assert_eq!(m.properties(), Properties::SPD);
    }
}

#[test]
fn psi_never_increases_and_entries_are_bounded() {
    // Scaled, gᵢᵢ = 1/√ψᵢ.
    let a = anisotropic(0).0.a().own().clone();
    for (power, growth) in [(0, 1), (0, 3), (1, 2)] {
        let start = explicit(&fsai(&a, &grown(power, 0, 1)));
        let mut last = start.clone();
        for steps in [1, 2, 4, 8] {
            let g = explicit(&fsai(&a, &grown(power, steps, growth)));
            let count = |row: &[f64]| row.iter().filter(|x| **x != 0.0).count();
            let mut gained = 0;
            for (i, row) in g.iter().enumerate() {
                assert!(row[i] >= last[i][i] * (1.0 - 1e-14), "row {i} after {steps} steps");
                let new = count(row) - count(&start[i]);
                assert!(new <= (steps * growth) as usize, "row {i} after {steps} steps: {new}");
                gained += new;
                // Nothing is taken back.
                assert!(last[i].iter().zip(row).all(|(x, y)| *x == 0.0 || *y != 0.0), "row {i}");
            }
            // Rows far from the first have room for every entry that they may get.
            assert!(gained * 10 > g.len() * (steps * growth) as usize * 8);
            last = g;
        }
    }
}

#[test]
fn the_entry_with_the_largest_scaled_gradient_comes_first() {
    // Far from a unit diagonal: rows and columns of a Poisson matrix scaled.
    let p = poisson(7);
    let scale = |i: usize| 10f64.powi((i * 7 % 5) as i32 - 2);
    let entries: Vec<_> = (0..49)
        .flat_map(|i| p.view().row(i).map(move |(j, v)| (i, j, v * scale(i) * scale(j))))
        .collect();
    let a = csr(49, &entries);
    let d = dense(&a);
    let pattern = |steps| explicit(&fsai(&a, &grown(0, steps, 1)));
    let best = |i: usize, places: &[usize]| {
        let small = places.iter().map(|&p| places.iter().map(|&q| d[p][q]).collect()).collect();
        let y: Vec<f64> = inverse(&small).iter().map(|row| row[places.len() - 1]).collect();
        let g: Vec<f64> = y.iter().map(|x| x / y[places.len() - 1]).collect();
        let product = |j: usize| places.iter().zip(&g).map(|(&k, g)| d[j][k] * g).sum::<f64>();
        let gain = |j: &usize| product(*j).powi(2) / d[*j][*j];
        let outside = (0..i).filter(|j| !places.contains(j));
        outside.max_by(|x, y| gain(x).total_cmp(&gain(y))).filter(|j| gain(j) > 1e-12 * d[i][i])
    };
    let steps: Vec<Dense> = (0..5).map(pattern).collect();
    for pair in steps.windows(2) {
        for (i, (before, after)) in pair[0].iter().zip(&pair[1]).enumerate() {
            let places: Vec<usize> = (0..=i).filter(|&j| before[j] != 0.0).collect();
            let new: Vec<usize> = (0..i).filter(|&j| before[j] == 0.0 && after[j] != 0.0).collect();
            assert_eq!(new, Vec::from_iter(best(i, &places)), "row {i} with {places:?}");
        }
    }
    // The pattern of the unscaled matrix.
    let unscaled = explicit(&fsai(&p, &grown(0, 4, 1)));
    let places = |g: &Dense| g.iter().flatten().map(|x| *x != 0.0).collect::<Vec<_>>();
    assert_eq!(places(&unscaled), places(&steps[4]));
}

#[test]
fn rows_stop_at_the_tolerance_and_small_entries_can_go() {
    let a = anisotropic(1).0.a().own().clone();
    let most = grown(0, 12, 1);
    let all = fsai(&a, &most);
    let counts = [0.001, 0.01, 0.1].map(|tolerance| {
        let m = fsai(&a, &FsaiParams { tolerance, ..most.clone() });
        assert!(is_definite(&applied(&m, a.n_rows())));
        m.stored_entries()
    });
    assert!(all.stored_entries() > counts[0] && counts[0] > counts[1] && counts[1] > counts[2]);

    let g = explicit(&all);
    let filter = 0.05;
    let filtered = fsai(&a, &FsaiParams { filter, ..most.clone() });
    let (d, h) = (dense(&a), explicit(&filtered));
    let hah = product(&product(&h, &d), &transpose(&h));
    for i in 0..g.len() {
        let floor = filter * g[i][i] * d[i][i].sqrt();
        for j in 0..=i {
            let stays = g[i][j].abs() * d[j][j].sqrt() > floor;
            assert_eq!(h[i][j] != 0.0, stays, "({i}, {j})");
        }
        assert!((hah[i][i] - 1.0).abs() < 1e-13, "row {i}");
        // No worse than the row of what is left of G, scaled to the same diagonal.
        let left: Vec<f64> =
            g[i].iter().zip(&h[i]).map(|(g, h)| g * f64::from(u8::from(*h != 0.0))).collect();
        let left_a = product(&vec![left.clone()], &d);
        let psi = left_a[0].iter().zip(&left).map(|(x, y)| x * y).sum::<f64>();
        assert!(h[i][i] >= left[i] / psi.sqrt() * (1.0 - 1e-12), "row {i}");
    }
    assert!(filtered.stored_entries() < all.stored_entries());
    let none = fsai(&a, &FsaiParams { filter: 0.0, ..grown(1, 0, 1) });
    let some = fsai(&a, &FsaiParams { filter, ..grown(1, 0, 1) });
    assert!(some.stored_entries() < none.stored_entries());
}

#[test]
fn a_diagonal_matrix_gains_nothing() {
    let a = csr(4, &[(0, 0, 1.0), (1, 1, 4.0), (2, 2, 9.0), (3, 3, 0.25)]);
    let m = fsai(&a, &grown(0, 5, 2));
    assert_eq!(m.stored_entries(), 4);
    assert_eq!(explicit(&m)[3][3], 2.0);
}

#[test]
fn fewer_iterations_than_the_pattern_of_a_squared_on_no_more_entries() {
    let take = |params: &FsaiParams, (system, b): &(System, Vec<f64>)| {
        let m = Fsai::generate(params, system).unwrap();
        let criterion = Criterion::RelativeResidual;
        let stop = Stop { criterion, tolerance: 1e-8, max_iterations: 5000, divergence: 1e8 };
        let (mut x, mut unwatched) = (vec![0.0; b.len()], |_: &Step| ControlFlow::Continue(()));
        let report =
            solve(&Algorithm::Cg, system.a(), &m, b, &mut x, &stop, &mut unwatched).unwrap();
        assert_eq!(report.outcome, Outcome::Converged);
        (report.iterations, m.stored_entries())
    };
    let squared = FsaiParams { power: 2, ..FsaiParams::default() };
    let (mut ours, mut theirs) = (0, 0);
    for system in (0..5).map(anisotropic) {
        let (one, many) = (take(&squared, &system), take(&grown(0, 8, 1), &system));
        assert!(many.1 <= one.1, "{} entries against {}", many.1, one.1);
        assert!(many.0 <= one.0, "{} iterations against {}", many.0, one.0);
        (ours, theirs) = (ours + many.0, theirs + one.0);
    }
    assert!(ours * 10 < theirs * 9, "{ours} iterations against {theirs}");
}
