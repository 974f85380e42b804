//! New values on the same pattern.
use crate::common::*;
use precondor_plugin_spai::{Fsai, FsaiParams, Spai, SpaiParams};
use precondor_sdk::prelude::*;

/// The same places, other values; still symmetric positive definite.
fn other_values(a: &Csr) -> Csr {
    let view = a.view();
    let n = a.n_rows();
    let value = |i: usize, j: usize, v: f64| v * if i == j { 1.5 } else { 0.9 };
    let entries = (0..n).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, value(i, j, v))));
    csr(n, &entries.collect::<Vec<_>>())
}

fn check<G: Generator>(params: G::Params, others: &[G::Params])
where
    G::Params: Sync,
{
    let (a, b) = (poisson(9), other_values(&poisson(9)));
    let other_pattern = convection(9);
    for size in [1, 3] {
        on_ranks(size, &a, |system| {
            let comm = system.a().space().comm();
            // Every rank needs the other matrices on its own communicator.
            let on_same = |matrix: &Csr| {
                let (from, n) = (system.a().space().start() as usize, system.a().n_own());
                let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
                for i in from..from + n {
                    cols.extend(matrix.view().row(i).map(|(j, _)| j as u64));
                    values.extend(matrix.view().row_values(i));
                    row_ptr.push(cols.len() as u32);
                }
                let rows = DistCsr::from_rows(system.a().space(), &row_ptr, &cols, &values);
                System::new(rows.unwrap())
            };
            let (new, unlike) = (on_same(&b), on_same(&other_pattern));
            let mut m = comm.scope(|| G::generate(&params, &system)).unwrap();
            comm.scope(|| G::refresh(&mut m, &params, &new)).unwrap();
            let fresh = comm.scope(|| G::generate(&params, &new)).unwrap();
            assert_eq!(entries(&m, system.a().space()), entries(&fresh, system.a().space()));
            let r = vec![1.0; system.a().n_own()];
            let (mut z, mut y) = (vec![0.0; r.len()], vec![1.0; r.len()]);
            m.apply(&r, &mut z).unwrap();
            fresh.apply(&r, &mut y).unwrap();
            assert_eq!(z, y);
            assert!(m.notes()[0].contains("2 time(s) on a pattern set up once"), "{:?}", m.notes());
            assert!(fresh.notes()[0].contains("1 time(s)"), "{:?}", fresh.notes());

            let changed = comm.scope(|| G::refresh(&mut m, &params, &unlike));
            assert_eq!(changed, Err(Error::PatternChanged));
            for other in others {
                let changed = comm.scope(|| G::refresh(&mut m, other, &new));
                assert_eq!(changed, Err(Error::PatternChanged));
            }
        });
    }
}

#[test]
fn spai_reuses_its_pattern() {
    let power = |power| SpaiParams { power, ..SpaiParams::default() };
    let symmetrize = SpaiParams { symmetrize: true, ..power(2) };
    check::<Spai>(power(2), &[power(1), symmetrize.clone()]);
    check::<Spai>(symmetrize, &[power(2)]);
}

#[test]
fn fsai_reuses_its_pattern() {
    let power = |power| FsaiParams { power, ..FsaiParams::default() };
    check::<Fsai>(power(2), &[power(1)]);
}

#[test]
fn adaptive_fsai_grows_anew_for_new_values() {
    let (a, b) = (poisson(9), other_values(&poisson(9)));
    let params = FsaiParams { power: 0, steps: 5, ..FsaiParams::default() };
    let mut m = Fsai::generate(&params, &solo(&a)).unwrap();
    let before = explicit(&m);
    Fsai::refresh(&mut m, &params, &solo(&b)).unwrap();
    let said = &m.notes()[0];
    assert!(said.contains("2 time(s) on patterns grown from one set up once"), "{said}");
    let g = explicit(&m);
    assert_eq!(g, explicit(&Fsai::generate(&params, &solo(&b)).unwrap()));
    let pattern = |g: &[Vec<f64>]| -> Vec<bool> { g.concat().iter().map(|v| *v != 0.0).collect() };
    assert_ne!(pattern(&g), pattern(&before), "these values ask for another pattern");
    let fewer = FsaiParams { steps: 4, ..params.clone() };
    assert_eq!(Fsai::refresh(&mut m, &fewer, &solo(&b)), Err(Error::PatternChanged));
    let other = solo(&convection(9));
    assert_eq!(Fsai::refresh(&mut m, &params, &other), Err(Error::PatternChanged));
}

/// With a threshold, the pattern is that of the strong entries: it stays as long as they do.
#[test]
fn other_strong_entries_ask_for_another_pattern() {
    // Small where i + j leaves this rest, so symmetric.
    let weak = |rest: usize| {
        let a = poisson(9);
        let view = a.view();
        let value = |i: usize, j: usize, v: f64| match i != j && (i + j) % 4 == rest {
            true => 0.01 * v,
            false => v,
        };
        let row = |i: usize| view.row(i).map(move |(j, v)| (i, j, value(i, j, v)));
        csr(81, &(0..81).flat_map(row).collect::<Vec<_>>())
    };
    let (first, other) = (weak(1), weak(3));
    let spai = SpaiParams { threshold: 0.1, ..SpaiParams::default() };
    let mut m = Spai::generate(&spai, &solo(&first)).unwrap();
    for (a, said) in [(&other, "set up 2 times"), (&other, "set up 2 times"), (&first, "3 times")] {
        Spai::refresh(&mut m, &spai, &solo(a)).unwrap();
        assert_eq!(explicit(&m), explicit(&Spai::generate(&spai, &solo(a)).unwrap()));
        assert!(m.notes()[0].contains(said), "{:?}", m.notes());
    }
    let fsai = FsaiParams { threshold: 0.1, steps: 2, ..FsaiParams::default() };
    let mut m = Fsai::generate(&fsai, &solo(&first)).unwrap();
    for a in [&other, &first] {
        Fsai::refresh(&mut m, &fsai, &solo(a)).unwrap();
        assert_eq!(explicit(&m), explicit(&Fsai::generate(&fsai, &solo(a)).unwrap()));
    }
}

/// What was loaded has no pattern of A: the caller generates.
#[test]
fn a_loaded_inverse_asks_for_a_fresh_build() {
    let system = solo(&poisson(5));
    let bytes =
        Spai::save(&Spai::generate(&SpaiParams::default(), &system).unwrap(), 0..25).unwrap();
    let mut m = Spai::load(&bytes, &system).unwrap();
    let end = Spai::refresh(&mut m, &SpaiParams::default(), &system);
    assert_eq!(end, Err(Error::PatternChanged));
    let bytes =
        Fsai::save(&Fsai::generate(&FsaiParams::default(), &system).unwrap(), 0..25).unwrap();
    let mut m = Fsai::load(&bytes, &system).unwrap();
    let end = Fsai::refresh(&mut m, &FsaiParams::default(), &system);
    assert_eq!(end, Err(Error::PatternChanged));
    // A factor is no inverse.
    let error = Spai::load(&bytes, &system).err().unwrap().to_string();
    assert!(error.contains("it holds a factor, not an inverse"), "{error}");
}

#[test]
fn a_refreshed_transpose_is_that_of_the_new_values() {
    let (a, b) = (convection(5), other_values(&convection(5)));
    let params = SpaiParams::default();
    let mut m = Spai::generate(&params, &solo(&a)).unwrap();
    let r = vec![1.0; 25];
    let (mut before, mut after) = (vec![0.0; 25], vec![0.0; 25]);
    m.apply_transpose(&r, &mut before).unwrap();
    Spai::refresh(&mut m, &params, &solo(&b)).unwrap();
    m.apply_transpose(&r, &mut after).unwrap();
    let sums: Vec<f64> = transpose(&explicit(&m)).iter().map(|col| col.iter().sum()).collect();
    assert!(after.iter().zip(&sums).all(|(z, s)| (z - s).abs() < 1e-14));
    assert!(before.iter().zip(&after).any(|(x, y)| (x - y).abs() > 1e-3));
}
