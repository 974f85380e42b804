//! Real libraries, really loaded: in Rust, in C, and one from the past.

use crate::support::{applied, on_space, tridiagonal};
use precondor_core::comm::{Comm, threads};
use precondor_core::invariance::Invariances;
use precondor_core::matrix::Space;
use precondor_core::registry::{DynGenerator, Native};
use precondor_core::schema;
use precondor_core::system::System;
use precondor_host::{Plugins, Search};
use precondor_testkit::compile::compile;
use precondor_testkit::program::Folder;
use serde_json::json;

fn plugins(extra: &[&Folder]) -> Plugins {
    let extra = extra.iter().map(|s| s.path().to_path_buf()).collect();
    Plugins::load(&Search { extra, base: ".".into() }).expect("a base folder")
}

/// All that can be seen of two methods on one to three ranks, compared bit for bit.
fn same(one: &dyn DynGenerator, other: &dyn DynGenerator, params: &serde_json::Value) {
    for ranks in 1..=3 {
        threads::run(ranks, |backend| {
            let comm = Comm::new(backend);
            // As many rows as there are, fewer than ranks, and none at all.
            for n in [7, 2, 0] {
                let system = System::new(tridiagonal(comm.clone(), n, None));
                let of = |method: &dyn DynGenerator| {
                    let m = method.generate(params, &system).expect("generates");
                    (
                        applied(&*m, system.a().n_own()),
                        m.properties(),
                        m.stored_entries(),
                        m.bytes(),
                    )
                };
                assert_eq!(of(one), of(other), "{n} rows on {ranks} ranks");
            }
        });
    }
}

#[test]
fn loaded_equals_linked_in_bit_for_bit() {
    let plugins = plugins(&[]);
    let loaded = plugins.registry().get("jacobi").expect("beside this test");
    assert!(loaded.origin().ends_with("libprecondor_plugin_jacobi.so"), "{}", loaded.origin());
    let native = Native::<precondor_plugin_jacobi::Jacobi>::method();
    assert_eq!(loaded.schema(), native.schema());
    assert_eq!(loaded.summary(), native.summary());
    assert_eq!(loaded.capabilities(), native.capabilities());
    assert_eq!(loaded.invariances(&json!({})), native.invariances(&json!({})));
    let refused = loaded.invariances(&json!({"damping": 7.0})).expect_err("out of range");
    assert!(refused.to_string().contains("damping"), "{refused}");
    same(&**loaded, &*native, &json!({"damping": 0.7}));
}

#[test]
fn a_plugin_in_c_gives_the_bits_of_the_one_in_rust() {
    let folder = Folder::unnamed();
    compile(folder.path(), "jacobi_c", "tests/c/jacobi.c", "bindings/abi/include", &[]);
    let plugins = plugins(&[&folder]);
    let library = plugins.libraries().iter().find(|l| l.methods == ["jacobi-c"]);
    assert!(library.is_some(), "{:?}", plugins.problems());
    let in_c = plugins.registry().get("jacobi-c").expect("just seen");
    assert_eq!(in_c.summary(), "damped Jacobi in C: scaling by the diagonal");
    assert_eq!(in_c.version(), "1.0.0");
    assert!(schema::check(&in_c.schema(), &json!({"damping": 2.0})).is_err());
    let in_rust = Native::<precondor_plugin_jacobi::Jacobi>::method();
    for damping in [json!({}), json!({"damping": 0.7}), json!({"damping": 1.0 / 3.0})] {
        same(&**in_c, &*in_rust, &damping);
        assert_eq!(in_c.invariances(&damping), Ok(Some(Invariances::ALL)));
    }
    let error = in_c.generate(&json!({"dampin": 1.0}), &crate::support::solo(3)).err();
    let text = error.expect("no such key").to_string();
    assert!(text.contains("did you mean 'damping'?"), "{text}");
}

#[test]
fn a_plugin_frozen_at_abi_1_0_still_works() {
    let folder = Folder::unnamed();
    let (source, include) = ("tests/c/frozen-1.0/jacobi.c", "tests/c/frozen-1.0");
    compile(folder.path(), "frozen", source, include, &[]);
    let plugins = plugins(&[&folder]);
    let frozen = plugins.registry().get("frozen-jacobi").expect("loaded");
    let today = Native::<precondor_plugin_jacobi::Jacobi>::method();
    same(&**frozen, &*today, &json!({"damping": 0.7}));
    assert_eq!(frozen.invariances(&json!({})), Ok(None), "it had no way to say");
}

#[test]
fn ranks_without_rows_take_part() {
    let plugins = plugins(&[]);
    let loaded = plugins.registry().get("jacobi").expect("beside this test");
    for starts in [[0, 0, 5, 5], [0, 5, 5, 5], [0, 0, 0, 5]] {
        threads::run(3, |backend| {
            let space =
                Space::from_starts(Comm::new(backend), starts.to_vec()).expect("increasing");
            let system = System::new(on_space(&space, None)).with_host(plugins.host());
            let m = loaded.generate(&json!({}), &system).expect("generates");
            assert_eq!(applied(&*m, space.n_own()).len(), space.n_own());
            assert!(m.properties().positive_definite);
        });
    }
}
