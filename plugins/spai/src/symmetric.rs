//! The symmetric part of an approximate inverse, and a proof that it is positive definite.
use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::remote;
use precondor_sdk::prelude::*;

/// Sweeps after which the search for a proof ends.
const SWEEPS: usize = 50;

/// That a matrix is positive definite, and how it was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proof {
    sweeps: usize,
    dominance: f64,
}

/// What a report says of a symmetrised M.
pub(crate) fn note(proof: Option<&Proof>) -> String {
    match proof {
        Some(Proof { sweeps, dominance }) => format!(
            "symmetrised; positive definite, as scaled diagonal dominance shows (ratio \
             {dominance:.3} after {sweeps} sweep(s))"
        ),
        None => "symmetrised; no proof that it is positive definite was found, so conjugate \
                 gradients will not take it: use fsai, or another solver"
            .into(),
    }
}

/// (M + Mᵀ)/2. Collective.
pub(crate) fn part(m: &DistCsr) -> Result<DistCsr> {
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
            let take = |from: &mut dyn FnMut() -> Option<(u64, f64)>| {
                from().map_or(0.0, |(_, value)| value)
            };
            let sum = take(&mut || here.next_if(|e| e.0 == col))
                + take(&mut || there.next_if(|e| e.0 == col));
            cols.push(col);
            values.push(0.5 * sum);
        }
        let end = u32::try_from(cols.len());
        row_ptr.push(end.map_err(|_| {
            Error::Unsupported("2³² or more entries on one rank: use more ranks".into())
        })?);
    }
    drop(transpose);
    DistCsr::from_rows(m.space(), &row_ptr, &cols, &values)
}

/// Looks for a positive vector x with mᵢᵢ xᵢ > Σⱼ |mᵢⱼ| xⱼ (j ≠ i) in every row. With one, the
/// symmetric M is an H-matrix with positive diagonal, and so positive definite. Collective.
///
/// x starts as ones (Gershgorin's circles) and follows the power iteration of D⁻¹|M − D|, whose
/// spectral radius is the smallest ratio of the two sides that any x reaches (Collatz and
/// Wielandt; R. Varga, *Matrix Iterative Analysis*, §2.1). `None` means that no proof was found,
/// not that M is indefinite.
pub(crate) fn prove_definite(m: &DistCsr) -> Result<Option<Proof>> {
    let comm = m.space().comm();
    let n = m.n_own();
    let diagonal: Vec<f64> = (0..n).map(|i| m.diagonal(i)).collect();
    let mut worst = [f64::from(u8::from(diagonal.iter().any(|&d| !(d > 0.0))))];
    comm.max(&mut worst)?;
    if worst[0] > 0.0 {
        return Ok(None);
    }
    let (own, ghost) = (m.own().view(), m.ghost().view());
    let (mut x, mut next) = (vec![1.0; n], vec![0.0; n]);
    let mut arrived = vec![0.0; m.ghost_ids().len()];
    for sweeps in 1..=SWEEPS {
        let token = m.exchange_start(&x)?;
        m.exchange_finish(token, &mut arrived)?;
        let mut worst = [0.0; 2];
        for i in 0..n {
            let here = own.row(i).filter(|&(j, _)| j != i).map(|(j, v)| v.abs() * x[j]);
            let there = ghost.row(i).map(|(g, v)| v.abs() * arrived[g]);
            let y = (here.sum::<f64>() + there.sum::<f64>()) / diagonal[i];
            worst[0] = f64::max(worst[0], y / x[i]);
            next[i] = 0.5 * (x[i] + y);
            worst[1] = f64::max(worst[1], next[i]);
        }
        comm.max(&mut worst)?;
        let [dominance, largest] = worst;
        if dominance < 1.0 - 1e-10 {
            return Ok(Some(Proof { sweeps, dominance }));
        }
        for (x, next) in x.iter_mut().zip(&next) {
            *x = next / largest;
        }
    }
    Ok(None)
}
