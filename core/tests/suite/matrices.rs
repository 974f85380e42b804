//! Distributed matrices against the matrix they were cut from.
use crate::common::*;
use precondor_core::Error;
use precondor_core::comm::{Comm, HaloPlan, Solo, threads};
use precondor_core::matrix::{Csr, DistCsr, Space, dot_local};
use std::sync::Arc;

#[test]
fn rows_survive_the_distribution() {
    for a in [laplace(6), convection_diffusion(6), cyclic_shift(36)] {
        for (size, with_empty) in [1, 2, 3, 5].into_iter().flat_map(|s| [(s, false), (s, true)]) {
            let parts = on_ranks(size, with_empty, &a, |d| {
                assert!(d.ghost_ids().windows(2).all(|pair| pair[0] < pair[1]));
                assert_eq!(d.nnz_global().unwrap(), a.nnz() as u64);
                assert_eq!(d.n_global(), 36);
                assert_eq!(d.nnz_own(), d.own().nnz() + d.ghost().nnz());
                let row = |i| (d.global_row(i), d.global_entries(i).collect::<Vec<_>>());
                let diagonals: Vec<f64> = (0..d.n_own()).map(|i| d.diagonal(i)).collect();
                ((0..d.n_own()).map(row).collect::<Vec<_>>(), diagonals)
            });
            let rows: Vec<_> = parts.iter().flat_map(|(rows, _)| rows.clone()).collect();
            assert_eq!(rows.len(), 36);
            for (i, (global, row)) in rows.into_iter().enumerate() {
                assert_eq!(global, i as u64);
                let expected: Vec<_> = a.view().row(i).map(|(j, v)| (j as u64, v)).collect();
                assert_eq!(row, expected);
            }
            let diagonals: Vec<f64> = parts.into_iter().flat_map(|(_, d)| d).collect();
            let expected: Vec<f64> = (0..36).map(|i| a.view().get(i, i)).collect();
            assert_eq!(diagonals, expected);
        }
    }
}

#[test]
fn products_have_the_same_bits_on_any_number_of_threads() {
    let a = convection_diffusion(200);
    let x: Vec<f64> = (0..a.n_rows()).map(|i| (0.37 * i as f64).sin()).collect();
    for size in [1, 2] {
        on_ranks(size, false, &a, |a| {
            let from = a.space().start() as usize;
            let x = &x[from..from + a.n_own()];
            let (mut one, mut three) = (vec![0.0; x.len()], vec![f64::NAN; x.len()]);
            a.spmv(x, &mut one).unwrap();
            a.clone().with_host(Arc::new(ThreeThreads)).spmv(x, &mut three).unwrap();
            assert_eq!(one, three);
        });
    }
}

#[test]
fn exchanged_entries_are_the_owners() {
    let a = laplace(6);
    let x: Vec<f64> = (0..36).map(f64::from).collect();
    for size in [1, 2, 3, 5] {
        on_ranks(size, true, &a, |a| {
            for _ in 0..3 {
                let mut ghost = vec![f64::NAN; a.ghost_ids().len()];
                let token = a.exchange_start(own(&a, &x)).unwrap();
                a.exchange_finish(token, &mut ghost).unwrap();
                let expected: Vec<f64> = a.ghost_ids().iter().map(|&g| g as f64).collect();
                assert_eq!(ghost, expected);
            }
        });
    }
}

#[test]
fn two_matrices_do_not_mix_their_messages() {
    let (a, b) = (laplace(6), cyclic_shift(36));
    let x = vector(36);
    let got = threads::run(3, |comm| {
        let comm = Comm::new(comm);
        let a = distribute(comm.clone(), starts(3, 36, false), &a).unwrap();
        let b = distribute(comm, starts(3, 36, true), &b).unwrap();
        let (mut y, mut z) = (vec![0.0; a.n_own()], vec![0.0; b.n_own()]);
        let mut ghost = vec![0.0; a.ghost_ids().len()];
        let token = a.exchange_start(own(&a, &x)).unwrap();
        b.spmv(own(&b, &x), &mut z).unwrap();
        a.exchange_finish(token, &mut ghost).unwrap();
        a.spmv(own(&a, &x), &mut y).unwrap();
        (y, z)
    });
    let y: Vec<f64> = got.iter().flat_map(|(y, _)| y.clone()).collect();
    let z: Vec<f64> = got.iter().flat_map(|(_, z)| z.clone()).collect();
    assert_eq!((y, z), (times(&a, &x), times(&b, &x)));
}

#[test]
fn other_values_on_the_same_pattern_share_its_halo() {
    let (a, x) = (laplace(6), vector(36));
    let doubled = |v: &[f64]| v.iter().map(|v| 2.0 * v).collect::<Vec<_>>();
    let got = on_ranks(3, true, &a, |a| {
        assert!(a.first_unsymmetric().unwrap().is_none());
        let (own_values, ghost_values) = (a.own().view().values, a.ghost().view().values);
        let twice = a.with_values(doubled(own_values), doubled(ghost_values)).unwrap();
        let mut y = vec![0.0; a.n_own()];
        twice.spmv(own(&a, &x), &mut y).unwrap();
        let short = a.with_values(vec![1.0; own_values.len() + 1], ghost_values.to_vec());
        assert!(short.unwrap_err().to_string().contains("values for"));
        // What was found out about the one is not believed of the other.
        let rising = (0..own_values.len()).map(|k| k as f64).collect();
        let other = twice.clone().with_values(rising, ghost_values.to_vec()).unwrap();
        assert!(other.first_unsymmetric().unwrap().is_some());
        y
    });
    assert_eq!(got.concat(), doubled(&times(&a, &x)));
}

#[test]
fn inner_products_are_as_good_as_twice_the_precision() {
    // Cancelling terms in an order that plain summation gets wrong, cut in all ways.
    let (big, n) = (1e16, 100);
    let x: Vec<f64> = (0..n).map(|i| [big, 1.0, -big, 1.0][i % 4]).collect();
    let ones = vec![1.0; n];
    for length in 0..n {
        let exact: f64 = (0..length).map(|i| [0.0, 1.0, 0.0, 1.0][i % 4]).sum::<f64>()
            + if matches!(length % 4, 1 | 2) { big } else { 0.0 };
        let [hi, lo] = dot_local(&x[..length], &ones[..length]);
        assert_eq!(hi + lo, exact, "{length}");
    }
    for size in [2, 3, 5] {
        let sums = threads::run(size, |comm| {
            let space = Space::from_starts(Comm::new(comm), starts(size, n, true)).unwrap();
            let from = space.start() as usize;
            let mine = &x[from..from + space.n_own()];
            space.dots([(mine, &ones[..mine.len()]), (mine, mine)]).unwrap()[0]
        });
        assert!(sums.iter().all(|s| *s == 50.0), "{sums:?}");
    }
}

#[test]
fn spaces_know_who_owns_what() {
    threads::run(3, |comm| {
        let rank = comm.rank();
        let comm = Comm::new(comm);
        let space = Space::new(comm.clone(), [4, 0, 3][rank]).unwrap();
        assert_eq!((space.starts(), space.n_global()), (&[0, 4, 4, 7][..], 7));
        let owners: Vec<usize> = (0..7).map(|row| space.owner(row)).collect();
        assert_eq!(owners, [0, 0, 0, 0, 2, 2, 2]);
        assert_eq!(Space::even(comm.clone(), 8).starts(), [0, 3, 6, 8]);
        for bad in [vec![0, 4, 7], vec![1, 2, 3, 7], vec![0, 5, 4, 7]] {
            assert!(matches!(Space::from_starts(comm.clone(), bad), Err(Error::Data(_))));
        }
    });
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let rectangle = Csr::new(3, vec![0, 0, 0], vec![], vec![]).unwrap();
    let not_square = DistCsr::solo(rectangle).unwrap_err();
    assert_eq!(not_square.to_string(), "the matrix is 2×3; it must be square");
    threads::run(2, |comm| {
        let space = Space::new(Comm::new(comm), 2).unwrap();
        let block = |cols| Csr::new(cols, vec![0, 0, 0], vec![], vec![]).unwrap();
        let build = |own, ghost, ids: &[u64]| {
            let (own, ghost): (Csr, Csr) = (block(own), block(ghost));
            DistCsr::from_parts(own, ghost, ids.to_vec(), Arc::clone(&space), Arc::new(Solo))
        };
        let others = if space.start() == 0 { [2, 3] } else { [0, 1] };
        build(2, 2, &others).unwrap();
        for (own, ghost, ids, word) in [
            (3, 2, &others[..], "do not make 2 rows"),
            (2, 1, &others, "do not make 2 rows"),
            (2, 2, &[others[1], others[0]], "must be increasing"),
            (2, 1, &[space.start()], "must be increasing numbers of the other ranks' rows"),
            (2, 1, &[4], "must be increasing numbers"),
        ] {
            let e = build(own, ghost, ids).unwrap_err();
            assert!(e.to_string().contains(word), "{e}");
        }
    });
    let plan = HaloPlan { send: vec![], recv: vec![(0, 0..1)] };
    use precondor_core::comm::Communicator;
    assert!(matches!(Solo.exchange(plan).map(|_| ()), Err(Error::Data(_))));
}
