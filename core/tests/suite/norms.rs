//! Norms of the residual, sides of the preconditioner, and preconditioners that change.
use crate::common::*;
use precondor_core::Error;
use precondor_core::matrix::{Csr, DistCsr};
use precondor_core::precond::{Identity, Preconditioner, Properties};
use precondor_core::solver::{
    Algorithm, AssumedDefinite, Criterion, Norm, Outcome, Stop, TRUST, solve,
};

const NORMS: [Norm; 3] = [Norm::Unpreconditioned, Norm::Preconditioned, Norm::Natural];
const LEFT: Algorithm = Algorithm::LeftGmres { restart: 30 };

fn solo(a: &Csr) -> DistCsr {
    DistCsr::solo(a.clone()).unwrap()
}

/// All methods with all the norms that they have.
fn pairs() -> impl Iterator<Item = (Algorithm, Norm)> {
    let all = METHODS.into_iter().chain([LEFT]);
    all.flat_map(|method| NORMS.map(|norm| (method, norm)))
        .filter(|(method, norm)| method.has(*norm))
}

fn within(norm: Norm, absolute: f64, tolerance: f64) -> Stop<'static> {
    Stop { criterion: Criterion::Residual { norm, absolute }, ..stop(tolerance) }
}

/// Far from the identity, so that norms differ.
fn weights(n: usize) -> Vec<f64> {
    (0..n).map(|i| 0.02 + 0.1 * (1.0 + (0.7 * i as f64).sin())).collect()
}

fn spd(scale: Vec<f64>) -> Scaled {
    Scaled { scale, properties: Properties::SPD }
}

/// The norm of `r`, computed here.
fn norm_of(kind: Norm, m: &[f64], r: &[f64]) -> f64 {
    let z: Vec<f64> = r.iter().zip(m).map(|(r, m)| r * m).collect();
    match kind {
        Norm::Unpreconditioned => norm(r),
        Norm::Preconditioned => norm(&z),
        Norm::Natural => r.iter().zip(&z).map(|(r, z)| r * z).sum::<f64>().sqrt(),
    }
}

#[test]
fn every_measure_is_the_norm_that_it_says() {
    let a = laplace(12);
    let (b, dist, m) = (vector(144), solo(&a), weights(144));
    let guess: Vec<f64> = (0..144).map(|i| (i as f64).cos()).collect();
    for ((method, kind), x0) in pairs().flat_map(|p| [(p, vec![0.0; 144]), (p, guess.clone())]) {
        for k in [0, 1, 2, 7] {
            let stop = Stop { max_iterations: k, ..within(kind, 0.0, 0.0) };
            let mut x = x0.clone();
            let report =
                solve(&method, &dist, &spd(m.clone()), &b, &mut x, &stop, &mut unwatched).unwrap();
            let r: Vec<f64> = b.iter().zip(times(&a, &x)).map(|(b, ax)| b - ax).collect();
            let truth = norm_of(kind, &m, &r) / norm_of(kind, &m, &b);
            let last = report.history[k];
            assert!(
                (last - truth).abs() < 1e-10 * truth,
                "{method:?} {kind:?} {k}: {last} {truth}"
            );
            let plain = norm(&r) / norm(&b);
            assert!((report.true_relative_residual - plain).abs() < 1e-10 * plain);
        }
    }
}

#[test]
fn solves_end_where_their_norm_says_and_on_any_number_of_ranks() {
    let a = laplace(12);
    let (b, m) = (vector(144), weights(144));
    for (method, kind) in pairs() {
        let solved = |size| {
            let got = on_ranks(size, true, &a, |a| {
                let m = spd(own(&a, &m).to_vec());
                run(method, &a, &m, own(&a, &b), &within(kind, 0.0, 1e-7)).unwrap()
            });
            let x: Vec<f64> = got.iter().flat_map(|(_, x)| x.clone()).collect();
            (got[0].0.clone(), x)
        };
        let (report, x) = solved(1);
        assert_eq!(report.outcome, Outcome::Converged, "{method:?} {kind:?}");
        let r: Vec<f64> = b.iter().zip(times(&a, &x)).map(|(b, ax)| b - ax).collect();
        assert!(
            norm_of(kind, &m, &r) <= TRUST * 1e-7 * norm_of(kind, &m, &b),
            "{method:?} {kind:?}"
        );
        assert!(report.history[report.iterations - 1] > 1e-7, "{method:?} {kind:?}");
        for size in [2, 3, 5] {
            assert_eq!(solved(size), (report.clone(), x.clone()), "{method:?} {kind:?} on {size}");
        }
    }
}

#[test]
fn the_absolute_tolerance_stops_where_the_relative_one_of_that_size_does() {
    let a = laplace(12);
    let (b, dist, m) = (vector(144), solo(&a), weights(144));
    for (method, kind) in pairs() {
        let whole = norm_of(kind, &m, &b);
        let m = spd(m.clone());
        let (relative, x) = run(method, &dist, &m, &b, &within(kind, 0.0, 1e-4)).unwrap();
        let absolute = within(kind, 1e-4 * whole * (1.0 + 1e-12), 1e-12);
        assert_eq!(run(method, &dist, &m, &b, &absolute).unwrap(), (relative.clone(), x));
        // The larger one of the two decides.
        let idle = within(kind, 1e-9 * whole, 1e-4);
        assert_eq!(run(method, &dist, &m, &b, &idle).unwrap().0, relative, "{method:?} {kind:?}");
    }
    let refused = run(Algorithm::Cg, &dist, &Identity, &b, &within(Norm::Natural, -1.0, 1e-4));
    assert!(refused.unwrap_err().to_string().contains("absolute tolerance -1"));
}

#[test]
fn norms_that_a_method_does_not_have_are_refused_by_name() {
    let a = solo(&laplace(3));
    let all = METHODS.into_iter().chain([LEFT]);
    for (method, kind) in all.flat_map(|method| NORMS.map(|norm| (method, norm))) {
        let got = run(method, &a, &Scaled::jacobi(&a), &[1.0; 9], &within(kind, 0.0, 1e-8));
        if method.has(kind) {
            assert_eq!(got.unwrap().0.outcome, Outcome::Converged, "{method:?} {kind:?}");
        } else {
            let text = got.unwrap_err().to_string();
            let told = format!("{} does not have the {} norm", method.name(), kind.name());
            assert!(text.starts_with(&told), "{text}");
        }
    }
    // Left-preconditioned GMRES has no other norm, even where none is asked for.
    let refused = run(LEFT, &a, &Identity, &[1.0; 9], &stop(1e-8)).unwrap_err();
    assert!(refused.to_string().contains("norm = 'preconditioned'"), "{refused}");
}

#[test]
fn left_gmres_is_gmres_on_the_preconditioned_matrix() {
    let a = convection_diffusion(12);
    let (b, m) = (vector(144), weights(144));
    let view = a.view();
    let scaled = (0..144).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, v)));
    let scaled: Vec<_> = scaled.map(|(i, j, v)| (i, j, m[i] * v)).collect();
    let scaled = solo(&Csr::from_triplets(144, 144, scaled).unwrap());
    let c: Vec<f64> = b.iter().zip(&m).map(|(b, m)| b * m).collect();
    let general = Scaled { scale: m.clone(), properties: Properties::GENERAL };
    for restart in [5, 30] {
        let right = Algorithm::Gmres { restart };
        let left = Algorithm::LeftGmres { restart };
        let stop = within(Norm::Preconditioned, 0.0, 1e-9);
        let (report, x) = run(left, &solo(&a), &general, &b, &stop).unwrap();
        let (other, y) = run(right, &scaled, &Identity, &c, &self::stop(1e-9)).unwrap();
        assert_eq!((&report.outcome, report.iterations), (&Outcome::Converged, other.iterations));
        assert!(distance(&x, &y) < 1e-8 * norm(&x));
        assert!(report.history.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-12)));
        let exact = dense_solve(&a, &b);
        let error = Criterion::AbsoluteError(&exact);
        let (report, x) =
            run(left, &solo(&a), &general, &b, &Stop { criterion: error, ..stop }).unwrap();
        assert_eq!(report.outcome, Outcome::Converged);
        assert!(distance(&x, &exact) <= 1e-9);
    }
}

#[test]
fn a_singular_preconditioner_is_told_where_its_norm_is_measured() {
    let a = solo(&laplace(4));
    for norm in [Norm::Preconditioned, Norm::Natural] {
        let (report, _) =
            run(Algorithm::Cg, &a, &spd(vec![0.0; 16]), &[1.0; 16], &within(norm, 0.0, 1e-8))
                .unwrap();
        assert!(report.outcome.reason().unwrap().contains("M is singular"), "{report:?}");
    }
}

/// A few steps of conjugate gradients: another operator for every r, positive definite.
fn inner(a: &DistCsr) -> impl Preconditioner {
    let properties = Properties { constant: false, ..Properties::SPD };
    Map(properties, move |r: &[f64], z: &mut [f64]| {
        z.fill(0.0);
        let stop = Stop { max_iterations: 6, ..stop(1e-12) };
        solve(&Algorithm::Cg, a, &Identity, r, z, &stop, &mut unwatched).map(|_| ())
    })
}

#[test]
fn flexible_conjugate_gradients_take_an_m_that_changes_and_are_the_plain_ones_else() {
    let a = laplace(20);
    let (b, dist) = (vector(400), solo(&a));
    let m = Scaled::jacobi(&dist);
    let (plain, x) = run(Algorithm::Cg, &dist, &m, &b, &stop(1e-9)).unwrap();
    let (same, y) = run(Algorithm::FlexibleCg, &dist, &m, &b, &stop(1e-9)).unwrap();
    assert_eq!(same.iterations, plain.iterations);
    assert!(distance(&x, &y) < 1e-8 * norm(&x));
    let refused = run(Algorithm::Cg, &dist, &inner(&dist), &b, &stop(1e-9)).unwrap_err();
    assert!(matches!(&refused, Error::Unsupported(why) if why.contains("use flexible-cg")));
    let refused = run(Algorithm::Minres, &dist, &inner(&dist), &b, &stop(1e-9)).unwrap_err();
    assert!(matches!(&refused, Error::Unsupported(why) if why.contains("use flexible-gmres")));
    let (flexible, x) = run(Algorithm::FlexibleCg, &dist, &inner(&dist), &b, &stop(1e-9)).unwrap();
    assert_eq!(flexible.outcome, Outcome::Converged);
    assert!(distance(&times(&a, &x), &b) <= TRUST * 1e-9 * norm(&b));
    assert!(2 * flexible.iterations < plain.iterations, "{} iterations", flexible.iterations);
    // It does not do worse than flexible GMRES needs it to.
    let method = Algorithm::FlexibleGmres { restart: 50 };
    let (gmres, _) = run(method, &dist, &inner(&dist), &b, &stop(1e-9)).unwrap();
    assert!(flexible.iterations <= 2 * gmres.iterations);
}

#[test]
fn what_is_assumed_of_m_lets_cg_run_and_is_still_looked_at() {
    let a = solo(&laplace(8));
    let general = |scale| Scaled { scale, properties: Properties::GENERAL };
    let refused = run(Algorithm::Cg, &a, &general(vec![0.25; 64]), &vector(64), &stop(1e-9));
    assert!(refused.is_err());
    let jacobi = general(vec![0.25; 64]);
    let (report, _) =
        run(Algorithm::Cg, &a, &AssumedDefinite(&jacobi), &vector(64), &stop(1e-9)).unwrap();
    let (known, _) = run(Algorithm::Cg, &a, &Scaled::jacobi(&a), &vector(64), &stop(1e-9)).unwrap();
    assert_eq!(report, known);
    let wrong = general((0..64).map(|i| if i < 40 { 0.25 } else { -0.25 }).collect());
    for method in [Algorithm::Cg, Algorithm::Minres] {
        let (report, _) =
            run(method, &a, &AssumedDefinite(&wrong), &vector(64), &stop(1e-9)).unwrap();
        let why = report.outcome.reason().unwrap();
        assert!(why.starts_with("M is not positive definite"), "{method:?}: {why}");
    }
}
