//! Rows that a norm does not see: penalties, mixed units, and what the solvers say about them.
use crate::common::*;
use precondor_core::matrix::{Csr, DistCsr};
use precondor_core::precond::{Identity, Properties};
use precondor_core::solver::{APART, Algorithm, Criterion, Norm, Outcome, Stop, residuals};

/// Five-point Laplacian on m × m nodes; those of the border are held at values by `penalty` on the
/// diagonal and in b.
fn penalised(m: usize, penalty: f64) -> (Csr, Vec<f64>, Vec<bool>) {
    let a = laplace(m);
    let border = |i: usize| [i % m, i / m].iter().any(|&k| k == 0 || k == m - 1);
    let held: Vec<bool> = (0..m * m).map(border).collect();
    let view = a.view();
    let entries = (0..m * m).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, v)));
    let entries: Vec<_> =
        entries.map(|(i, j, v)| (i, j, if i == j && held[i] { v + penalty } else { v })).collect();
    let value = |i: usize| 1.0 + (0.3 * i as f64).sin();
    let b = (0..m * m).map(|i| if held[i] { penalty * value(i) } else { 0.1 }).collect();
    (Csr::from_triplets(m * m, m * m, entries).unwrap(), b, held)
}

/// The solution, of rows brought to one size.
fn exact(a: &Csr, b: &[f64]) -> Vec<f64> {
    let view = a.view();
    let size: Vec<f64> = (0..b.len()).map(|i| view.get(i, i)).collect();
    let entries = (0..b.len()).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, v)));
    let entries: Vec<_> = entries.map(|(i, j, v)| (i, j, v / size[i])).collect();
    let b: Vec<f64> = b.iter().zip(&size).map(|(b, s)| b / s).collect();
    dense_solve(&Csr::from_triplets(b.len(), b.len(), entries).unwrap(), &b)
}

#[test]
fn penalties_are_solved_or_the_rows_are_named() {
    let m = 11;
    for penalty in [1e6, 1e10, 1e16, 1e30, 1e80, 1e200] {
        let (a, b, held) = penalised(m, penalty);
        let x_exact = exact(&a, &b);
        let dist = DistCsr::solo(a.clone()).unwrap();
        for method in METHODS {
            let stop = Stop { divergence: method.divergence(), ..stop(1e-8) };
            let (report, x) = run(method, &dist, &Scaled::jacobi(&dist), &b, &stop).unwrap();
            let error = distance(&x, &x_exact) / norm(&x_exact);
            let what = format!("{method:?}, penalty {penalty:e}, error {error:.1e}: {report:?}");
            let what = what.chars().take(300).collect::<String>();
            match &report.outcome {
                Outcome::Converged => {
                    assert!(error < 1e-4, "{what}");
                    assert!(report.scaled_residual <= APART * 1e-8, "{what}");
                }
                Outcome::RowsUnsolved(why) => {
                    assert!(report.scaled_residual > APART * 1e-8, "{what}");
                    let row = why.split("in global row ").nth(1).unwrap();
                    let row: usize = row.split([',', ';']).next().unwrap().parse().unwrap();
                    assert!(!held[row], "{why}");
                }
                other => panic!("{other:?} {what}"),
            }
            // Those that the penalty does not disturb solve it.
            let short = matches!(
                method,
                Algorithm::Richardson { .. }
                    | Algorithm::Cg
                    | Algorithm::FlexibleCg
                    | Algorithm::Minres
            );
            if short && penalty <= 1e80 {
                assert_eq!(report.outcome, Outcome::Converged, "{what}");
            }
        }
        // A norm that sees all rows needs no second look.
        let natural = Criterion::Residual { norm: Norm::Preconditioned, absolute: 0.0 };
        let stop = Stop { criterion: natural, ..stop(1e-8) };
        for method in [Algorithm::Cg, Algorithm::LeftGmres { restart: 30 }] {
            let (report, x) = run(method, &dist, &Scaled::jacobi(&dist), &b, &stop).unwrap();
            assert_eq!(report.outcome, Outcome::Converged, "{method:?} {penalty:e}");
            assert!(distance(&x, &x_exact) < 1e-5 * norm(&x_exact), "{method:?} {penalty:e}");
        }
    }
}

#[test]
fn a_look_at_rows_does_not_restart_gmres() {
    let m = 9;
    let (a, b, _) = penalised(m, 1e5);
    let x_exact = exact(&a, &b);
    let dist = DistCsr::solo(a).unwrap();
    for restart in [m * m, 20] {
        let methods = [Algorithm::Gmres { restart }, Algorithm::FlexibleGmres { restart }];
        for method in methods {
            let solve = |tolerance| {
                let stop = stop(tolerance);
                run(method, &dist, &Scaled::jacobi(&dist), &b, &stop).unwrap()
            };
            // A tolerance that needs no second look, and one that is met long before all rows are solved.
            let (strict, _) = solve(1e-13);
            let (report, x) = solve(1e-8);
            let what = format!("{method:?}: {} and {}", report.iterations, strict.iterations);
            assert_eq!(report.outcome, Outcome::Converged, "{what}");
            assert!(report.scaled_residual <= APART * 1e-8, "{what}");
            assert!(distance(&x, &x_exact) < 1e-5 * norm(&x_exact), "{what}");
            let met = report.history.iter().position(|&measure| measure <= 1e-8).unwrap();
            assert!(met + 4 <= report.iterations, "{what}");
            // What is recurred is what it is without looks, bit for bit.
            let same = report.history.iter().zip(&strict.history).take_while(|(a, b)| a == b);
            assert!(same.count() >= report.iterations, "{what}");
        }
    }
}

#[test]
fn ranks_go_on_together() {
    let (a, b, _) = penalised(8, 1e30);
    for method in METHODS {
        let solved = |size| {
            let got = on_ranks(size, true, &a, |a| {
                run(method, &a, &Scaled::jacobi(&a), own(&a, &b), &stop(1e-8)).unwrap()
            });
            assert!(got.iter().all(|(report, _)| *report == got[0].0));
            let x: Vec<f64> = got.iter().flat_map(|(_, x)| x.clone()).collect();
            (got[0].0.clone(), x)
        };
        let one = solved(1);
        assert!(matches!(one.0.outcome, Outcome::Converged | Outcome::RowsUnsolved(_)));
        for size in [2, 3, 5] {
            assert_eq!(solved(size), one, "{method:?} on {size} ranks");
        }
    }
}

#[test]
fn rows_that_cannot_be_solved_in_time_are_no_success() {
    let (a, b, held) = penalised(15, 1e30);
    let dist = DistCsr::solo(a).unwrap();
    let few = Stop { max_iterations: 5, ..stop(1e-8) };
    let (report, x) = run(Algorithm::Cg, &dist, &Scaled::jacobi(&dist), &b, &few).unwrap();
    let Outcome::RowsUnsolved(why) = &report.outcome else { panic!("{:?}", report.outcome) };
    assert!(why.contains("rows are not solved") && why.contains("'preconditioned' norm"), "{why}");
    assert!(report.true_relative_residual < 1e-12 && report.scaled_residual > 1e-3);
    // What is named is what is worst.
    let found = residuals(&dist, &b, &x).unwrap();
    assert_eq!(found.scaled, report.scaled_residual);
    assert!(why.contains(&found.rows) && found.apart(1e-8));
    let first: usize = found.rows.split(' ').nth(4).unwrap().trim_end_matches(',').parse().unwrap();
    assert!(!held[first], "{}", found.rows);
}

#[test]
fn the_scaled_residual_is_that_of_rows_and_knows_no_factors() {
    let a = convection_diffusion(6);
    let (b, x) = (vector(36), vec![0.3; 36]);
    let dist = DistCsr::solo(a.clone()).unwrap();
    let found = residuals(&dist, &b, &x).unwrap();
    let by_hand = (0..36).map(|i| {
        let (mut r, mut size) = (b[i], 0.0);
        for (j, v) in a.view().row(i) {
            r -= v * x[j];
            size += v.abs();
        }
        r.abs() / (size * 0.3 + b[i].abs())
    });
    let worst = by_hand.fold(0.0, f64::max);
    assert!((found.scaled - worst).abs() < 1e-14);
    let r: Vec<f64> = times(&a, &x).iter().zip(&b).map(|(ax, b)| b - ax).collect();
    assert!((found.relative - norm(&r) / norm(&b)).abs() < 1e-14);
    // Rows times powers of two: the same bits.
    let factor = |i: usize| 2.0f64.powi((37 * i as i32) % 200 - 100);
    let view = a.view();
    let entries = (0..36).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, factor(i) * v)));
    let scaled = DistCsr::solo(Csr::from_triplets(36, 36, entries.collect::<Vec<_>>()).unwrap());
    let c: Vec<f64> = b.iter().enumerate().map(|(i, b)| factor(i) * b).collect();
    assert_eq!(residuals(&scaled.unwrap(), &c, &x).unwrap().scaled, found.scaled);
    // Rows without a diagonal have a size, rows without entries only b.
    let a = Csr::from_triplets(3, 3, [(0, 1, 2.0), (1, 0, 4.0)]).unwrap();
    let found = residuals(&DistCsr::solo(a).unwrap(), &[2.0, 4.0, 0.0], &[1.0, 1.0, 5.0]).unwrap();
    assert_eq!((found.relative, found.scaled), (0.0, 0.0));
}

#[test]
fn mixed_units_are_no_divergence() {
    // D B D with the second difference B and D over eight orders of magnitude.
    let n = 100;
    let d: Vec<f64> = (0..n).map(|i| 10f64.powf(4.0 * (2.399 * i as f64).sin())).collect();
    let beside = (1..n).flat_map(|i| [(i, i - 1, -1.0), (i - 1, i, -1.0)]);
    let entries = (0..n).map(|i| (i, i, 2.0)).chain(beside);
    let entries: Vec<_> = entries.map(|(i, j, v)| (i, j, d[i] * v * d[j])).collect();
    let a = DistCsr::solo(Csr::from_triplets(n, n, entries).unwrap()).unwrap();
    let b: Vec<f64> = d.clone();
    let y = |i: usize| ((i + 1) * (n - i)) as f64 / 2.0;
    for method in [Algorithm::Cg, Algorithm::Minres] {
        let stop = Stop { divergence: method.divergence(), ..stop(1e-8) };
        let (report, x) = run(method, &a, &Scaled::jacobi(&a), &b, &stop).unwrap();
        assert_eq!(report.outcome, Outcome::Converged, "{method:?}");
        let worst = (0..n).map(|i| (x[i] * d[i] / y(i) - 1.0).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-3, "{method:?}: {worst:e}");
    }
    // A limit that is asked for holds, and its message names the key.
    let (report, _) =
        run(Algorithm::Cg, &a, &Scaled::jacobi(&a), &b, &Stop { divergence: 1.5, ..stop(1e-8) })
            .unwrap();
    let Outcome::Diverged(why) = &report.outcome else { panic!("{:?}", report.outcome) };
    assert!(why.contains("'divergence' = 1.5e0"), "{why}");
}

#[test]
fn richardson_may_grow_on_the_way() {
    // A = I and M = (I + 3S)⁻¹: I − M = −3S M is nilpotent, so that n steps end exactly.
    let n = 12;
    let a = DistCsr::solo(diagonal(&vec![1.0; n])).unwrap();
    let method = Algorithm::Richardson { damping: 1.0 };
    let limit = Stop { divergence: method.divergence(), max_iterations: 50, ..stop(1e-10) };
    let m = Map(Properties::GENERAL, |r: &[f64], z: &mut [f64]| {
        for i in 0..r.len() {
            z[i] = r[i] - if i > 0 { 3.0 * z[i - 1] } else { 0.0 };
        }
        Ok(())
    });
    let (report, x) = run(method, &a, &m, &vec![1.0; n], &limit).unwrap();
    assert_eq!(report.outcome, Outcome::Converged, "{:?}", report.history);
    let most = report.history.iter().copied().fold(0.0, f64::max);
    assert!(most > 1e5, "{most:e}");
    assert!(x.iter().all(|x| (x - 1.0).abs() < 1e-8));
    // True divergence ends all the same, long before numbers run out.
    let stretched = DistCsr::solo(diagonal(&[3.0; 5])).unwrap();
    let (report, _) =
        run(method, &stretched, &Identity, &[1.0; 5], &Stop { max_iterations: 9999, ..limit })
            .unwrap();
    assert!(
        matches!(&report.outcome, Outcome::Diverged(why) if why.contains("'divergence' = 1e30"))
    );
    assert!((100..102).contains(&report.iterations), "{}", report.iterations);
}
