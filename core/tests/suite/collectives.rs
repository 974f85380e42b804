//! Failure is collective: no rank is ever left waiting, and all learn the first one's message.
use crate::common::{laplace, starts};
use precondor_core::comm::{Comm, Communicator, HaloPlan, threads};
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::{Error, Result};
use std::sync::mpsc;
use std::time::Duration;

const SIZES: [usize; 3] = [2, 3, 5];

/// Fails instead of hanging: runs `f` with a time limit.
fn in_time<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(f()));
    result.recv_timeout(Duration::from_secs(20)).expect("no rank may hang, none may panic")
}

/// A ring: every rank sends its first entry to the next one.
fn ring(comm: &dyn Communicator) -> HaloPlan {
    let (rank, size) = (comm.rank(), comm.size());
    HaloPlan {
        send: vec![((rank + 1) % size, vec![0])],
        recv: vec![((rank + size - 1) % size, 0..1)],
    }
}

type Operation = fn(&Comm) -> Result<()>;

/// Every collective operation there is.
const OPERATIONS: [(&str, Operation); 9] = [
    ("gather_f64", |c| c.gather_f64(&[1.0], &mut vec![0.0; c.size()])),
    ("all_gather", |c| c.all_gather(&[1]).map(|_| ())),
    ("all_to_all", |c| c.all_to_all(&vec![vec![1]; c.size()]).map(|_| ())),
    ("exchange", |c| c.exchange(ring(c)).map(|_| ())),
    ("start and finish", |c| {
        let ring = c.exchange(ring(c))?;
        let token = ring.start(&[c.rank() as f64])?;
        ring.finish(token, &mut [0.0])
    }),
    ("duplicate", |c| c.duplicate().map(|_| ())),
    ("sum", |c| c.sum(&mut [1.0])),
    ("max", |c| c.max(&mut [1.0])),
    ("in a duplicate", |c| c.duplicate()?.sum(&mut [1.0])),
];

#[test]
fn what_the_collectives_compute() {
    for size in SIZES {
        threads::run(size, |comm| {
            let comm = Comm::new(comm);
            for comm in [comm.clone(), comm.duplicate().unwrap()] {
                let (rank, ranks) = (comm.rank(), 0..size);
                let mut all = vec![f64::NAN; 2 * size];
                comm.gather_f64(&[rank as f64, 0.5], &mut all).unwrap();
                assert_eq!(all, ranks.clone().flat_map(|r| [r as f64, 0.5]).collect::<Vec<_>>());
                let words = vec![7; rank];
                let expected: Vec<_> = ranks.clone().map(|r| vec![7; r]).collect();
                assert_eq!(comm.all_gather(&words).unwrap(), expected);
                let send: Vec<_> = ranks.clone().map(|to| vec![rank as u8, to as u8]).collect();
                let expected: Vec<_> = ranks.clone().map(|r| vec![r as u8, rank as u8]).collect();
                assert_eq!(comm.all_to_all(&send).unwrap(), expected);
                let mut x = [rank as f64, -(rank as f64), 1.0];
                comm.sum(&mut x).unwrap();
                let total = (size * (size - 1) / 2) as f64;
                assert_eq!(x, [total, -total, size as f64]);
                let mut x = [rank as f64, if rank == 1 { f64::NAN } else { 0.0 }];
                comm.max(&mut x).unwrap();
                assert!(x[0] == (size - 1) as f64 && x[1].is_nan());
                let exchange = comm.exchange(ring(&comm)).unwrap();
                for round in 0..3 {
                    let mut ghost = [f64::NAN];
                    let token = exchange.start(&[(10 * round + rank) as f64]).unwrap();
                    assert!(exchange.finish(token + 1, &mut ghost).is_err());
                    exchange.finish(token, &mut ghost).unwrap();
                    assert_eq!(ghost[0], (10 * round + (rank + size - 1) % size) as f64);
                }
            }
        });
    }
}

#[test]
fn a_rank_that_fails_before_any_collective_frees_the_others() {
    in_time(|| {
        for (size, (name, operation)) in SIZES.iter().flat_map(|&s| OPERATIONS.map(|o| (s, o))) {
            for (guilty, panics) in (0..size).flat_map(|r| [(r, false), (r, true)]) {
                let results = threads::run(size, |comm| {
                    let comm = Comm::new(comm);
                    let first = comm.scope(|| {
                        comm.sum(&mut [1.0])?;
                        if comm.rank() == guilty {
                            assert!(!panics, "no way on");
                            return Err(Error::breakdown(3, "no way on"));
                        }
                        operation(&comm)?;
                        // A dead scope does not communicate.
                        comm.sum(&mut [1.0])
                    });
                    // Whoever comes after finds everything in order.
                    let next = comm.scope(|| operation(&comm)).and_then(|()| operation(&comm));
                    assert_eq!(next, Ok(()), "{name}");
                    first
                });
                for (rank, result) in results.into_iter().enumerate() {
                    let expected = match (rank == guilty, panics) {
                        (true, false) => Error::breakdown(3, "no way on"),
                        (true, true) => Error::Panicked("no way on".into()),
                        (false, false) => Error::Elsewhere {
                            rank: guilty,
                            message: "global row 3: no way on".into(),
                        },
                        (false, true) => {
                            Error::Elsewhere { rank: guilty, message: "panicked: no way on".into() }
                        }
                    };
                    assert_eq!(result, Err(expected), "{name} on {size} ranks, {guilty} fails");
                }
            }
        }
    });
}

#[test]
fn a_rank_that_fails_in_an_outer_scope_frees_those_in_inner_ones() {
    // Also the reverse: ranks still outside when one fails inside.
    in_time(|| {
        for (guilty, fails_at, depth) in
            (0..3).flat_map(|r| (0..4).flat_map(move |at| (0..4).map(move |d| (r, at, d))))
        {
            let results = threads::run(3, |comm| {
                let comm = Comm::new(comm);
                fn nest(
                    comm: &Comm,
                    level: usize,
                    depth: usize,
                    fails: Option<usize>,
                ) -> Result<()> {
                    comm.scope(|| {
                        if fails == Some(level) {
                            return Err(Error::Data(format!("at level {level}")));
                        }
                        if level < depth {
                            nest(comm, level + 1, depth, fails)?;
                        }
                        comm.sum(&mut [1.0])
                    })
                }
                let fails = (comm.rank() == guilty).then_some(fails_at);
                let result = nest(&comm, 0, depth, fails);
                comm.sum(&mut [1.0]).unwrap();
                result
            });
            for (rank, result) in results.into_iter().enumerate() {
                let message = format!("at level {fails_at}");
                let expected = match rank == guilty {
                    _ if fails_at > depth => Ok(()),
                    true => Err(Error::Data(message)),
                    false => Err(Error::Elsewhere { rank: guilty, message }),
                };
                assert_eq!(result, expected, "rank {guilty} fails at {fails_at} of {depth}");
            }
        }
    });
}

#[test]
fn an_inner_failure_that_is_handled_leaves_the_outer_scope_alive() {
    in_time(|| {
        let results = threads::run(3, |comm| {
            let comm = Comm::new(comm);
            comm.scope(|| {
                let tried = comm.scope(|| match comm.rank() {
                    1 => Err(Error::Unsupported("not this way".into())),
                    _ => comm.sum(&mut [1.0]),
                });
                assert!(tried.is_err());
                let mut x = [1.0];
                comm.sum(&mut x)?;
                Ok(x[0])
            })
        });
        assert_eq!(results, [Ok(3.0), Ok(3.0), Ok(3.0)]);
    });
}

#[test]
fn failures_reach_ranks_that_are_busy_in_a_duplicate() {
    in_time(|| {
        let results = threads::run(3, |comm| {
            let comm = Comm::new(comm);
            comm.scope(|| {
                let other = comm.duplicate()?;
                if comm.rank() == 2 {
                    return Err(Error::Data("late".into()));
                }
                other.scope(|| other.all_gather(&[1]).map(|_| ()))
            })
        });
        let told = || Err(Error::Elsewhere { rank: 2, message: "late".into() });
        assert_eq!(results, [told(), told(), Err(Error::Data("late".into()))]);
    });
}

#[test]
fn several_failures_keep_their_own_messages_and_the_first_rank_is_told() {
    let results = threads::run(4, |comm| {
        let comm = Comm::new(comm);
        comm.agree(match comm.rank() {
            0 => Ok("fine"),
            3 => Ok("also fine"),
            rank => Err(Error::Data(format!("mine, {rank}"))),
        })
    });
    let told = || Err(Error::Elsewhere { rank: 1, message: "mine, 1".into() });
    let own = |rank: usize| Err(Error::Data(format!("mine, {rank}")));
    assert_eq!(results, [told(), own(1), own(2), told()]);
}

#[test]
fn several_failures_can_be_told_as_the_first_one() {
    let results = threads::run(4, |comm| {
        let comm = Comm::new(comm);
        comm.scope(|| {
            assert_eq!(comm.agree_first(Ok(comm.rank())), Ok(comm.rank()));
            comm.agree_first(match comm.rank() {
                0 => Ok("fine"),
                rank => Err(Error::Data(format!("mine, {rank}"))),
            })
        })
    });
    let told = || Err(Error::Elsewhere { rank: 1, message: "mine, 1".into() });
    assert_eq!(results, [told(), Err(Error::Data("mine, 1".into())), told(), told()]);
}

#[test]
fn ranks_in_different_collectives_are_told() {
    in_time(|| {
        for (i, j) in (0..OPERATIONS.len()).flat_map(|i| (0..i).map(move |j| (i, j))) {
            // These begin with the same operation as others.
            let begins = ["exchange", "exchange", "duplicate", "duplicate"];
            let first = |k: usize| match k {
                3 | 4 => begins[0],
                5 | 8 => begins[2],
                _ => OPERATIONS[k].0,
            };
            if first(i) == first(j) {
                continue;
            }
            let results = threads::run(3, |comm| {
                let comm = Comm::new(comm);
                let k = if comm.rank() == 1 { i } else { j };
                let mixed = comm.scope(|| (OPERATIONS[k].1)(&comm));
                comm.scope(|| comm.sum(&mut [1.0])).unwrap();
                mixed
            });
            for result in results {
                assert!(
                    matches!(&result, Err(Error::Comm(why)) if why.contains("ranks disagree")),
                    "{} and {}: {result:?}",
                    OPERATIONS[i].0,
                    OPERATIONS[j].0
                );
            }
        }
    });
}

#[test]
fn the_world_of_threads_refuses_what_does_not_fit_together_on_all_ranks() {
    in_time(|| {
        let errors = threads::run(3, |comm| {
            let odd = comm.rank() == 1;
            let n = if odd { 2 } else { 1 };
            let lengths = comm.gather_f64(&vec![0.0; n], &mut vec![0.0; 3 * n]);
            let messages = comm.all_to_all(&vec![vec![]; 2 + usize::from(odd)]);
            let mixed =
                if odd { comm.all_gather(&[]).map(|_| ()) } else { comm.gather_f64(&[], &mut []) };
            // Rank 1 expects what rank 0 does not send.
            let plan = if odd {
                HaloPlan { send: vec![], recv: vec![(0, 0..4)] }
            } else {
                HaloPlan::default()
            };
            let plan = comm.exchange(plan).map(|_| ());
            comm.sum(&mut [1.0]).unwrap();
            (lengths, messages.map(|_| ()), mixed, plan)
        });
        for (rank, (lengths, messages, mixed, plan)) in errors.into_iter().enumerate() {
            let text = |e: Result<()>| e.unwrap_err().to_string();
            assert!(text(lengths).contains("different numbers of values"));
            assert!(text(messages).contains("2 messages for 3 ranks"));
            let mixed = text(mixed);
            assert!(
                mixed.contains("is in all_gather") || mixed.contains("in all_gather"),
                "{mixed}"
            );
            assert_eq!(text(plan).contains("rank 0 does not send what rank 1 needs"), rank == 1);
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

#[test]
fn a_bad_row_on_any_rank_is_named_on_all() {
    let build = |guilty: usize, row: &'static [u64]| {
        threads::run(3, move |comm| {
            let space = Space::new(Comm::new(comm), 2)?;
            let start = space.start();
            let (mut ptr, mut cols) = (vec![0, 1, 2], vec![start, start + 1]);
            if space.comm().rank() == guilty {
                cols = vec![start];
                cols.extend(row);
                ptr[2] = cols.len() as u32;
            }
            DistCsr::from_rows(&space, &ptr, &cols, &vec![1.0; cols.len()]).map(|_| ())
        })
    };
    for guilty in 0..3 {
        for (row, why) in [
            (&[0, 5, 4][..], "column 4 follows column 5; sort columns"),
            (&[1, 1], "column 1 follows column 1; sort columns"),
            (&[0, 6], "column 6 of a matrix with 6 columns"),
        ] {
            let text = format!("global row {}: {why}", 2 * guilty + 1);
            for (rank, result) in build(guilty, row).into_iter().enumerate() {
                let expected = match rank == guilty {
                    true => Error::Data(text.clone()),
                    false => Error::Elsewhere { rank: guilty, message: text.clone() },
                };
                assert_eq!(result, Err(expected));
            }
        }
    }
}
