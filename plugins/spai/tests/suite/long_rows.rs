//! Dense rows in A: bounded rows, the right numbers on them, in time that does not grow with n².
use crate::common::{self, *};
use crate::ranks::compare;
use precondor_plugin_spai::{Fsai, FsaiParams, Spai, SpaiParams};
use precondor_sdk::prelude::*;

/// A symmetric positive definite band of `n` rows with full rows, and columns, `dense`.
fn arrow(n: usize, dense: &[usize]) -> Csr {
    let wide = |i: &usize| dense.contains(i);
    let far = |i: usize, j: usize| 0.1 + ((i * 7 + j * 7) % 11) as f64 / 20.0;
    let mut entries = Vec::new();
    for i in 0..n {
        for j in 0..n {
            let value = match i.abs_diff(j) {
                0 => 4.0 + if wide(&i) { n as f64 } else { dense.len() as f64 },
                _ if wide(&i) || wide(&j) => far(i, j),
                1 => -1.0,
                2 => -0.5,
                _ => continue,
            };
            entries.push((i, j, value));
        }
    }
    csr(n, &entries)
}

/// One entry a row beside the diagonal, and one full row or column, or both: 3n entries.
fn sparse_arrow(n: usize, at: usize, row: bool, column: bool) -> Csr {
    let mut entries = Vec::new();
    for i in 0..n {
        entries.push((i, i, if i == at { 2.0 * n as f64 } else { 2.0 }));
        if i != at && column {
            entries.push((i, at, 1.0));
        }
    }
    if row {
        entries.extend((0..n).filter(|&j| j != at).map(|j| (at, j, 1.0)));
    }
    csr(n, &entries)
}

/// Columns of the stored entries.
fn pattern(m: &Dense) -> Vec<Vec<usize>> {
    let row = |row: &Vec<f64>| (0..row.len()).filter(|&j| row[j] != 0.0).collect();
    m.iter().map(row).collect()
}

#[test]
fn a_dense_row_keeps_its_strongest_entries_and_the_diagonal() {
    let (n, at, max_row) = (60, 41, 7);
    let a = arrow(n, &[at]);
    let strength = |j: usize| (a.view().get(at, j) / a.view().get(j, j).sqrt()).abs();
    let strongest = |columns: std::ops::Range<usize>| {
        let mut order: Vec<usize> = columns.filter(|&j| j != at).collect();
        order.sort_by(|&x, &y| strength(y).total_cmp(&strength(x)).then(x.cmp(&y)));
        order.truncate(max_row as usize - 1);
        order.push(at);
        order.sort_unstable();
        order
    };
    let m = Fsai::generate(&FsaiParams { max_row, ..FsaiParams::default() }, &solo(&a)).unwrap();
    assert_eq!(pattern(&explicit(&m))[at], strongest(0..at + 1));
    assert!(m.notes()[1].starts_with("1 row(s) of the pattern, global row 41"), "{:?}", m.notes());
    let m = Spai::generate(&SpaiParams { max_row, ..SpaiParams::default() }, &solo(&a)).unwrap();
    assert_eq!(pattern(&explicit(&m))[at], strongest(0..n));
    let roomy = Spai::generate(&SpaiParams { max_row: 60, ..SpaiParams::default() }, &solo(&a));
    assert_eq!(roomy.unwrap().notes().len(), 1);
}

/// On the pattern that it has, every row of G is FSAI's: G A vanishes on it, but for the diagonal.
#[test]
fn rows_of_fsai_are_right_on_what_is_left() {
    for dense in [&[0][..], &[30], &[59], &[3, 30, 31, 58]] {
        let a = arrow(60, dense);
        for (power, steps) in [(1, 0), (2, 0), (3, 0), (0, 5), (1, 3)] {
            let params =
                FsaiParams { power, steps, growth: 2, max_row: 9, ..FsaiParams::default() };
            let m = Fsai::generate(&params, &solo(&a)).unwrap();
            let g = explicit(&m);
            let ga = product(&g, &common::dense(&a));
            let gag = product(&ga, &transpose(&g));
            for (i, columns) in pattern(&g).iter().enumerate() {
                assert!(columns.len() <= 9 && columns.last() == Some(&i), "{dense:?} {params:?}");
                assert!(columns[..columns.len() - 1].iter().all(|&j| ga[i][j].abs() < 1e-12));
                assert!((gag[i][i] - 1.0).abs() < 1e-12);
            }
            assert!(is_definite(&applied(&m, 60)), "{dense:?} {params:?}");
        }
    }
}

/// With one long row in a problem nothing is left out of it: the gradient vanishes.
#[test]
fn rows_of_spai_are_right_where_one_long_row_meets_short_ones() {
    let matrices = [
        arrow(60, &[0]),
        arrow(60, &[33]),
        arrow(60, &[59]),
        sparse_arrow(60, 20, true, false),
        sparse_arrow(60, 20, false, true),
        sparse_arrow(60, 59, true, true),
    ];
    for a in matrices {
        for power in [0, 1, 2] {
            let params = SpaiParams { power, max_row: 9, ..SpaiParams::default() };
            let m = explicit(&Spai::generate(&params, &solo(&a)).unwrap());
            let gradient =
                product(&remainder(&m, &common::dense(&a)), &transpose(&common::dense(&a)));
            for (i, columns) in pattern(&m).iter().enumerate() {
                assert!(columns.len() <= 9, "row {i}: {columns:?}");
                assert!(columns.iter().all(|&j| gradient[i][j].abs() < 1e-9), "row {i}");
            }
        }
    }
}

/// Several long rows in a problem: their products where no short row has an entry are left out, and
/// M is still better than the best diagonal.
#[test]
fn several_dense_rows_leave_a_useful_inverse() {
    let a = arrow(80, &[0, 17, 40, 79]);
    let of = |power| {
        let params = SpaiParams { power, max_row: 12, ..SpaiParams::default() };
        frobenius(&remainder(
            &explicit(&Spai::generate(&params, &solo(&a)).unwrap()),
            &common::dense(&a),
        ))
    };
    let [diagonal, one, two] = [0, 1, 2].map(of);
    assert!(one < diagonal && two < diagonal, "{diagonal} {one} {two}");
    let exact = {
        let params = SpaiParams { max_row: 80, ..SpaiParams::default() };
        frobenius(&remainder(
            &explicit(&Spai::generate(&params, &solo(&a)).unwrap()),
            &common::dense(&a),
        ))
    };
    assert!(exact < one, "{exact} {one}");
}

#[test]
fn dense_rows_give_the_same_numbers_on_any_number_of_ranks() {
    for dense in [&[0][..], &[25], &[47], &[2, 24, 46]] {
        let a = arrow(48, dense);
        for (power, threshold) in [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0), (2, 0.05)] {
            let params = SpaiParams { power, threshold, max_row: 8, ..SpaiParams::default() };
            compare::<Spai>(&params, &a, &format!("{params:?} {dense:?}"));
            for (steps, filter) in [(0, 0.0), (3, 0.0), (2, 0.01)] {
                let some = FsaiParams { power, threshold, steps, ..FsaiParams::default() };
                let params = FsaiParams { filter, growth: 2, max_row: 8, ..some };
                compare::<Fsai>(&params, &a, &format!("{params:?} {dense:?}"));
            }
        }
    }
}

/// Scaling rows and columns by powers of two changes no pattern and rounds nothing.
#[test]
fn the_strongest_entries_do_not_depend_on_units() {
    let (n, a) = (60, arrow(60, &[7, 50]));
    let unit = |i: usize| 2f64.powi((i * 13 % 21) as i32 - 10);
    let entries = |c: f64| {
        let a = &a;
        let row =
            move |i: usize| a.view().row(i).map(move |(j, v)| (i, j, v * c * unit(i) * unit(j)));
        csr(n, &(0..n).flat_map(row).collect::<Vec<_>>())
    };
    for power in [1, 2] {
        let params = FsaiParams { power, steps: 2, max_row: 9, ..FsaiParams::default() };
        let g = |a: &Csr| explicit(&Fsai::generate(&params, &solo(a)).unwrap());
        let (plain, scaled) = (g(&a), g(&entries(4.0)));
        for (i, (x, y)) in plain.iter().zip(&scaled).enumerate() {
            assert!((0..n).all(|j| x[j] == y[j] * 2.0 * unit(j)), "row {i}, power {power}");
        }
        let places = |a: &Csr| {
            let params = SpaiParams { power, max_row: 9, ..SpaiParams::default() };
            pattern(&explicit(&Spai::generate(&params, &solo(a)).unwrap()))
        };
        assert_eq!(places(&a), places(&entries(1.0)));
        assert_eq!(
            places(&a),
            places(&csr(
                n,
                &(0..n)
                    .flat_map(|i| { a.view().row(i).map(move |(j, v)| (i, j, v * 8.9e-12)) })
                    .collect::<Vec<_>>()
            ))
        );
    }
}

/// Which entries are the strongest depends on values: a refresh looks again.
#[test]
fn a_refresh_cuts_anew() {
    let a = arrow(50, &[49]);
    let b = csr(
        50,
        &(0..50)
            .flat_map(|i| {
                let value =
                    move |j: usize, v: f64| if i == j { v * (1.0 + (i % 5) as f64) } else { v };
                a.view().row(i).map(move |(j, v)| (i, j, value(j, v)))
            })
            .collect::<Vec<_>>(),
    );
    let params = FsaiParams { max_row: 8, ..FsaiParams::default() };
    let mut m = Fsai::generate(&params, &solo(&a)).unwrap();
    let before = explicit(&m);
    Fsai::refresh(&mut m, &params, &solo(&b)).unwrap();
    let fresh = explicit(&Fsai::generate(&params, &solo(&b)).unwrap());
    assert_eq!(explicit(&m), fresh);
    assert_ne!(pattern(&before), pattern(&fresh));
    let params = SpaiParams { max_row: 8, power: 2, ..SpaiParams::default() };
    let mut m = Spai::generate(&params, &solo(&a)).unwrap();
    Spai::refresh(&mut m, &params, &solo(&b)).unwrap();
    assert_eq!(explicit(&m), explicit(&Spai::generate(&params, &solo(&b)).unwrap()));
}

/// Work quadratic in the dense row would take minutes here, memory n² 12 GB.
#[test]
fn forty_thousand_rows_with_a_dense_one_are_set_up() {
    let n = 40_000;
    for at in [0, 20_000, n - 1] {
        let a = solo(&sparse_arrow(n, at, true, true));
        let check = |m: &dyn Preconditioner, bound: usize| {
            assert!(m.stored_entries() <= bound, "{} entries, dense row {at}", m.stored_entries());
            let mut z = vec![f64::NAN; n];
            m.apply(&vec![1.0; n], &mut z).unwrap();
            assert!(z.iter().all(|z| z.is_finite()));
        };
        for (power, steps) in [(1, 0), (2, 0), (0, 2)] {
            let params = FsaiParams { power, steps, ..FsaiParams::default() };
            check(&Fsai::generate(&params, &a).unwrap(), 3 * n + 200);
            if steps == 0 {
                let params = SpaiParams { power, ..SpaiParams::default() };
                check(&Spai::generate(&params, &a).unwrap(), 2 * n + 200);
            }
        }
    }
    for (row, column) in [(true, false), (false, true)] {
        let a = solo(&sparse_arrow(n, 17, row, column));
        let m = Spai::generate(&SpaiParams::default(), &a).unwrap();
        assert!(m.stored_entries() <= 2 * n + 200);
    }
}

/// Rows far longer than a batch can hold, none of them sparse.
#[test]
fn a_full_matrix_is_set_up() {
    let n = 700;
    let value =
        |i: usize, j: usize| if i == j { 3.0 } else { 1.0 / (1 + i.abs_diff(j)) as f64 / n as f64 };
    let full: Vec<_> = (0..n).flat_map(|i| (0..n).map(move |j| (i, j, value(i, j)))).collect();
    let a = csr(n, &full);
    let params = SpaiParams { max_row: 40, ..SpaiParams::default() };
    let m = explicit(&Spai::generate(&params, &solo(&a)).unwrap());
    assert!(pattern(&m).iter().all(|row| row.len() == 40));
    let off = frobenius(&remainder(&m, &common::dense(&a)));
    assert!(off < 0.05, "{off}");
}
