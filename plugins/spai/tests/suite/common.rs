//! Test matrices, dense linear algebra to compare with, and ranks to run on.
use precondor_sdk::core::comm::{Comm, threads};
use precondor_sdk::core::matrix::Explicit;
use precondor_sdk::core::problem::{Poisson, Problem};
use precondor_sdk::prelude::*;

pub type Dense = Vec<Vec<f64>>;

/// Perturbed Poisson on `m` × `m` nodes.
pub fn poisson(m: usize) -> Csr {
    let problem = Poisson { nodes: Some(m), seed: 11, ..Poisson::default() };
    let (system, _) = Problem::Poisson(problem).generate(Comm::solo()).unwrap();
    system.a().own().clone()
}

/// Upwind convection-diffusion on `m` × `m` nodes: far from symmetric.
pub fn convection(m: usize) -> Csr {
    let mut entries = Vec::new();
    for (y, x) in (0..m).flat_map(|y| (0..m).map(move |x| (y, x))) {
        let i = y * m + x;
        entries.push((i, i, 5.8 + 0.01 * i as f64));
        if x > 0 {
            entries.push((i, i - 1, -1.9));
        }
        if x + 1 < m {
            entries.push((i, i + 1, -1.0));
        }
        if y > 0 {
            entries.push((i, i - m, -1.8));
        }
        if y + 1 < m {
            entries.push((i, i + m, -1.1));
        }
    }
    Csr::from_triplets(m * m, m * m, entries).unwrap()
}

pub fn csr(n: usize, entries: &[(usize, usize, f64)]) -> Csr {
    Csr::from_triplets(n, n, entries.iter().copied()).unwrap()
}

pub fn solo(a: &Csr) -> System {
    System::new(DistCsr::solo(a.clone()).unwrap())
}

pub fn dense(a: &Csr) -> Dense {
    let mut rows = vec![vec![0.0; a.n_cols()]; a.n_rows()];
    for (i, row) in rows.iter_mut().enumerate() {
        a.view().row(i).for_each(|(j, v)| row[j] = v);
    }
    rows
}

/// The explicit matrix of a preconditioner on one rank.
pub fn explicit(m: &impl Preconditioner) -> Dense {
    let Explicit { own, .. } = m.explicit().unwrap();
    let n = own.row_ptr.len() - 1;
    let mut rows = vec![vec![0.0; n]; n];
    for (i, row) in rows.iter_mut().enumerate() {
        for k in own.row_ptr[i] as usize..own.row_ptr[i + 1] as usize {
            row[own.cols[k] as usize] = own.values.get(k);
        }
    }
    rows
}

/// What `apply` does, column by column.
pub fn applied(m: &impl Preconditioner, n: usize) -> Dense {
    let column = |j: usize| {
        let (mut r, mut z) = (vec![0.0; n], vec![f64::NAN; n]);
        r[j] = 1.0;
        m.apply(&r, &mut z).unwrap();
        z
    };
    transpose(&(0..n).map(column).collect::<Vec<_>>())
}

pub fn transpose(a: &Dense) -> Dense {
    (0..a[0].len()).map(|j| a.iter().map(|row| row[j]).collect()).collect()
}

pub fn product(a: &Dense, b: &Dense) -> Dense {
    let row = |x: &Vec<f64>| {
        let mut y = vec![0.0; b[0].len()];
        for (x, b) in x.iter().zip(b) {
            y.iter_mut().zip(b).for_each(|(y, b)| *y += x * b);
        }
        y
    };
    a.iter().map(row).collect()
}

/// I − M A.
pub fn remainder(m: &Dense, a: &Dense) -> Dense {
    let mut r = product(m, a);
    for (i, row) in r.iter_mut().enumerate() {
        row.iter_mut().for_each(|x| *x = -*x);
        row[i] += 1.0;
    }
    r
}

pub fn frobenius(a: &Dense) -> f64 {
    a.iter().flatten().map(|x| x * x).sum::<f64>().sqrt()
}

/// Largest difference of two matrices.
pub fn distance(a: &Dense, b: &Dense) -> f64 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.fold(0.0, |m: f64, (x, y)| m.max((x - y).abs()))
}

/// Gauss–Jordan elimination with partial pivoting.
pub fn inverse(a: &Dense) -> Dense {
    let n = a.len();
    let mut rows = a.clone();
    for (i, row) in rows.iter_mut().enumerate() {
        row.resize(2 * n, 0.0);
        row[n + i] = 1.0;
    }
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| rows[i][k].abs().total_cmp(&rows[j][k].abs())).unwrap();
        rows.swap(k, pivot);
        let scale = 1.0 / rows[k][k];
        rows[k].iter_mut().for_each(|x| *x *= scale);
        let done = rows[k].clone();
        for (i, row) in rows.iter_mut().enumerate() {
            let f = row[k];
            if i != k && f != 0.0 {
                row.iter_mut().zip(&done).for_each(|(x, y)| *x -= f * y);
            }
        }
    }
    rows.into_iter().map(|mut row| row.split_off(n)).collect()
}

/// Whether the symmetric `a` is positive definite: Cholesky's method gets through.
pub fn is_definite(a: &Dense) -> bool {
    let n = a.len();
    let mut l = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let s: f64 = a[i][j] - (0..j).map(|k| l[i][k] * l[j][k]).sum::<f64>();
            if i == j && s <= 0.0 {
                return false;
            }
            l[i][j] = if i == j { s.sqrt() } else { s / l[j][j] };
        }
    }
    true
}

/// Where the rows of each of `size` ranks start; with five ranks, one of them owns nothing.
fn starts(size: usize, n: usize) -> Vec<u64> {
    let (size, n) = (size as u64, n as u64);
    let mut starts: Vec<u64> = (0..=size).map(|r| r * n / size).collect();
    if size > 3 {
        starts[3] = starts[2];
    }
    starts
}

/// Runs `f` with the own rows of `a` on each of `size` ranks.
pub fn on_ranks<T: Send>(size: usize, a: &Csr, f: impl Fn(System) -> T + Sync) -> Vec<T> {
    threads::run(size, |comm| f(distributed(Comm::new(comm), a)))
}

/// This rank's rows of `a`.
pub fn distributed(comm: Comm, a: &Csr) -> System {
    let space = Space::from_starts(comm.clone(), starts(comm.size(), a.n_rows())).unwrap();
    let from = space.start() as usize;
    let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
    for (j, v) in (from..from + space.n_own()).flat_map(|i| {
        row_ptr.push(a.view().row_ptr[i + 1] - a.view().row_ptr[from]);
        a.view().row(i)
    }) {
        cols.push(j as u64);
        values.push(v);
    }
    System::new(DistCsr::from_rows(&space, &row_ptr, &cols, &values).unwrap())
}

/// The rows of M (or G) on this rank, as (row, column, bits of the value).
pub fn entries(m: &impl Preconditioner, space: &Space) -> Vec<(u64, u64, u64)> {
    let all = m.explicit().unwrap();
    let mut entries = Vec::new();
    for i in 0..space.n_own() {
        let row = space.start() + i as u64;
        let first = entries.len();
        for k in all.own.row_ptr[i] as usize..all.own.row_ptr[i + 1] as usize {
            let col = space.start() + u64::from(all.own.cols[k]);
            entries.push((row, col, all.own.values.get(k).to_bits()));
        }
        for k in all.ghost.row_ptr[i] as usize..all.ghost.row_ptr[i + 1] as usize {
            let col = all.ghost_ids[all.ghost.cols[k] as usize];
            entries.push((row, col, all.ghost.values.get(k).to_bits()));
        }
        entries[first..].sort_unstable();
    }
    entries
}
