//! The memory that solvers claim: so many n-vectors at the start, nothing in an iteration.
#![allow(clippy::unwrap_used)]
use allocation_counter::{AllocationInfo, measure};
use precondor_core::Result;
use precondor_core::comm::count::Counted;
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::precond::{Identity, Preconditioner, Properties};
use precondor_core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Unsymmetric but for CG: a chain.
fn chain(comm: Comm, n: u64, west: f64) -> DistCsr {
    let space = Space::even(comm, n);
    let (mut ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
    for row in space.start()..space.start() + space.n_own() as u64 {
        let neighbours = [(row.checked_sub(1), west), (Some(row), 3.0), (Some(row + 1), -1.0)];
        for (col, v) in neighbours {
            if let Some(col) = col.filter(|&col| col < n) {
                cols.push(col);
                values.push(v);
            }
        }
        ptr.push(cols.len() as u32);
    }
    DistCsr::from_rows(&space, &ptr, &cols, &values).unwrap()
}

/// What this thread allocates in a solve of exactly `k` iterations.
fn solving(a: &DistCsr, method: Algorithm, k: usize, by_error: bool) -> AllocationInfo {
    solving_with(a, &Identity, method, k, by_error)
}

fn solving_with(
    a: &DistCsr,
    m: &dyn Preconditioner,
    method: Algorithm,
    k: usize,
    by_error: bool,
) -> AllocationInfo {
    let (b, nowhere) = (vec![1.0; a.n_own()], vec![9.0; a.n_own()]);
    let mut x = vec![0.0; a.n_own()];
    let criterion = match by_error {
        true => Criterion::AbsoluteError(&nowhere),
        false => Criterion::RelativeResidual,
    };
    let stop = Stop { criterion, tolerance: 0.0, max_iterations: k, divergence: f64::INFINITY };
    let mut watch = |_: &_| ControlFlow::Continue(());
    a.first_unsymmetric().unwrap(); // kept with the matrix: its memory is not the solver's
    let mut report = None;
    let info = measure(|| {
        report = Some(solve(&method, a, m, &b, &mut x, &stop, &mut watch).unwrap());
    });
    let report = report.unwrap();
    assert_eq!((report.outcome, report.iterations), (Outcome::IterationLimit, k), "{method:?}");
    info
}

/// The identity, which gives the product of z with A, too.
struct Multiplies<'a>(&'a DistCsr);

impl Preconditioner for Multiplies<'_> {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        Identity.apply(r, z)
    }
    fn apply_and_multiply(&self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Result<()> {
        self.apply(r, z)?;
        self.0.spmv(z, y)
    }
    fn properties(&self) -> Properties {
        Identity.properties()
    }
    fn stored_entries(&self) -> usize {
        0
    }
    fn bytes(&self) -> usize {
        0
    }
}

/// Methods with their claims: vectors of length n, stopping by the residual and by the error.
const CLAIMS: [(Algorithm, f64, usize, usize); 7] = [
    (Algorithm::Richardson { damping: 0.2 }, -1.5, 2, 2),
    (Algorithm::Cg, -1.0, 4, 4),
    (Algorithm::FlexibleCg, -1.0, 4, 4),
    (Algorithm::Minres, -1.0, 7, 7),
    (Algorithm::Gmres { restart: 5 }, -1.5, 5 + 4, 2 * 5 + 3),
    (Algorithm::FlexibleGmres { restart: 5 }, -1.5, 2 * 5 + 3, 2 * 5 + 3),
    (Algorithm::Bicgstab, -1.5, 6, 6),
];

#[test]
fn every_solver_owns_the_vectors_it_says() {
    let n = 50_000;
    for (method, west, by_residual, by_error) in CLAIMS {
        let a = chain(Comm::solo(), n, west);
        for (vectors, by_error) in [(by_residual, false), (by_error, true)] {
            let bytes = solving(&a, method, 12, by_error).bytes_max;
            let n_vectors = bytes as f64 / (8 * n) as f64;
            // Beside vectors there are only scalars.
            assert!((n_vectors - vectors as f64).abs() < 0.02, "{method:?}: {n_vectors} vectors");
        }
    }
}

#[test]
fn products_of_a_preconditioner_take_one_vector_more() {
    let a = chain(Comm::solo(), 50_000, -1.0);
    let bytes = solving_with(&a, &Multiplies(&a), Algorithm::Cg, 12, false).bytes_max;
    let n_vectors = bytes as f64 / 400_000.0;
    assert!((n_vectors - 5.0).abs() < 0.02, "{n_vectors} vectors");
}

#[test]
fn an_iteration_allocates_nothing() {
    for size in [1, 3] {
        for ((method, west, ..), by_error) in
            CLAIMS.into_iter().flat_map(|c| [(c, false), (c, true)])
        {
            let counts = threads::run(size, |comm| {
                // Nor does counting what it sends.
                let a = chain(Comm::new(Arc::new(Counted::new(comm))), 400, west);
                // The first solve fills the mailboxes of the ranks' world.
                solving(&a, method, 6, by_error);
                [6, 12, 18].map(|k| solving(&a, method, k, by_error).count_total)
            });
            for [few, more, most] in counts {
                assert!(few == more && more == most, "{method:?}: {few}, {more}, {most}");
            }
        }
    }
}
