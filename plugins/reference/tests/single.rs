//! What single precision makes of M₂ is what double precision does, up to its rounding: on all stencils, ends and sizes, and
//! the same bits on any number of threads.
#![allow(clippy::unwrap_used)]
use precondor_plugin_reference::{Params, Precision, Reference};
use precondor_sdk::core::kernel::lattice::{CENTRE, Lattice, STEPS};
use precondor_sdk::prelude::*;
use precondor_testkit::threads::ThreeThreads;
use std::sync::Arc;

/// A number between 0 and 1 that two nodes share.
fn noise(a: u64, b: u64) -> f64 {
    let mixed = (a.min(b) * 7919 + a.max(b) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as f64 / (1u64 << 24) as f64
}

/// A symmetric matrix with `unit` in its entries: couplings along the axes that vary, and weak ones for the other steps that
/// `keep` takes; at one node in forty they are ten times as strong.
fn matrix(lattice: Lattice, keep: fn(usize) -> bool, unit: f64) -> System {
    let n = lattice.nodes();
    let mut entries = Vec::new();
    for row in 0..n as u64 {
        let place = lattice.place(row);
        let strong = |node: u64| if noise(node, 3 * node) < 0.025 { 10.0 } else { 1.0 };
        let mut sum = 0.1;
        for (s, step) in STEPS.into_iter().enumerate().filter(|(s, _)| *s != CENTRE) {
            let straight = step.iter().filter(|s| **s != 0).count() == 1;
            let to = lattice.neighbour(place, step).filter(|to| *to != row);
            let Some(to) = to.filter(|_| straight || keep(s.min(26 - s))) else {
                sum += f64::from(u8::from(straight));
                continue;
            };
            let size = if straight { 1.0 } else { 0.05 };
            let value = size * (0.7 + 0.6 * noise(row, to)) * strong(row.min(to));
            sum += value;
            entries.push((row as usize, to as usize, -unit * value));
        }
        entries.push((row as usize, row as usize, unit * sum));
    }
    System::new(DistCsr::solo(Csr::from_triplets(n, n, entries).unwrap()).unwrap())
}

/// The same system, perhaps with threads lent.
fn on(system: &System, threads: bool) -> System {
    let same = System::new(system.a().clone());
    if threads { same.with_host(Arc::new(ThreeThreads)) } else { same }
}

const STENCILS: [fn(usize) -> bool; 4] = [
    |_| false,
    // Linear elements: steps up, or down, along all axes.
    |s| matches!(s, 0 | 1 | 3 | 4 | 9 | 10 | 12),
    |s| matches!(s, 1 | 3 | 5 | 7 | 9 | 11),
    |_| true,
];

#[test]
fn single_precision_is_double_precision_up_to_rounding_on_any_grid() {
    let grids: [(&[usize], [bool; 3]); 12] = [
        (&[9, 8], [false; 3]),
        (&[1, 7], [false; 3]),
        (&[7, 1], [false; 3]),
        (&[2, 2], [false; 3]),
        (&[8, 9], [true, false, false]),
        (&[8, 9], [false, true, false]),
        (&[6, 5], [true, true, false]),
        (&[5, 4, 6], [false; 3]),
        (&[4, 1, 5], [false; 3]),
        (&[4, 5, 6], [true, false, false]),
        (&[4, 5, 6], [false, true, true]),
        (&[5, 4, 4], [true; 3]),
    ];
    let mut bad = 0;
    for (dims, periodic) in grids {
        let lattice = Lattice { periodic, ..Lattice::of_dims(dims).unwrap() };
        for (which, keep) in STENCILS.into_iter().enumerate() {
            for (unit, degree) in [(1.0, 3), (1e-200, 1), (1e200, 4)] {
                let system = matrix(lattice, keep, unit);
                let n = lattice.nodes();
                let apply = |precision, threads: bool| {
                    let params = Params {
                        degree: Some(degree),
                        precision,
                        grid: Some(dims.to_vec()),
                        ..Params::default()
                    };
                    let m = Reference::generate(&params, &on(&system, threads)).unwrap();
                    let r: Vec<f64> = (0..n).map(|i| (0.7 * i as f64).sin()).collect();
                    let mut z = vec![f64::NAN; n];
                    m.apply(&r, &mut z).unwrap();
                    (z, m.notes())
                };
                let (double, notes) = apply(Precision::F64, false);
                let (single, same_notes) = apply(Precision::F32, false);
                bad += usize::from(notes.iter().any(|n| n.contains("bad nodes")));
                assert_eq!(notes, same_notes);
                let largest = double.iter().fold(0.0, |most: f64, z| most.max(z.abs()));
                let off = |(a, b): (&f64, &f64)| (a - b).abs() / largest;
                let off = single.iter().zip(&double).map(off).fold(0.0, f64::max);
                assert!(off > 0.0, "double precision twice");
                assert!(
                    off < 3e-6,
                    "{dims:?} {periodic:?} stencil {which} degree {degree}: {off:e}"
                );
                assert_eq!(apply(Precision::F32, true).0, single);
            }
        }
    }
    assert!(bad > 20, "bad nodes in {bad} of them");
}

#[test]
fn runs_of_layers_on_threads_give_the_same_bits() {
    for dims in [&[170, 180][..], &[40, 30, 25]] {
        let system = matrix(Lattice::of_dims(dims).unwrap(), STENCILS[1], 1.0);
        let n = system.a().n_own();
        let r: Vec<f64> = (0..n).map(|i| (0.7 * i as f64).sin()).collect();
        let [one, three] = [false, true].map(|threads| {
            let m = Reference::generate(&Params::default(), &on(&system, threads)).unwrap();
            let mut z = vec![f64::NAN; n];
            m.apply(&r, &mut z).unwrap();
            z
        });
        assert!(one == three, "{dims:?}");
    }
}

#[test]
fn numbers_beyond_single_precision_are_left_to_double() {
    // One row is 1e-35 times the others: one over its sum is no number of single precision.
    let lattice = Lattice::of_dims(&[6, 6]).unwrap();
    let system = matrix(lattice, STENCILS[0], 1.0);
    let view = system.a().own().view();
    let tiny = |i: usize, j: usize| if i == 14 || j == 14 { 1e-35 } else { 1.0 };
    let entries = (0..36).flat_map(|i| view.row(i).map(move |(j, v)| (i, j, tiny(i, j) * v)));
    let entries: Vec<(usize, usize, f64)> = entries.collect();
    let a = Csr::from_triplets(36, 36, entries).unwrap();
    let system = System::new(DistCsr::solo(a).unwrap());
    let apply = |precision| {
        let m = Reference::generate(&Params { precision, ..Params::default() }, &system).unwrap();
        let mut z = vec![0.0; 36];
        m.apply(&[1.0; 36], &mut z).unwrap();
        z
    };
    let z = apply(Precision::F32);
    assert!(z.iter().all(|z| z.is_finite()) && z == apply(Precision::F64));
}
