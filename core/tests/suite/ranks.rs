//! The same numbers on any number of ranks, and failures that reach all of them.
use crate::common::*;
use precondor_core::matrix::Csr;
use precondor_core::precond::{Identity, Preconditioner, Properties};
use precondor_core::solver::{Algorithm, Criterion, Outcome, Step, Stop, solve};
use precondor_core::{Error, Result};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

const SIZES: [usize; 4] = [1, 2, 3, 5];

#[test]
fn products_and_inner_products_equal_those_of_one_rank() {
    for a in [laplace(9), convection_diffusion(9), cyclic_shift(81)] {
        let (x, y) = (vector(81), times(&a, &vector(81)));
        let dots = |v: &[f64]| -> Vec<u64> { v.iter().map(|v| v.to_bits()).collect() };
        let mut first = None;
        for (size, with_empty) in SIZES.into_iter().flat_map(|s| [(s, false), (s, true)]) {
            let got = on_ranks(size, with_empty, &a, |a| {
                let mut z = vec![f64::NAN; a.n_own()];
                a.spmv(own(&a, &x), &mut z).unwrap();
                // Cancelling on purpose: plain summation would differ in the leading digits.
                let rough: Vec<f64> = own(&a, &x).iter().map(|x| (1e9 * x).sin() * 1e8).collect();
                let [xy, xr] = a.space().dots([(own(&a, &x), &z), (own(&a, &x), &rough)]).unwrap();
                (z, dots(&[xy, xr, a.space().norm(own(&a, &x)).unwrap()]))
            });
            let z: Vec<f64> = got.iter().flat_map(|(z, _)| z.clone()).collect();
            assert_eq!(z, y, "{size} ranks");
            assert!(got.iter().all(|(_, d)| *d == got[0].1), "ranks disagree");
            let rough: Vec<f64> = x.iter().map(|x| (1e9 * x).sin() * 1e8).collect();
            let exact = x.iter().zip(&rough).map(|(x, r)| x * r).sum::<f64>();
            assert!((f64::from_bits(got[0].1[1]) - exact).abs() < 1e-4);
            // No bit depends on where the rows are cut.
            assert_eq!(first.get_or_insert_with(|| got[0].1.clone()), &got[0].1, "{size} ranks");
        }
    }
}

#[test]
fn all_methods_give_the_same_bits_on_any_number_of_ranks() {
    for (a, methods, tolerance) in [
        (laplace(16), &METHODS[..], 1e-4),
        (laplace(16), &METHODS[1..], 1e-8),
        (convection_diffusion(16), &METHODS[4..], 1e-8),
        (symmetric_indefinite(16), &METHODS[3..6], 1e-2),
    ] {
        let b = vector(256);
        for &method in methods {
            let solved = |size, with_empty| {
                let got = on_ranks(size, with_empty, &a, |a| {
                    run(method, &a, &Scaled::jacobi(&a), own(&a, &b), &stop(tolerance)).unwrap()
                });
                let x: Vec<f64> = got.iter().flat_map(|(_, x)| x.clone()).collect();
                assert!(got.iter().all(|(report, _)| *report == got[0].0), "ranks disagree");
                (got[0].0.clone(), x)
            };
            let (one, x) = solved(1, false);
            assert_eq!(one.outcome, Outcome::Converged, "{method:?}");
            for (size, with_empty) in SIZES.into_iter().flat_map(|s| [(s, false), (s, true)]) {
                let (report, y) = solved(size, with_empty);
                assert_eq!((report, y), (one.clone(), x.clone()), "{method:?} on {size} ranks");
            }
        }
    }
}

#[test]
fn the_error_criterion_and_zero_right_hand_sides_work_on_several_ranks() {
    let a = laplace(8);
    let b = vec![1.0; 64];
    let exact = dense_solve(&a, &b);
    for method in METHODS {
        let counts = SIZES.map(|size| {
            let got = on_ranks(size, true, &a, |a| {
                let criterion = Criterion::AbsoluteError(own(&a, &exact));
                let stop = Stop { criterion, ..stop(1e-5) };
                let zero = vec![0.0; a.n_own()];
                let none = run(method, &a, &Identity, &zero, &stop_at_once()).unwrap();
                assert_eq!(none.0.outcome, Outcome::Converged);
                run(method, &a, &Scaled::jacobi(&a), own(&a, &b), &stop).unwrap().0
            });
            assert_eq!(got[0].outcome, Outcome::Converged);
            got[0].iterations
        });
        assert_eq!(counts, [counts[0]; 4]);
    }
}

fn stop_at_once() -> Stop<'static> {
    Stop { max_iterations: 0, ..stop(1e-8) }
}

/// Jacobi that fails in application `at` on rank `rank`.
struct Failing {
    inner: Scaled,
    here: bool,
    at: usize,
    done: AtomicUsize,
    how: fn() -> Result<()>,
}

impl Preconditioner for Failing {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.inner.apply(r, z)?;
        if self.here && self.done.fetch_add(1, Ordering::Relaxed) + 1 == self.at {
            return (self.how)();
        }
        Ok(())
    }
    fn properties(&self) -> Properties {
        self.inner.properties()
    }
    fn stored_entries(&self) -> usize {
        self.inner.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.inner.bytes()
    }
}

#[test]
fn an_error_of_apply_on_any_rank_reaches_all_ranks() {
    let a = laplace(8);
    let how = || Err(Error::breakdown(7, "the local factor is singular"));
    let text = "global row 7: the local factor is singular";
    for (method, size) in METHODS.into_iter().flat_map(|m| SIZES.map(|s| (m, s))) {
        for (guilty, at) in (0..size).flat_map(|r| [1, 2, 4].map(|at| (r, at))) {
            let errors = on_ranks(size, true, &a, |a| {
                let (inner, here) = (Scaled::jacobi(&a), a.space().comm().rank() == guilty);
                let m = Failing { inner, here, at, done: 0.into(), how };
                run(method, &a, &m, own(&a, &vector(64)), &stop(1e-9)).unwrap_err()
            });
            for (rank, e) in errors.into_iter().enumerate() {
                let expected = match rank == guilty {
                    true => Error::Breakdown(text.into()),
                    false => Error::Elsewhere { rank: guilty, message: text.into() },
                };
                assert_eq!(e, expected, "{method:?}, {size} ranks, rank {rank}");
            }
        }
    }
}

#[test]
fn an_error_of_the_last_application_of_a_cycle_is_not_lost() {
    // The application that forms x at the end of a cycle of GMRES: M's third.
    let a = laplace(8);
    for (size, max_iterations) in [(1, 2), (3, 2), (1, 9), (3, 9)] {
        let errors = on_ranks(size, false, &a, |a| {
            let (inner, here) = (Scaled::jacobi(&a), a.space().comm().rank() == 0);
            let how = || Err(Error::Data("late".into()));
            let m = Failing { inner, here, at: 3, done: 0.into(), how };
            let stop = Stop { max_iterations, ..stop(1e-9) };
            let method = Algorithm::Gmres { restart: 2 };
            run(method, &a, &m, own(&a, &vector(64)), &stop).unwrap_err()
        });
        assert_eq!(errors[0], Error::Data("late".into()));
        let told = Error::Elsewhere { rank: 0, message: "late".into() };
        assert!(errors[1..].iter().all(|e| *e == told));
    }
}

#[test]
fn a_panic_in_apply_is_an_error_on_one_rank_and_ends_the_job_on_several() {
    let a = laplace(8);
    let how = || panic!("index out of bounds");
    for (method, size) in METHODS.into_iter().flat_map(|m| SIZES.map(|s| (m, s))) {
        for guilty in 0..size {
            let errors = on_ranks(size, false, &a, |a| {
                let (inner, here) = (Scaled::jacobi(&a), a.space().comm().rank() == guilty);
                let m = Failing { inner, here, at: 2, done: 0.into(), how };
                run(method, &a, &m, own(&a, &vector(64)), &stop(1e-9)).unwrap_err()
            });
            for (rank, e) in errors.into_iter().enumerate() {
                match e {
                    Error::Panicked(text) if rank == guilty => {
                        assert_eq!(text, "index out of bounds");
                    }
                    Error::Comm(text) if rank != guilty => {
                        let whose = format!("rank {guilty} ended the job");
                        assert!(text.contains(&whose) && text.contains("index out"), "{text}");
                    }
                    other => panic!("rank {rank}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn bad_data_on_one_rank_are_told_on_all() {
    let a = laplace(6);
    for guilty in 0..3 {
        let mut b = vector(36);
        b[guilty * 12 + 5] = f64::INFINITY;
        let errors = on_ranks(3, false, &a, |a| {
            run(Algorithm::Cg, &a, &Identity, own(&a, &b), &stop(1e-8)).unwrap_err()
        });
        let text = format!("the right-hand side b is inf in global row {}", guilty * 12 + 5);
        for (rank, e) in errors.into_iter().enumerate() {
            let expected = match rank == guilty {
                true => Error::Data(text.clone()),
                false => Error::Elsewhere { rank: guilty, message: text.clone() },
            };
            assert_eq!(e, expected);
        }
    }
}

#[test]
fn nan_on_one_rank_is_a_breakdown_on_all() {
    let a = laplace(8);
    for (method, guilty) in METHODS.into_iter().flat_map(|m| [0, 1, 2].map(|r| (m, r))) {
        let outcomes = on_ranks(3, false, &a, |a| {
            let mut m = Scaled::jacobi(&a);
            if a.space().comm().rank() == guilty {
                m.scale[1] = f64::NAN;
            }
            run(method, &a, &m, own(&a, &vector(64)), &stop(1e-8)).unwrap().0.outcome
        });
        let row = starts(3, 64, false)[guilty] + 1;
        let why = format!("the preconditioner returned NaN in global row {row} at iteration 1");
        assert!(outcomes.iter().all(|o| *o == Outcome::Breakdown(why.clone())), "{outcomes:?}");
    }
}

#[test]
fn one_watcher_may_stop_all_ranks() {
    let a = laplace(8);
    for (method, impatient) in METHODS.into_iter().flat_map(|m| [0, 1, 2].map(|r| (m, r))) {
        let reports = on_ranks(3, false, &a, |a| {
            let mut watch = |step: &Step| match step.iteration {
                3.. if a.space().comm().rank() == impatient => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            };
            let (m, b) = (Scaled::jacobi(&a), vector(64));
            let mut x = vec![0.0; a.n_own()];
            solve(&method, &a, &m, own(&a, &b), &mut x, &stop(1e-12), &mut watch).unwrap()
        });
        assert!(reports.iter().all(|r| *r == reports[0]), "{reports:?}");
        assert_eq!(reports[0].outcome, Outcome::Interrupted);
        assert!((3..=4).contains(&reports[0].iterations), "{}", reports[0].iterations);
        assert!(reports[0].true_relative_residual < 1.0);
    }
}

#[test]
fn the_first_unsymmetric_entry_is_found_wherever_the_rows_are_cut() {
    let n = 24;
    let with = |i: usize, j: usize, v: f64| {
        let base = laplace(5);
        let entries: Vec<_> = (0..25)
            .flat_map(|i| base.view().row(i).map(move |(j, v)| (i, j, v)).collect::<Vec<_>>())
            .chain([(i, j, v)])
            .collect();
        Csr::from_triplets(25, 25, entries).unwrap()
    };
    // An entry without a mirror above and below the diagonal, far and near; a changed value; a
    // difference within rounding; a stored zero without a mirror; NaN.
    let cases = [
        (0, n, 0.5, Some((0, n))),
        (n, 0, 0.5, Some((0, n))),
        (12, 13, 0.5, Some((12, 13))),
        (13, 12, 0.5, Some((12, 13))),
        (7, 20, 1e-3, Some((7, 20))),
        (12, 13, 1e-12, None),
        (3, 17, 0.0, None),
        (20, 20, f64::NAN, Some((20, 20))),
    ];
    for (i, j, v, expected) in cases {
        let a = with(i, j, v);
        for (size, with_empty) in SIZES.into_iter().flat_map(|s| [(s, false), (s, true)]) {
            let found = on_ranks(size, with_empty, &a, |a| {
                let first = a.first_unsymmetric().unwrap();
                let again = a.clone().first_unsymmetric().unwrap();
                let at = |u: precondor_core::matrix::Unsymmetric| (u.row as usize, u.col as usize);
                assert_eq!(first.map(at), again.map(at));
                first.map(at)
            });
            // Without a mirror the pair is told from the side of the stored entry.
            let told = |f: &Option<(usize, usize)>| f.map(|(r, c)| (r.min(c), r.max(c)));
            assert!(found.iter().all(|f| *f == found[0]));
            assert_eq!(told(&found[0]), expected, "({i}, {j}, {v}) on {size} ranks");
        }
    }
}
