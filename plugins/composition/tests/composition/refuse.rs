//! What is refused, and with which words.
use crate::dense::{definite, laplacian, on_ranks, sparse, system};
use crate::support::{made, made_with};
use crate::systems::{Order, stokes};
use precondor_sdk::conformance::json;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;

/// What is said of a `fieldsplit` with these parameters on ten rows.
fn said(params: Value, files: &[(&str, &str)]) -> String {
    let a = sparse(&definite(10, &[0.9, -0.85, 0.1, 0.95, -0.2, 0.3, 0.81]));
    let mut section = params;
    section["name"] = "fieldsplit".into();
    made_with(section, system(&a), files).err().map_or("nothing".into(), |e| e.to_string())
}

#[test]
fn fields_that_make_no_sense_are_named() {
    for (params, why) in [
        (
            json!({}),
            "say what the fields are, by 'stride', 'ranges' or 'file': no diagonal entry is zero",
        ),
        (json!({"stride": 2, "ranges": [[0, 10]]}), "give one of 'stride', 'ranges' and 'file'"),
        (json!({"fields": [[0]]}), "parameter 'fields': it goes with 'stride'"),
        (json!({"stride": 3}), "parameter 'stride': 3 does not divide the 10 rows"),
        (json!({"stride": 0}), "parameter 'stride': 0 must be at least 1"),
        (json!({"stride": 100}), "parameter 'stride': 100 is more than 64"),
        (json!({"stride": 2, "fields": [[0], [2]]}), "parameter 'fields': 2 is not one of 0 to 1"),
        (json!({"stride": 2, "fields": [[0], [0]]}), "'fields': 0 is in field 0 and in field 1"),
        (json!({"stride": 2, "fields": [[0]]}), "'fields': component 1 of 0 to 1 is in no field"),
        (json!({"stride": 2, "fields": [[0, 1], []]}), "parameter 'fields': field 1 is empty"),
        (json!({"ranges": []}), "parameter 'ranges': global row 0 is in no field"),
        (json!({"ranges": [[0, 4], [3, 10]]}), "global row 3 is in field 0 and in field 1"),
        (json!({"ranges": [[5, 10], [0, 4]]}), "parameter 'ranges': global row 4 is in no field"),
        (json!({"ranges": [[0, 4], [4, 9]]}), "parameter 'ranges': global row 9 is in no field"),
        (json!({"ranges": [[0, 4], [4, 11]]}), "field 1 ends at 11, the matrix has 10 rows"),
        (json!({"ranges": [[0, 10], [10, 10]]}), "field 1 is empty: it has the rows from 10 to 10"),
        (
            json!({"ranges": vec![[0, 1]; 65]}),
            "parameter 'ranges': 65 of them; at most 64 are allowed",
        ),
        (json!({"file": "none"}), "none: no such file"),
        (
            json!({"stride": 2, "methods": []}),
            "parameter 'methods': 0 items, at least 1 are needed",
        ),
        (
            json!({"stride": 5, "methods": ["jacobi", "ilu"]}),
            "parameter 'methods': 2 of them for 5 fields; give one for each, or one for all",
        ),
        (
            json!({"stride": 5, "kind": "schur"}),
            "parameter 'kind': \"schur\" takes two fields, not 5",
        ),
        (
            json!({"stride": 2, "factorisation": "diag"}),
            "parameter 'factorisation': only the kind \"schur\" has one",
        ),
        (
            json!({"stride": 2, "kind": "additive", "matrix": "S.mtx"}),
            "parameter 'matrix': only the kind \"schur\" has one",
        ),
        (
            json!({"stride": 2, "kind": "schur", "matrix": "S.mtx", "approximation": "diag"}),
            "parameter 'matrix': it takes the place of 'approximation'",
        ),
    ] {
        let got = said(params.clone(), &[]);
        assert!(got.contains(why), "{params}: {got}");
    }
}

#[test]
fn files_that_do_not_fit_are_named_with_their_line() {
    let zeros = "0\n".repeat(9);
    for (text, why) in [
        ("0\n1\nx\n".to_owned(), "fields:3: 'x' is no field: they have numbers from 0 to 63"),
        ("0\n-1\n".to_owned(), "fields:2: '-1' is no field"),
        ("# one\n\n4000000000\n".to_owned(), "fields:3: '4000000000' is no field"),
        (zeros.clone(), "fields: it has fields for 9 rows, the matrix has 10"),
        (format!("{zeros}1\n\n0\n"), "fields:12: a field for another row; the matrix has 10"),
        (format!("{zeros}2\n"), "field 1 has no rows"),
        (format!("{zeros}\u{0}\n"), "is no field"),
    ] {
        let got = said(json!({"file": "fields"}), &[("fields", &text)]);
        assert!(got.contains(why), "{text:?}: {got}");
    }
    let schur = json!({"stride": 2, "kind": "schur", "matrix": "S.mtx"});
    let head = "%%MatrixMarket matrix coordinate real general\n";
    for (text, why) in [
        (
            format!("{head}4 4 1\n1 1 1.0\n"),
            "S.mtx: the matrix is 4×4, the second field has 5 rows",
        ),
        (
            format!("{head}5 4 1\n1 1 1.0\n"),
            "S.mtx: the matrix is 5×4, the second field has 5 rows",
        ),
        (format!("{head}5 5 1\n9 1 1.0\n"), "S.mtx:3"),
    ] {
        let got = said(schur.clone(), &[("S.mtx", &text)]);
        assert!(got.contains(why), "{text:?}: {got}");
    }
}

#[test]
fn a_zero_block_is_named_with_what_to_do() {
    for (order, first) in [(Order::Last, 24), (Order::First, 0)] {
        let (a, fields) = stokes(4, order);
        let text: String = fields.iter().map(|f| format!("{f}\n")).collect();
        let flipped: String = fields.iter().map(|f| format!("{}\n", 1 - f)).collect();
        let of = |more: Value, text: &str| {
            let mut section = json!({"name": "fieldsplit", "file": "fields"});
            more.as_object().unwrap().iter().for_each(|(k, v)| section[k] = v.clone());
            let made = made_with(section, system(&a), &[("fields", text)]);
            made.err().map_or("nothing".into(), |e| e.to_string())
        };
        let zero = format!("A is zero between its rows, the first of which is global row {first}");
        for (more, text, cure) in [
            (json!({"kind": "multiplicative"}), &text, "use the kind \"schur\""),
            (json!({"kind": "schur", "approximation": "a11"}), &text, "by \"diag\", \"lumped\""),
            (json!({"kind": "schur"}), &flipped, "name this field last"),
        ] {
            let got = of(more.clone(), text);
            assert!(got.contains(&zero) && got.contains(cure), "{more}: {got}");
        }
    }
}

#[test]
fn parameters_of_composite_are_checked() {
    for (params, why) in [
        (json!({"methods": []}), "parameter 'methods': 0 items, at least 1 are needed"),
        (
            json!({"methods": ["jacobi"], "weights": [1, 2]}),
            "parameter 'weights': 2 for 1 'methods'",
        ),
        (json!({"weights": [0]}), "parameter 'weights.0': 0 must be greater than 0"),
        (json!({"methods": ["jacoby"]}), "methods.0: no preconditioner 'jacoby'"),
        (json!({"methods": ["jacobi", {"damping": 1}]}), "methods.1: it takes a method's name"),
        (json!({"methods": [3]}), "methods.0: it takes a method's name"),
        (json!({"kind": "sum"}), "is not one of \"additive\", \"multiplicative\""),
        (
            json!({"methods": [{"name": "jacobi", "dampin": 1}]}),
            "methods.0: jacobi: parameter 'dampin': there is no such key; did you mean 'damping'?",
        ),
    ] {
        let mut section = params.clone();
        section["name"] = "composite".into();
        let made = made(section, system(&laplacian(2)));
        let got = made.err().map_or("nothing".into(), |e| e.to_string());
        assert!(got.contains(why), "{params}: {got}");
    }
}

#[test]
fn a_row_that_a_method_fails_on_is_named_as_the_whole_matrix_has_it_on_all_ranks() {
    // Row 13 of the whole is row 4 of its field.
    let a = laplacian(5);
    let values = (0..25).flat_map(|i| {
        a.view()
            .row(i)
            .map(move |(j, v)| if i == 13 && j == 13 { 0.0 } else { v })
            .collect::<Vec<_>>()
    });
    let a = a.with_values(values.collect()).unwrap();
    for rows in [vec![25], vec![10, 15], vec![12, 0, 3, 10]] {
        let ends = on_ranks(&a, &rows, |system| {
            let section = json!({
                "name": "fieldsplit", "stride": 5, "fields": [[0, 1, 2, 4], [3]],
                "methods": ["ilu", {"name": "composite", "methods": ["jacobi"]}]
            });
            made(section, system).err().unwrap()
        });
        let owns = |(k, _): &(usize, &Error)| {
            (rows[..*k].iter().sum::<usize>()..rows[..=*k].iter().sum()).contains(&13)
        };
        for (k, error) in ends.iter().enumerate() {
            let text = error.to_string();
            let row =
                "field 1: composite: methods.0: jacobi: global row 13: the diagonal entry is 0";
            assert!(text.contains(row), "{text}");
            let told = matches!(error.root(), Error::Elsewhere { .. });
            assert_eq!(told, !owns(&(k, error)), "{text}");
        }
    }
}

#[test]
fn a_matrix_that_changed_its_fields_or_its_pattern_is_another_one() {
    let (a, _) = stokes(3, Order::Last);
    let mut m = made(json!({"name": "fieldsplit", "methods": ["ilu"]}), system(&a)).unwrap();
    // A pressure on the diagonal: its row is no longer told from the others.
    let stored =
        (0..a.n_rows()).flat_map(|i| a.view().row(i).map(|(j, v)| (i, j, v)).collect::<Vec<_>>());
    let with = |value: f64| {
        let entries: Vec<_> = stored.clone().chain([(15, 15, value)]).collect();
        system(&Csr::from_triplets(a.n_rows(), a.n_rows(), entries).unwrap())
    };
    assert_eq!(m.refresh(&with(-1.0)).err(), Some(Error::PatternChanged));
    let mut m = made(json!({"name": "fieldsplit", "methods": ["ilu"]}), with(0.0)).unwrap();
    assert_eq!(m.refresh(&with(-1.0)).err(), Some(Error::PatternChanged));
}
