//! The same numbers on any number of ranks, and failures that reach all of them.
use crate::common::*;
use precondor_plugin_spai::{Fsai, FsaiParams, Spai, SpaiParams};
use precondor_sdk::core::comm::count::Counted;
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::prelude::*;
use std::sync::Arc;

/// M's entries on `size` ranks, what it makes of a vector, and what its transpose does.
#[allow(clippy::type_complexity)]
fn results<G: Generator>(
    params: &G::Params,
    a: &Csr,
    size: usize,
) -> (Vec<(u64, u64, u64)>, Vec<u64>, Vec<f64>)
where
    G::Params: Sync,
{
    let parts = on_ranks(size, a, |system| {
        let space = system.a().space();
        let m = space.comm().scope(|| G::generate(params, &system)).unwrap();
        let r: Vec<f64> =
            (0..space.n_own()).map(|i| (0.3 * (space.start() + i as u64) as f64).sin()).collect();
        let (mut z, mut zt) = (vec![f64::NAN; r.len()], vec![f64::NAN; r.len()]);
        m.apply(&r, &mut z).unwrap();
        m.apply_transpose(&r, &mut zt).unwrap();
        (entries(&m, space), z.iter().map(|z| z.to_bits()).collect::<Vec<_>>(), zt)
    });
    let mut all = (Vec::new(), Vec::new(), Vec::new());
    for (entries, z, zt) in parts {
        all.0.extend(entries);
        all.1.extend(z);
        all.2.extend(zt);
    }
    all
}

pub fn compare<G: Generator>(params: &G::Params, a: &Csr, what: &str)
where
    G::Params: Sync,
{
    let one = results::<G>(params, a, 1);
    for size in [2, 3, 5] {
        let many = results::<G>(params, a, size);
        assert_eq!(one.0, many.0, "entries of {what} on {size} ranks");
        assert_eq!(one.1, many.1, "products with {what} on {size} ranks");
        let close = |(x, y): (&f64, &f64)| (x - y).abs() < 1e-13;
        assert!(one.2.iter().zip(&many.2).all(close), "transpose of {what} on {size} ranks");
    }
}

#[test]
fn spai_is_bitwise_the_same() {
    let matrices = [poisson(12), convection(12)];
    for (a, power) in matrices.iter().flat_map(|a| [0, 1, 2, 4].map(|power| (a, power))) {
        for (threshold, symmetrize) in [(0.0, false), (0.18, false), (0.0, true)] {
            let params = SpaiParams { power, threshold, symmetrize, ..SpaiParams::default() };
            compare::<Spai>(&params, a, &format!("{params:?}"));
        }
    }
}

#[test]
fn fsai_is_bitwise_the_same() {
    let a = poisson(12);
    for (power, threshold) in [(0, 0.0), (1, 0.0), (2, 0.0), (4, 0.0), (2, 0.18)] {
        let params = FsaiParams { power, threshold, ..FsaiParams::default() };
        compare::<Fsai>(&params, &a, &format!("{params:?}"));
    }
}

#[test]
fn adaptive_fsai_is_bitwise_the_same() {
    let a = poisson(12);
    let all = [(0, 6, 1, 0.0), (1, 3, 2, 0.05), (2, 2, 4, 0.0), (0, 40, 3, 0.0), (2, 0, 1, 0.05)];
    for (power, steps, growth, filter) in all {
        let params = FsaiParams { power, steps, growth, filter, ..FsaiParams::default() };
        compare::<Fsai>(&params, &a, &format!("{params:?}"));
    }
}

#[test]
fn powers_that_reach_every_rank_are_exact() {
    let a = poisson(5);
    let exact = inverse(&dense(&a));
    let (entries, ..) = results::<Spai>(&SpaiParams { power: 8, ..Default::default() }, &a, 5);
    assert_eq!(entries.len(), 625);
    for (i, j, bits) in entries {
        assert!((f64::from_bits(bits) - exact[i as usize][j as usize]).abs() < 1e-12);
    }
}

#[test]
fn a_row_that_fails_on_one_rank_fails_on_all() {
    let a = poisson(6);
    let spoiled = |row: usize, value: f64| {
        let view = a.view();
        let entries = (0..36).flat_map(|i| {
            view.row(i).map(move |(j, v)| (i, j, if i == row && j == row { value } else { v }))
        });
        csr(36, &entries.collect::<Vec<_>>())
    };
    for row in [0, 17, 35] {
        for size in [1, 2, 3, 5] {
            let said = on_ranks(size, &spoiled(row, f64::NAN), |system| {
                let spai = || Spai::generate(&SpaiParams::default(), &system).map(|_| ());
                system.a().space().comm().scope(spai).unwrap_err().to_string()
            });
            assert!(said.iter().all(|s| s.contains(&format!("global row {row}:"))), "{said:?}");
            let said = on_ranks(size, &spoiled(row, -1.0), |system| {
                let fsai = || Fsai::generate(&FsaiParams::default(), &system).map(|_| ());
                system.a().space().comm().scope(fsai).unwrap_err().to_string()
            });
            assert!(said.iter().all(|s| s.contains("not positive definite")), "{said:?}");
        }
    }
}

/// How often all ranks send each other messages in a setup, and in a refresh after it.
fn exchanges<G: Generator>(params: &G::Params, a: &Csr, size: usize) -> [u64; 2]
where
    G::Params: Sync,
{
    let counts = threads::run(size, |world| {
        let counted = Counted::new(world);
        let counter = counted.counter();
        let system = distributed(Comm::new(Arc::new(counted)), a);
        let calls = || counter.read().all_to_all.calls;
        let comm = system.a().space().comm();
        let start = calls();
        let mut m = comm.scope(|| G::generate(params, &system)).unwrap();
        let set_up = calls();
        comm.scope(|| G::refresh(&mut m, params, &system)).unwrap();
        [set_up - start, calls() - set_up]
    });
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    counts[0]
}

#[test]
fn rows_come_in_one_exchange_whatever_the_pattern() {
    // Blocks of four rows of the grid each: four steps end in the next block.
    let a = poisson(12);
    let spai = |power, threshold, symmetrize, size| {
        let params = SpaiParams { power, threshold, symmetrize, ..SpaiParams::default() };
        exchanges::<Spai>(&params, &a, size)
    };
    let fsai = |power, threshold, steps, filter, size| {
        let params = FsaiParams { power, threshold, steps, filter, ..FsaiParams::default() };
        exchanges::<Fsai>(&params, &a, size)
    };
    // Requests, replies, and who needs which entries of a vector. FSAI transposes G and has two such plans;
    // its setup looks whether A is symmetric, which is known then.
    let (inverse, factor) = ([2 + 1, 2 + 1], [2 + 3 + 1, 2 + 3]);
    // The symmetric part takes a transpose, whose plan is another one, and has a plan of its own.
    let symmetric = [2 + 4, 2 + 4];
    for power in 1..=4 {
        assert_eq!(spai(power, 0.0, false, 3), inverse, "SPAI, power {power}");
        assert_eq!(spai(power, 0.0, true, 3), symmetric, "symmetrized SPAI, power {power}");
        assert_eq!(fsai(power, 0.0, 0, 0.0, 3), factor, "FSAI, power {power}");
        assert_eq!(fsai(power, 0.0, 0, 0.05, 3), factor, "filtered FSAI, power {power}");
        assert_eq!(fsai(0, 0.0, power, 0.0, 3), factor, "adaptive FSAI, {power} steps");
    }
    assert_eq!(fsai(2, 0.0, 2, 0.05, 3), factor, "adaptive FSAI from a power");
    // With a threshold the strong entries are a matrix of their own, with a plan; their powers are searched
    // in an exchange before that of the values.
    let more = |[set_up, again]: [u64; 2], exchanges| [set_up + exchanges + 1, again + 1];
    assert_eq!(spai(1, 0.18, false, 3), more(inverse, 0));
    assert_eq!(spai(3, 0.18, false, 3), more(inverse, 2));
    assert_eq!(fsai(3, 0.18, 0, 0.0, 3), more(factor, 2));
    // Five steps reach the block after the next one, which costs another round of two; eight on five ranks
    // cross two blocks at most and cost two more, not seven.
    assert_eq!(spai(5, 0.0, false, 3), [inverse[0] + 2, inverse[1]]);
    assert_eq!(spai(8, 0.0, false, 5), [inverse[0] + 4, inverse[1]]);
}

/// Asks for the end of a setup after so many steps, on one rank.
struct Asks {
    rank_asks: bool,
    steps: std::sync::atomic::AtomicUsize,
    after: usize,
}

impl precondor_sdk::core::host::Host for Asks {
    fn inner(
        &self,
        _: &str,
        _: &precondor_sdk::serde_json::Value,
        _: &System,
    ) -> Result<Box<dyn precondor_sdk::core::instance::Instance>> {
        Err(Error::Parameter("no methods".into()))
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        Err(Error::file(path, "no files"))
    }
    fn log(&self, _: precondor_sdk::core::host::Level, _: &str) {}
    fn cancelled(&self) -> bool {
        let done = self.steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.rank_asks && done >= self.after
    }
}

fn stops<G: Generator>(params: &G::Params)
where
    G::Params: Sync,
{
    let a = poisson(12);
    for (size, after) in [(1, 0), (1, 1), (3, 0), (3, 1), (5, 0)] {
        let last = size - 1;
        let ends = on_ranks(size, &a, |system| {
            let comm = system.a().space().comm().clone();
            let rank_asks = comm.rank() == last;
            let steps = Default::default();
            let system = system.with_host(Arc::new(Asks { rank_asks, steps, after }));
            comm.scope(|| G::generate(params, &system)).err()
        });
        for (rank, end) in ends.into_iter().enumerate() {
            let elsewhere = Error::Elsewhere { rank: last, message: "interrupted".into() };
            let right = if rank == last { Error::Interrupted } else { elsewhere };
            assert_eq!(end, Some(right), "rank {rank} of {size}, after {after} steps");
        }
    }
}

#[test]
fn a_setup_that_one_rank_is_asked_to_end_ends_on_all() {
    stops::<Spai>(&SpaiParams { power: 2, ..SpaiParams::default() });
    stops::<Fsai>(&FsaiParams { power: 2, ..FsaiParams::default() });
    stops::<Fsai>(&FsaiParams { steps: 2, ..FsaiParams::default() });
}
