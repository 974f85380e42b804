//! Failure is collective: no rank is ever left waiting, and all learn the first one's message.
use crate::common::{laplace, starts};
use crate::world::PROPERTIES;
use precondor_core::Error;
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::Space;
use std::sync::mpsc;
use std::time::Duration;

/// Fails instead of hanging: runs `f` with a time limit.
fn in_time<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(f()));
    result.recv_timeout(Duration::from_secs(20)).expect("no rank may hang, none may panic")
}

#[test]
fn threads_are_a_world_as_every_world_must_be() {
    in_time(|| {
        for (size, (name, property)) in
            [1, 2, 3, 5].into_iter().flat_map(|s| PROPERTIES.map(|p| (s, p)))
        {
            println!("{name} on {size} ranks");
            threads::run(size, |comm| property(&Comm::new(comm)));
        }
    });
}

#[test]
fn threads_in_different_operations_are_told_outside_of_scopes_too() {
    in_time(|| {
        let mixed = threads::run(3, |comm| match comm.rank() {
            1 => comm.all_gather(&[]).map(|_| ()),
            _ => comm.gather_f64(&[], &mut []),
        });
        for e in mixed {
            let text = e.unwrap_err().to_string();
            assert!(text.contains("in all_gather"), "{text}");
        }
    });
}

#[test]
fn a_panic_outside_a_scope_ends_the_job_with_its_own_message() {
    for guilty in 0..3 {
        let caught = std::panic::catch_unwind(|| {
            threads::run(3, |comm| {
                let other = comm.duplicate().unwrap();
                assert!(comm.rank() != guilty, "rank {guilty} gives up");
                // The others panic too, because they do not expect what they get.
                let e = other.sum(&mut [1.0]).unwrap_err();
                assert!(e.to_string().contains("panicked"), "{e}");
                comm.all_gather(&[]).unwrap();
            })
        });
        let text = caught.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(*text, format!("rank {guilty} gives up"));
    }
}

#[test]
fn one_rank_may_end_the_job() {
    let errors = threads::run(3, |comm| match comm.rank() {
        1 => {
            comm.abort("no memory left");
            comm.sum(&mut [1.0]).unwrap_err()
        }
        _ => comm.duplicate().and_then(|d| d.sum(&mut [1.0])).unwrap_err(),
    });
    for e in errors {
        assert_eq!(e, Error::Comm("rank 1 ended the job: no memory left".into()));
    }
}

#[test]
fn every_collective_of_building_a_matrix_may_fail_on_every_rank() {
    // A communicator that fails in its k-th operation on one rank, as MPI might.
    in_time(|| {
        let a = laplace(4);
        for guilty in 0..3 {
            let mut failures = 0;
            for k in 0.. {
                let a = a.clone();
                let results = threads::run(3, move |comm| {
                    let comm = Comm::new(comm);
                    let mine = comm.rank() == guilty;
                    let space = Space::from_starts(comm.clone(), starts(3, 16, false))?;
                    comm.scope(|| {
                        // One operation after the other, until rank `guilty` gives up.
                        for at in 0..4 {
                            if mine && at == k {
                                return Err(Error::Data(format!("before {at}")));
                            }
                            crate::common::distribute(comm.clone(), starts(3, 16, false), &a)?;
                        }
                        Ok(space.n_own())
                    })
                });
                let failed = results.iter().filter(|r| r.is_err()).count();
                assert!(failed == 0 || failed == 3, "{results:?}");
                if failed == 0 {
                    break;
                }
                failures += 1;
            }
            assert_eq!(failures, 4);
        }
    });
}
