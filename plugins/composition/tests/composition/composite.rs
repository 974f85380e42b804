//! `composite` is the sum, or the product, that it says.
use crate::dense::{
    Dense, as_dense, definite, dense, distance, dominant, entries, multiply, on_ranks,
    positive_definite, sparse, system, transpose,
};
use crate::support::made;
use precondor_sdk::conformance::json;
use precondor_sdk::core::system::System;
use precondor_sdk::serde_json::Value;
use proptest::prelude::*;

fn added(x: &Dense, c: f64, y: &Dense) -> Dense {
    dense(x.len(), |i, j| x[i][j] + c * y[i][j])
}

/// M of steps (factor and part), each on the residual of those before it.
fn product(a: &Dense, steps: &[(f64, &Dense)]) -> Dense {
    let zero = dense(a.len(), |_, _| 0.0);
    steps.iter().fold(zero, |m, (c, part)| {
        let rest =
            added(&dense(a.len(), |i, j| f64::from(u8::from(i == j))), -1.0, &multiply(a, &m));
        added(&m, *c, &multiply(part, &rest))
    })
}

/// The parts as they are by themselves.
fn parts(methods: &[Value], of: impl Fn() -> System) -> Vec<Dense> {
    let n = of().a().n_own();
    methods.iter().map(|part| as_dense(&*made(part.clone(), of()).unwrap(), n, false)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn it_is_the_sum_or_the_product_of_its_parts(entries in entries(), n in 2usize..14) {
        let a = dominant(n, &entries);
        let csr = sparse(&a);
        let methods = [
            json!({"name": "jacobi", "damping": 0.6}),
            json!({"name": "ilu"}),
            json!({"name": "gauss-seidel", "sweep": "backward"}),
        ];
        let weights = [0.75, 1.25, 0.5];
        let parts = parts(&methods, || system(&csr));
        let steps: Vec<(f64, &Dense)> = weights.into_iter().zip(&parts).collect();
        let zero = dense(n, |_, _| 0.0);
        let sum = steps.iter().fold(zero, |m, (c, part)| added(&m, *c, part));
        let back_and_forth: Vec<_> =
            [0, 1, 2, 1, 0].into_iter().map(|i| steps[i]).collect();
        for (kind, expected) in [
            ("additive", sum),
            ("multiplicative", product(&a, &steps)),
            ("symmetric-multiplicative", product(&a, &back_and_forth)),
        ] {
            let section = json!({
                "name": "composite", "kind": kind, "methods": methods, "weights": weights
            });
            let m = made(section, system(&csr)).unwrap();
            prop_assert!(distance(&as_dense(&*m, n, false), &expected) < 1e-12, "{kind}");
            let off = distance(&as_dense(&*m, n, true), &transpose(&expected));
            prop_assert!(off < 1e-12, "{kind}, transposed");
        }
    }

    #[test]
    fn a_declared_definite_product_is_definite(entries in entries(), n in 2usize..14) {
        let a = definite(n, &entries);
        let csr = sparse(&a);
        for weight in [0.2, 0.6, 1.0, 1.8] {
            let section = json!({
                "name": "composite", "kind": "symmetric-multiplicative",
                "methods": ["jacobi", {"name": "gauss-seidel", "sweep": "symmetric"}, "jacobi"],
                "weights": [weight, weight, 50.0]
            });
            let m = made(section, system(&csr)).unwrap();
            prop_assert!(m.properties().symmetric);
            let full = as_dense(&*m, n, false);
            if m.properties().positive_definite {
                prop_assert!(positive_definite(&full), "weight {weight}");
            } else {
                prop_assert!(m.notes().iter().any(|note| note.contains("lower 'weights'")));
            }
        }
    }
}

#[test]
fn weights_make_a_symmetric_product_definite() {
    // Ones nearly everywhere: λmax(D⁻¹A) is about n.
    let a = sparse(&dense(9, |i, j| if i == j { 1.0 } else { 0.9 }));
    let with = |weight: f64| {
        let section = json!({
            "name": "composite", "kind": "symmetric-multiplicative", "methods": ["jacobi", "jacobi"],
            "weights": [weight, 0.01]
        });
        made(section, system(&a)).unwrap()
    };
    let m = with(1.0);
    let is = m.properties();
    assert!(is.symmetric && !is.positive_definite);
    assert!(!positive_definite(&as_dense(&*m, 9, false)));
    let notes = m.notes().join("\n");
    assert!(notes.contains("methods.0, jacobi: largest eigenvalue 8.200"), "{notes}");
    let m = with(0.2);
    assert!(m.properties().positive_definite);
    assert!(positive_definite(&as_dense(&*m, 9, false)));
}

#[test]
fn sums_are_what_their_parts_are() {
    let a = sparse(&definite(8, &[0.9, -0.85, 0.1, 0.95, -0.2, 0.3, 0.81]));
    let properties = |methods: Value, kind: &str| {
        let section = json!({"name": "composite", "kind": kind, "methods": methods});
        let is = made(section, system(&a)).unwrap().properties();
        (is.symmetric, is.positive_definite, is.constant, is.rank_independent)
    };
    assert_eq!(properties(json!(["jacobi", "fsai"]), "additive"), (true, true, true, true));
    assert_eq!(properties(json!(["jacobi", "ic"]), "additive"), (true, true, true, false));
    assert_eq!(properties(json!(["jacobi", "spai"]), "additive"), (false, false, true, true));
    assert_eq!(
        properties(json!(["jacobi", "jacobi"]), "multiplicative"),
        (false, false, true, true)
    );
    assert_eq!(properties(json!(["jacobi"]), "multiplicative"), (true, true, true, true));
    let symmetric = "symmetric-multiplicative";
    assert!(!properties(json!(["jacobi", "spai"]), symmetric).0);
    // A itself has to be symmetric.
    let skew = sparse(&dominant(9, &[0.9, -0.85, 0.1, 0.95, -0.2, 0.3, 0.81]));
    let section = json!({"name": "composite", "kind": symmetric, "methods": ["jacobi", "jacobi"]});
    assert!(!made(section, system(&skew)).unwrap().properties().symmetric);
}

#[test]
fn a_product_solves_in_fewer_iterations_than_a_sum() {
    use precondor_sdk::core::solver::{Algorithm, Criterion, Stop, solve};
    let a = crate::dense::laplacian(24);
    let iterations = |kind: &str, ranks: &[usize]| {
        on_ranks(&a, ranks, |system| {
            let section = json!({
                "name": "composite", "kind": kind, "methods": ["fsai", "jacobi"], "weights": [0.9, 1.0]
            });
            let a = system.a().clone();
            let m = made(section, system).unwrap();
            let stop = Stop {
                criterion: Criterion::RelativeResidual,
                tolerance: 1e-8,
                max_iterations: 500,
                divergence: 1e5,
            };
            let b: Vec<f64> = (0..a.n_own()).map(|i| (a.global_row(i) as f64).sin()).collect();
            let watch = &mut |_: &_| std::ops::ControlFlow::Continue(());
            let (mut x, method) = (vec![0.0; b.len()], Algorithm::Cg);
            solve(&method, &a, &*m, &b, &mut x, &stop, watch).unwrap().iterations
        })
    };
    let (sum, product) =
        (iterations("additive", &[576]), iterations("symmetric-multiplicative", &[576]));
    assert!(product[0] * 3 < sum[0] * 2, "{product:?} and {sum:?}");
    assert_eq!(iterations("symmetric-multiplicative", &[100, 0, 476]), [product[0]; 3]);
}
