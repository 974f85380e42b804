//! The same answer in any unit: A and b times any factors, up to the ends of floating point.
use crate::common::*;
use precondor_core::matrix::{Csr, DistCsr};
use precondor_core::precond::{Identity, Preconditioner};
use precondor_core::solver::{Algorithm, Criterion, Norm, Outcome, Report, Stop, solve};

fn scaled(a: &Csr, c: f64) -> Csr {
    let view = a.view();
    let entries = (0..a.n_rows()).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, c * v)));
    Csr::from_triplets(a.n_rows(), a.n_cols(), entries.collect::<Vec<_>>()).unwrap()
}

/// Every method, and the left-preconditioned form of GMRES with its norm.
fn methods() -> impl Iterator<Item = (Algorithm, Norm)> {
    let plain = METHODS.map(|method| (method, Norm::Unpreconditioned));
    let others = [
        (Algorithm::LeftGmres { restart: 30 }, Norm::Preconditioned),
        (Algorithm::Cg, Norm::Natural),
        (Algorithm::Minres, Norm::Natural),
        (Algorithm::Minres, Norm::Preconditioned),
        (Algorithm::Richardson { damping: 0.9 }, Norm::Preconditioned),
    ];
    plain.into_iter().chain(others)
}

fn solve_scaled(
    (method, norm): (Algorithm, Norm),
    a: &Csr,
    (c, d): (f64, f64),
    jacobi: bool,
) -> (Report, Vec<f64>) {
    let dist = DistCsr::solo(scaled(a, c)).unwrap();
    let b: Vec<f64> = vector(a.n_rows()).iter().map(|b| d * b).collect();
    let m: Box<dyn Preconditioner> = match jacobi {
        true => Box::new(Scaled::jacobi(&dist)),
        false => Box::new(Identity),
    };
    let stop = Stop { criterion: Criterion::Residual { norm, absolute: 0.0 }, ..stop(1e-8) };
    run(method, &dist, &*m, &b, &stop).unwrap()
}

#[test]
fn factors_in_a_and_b_change_no_count_and_scale_x() {
    let a = laplace(9);
    let factors = [1.0, 2.1e11, 8.9e-12, 1e150, 1e-150, 1e200, 1e-200];
    for (method, jacobi) in methods().flat_map(|method| [(method, true), (method, false)]) {
        // Without a preconditioner Richardson's step has a unit, that of 1/A.
        let stationary = matches!(method.0, Algorithm::Richardson { .. });
        if stationary && !jacobi {
            continue;
        }
        let (plain, x) = solve_scaled(method, &a, (1.0, 1.0), jacobi);
        assert_eq!(plain.outcome, Outcome::Converged, "{method:?}");
        for (c, d) in factors.into_iter().flat_map(|c| factors.map(|d| (c, d))) {
            if !(1e-280..1e280).contains(&(d / c)) {
                continue;
            }
            let (report, y) = solve_scaled(method, &a, (c, d), jacobi);
            let what = format!("{method:?}, A times {c:e}, b times {d:e}, jacobi {jacobi}");
            assert_eq!(
                (&report.outcome, report.iterations),
                (&plain.outcome, plain.iterations),
                "{what}"
            );
            let y: Vec<f64> = y.iter().map(|y| y / (d / c)).collect();
            assert!(distance(&x, &y) < 1e-9 * norm(&x), "{what}: {}", distance(&x, &y));
            let truths = [report.true_relative_residual, plain.true_relative_residual];
            assert!((truths[0] - truths[1]).abs() < 1e-4 * truths[1], "{what}: {truths:?}");
        }
    }
}

#[test]
fn powers_of_two_change_no_bit() {
    let a = laplace(9);
    for method in methods() {
        let (plain, x) = solve_scaled(method, &a, (1.0, 1.0), true);
        for (k, l) in
            [(4, -5), (-40, 11), (0, -900), (0, 900), (700, 300), (-600, -700), (900, 900)]
        {
            let power = |k: i32| 2.0f64.powi(k);
            let (report, y) = solve_scaled(method, &a, (power(k), power(l)), true);
            assert_eq!(report, plain, "{method:?}: 2^{k} A, 2^{l} b");
            let y: Vec<f64> = y.iter().map(|y| y * power(k - l)).collect();
            assert_eq!(y, x, "{method:?}: 2^{k} A, 2^{l} b");
        }
    }
}

#[test]
fn ranks_agree_on_the_units() {
    let a = scaled(&laplace(9), 1e-200);
    let b: Vec<f64> = vector(81).iter().map(|b| 1e-160 * b).collect();
    for method in METHODS {
        let solved = |size| {
            let got = on_ranks(size, true, &a, |a| {
                run(method, &a, &Scaled::jacobi(&a), own(&a, &b), &stop(1e-8)).unwrap()
            });
            let x: Vec<f64> = got.iter().flat_map(|(_, x)| x.clone()).collect();
            (got[0].0.clone(), x)
        };
        let one = solved(1);
        assert_eq!(one.0.outcome, Outcome::Converged, "{method:?}");
        for size in [2, 3, 5] {
            assert_eq!(solved(size), one, "{method:?} on {size} ranks");
        }
    }
}

#[test]
fn a_tiny_right_hand_side_is_no_zero() {
    // The sums of squares of all of these vanish.
    let a = laplace(5);
    for size in [1e-160, 1e-250, 1e-300, 3e-310] {
        let b: Vec<f64> = vector(25).iter().map(|b| size * b).collect();
        for method in METHODS {
            let few = Stop { max_iterations: 2, ..stop(1e-8) };
            let dist = DistCsr::solo(a.clone()).unwrap();
            let (report, x) = run(method, &dist, &Scaled::jacobi(&dist), &b, &few).unwrap();
            assert_eq!((&report.outcome, report.history[0]), (&Outcome::IterationLimit, 1.0));
            let up = |v: &[f64]| v.iter().map(|v| v / size).collect::<Vec<f64>>();
            let truth = distance(&times(&a, &up(&x)), &up(&b)) / norm(&up(&b));
            let told = report.true_relative_residual;
            // Numbers near the smallest one have few digits.
            let digits = if size < 1e-305 { 1e-2 } else { 1e-10 };
            assert!((told - truth).abs() < digits * truth, "{method:?} {size:e}: {told} {truth}");
            assert!(truth > 1e-4);
        }
    }
}

#[test]
fn solutions_out_of_range_are_an_error_that_says_the_range() {
    let a = laplace(4);
    for ((c, d), at) in [((1e-200, 1e200), "2^13"), ((1e200, 1e-200), "2^-13")] {
        for method in METHODS {
            let errors = on_ranks(2, false, &scaled(&a, c), |a| {
                let b = vec![d; a.n_own()];
                run(method, &a, &Scaled::jacobi(&a), &b, &stop(1e-8)).unwrap_err().to_string()
            });
            for text in errors {
                assert!(
                    text.starts_with(&format!("the solution has entries of about {at}")),
                    "{text}"
                );
                assert!(text.ends_with("scale A or b"), "{text}");
            }
        }
    }
}

#[test]
fn errors_and_guesses_have_the_units_of_x() {
    let a = laplace(6);
    let exact = dense_solve(&a, &vector(36));
    for (c, d) in [(1.0, 1.0), (1e-160, 1e20), (1e200, 1.0)] {
        let unit = d / c;
        let target: Vec<f64> = exact.iter().map(|x| unit * x).collect();
        let dist = DistCsr::solo(scaled(&a, c)).unwrap();
        let b: Vec<f64> = vector(36).iter().map(|b| d * b).collect();
        for method in METHODS {
            let criterion = Criterion::AbsoluteError(&target);
            let stop = Stop { criterion, tolerance: 1e-6 * unit, ..stop(0.0) };
            let mut x: Vec<f64> = target.iter().map(|x| 0.5 * x).collect();
            let m = Scaled::jacobi(&dist);
            let report = solve(&method, &dist, &m, &b, &mut x, &stop, &mut unwatched).unwrap();
            assert_eq!(report.outcome, Outcome::Converged, "{method:?} {unit:e}");
            let first = 0.5 * norm(&exact);
            assert!((report.history[0] / unit - first).abs() < 1e-9 * first, "{method:?} {unit:e}");
            let back = |v: &[f64]| v.iter().map(|v| v / unit).collect::<Vec<f64>>();
            assert!(distance(&back(&x), &back(&target)) <= 1.01e-6, "{method:?} {unit:e}");
        }
    }
}
