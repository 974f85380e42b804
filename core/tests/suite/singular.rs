//! Singular systems: null spaces found and given, and solutions within the range.
use crate::common::*;
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::{Csr, DistCsr, NullSpace, NullSpaces, Operator, Space, Symmetry};
use precondor_core::precond::{Identity, Preconditioner, Properties};
use precondor_core::solver::{
    Algorithm, Criterion, Fallback, Outcome, Replacement, Stop, foresee, solve, solve_with_fallback,
};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The weighted Laplacian of a graph: symmetric, rows add up to zero.
fn graph(n: usize, edges: impl IntoIterator<Item = (usize, usize, f64)>) -> Csr {
    let all =
        edges.into_iter().flat_map(|(i, j, w)| [(i, j, -w), (j, i, -w), (i, i, w), (j, j, w)]);
    let mut sums = std::collections::BTreeMap::new();
    for (i, j, w) in all {
        *sums.entry((i, j)).or_insert(0.0) += w;
    }
    Csr::from_triplets(n, n, sums.into_iter().map(|((i, j), w)| (i, j, w)).collect::<Vec<_>>())
        .unwrap()
}

/// Five-point Neumann problem on m × m nodes, with weights that no sum of is exact.
fn neumann(m: usize) -> Csr {
    let across = (0..m).flat_map(move |j| (1..m).map(move |i| (j * m + i - 1, j * m + i)));
    let up = (1..m).flat_map(move |j| (0..m).map(move |i| ((j - 1) * m + i, j * m + i)));
    graph(m * m, across.chain(up).map(|(i, j)| (i, j, 0.1 + 0.07 * ((i + 3 * j) % 5) as f64)))
}

/// A directed walk: rows add up to zero, columns do not.
fn walk(n: usize) -> Csr {
    let row = |i: usize| [(i, i, 1.0), (i, (i + 1) % n, -0.75), (i, (i * i + 2) % n, -0.25)];
    let mut sums = std::collections::BTreeMap::new();
    for (i, j, w) in (0..n).flat_map(row) {
        *sums.entry((i, j)).or_insert(0.0) += w;
    }
    Csr::from_triplets(n, n, sums.into_iter().map(|((i, j), w)| (i, j, w)).collect::<Vec<_>>())
        .unwrap()
}

/// The least-squares solution of smallest norm, for the constant as right and `left` as left null
/// vector (of length one): A + left 1ᵀ is regular.
fn pseudo_solution(a: &Csr, left: &[f64], b: &[f64]) -> Vec<f64> {
    let n = a.n_rows();
    let dot: f64 = left.iter().zip(b).map(|(l, b)| l * b).sum();
    let b: Vec<f64> = b.iter().zip(left).map(|(b, l)| b - dot * l).collect();
    let entry = |i: usize, j: usize| a.view().get(i, j) + left[i];
    let dense = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    let dense = dense.map(|(i, j)| (i, j, entry(i, j))).collect::<Vec<_>>();
    let x = dense_solve(&Csr::from_triplets(n, n, dense).unwrap(), &b);
    let mean = x.iter().sum::<f64>() / n as f64;
    x.iter().map(|x| x - mean).collect()
}

fn constant(n: usize) -> Vec<f64> {
    vec![1.0 / (n as f64).sqrt(); n]
}

fn found(a: &DistCsr) -> Option<String> {
    NullSpaces::find(a).unwrap().map(|null| null.name())
}

fn scaled(a: &Csr, factor: f64) -> Csr {
    a.with_values(a.view().values.iter().map(|v| v * factor).collect()).unwrap()
}

fn with_shift(a: &Csr, shift: f64) -> Csr {
    let mut values = a.view().values.to_vec();
    for i in 0..a.n_rows() {
        let at = a.view().row_cols(i).binary_search(&(i as u32)).unwrap();
        values[a.view().range(i).start + at] += shift;
    }
    a.with_values(values).unwrap()
}

#[test]
fn constants_are_found_whatever_the_factor_and_only_where_they_are() {
    let whole = Some("the constant vector".to_owned());
    let right = Some("the constant vector, the left one is not known".to_owned());
    let left = Some("left: the constant vector".to_owned());
    // Two squares and a row of its own; a square and a regular row.
    let m = 6;
    let mut entries: Vec<_> = Vec::new();
    for part in 0..2 {
        let a = neumann(m);
        for i in 0..m * m {
            entries.extend(a.view().row(i).map(|(j, v)| (2 * i + part, 2 * j + part, v)));
        }
    }
    let n = 2 * m * m + 1;
    let three = Csr::from_triplets(n, n, entries.iter().copied()).unwrap();
    entries.push((n - 1, n - 1, 1e-3));
    let two = Csr::from_triplets(n, n, entries).unwrap();
    let path = graph(40, (1..40).map(|i| (i - 1, i, (0.3 * i as f64).exp())));
    for (name, a, expected) in [
        ("neumann", neumann(7), whole.clone()),
        ("path", path, whole.clone()),
        ("walk", walk(30), right),
        ("walk, transposed", walk(30).transpose(), left),
        ("three parts", three, Some("the constant vectors on the 3 parts of A".into())),
        ("two parts of three", two, Some("the constant vectors on 2 of the parts of A".into())),
        ("dirichlet", laplace(7), None),
        ("shifted", with_shift(&neumann(7), 1e-9), None),
        ("indefinite", symmetric_indefinite(7), None),
        ("no rows", Csr::from_triplets(0, 0, []).unwrap(), None),
    ] {
        for factor in [1.0, 1000.0, 2.1e11, 8.9e-12] {
            let a = scaled(&a, factor);
            for (size, with_empty) in [(1, false), (2, false), (3, true), (5, false)] {
                for here in on_ranks(size, with_empty, &a, |a| found(&a)) {
                    assert_eq!(here, expected, "{name} times {factor:e} on {size} ranks");
                }
            }
        }
    }
}

#[test]
fn projections_are_orthogonal_and_the_same_on_any_number_of_ranks() {
    let n = 50;
    let vectors = [vector(n), (0..n).map(|i| 1e7 * (i as f64)).collect(), vec![1e-200; n]];
    let x: Vec<f64> = (0..n).map(|i| (1.3 * i as f64).cos()).collect();
    let mut first: Option<(Vec<f64>, f64)> = None;
    for size in [1, 2, 3, 5] {
        let got = threads::run(size, |comm| {
            let comm = Comm::new(comm);
            let space = Space::from_starts(comm, starts(size, n, size > 2)).unwrap();
            let mine = |v: &Vec<f64>| {
                v[space.start() as usize..space.start() as usize + space.n_own()].to_vec()
            };
            let null = NullSpace::new(&space, vectors.iter().map(mine).collect(), "given").unwrap();
            assert_eq!((null.len(), null.name()), (3, "given"));
            let mut z = mine(&x);
            let taken = null.remove(&mut z).unwrap();
            for k in 0..3 {
                let v = null.vector(k);
                let [vz, vv] = space.dots([(&v, &z), (&v, &v)]).unwrap();
                assert!(vz.abs() < 1e-14 && (vv - 1.0).abs() < 1e-14);
                assert!(null.by_rows().chunks(3).zip(&v).all(|(row, v)| row[k] == *v));
            }
            // Nothing is left to be taken away, and what is not finite stays.
            assert!(null.remove(&mut z.clone()).unwrap() < 1e-14);
            let mut bad = z.clone();
            if let Some(first) = bad.first_mut() {
                *first = f64::NAN;
            }
            let before: Vec<u64> = bad.iter().map(|v| v.to_bits()).collect();
            assert!(null.remove(&mut bad).unwrap().is_nan());
            assert!(bad.iter().map(|v| v.to_bits()).eq(before));
            (z, taken)
        });
        let z: Vec<f64> = got.iter().flat_map(|(z, _)| z.clone()).collect();
        let taken = got[0].1;
        assert!((taken.hypot(norm(&z)) - norm(&x)).abs() < 1e-13, "Pythagoras");
        let (one, by_one) = first.get_or_insert((z.clone(), taken));
        assert!(distance(one, &z) < 1e-14 && (*by_one - taken).abs() < 1e-14, "{size} ranks");
    }
}

#[test]
fn a_null_space_that_makes_no_sense_is_refused() {
    let space = Space::solo(4);
    let refused = |vectors: &[[f64; 4]], why: &str| {
        let vectors = vectors.iter().map(|v| v.to_vec()).collect();
        match NullSpace::new(&space, vectors, "given") {
            Err(Error::Data(text)) => assert_eq!(text, why),
            other => panic!("{other:?}"),
        }
    };
    refused(&[], "a null space needs at least one vector");
    refused(&[[1.0; 4], [0.0; 4]], "vector 2 of the null space is zero");
    let twice = [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0], [2.0, 3.0, 2.0, 3.0]];
    refused(&twice, "vector 3 of the null space depends on those before it");
    let nan = [[1.0, f64::NAN, 0.0, 0.0]];
    refused(&nan, "vector 1 of the null space is NaN in global row 1");
    let short = NullSpace::new(&space, vec![vec![1.0; 3]], "given");
    assert_eq!(short.unwrap_err().to_string(), "vector 1 of the null space has 3 entries");
    // On ranks all fail, whoever has the fault.
    let got = threads::run(3, |comm| {
        let space = Space::even(Comm::new(comm), 9);
        let mut v = vec![1.0; space.n_own()];
        if space.start() == 3 {
            v[0] = f64::INFINITY;
        }
        NullSpace::new(&space, vec![v], "given").unwrap_err().to_string()
    });
    assert!(got.iter().all(|text| text.contains("inf in global row 3")), "{got:?}");
    assert!(NullSpace::constant(&Space::solo(0)).is_err());
    // A vector that A does not take to zero.
    let a = DistCsr::solo(laplace(5)).unwrap();
    let wrong = NullSpaces::given(&a, Some(NullSpace::constant(a.space()).unwrap()), None);
    let text = wrong.unwrap_err().to_string();
    assert!(text.starts_with("the constant vector is not in the null space of A"), "{text}");
}

/// M = (A + a rank-one term)⁻¹ would be exact; here a diagonal, and one that adds a constant.
struct Pushes(Scaled);

impl Preconditioner for Pushes {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.0.apply(r, z)?;
        z.iter_mut().for_each(|z| *z += 1e3);
        Ok(())
    }
    fn properties(&self) -> Properties {
        self.0.properties
    }
    fn stored_entries(&self) -> usize {
        0
    }
    fn bytes(&self) -> usize {
        0
    }
}

#[test]
fn every_method_finds_the_least_squares_solution_of_smallest_norm() {
    let m = 9;
    let (a, n) = (neumann(m), m * m);
    let unit = constant(n);
    for outside in [0.0, 1e-6, 1.0, 1e6] {
        // b has `outside` times the norm of its part in the range outside of it.
        let mut b = vector(n);
        let mean = b.iter().sum::<f64>() / n as f64;
        b.iter_mut().for_each(|b| *b -= mean);
        let inside = norm(&b);
        b.iter_mut().zip(&unit).for_each(|(b, u)| *b += outside * inside * u);
        let exact = pseudo_solution(&a, &unit, &b);
        for method in METHODS {
            for (size, with_empty) in [(1, false), (2, false), (3, true)] {
                let got = on_ranks(size, with_empty, &a, |a| {
                    let null = NullSpaces::find(&a).unwrap().unwrap();
                    let a = a.with_null_spaces(null);
                    let jacobi = Scaled::jacobi(&a);
                    let scale =
                        if matches!(method, Algorithm::Richardson { .. }) { 0.9 } else { 1.0 };
                    let scale = jacobi.scale.iter().map(|s| s * scale).collect();
                    let m = Pushes(Scaled { scale, ..jacobi });
                    let mut x = vec![7.0; a.n_own()];
                    let stop = Stop { max_iterations: 20_000, ..stop(1e-10) };
                    let report =
                        solve(&method, &a, &m, own(&a, &b), &mut x, &stop, &mut unwatched).unwrap();
                    (report, x)
                });
                let told = format!("{method:?} on {size} ranks, {outside:e} outside");
                let report = &got[0].0;
                assert_eq!(report.outcome, Outcome::Converged, "{told}: {report:?}");
                assert!(got.iter().all(|(r, _)| r == report), "{told}: ranks disagree");
                let x: Vec<f64> = got.iter().flat_map(|(_, x)| x.clone()).collect();
                assert!(distance(&x, &exact) < 1e-7 * norm(&exact), "{told}");
                assert!(x.iter().sum::<f64>().abs() < 1e-12 * norm(&x), "{told}: smallest norm");
                let told_outside = report.outside.expect("singular");
                let expected = outside * inside;
                assert!(
                    (told_outside.norm - expected).abs() <= 1e-13 * (inside + expected),
                    "{told}: {told_outside:?}"
                );
                let relative = outside / outside.hypot(1.0);
                assert!((told_outside.relative - relative).abs() < 1e-13, "{told}");
            }
        }
    }
}

#[test]
fn the_error_criterion_and_bounds_of_numbers_hold_for_singular_systems() {
    let m = 7;
    let (a, n) = (neumann(m), m * m);
    let b: Vec<f64> = vector(n);
    let exact = pseudo_solution(&a, &constant(n), &b);
    let singular = |a: &Csr| {
        let a = DistCsr::solo(a.clone()).unwrap();
        let null = NullSpaces::find(&a).unwrap().unwrap();
        a.with_null_spaces(null)
    };
    let solved = |a: &DistCsr, b: &[f64], stop: &Stop| {
        run(Algorithm::Cg, a, &Scaled::jacobi(a), b, stop).unwrap()
    };
    // x* is known but for a constant.
    let shifted: Vec<f64> = exact.iter().map(|x| x + 5.0).collect();
    let criterion = Criterion::AbsoluteError(&shifted);
    let (report, x) = solved(&singular(&a), &b, &Stop { criterion, ..stop(1e-8) });
    assert_eq!(report.outcome, Outcome::Converged);
    assert!(distance(&x, &exact) <= 1e-8);
    // Nothing of b is in the range: x = 0.
    for size in [1.0, 1e-160, 1e200] {
        let (report, x) = solved(&singular(&a), &vec![size; n], &stop(1e-10));
        assert_eq!((report.outcome, report.iterations), (Outcome::Converged, 0));
        assert!(x.iter().all(|x| *x == 0.0));
        let outside = report.outside.unwrap();
        assert!((outside.relative - 1.0).abs() < 1e-14, "{outside:?}");
        assert!((outside.norm / size - (n as f64).sqrt()).abs() < 1e-12, "{outside:?}");
    }
    // The factor of A changes no count.
    let counts = [1.0, 1024.0, 2.1e11].map(|factor| {
        let (report, _) = solved(&singular(&scaled(&a, factor)), &b, &stop(1e-10));
        (report.outcome, report.iterations)
    });
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

#[test]
fn an_unsymmetric_system_is_projected_on_both_sides() {
    let n = 40;
    let (a, unit) = (walk(n), constant(n));
    // The left null vector: what the walk tends to, by many steps of it.
    let mut left = vec![1.0; n];
    for _ in 0..20_000 {
        let step = times(&a.transpose(), &left);
        left.iter_mut().zip(step).for_each(|(l, s)| *l -= 0.5 * s);
    }
    let length = norm(&left);
    left.iter_mut().for_each(|l| *l /= length);
    assert!(norm(&times(&a.transpose(), &left)) < 1e-13, "a null vector");
    assert!(distance(&left, &unit) > 0.1, "another one than the right");
    let b = vector(n);
    let exact = pseudo_solution(&a, &left, &b);
    for method in [Algorithm::Gmres { restart: 60 }, Algorithm::Bicgstab] {
        for size in [1, 3] {
            let got = on_ranks(size, false, &a, |a| {
                let given = NullSpace::new(a.space(), vec![own(&a, &left).to_vec()], "stationary");
                let right = NullSpaces::find(&a).unwrap().unwrap().right;
                let null = NullSpaces::given(&a, right, Some(given.unwrap())).unwrap();
                assert_eq!(null.name(), "the constant vector, left: stationary");
                let a = a.with_null_spaces(null);
                run(method, &a, &Scaled::jacobi(&a), own(&a, &b), &stop(1e-11)).unwrap()
            });
            assert_eq!(got[0].0.outcome, Outcome::Converged, "{method:?}");
            let x: Vec<f64> = got.iter().flat_map(|(_, x)| x.clone()).collect();
            assert!(distance(&x, &exact) < 1e-8 * norm(&exact), "{method:?} on {size} ranks");
            assert!(got[0].0.outside.unwrap().relative > 0.1);
        }
    }
    // The other way round only the left null space can be seen, and it is enough.
    let a = a.transpose();
    let got = on_ranks(2, false, &a, |a| {
        let null = NullSpaces::find(&a).unwrap().unwrap();
        assert!(null.right.is_none());
        let a = a.with_null_spaces(null);
        run(Algorithm::Gmres { restart: 60 }, &a, &Scaled::jacobi(&a), own(&a, &b), &stop(1e-11))
            .unwrap()
    });
    assert_eq!(got[0].0.outcome, Outcome::Converged);
    let x: Vec<f64> = got.iter().flat_map(|(_, x)| x.clone()).collect();
    let mean = b.iter().sum::<f64>() / n as f64;
    let inside: Vec<f64> = b.iter().map(|b| b - mean).collect();
    assert!(distance(&times(&a, &x), &inside) < 1e-10 * norm(&inside));
}

#[test]
fn a_preconditioner_that_fails_is_told_of_by_row_within_the_range_too() {
    struct Nan;
    impl Preconditioner for Nan {
        fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
            z.copy_from_slice(r);
            if z.len() > 2 {
                z[2] = f64::NAN;
            }
            Ok(())
        }
        fn properties(&self) -> Properties {
            Properties::SPD
        }
        fn stored_entries(&self) -> usize {
            0
        }
        fn bytes(&self) -> usize {
            0
        }
    }
    let a = neumann(5);
    for size in [1, 3] {
        for told in on_ranks(size, false, &a, |a| {
            let null = NullSpaces::find(&a).unwrap().unwrap();
            let b = own(&a, &vector(25)).to_vec();
            run(Algorithm::Cg, &a.with_null_spaces(null), &Nan, &b, &stop(1e-8)).unwrap().0.outcome
        }) {
            let Outcome::Breakdown(why) = told else { panic!("{told:?}") };
            assert!(why.contains("NaN in global row 2"), "{why}");
        }
    }
}

#[test]
fn a_watched_solve_and_the_look_before_it_stay_within_the_range() {
    let m = 9;
    let (a, n) = (neumann(m), m * m);
    let b = vector(n);
    let exact = pseudo_solution(&a, &constant(n), &b);
    let a = DistCsr::solo(a).unwrap();
    let null = NullSpaces::find(&a).unwrap().unwrap();
    let a = a.with_null_spaces(null);
    let jacobi = Scaled::jacobi(&a);
    // Richardson's iteration with far too long steps trips the guard; the replacement goes on.
    let long =
        Scaled { scale: jacobi.scale.iter().map(|s| 50.0 * s).collect(), ..Scaled::jacobi(&a) };
    let mut replace = |_| {
        let made = Ok(Box::new(Scaled::jacobi(&a)) as Box<dyn Preconditioner>);
        Some(Replacement { name: "jacobi".into(), contraction: None, made })
    };
    let mut fallback = Fallback { contraction: 0.9, next: Some(&mut replace), foreseen: None };
    let mut x = vec![0.0; n];
    let method = Algorithm::Richardson { damping: 1.0 };
    let report = solve_with_fallback(
        &method,
        &a,
        &long,
        &b,
        &mut x,
        &stop(1e-10),
        &mut unwatched,
        &mut fallback,
    )
    .unwrap();
    assert_eq!(report.outcome, Outcome::Converged);
    assert!(!report.switches.is_empty() && report.outside.is_some());
    assert!(distance(&x, &exact) < 1e-7 * norm(&exact));
    let (said, foreseen) = foresee(&Algorithm::Cg, &a, &jacobi, 0.99).unwrap();
    assert!(said.starts_with("spectrum of MA from 0.0"), "{said}");
    assert!(foreseen.is_none(), "{foreseen:?}");
}

/// A matrix without entries: nothing but a product.
struct Free<'a> {
    a: &'a DistCsr,
    symmetry: Symmetry,
}

impl Operator for Free<'_> {
    fn space(&self) -> &Arc<Space> {
        self.a.space()
    }
    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<()> {
        self.a.spmv(x, y)
    }
    fn symmetric(&self) -> Result<Symmetry> {
        Ok(self.symmetry.clone())
    }
}

#[test]
fn an_operator_with_nothing_but_a_product_counts_as_its_matrix() {
    for size in [1, 3] {
        on_ranks(size, false, &laplace(12), |a| {
            let b = own(&a, &vector(144)).to_vec();
            let m = Scaled::jacobi(&a);
            for method in &METHODS[1..] {
                let (mut expected, y) = run(*method, &a, &m, &b, &stop(1e-9)).unwrap();
                // The size of a row is not known without its entries.
                expected.scaled_residual = expected.true_relative_residual;
                for symmetry in [Symmetry::Symmetric, Symmetry::Unknown] {
                    let free = Free { a: &a, symmetry };
                    let mut x = vec![0.0; a.n_own()];
                    let report =
                        solve(method, &free, &m, &b, &mut x, &stop(1e-9), &mut unwatched).unwrap();
                    assert_eq!((report, &x), (expected.clone(), &y), "{method:?}");
                }
            }
            let free = Free { a: &a, symmetry: Symmetry::Unsymmetric("it has a wind".into()) };
            let mut x = vec![0.0; a.n_own()];
            let why = solve(&Algorithm::Cg, &free, &m, &b, &mut x, &stop(1e-9), &mut unwatched);
            assert_eq!(
                why.unwrap_err().to_string(),
                "the method of conjugate gradients needs a symmetric matrix; it has a wind; use \
                 gmres or bicgstab"
            );
            let free = Free { a: &a, symmetry: Symmetry::Unknown };
            let why = foresee(&Algorithm::Cg, &free, &m, 0.9).unwrap_err().to_string();
            assert!(why.contains("known to be symmetric"), "{why}");
        });
    }
}

#[test]
fn an_indefinite_operator_of_unknown_symmetry_is_found_out() {
    let a = DistCsr::solo(symmetric_indefinite(12)).unwrap();
    let free = Free { a: &a, symmetry: Symmetry::Unknown };
    let mut x = vec![0.0; 144];
    let mut watch = |_: &_| ControlFlow::Continue(());
    let report =
        solve(&Algorithm::Cg, &free, &Identity, &vector(144), &mut x, &stop(1e-9), &mut watch);
    let Outcome::Breakdown(why) = report.unwrap().outcome else { panic!("not broken down") };
    assert!(why.starts_with("A is not positive definite"), "{why}");
}

#[test]
fn a_singular_matrix_is_made_regular_without_changing_its_solutions() {
    let m = 6;
    let n = 2 * m * m;
    let mut entries = Vec::new();
    for part in 0..2 {
        let a = neumann(m);
        for i in 0..m * m {
            entries.extend(a.view().row(i).map(|(j, v)| (2 * i + part, 2 * j + part, v)));
        }
    }
    let two = Csr::from_triplets(n, n, entries).unwrap();
    for (a, width) in [(neumann(m), 1), (two, 2)] {
        let mut first = None;
        for size in [1, 2, 4] {
            let got = on_ranks(size, size > 2, &a, |a| {
                let null = NullSpaces::find(&a).unwrap().unwrap();
                let system = System::new(a.with_null_spaces(null));
                assert_eq!(system.aux("null-space").map(|aux| aux.width), Some(width));
                let regular = system.regular().unwrap();
                assert!(regular.aux("null-space").is_none());
                let (a, regular) = (system.a(), regular.a());
                (0..a.n_own()).map(|i| regular.diagonal(i) / a.diagonal(i)).collect::<Vec<f64>>()
            });
            let raised: Vec<f64> = got.concat();
            let rows: Vec<usize> = (0..a.n_rows()).filter(|&i| raised[i] == 2.0).collect();
            assert_eq!(rows.len(), width);
            assert!(raised.iter().all(|f| [1.0, 2.0].contains(f)));
            assert_eq!(first.get_or_insert(rows.clone()), &rows, "{size} ranks");
        }
        let mut values = a.view().values.to_vec();
        for i in first.unwrap() {
            let at = a.view().row_cols(i).binary_search(&(i as u32)).unwrap();
            values[a.view().range(i).start + at] *= 2.0;
        }
        let regular = a.with_values(values).unwrap();
        let b = times(&a, &vector(a.n_rows()));
        let x = dense_solve(&regular, &b);
        assert!(distance(&times(&a, &x), &b) < 1e-12 * norm(&b), "a solution with A");
    }
    // Nothing is known: nothing is changed.
    let plain = System::new(DistCsr::solo(neumann(4)).unwrap());
    assert!(std::ptr::eq(&*plain.regular().unwrap(), &plain));
    // A row without a diagonal entry, and vectors that no row with one tells apart.
    let hole = graph(3, [(0, 1, 1.0)]);
    let hole = System::new(DistCsr::solo(hole).unwrap());
    let hole = hole.with_aux("null-space", 1, vec![0.0, 0.0, 1.0]).unwrap();
    let why = hole.regular().err().unwrap().to_string();
    assert!(why.starts_with("global row 2: A is singular"), "{why}");
    let twice = System::new(DistCsr::solo(neumann(4)).unwrap());
    let twice = twice.with_aux("null-space", 2, vec![0.25; 32]).unwrap();
    let why = twice.regular().err().unwrap().to_string();
    assert!(why.contains("do not tell apart"), "{why}");
}
