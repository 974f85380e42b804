//! Every sweep against its formula in dense matrices.
#![allow(clippy::unwrap_used)]
use precondor_plugin_gauss_seidel::GaussSeidel;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use precondor_testkit::dense::*;
use proptest::prelude::*;

const SWEEPS: [&str; 3] = ["forward", "backward", "symmetric"];

/// D/ω + L for `sign` −1, D/ω + U for +1, D for 0.
fn part(a: &Dense, omega: f64, sign: i32) -> Dense {
    dense(a.len(), |i, j| match (i == j, (j > i) == (sign > 0)) {
        (true, _) if sign == 0 => a[i][i],
        (true, _) => a[i][i] / omega,
        (false, inside) if inside && sign != 0 => a[i][j],
        _ => 0.0,
    })
}

/// M by its definition.
fn expected(a: &Dense, sweep: &str, omega: f64, sweeps: usize) -> Dense {
    let n = a.len();
    let once = match sweep {
        "forward" => inverse(&part(a, omega, -1)),
        "backward" => inverse(&part(a, omega, 1)),
        _ => {
            let scaled = dense(n, |i, j| (2.0 - omega) / omega * part(a, omega, 0)[i][j]);
            let first = multiply(&scaled, &inverse(&part(a, omega, -1)));
            multiply(&inverse(&part(a, omega, 1)), &first)
        }
    };
    let mut m = once.clone();
    for _ in 1..sweeps {
        let am = multiply(a, &m);
        let step = multiply(&once, &dense(n, |i, j| f64::from(u8::from(i == j)) - am[i][j]));
        m = dense(n, |i, j| m[i][j] + step[i][j]);
    }
    m
}

fn params(sweep: &str, omega: f64, sweeps: usize) -> Value {
    json!({"sweep": sweep, "relaxation": omega, "sweeps": sweeps})
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn m_and_its_transpose_are_what_the_formula_says(
        n in 1usize..12, entries in entries(), omega in 0.1..1.9f64, sweeps in 1usize..4,
    ) {
        let a = dominant(n, &entries);
        for sweep in SWEEPS {
            let m = generate::<GaussSeidel>(params(sweep, omega, sweeps), &system(&sparse(&a))).unwrap();
            let right = expected(&a, sweep, omega, sweeps);
            prop_assert!(distance(&as_dense(&*m, n, false), &right) < 1e-10, "{sweep}");
            prop_assert!(distance(&as_dense(&*m, n, true), &transpose(&right)) < 1e-10, "{sweep}");
        }
    }

    #[test]
    fn symmetric_sweeps_are_positive_definite(
        n in 1usize..12, entries in entries(), omega in 0.1..1.9f64, sweeps in 1usize..4,
    ) {
        let a = sparse(&definite(n, &entries));
        let m = generate::<GaussSeidel>(params("symmetric", omega, sweeps), &system(&a)).unwrap();
        prop_assert!(m.properties().symmetric && m.properties().positive_definite);
        let m = as_dense(&*m, n, false);
        prop_assert!(distance(&m, &transpose(&m)) < 1e-10);
        prop_assert!(positive_definite(&m));
    }
}

#[test]
fn only_what_holds_is_claimed() {
    let claims = |sweep: &str, a: &Dense| {
        let m = generate::<GaussSeidel>(params(sweep, 1.0, 1), &system(&sparse(a))).unwrap();
        let p = m.properties();
        assert!(p.constant && !p.rank_independent);
        (p.symmetric, p.positive_definite)
    };
    let spd = vec![vec![2.0, -1.0], vec![-1.0, 2.0]];
    assert_eq!(claims("symmetric", &spd), (true, true));
    assert_eq!(claims("forward", &spd), (false, false));
    assert_eq!(claims("backward", &spd), (false, false));
    assert_eq!(claims("symmetric", &vec![vec![2.0, -1.0], vec![-0.5, 2.0]]), (false, false));
    assert_eq!(claims("symmetric", &vec![vec![-2.0, 1.0], vec![1.0, 3.0]]), (true, false));
}

/// Asymptotic factor by which x ← x − M A x shrinks a vector.
fn factor(sweep: &str, omega: f64, m: usize) -> f64 {
    let system = system(&laplacian(m));
    let precond = generate::<GaussSeidel>(params(sweep, omega, 1), &system).unwrap();
    let a = system.a();
    let n = a.n_own();
    let mut x: Vec<f64> = (0..n).map(|i| 1.0 + (i as f64).sin()).collect();
    let (mut y, mut z) = (vec![0.0; n], vec![0.0; n]);
    let (warm_up, steps) = (200, 40);
    let mut grown = 1.0;
    for k in 0..warm_up + steps {
        a.spmv(&x, &mut y).unwrap();
        precond.apply(&y, &mut z).unwrap();
        x.iter_mut().zip(&z).for_each(|(x, z)| *x -= z);
        let norm = a.space().norm(&x).unwrap();
        x.iter_mut().for_each(|x| *x /= norm);
        grown *= if k < warm_up { 1.0 } else { norm };
    }
    grown.powf(1.0 / f64::from(steps))
}

#[test]
fn rates_on_the_model_problem_are_youngs() {
    let m = 15;
    let rho = (std::f64::consts::PI / (m as f64 + 1.0)).cos();
    for sweep in ["forward", "backward"] {
        let observed = factor(sweep, 1.0, m);
        assert!((observed - rho * rho).abs() < 1e-6, "{sweep}: {observed} {}", rho * rho);
    }
    // Below the optimal ω the dominant eigenvalue λ is real: (λ + ω − 1)² = λ ω² ρ².
    let omega: f64 = 1.3;
    let half = omega * rho / 2.0;
    let root = half + (half * half - (omega - 1.0)).sqrt();
    let observed = factor("forward", omega, m);
    assert!((observed - root * root).abs() < 1e-6, "{observed} {}", root * root);
}

#[test]
fn each_rank_sweeps_over_its_own_block() {
    let n = 10;
    let entries: Vec<f64> = (0..97).map(|k| (f64::from(k) * 0.7).sin()).collect();
    let a = definite(n, &entries);
    for rows in [vec![5, 5], vec![4, 0, 6], vec![0, 10], vec![3, 3, 4]] {
        for sweep in SWEEPS {
            let mut start = 0;
            let blocks = on_ranks(&sparse(&a), &rows, |system| {
                let m = generate::<GaussSeidel>(params(sweep, 1.2, 2), &system).unwrap();
                assert!(m.notes()[0].contains(&format!("{} ranks", rows.len())), "{:?}", m.notes());
                assert_eq!(m.properties().positive_definite, sweep == "symmetric");
                let k = system.a().n_own();
                (as_dense(&*m, k, false), as_dense(&*m, k, true))
            });
            for (rank, (m, mt)) in blocks.iter().enumerate() {
                let block = dense(rows[rank], |i, j| a[start + i][start + j]);
                let right = expected(&block, sweep, 1.2, 2);
                assert!(distance(m, &right) < 1e-10, "{sweep} on {rows:?}, rank {rank}");
                assert!(
                    distance(mt, &transpose(&right)) < 1e-10,
                    "{sweep} on {rows:?}, rank {rank}"
                );
                start += rows[rank];
            }
        }
    }
    let alone = generate::<GaussSeidel>(json!({}), &system(&sparse(&a))).unwrap();
    assert_eq!(alone.notes(), Vec::<String>::new());
}

#[test]
fn one_rank_may_spoil_the_claim_of_all() {
    let mut a = definite(4, &[0.3, -0.2, 0.9]);
    a[2][3] += 0.5;
    let claims = on_ranks(&sparse(&a), &[2, 2], |system| {
        generate::<GaussSeidel>(params("symmetric", 1.0, 1), &system)
            .unwrap()
            .properties()
            .symmetric
    });
    assert_eq!(claims, [false, false]);
}

#[test]
fn a_diagonal_that_cannot_be_divided_by_names_the_global_row() {
    for bad in [0.0, f64::NAN, f64::INFINITY] {
        let mut a = definite(6, &[0.3, -0.2, 0.9]);
        a[4][4] = bad;
        let errors = on_ranks(&sparse(&a), &[3, 3], |system| {
            generate::<GaussSeidel>(json!({}), &system).err().unwrap()
        });
        assert!(matches!(&errors[1], Error::Breakdown(_)), "{:?}", errors[1]);
        assert!(errors[1].to_string().starts_with("global row 4: "), "{}", errors[1]);
        assert!(matches!(&errors[0], Error::Elsewhere { rank: 1, .. }), "{:?}", errors[0]);
        assert!(errors[0].to_string().contains("global row 4"), "{}", errors[0]);
    }
}

#[test]
fn parameters_out_of_range_are_named() {
    let a = sparse(&definite(2, &[0.5, 0.1]));
    for (params, text) in [
        (json!({"relaxation": 0.0}), "'relaxation': 0.0 must be greater than 0"),
        (json!({"relaxation": 2.0}), "'relaxation': 2.0 must be less than 2"),
        (json!({"sweeps": 0}), "'sweeps': 0 must be at least 1"),
        (json!({"sweep": "backwards"}), "did you mean \"backward\""),
        (json!({"omega": 1.0}), "'omega': there is no such key"),
    ] {
        let error = generate::<GaussSeidel>(params, &system(&a)).err().unwrap();
        assert!(matches!(error, Error::Parameter(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn size_is_that_of_the_matrix() {
    let a = laplacian(4);
    let m = generate::<GaussSeidel>(json!({}), &system(&a)).unwrap();
    let n = a.n_rows();
    assert_eq!(m.stored_entries(), a.nnz());
    assert_eq!(m.bytes(), 12 * (a.nnz() - n) + 2 * 4 * (n + 1) + 2 * 8 * n);
}
