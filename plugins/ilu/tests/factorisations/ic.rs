use crate::dense::*;
use precondor_plugin_ilu::{Ic, ic};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::json;
use precondor_testkit::threads::ThreeThreads;
use proptest::prelude::*;
use std::sync::Arc;

/// The shift that the notes tell of, and the breakdowns before it.
fn shift(m: &dyn Preconditioner) -> (f64, u32) {
    let notes = m.notes();
    let Some(note) = notes.iter().find(|note| note.contains("α = ")) else { return (0.0, 0) };
    let (_, rest) = note.split_once("α = ").unwrap();
    let (alpha, rest) = rest.split_once(", after ").unwrap();
    (alpha.parse().unwrap(), rest.split_once(' ').unwrap().0.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn the_product_of_the_factors_is_the_shifted_matrix_on_its_pattern(
        n in 1usize..24, entries in entries(),
    ) {
        let a = definite(n, &entries);
        let m = generate::<Ic>(json!({}), &system(&sparse(&a))).unwrap();
        prop_assert_eq!(m.stored_entries(), n + (sparse(&a).nnz() - n) / 2);
        prop_assert!(m.properties().positive_definite);
        let (alpha, breakdowns) = shift(&*m);
        let tried = if breakdowns == 0 { 0.0 } else { 0.001 * 2f64.powi(breakdowns as i32 - 1) };
        prop_assert_eq!(alpha, tried);
        let as_dense = as_dense(&*m, n, false);
        prop_assert!(distance(&as_dense, &transpose(&as_dense)) < 1e-10);
        prop_assert!(positive_definite(&as_dense));
        let product = inverse(&as_dense);
        let kept = dense(n, |i, j| if a[i][j] == 0.0 { 0.0 } else { product[i][j] });
        let shifted = dense(n, |i, j| a[i][j] * if i == j { 1.0 + alpha } else { 1.0 });
        prop_assert!(distance(&kept, &shifted) < 1e-8, "{alpha}");
    }

    #[test]
    fn on_a_full_pattern_m_is_the_inverse(n in 1usize..16, entries in entries()) {
        let sparse_one = definite(n, &entries);
        let a = dense(n, |i, j| sparse_one[i][j] + 0.01);
        let m = generate::<Ic>(json!({}), &system(&sparse(&a))).unwrap();
        prop_assert_eq!(m.notes(), Vec::<String>::new());
        prop_assert!(distance(&as_dense(&*m, n, false), &inverse(&a)) < 1e-8);
        prop_assert!(distance(&as_dense(&*m, n, true), &inverse(&a)) < 1e-8);
    }
}

/// Positive definite, but IC(0) breaks down in its last row (D. S. Kershaw, J. Comput. Phys. 26
/// (1978) 43–65).
fn kershaw() -> Dense {
    let rows = [[3, -2, 0, 2], [-2, 3, -2, 0], [0, -2, 3, -2], [2, 0, -2, 3]];
    dense(4, |i, j| f64::from(rows[i][j]))
}

#[test]
fn kershaws_matrix_is_shifted_just_enough() {
    assert!(positive_definite(&kershaw()));
    let last_pivot = |alpha: f64| {
        let d = 3.0 * (1.0 + alpha);
        let second = d - 4.0 / d;
        let third = d - 4.0 / second;
        if third > 0.0 { d - 4.0 / d - 4.0 / third } else { third }
    };
    assert!(last_pivot(0.0) < 0.0);
    let tries: Vec<f64> = (0..20).map(|k| 0.001 * 2f64.powi(k)).collect();
    let enough = tries.iter().position(|&alpha| last_pivot(alpha) > 0.0).unwrap();
    let m = generate::<Ic>(json!({}), &system(&sparse(&kershaw()))).unwrap();
    assert_eq!(shift(&*m), (tries[enough], enough as u32 + 1));
    assert!(positive_definite(&as_dense(&*m, 4, false)));

    // A shift that is given is the first one tried.
    let m = generate::<Ic>(json!({"shift": 1.0}), &system(&sparse(&kershaw()))).unwrap();
    assert_eq!(shift(&*m), (1.0, 0));
}

#[test]
fn matrices_that_are_not_positive_definite_are_refused_by_row() {
    let with = |changes: &[(usize, usize, f64)]| {
        let mut a = dense(4, |i, j| if i == j { 2.0 } else { 0.5 });
        changes.iter().for_each(|&(i, j, v)| a[i][j] = v);
        a
    };
    for (a, text) in [
        (with(&[(2, 1, 0.4)]), "ic needs a symmetric matrix; global row 1: "),
        (with(&[(3, 0, 0.0)]), "ic needs a symmetric matrix; global row 0: "),
        (with(&[(1, 1, f64::NAN)]), "global row 1: the diagonal entry is NaN"),
        (with(&[(2, 2, 0.0)]), "global row 2: the diagonal entry is 0"),
        (with(&[(3, 3, -1.0)]), "global row 3: the diagonal entry is -1"),
        (with(&[(0, 3, f64::NAN), (3, 0, f64::NAN)]), "ic needs a symmetric matrix; global row 0"),
        (with(&[(0, 3, 99.0), (3, 0, 99.0)]), "global row 3: no positive pivot even with "),
    ] {
        let error = generate::<Ic>(json!({}), &system(&sparse(&a))).err().unwrap();
        assert!(matches!(error, Error::Breakdown(_) | Error::Unsupported(_)), "{error:?}");
        assert!(error.to_string().starts_with(text), "{error}");
        let texts = on_ranks(&sparse(&a), &[2, 2], |system| {
            generate::<Ic>(json!({}), &system).err().map(|e| e.to_string())
        });
        if !text.contains("no positive pivot") {
            let row = text.split_once("global row ").unwrap().1.get(..1).unwrap();
            for text in texts {
                assert!(text.unwrap().contains(&format!("global row {row}")));
            }
        }
    }
    let error = generate::<Ic>(json!({"shift": -1.0}), &system(&laplacian(2))).err().unwrap();
    assert!(error.to_string().contains("'shift': -1.0 must be at least 0"), "{error}");
}

#[test]
fn each_rank_factorises_and_shifts_its_own_block() {
    let n = 11;
    // Kershaw's matrix in rows 4 to 7, the rest tridiagonal, a weak link between the two.
    let a = dense(n, |i, j| match ((4..8).contains(&i), (4..8).contains(&j)) {
        (true, true) => kershaw()[i - 4][j - 4],
        _ => [2.5, -1.0].get(i.abs_diff(j)).map_or(0.0, |v| if i == j { *v } else { 0.1 * v }),
    });
    for rows in [vec![4, 7], vec![4, 0, 7], vec![0, 0, 11], vec![4, 4, 3]] {
        let found = on_ranks(&sparse(&a), &rows, |system| {
            let m = generate::<Ic>(json!({}), &system).unwrap();
            assert!(m.notes()[0].contains(&format!("{} ranks", rows.len())), "{:?}", m.notes());
            let p = m.properties();
            assert!(p.symmetric && p.positive_definite && !p.rank_independent);
            (shift(&*m), as_dense(&*m, system.a().n_own(), false))
        });
        let mut start = 0;
        for (&count, (told, block)) in rows.iter().zip(&found) {
            assert_eq!(*told, shift_of(&kershaw()), "the same note on all ranks, {rows:?}");
            let own = dense(count, |i, j| a[start + i][start + j]);
            let alone = generate::<Ic>(json!({}), &system(&sparse(&own))).unwrap();
            assert_eq!(*block, as_dense(&*alone, count, false), "{rows:?}");
            start += count;
        }
    }
}

fn shift_of(a: &Dense) -> (f64, u32) {
    shift(&*generate::<Ic>(json!({}), &system(&sparse(a))).unwrap())
}

#[test]
fn a_refresh_keeps_the_pattern_and_shifts_anew() {
    let params = ic::Params::default();
    let softer = dense(4, |i, j| kershaw()[i][j] * if i == j { 2.0 } else { 1.0 });
    let mut m = Ic::generate(&params, &system(&sparse(&softer))).unwrap();
    assert_eq!(m.notes(), Vec::<String>::new());
    Ic::refresh(&mut m, &params, &system(&sparse(&kershaw()))).unwrap();
    assert_eq!(shift(&m), shift_of(&kershaw()));
    Ic::refresh(&mut m, &params, &system(&sparse(&softer))).unwrap();
    assert_eq!(m.notes(), ["refreshed 2 times, the pattern of the factors kept"]);
    let fresh = Ic::generate(&params, &system(&sparse(&softer))).unwrap();
    assert_eq!(as_dense(&m, 4, false), as_dense(&fresh, 4, false));

    let mut fuller = softer;
    (fuller[0][2], fuller[2][0]) = (0.1, 0.1);
    let error = Ic::refresh(&mut m, &params, &system(&sparse(&fuller))).unwrap_err();
    assert_eq!(error, Error::PatternChanged);
}

#[test]
fn size_is_that_of_one_triangle() {
    let (a, n) = (laplacian(4), 16);
    let m = generate::<Ic>(json!({}), &system(&a)).unwrap();
    let upper = (a.nnz() - n) / 2;
    assert_eq!(m.stored_entries(), upper + n);
    assert_eq!(m.bytes(), 12 * upper + 4 * (n + 1) + 8 * n);
}

/// A zero that is stored above the diagonal only is kept with its mirror image, one below it only is not.
#[test]
fn zeros_may_be_stored_on_one_side_only() {
    let links = [(0, 1, 1.0), (1, 0, 1.0), (0, 2, 1.0), (2, 0, 1.0)];
    let entries = || (0..4).map(|i| (i, i, 2.0)).chain(links).chain([(2, 3, 0.5), (3, 2, 0.5)]);
    let of = |zeros: &[(usize, usize)]| {
        let zeros = zeros.iter().map(|&(i, j)| (i, j, 0.0));
        let a = Csr::from_triplets(4, 4, entries().chain(zeros).collect::<Vec<_>>()).unwrap();
        let mut m = Ic::generate(&ic::Params::default(), &system(&a)).unwrap();
        let made = as_dense(&m, 4, false);
        Ic::refresh(&mut m, &ic::Params::default(), &system(&a)).unwrap();
        assert_eq!(as_dense(&m, 4, false), made);
        made
    };
    let (without, with) = (of(&[]), of(&[(1, 2), (2, 1)]));
    assert!(distance(&with, &without) > 1e-3);
    for (zeros, right) in [(vec![(1, 2)], &with), (vec![(2, 1)], &without)] {
        assert_eq!(of(&zeros), *right, "{zeros:?}");
    }
    // As many on both sides, at other places.
    assert_eq!(of(&[(1, 2), (3, 1)]), with);
    assert_eq!(of(&[(3, 1)]), without);
}

/// Three sets of rows, each coupled to those of the next set at places far apart: as many levels.
fn three_levels(rows: usize) -> Csr {
    let n = 3 * rows;
    let mut entries: Vec<_> = (0..n).map(|i| (i, i, 4.0)).collect();
    for i in 0..2 * rows {
        let next = (i / rows + 1) * rows;
        let mut cols: Vec<usize> = (1..4).map(|k| next + (i * 31 + k * 977) % rows).collect();
        cols.sort_unstable();
        cols.dedup();
        for j in cols {
            let value = ((i * 7 + j) as f64).sin() / 4.0;
            entries.extend([(i, j, value), (j, i, value)]);
        }
    }
    Csr::from_triplets(n, n, entries).unwrap()
}

/// Where levels are large, substitutions run on threads, with the same bits; where they are not, on one.
#[test]
fn threads_change_no_bit() {
    for (rows, on_threads) in [(4096, true), (4095, false)] {
        let a = three_levels(rows);
        let b: Vec<f64> = (0..3 * rows).map(|i| (i as f64 / 3.0).sin()).collect();
        let (mut alone, mut together) = (vec![0.0; b.len()], vec![0.0; b.len()]);
        for params in [json!({}), json!({"ordering": "rcm"})] {
            let one = generate::<Ic>(params.clone(), &system(&a)).unwrap();
            one.apply(&b, &mut alone).unwrap();
            let threads = system(&a).with_host(Arc::new(ThreeThreads));
            let params: ic::Params = precondor_sdk::serde_json::from_value(params).unwrap();
            let mut m = Ic::generate(&params, &threads).unwrap();
            if params.ordering == Default::default() {
                assert_eq!(m.bytes() > one.bytes(), on_threads);
            }
            for _ in 0..2 {
                m.apply(&b, &mut together).unwrap();
                assert_eq!(together, alone);
                Ic::refresh(&mut m, &params, &threads).unwrap();
            }
        }
    }
}
