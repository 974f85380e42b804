//! New values for an instance that is there: refreshed across the boundary, and what then fails.

use crate::methods::{self, FAILS, PANICS};
use crate::support::{applied, solo, tridiagonal, without_hanging};
use precondor_core::Error;
use precondor_core::comm::{Comm, threads};
use precondor_core::instance::{Counts, Kept};
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::registry::{DynGenerator, Native, Registry};
use precondor_core::system::System;
use precondor_host::services;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// A tridiagonal matrix of 7 rows with other values; `diagonal` replaces the last entry of the
/// diagonal, and `longer` gives that row one more entry.
fn other(comm: &Comm, diagonal: f64, longer: bool) -> System {
    let space = Space::even(comm.clone(), 7);
    let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
    for i in space.start()..space.start() + space.n_own() as u64 {
        for j in 0..7 {
            let value = match (i.abs_diff(j), i) {
                (0, 6) => diagonal,
                (0, _) => 5.0 + i as f64,
                (1, _) => -1.5,
                (2, 6) if longer => 0.25,
                _ => continue,
            };
            cols.push(j);
            values.push(value);
        }
        row_ptr.push(cols.len() as u32);
    }
    System::new(DistCsr::from_rows(&space, &row_ptr, &cols, &values).expect("fits"))
}

fn first(comm: &Comm) -> System {
    System::new(tridiagonal(comm.clone(), 7, None))
}

fn keepers() -> [Arc<dyn DynGenerator>; 2] {
    [methods::named("keeper"), Native::<methods::Keeper>::method()]
}

#[test]
fn a_refresh_gives_what_a_fresh_build_gives() {
    without_hanging(|| {
        for (method, ranks) in keepers().iter().flat_map(|m| (1..=3).map(move |r| (m, r))) {
            threads::run(ranks, |backend| {
                let comm = Comm::new(backend);
                let (old, new) = (first(&comm), other(&comm, 9.0, false));
                let mut m = method.generate(&json!({}), &old).expect("generates");
                m.refresh(&new).expect("the same pattern");
                let fresh = method.generate(&json!({}), &new).expect("generates");
                let n = new.a().n_own();
                assert_eq!(applied(&*m, n), applied(&*fresh, n));
                let shown = |m: &dyn precondor_core::precond::Preconditioner| {
                    format!("{:?}", m.explicit().expect("explicit"))
                };
                assert_eq!(shown(&*m), shown(&*fresh), "what it shows is read again");
            });
        }
    });
}

#[test]
fn a_failed_refresh_poisons_on_all_ranks() {
    without_hanging(|| {
        for (method, bad) in keepers().iter().flat_map(|m| [FAILS, PANICS].map(|bad| (m, bad))) {
            for ranks in 1..=3 {
                let ends = threads::run(ranks, |backend| {
                    let comm = Comm::new(backend);
                    let mut m = method.generate(&json!({}), &first(&comm)).expect("generates");
                    let end = m.refresh(&other(&comm, bad, false)).expect_err("told to");
                    let n = Space::even(comm.clone(), 7).n_own();
                    let poisoned = m.apply(&vec![1.0; n], &mut vec![0.0; n]);
                    let text = poisoned.expect_err("poisoned").to_string();
                    assert!(text.contains("failed half-way; generate anew"), "{text}");
                    assert!(m.explicit().is_none());
                    assert!(m.notes()[0].contains("generate anew"), "{:?}", m.notes());
                    let again = m.refresh(&other(&comm, 9.0, false)).expect_err("poisoned");
                    assert!(again.to_string().contains("generate anew"), "{again}");
                    end
                });
                for (rank, end) in ends.iter().enumerate() {
                    let last = rank + 1 == ranks;
                    assert_eq!(matches!(end, Error::Elsewhere { .. }), !last, "{end}");
                    assert!(end.to_string().contains("on purpose"), "{end}");
                }
            }
        }
    });
}

#[test]
fn a_pattern_that_changed_on_one_rank_is_told_on_all() {
    without_hanging(|| {
        for (method, ranks) in keepers().iter().flat_map(|m| (1..=3).map(move |r| (m, r))) {
            let ends = threads::run(ranks, |backend| {
                let comm = Comm::new(backend);
                let mut m = method.generate(&json!({}), &first(&comm)).expect("generates");
                m.refresh(&other(&comm, 9.0, true)).err()
            });
            assert!(ends.iter().all(|end| *end == Some(Error::PatternChanged)), "{ends:?}");
            // Other rows, or other owners of them.
            let ends = threads::run(ranks, |backend| {
                let comm = Comm::new(backend);
                let mut m = method.generate(&json!({}), &first(&comm)).expect("generates");
                m.refresh(&System::new(tridiagonal(comm, 8, None))).err()
            });
            assert!(ends.iter().all(|end| *end == Some(Error::PatternChanged)), "{ends:?}");
        }
    });
}

#[test]
fn a_method_without_refresh_says_so_and_goes_on() {
    let natively: Arc<dyn DynGenerator> = Native::<methods::Panicky>::method();
    for method in [methods::named("panicky"), natively] {
        let mut m = method.generate(&json!({}), &solo(3)).expect("generates");
        let error = m.refresh(&solo(3));
        assert_eq!(error, Err(Error::Unsupported("panicky offers no refresh".into())));
        assert_eq!(m.apply(&[1.0; 3], &mut [0.0; 3]), Ok(()));
    }
}

#[test]
fn a_kept_preconditioner_is_refreshed_where_it_can_and_both_are_counted() {
    without_hanging(|| {
        for (method, ranks) in keepers().iter().flat_map(|m| (1..=3).map(move |r| (m, r))) {
            threads::run(ranks, |backend| {
                let comm = Comm::new(backend);
                let mut kept = Kept::new(method, &json!({}));
                assert!(kept.m().is_none());
                let counts = |setups, refreshes| Counts { setups, refreshes, kept: 0 };
                let mut update = |system: &System, expected: Counts| {
                    let n = system.a().n_own();
                    let fresh = method.generate(&json!({}), system).expect("generates");
                    let m = kept.update(system).expect("works");
                    assert_eq!(applied(m, n), applied(&*fresh, n));
                    assert_eq!(kept.counts(), expected);
                };
                update(&first(&comm), counts(1, 0));
                update(&other(&comm, 9.0, false), counts(1, 1));
                update(&other(&comm, 8.0, false), counts(1, 2));
                update(&other(&comm, 8.0, true), counts(2, 2));
                update(&other(&comm, 7.0, true), counts(2, 3));
                update(&first(&comm), counts(3, 3));
                // After a failure there is none, and the next update starts from nothing.
                assert!(kept.update(&other(&comm, FAILS, false)).is_err());
                assert!(kept.m().is_none());
                kept.update(&first(&comm)).expect("works");
                assert_eq!(kept.counts(), counts(4, 3));
            });
        }
    });
    // A method that cannot be refreshed is generated every time.
    let mut kept = Kept::new(&methods::named("panicky"), &json!({}));
    for setups in 1..=2 {
        kept.update(&solo(3)).expect("works");
        assert_eq!(kept.counts(), Counts { setups, refreshes: 0, kept: 0 });
    }
}

#[test]
fn a_method_refreshes_the_method_inside_it() {
    without_hanging(|| {
        let mut registry = Registry::new();
        methods::all().into_iter().for_each(|m| registry.add(m).expect("names differ"));
        let registry = Arc::new(registry);
        let host = services(&registry, Path::new("."));
        for ranks in 1..=3 {
            threads::run(ranks, |backend| {
                let comm = Comm::new(backend);
                let with = |system: System| system.with_host(Arc::clone(&host));
                let method = registry.get("wrapper").expect("there");
                let params = json!({"inner": {"name": "wrapper", "inner": "keeper"}});
                let mut m = method.generate(&params, &with(first(&comm))).expect("generates");
                let new = with(other(&comm, 9.0, false));
                m.refresh(&new).expect("the same pattern");
                let fresh = method.generate(&params, &new).expect("generates");
                let n = new.a().n_own();
                assert_eq!(applied(&*m, n), applied(&*fresh, n));
                assert_eq!(m.refresh(&with(other(&comm, 9.0, true))), Err(Error::PatternChanged));
            });
        }
    });
}
