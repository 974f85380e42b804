//! The preconditioned method of conjugate gradients, for symmetric positive definite A and M, and its
//! flexible form for an M that changes from application to application.
//!
//! Minimises the A-norm of the error over the Krylov space of MA; after k iterations it is at most
//! 2 ((√κ − 1) / (√κ + 1))ᵏ times the first one, with κ = λmax/λmin of MA.
//!
//! pₖ = zₖ + βₖ pₖ₋₁ with zₖ = M rₖ and
//!   βₖ = rₖᵀzₖ / rₖ₋₁ᵀzₖ₋₁,  flexible βₖ = −zₖᵀA pₖ₋₁ / pₖ₋₁ᵀA pₖ₋₁.
//! The two are the same for a constant M. The second keeps pₖ orthogonal to A pₖ₋₁ whatever M was: where
//! M varies by a relative ε the rate is that of κ(1 + ε)/(1 − ε), and it never is worse than that of
//! steepest descent. It costs nothing: A pₖ₋₁ is still there, and its product with zₖ rides along in
//! the reduction of rₖᵀzₖ.
//!
//! Cost an iteration: one product with A (none where M gives A z by the way: then A pₖ = A zₖ + βₖ A pₖ₋₁),
//! one application of M, three reductions (rᵀz, pᵀAp, and ‖r‖, which is looked at before M is applied
//! once more). In the norms with M, ‖Mr‖₂ and √(rᵀMr), two reductions, since M r is there when they are
//! measured; in all, one application more. Memory: 4 n-vectors (r, z, p, q), and one for A z where M
//! gives it.
//!
//! An indefinite A shows as pᵀAp ≤ 0, an indefinite M as rᵀz ≤ 0; both end in a breakdown that says
//! so.
//!
//! Reference: M. R. Hestenes, E. Stiefel, *Methods of Conjugate Gradients for Solving Linear
//! Systems*, J. Res. NBS 49 (1952); Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed.,
//! SIAM 2003, Algorithm 9.1; Y. Notay, *Flexible Conjugate Gradients*, SIAM J. Sci. Comput. 22 (2000),
//! with one direction kept.
use super::Norm;
use super::run::{Go, Resume, Run};
use crate::matrix::{advance, dot_local, turn};
use std::convert::Infallible;

pub(super) fn iterate(
    run: &mut Run,
    flexible: bool,
    x: &mut [f64],
    r: &mut [f64],
) -> Go<Infallible> {
    let (mut z, mut p, mut q) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![0.0; x.len()]);
    // ρ and pᵀAp of the previous iteration; none where p starts anew from z.
    let mut previous: Option<[f64; 2]> = None;
    // A z, where M gives it; whether it does is tried into q, which is not in use yet. Where z is not known when the
    // norm is measured q is kept, too.
    let may = !flexible && run.norm() == Norm::Unpreconditioned && run.may_multiply();
    let mut y = None;
    let [mut rho, mut zq] = if may && run.apply_and_multiply(r, &mut z, &mut q)? {
        y = Some(q.clone());
        let [rho] = run.dots([(&*r, &z)])?;
        [rho, 0.0]
    } else {
        correction(run, flexible, r, &mut z, &q, &mut y)?
    };
    loop {
        if !rho.is_finite() {
            return Err(run.blame(&z)?);
        }
        if rho <= 0.0 {
            return Err(run.not_positive(rho));
        }
        let beta = match previous {
            None => 0.0,
            Some([_, pq]) if flexible => -zq / pq,
            Some([previous, _]) => rho / previous,
        };
        let pq = match &y {
            None => {
                p.iter_mut().zip(&z).for_each(|(p, z)| *p = z + beta * *p);
                run.product(&p, &mut q)?;
                dot_local(&p, &q)
            }
            // A p = A z + β A p.
            Some(y) => turn(beta, [&z, y], &mut p, &mut q),
        };
        let pq = run.sum(pq)?;
        if pq <= 0.0 {
            return Err(run.indefinite(pq));
        }
        let alpha = rho / pq;
        run.coefficients(alpha, beta);
        let rr = advance(alpha, [&p, &q], x, r);
        previous = Some([rho, pq]);
        let square = match run.norm() {
            Norm::Unpreconditioned => run.sum(rr)?,
            Norm::Natural => {
                [rho, zq] = correction(run, flexible, r, &mut z, &q, &mut y)?;
                if rho < 0.0 {
                    return Err(run.not_positive(rho));
                }
                rho
            }
            Norm::Preconditioned => {
                run.apply(r, &mut z);
                let with_q = if flexible { &q } else { &z };
                let [of_r, of_q, zz] = run.dots([(&*r, &z), (&z, with_q), (&z, &z)])?;
                (rho, zq) = (of_r, of_q);
                zz
            }
        };
        let met = run.step(x, square, &z)?;
        let known = run.norm() != Norm::Unpreconditioned;
        let anew = if met {
            // Where M r and its products are known, q may go, else z.
            run.confirm(x, r, if known { &mut q } else { &mut z })? == Resume::Anew
        } else if square == 0.0 {
            run.renew(x, r)?;
            true
        } else {
            false
        };
        if anew {
            previous = None;
        }
        if anew || !known {
            [rho, zq] = correction(run, flexible, r, &mut z, &q, &mut y)?;
        }
    }
}

/// z = M r, and rᵀz and, in the flexible form, zᵀq, in one reduction. `y` is A z, where M
/// gives it.
fn correction(
    run: &mut Run,
    flexible: bool,
    r: &[f64],
    z: &mut [f64],
    q: &[f64],
    y: &mut Option<Vec<f64>>,
) -> Go<[f64; 2]> {
    if !run.may_multiply() {
        *y = None;
    }
    let applied = match y {
        Some(y) => run.apply_and_multiply(r, z, y)?,
        None => false,
    };
    if !applied {
        run.apply(r, z);
    }
    if flexible {
        return run.dots([(r, z), (z, q)]);
    }
    let [rho] = run.dots([(r, &*z)])?;
    Ok([rho, 0.0])
}
