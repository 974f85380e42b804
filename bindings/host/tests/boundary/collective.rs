//! Failure on one rank ends the set-up on all of them, wherever each of them is.

use crate::methods;
use crate::support::{tridiagonal, without_hanging};
use precondor_core::Error;
use precondor_core::comm::{Comm, threads};
use precondor_core::host::Host;
use precondor_core::registry::{DynGenerator, Native, Registry};
use precondor_core::system::System;
use precondor_host::services;
use precondor_testkit::compile::compile;
use precondor_testkit::program::Folder;
use serde_json::json;
use std::sync::Arc;

/// How the set-up of `method` ends on each rank. The ranks can still talk to each other then.
fn ends(
    method: &dyn DynGenerator,
    params: &serde_json::Value,
    ranks: usize,
    zero_row: Option<u64>,
    host: &Arc<dyn Host>,
) -> Vec<Option<Error>> {
    threads::run(ranks, |backend| {
        let comm = Comm::new(backend);
        let a = tridiagonal(comm.clone(), 7, zero_row);
        let system = System::new(a).with_host(Arc::clone(host));
        let end = method.generate(params, &system).err();
        let mut x = [1.0];
        comm.scope(|| comm.agree(Ok(()))).expect("alive");
        system.a().space().comm().scope(|| comm.agree(Ok(()))).expect("alive");
        precondor_core::comm::Communicator::sum(&comm, &mut x).expect("alive");
        assert_eq!(x[0], ranks as f64);
        end
    })
}

#[test]
fn a_failure_before_any_operation_reaches_all_ranks() {
    without_hanging(|| {
        let folder = Folder::unnamed();
        std::fs::write(folder.path().join("message.txt"), "the same for all").expect("written");
        let host = services(&Arc::new(Registry::new()), folder.path());
        for method in [methods::named("steps"), Native::<methods::Steps>::method()] {
            for ranks in 1..=3 {
                let fine = ends(&*method, &json!({}), ranks, None, &host);
                assert!(fine.iter().all(Option::is_none), "{fine:?}");
                for at in 0..=methods::STEPS {
                    for (rank, panics) in (0..ranks).flat_map(|r| [(r, false), (r, true)]) {
                        let params = json!({"at": at, "rank": rank, "panics": panics});
                        for (r, end) in
                            ends(&*method, &params, ranks, None, &host).iter().enumerate()
                        {
                            match end.as_ref().map(Error::root) {
                                Some(Error::Data(text)) if r == rank && !panics => {
                                    assert_eq!(text, "on purpose");
                                }
                                Some(Error::Panicked(text)) if r == rank && panics => {
                                    assert_eq!(text, "on purpose");
                                }
                                Some(Error::Elsewhere { rank: from, message }) if r != rank => {
                                    assert_eq!(*from, rank);
                                    assert!(message.contains("on purpose"), "{message}");
                                }
                                other => panic!("{params}: rank {r} of {ranks} got {other:?}"),
                            }
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn a_file_that_rank_0_cannot_read_is_an_error_on_all_ranks() {
    without_hanging(|| {
        let folder = Folder::unnamed();
        let host = services(&Arc::new(Registry::new()), folder.path());
        let got = ends(&*methods::named("steps"), &json!({}), 3, None, &host);
        assert!(matches!(&got[0], Some(Error::File { .. })), "{got:?}");
        for end in &got[1..] {
            assert!(matches!(end, Some(Error::Elsewhere { rank: 0, .. })), "{got:?}");
        }
    });
}

#[test]
fn a_zero_row_is_an_error_on_all_ranks_also_in_c() {
    without_hanging(|| {
        let folder = Folder::unnamed();
        let include = "bindings/abi/include";
        let file = compile(folder.path(), "jacobi_c", "tests/c/jacobi.c", include, &[]);
        let in_c = crate::support::load(&file).expect("a plugin").remove(0);
        let host = services(&Arc::new(Registry::new()), folder.path());
        for ranks in 2..=3 {
            for row in 0..7 {
                let got = ends(&*in_c, &json!({}), ranks, Some(row), &host);
                let text = format!("global row {row}: the diagonal entry is 0");
                let culprit = got.iter().position(|e| matches!(e, Some(Error::Breakdown(_))));
                let culprit = culprit.expect("one rank owns the row");
                for (rank, end) in got.iter().enumerate() {
                    let end = end.as_ref().expect("an error on all ranks");
                    assert!(end.to_string().contains(&text), "{end}");
                    if rank != culprit {
                        assert!(matches!(end, Error::Elsewhere { rank, .. } if *rank == culprit));
                    }
                }
            }
        }
    });
}

#[test]
fn a_panic_in_apply_on_several_ranks_ends_the_job_for_all() {
    without_hanging(|| {
        let ends = threads::run(3, |backend| {
            let comm = Comm::new(backend);
            let system = System::new(tridiagonal(comm.clone(), 7, None));
            let method = methods::named("panicky");
            let m = method.generate(&json!({"apply": true}), &system).expect("generates");
            let n = system.a().n_own();
            let first = if comm.rank() == 1 { f64::NAN } else { 0.0 };
            let end = m.apply(&vec![first; n], &mut vec![0.0; n]).err();
            // The others wait for rank 1, which will not come.
            let waits = comm.rank() != 1;
            let sum = |x: &mut [f64]| precondor_core::comm::Communicator::sum(&comm, x);
            (end, waits.then(|| sum(&mut [1.0]).err()).flatten())
        });
        assert!(matches!(&ends[1].0, Some(Error::Panicked(text)) if text == "on purpose"));
        for (end, waited) in [&ends[0], &ends[2]] {
            assert_eq!(*end, None);
            let text = waited.as_ref().expect("the job has ended").to_string();
            assert!(text.contains("rank 1") && text.contains("on purpose"), "{text}");
        }
    });
}
