use crate::dense::*;
use precondor_plugin_ilu::{Ilu, ilu};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::json;
use proptest::prelude::*;

/// Largest difference of A and M⁻¹ on the pattern of A.
fn residual_on_pattern(a: &Dense, m: &dyn Preconditioner) -> f64 {
    let n = a.len();
    let product = inverse(&as_dense(m, n, false));
    distance(&dense(n, |i, j| if a[i][j] == 0.0 { 0.0 } else { product[i][j] }), a)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn with_all_fill_m_is_the_inverse(n in 1usize..16, entries in entries()) {
        for a in [dominant(n, &entries), definite(n, &entries)] {
            let (system, right) = (system(&sparse(&a)), inverse(&a));
            for params in [json!({"level": n}), json!({"drop_tolerance": 0.0}), json!({"max_fill": n})] {
                let m = generate::<Ilu>(params.clone(), &system).unwrap();
                prop_assert!(distance(&as_dense(&*m, n, false), &right) < 1e-8, "{params}");
                prop_assert!(distance(&as_dense(&*m, n, true), &transpose(&right)) < 1e-8, "{params}");
            }
        }
    }

    #[test]
    fn the_product_of_the_factors_is_a_on_its_pattern(n in 1usize..16, entries in entries()) {
        let a = dominant(n, &entries);
        let m = generate::<Ilu>(json!({}), &system(&sparse(&a))).unwrap();
        prop_assert_eq!(m.stored_entries(), sparse(&a).nnz());
        prop_assert!(residual_on_pattern(&a, &*m) < 1e-10);
        let forward = as_dense(&*m, n, false);
        prop_assert!(distance(&as_dense(&*m, n, true), &transpose(&forward)) < 1e-12);
    }

    #[test]
    fn scaling_the_rows_of_a_scales_the_columns_of_ilut(n in 2usize..16, entries in entries()) {
        let a = dominant(n, &entries);
        let scale = |i: usize| 10f64.powi((i as i32 * 7) % 5 - 2);
        let scaled = dense(n, |i, j| scale(i) * a[i][j]);
        let params = json!({"drop_tolerance": 0.05, "max_fill": 2});
        let m = |a: &Dense| generate::<Ilu>(params.clone(), &system(&sparse(a))).unwrap();
        let (of_a, of_scaled) = (m(&a), m(&scaled));
        prop_assert_eq!(of_a.stored_entries(), of_scaled.stored_entries());
        prop_assert!(of_a.stored_entries() <= 5 * n);
        let undone = as_dense(&*of_scaled, n, false);
        let undone = dense(n, |i, j| undone[i][j] * scale(j));
        prop_assert!(distance(&undone, &as_dense(&*of_a, n, false)) < 1e-10);
    }
}

/// Also: the factors of a symmetric matrix make a symmetric M, although the method does not look.
#[test]
fn fill_brings_m_closer_to_the_inverse() {
    for m in 3..6 {
        let (a, n) = (laplacian(m), m * m);
        let full = dense(n, |i, j| a.view().get(i, j));
        let identity = dense(n, |i, j| f64::from(u8::from(i == j)));
        let mut last = (0, f64::INFINITY);
        for level in 0..m {
            let precond = generate::<Ilu>(json!({"level": level}), &system(&a)).unwrap();
            let inverse = as_dense(&*precond, n, false);
            assert!(distance(&inverse, &transpose(&inverse)) < 1e-12);
            let now = (precond.stored_entries(), distance(&multiply(&full, &inverse), &identity));
            assert!(now.0 > last.0 && now.1 < last.1, "level {level} of {m}: {last:?} {now:?}");
            last = now;
        }
    }
}

#[test]
fn pivots_that_vanish_name_the_row_and_the_way_out() {
    let neumann = dense(5, |i, j| match i.abs_diff(j) {
        0 => f64::from(u8::from(i > 0) + u8::from(i < 4)),
        1 => -1.0,
        _ => 0.0,
    });
    let with = |row: usize, col: usize, value: f64| {
        let mut a = dense(4, |i, j| if i == j { 2.0 } else { 0.5 });
        a[row][col] = value;
        a
    };
    let mut zero_row = with(0, 0, 2.0);
    zero_row[2] = vec![0.0; 4];
    for (a, text, cured) in [
        (neumann, "global row 4: the pivot is 0e0; set 'shift'", true),
        (zero_row, "global row 2: it has no entry but zeros", false),
        (with(1, 2, f64::NAN), "global row 1: an entry is not a finite number", false),
        (with(3, 3, f64::INFINITY), "global row 3: an entry is not a finite number", false),
    ] {
        let system = system(&sparse(&a));
        for params in [json!({}), json!({"level": 2}), json!({"drop_tolerance": 0.0})] {
            let error = generate::<Ilu>(params.clone(), &system).err().unwrap();
            assert!(matches!(error, Error::Breakdown(_)), "{error:?}");
            assert!(error.to_string().starts_with(text), "{params}: {error}");
            let mut shifted = params;
            shifted["shift"] = json!(1e-3);
            let again = generate::<Ilu>(shifted, &system);
            assert_eq!(again.is_ok(), cured, "{text}");
            if let Ok(m) = again {
                assert!(as_dense(&*m, a.len(), false).iter().flatten().all(|v| v.is_finite()));
                assert_eq!(m.notes(), ["1 small pivots moved away from zero"]);
            }
        }
    }
}

#[test]
fn a_missing_diagonal_entry_may_be_filled_by_elimination() {
    let a = vec![vec![1.0, 1.0], vec![1.0, 0.0]];
    assert_eq!(sparse(&a).nnz(), 3);
    for params in [json!({}), json!({"max_fill": 1})] {
        let m = generate::<Ilu>(params, &system(&sparse(&a))).unwrap();
        assert!(distance(&as_dense(&*m, 2, false), &inverse(&a)) < 1e-15);
    }
}

#[test]
fn a_shifted_pivot_has_the_size_asked_for() {
    for (pivot, used) in [(1e-4, 1e-2), (-1e-4, -1e-2), (0.5, 0.5)] {
        let a = vec![vec![pivot, 1.0 - f64::abs(pivot)], vec![0.0, 1.0]];
        let m = generate::<Ilu>(json!({"shift": 1e-2}), &system(&sparse(&a))).unwrap();
        let upper = vec![vec![used, a[0][1]], vec![0.0, 1.0]];
        assert!(distance(&as_dense(&*m, 2, false), &inverse(&upper)) < 1e-14);
    }
}

#[test]
fn each_rank_factorises_its_own_block() {
    let values: Vec<f64> = (0..53).map(|k| (f64::from(k) * 0.7).sin()).collect();
    let a = dominant(10, &values);
    for rows in [vec![5, 5], vec![4, 0, 6], vec![0, 10], vec![3, 3, 4]] {
        for params in [json!({}), json!({"level": 10}), json!({"drop_tolerance": 0.01})] {
            let blocks = on_ranks(&sparse(&a), &rows, |system| {
                let m = generate::<Ilu>(params.clone(), &system).unwrap();
                assert!(m.notes()[0].contains(&format!("{} ranks", rows.len())), "{:?}", m.notes());
                assert!(!m.properties().rank_independent);
                as_dense(&*m, system.a().n_own(), false)
            });
            let mut start = 0;
            for (block, &count) in blocks.iter().zip(&rows) {
                let own = dense(count, |i, j| a[start + i][start + j]);
                let alone = generate::<Ilu>(params.clone(), &system(&sparse(&own))).unwrap();
                assert_eq!(alone.notes(), Vec::<String>::new());
                assert_eq!(*block, as_dense(&*alone, count, false), "{params} on {rows:?}");
                start += count;
            }
        }
    }
}

#[test]
fn a_breakdown_on_one_rank_is_told_on_all() {
    let mut a = dominant(6, &[0.9, -0.7, 0.8, 0.1]);
    a[4] = vec![0.7, 0.0, 0.0, 0.0, 0.0, 0.0];
    for params in [json!({}), json!({"max_fill": 3})] {
        let errors =
            on_ranks(&sparse(&a), &[3, 3], |system| generate::<Ilu>(params.clone(), &system).err());
        let texts: Vec<String> = errors.into_iter().map(|e| e.unwrap().to_string()).collect();
        assert!(texts[1].starts_with("global row 4: it has no entry but zeros"), "{}", texts[1]);
        assert!(texts[0].starts_with("rank 1 failed: global row 4: "), "{}", texts[0]);
    }
}

#[test]
fn a_refresh_gives_what_a_fresh_start_gives() {
    let values: Vec<f64> = (0..53).map(|k| (f64::from(k) * 0.7).sin()).collect();
    let first = dominant(12, &values);
    let second = dense(12, |i, j| first[i][j] * (1.0 + 0.1 * ((i * 12 + j) as f64).cos()));
    let (kept, anew) = ("the pattern of the factors kept", "ILUT built anew each time");
    for (params, note) in [
        (ilu::Params::default(), kept),
        (ilu::Params { level: Some(2), ..Default::default() }, kept),
        (ilu::Params { drop_tolerance: Some(0.02), ..Default::default() }, anew),
    ] {
        let outcomes = on_ranks(&sparse(&first), &[7, 5], |old| {
            let rows: Vec<usize> =
                (0..old.a().n_own()).map(|i| old.a().global_row(i) as usize).collect();
            let own = dense(rows.len(), |i, j| second[rows[i]][rows[j]]);
            let mut m = Ilu::generate(&params, &old).unwrap();
            let before = as_dense(&m, rows.len(), false);
            let new = new_values(&old, &second);
            old.a().space().comm().scope(|| Ilu::refresh(&mut m, &params, &new)).unwrap();
            old.a().space().comm().scope(|| Ilu::refresh(&mut m, &params, &new)).unwrap();
            let told = format!("refreshed 2 times, {note}");
            assert!(m.notes().contains(&told), "{:?}", m.notes());
            let fresh = Ilu::generate(&params, &system(&sparse(&own))).unwrap();
            let after = as_dense(&m, rows.len(), false);
            (after == as_dense(&fresh, rows.len(), false), after != before)
        });
        assert_eq!(outcomes, [(true, true); 2]);
    }
}

/// The system of `a` on the ranks and rows of another.
fn new_values(like: &System, a: &Dense) -> System {
    let space = like.a().space();
    let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
    for i in 0..space.n_own() {
        let row = &a[space.start() as usize + i];
        for (j, &v) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            cols.push(j as u64);
            values.push(v);
        }
        row_ptr.push(cols.len() as u32);
    }
    System::new(DistCsr::from_rows(space, &row_ptr, &cols, &values).unwrap())
}

#[test]
fn another_pattern_is_refused_by_all_ranks() {
    let first = dominant(8, &[0.9, -0.2, 0.3, 0.7, 0.1, 0.2]);
    let mut second = first.clone();
    let (i, j) = (4..8)
        .flat_map(|i| (4..8).map(move |j| (i, j)))
        .find(|&(i, j)| first[i][j] == 0.0)
        .unwrap();
    second[i][j] = 0.1;
    for level in [0, 1] {
        let params = ilu::Params { level: Some(level), ..Default::default() };
        let errors = on_ranks(&sparse(&first), &[4, 4], |old| {
            let mut m = Ilu::generate(&params, &old).unwrap();
            let new = new_values(&old, &second);
            let other_level = ilu::Params { level: Some(level + 1), ..Default::default() };
            let comm = old.a().space().comm();
            let refused = comm.scope(|| Ilu::refresh(&mut m, &other_level, &old)).unwrap_err();
            assert_eq!(refused, Error::PatternChanged);
            comm.scope(|| Ilu::refresh(&mut m, &params, &new)).unwrap_err()
        });
        assert_eq!(errors, [Error::PatternChanged, Error::PatternChanged]);
    }
}

#[test]
fn parameters_that_make_no_sense_are_named() {
    let a = system(&laplacian(2));
    for (params, text) in [
        (json!({"level": 1, "drop_tolerance": 0.1}), "'level' chooses ILU(k)"),
        (json!({"level": 0, "max_fill": 3}), "'level' chooses ILU(k)"),
        (json!({"level": -1}), "'level': -1 must be at least 0"),
        (json!({"drop_tolerance": -0.1}), "'drop_tolerance': -0.1 must be at least 0"),
        (json!({"shift": 0.0}), "'shift': 0.0 must be greater than 0"),
        (json!({"shift": 1.5}), "'shift': 1.5 must be at most 1"),
        (json!({"fill": 1}), "'fill': there is no such key"),
    ] {
        let error = generate::<Ilu>(params, &a).err().unwrap();
        assert!(matches!(error, Error::Parameter(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn size_is_that_of_the_factors() {
    let (a, n) = (laplacian(4), 16);
    let bytes = |entries: usize| 12 * (entries - n) + 2 * 4 * (n + 1) + 8 * n;
    let m = generate::<Ilu>(json!({}), &system(&a)).unwrap();
    assert_eq!((m.stored_entries(), m.bytes()), (a.nnz(), bytes(a.nnz())));
    // One fill entry in each of L and U for every node with a neighbour to the left and above.
    let m = generate::<Ilu>(json!({"level": 1}), &system(&a)).unwrap();
    assert_eq!(m.stored_entries(), a.nnz() + 2 * 9);
    assert_eq!(m.bytes(), bytes(m.stored_entries()) + 4 * (n + 1 + a.nnz()));
}

/// A host that wants every setup to stop.
struct Stops;

impl Host for Stops {
    fn inner(
        &self,
        _: &str,
        _: &precondor_sdk::serde_json::Value,
        _: &System,
    ) -> Result<Box<dyn Instance>> {
        Err(Error::Parameter("no methods".into()))
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        Err(Error::file(path, "no files"))
    }
    fn log(&self, _: precondor_sdk::core::host::Level, _: &str) {}
    fn cancelled(&self) -> bool {
        true
    }
}

#[test]
fn a_factorisation_ends_where_that_is_asked_for() {
    let a = dense(8, |i, j| if i == j { 4.0 } else { -1.0 / (1.0 + i.abs_diff(j) as f64) });
    let system = system(&sparse(&a)).with_host(std::sync::Arc::new(Stops));
    for params in [json!({}), json!({"level": 2}), json!({"drop_tolerance": 1e-3})] {
        let ended = generate::<Ilu>(params.clone(), &system).err();
        assert_eq!(ended, Some(Error::Interrupted), "{params}");
    }
}
