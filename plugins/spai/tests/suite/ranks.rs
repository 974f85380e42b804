//! The same numbers on any number of ranks, and failures that reach all of them.
use crate::common::*;
use precondor_plugin_spai::{Fsai, FsaiParams, Spai, SpaiParams};
use precondor_sdk::prelude::*;

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

fn compare<G: Generator>(params: &G::Params, a: &Csr, what: &str)
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
        for (threshold, symmetrise) in [(0.0, false), (0.18, false), (0.0, true)] {
            let params = SpaiParams { power, threshold, symmetrise };
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
