//! What every world of ranks must do, told from inside one rank: ranks as threads are held to it
//! beside this file, MPI in its binding.
use crate::suite::*;
use precondor_core::comm::{Comm, Communicator, HaloPlan};
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::solver::Outcome;
use precondor_core::{Error, Result};

/// A property of a world, checked on every rank; it leaves the communicator usable.
pub type Property = fn(&Comm);

/// All of them.
pub const PROPERTIES: [(&str, Property); 13] = [
    ("what the collectives compute", what_the_collectives_compute),
    ("long lists", long_lists),
    ("exchanges side by side", exchanges_side_by_side),
    ("an exchange left unfinished is forgotten", an_exchange_left_unfinished_is_forgotten),
    ("a rank that fails frees the others", a_rank_that_fails_frees_the_others),
    ("failures in nested scopes", failures_in_nested_scopes),
    (
        "a handled failure leaves the outer scope alive",
        a_handled_failure_leaves_the_outer_scope_alive,
    ),
    ("failures reach ranks busy in a duplicate", failures_reach_ranks_busy_in_a_duplicate),
    ("several failures keep their messages", several_failures_keep_their_messages),
    ("ranks in different collectives are told", ranks_in_different_collectives_are_told),
    ("what does not fit together is refused on all ranks", what_does_not_fit_together_is_refused),
    ("a bad row is named on all ranks", a_bad_row_is_named_on_all_ranks),
    ("solvers give the bits of one rank", solvers_give_the_bits_of_one_rank),
];

/// A ring: every rank sends its first entry to the next one.
pub fn ring(comm: &dyn Communicator) -> HaloPlan {
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

fn what_the_collectives_compute(comm: &Comm) {
    let size = comm.size();
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
        let mut x = [rank as f64, if rank + 1 == size { f64::NAN } else { 0.0 }];
        comm.max(&mut x).unwrap();
        assert!(x[0] == (size - 1) as f64 && x[1].is_nan());
        let exchange = comm.exchange(ring(&comm)).unwrap();
        for round in 0..3 {
            let mut ghost = [f64::NAN];
            let token = exchange.start(&[(10 * round + rank) as f64]).unwrap();
            assert!(exchange.finish(token + 1, &mut ghost).is_err());
            exchange.finish(token, &mut ghost).unwrap();
            assert_eq!(ghost[0], (10 * round + (rank + size - 1) % size) as f64);
            assert!(exchange.finish(token, &mut ghost).is_err(), "finished twice");
        }
    }
}

fn long_lists(comm: &Comm) {
    // Lengths around the sizes at which an implementation may change its ways; none at all from
    // every third rank.
    let length = |r: usize, n: usize| if r % 3 == 2 { 0 } else { n + r };
    for n in [0, 5, 6, 7, 8, 1000] {
        let list = |r: usize| (0..length(r, n)).map(|k| (100 * k + r) as u64).collect::<Vec<_>>();
        let expected: Vec<_> = (0..comm.size()).map(list).collect();
        assert_eq!(comm.all_gather(&list(comm.rank())).unwrap(), expected);
        let bytes = |from: usize, to: usize| {
            (0..length(from + to, 9 * n)).map(|k| (k + 7 * from + 3 * to) as u8).collect::<Vec<_>>()
        };
        let send: Vec<_> = (0..comm.size()).map(|to| bytes(comm.rank(), to)).collect();
        let expected: Vec<_> = (0..comm.size()).map(|from| bytes(from, comm.rank())).collect();
        assert_eq!(comm.all_to_all(&send).unwrap(), expected);
    }
}

fn exchanges_side_by_side(comm: &Comm) {
    let links: Vec<_> = (0..3).map(|_| comm.exchange(ring(comm)).unwrap()).collect();
    let (rank, before) = (comm.rank(), (comm.rank() + comm.size() - 1) % comm.size());
    let value = |rank: usize, k: usize| (10 * rank + k) as f64;
    let mut tokens = Vec::new();
    for (k, link) in links.iter().enumerate() {
        tokens.push(link.start(&[value(rank, k)]).unwrap());
    }
    // The other way round than they were started.
    for k in (0..links.len()).rev() {
        let mut ghost = [f64::NAN];
        links[k].finish(tokens[k], &mut ghost).unwrap();
        assert_eq!(ghost[0], value(before, k));
    }
}

fn an_exchange_left_unfinished_is_forgotten(comm: &Comm) {
    let link = comm.exchange(ring(comm)).unwrap();
    let (rank, before) = (comm.rank(), (comm.rank() + comm.size() - 1) % comm.size());
    for round in 0..3 {
        let failed = comm.scope(|| {
            link.start(&[f64::NAN])?;
            comm.agree(match comm.rank() {
                0 => Err(Error::Data("no way on".into())),
                _ => Ok(()),
            })
        });
        assert!(failed.is_err());
        let mut ghost = [f64::NAN];
        let token = link.start(&[(10 * round + rank) as f64]).unwrap();
        link.finish(token, &mut ghost).unwrap();
        assert_eq!(ghost[0], (10 * round + before) as f64);
    }
    // Nor does it matter that the exchange itself goes.
    link.start(&[1.0]).unwrap();
    drop(link);
    comm.sum(&mut [1.0]).unwrap();
}

/// What rank `rank` gets where `guilty` fails with `own` and the others are told `message`.
fn expected<T>(rank: usize, guilty: usize, own: Error, message: &str) -> Result<T> {
    Err(match rank == guilty {
        true => own,
        false => Error::Elsewhere { rank: guilty, message: message.into() },
    })
}

fn a_rank_that_fails_frees_the_others(comm: &Comm) {
    let (rank, size) = (comm.rank(), comm.size());
    for (name, operation) in OPERATIONS {
        for (guilty, panics) in (0..size).flat_map(|r| [(r, false), (r, true)]) {
            let first: Result<()> = comm.scope(|| {
                comm.sum(&mut [1.0])?;
                if rank == guilty {
                    assert!(!panics, "no way on");
                    return Err(Error::breakdown(3, "no way on"));
                }
                operation(comm)?;
                // A dead scope does not communicate.
                comm.sum(&mut [1.0])
            });
            // Whoever comes after finds everything in order.
            let next = comm.scope(|| operation(comm)).and_then(|()| operation(comm));
            assert_eq!(next, Ok(()), "{name}");
            let told = match panics {
                false => expected(
                    rank,
                    guilty,
                    Error::breakdown(3, "no way on"),
                    "global row 3: no way on",
                ),
                true => {
                    let own = Error::Panicked("no way on".into());
                    expected(rank, guilty, own, "panicked: no way on")
                }
            };
            assert_eq!(first, told, "{name} on {size} ranks, {guilty} fails");
        }
    }
}

/// Scopes within scopes, of which one may fail at its start.
fn nest(comm: &Comm, level: usize, depth: usize, fails: Option<usize>) -> Result<()> {
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

fn failures_in_nested_scopes(comm: &Comm) {
    // One rank fails outside while others are inside already, and the reverse.
    for (guilty, at, depth) in (0..comm.size().min(3))
        .flat_map(|r| (0..4).flat_map(move |at| (0..4).map(move |depth| (r, at, depth))))
    {
        let fails = (comm.rank() == guilty).then_some(at);
        let result = nest(comm, 0, depth, fails);
        comm.sum(&mut [1.0]).unwrap();
        let text = format!("at level {at}");
        let told = match at > depth {
            true => Ok(()),
            false => expected(comm.rank(), guilty, Error::Data(text.clone()), &text),
        };
        assert_eq!(result, told, "rank {guilty} fails at {at} of {depth}");
    }
}

fn a_handled_failure_leaves_the_outer_scope_alive(comm: &Comm) {
    let result = comm.scope(|| {
        let tried = comm.scope(|| match comm.rank() + 1 == comm.size() {
            true => Err(Error::Unsupported("not this way".into())),
            false => comm.sum(&mut [1.0]),
        });
        assert!(tried.is_err());
        let mut x = [1.0];
        comm.sum(&mut x)?;
        Ok(x[0])
    });
    assert_eq!(result, Ok(comm.size() as f64));
}

fn failures_reach_ranks_busy_in_a_duplicate(comm: &Comm) {
    let guilty = comm.size() - 1;
    let result = comm.scope(|| {
        let other = comm.duplicate()?;
        if comm.rank() == guilty {
            return Err(Error::Data("late".into()));
        }
        other.scope(|| other.all_gather(&[1]).map(|_| ()))
    });
    assert_eq!(result, expected(comm.rank(), guilty, Error::Data("late".into()), "late"));
}

fn several_failures_keep_their_messages(comm: &Comm) {
    let (rank, fail) = (comm.rank(), |rank: usize| rank % 3 == 1);
    let own = |rank: usize| Error::Data(format!("mine, {rank}"));
    let result = comm.agree(if fail(rank) { Err(own(rank)) } else { Ok("fine") });
    let told = match (comm.size() > 1, fail(rank)) {
        (false, _) => Ok("fine"),
        (true, true) => Err(own(rank)),
        (true, false) => Err(Error::Elsewhere { rank: 1, message: "mine, 1".into() }),
    };
    assert_eq!(result, told);
}

fn ranks_in_different_collectives_are_told(comm: &Comm) {
    if comm.size() == 1 {
        return;
    }
    // The name of the collective that an operation begins with.
    let first = |k: usize| match k {
        4 => OPERATIONS[3].0,
        8 => OPERATIONS[5].0,
        _ => OPERATIONS[k].0,
    };
    for (i, j) in (0..OPERATIONS.len()).flat_map(|i| (0..i).map(move |j| (i, j))) {
        if first(i) == first(j) {
            continue;
        }
        let k = if comm.rank() == 1 { i } else { j };
        let mixed = comm.scope(|| (OPERATIONS[k].1)(comm));
        comm.scope(|| comm.sum(&mut [1.0])).unwrap();
        let (a, b) = (OPERATIONS[i].0, OPERATIONS[j].0);
        let told = matches!(&mixed, Err(Error::Comm(why)) if why.contains("ranks disagree"));
        assert!(told, "{a} and {b}: {mixed:?}");
    }
}

fn what_does_not_fit_together_is_refused(comm: &Comm) {
    let (rank, size) = (comm.rank(), comm.size());
    if size == 1 {
        return;
    }
    let odd = rank == 1;
    let text = |e: Error| e.to_string();
    let n = if odd { 2 } else { 1 };
    let lengths = comm.gather_f64(&vec![0.0; n], &mut vec![0.0; size * n]).map_err(text);
    assert!(lengths.clone().unwrap_err().contains("different numbers of values"), "{lengths:?}");
    // Rank 1 has one message too many.
    let messages = comm.all_to_all(&vec![vec![]; size + usize::from(odd)]).map_err(text);
    assert!(messages.clone().unwrap_err().contains("message"), "{messages:?}");
    // Rank 1 expects what rank 0 does not send; rank 0 sends what nobody expects; too few.
    let plans = [
        (HaloPlan { send: vec![], recv: vec![(0, 0..4)] }, HaloPlan::default()),
        (HaloPlan::default(), HaloPlan { send: vec![(1, vec![0])], recv: vec![] }),
        (
            HaloPlan { send: vec![], recv: vec![(0, 0..4)] },
            HaloPlan { send: vec![(1, vec![0, 1])], recv: vec![] },
        ),
    ];
    for (on_1, on_0) in plans {
        let plan = match rank {
            0 => on_0,
            1 => on_1,
            _ => HaloPlan::default(),
        };
        let told = comm.exchange(plan.clone()).map(|_| ()).map_err(text);
        let text = told.expect_err("plans that do not fit");
        assert_eq!(text.contains("rank 1 failed"), !odd, "{text}");
        assert_eq!(text.contains("rank 0 "), odd, "{text}");
    }
    comm.sum(&mut [1.0]).unwrap();
}

fn a_bad_row_is_named_on_all_ranks(comm: &Comm) {
    let n = 2 * comm.size() as u64;
    for guilty in 0..comm.size() {
        for (row, why) in [
            (vec![0, n - 1, n - 2], format!("column {} follows column {}", n - 2, n - 1)),
            (vec![1, 1], "column 1 follows column 1; sort columns".into()),
            (vec![0, n], format!("column {n} of a matrix with {n} columns")),
        ] {
            let space = Space::new(comm.clone(), 2).unwrap();
            let start = space.start();
            let (mut ptr, mut cols) = (vec![0, 1, 2], vec![start, start + 1]);
            if comm.rank() == guilty {
                cols = vec![start];
                cols.extend(&row);
                ptr[2] = cols.len() as u32;
            }
            let made = DistCsr::from_rows(&space, &ptr, &cols, &vec![1.0; cols.len()]);
            let text = made.unwrap_err().to_string();
            let names = format!("global row {}: {why}", 2 * guilty + 1);
            assert!(text.contains(&names), "{text}");
            assert_eq!(text.contains("failed"), comm.rank() != guilty, "{text}");
        }
    }
}

fn solvers_give_the_bits_of_one_rank(comm: &Comm) {
    for (a, methods) in [(laplace(12), &METHODS[1..]), (convection_diffusion(12), &METHODS[4..])] {
        let (n, b) = (a.n_rows(), vector(a.n_rows()));
        let alone = DistCsr::solo(a.clone()).unwrap();
        for &method in methods {
            let (one, x) = run(method, &alone, &Scaled::jacobi(&alone), &b, &stop(1e-8)).unwrap();
            assert_eq!(one.outcome, Outcome::Converged, "{method:?}");
            for with_empty in [false, true] {
                let starts = starts(comm.size(), n, with_empty);
                let a = distribute(comm.clone(), starts, &a).unwrap();
                let m = Scaled::jacobi(&a);
                let (report, mine) = run(method, &a, &m, own(&a, &b), &stop(1e-8)).unwrap();
                assert_eq!((&report, &*mine), (&one, own(&a, &x)), "{method:?}");
            }
        }
    }
}
