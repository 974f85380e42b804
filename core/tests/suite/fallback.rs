//! Solves whose preconditioner fails: noticed, told, and finished by other means.
use crate::common::*;
use precondor_core::matrix::{Csr, DistCsr};
use precondor_core::precond::{Identity, Preconditioner, Properties};
use precondor_core::solver::{
    Algorithm, Fallback, Outcome, Replacement, Report, Stop, foresee, solve, solve_with_fallback,
};
use precondor_core::{Error, Result};

const RICHARDSON: Algorithm = Algorithm::Richardson { damping: 1.0 };

/// Sets a preconditioner up.
type SetUp<'f> = dyn FnMut() -> Result<Box<dyn Preconditioner>> + 'f;

/// Solves from zero, watched.
fn watched(
    method: Algorithm,
    a: &DistCsr,
    m: &dyn Preconditioner,
    stop: &Stop,
    contraction: f64,
    replacement: Option<&mut SetUp>,
) -> Result<(Report, Vec<f64>)> {
    let b = vector(a.n_global() as usize);
    let (b, mut x) = (own(a, &b).to_vec(), vec![0.0; a.n_own()]);
    let replaced = replacement.is_some();
    let mut once = replacement.into_iter();
    let mut next = |_| {
        let set_up = once.next()?;
        Some(Replacement { name: "jacobi".into(), contraction: None, made: set_up() })
    };
    let mut fallback = Fallback { contraction, next: Some(&mut next), foreseen: None };
    if !replaced {
        fallback.next = None;
    }
    let report =
        solve_with_fallback(&method, a, m, &b, &mut x, stop, &mut unwatched, &mut fallback)?;
    Ok((report, x))
}

fn jacobi(a: &DistCsr) -> impl FnMut() -> Result<Box<dyn Preconditioner>> {
    let m = Scaled::jacobi(a).scale;
    move || Ok(Box::new(Scaled { scale: m.clone(), properties: Properties::SPD }))
}

fn never() -> Result<Box<dyn Preconditioner>> {
    panic!("nothing fails here")
}

fn scaled(n: usize, of: impl Fn(usize) -> f64) -> Scaled {
    Scaled { scale: (0..n).map(of).collect(), properties: Properties::SPD }
}

/// Each switch as "iteration: to", and whether all went well in the end.
fn told(report: &Report) -> Vec<String> {
    report.switches.iter().map(|s| format!("{}: {}", s.iteration, s.to)).collect()
}

fn solved(a: &Csr, report: &Report, x: &[f64]) {
    let b = vector(a.n_rows());
    assert_eq!(report.outcome, Outcome::Converged);
    assert_eq!(report.history.len(), report.iterations + 1);
    assert!(distance(&times(a, x), &b) <= 1.1e-8 * norm(&b));
    assert!(distance(x, &dense_solve(a, &b)) <= 1e-6 * norm(x));
}

#[test]
fn a_solve_that_goes_well_keeps_every_bit() {
    let a = laplace(12);
    let dist = DistCsr::solo(a).unwrap();
    let m = Scaled::jacobi(&dist);
    for method in METHODS {
        let mut x = vec![0.0; 144];
        let plain =
            solve(&method, &dist, &m, &vector(144), &mut x, &stop(1e-8), &mut unwatched).unwrap();
        let (report, y) = watched(method, &dist, &m, &stop(1e-8), 1.0, Some(&mut never)).unwrap();
        assert_eq!((report, y), (plain, x), "{method:?}");
    }
}

#[test]
fn richardson_that_grows_or_crawls_goes_on_as_conjugate_gradients() {
    let a = laplace(12);
    let dist = DistCsr::solo(a.clone()).unwrap();
    // λ(MA) up to 4: the residual grows by up to 3 a step. And up to 2: it crawls.
    for (size, contraction, before) in [(0.5, 1.0, 2..6), (0.2, 0.7, 6..7)] {
        let m = scaled(144, |_| size);
        let (report, x) = watched(RICHARDSON, &dist, &m, &stop(1e-8), contraction, None).unwrap();
        solved(&a, &report, &x);
        let [switch] = &report.switches[..] else { panic!("{:?}", report.switches) };
        assert!(before.contains(&switch.iteration), "{switch:?}");
        assert_eq!(switch.to, "cg with the same preconditioner");
        assert!(switch.reason.starts_with("the measure "), "{switch:?}");
        // CG is not disturbed by what went before: it starts from the best iterate.
        let (cg, _) = run(Algorithm::Cg, &dist, &m, &vector(144), &stop(1e-8)).unwrap();
        assert!(report.iterations <= switch.iteration + cg.iterations + 1, "{report:?}");
    }
}

#[test]
fn a_preconditioner_that_is_not_finite_or_not_definite_is_replaced() {
    let a = laplace(12);
    let dist = DistCsr::solo(a.clone()).unwrap();
    let nan = scaled(144, |i| if i == 70 { f64::NAN } else { 0.25 });
    for method in METHODS {
        let (report, x) =
            watched(method, &dist, &nan, &stop(1e-8), 1.0, Some(&mut jacobi(&dist))).unwrap();
        solved(&a, &report, &x);
        let kind = if method == Algorithm::Minres { "minres" } else { "cg" };
        assert_eq!(told(&report), [format!("0: {kind} with jacobi")], "{method:?}");
        let why = "the preconditioner returned NaN in global row 70 at iteration 1";
        assert_eq!(report.switches[0].reason, why);
    }
    // Declared definite, and is not: Richardson grows, cg with the same M sees rᵀMr ≤ 0.
    let negative = scaled(144, |i| if i < 100 { -0.25 } else { 0.25 });
    let (report, x) =
        watched(RICHARDSON, &dist, &negative, &stop(1e-8), 1.0, Some(&mut jacobi(&dist))).unwrap();
    solved(&a, &report, &x);
    let whys: Vec<&str> = report.switches.iter().map(|s| s.reason.as_str()).collect();
    assert_eq!(report.switches[1].to, "cg with jacobi");
    assert!(whys[0].contains("grew") && whys[1].starts_with("M is not positive definite"));
    let (report, _) =
        watched(Algorithm::Cg, &dist, &negative, &stop(1e-8), 1.0, Some(&mut jacobi(&dist)))
            .unwrap();
    assert_eq!((report.outcome, report.switches.len()), (Outcome::Converged, 1));
}

#[test]
fn conjugate_gradients_on_a_bad_condition_are_replaced_and_on_a_good_one_are_not() {
    let a = diagonal(&(0..400).map(|i| 1.0 + i as f64).collect::<Vec<_>>());
    let dist = DistCsr::solo(a.clone()).unwrap();
    // κ(MA) = 400²: M goes the wrong way.
    let wrong = scaled(400, |i| 1.0 + i as f64);
    let (report, x) =
        watched(Algorithm::Cg, &dist, &wrong, &stop(1e-8), 0.7, Some(&mut jacobi(&dist))).unwrap();
    solved(&a, &report, &x);
    let [switch] = &report.switches[..] else { panic!("{:?}", report.switches) };
    assert!((6..10).contains(&switch.iteration) && switch.to == "cg with jacobi", "{switch:?}");
    assert!(switch.reason.contains("a condition of MA of"), "{switch:?}");
    // κ = 1 + a bit: the same rule lets it be.
    let good = scaled(400, |i| (1.0 + 0.3 * (i as f64).sin()) / (1.0 + i as f64));
    let (report, _) =
        watched(Algorithm::Cg, &dist, &good, &stop(1e-8), 0.7, Some(&mut never)).unwrap();
    assert_eq!((report.outcome, report.switches.len()), (Outcome::Converged, 0));
}

#[test]
fn without_conjugate_gradients_the_replacement_goes_into_gmres() {
    let a = convection_diffusion(12);
    let dist = DistCsr::solo(a.clone()).unwrap();
    let m = scaled(144, |_| 0.5);
    let (report, x) =
        watched(RICHARDSON, &dist, &m, &stop(1e-8), 1.0, Some(&mut jacobi(&dist))).unwrap();
    solved(&a, &report, &x);
    assert_eq!(report.switches.last().unwrap().to, "gmres with jacobi");
    // A symmetric, and not definite: conjugate gradients see it.
    let a = symmetric_indefinite(12);
    let dist = DistCsr::solo(a.clone()).unwrap();
    let long = Stop { max_iterations: 100_000, ..stop(1e-8) };
    let (report, x) =
        watched(RICHARDSON, &dist, &Identity, &long, 1.0, Some(&mut || Ok(Box::new(Identity))))
            .unwrap();
    assert_eq!(report.switches[0].to, "cg with the same preconditioner");
    assert_eq!(report.switches[1].to, "minres with jacobi");
    assert!(report.switches[1].reason.starts_with("A is not positive definite"), "{report:?}");
    solved(&a, &report, &x);
}

#[test]
fn where_nothing_helps_the_best_iterate_and_the_reasons_remain() {
    let dist = DistCsr::solo(laplace(12)).unwrap();
    let general = |scale| Scaled { scale, properties: Properties::GENERAL };
    // Nothing to go on with: not watched at all, so that it ends as it always did.
    let m = general(vec![0.52; 144]);
    let (report, x) = watched(RICHARDSON, &dist, &m, &stop(1e-8), 1.0, None).unwrap();
    let (plain, y) = run(RICHARDSON, &dist, &m, &vector(144), &stop(1e-8)).unwrap();
    assert_eq!((report, x), (plain, y));
    // A replacement that cannot be set up, or is as bad.
    let refuse = || Err(Error::breakdown(3, "no such thing"));
    let (report, x) =
        watched(RICHARDSON, &dist, &m, &stop(1e-8), 1.0, Some(&mut { refuse })).unwrap();
    let Outcome::Breakdown(why) = &report.outcome else { panic!("{:?}", report.outcome) };
    assert!(why.contains("grew from"), "{why}");
    assert!(why.ends_with("replacement jacobi cannot be set up: global row 3: no such thing"));
    let truth = distance(&times(&laplace(12), &x), &vector(144)) / norm(&vector(144));
    assert!((truth - report.true_relative_residual).abs() < 1e-14);
    let best = report.history.iter().copied().fold(f64::INFINITY, f64::min);
    assert!((truth - best).abs() < 1e-14 && truth <= 1.0, "{truth}, {:?}", report.history);
    let nan = || Ok(Box::new(scaled(144, |_| f64::NAN)) as Box<dyn Preconditioner>);
    let (report, x) = watched(RICHARDSON, &dist, &m, &stop(1e-8), 1.0, Some(&mut { nan })).unwrap();
    assert!(matches!(&report.outcome, Outcome::Breakdown(why) if why.contains("NaN")));
    assert!(x.iter().all(|x| x.is_finite()) && report.true_relative_residual <= 1.0);
}

/// Solves with a chain of replacements `m0`, `m1`, … that are watched for their reach.
fn in_turn(a: &DistCsr, stop: &Stop, chain: Vec<Result<Scaled>>) -> (Report, Vec<f64>) {
    let (b, mut x) = (vector(a.n_global() as usize), vec![0.0; a.n_own()]);
    let mut chain = chain.into_iter().enumerate();
    let mut next = |_| {
        let (k, made) = chain.next()?;
        let made = made.map(|m| Box::new(m) as Box<dyn Preconditioner>);
        Some(Replacement { name: format!("m{k}"), contraction: Some(1.0), made })
    };
    let mut fallback = Fallback { contraction: 1.0, next: Some(&mut next), foreseen: None };
    let m = Scaled { scale: vec![f64::NAN; b.len()], properties: Properties::GENERAL };
    let report =
        solve_with_fallback(&RICHARDSON, a, &m, &b, &mut x, stop, &mut unwatched, &mut fallback)
            .unwrap();
    (report, x)
}

#[test]
fn what_fails_is_replaced_again_until_something_works() {
    let a = convection_diffusion(12);
    let dist = DistCsr::solo(a.clone()).unwrap();
    let general = |scale: f64| Scaled { scale: vec![scale; 144], properties: Properties::GENERAL };
    let refused = || Err(Error::breakdown(3, "no such thing"));
    let chain = vec![Ok(general(f64::NAN)), refused(), Ok(general(0.25)), Ok(general(f64::NAN))];
    let (report, x) = in_turn(&dist, &stop(1e-8), chain);
    solved(&a, &report, &x);
    assert_eq!(told(&report), ["0: gmres with m0", "0: gmres with m2"]);
    let why = &report.switches[1].reason;
    assert!(why.contains("NaN") && why.contains("its replacement m1 cannot be set up"), "{why}");
    // Nothing works.
    let (report, x) = in_turn(&dist, &stop(1e-8), vec![Ok(general(f64::NAN)), refused()]);
    assert!(
        matches!(&report.outcome, Outcome::Breakdown(why) if why.contains("m1 cannot be set up"))
    );
    assert!(x.iter().all(|x| x.is_finite()));
}

#[test]
fn what_is_only_slow_is_left_for_what_is_faster_and_taken_up_again_where_nothing_is() {
    // GMRES(30) takes more than 300 iterations with I, few with the inverse of the diagonal.
    let n = 400;
    let diagonal = |i: usize| 1.0 + (i * i) as f64;
    let a = Csr::from_triplets(n, n, (0..n).map(|i| (i, i, diagonal(i)))).unwrap();
    let dist = DistCsr::solo(a.clone()).unwrap();
    let with = |scale: &dyn Fn(usize) -> f64| {
        Ok(Scaled { scale: (0..n).map(scale).collect(), properties: Properties::GENERAL })
    };
    let one = |_: usize| 1.0;
    let inverse = |i: usize| 1.0 / diagonal(i);
    let short = Stop { max_iterations: 200, ..stop(1e-8) };
    let (report, x) = in_turn(&dist, &short, vec![with(&one), with(&inverse)]);
    solved(&a, &report, &x);
    assert_eq!(told(&report), ["0: gmres with m0", "120: gmres with m1"]);
    let why = &report.switches[1].reason;
    assert!(why.contains("the 80 that are left are not enough"), "{why}");
    let (report, _) = in_turn(&dist, &short, vec![with(&one)]);
    assert_eq!(told(&report)[1], "120: gmres with m0 again, the fastest so far");
    assert_eq!((report.outcome, report.iterations), (Outcome::IterationLimit, 200));
}

#[test]
fn iterations_of_all_stages_count() {
    let dist = DistCsr::solo(laplace(12)).unwrap();
    let m = scaled(144, |_| 0.5);
    let short = Stop { max_iterations: 12, ..stop(1e-8) };
    let (report, _) = watched(RICHARDSON, &dist, &m, &short, 1.0, None).unwrap();
    assert_eq!((report.outcome, report.iterations), (Outcome::IterationLimit, 12));
    assert_eq!((report.history.len(), report.switches.len()), (13, 1));
    let refused = watched(RICHARDSON, &dist, &m, &short, 0.0, None).unwrap_err();
    assert!(refused.to_string().contains("contraction 0 must be greater than 0"), "{refused}");
}

#[test]
fn ranks_switch_together() {
    let a = laplace(12);
    let solo = DistCsr::solo(a.clone()).unwrap();
    for (culprit, size) in [(70, f64::NAN), (70, -90.0), (999, 0.5)] {
        let value = |i: usize| if i == culprit || culprit == 999 { size } else { 0.25 };
        let m = scaled(144, value);
        let (alone, _) =
            watched(RICHARDSON, &solo, &m, &stop(1e-8), 1.0, Some(&mut jacobi(&solo))).unwrap();
        assert!(!alone.switches.is_empty());
        for ranks in [2, 3, 5] {
            let ends = on_ranks(ranks, true, &a, |dist| {
                let from = dist.space().start() as usize;
                let m = scaled(dist.n_own(), |i| value(from + i));
                watched(RICHARDSON, &dist, &m, &stop(1e-8), 1.0, Some(&mut jacobi(&dist))).unwrap()
            });
            let x: Vec<f64> = ends.iter().flat_map(|(_, x)| x.clone()).collect();
            for (report, _) in &ends {
                solved(&a, report, &x);
                assert_eq!(told(report), told(&alone), "{ranks} ranks");
                assert_eq!(report.iterations, alone.iterations);
            }
        }
    }
}

#[test]
fn a_check_beforehand_foresees_what_would_happen() {
    let a = laplace(12);
    let dist = DistCsr::solo(a.clone()).unwrap();
    // λ(MA) of the 5-point stencil with M = s: 4s(1 ± cos(π/13)).
    let ends = |s: f64| [-1.0, 1.0].map(|sign| 4.0 * s * (1.0 + sign * (0.241661f64).cos()));
    let [min, max] = ends(0.3);
    let m = scaled(144, |_| 0.3);
    let (said, foreseen) = foresee(&RICHARDSON, &dist, &m, 1.0).unwrap();
    let numbers: Vec<f64> = said.split(' ').filter_map(|w| w.parse().ok()).collect();
    assert!(numbers[0] >= min - 1e-3 && numbers[0] < 4.0 * min, "{said}");
    assert!(numbers[1] <= max + 1e-3 && numbers[1] > 0.95 * max, "{said}");
    let foreseen = foreseen.expect("1 − λmax < −1");
    assert!(foreseen.cg_works && foreseen.reason.starts_with(&said), "{foreseen:?}");
    assert_eq!(foresee(&RICHARDSON, &dist, &scaled(144, |_| 0.2), 1.0).unwrap().1, None);
    assert_eq!(foresee(&Algorithm::Cg, &dist, &m, 1.0).unwrap().1, None);
    assert!(!foresee(&Algorithm::Cg, &dist, &m, 0.5).unwrap().1.unwrap().cg_works);
    let nan = foresee(&RICHARDSON, &dist, &scaled(144, |_| f64::NAN), 1.0).unwrap().1.unwrap();
    assert!(!nan.cg_works && nan.reason.contains("not finite"), "{nan:?}");
    let general = Scaled { scale: vec![0.2; 144], properties: Properties::GENERAL };
    let refused = foresee(&RICHARDSON, &dist, &general, 1.0).unwrap_err();
    assert!(refused.to_string().contains("needs a symmetric preconditioner"), "{refused}");
    // What is foreseen is acted upon before the first iteration.
    let (b, mut x) = (vector(144), vec![0.0; 144]);
    let mut fallback = Fallback { contraction: 1.0, next: None, foreseen: Some(foreseen) };
    let report = solve_with_fallback(
        &RICHARDSON,
        &dist,
        &m,
        &b,
        &mut x,
        &stop(1e-8),
        &mut unwatched,
        &mut fallback,
    )
    .unwrap();
    solved(&a, &report, &x);
    assert_eq!(told(&report), ["0: cg with the same preconditioner"]);
}

/// Works on the basis of GMRES and blows up what is small: not linear.
fn unstable(r: &[f64], z: &mut [f64]) -> Result<()> {
    let bend = if norm(r) > 1.5 || norm(r) < 0.9 { -1e3 } else { 0.25 };
    z.iter_mut().zip(r).for_each(|(z, r)| *z = bend * r);
    Ok(())
}

#[test]
fn gmres_misled_by_its_preconditioner_returns_the_best_it_had() {
    let a = laplace(12);
    let dist = DistCsr::solo(a.clone()).unwrap();
    let method = Algorithm::Gmres { restart: 30 };
    let (report, x) =
        run(method, &dist, &Map(Properties::GENERAL, unstable), &vector(144), &stop(1e-8)).unwrap();
    let Outcome::Breakdown(why) = &report.outcome else { panic!("{:?}", report.outcome) };
    assert!(why.starts_with("the correction of gmres took the relative residual from 1.0e0"));
    assert_eq!((report.true_relative_residual, x), (1.0, vec![0.0; 144]));
    // And a watched one finishes.
    let (report, x) = watched(
        method,
        &dist,
        &Map(Properties::GENERAL, unstable),
        &stop(1e-8),
        1.0,
        Some(&mut jacobi(&dist)),
    )
    .unwrap();
    solved(&a, &report, &x);
}

#[test]
fn stagnating_gmres_hints_at_the_restart() {
    let n = 20;
    let dist = DistCsr::solo(cyclic_shift(n)).unwrap();
    let mut b = vec![0.0; n];
    b[0] = 1.0;
    let short = Stop { max_iterations: 100, ..stop(1e-10) };
    let method = Algorithm::Gmres { restart: 10 };
    let (report, _) = run(method, &dist, &Identity, &b, &short).unwrap();
    let hint = report.hint(&method).unwrap();
    assert!(hint.starts_with("gmres stagnates: the last 10 iterations"), "{hint}");
    assert!(hint.contains("raise 'restart'"), "{hint}");
    assert_eq!(report.hint(&Algorithm::Bicgstab), None);
    let enough = Algorithm::Gmres { restart: n };
    let (report, _) = run(enough, &dist, &Identity, &b, &short).unwrap();
    assert_eq!(report.hint(&enough), None);
}
