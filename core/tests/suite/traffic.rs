//! What is counted of the messages between ranks, against counts made by hand.
use crate::common::*;
use precondor_core::comm::count::{Counted, Counter, Flow, Kind, Traffic};
use precondor_core::comm::{Comm, Communicator, HaloPlan, threads};
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::{Error, Result};
use std::sync::Arc;

/// Runs `f` on ranks whose messages are counted, and hands back what each rank counted in it.
fn counted<T: Send>(size: usize, f: impl Fn(&Comm, &Counter) -> T + Sync) -> Vec<(T, Traffic)> {
    threads::run(size, |comm| {
        let counted = Counted::new(comm);
        let counter = counted.counter();
        let done = f(&Comm::new(Arc::new(counted)), &counter);
        (done, counter.read())
    })
}

fn flow(calls: u64, messages: u64, bytes: u64) -> Flow {
    Flow { calls, messages, bytes }
}

/// What `f` adds to the counter.
fn during<T>(counter: &Counter, f: impl FnOnce() -> T) -> Traffic {
    let before = counter.read();
    f();
    counter.read() - before
}

#[test]
fn a_product_sends_the_border_rows_to_each_neighbour() {
    // 4 × 4 nodes, four rows of the grid on three ranks: 4 + 8 + 4 unknowns, and an empty rank.
    let a = laplace(4);
    let starts = vec![0, 4, 12, 12, 16];
    let sent = counted(4, |comm, counter| {
        let a = distribute(comm.clone(), starts.clone(), &a).unwrap();
        let (x, mut y) = (own(&a, &vector(16)).to_vec(), vec![0.0; a.n_own()]);
        let once = during(counter, || a.spmv(&x, &mut y).unwrap());
        let thrice = during(counter, || (0..3).for_each(|_| a.spmv(&x, &mut y).unwrap()));
        assert_eq!(thrice, once.times(3));
        once
    });
    // The middle rank sends its lower and its upper row, the empty one takes part and sends nothing.
    let expected = [flow(1, 1, 32), flow(1, 2, 64), flow(1, 0, 0), flow(1, 1, 32)];
    for (rank, (once, _)) in sent.into_iter().enumerate() {
        let exchange = expected[rank];
        assert_eq!(once, Traffic { exchange, ..Traffic::default() }, "rank {rank}");
        assert_eq!((once.messages(), once.bytes()), (exchange.messages, exchange.bytes));
        assert_eq!(once.collectives(), 0);
    }
}

#[test]
fn messages_to_oneself_and_empty_ones_are_none() {
    let sent = counted(3, |comm, _| {
        // Rank r sends r bytes to the next rank, seven to itself, none to the one before.
        let rank = comm.rank();
        let mut send = vec![Vec::new(); 3];
        send[(rank + 1) % 3] = vec![1; rank];
        send[rank] = vec![2; 7];
        let came = comm.all_to_all(&send).unwrap();
        assert_eq!(came[(rank + 2) % 3].len(), (rank + 2) % 3);
    });
    for (rank, (_, traffic)) in sent.into_iter().enumerate() {
        let bytes = rank as u64;
        assert_eq!(traffic.all_to_all, flow(1, bytes.min(1), bytes));
        assert_eq!(traffic, Traffic { all_to_all: traffic.all_to_all, ..Traffic::default() });
    }
}

#[test]
fn gathers_count_what_a_rank_brings() {
    let sent = counted(3, |comm, counter| {
        let space = Space::new(comm.clone(), 2).unwrap();
        let x = [1.0, 2.0];
        let (mut three, mut all) = ([1.0; 3], [0.0; 6]);
        [
            during(counter, || comm.sum(&mut three).unwrap()),
            during(counter, || comm.max(&mut three).unwrap()),
            during(counter, || comm.gather_f64(&x, &mut all).unwrap()),
            during(counter, || comm.all_gather(&[1; 5][..comm.rank()]).unwrap()),
            // Two numbers for each compensated inner product.
            during(counter, || space.dots([(&x, &x), (&x, &x)]).unwrap()),
        ]
    });
    for (rank, (steps, total)) in sent.into_iter().enumerate() {
        let bytes = steps.map(|step| {
            assert_eq!(step, Traffic { gather: step.gather, ..Traffic::default() });
            assert_eq!((step.gather.calls, step.gather.messages), (1, 0));
            step.gather.bytes
        });
        assert_eq!(bytes, [24, 24, 16, 8 * rank as u64, 32]);
        // And one for the number of rows.
        assert_eq!(total.gather, flow(6, 0, 8 + bytes.iter().sum::<u64>()));
        assert_eq!(total.collectives(), 6);
    }
}

#[test]
fn status_words_are_told_apart_also_where_a_scope_fails() {
    let sent = counted(2, |comm, counter| {
        let well = during(counter, || {
            comm.scope(|| {
                comm.sum(&mut [1.0])?;
                comm.scope(|| comm.max(&mut [1.0; 2]))
            })
            .unwrap();
        });
        let badly = during(counter, || {
            let why = || Err(Error::Data("no!".into()));
            let mine: Result<()> = if comm.rank() == 1 { why() } else { Ok(()) };
            comm.agree(mine).unwrap_err();
        });
        (well, badly)
    });
    for (rank, ((well, badly), _)) in sent.into_iter().enumerate() {
        // Three words before each of two reductions, and at the end of each of two scopes.
        assert_eq!(well.status, flow(4, 0, 4 * 24));
        assert_eq!(well.gather, flow(2, 0, 8 + 16));
        // Then the message, a word a letter, from the rank that has one.
        let text = if rank == 1 { 8 * "no!".len() as u64 } else { 0 };
        assert_eq!(badly, Traffic { status: flow(2, 0, 24 + text), ..Traffic::default() });
    }
}

#[test]
fn duplicates_and_exchanges_count_together_and_a_single_rank_counts_nothing() {
    for size in [1, 2] {
        let sent = counted(size, |comm, counter| {
            let twin = comm.duplicate().unwrap();
            let before = counter.read();
            twin.sum(&mut [1.0]).unwrap();
            // Everyone sends its last two entries to everyone else: two uses of one exchange.
            let others = || (0..comm.size()).filter(|&r| r != comm.rank());
            let plan = HaloPlan {
                send: others().map(|r| (r, vec![1, 2])).collect(),
                recv: others().enumerate().map(|(k, r)| (r, 2 * k..2 * k + 2)).collect(),
            };
            let link = twin.exchange(plan).unwrap();
            let mut ghost = vec![0.0; 2 * (comm.size() - 1)];
            for _ in 0..2 {
                let token = link.start(&[0.0, 1.0, 2.0]).unwrap();
                link.finish(token, &mut ghost).unwrap();
            }
            let mut all = vec![vec![]; comm.size()];
            all[0] = vec![0; 9];
            comm.all_to_all(&all).unwrap();
            counter.read() - before
        });
        for (rank, (traffic, _)) in sent.into_iter().enumerate() {
            let expected = match size {
                1 => Traffic::default(),
                _ => Traffic {
                    exchange: flow(2, 2, 32),
                    all_to_all: if rank == 0 { flow(1, 0, 0) } else { flow(1, 1, 9) },
                    gather: flow(1, 0, 8),
                    status: Flow::default(),
                },
            };
            assert_eq!(traffic, expected, "rank {rank} of {size}");
        }
    }
}

#[test]
fn readings_add_up_and_travel_as_words() {
    let words: [u64; 12] = std::array::from_fn(|k| 1 + k as u64 * k as u64);
    let one = Traffic::from_words(&words);
    assert_eq!(one.to_words(), words);
    assert_eq!([one, one, one].into_iter().sum::<Traffic>(), one.times(3));
    assert_eq!(one.times(3) - one, one + one);
    assert_eq!(one.max(one.times(2)), one.times(2));
    assert_eq!(Kind::ALL.map(|kind| one[kind].calls), [words[0], words[3], words[6], words[9]]);
    assert_eq!(one.bytes(), words[2] + words[5] + words[8] + words[11]);
}

#[test]
fn counting_changes_no_bit_and_no_error() {
    let a = laplace(8);
    let b = vector(64);
    let solved = |wrap: bool| {
        threads::run(3, |comm| {
            let comm: Arc<dyn Communicator> = match wrap {
                true => Arc::new(Counted::new(comm)),
                false => comm,
            };
            let a: DistCsr = distribute(Comm::new(comm), starts(3, 64, false), &a).unwrap();
            run(METHODS[1], &a, &Scaled::jacobi(&a), own(&a, &b), &stop(1e-9)).unwrap()
        })
    };
    assert_eq!(solved(true), solved(false));
    let refused = counted(2, |comm, counter| {
        let plan = HaloPlan { send: vec![], recv: vec![(1 - comm.rank(), 0..1)] };
        let refused = comm.exchange(plan).map(|_| ()).unwrap_err();
        assert_eq!(counter.read(), Traffic::default());
        refused.to_string()
    });
    assert!(refused.iter().any(|(why, _)| why.contains("does not send what rank")), "{refused:?}");
}
