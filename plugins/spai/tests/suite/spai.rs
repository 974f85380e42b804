//! The M that minimises ‖I − M A‖_F is what comes out.
use crate::common::*;
use precondor_plugin_spai::{Inverse, Spai, SpaiParams};
use precondor_sdk::prelude::*;

fn spai(a: &Csr, power: u32) -> Inverse {
    Spai::generate(&SpaiParams { power, ..SpaiParams::default() }, &solo(a)).unwrap()
}

#[test]
fn the_full_pattern_gives_the_inverse() {
    // Any two nodes of these grids are at most eight steps apart.
    for a in [poisson(5), convection(5)] {
        let m = spai(&a, 8);
        assert_eq!(m.stored_entries(), 625);
        let exact = inverse(&dense(&a));
        assert!(distance(&explicit(&m), &exact) < 1e-12 * frobenius(&exact));
        assert!(distance(&applied(&m, 25), &exact) < 1e-12 * frobenius(&exact));
    }
}

#[test]
fn no_change_of_any_entry_brings_the_product_nearer_to_the_identity() {
    for a in [poisson(9), convection(9)] {
        for power in 0..=2 {
            let m = spai(&a, power);
            let (m, a) = (explicit(&m), dense(&a));
            let rest = remainder(&m, &a);
            let gradient = product(&rest, &transpose(&a));
            let size = frobenius(&rest);
            for (i, row) in m.iter().enumerate() {
                for (j, _) in row.iter().enumerate().filter(|(_, m)| **m != 0.0) {
                    assert!(gradient[i][j].abs() < 1e-11, "entry ({i}, {j}) of power {power}");
                    for step in [1e-3, -1e-3] {
                        let mut changed = rest.clone();
                        changed[i].iter_mut().zip(&a[j]).for_each(|(r, a)| *r -= step * a);
                        assert!(frobenius(&changed) > size, "entry ({i}, {j}) of power {power}");
                    }
                }
            }
        }
    }
}

#[test]
fn power_zero_is_the_best_diagonal() {
    let a = poisson(6);
    let m = explicit(&spai(&a, 0));
    for (i, row) in dense(&a).iter().enumerate() {
        let best = row[i] / row.iter().map(|x| x * x).sum::<f64>();
        assert!((m[i][i] - best).abs() < 1e-15);
    }
}

#[test]
fn larger_powers_come_nearer_to_the_identity() {
    for a in [poisson(7), convection(7)] {
        let size = |power| frobenius(&remainder(&explicit(&spai(&a, power)), &dense(&a)));
        let sizes: Vec<f64> = (0..=8).map(size).collect();
        assert!(sizes.windows(2).all(|pair| pair[1] < pair[0]), "{sizes:?}");
    }
}

#[test]
fn a_threshold_thins_the_pattern_and_none_keeps_it() {
    let a = poisson(9);
    let count = |threshold| {
        let params = SpaiParams { threshold, ..SpaiParams::default() };
        Spai::generate(&params, &solo(&a)).unwrap().stored_entries()
    };
    assert_eq!(count(0.0), a.nnz());
    let d = dense(&a);
    let strong = |i: usize, j: usize| i == j || d[i][j].abs() > 0.2 * (d[i][i] * d[j][j]).sqrt();
    let expected =
        (0..81).flat_map(|i| (0..81).map(move |j| (i, j))).filter(|&(i, j)| strong(i, j));
    let expected = expected.count();
    assert!(expected > 81 && expected < a.nnz());
    assert_eq!(count(0.2), expected);
    assert_eq!(count(0.999), 81);
}

#[test]
fn rows_that_normal_equations_would_spoil_are_solved_by_orthogonal_factors() {
    // Rows 0 and 1 are parallel but for 1e-7: their normal equations have condition 1e14.
    let e = 1e-7;
    let a = csr(3, &[(0, 0, 1.0), (0, 1, 1.0), (1, 0, 1.0), (1, 1, 1.0 + e), (2, 2, 3.0)]);
    let m = spai(&a, 1);
    assert_eq!(m.orthogonal_rows(), 2);
    let exact = inverse(&dense(&a));
    assert!(distance(&explicit(&m), &exact) < 1e-8 * frobenius(&exact));
    assert!(m.notes().iter().any(|note| note.contains("2 of this rank's rows")), "{:?}", m.notes());
    assert_eq!(spai(&poisson(15), 1).orthogonal_rows(), 0);
}

#[test]
fn bad_scaling_of_rows_and_columns_does_no_harm() {
    let a = convection(6);
    let scale = |i: usize| 10f64.powi((i % 9) as i32 * 60 - 240);
    let view = a.view();
    let rows = (0..36).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, v * scale(i))));
    let scaled = csr(36, &rows.collect::<Vec<_>>());
    let (m, of_scaled) = (explicit(&spai(&a, 1)), explicit(&spai(&scaled, 1)));
    for i in 0..36 {
        for j in 0..36 {
            let back = of_scaled[i][j] * scale(j);
            assert!((back - m[i][j]).abs() < 1e-10, "({i}, {j}): {back} and {}", m[i][j]);
        }
    }
}

#[test]
fn symmetrized_it_is_symmetric_and_definite_only_where_that_was_found() {
    let params = SpaiParams { symmetrize: true, ..SpaiParams::default() };
    let a = poisson(15);
    let m = Spai::generate(&params, &solo(&a)).unwrap();
    let half = explicit(&spai(&a, 1));
    let dense_m = explicit(&m);
    assert_eq!(dense_m, transpose(&dense_m));
    let mean = |i: usize, j: usize| 0.5 * (half[i][j] + half[j][i]);
    assert!((0..225).all(|i| (0..225).all(|j| dense_m[i][j] == mean(i, j))));
    assert_eq!(m.properties(), Properties::SPD);
    assert!(is_definite(&dense_m));
    assert_eq!(spai(&a, 1).properties(), Properties::GENERAL);

    // An indefinite A has an indefinite best M.
    let shifted: Vec<_> = (0..225)
        .flat_map(|i| a.view().row(i).map(move |(j, v)| (i, j, if i == j { v - 3.0 } else { v })))
        .collect();
    let m = Spai::generate(&params, &solo(&csr(225, &shifted))).unwrap();
    assert!(!is_definite(&explicit(&m)));
    assert!(m.properties().symmetric && !m.properties().positive_definite);
    assert!(m.notes().iter().any(|note| note.contains("not found to be")), "{:?}", m.notes());
}

#[test]
fn the_transpose_is_applied_and_counted() {
    let a = convection(6);
    let m = spai(&a, 1);
    let r: Vec<f64> = (0..36).map(|i| (0.7 * i as f64).sin()).collect();
    let mut z = vec![f64::NAN; 36];
    let before = m.bytes();
    m.apply_transpose(&r, &mut z).unwrap();
    let column = |j: usize| explicit(&m).iter().zip(&r).map(|(row, r)| row[j] * r).sum::<f64>();
    assert!(z.iter().enumerate().all(|(j, z)| (z - column(j)).abs() < 1e-14));
    assert!(m.bytes() >= before + 12 * m.stored_entries());
}
