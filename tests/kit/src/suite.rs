//! Test matrices named by what they are, a dense solver to compare with, and ranks to run on.
use precondor_core::comm::{Comm, threads};
use precondor_core::matrix::{Csr, DistCsr, Space};
use precondor_core::precond::{Preconditioner, Properties};
use precondor_core::solver::{Algorithm, Criterion, Report, Step, Stop, solve};
use precondor_core::{Error, Result};
use std::ops::ControlFlow;

pub use crate::threads::ThreeThreads;

/// 5-point stencil on m × m nodes: centre `c`, west/east/south/north as given.
fn stencil(m: usize, c: f64, [w, e, s, n]: [f64; 4]) -> Csr {
    let mut entries = Vec::new();
    for (iy, ix) in (0..m).flat_map(|iy| (0..m).map(move |ix| (iy, ix))) {
        let i = iy * m + ix;
        entries.push((i, i, c));
        let mut add = |inside: bool, j: usize, v: f64| {
            if inside {
                entries.push((i, j, v));
            }
        };
        add(ix > 0, i.wrapping_sub(1), w);
        add(ix + 1 < m, i + 1, e);
        add(iy > 0, i.wrapping_sub(m), s);
        add(iy + 1 < m, i + m, n);
    }
    Csr::from_triplets(m * m, m * m, entries).unwrap()
}

/// The five-point Laplacian on m × m inner points.
pub fn laplace(m: usize) -> Csr {
    stencil(m, 4.0, [-1.0; 4])
}

/// Upwind convection-diffusion with a diagonal wind: far from symmetric.
pub fn convection_diffusion(m: usize) -> Csr {
    let wind = 0.9;
    stencil(m, 4.0 + 2.0 * wind, [-1.0 - wind, -1.0, -1.0 - wind, -1.0])
}

/// Helmholtz: symmetric with eigenvalues of both signs.
pub fn symmetric_indefinite(m: usize) -> Csr {
    stencil(m, 4.0 - 1.3, [-1.0; 4])
}

/// A cyclic shift: every Krylov method without memory fails, GMRES needs exactly n steps.
pub fn cyclic_shift(n: usize) -> Csr {
    Csr::from_triplets(n, n, (0..n).map(move |i| (i, (i + 1) % n, 1.0))).unwrap()
}

/// A diagonal matrix.
pub fn diagonal(d: &[f64]) -> Csr {
    let entries = d.iter().enumerate().map(|(i, &d)| (i, i, d)).collect::<Vec<_>>();
    Csr::from_triplets(d.len(), d.len(), entries).unwrap()
}

/// Smooth and rough at once, never zero.
pub fn vector(n: usize) -> Vec<f64> {
    (0..n).map(|i| 1.0 + (0.37 * i as f64).sin() + if i % 3 == 0 { 0.5 } else { -0.25 }).collect()
}

/// A x.
pub fn times(a: &Csr, x: &[f64]) -> Vec<f64> {
    let view = a.view();
    (0..a.n_rows()).map(|i| view.row(i).map(|(j, v)| v * x[j]).sum()).collect()
}

/// ‖x − y‖₂.
pub fn distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()
}

/// ‖x‖₂.
pub fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Gaussian elimination with partial pivoting.
pub fn dense_solve(a: &Csr, b: &[f64]) -> Vec<f64> {
    let n = a.n_rows();
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let mut row = vec![0.0; n + 1];
            a.view().row(i).for_each(|(j, v)| row[j] = v);
            row[n] = b[i];
            row
        })
        .collect();
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| rows[i][k].abs().total_cmp(&rows[j][k].abs())).unwrap();
        rows.swap(k, pivot);
        let (done, below) = rows.split_at_mut(k + 1);
        for row in below {
            let f = row[k] / done[k][k];
            row.iter_mut().zip(&done[k]).skip(k).for_each(|(x, y)| *x -= f * y);
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        let s: f64 = (k + 1..n).map(|j| rows[k][j] * x[j]).sum();
        x[k] = (rows[k][n] - s) / rows[k][k];
    }
    x
}

/// Where the rows of each of `size` ranks start: even, or with empty ranks in between.
pub fn starts(size: usize, n: usize, with_empty: bool) -> Vec<u64> {
    let n = n as u64;
    let mut starts: Vec<u64> = (0..=size as u64).map(|r| r * n / size as u64).collect();
    if with_empty && size > 1 {
        starts[1] = 0; // rank 0 owns nothing
        if size > 3 {
            starts[3] = starts[2]; // nor does rank 2
        }
    }
    starts
}

/// The rows of `a` that belong to this rank.
pub fn distribute(comm: Comm, starts: Vec<u64>, a: &Csr) -> Result<DistCsr> {
    let space = Space::from_starts(comm, starts)?;
    let (from, n) = (space.start() as usize, space.n_own());
    let view = a.view();
    let mut row_ptr = vec![0];
    let (mut cols, mut values) = (vec![], vec![]);
    for i in from..from + n {
        cols.extend(view.row(i).map(|(j, _)| j as u64));
        values.extend(view.row(i).map(|(_, v)| v));
        row_ptr.push(cols.len() as u32);
    }
    DistCsr::from_rows(&space, &row_ptr, &cols, &values)
}

/// The entries of `v` that this rank owns.
pub fn own<'v>(a: &DistCsr, v: &'v [f64]) -> &'v [f64] {
    let from = a.space().start() as usize;
    &v[from..from + a.n_own()]
}

/// Runs `f` with the own rows of `a` on each of `size` ranks.
pub fn on_ranks<T: Send>(
    size: usize,
    with_empty: bool,
    a: &Csr,
    f: impl Fn(DistCsr) -> T + Sync,
) -> Vec<T> {
    threads::run(size, |comm| {
        let starts = starts(size, a.n_rows(), with_empty);
        f(distribute(Comm::new(comm), starts, a).unwrap())
    })
}

/// z = f(r), which stores nothing, with properties of choice.
pub struct Map<F>(pub Properties, pub F);

impl<F: Fn(&[f64], &mut [f64]) -> Result<()> + Send + Sync> Preconditioner for Map<F> {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.1(r, z)
    }
    fn properties(&self) -> Properties {
        self.0
    }
    fn stored_entries(&self) -> usize {
        0
    }
    fn bytes(&self) -> usize {
        0
    }
}

/// z = r / d, with properties and deeds of choice.
pub struct Scaled {
    /// 1/d.
    pub scale: Vec<f64>,
    /// What it says of itself.
    pub properties: Properties,
}

impl Scaled {
    /// The inverse of the diagonal of A.
    pub fn jacobi(a: &DistCsr) -> Self {
        let scale = (0..a.n_own()).map(|i| 1.0 / a.diagonal(i)).collect();
        Scaled { scale, properties: Properties::SPD }
    }
}

impl Preconditioner for Scaled {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        z.iter_mut().zip(r).zip(&self.scale).for_each(|((z, r), s)| *z = s * r);
        Ok(())
    }
    fn properties(&self) -> Properties {
        self.properties
    }
    fn stored_entries(&self) -> usize {
        self.scale.len()
    }
    fn bytes(&self) -> usize {
        8 * self.scale.len()
    }
}

/// Stops at a relative residual.
pub fn stop(tolerance: f64) -> Stop<'static> {
    Stop {
        criterion: Criterion::RelativeResidual,
        tolerance,
        max_iterations: 5000,
        divergence: 1e6,
    }
}

/// Lets a solve go on.
pub fn unwatched(_: &Step) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Solves from zero and hands back the report and x.
pub fn run(
    method: Algorithm,
    a: &DistCsr,
    m: &dyn Preconditioner,
    b: &[f64],
    stop: &Stop,
) -> std::result::Result<(Report, Vec<f64>), Error> {
    let mut x = vec![0.0; b.len()];
    let report = solve(&method, a, m, b, &mut x, stop, &mut unwatched)?;
    Ok((report, x))
}

/// All iterations.
pub const METHODS: [Algorithm; 7] = [
    Algorithm::Richardson { damping: 0.9 },
    Algorithm::Cg,
    Algorithm::FlexibleCg,
    Algorithm::Minres,
    Algorithm::Gmres { restart: 30 },
    Algorithm::FlexibleGmres { restart: 30 },
    Algorithm::Bicgstab,
];
