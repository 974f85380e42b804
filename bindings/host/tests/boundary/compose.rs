//! Methods inside methods, and loops that the host runs for them.

use crate::methods;
use crate::support::{applied, tridiagonal, without_hanging};
use precondor_bridge::host as bridge;
use precondor_core::comm::{Comm, Communicator, threads};
use precondor_core::host::Host;
use precondor_core::registry::{Native, Registry};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use precondor_host::{fault, services};
use precondor_testkit::program::Folder;
use serde_json::json;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// All methods of the tests, and jacobi linked in.
fn registry() -> Arc<Registry> {
    let mut registry = Registry::new();
    for method in methods::all() {
        registry.add(method).expect("names differ");
    }
    registry.add(Native::<precondor_plugin_jacobi::Jacobi>::method()).expect("another name");
    Arc::new(registry)
}

#[test]
fn a_method_inside_a_method_is_that_method() {
    without_hanging(|| {
        let registry = registry();
        let host = services(&registry, Path::new("."));
        for ranks in 1..=3 {
            threads::run(ranks, |backend| {
                let a = tridiagonal(Comm::new(backend), 7, None);
                let system = System::new(a).with_host(Arc::clone(&host));
                let of = |name: &str, params: serde_json::Value| {
                    let method = registry.get(name).expect("there");
                    let m = method.generate(&params, &system).expect("generates");
                    (applied(&*m, system.a().n_own()), m.properties(), m.bytes())
                };
                let plain = of("jacobi", json!({"damping": 0.5}));
                let jacobi = json!({"name": "jacobi", "damping": 0.5});
                assert_eq!(of("wrapper", json!({"inner": jacobi})), plain);
                let twice = json!({"name": "wrapper", "inner": jacobi});
                assert_eq!(of("wrapper", json!({"inner": twice})), plain);
                assert_eq!(of("wrapper", json!({"inner": "keeper"})).0, of("keeper", json!({})).0);
            });
        }
    });
}

#[test]
fn a_failure_inside_an_inner_method_reaches_all_ranks_and_names_it() {
    without_hanging(|| {
        let registry = registry();
        let folder = Folder::unnamed();
        std::fs::write(folder.path().join("message.txt"), "the same for all").expect("written");
        let host = services(&registry, folder.path());
        let method = registry.get("wrapper").expect("there");
        let fine = threads::run(3, |backend| {
            let a = tridiagonal(Comm::new(backend), 7, None);
            let system = System::new(a).with_host(Arc::clone(&host));
            method.generate(&json!({"inner": "steps"}), &system).err()
        });
        assert_eq!(fine, [None, None, None]);
        for (at, rank) in (0..=methods::STEPS).flat_map(|at| [(at, 0), (at, 1), (at, 2)]) {
            let inner = json!({"name": "steps", "at": at, "rank": rank});
            let ends = threads::run(3, |backend| {
                let a = tridiagonal(Comm::new(backend), 7, None);
                let system = System::new(a).with_host(Arc::clone(&host));
                method.generate(&json!({"inner": inner}), &system).err()
            });
            for (r, end) in ends.into_iter().enumerate() {
                let end = end.expect("an error on all ranks");
                let text = end.to_string();
                assert!(text.contains("steps: ") && text.contains("on purpose"), "{text}");
                assert_eq!(matches!(end.root(), Error::Elsewhere { .. }), r != rank, "{text}");
            }
        }
    });
}

#[test]
fn composition_has_a_bounded_depth_and_the_error_shows_the_chain() {
    let registry = registry();
    let host = services(&registry, Path::new("."));
    let system = System::new(tridiagonal(Comm::solo(), 3, None)).with_host(host);
    let method = registry.get("wrapper").expect("there");
    let nest = |depth: usize| {
        (1..depth).fold(json!({}), |p, _| {
            let mut section = p;
            section["name"] = "wrapper".into();
            json!({"inner": section})
        })
    };
    assert!(method.generate(&nest(8), &system).is_ok());
    assert_eq!(fault(&registry, "wrapper", &nest(8)), Ok(None));
    let chain = ["wrapper"; 9].join(" → ");
    let fault = fault(&registry, "wrapper", &nest(9)).expect("known").expect("too deep");
    assert!(fault.why.contains(&chain), "{}", fault.why);
    assert_eq!(fault.path.iter().filter(|key| *key == "inner").count(), 8);
    for too_deep in [nest(9), json!({"endless": true})] {
        let text = method.generate(&too_deep, &system).err().expect("too deep").to_string();
        assert!(text.contains(&chain), "{text}");
    }
    // The thread is not marked for ever.
    assert!(method.generate(&nest(8), &system).is_ok());
}

#[test]
fn sections_of_inner_methods_are_checked_against_their_schemas() {
    let registry = registry();
    let at = |params: serde_json::Value| {
        let fault = fault(&registry, "wrapper", &params).expect("known").expect("a fault");
        (fault.path.join("."), fault.why)
    };
    let (path, why) = at(json!({"inner": {"name": "jacobi", "damping": 3.0}}));
    assert_eq!(path, "inner.damping");
    assert!(why.contains("less than 2"), "{why}");
    let (path, why) = at(json!({"inner": {"name": "wrapper", "inner": "jacoby"}}));
    assert_eq!(path, "inner.inner.name");
    assert!(why.contains("did you mean 'jacobi'?"), "{why}");
}

/// The services as a method of another library sees them.
fn across(host: &Arc<dyn Host>) -> Arc<dyn Host> {
    // SAFETY: a table of the bridge.
    unsafe { bridge::take(bridge::table(&bridge::lend(host))).expect("a host") }
}

#[test]
fn loops_have_the_same_chunks_everywhere_and_cover_all() {
    let host = services(&registry(), Path::new("."));
    for host in [Arc::clone(&host), across(&host)] {
        for (n, grain) in [(0, 4), (1, 4), (100, 7), (8, 0), (1000, 1)] {
            let seen = Mutex::new(Vec::new());
            let note = |range: Range<usize>| {
                // A loop inside a loop runs at once, in order, on the same thread.
                let (inner, thread) = (Mutex::new(Vec::new()), std::thread::current().id());
                host.parallel_for(6, 2, &|r| {
                    assert_eq!(std::thread::current().id(), thread);
                    inner.lock().expect("no panic").push(r);
                    Ok(())
                })?;
                assert_eq!(*inner.lock().expect("no panic"), [0..2, 2..4, 4..6]);
                seen.lock().expect("no panic").push(range);
                Ok(())
            };
            host.parallel_for(n, grain, &note).expect("no error");
            let mut seen = seen.into_inner().expect("no panic");
            seen.sort_by_key(|r| r.start);
            let grain = grain.max(1);
            let expected: Vec<_> = (0..n).step_by(grain).map(|i| i..(i + grain).min(n)).collect();
            assert_eq!(seen, expected);
        }
    }
}

#[test]
fn a_loop_gives_its_first_error_by_range_and_survives_panics() {
    let host = services(&registry(), Path::new("."));
    for host in [Arc::clone(&host), across(&host)] {
        for _ in 0..20 {
            let fails = |range: Range<usize>| match range.start {
                start if start >= 30 => Err(Error::Data(format!("from {start}"))),
                _ => Ok(()),
            };
            let end = host.parallel_for(100, 10, &fails);
            assert_eq!(end, Err(Error::Data("from 30".into())));
        }
    }
    let end = across(&host).parallel_for(3, 1, &|_| -> Result<()> { panic!("on purpose") });
    assert_eq!(end, Err(Error::Panicked("on purpose".into())));
}

#[test]
fn nothing_but_arithmetic_is_allowed_inside_a_loop() {
    let host = services(&registry(), Path::new("."));
    threads::run(2, |backend| {
        let comm = Comm::new(backend);
        let lent = precondor_bridge::comm::lend(&comm);
        // SAFETY: a table of the bridge.
        let theirs = unsafe { precondor_bridge::comm::take(&lent.table).expect("a communicator") };
        let end = across(&host).parallel_for(2, 1, &|_| theirs.sum(&mut [1.0]));
        let text = end.expect_err("refused in builds with debug assertions").to_string();
        assert!(text.contains("inside a body of parallel_for"), "{text}");
        let mut x = [1.0];
        theirs.sum(&mut x).expect("allowed outside");
        assert_eq!(x, [2.0]);
    });
}
