//! Stabilised bi-conjugate gradients, right-preconditioned, for any nonsingular A and constant M.
//!
//! Short recurrences, so little memory, but no minimisation: the residual may jump, and the method
//! may break down (r̂ᵀr = 0, r̂ᵀv = 0 or ω = 0). It then starts again from the present residual; a
//! second breakdown in the first iteration after that is final.
//!
//! Cost an iteration: two products with A, two applications of M, three reductions. Memory: 6
//! n-vectors (r, r̂, p, v, y, t).
//!
//! Reference: H. A. van der Vorst, *Bi-CGSTAB*, SIAM J. Sci. Stat. Comput. 13 (1992); Y. Saad,
//! *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, Algorithm 7.7.
use super::run::{Go, Resume, Run, axpy, broke_down};
use std::convert::Infallible;

/// Inner products smaller than this, relative to the norms of their vectors, count as zero.
const TINY: f64 = 1e-14;

pub(super) fn iterate(run: &mut Run, x: &mut [f64], r: &mut [f64]) -> Go<Infallible> {
    let n = x.len();
    let (mut r_hat, mut p, mut v) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let (mut y, mut t) = (vec![0.0; n], vec![0.0; n]);
    loop {
        // (Re)start: r̂ = p = r.
        r_hat.copy_from_slice(r);
        p.copy_from_slice(r);
        let [mut rho] = run.dots([(&*r, &*r)])?;
        let hat = rho.sqrt();
        let mut fresh = true;
        loop {
            // α = r̂ᵀr / r̂ᵀv with v = A M p
            run.apply(&p, &mut y);
            run.product(&y, &mut v)?;
            let [hv, vv] = run.dots([(&r_hat, &v), (&v, &v)])?;
            if !(hv.is_finite() && vv.is_finite()) {
                return Err(run.blame(&y)?);
            }
            if hv.abs() <= TINY * hat * vv.sqrt() {
                break give_up_if(fresh, run, "r̂ᵀAMp", hv)?;
            }
            let alpha = rho / hv;
            axpy(alpha, &y, x);
            axpy(-alpha, &v, r); // s

            // ω = tᵀs / tᵀt with t = A M s
            run.apply(r, &mut y);
            run.product(&y, &mut t)?;
            let [ts, tt, ss] = run.dots([(&t, &*r), (&t, &t), (&*r, &*r)])?;
            if !(ts.is_finite() && tt.is_finite()) {
                return Err(run.blame(&y)?);
            }
            let stuck = ts.abs() <= TINY * (tt * ss).sqrt();
            let omega = if stuck { 0.0 } else { ts / tt };
            axpy(omega, &y, x);
            axpy(-omega, &t, r);
            let [rr, hr] = run.dots([(&*r, &*r), (&r_hat, &*r)])?;
            let met = run.step(x, rr, &y)?;
            if met && run.confirm(x, r, &mut t)? == Resume::Anew {
                break;
            }
            if rr == 0.0 {
                run.renew(x, r)?;
                break;
            }
            if stuck {
                break give_up_if(fresh, run, "(AMs)ᵀs", ts)?;
            }
            if hr.abs() <= TINY * hat * rr.sqrt() {
                break; // r̂ᵀr = 0: the next β would be
            }
            let beta = hr / rho * (alpha / omega);
            for ((p, r), v) in p.iter_mut().zip(&*r).zip(&v) {
                *p = r + beta * (*p - omega * v);
            }
            (rho, fresh) = (hr, false);
        }
    }
}

/// A vanishing product: final in the first iteration after a start.
fn give_up_if(fresh: bool, run: &Run, what: &str, value: f64) -> Go<()> {
    if fresh {
        let at = run.iteration();
        return Err(broke_down(format!(
            "{what} = {value:e} vanishes at iteration {at}: use gmres"
        )));
    }
    Ok(())
}
