//! The symmetric part of an approximate inverse, and whether it is positive definite.
use super::lanczos::{self, Options};
use super::remote;
use crate::comm::Communicator;
use crate::matrix::DistCsr;
use crate::{Error, Result};

/// Powers of D⁻¹|M − D| whose row sums are looked at.
const POWERS: usize = 4;

/// How far the Lanczos process goes: to one digit of both ends of the spectrum.
const LANCZOS: Options = Options { max_steps: 200, tolerance: 0.1 };

/// Why a matrix counts as positive definite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Definite {
    /// The row sums of this power of D⁻¹|M − D| are below 1: a proof.
    Dominant(usize),
    /// The Lanczos process, from a random start, found the smallest eigenvalue to be this.
    Smallest(f64),
}

impl std::fmt::Display for Definite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Definite::Dominant(power) => {
                write!(f, "positive definite, by generalised dominance (power {power})")
            }
            Definite::Smallest(value) => {
                write!(f, "positive definite: smallest eigenvalue {value:.2e} (Lanczos)")
            }
        }
    }
}

/// (M + Mᵀ)/2, symmetric to the last bit. Collective.
///
/// # Errors
/// [`Error::Unsupported`] beyond 2³² entries on a rank; what the communicator reports.
pub fn part(m: &DistCsr) -> Result<DistCsr> {
    let transpose = remote::transpose(m)?;
    let most = 2 * m.nnz_own();
    let mut row_ptr = Vec::with_capacity(m.n_own() + 1);
    row_ptr.push(0u32);
    let (mut cols, mut values) = (Vec::with_capacity(most), Vec::with_capacity(most));
    for i in 0..m.n_own() {
        let mut here = m.global_entries(i).peekable();
        let mut there = transpose.global_entries(i).peekable();
        loop {
            let col = match (here.peek(), there.peek()) {
                (Some(x), Some(y)) => x.0.min(y.0),
                (Some(x), None) | (None, Some(x)) => x.0,
                (None, None) => break,
            };
            let x = here.next_if(|e| e.0 == col).map_or(0.0, |e| e.1);
            let y = there.next_if(|e| e.0 == col).map_or(0.0, |e| e.1);
            cols.push(col);
            values.push(0.5 * (x + y));
        }
        let end = u32::try_from(cols.len());
        row_ptr.push(end.map_err(|_| {
            Error::Unsupported("2³² or more entries on one rank: use more ranks".into())
        })?);
    }
    drop(transpose);
    DistCsr::from_rows(m.space(), &row_ptr, &cols, &values)
}

/// Whether the symmetric `m` is positive definite. Collective.
///
/// First by proof: with D = diag(M) positive, the row sums of some power of T = D⁻¹|M − D| are less
/// than one. Then the spectral radius of T is below 1, which makes M an H-matrix with positive diagonal,
/// and a symmetric one is positive definite. The first power is Gershgorin's theorem; each costs a
/// product with M. Where that fails, by the Lanczos process: the smallest eigenvalue that it finds,
/// less the bound on its error, is positive. From a random start the process misses the end of the
/// spectrum with a probability that falls exponentially with the number of steps.
///
/// Reference: R. Varga, *Matrix Iterative Analysis*, 2nd ed., Springer 2000, §1.4 and §3.5;
/// J. Kuczyński, H. Woźniakowski, *Estimating the largest eigenvalue by the power and Lanczos
/// algorithms with a random start*, SIAM J. Matrix Anal. Appl. 13 (1992), §4.
///
/// # Errors
/// What the Lanczos process and the communicator report.
pub fn definite(m: &DistCsr) -> Result<Option<Definite>> {
    if m.n_global() == 0 {
        return Ok(None);
    }
    let comm = m.space().comm();
    let n = m.n_own();
    let diagonal: Vec<f64> = (0..n).map(|i| m.diagonal(i)).collect();
    let positive = diagonal.iter().all(|&d| d > 0.0);
    let mut worst = [f64::from(u8::from(!positive))];
    comm.max(&mut worst)?;
    if worst[0] > 0.0 {
        return Ok(None);
    }
    let (own, ghost) = (m.own().view(), m.ghost().view());
    let (mut x, mut y) = (vec![1.0; n], vec![0.0; n]);
    let mut arrived = vec![0.0; m.ghost_ids().len()];
    for power in 1..=POWERS {
        let token = m.exchange_start(&x)?;
        m.exchange_finish(token, &mut arrived)?;
        let mut largest = [0.0];
        for (i, y) in y.iter_mut().enumerate() {
            let here: f64 = own.row(i).map(|(j, v)| v.abs() * x[j]).sum();
            let there: f64 = ghost.row(i).map(|(g, v)| v.abs() * arrived[g]).sum();
            *y = ((here + there) / diagonal[i] - x[i]).max(0.0);
            largest[0] = f64::max(largest[0], *y);
        }
        comm.max(&mut largest)?;
        // The margin is far above what rounding does to a product.
        if largest[0] < 1.0 - 1e-8 {
            return Ok(Some(Definite::Dominant(power)));
        }
        std::mem::swap(&mut x, &mut y);
    }
    let ends = lanczos::of_matrix(m, &LANCZOS)?;
    let found = ends.converged && ends.min - ends.min_error > 0.0;
    Ok(found.then_some(Definite::Smallest(ends.min)))
}
