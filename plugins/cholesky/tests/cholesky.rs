//! Solves are exact, what is not positive definite is refused; without the factorisation, setting up
//! says how to get it.
#![allow(clippy::unwrap_used)]
use precondor_plugin_cholesky::{Cholesky, Params};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::prelude::*;

fn poisson(level: u32) -> System {
    let problem = Problem::Poisson(Poisson { seed: 8, ..Poisson::at_level(level) });
    problem.generate(Comm::solo()).unwrap().0
}

#[cfg(not(feature = "faer"))]
#[test]
fn a_build_without_the_factorisation_says_how_to_get_it() {
    let why = Cholesky::generate(&Params::default(), &poisson(3)).err().unwrap();
    assert!(matches!(why, Error::Unsupported(_)));
    assert!(why.to_string().ends_with("`cargo build --release --features cholesky`"), "{why}");
}

#[cfg(feature = "faer")]
#[test]
fn solves_are_exact_and_refreshed_with_new_values() {
    let system = poisson(6);
    let a = system.a();
    let x: Vec<f64> = (0..a.n_own()).map(|i| (i as f64).sin()).collect();
    let (mut r, mut z) = (vec![0.0; x.len()], vec![f64::NAN; x.len()]);
    let mut m = Cholesky::generate(&Params::default(), &system).unwrap();
    a.spmv(&x, &mut r).unwrap();
    m.apply(&r, &mut z).unwrap();
    let gap = |z: &[f64]| x.iter().zip(z).fold(0.0, |g: f64, (x, z)| g.max((x - z).abs()));
    assert!(gap(&z) < 1e-11, "{:e}", gap(&z));
    // A factor of a plane mesh has a few times log₂ n numbers a row.
    let per_row = m.stored_entries() as f64 / x.len() as f64;
    assert!((7.0..60.0).contains(&per_row), "{per_row}");
    assert!(m.notes()[0].ends_with("numbers a row stored in the factor"));

    let doubled: Vec<f64> = a.own().view().values.iter().map(|v| 2.0 * v).collect();
    let doubled = System::new(a.with_values(doubled, vec![]).unwrap());
    Cholesky::refresh(&mut m, &Params::default(), &doubled).unwrap();
    m.apply(&r, &mut z).unwrap();
    z.iter_mut().for_each(|z| *z *= 2.0);
    assert!(gap(&z) < 1e-11, "{:e}", gap(&z));
    let other = Cholesky::refresh(&mut m, &Params::default(), &poisson(5));
    assert_eq!(other, Err(Error::PatternChanged));
}

#[cfg(feature = "faer")]
#[test]
fn what_is_not_positive_definite_is_refused() {
    let diagonal = (0..9).map(|i| (i, i, if i == 4 { -1.0 } else { 1.0 })).collect::<Vec<_>>();
    let a = DistCsr::solo(Csr::from_triplets(9, 9, diagonal).unwrap()).unwrap();
    let why = Cholesky::generate(&Params::default(), &System::new(a)).err().unwrap().to_string();
    assert!(why.starts_with("the matrix is not positive definite: a pivot"), "{why}");
}

#[cfg(feature = "faer")]
#[test]
fn orderings_change_the_size_of_the_factor_and_nothing_else() {
    use precondor_sdk::core::kernel::ordering::Ordering;
    let system = poisson(5);
    let a = system.a();
    let x: Vec<f64> = (0..a.n_own()).map(|i| (i as f64).sin()).collect();
    let (mut r, mut z) = (vec![0.0; x.len()], vec![f64::NAN; x.len()]);
    a.spmv(&x, &mut r).unwrap();
    let entries = [Ordering::Amd, Ordering::Rcm, Ordering::Natural].map(|ordering| {
        let m = Cholesky::generate(&Params { ordering }, &system).unwrap();
        m.apply(&r, &mut z).unwrap();
        let gap = x.iter().zip(&z).fold(0.0, |g: f64, (x, z)| g.max((x - z).abs()));
        assert!(gap < 1e-11, "{ordering}: {gap:e}");
        m.stored_entries()
    });
    // The band of the natural order is full; reverse Cuthill–McKee has one that is narrow at both ends.
    assert!(entries[0] < entries[1] && entries[1] < entries[2], "{entries:?}");
}
