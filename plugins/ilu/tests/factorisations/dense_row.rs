//! One full row and column: the right factors, in time that does not grow with n².
use crate::dense::*;
use precondor_plugin_ilu::{Ic, Ilu};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::json;

/// A tridiagonal matrix, positive definite, with a full row and column `at`.
fn arrow(n: usize, at: usize) -> Csr {
    let mut entries = Vec::new();
    for i in 0..n {
        entries.push((i, i, if i == at { n as f64 } else { 4.0 }));
        let near = [i.wrapping_sub(1), i + 1];
        entries.extend(
            near.into_iter().filter(|&j| j < n && i != at && j != at).map(|j| (i, j, -1.0)),
        );
        if i != at {
            let value = 0.1 + (i % 7) as f64 / 10.0;
            entries.extend([(i, at, value), (at, i, value)]);
        }
    }
    Csr::from_triplets(n, n, entries).unwrap()
}

/// Rows that are searched for what is wanted of them give what rows that are walked through give.
#[test]
fn factors_equal_a_on_its_pattern() {
    let n = 300;
    for at in [0, 20, 150, 299] {
        let sparse = arrow(n, at);
        let a = dense(n, |i, j| sparse.view().get(i, j));
        for m in [
            generate::<Ilu>(json!({}), &system(&sparse)).unwrap(),
            generate::<Ic>(json!({}), &system(&sparse)).unwrap(),
        ] {
            let product = inverse(&as_dense(&*m, n, false));
            let gap = dense(n, |i, j| if a[i][j] == 0.0 { 0.0 } else { product[i][j] - a[i][j] });
            let worst = gap.iter().flatten().fold(0.0, |m: f64, v| m.max(v.abs()));
            assert!(worst < 1e-9, "dense row {at}: {worst}");
        }
    }
}

/// Quadratic work would take minutes, fill behind the dense row 10 GB.
#[test]
fn long_rows_cost_what_they_hold() {
    let n = 40_000;
    for at in [0, n / 2, n - 1] {
        let (a, nnz) = (arrow(n, at), arrow(n, at).nnz());
        let system = system(&a);
        for (params, most) in [
            (json!({}), nnz),
            (json!({"level": 1}), 2 * nnz),
            (json!({"level": 3}), 2 * nnz),
            (json!({"drop_tolerance": 1e-3, "max_fill": 20}), 40 * n),
        ] {
            let m = generate::<Ilu>(params.clone(), &system).unwrap();
            assert!(m.stored_entries() <= most, "{params}, {at}: {}", m.stored_entries());
        }
        let m = generate::<Ic>(json!({}), &system).unwrap();
        assert!(m.stored_entries() <= nnz);
    }
}
