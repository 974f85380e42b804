//! Orderings, matching and ILUTP: where a diagonal is zero, or worth nothing.
use crate::dense::*;
use precondor_plugin_ilu::{Ic, Ilu, ilu};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};
use proptest::prelude::*;

/// Columns of a dominant matrix in another order, rows and columns multiplied by powers of ten: regular,
/// with zeros on the diagonal.
fn hidden(n: usize, entries: &[f64], power: i32) -> Dense {
    let a = dominant(n, entries);
    let scale = |k: usize| 10f64.powi((k as i32 * 7) % (2 * power + 1) - power);
    let from = |j: usize| (j * 5 + 3) % n;
    // 5 and n have a common factor where n is a multiple of 5: then the columns are reversed.
    let from = |j: usize| if n.is_multiple_of(5) { n - 1 - j } else { from(j) };
    dense(n, |i, j| scale(i) * a[i][from(j)] * scale(j + 3))
}

/// The largest difference of M A and I, entry by entry.
fn off_identity(m: &Dense, a: &Dense) -> f64 {
    let n = a.len();
    distance(&multiply(m, a), &dense(n, |i, j| f64::from(u8::from(i == j))))
}

/// All variants, as parameters.
fn variants() -> Vec<Value> {
    let mut variants = Vec::new();
    for fill in [
        json!({}),
        json!({"level": 1}),
        json!({"drop_tolerance": 0.05, "max_fill": 2}),
        json!({"pivoting": 1.0, "drop_tolerance": 0.02}),
        json!({"pivoting": 0.1}),
        json!({"fill_factor": 1.5, "shift": 1e-3}),
    ] {
        for ordering in ["natural", "rcm", "amd"] {
            for matching in ["auto", "product"] {
                let mut params = fill.clone();
                params["ordering"] = json!(ordering);
                params["matching"] = json!(matching);
                variants.push(params);
            }
        }
    }
    variants
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::with_cases(32) })]

    #[test]
    fn with_all_fill_m_is_the_inverse_in_any_order(
        n in 1usize..16, entries in entries(), power in 0i32..4,
    ) {
        let a = hidden(n, &entries, power);
        let system = system(&sparse(&a));
        for ordering in ["natural", "rcm", "amd"] {
            for fill in [
                json!({"level": n, "matching": "product"}),
                json!({"max_fill": n, "matching": "product"}),
                json!({"max_fill": n, "pivoting": 1.0}),
                json!({"max_fill": n, "pivoting": 0.1, "matching": "product"}),
            ] {
                let mut params = fill;
                params["ordering"] = json!(ordering);
                let m = generate::<Ilu>(params.clone(), &system).unwrap();
                let forward = as_dense(&*m, n, false);
                prop_assert!(off_identity(&forward, &a) < 1e-6, "{params}: {:e}", off_identity(&forward, &a));
                let backward = as_dense(&*m, n, true);
                prop_assert!(distance(&backward, &transpose(&forward)) < 1e-11, "{params}");
            }
        }
    }

    #[test]
    fn ilutp_is_that_of_the_definition(
        n in 1usize..14,
        entries in entries(),
        tolerance in prop_oneof![Just(0.0), 0.0..0.1f64],
        max_fill in prop_oneof![Just(99usize), 1usize..5],
        pivoting in prop_oneof![Just(1.0), 0.01..1.0f64],
    ) {
        let a = dense(n, |i, j| {
            let v = entries[(i * n + j) % entries.len()];
            if v.abs() < 0.5 { 0.0 } else { v }
        });
        let Some((right, _)) = ilutp(&a, tolerance, max_fill, pivoting) else { return Ok(()) };
        let params = json!({
            "drop_tolerance": tolerance, "max_fill": max_fill, "pivoting": pivoting, "matching": "none",
        });
        let m = generate::<Ilu>(params, &system(&sparse(&a))).unwrap();
        prop_assert!(off_identity(&as_dense(&*m, n, false), &right) < 1e-6);
    }

    /// M(cA) = M(A)/c, for matrices that need a matching and for others, and with many equal entries.
    #[test]
    fn a_factor_in_front_of_a_is_one_in_front_of_m(
        n in 2usize..14, entries in entries(), power in 0i32..3, few in any::<bool>(),
    ) {
        let round = |v: f64| if few { v.signum() * v.abs().ceil() } else { v };
        let definite = definite(n, &entries);
        for a in [hidden(n, &entries, power), dominant(n, &entries), definite.clone()] {
            let a = dense(n, |i, j| round(a[i][j]));
            for params in variants() {
                let m = |a: &Dense| generate::<Ilu>(params.clone(), &system(&sparse(a)));
                check_scaling(&a, m, &params)?;
            }
        }
        for params in ["natural", "rcm", "amd"].map(|ordering| json!({"ordering": ordering})) {
            let m = |a: &Dense| generate::<Ic>(params.clone(), &system(&sparse(a)));
            check_scaling(&definite, m, &params)?;
        }
    }

    #[test]
    fn orderings_of_ic_keep_it_symmetric_and_on_the_pattern(n in 1usize..20, entries in entries()) {
        let a = definite(n, &entries);
        let natural = generate::<Ic>(json!({}), &system(&sparse(&a))).unwrap();
        for ordering in ["rcm", "amd"] {
            let m = generate::<Ic>(json!({"ordering": ordering}), &system(&sparse(&a))).unwrap();
            prop_assert_eq!(m.stored_entries(), natural.stored_entries());
            prop_assert!(m.properties().positive_definite);
            let m_dense = as_dense(&*m, n, false);
            prop_assert!(distance(&m_dense, &transpose(&m_dense)) < 1e-10);
            prop_assert!(positive_definite(&m_dense));
            if m.notes().is_empty() {
                let product = inverse(&m_dense);
                let kept = dense(n, |i, j| if a[i][j] == 0.0 { 0.0 } else { product[i][j] });
                prop_assert!(distance(&kept, &a) < 1e-8);
            }
        }
    }
}

fn check_scaling(
    a: &Dense,
    m: impl Fn(&Dense) -> Result<std::sync::Arc<dyn Preconditioner>>,
    params: &Value,
) -> std::result::Result<(), TestCaseError> {
    let n = a.len();
    let of_a = m(a);
    // What rounding of the entries does to M: much, where pivots that were moved let the factors grow; other
    // units round in other ways, and nothing can be said of such an M.
    let rounded = m(&dense(n, |i, j| a[i][j] * (1.0 + 1e-15 * ((i * 7 + j * 3) % 5) as f64)));
    let by_rounding = match (&of_a, &rounded) {
        (Ok(of_a), Ok(rounded)) => {
            distance(&as_dense(&**rounded, n, false), &as_dense(&**of_a, n, false))
        }
        _ => 0.0,
    };
    if by_rounding > 1e-11 {
        return Ok(());
    }
    for c in [2.0, 1e3, 2.1e11, 8.9e-12, 1e200, 1e-200] {
        match (&of_a, m(&dense(n, |i, j| c * a[i][j]))) {
            (Ok(of_a), Ok(scaled)) => {
                prop_assert_eq!(scaled.stored_entries(), of_a.stored_entries(), "{} {}", params, c);
                prop_assert_eq!(scaled.notes(), of_a.notes());
                let (of_a, scaled) = (as_dense(&**of_a, n, false), as_dense(&*scaled, n, false));
                let undone = dense(n, |i, j| scaled[i][j] * c);
                let off = distance(&undone, &of_a);
                prop_assert!(off < 1e-6, "{} {}: {:e}", params, c, off);
            }
            (Err(Error::Breakdown(_)), Err(_)) => {}
            (of_a, scaled) => {
                let [of_a, scaled] = [of_a.as_ref().err(), scaled.as_ref().err()];
                return Err(TestCaseError::fail(format!("{params} {c}: {of_a:?} {scaled:?}")));
            }
        }
    }
    Ok(())
}

/// L U Pᵀ of ILUTP in dense rows, by the definition, and how often columns were exchanged; none where a
/// pivot vanishes or comparisons are too close to call.
fn ilutp(a: &Dense, tolerance: f64, max_fill: usize, pivoting: f64) -> Option<(Dense, usize)> {
    let n = a.len();
    let mut column: Vec<usize> = (0..n).collect();
    // Rows of L with unit diagonal by places, rows of U by columns of A.
    let (mut l, mut u) = (dense(n, |_, _| 0.0), dense(n, |_, _| 0.0));
    let mut exchanged = 0;
    let mut close = false;
    let mut keep = |row: &mut Vec<f64>, of: &[usize], threshold: f64| {
        let mut order: Vec<usize> = of.to_vec();
        order.sort_by(|&p, &q| row[q].abs().total_cmp(&row[p].abs()).then(p.cmp(&q)));
        for (rank, pair) in order.windows(2).enumerate() {
            let (x, y) = (row[pair[0]].abs(), row[pair[1]].abs());
            close |= rank + 1 == max_fill && x > 0.0 && (x - y).abs() < 1e-6 * x && x > threshold;
        }
        for (rank, &j) in order.iter().enumerate() {
            close |= row[j] != 0.0 && (row[j].abs() - threshold).abs() < 1e-9;
            if rank >= max_fill || row[j].abs() <= threshold {
                row[j] = 0.0;
            }
        }
    };
    for i in 0..n {
        let mut row = a[i].clone();
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        for k in 0..i {
            let c = column[k];
            if row[c] != 0.0 && (row[c].abs() - tolerance * norm).abs() < 1e-9 {
                return None;
            }
            if row[c].abs() <= tolerance * norm {
                row[c] = 0.0;
            }
            let factor = row[c] / u[k][c];
            for &j in &column[k + 1..] {
                row[j] -= factor * u[k][j];
            }
        }
        let done: Vec<usize> = column[..i].to_vec();
        // L before it is divided by the pivots.
        let mut left = row.clone();
        keep(&mut left, &done, tolerance * norm);
        for (k, &c) in done.iter().enumerate() {
            l[i][k] = left[c] / u[k][c];
        }
        l[i][i] = 1.0;
        let rest = &column[i + 1..];
        if let Some(&best) = rest.iter().max_by(|&&p, &&q| row[p].abs().total_cmp(&row[q].abs())) {
            let (d, b) = (row[column[i]].abs(), row[best].abs());
            let tie =
                rest.iter().any(|&j| j != best && b > 0.0 && (row[j].abs() - b).abs() < 1e-5 * b);
            if tie || (b > 0.0 && (d - pivoting * b).abs() < 1e-4 * b) {
                return None;
            }
            if d < pivoting * b {
                let at = column.iter().position(|&c| c == best)?;
                column.swap(i, at);
                exchanged += 1;
            }
        }
        let pivot = row[column[i]];
        if pivot.abs() < 1e-4 {
            return None;
        }
        keep(&mut row, &column[i + 1..], tolerance * norm);
        for &j in &column[i..] {
            u[i][j] = row[j];
        }
    }
    if close { None } else { Some((multiply(&l, &u), exchanged)) }
}

#[test]
fn the_definition_exchanges_columns_where_it_has_to() {
    let a = vec![vec![0.0, 1.0, 0.0], vec![2.0, 0.5, 0.0], vec![0.0, 0.1, 3.0]];
    let (product, exchanged) = ilutp(&a, 0.0, 99, 1.0).unwrap();
    assert!(exchanged == 1 && distance(&product, &a) < 1e-15);
}

/// A cyclic shift has no entry on its diagonal: nothing is needed but to find that.
#[test]
fn a_permutation_is_inverted_by_the_default() {
    let n = 7;
    let a = dense(n, |i, j| if j == (i + 1) % n { 10f64.powi(i as i32 - 3) } else { 0.0 });
    let m = generate::<Ilu>(json!({}), &system(&sparse(&a))).unwrap();
    assert!(off_identity(&as_dense(&*m, n, false), &a) < 1e-14);
    assert_eq!(m.stored_entries(), n);
    assert_eq!(
        m.notes(),
        [
            "no pivot in global row 0: columns matched to rows and both scaled, ILUTP with drop_tolerance \
          0.0001, fill_factor 10, pivoting 0.1 in the order 'amd'"
        ]
    );
    let m = generate::<Ilu>(json!({"level": 0}), &system(&sparse(&a))).unwrap();
    assert!(off_identity(&as_dense(&*m, n, false), &a) < 1e-14);
    assert!(
        m.notes()[0].ends_with("both scaled, ILU(0) in the order 'natural'"),
        "{:?}",
        m.notes()
    );
}

#[test]
fn without_matching_a_zero_pivot_names_the_key() {
    let exchange = vec![vec![0.0, 1.0], vec![1.0, 0.0]];
    let error = generate::<Ilu>(json!({"matching": "none"}), &system(&sparse(&exchange)));
    assert_eq!(
        error.err().unwrap().to_string(),
        "global row 0: no diagonal entry is stored and the pivot is 0e0; set 'shift' to move zero \
         pivots, or leave out matching = \"none\", so that other entries come to the diagonal"
    );
    for fill in [json!({}), json!({"level": 2}), json!({"drop_tolerance": 0.0})] {
        let mut params = fill;
        params["matching"] = json!("none");
        let error = generate::<Ilu>(params.clone(), &system(&sparse(&exchange))).err().unwrap();
        assert!(
            error.to_string().starts_with("global row 0: no diagonal entry"),
            "{params}: {error}"
        );
        params["shift"] = json!(1e-3);
        let m = generate::<Ilu>(params, &system(&sparse(&exchange))).unwrap();
        assert_eq!(m.notes(), ["1 small pivots moved away from zero"]);
    }
}

#[test]
fn structurally_singular_matrices_tell_rank_and_row() {
    // Rows 1, 2 and 4 have entries in two columns only.
    let mut a = dominant(6, &[0.9, -0.7, 0.8, 0.1]);
    for i in [1, 2, 4] {
        a[i] = dense(1, |_, j| if j == 1 || j == 3 { 1.0 + (i * j) as f64 } else { 0.0 }).remove(0);
        a[i].resize(6, 0.0);
        a[i][1] = 1.0 + i as f64;
        a[i][3] = 2.0 - i as f64 * 0.3;
    }
    let told = "no column is left for it: structurally singular, at most 5 of 6 rows have entries in \
                columns of their own";
    for params in
        [json!({}), json!({"matching": "product"}), json!({"pivoting": 0.5}), json!({"level": 1})]
    {
        let error = generate::<Ilu>(params.clone(), &system(&sparse(&a))).err().unwrap();
        assert!(matches!(error, Error::Breakdown(_)));
        let (row, rest) =
            error.to_string().split_once(": ").map(|(r, t)| (r.to_owned(), t.to_owned())).unwrap();
        assert!(["global row 1", "global row 2", "global row 4"].contains(&&*row), "{row}");
        assert_eq!(rest, told, "{params}");
    }
}

/// A factorisation that exists and is worth nothing: ILU(0) of an indefinite matrix with zeros on the
/// diagonal drops the fill that its small pivots need.
#[test]
fn factors_that_enlarge_a_residual_are_made_anew() {
    let n = 40;
    let a = dense(2 * n, |i, j| match (i < n, j < n) {
        (true, true) if i == j => 1e-6 * (1.0 + i as f64),
        (true, true) if i.abs_diff(j) == 1 => 1e-3,
        (true, false) if i == j - n => 1.0,
        (false, true) if i - n == j => 1.0,
        (true, false) if (i + 7) % n == j - n => 0.6,
        (false, true) if (j + 7) % n == i - n => 0.6,
        _ => 0.0,
    });
    let as_asked = generate::<Ilu>(json!({"matching": "none"}), &system(&sparse(&a))).unwrap();
    let m = generate::<Ilu>(json!({}), &system(&sparse(&a))).unwrap();
    assert!(
        m.notes()[0].starts_with("zeros on the diagonal, and factors that enlarge a residual: ")
    );
    let [before, after] = [as_asked, m].map(|m| off_identity(&as_dense(&*m, 2 * n, false), &a));
    assert!(before > 10.0 && after < 0.1, "{before} {after}");
}

/// Rank 1 has the zero block of a saddle point: only overlap can help, and the error says how.
#[test]
fn a_block_without_entries_says_schwarz_on_all_ranks() {
    let n = 6;
    let a = dense(2 * n, |i, j| match (i < n, j < n) {
        (true, true) => [3.0, -1.0].get(i.abs_diff(j)).copied().unwrap_or(0.0),
        (true, false) => f64::from(u8::from(i == j - n)),
        (false, true) => f64::from(u8::from(j == i - n)),
        (false, false) => 0.0,
    });
    let way_out = "; blocks that overlap have more rows: set name = \"schwarz\", method = \"ilu\", \
                   overlap = 1 in [preconditioner]";
    for params in [json!({}), json!({"matching": "product"}), json!({"pivoting": 0.1})] {
        let errors =
            on_ranks(&sparse(&a), &[n, n], |system| generate::<Ilu>(params.clone(), &system).err());
        let texts: Vec<String> = errors.into_iter().map(|e| e.unwrap().to_string()).collect();
        assert!(texts[0].starts_with("rank 1 failed: global row 6: "), "{}", texts[0]);
        assert!(texts[1].starts_with("global row 6: "), "{}", texts[1]);
        for text in texts {
            assert!(text.ends_with(&format!(" (rank 1){way_out}")), "{text}");
        }
    }
    // Alone, elimination fills the block; so does a rank that has some of the other rows.
    for rows in [vec![2 * n], vec![0, 2 * n]] {
        let made =
            on_ranks(&sparse(&a), &rows, |system| generate::<Ilu>(json!({}), &system).is_ok());
        assert!(made.iter().all(|made| *made));
    }
}

/// Zero diagonals inside a block need no overlap, and each rank does what its own block needs.
#[test]
fn each_rank_matches_its_own_block() {
    let values: Vec<f64> = (0..53).map(|k| (f64::from(k) * 0.7).sin()).collect();
    let first = dominant(6, &values);
    let second = dense(6, |i, j| match i + j {
        5 => 2.0 + i as f64,
        6 | 9 => 0.5,
        _ => 0.0,
    });
    let a = dense(12, |i, j| match (i < 6, j < 6) {
        (true, true) => first[i][j],
        (false, false) => second[i - 6][j - 6],
        _ => 0.01,
    });
    let made = on_ranks(&sparse(&a), &[6, 6], |system| {
        let m = generate::<Ilu>(json!({"max_fill": 6}), &system).unwrap();
        (as_dense(&*m, 6, false), m.notes())
    });
    assert!(off_identity(&made[0].0, &first) < 1e-9 && off_identity(&made[1].0, &second) < 1e-9);
    assert_eq!(made[0].1, made[1].1);
    assert!(made[0].1[1].starts_with("no pivot in global row "), "{:?}", made[0].1);
    assert!(made[0].1[1].contains(" on 1 of 2 ranks: columns matched"), "{:?}", made[0].1);
    let alone = generate::<Ilu>(json!({"max_fill": 6}), &system(&sparse(&first))).unwrap();
    assert_eq!(made[0].0, as_dense(&*alone, 6, false));
}

/// From a matrix that needs a matching to one that does not, and back.
#[test]
fn a_refresh_does_what_its_values_need() {
    let sound = |i: usize, j: usize| if i == j { 4.0 } else { 1.0 / (1 + i + 2 * j) as f64 };
    let a = dense(6, sound);
    let weak =
        dense(6, |i, j| if i == j { 0.0 } else { sound(i, j) + f64::from(u8::from(i + j == 5)) });
    let stored: Vec<_> = (0..36).map(|k| (k / 6, k % 6, 1.0)).collect();
    let full = Csr::from_triplets(6, 6, stored).unwrap();
    let with = |a: &Dense| system(&full.with_values(a.concat()).unwrap());
    for params in [ilu::Params::default(), ilu::Params { max_fill: Some(6), ..Default::default() }]
    {
        let mut m = Ilu::generate(&params, &with(&a)).unwrap();
        for (values, moved) in
            [(&weak, true), (&weak, true), (&a, false), (&weak, true), (&a, false)]
        {
            Ilu::refresh(&mut m, &params, &with(values)).unwrap();
            let fresh = Ilu::generate(&params, &with(values)).unwrap();
            assert_eq!(as_dense(&m, 6, false), as_dense(&fresh, 6, false));
            assert_eq!(fresh.notes().len(), usize::from(moved), "{:?}", fresh.notes());
            assert_eq!(m.notes()[1..], fresh.notes());
        }
    }
}

#[test]
fn fill_stays_within_its_factor() {
    let values: Vec<f64> = (0..53).map(|k| (f64::from(k) * 0.7).sin()).collect();
    let a = sparse(&hidden(60, &values, 1));
    for factor in [1.0, 1.5, 3.0] {
        let params = json!({"fill_factor": factor, "drop_tolerance": 0.0, "matching": "product"});
        let m = generate::<Ilu>(params, &system(&a)).unwrap();
        let most = factor * a.nnz() as f64 + 60.0;
        assert!(m.stored_entries() as f64 <= most, "{factor}: {} {most}", m.stored_entries());
    }
}

#[test]
fn parameters_of_ilutp_are_checked() {
    let a = system(&laplacian(2));
    for (params, text) in [
        (json!({"level": 1, "pivoting": 0.1}), "'level' chooses ILU(k)"),
        (json!({"level": 1, "fill_factor": 2}), "'level' chooses ILU(k)"),
        (json!({"pivoting": 0.0}), "'pivoting': 0.0 must be greater than 0"),
        (json!({"pivoting": 1.5}), "'pivoting': 1.5 must be at most 1"),
        (json!({"fill_factor": 0.5}), "'fill_factor': 0.5 must be at least 1"),
        (json!({"ordering": "random"}), "'ordering'"),
        (json!({"matching": "best"}), "'matching'"),
    ] {
        let error = generate::<Ilu>(params, &a).err().unwrap();
        assert!(matches!(error, Error::Parameter(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
}
