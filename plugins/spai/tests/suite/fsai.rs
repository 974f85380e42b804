//! M = GᵀG with diag(G A Gᵀ) = 1.
use crate::common::*;
use precondor_plugin_spai::{Factored, Fsai, FsaiParams};
use precondor_sdk::core::matrix::ExplicitKind;
use precondor_sdk::prelude::*;

fn fsai(a: &Csr, power: u32) -> Factored {
    Fsai::generate(&FsaiParams { power, ..FsaiParams::default() }, &solo(a)).unwrap()
}

#[test]
fn g_a_gt_has_a_unit_diagonal_and_m_is_definite() {
    let a = poisson(10);
    for power in 0..=3 {
        let m = fsai(&a, power);
        assert_eq!(m.explicit().unwrap().kind, ExplicitKind::Factor);
        let g = explicit(&m);
        let gagt = product(&product(&g, &dense(&a)), &transpose(&g));
        for (i, row) in g.iter().enumerate() {
            assert!((gagt[i][i] - 1.0).abs() < 1e-13, "row {i} of power {power}");
            assert!(row[i] > 0.0 && row[i + 1..].iter().all(|&x| x == 0.0), "row {i}");
        }
        let all = applied(&m, 100);
        assert!(distance(&all, &product(&transpose(&g), &g)) < 1e-14);
        assert!(is_definite(&all));
        assert_eq!(m.properties(), Properties::SPD);
    }
}

#[test]
fn the_full_pattern_gives_the_inverse() {
    let a = poisson(5);
    let m = fsai(&a, 8);
    assert_eq!(m.stored_entries(), 25 * 26 / 2);
    let exact = inverse(&dense(&a));
    assert!(distance(&applied(&m, 25), &exact) < 1e-13 * frobenius(&exact));
}

#[test]
fn rows_are_those_of_small_dense_systems() {
    // Kolotilina and Yeremin's own form: y / √yᵢ with A(J, J) y = eᵢ.
    let a = poisson(8);
    let (d, g) = (dense(&a), explicit(&fsai(&a, 2)));
    for (i, row) in g.iter().enumerate() {
        let places: Vec<usize> = (0..=i).filter(|&j| row[j] != 0.0).collect();
        let small = places.iter().map(|&p| places.iter().map(|&q| d[p][q]).collect()).collect();
        let last: Vec<f64> = inverse(&small).iter().map(|row| row[places.len() - 1]).collect();
        let scale = last[places.len() - 1].sqrt();
        for (&j, y) in places.iter().zip(&last) {
            assert!((row[j] - y / scale).abs() < 1e-13, "({i}, {j})");
        }
    }
}

#[test]
fn larger_patterns_improve_the_condition() {
    // Kaporin's number: trace(MA)/n over the n-th root of det(MA); the trace is n.
    let a = poisson(7);
    let determinant = |power| {
        let g = explicit(&fsai(&a, power));
        g.iter().enumerate().map(|(i, row)| row[i].ln()).sum::<f64>()
    };
    let values: Vec<f64> = (0..=6).map(determinant).collect();
    assert!(values.windows(2).all(|pair| pair[1] > pair[0]), "{values:?}");
}

#[test]
fn the_threshold_leaves_weak_entries_out() {
    let a = poisson(9);
    let count = |threshold| {
        let params = FsaiParams { threshold, ..FsaiParams::default() };
        Fsai::generate(&params, &solo(&a)).unwrap().stored_entries()
    };
    assert_eq!(count(0.0), (a.nnz() + 81) / 2);
    assert!(count(0.1) < count(0.0));
    assert_eq!(count(0.999), 81);
}
