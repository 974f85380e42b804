//! Matrices that cannot be handled are refused, and the row is named.
use crate::common::*;
use precondor_plugin_spai::{Fsai, FsaiParams, Spai, SpaiParams};
use precondor_sdk::core::registry::Native;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};

fn spai(entries: &[(usize, usize, f64)], power: u32) -> Result<Vec<Vec<f64>>> {
    let params = SpaiParams { power, ..SpaiParams::default() };
    Spai::generate(&params, &solo(&csr(3, entries))).map(|m| explicit(&m))
}

fn fsai(entries: &[(usize, usize, f64)]) -> Result<()> {
    Fsai::generate(&FsaiParams::default(), &solo(&csr(3, entries))).map(|_| ())
}

fn says<T: std::fmt::Debug>(got: Result<T>, text: &str) {
    let said = got.unwrap_err().to_string();
    assert!(said.contains(text), "'{said}' does not say '{text}'");
}

const SPD: [(usize, usize, f64); 5] =
    [(0, 0, 2.0), (1, 1, 3.0), (2, 2, 4.0), (0, 1, 1.0), (1, 0, 1.0)];

#[test]
fn spai_names_zero_rows_and_columns() {
    says(spai(&[(0, 0, 1.0), (2, 2, 1.0)], 1), "global row 1: it has no non-zero entry");
    says(spai(&[(0, 0, 1.0), (1, 1, 0.0), (2, 2, 1.0)], 1), "global row 1: it has no non-zero");
    // Column 1 is empty: row 1 of M can do nothing.
    says(spai(&[(0, 0, 1.0), (1, 0, 1.0), (2, 2, 1.0)], 1), "global row 1: this row of the");
    // A zero on the diagonal is fine, unless the diagonal is all that M may have.
    let swap = [(0, 1, 1.0), (1, 0, 2.0), (2, 2, 4.0)];
    let exact = vec![vec![0.0, 0.5, 0.0], vec![1.0, 0.0, 0.0], vec![0.0, 0.0, 0.25]];
    assert!(distance(&spai(&swap, 1).unwrap(), &exact) < 1e-15);
    says(spai(&swap, 0), "global row 0: this row of the approximate inverse vanishes");
}

#[test]
fn values_that_are_not_finite_are_refused() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for at in [1, 3] {
            let mut entries = SPD;
            entries[at].2 = bad;
            let row = entries[at].0;
            says(spai(&entries, 1), &format!("global row {row}: it has an entry that is not"));
            assert!(fsai(&entries).is_err());
        }
    }
}

#[test]
fn fsai_names_what_is_unsymmetric_or_indefinite() {
    fsai(&SPD).unwrap();
    let mut entries = SPD;
    entries[4].2 = 1.5;
    says(fsai(&entries), "fsai needs a symmetric matrix; global row 0");
    says(fsai(&SPD[..4]), "fsai needs a symmetric matrix; global row 0");
    let mut entries = SPD;
    entries[1].2 = 0.5;
    says(fsai(&entries), "global row 1: the matrix is not positive definite");
    let missing = [(0, 0, 2.0), (1, 1, 3.0), (1, 2, 1.0), (2, 1, 1.0)];
    says(fsai(&missing), "global row 2: the matrix is not positive definite");
}

#[test]
fn adaptive_fsai_names_what_is_indefinite_or_not_finite() {
    let try_adaptive = |entries: &[(usize, usize, f64)]| {
        let params = FsaiParams { power: 0, steps: 3, ..FsaiParams::default() };
        Fsai::generate(&params, &solo(&csr(3, entries))).map(|_| ())
    };
    try_adaptive(&SPD).unwrap();
    let mut entries = SPD;
    entries[1].2 = 0.5;
    says(try_adaptive(&entries), "global row 1: the matrix is not positive definite");
    entries[1].2 = -3.0;
    says(try_adaptive(&entries), "global row 1: the matrix is not positive definite");
    let missing = [(0, 0, 2.0), (1, 1, 3.0), (1, 2, 1.0), (2, 1, 1.0)];
    says(try_adaptive(&missing), "global row 2: the matrix is not positive definite");
    for bad in [f64::NAN, f64::INFINITY] {
        let mut entries = SPD;
        (entries[3].2, entries[4].2) = (bad, bad);
        assert!(try_adaptive(&entries).is_err());
        entries = SPD;
        entries[0].2 = bad;
        assert!(try_adaptive(&entries).is_err());
    }
}

#[test]
fn parameters_are_checked_against_their_ranges() {
    let system = solo(&csr(3, &SPD));
    let try_both = |params: Value| {
        let spai = Native::<Spai>::method().generate(&params, &system).map(|_| ());
        let fsai = Native::<Fsai>::method().generate(&params, &system).map(|_| ());
        assert_eq!(spai, fsai);
        spai
    };
    try_both(json!({"power": 8, "threshold": 0.5})).unwrap();
    for (params, text) in [
        (json!({"power": 9}), "parameter 'power': 9 must be at most 8"),
        (json!({"power": -1}), "parameter 'power': -1 must be at least 0"),
        (json!({"power": 1.5}), "parameter 'power': 1.5 is not of type integer"),
        (json!({"threshold": 1.0}), "parameter 'threshold': 1.0 must be less than 1"),
        (json!({"threshold": -0.1}), "parameter 'threshold': -0.1 must be at least 0"),
        (json!({"powers": 1}), "did you mean 'power'?"),
    ] {
        let said = match params.get("powers") {
            Some(_) => Native::<Spai>::method().generate(&params, &system).map(|_| ()),
            None => try_both(params),
        };
        says(said, text);
    }
    for (params, text) in [
        (json!({"steps": 101}), "parameter 'steps': 101 must be at most 100"),
        (json!({"growth": 0}), "parameter 'growth': 0 must be at least 1"),
        (json!({"tolerance": 1.0}), "parameter 'tolerance': 1.0 must be less than 1"),
        (json!({"filter": -0.1}), "parameter 'filter': -0.1 must be at least 0"),
    ] {
        says(Native::<Fsai>::method().generate(&params, &system).map(|_| ()), text);
    }
}
