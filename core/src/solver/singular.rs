//! Solving with a singular A: the same methods, within the range.
//!
//! With N and L orthonormal bases of the right and the left null space, the methods get
//! (I − L Lᵀ) A for A, (I − N Nᵀ) M for M and (I − L Lᵀ) b for b, and start from (I − N Nᵀ) x0. On the
//! range that is a regular system; its solution is the least-squares solution of A x = b with the
//! smallest norm. For symmetric A (N = L) and definite M both stay so there. Residuals are those of b's
//! part in the range, and measured against it; how much lies outside is reported.
//!
//! Cost: a reduction and 4 n flops for each vector of a null space, for every product with A and
//! application of M. Memory: an n-vector.
//!
//! Reference: E. F. Kaasschieter, *Preconditioned conjugate gradients for solving singular systems*,
//! J. Comput. Appl. Math. 24 (1988).
use super::{Criterion, Outside, Stop};
use crate::Result;
use crate::comm::Communicator;
use crate::matrix::{NullSpace, NullSpaces, Operator, Space, Symmetry};
use crate::precond::{Preconditioner, Properties};
use std::sync::Arc;

/// What is left of b in the range is rounding where it is at most this part of b.
const ROUNDING: f64 = 1e-14;

/// Hands `solve` the system within the range, and says what of `b` lies outside; x is left in the
/// range. Collective.
pub(super) fn within<T>(
    null: &NullSpaces,
    (a, m): (&dyn Operator, &dyn Preconditioner),
    b: &[f64],
    x: &mut [f64],
    stop: &Stop,
    solve: impl FnOnce(&dyn Operator, &dyn Preconditioner, &[f64], &mut [f64], &Stop) -> Result<T>,
) -> Result<(T, Outside)> {
    let mut inside = b.to_vec();
    let outside = split(null, a.space(), &mut inside)?;
    let known = match stop.criterion {
        Criterion::AbsoluteError(target) => {
            let mut target = target.to_vec();
            remove(null.right.as_ref(), &mut target)?;
            Some(target)
        }
        _ => None,
    };
    let criterion = known.as_deref().map_or(stop.criterion, Criterion::AbsoluteError);
    remove(null.right.as_ref(), x)?;
    let m = Within { m, right: null.right.as_ref() };
    let done = solve(&InRange { a, null }, &m, &inside, x, &Stop { criterion, ..*stop })?;
    // What rounding has left there.
    remove(null.right.as_ref(), x)?;
    Ok((done, outside))
}

/// `b ←` its part in the range, and what was outside. Collective.
pub(super) fn split(null: &NullSpaces, space: &Space, b: &mut [f64]) -> Result<Outside> {
    // Scaled, so that no square is out of the range of numbers.
    let mut largest = [b.iter().fold(0.0, |m: f64, b| m.max(b.abs()))];
    space.comm().max(&mut largest)?;
    let [scale] = largest;
    let Some(left) = null.left.as_ref().filter(|_| scale > 0.0) else {
        return Ok(Outside::default());
    };
    b.iter_mut().for_each(|b| *b /= scale);
    let whole = space.norm(b)?;
    let outside = left.remove(b)?;
    // What was taken out of large numbers leaves rounding, once more.
    left.remove(b)?;
    if space.norm(b)? <= ROUNDING * whole {
        b.fill(0.0);
    }
    b.iter_mut().for_each(|b| *b *= scale);
    Ok(Outside { norm: outside * scale, relative: outside / whole })
}

fn remove(null: Option<&NullSpace>, x: &mut [f64]) -> Result<()> {
    match null {
        None => Ok(()),
        Some(null) => null.remove(x).map(|_| ()),
    }
}

/// (I − L Lᵀ) A.
pub(super) struct InRange<'a> {
    pub a: &'a dyn Operator,
    pub null: &'a NullSpaces,
}

impl Operator for InRange<'_> {
    fn space(&self) -> &Arc<Space> {
        self.a.space()
    }
    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<()> {
        self.a.apply(x, y)?;
        remove(self.null.left.as_ref(), y)
    }
    fn symmetric(&self) -> Result<Symmetry> {
        self.a.symmetric()
    }
    fn diagonal_entries(&self) -> Option<Vec<f64>> {
        self.a.diagonal_entries()
    }
    fn largest(&self) -> Option<f64> {
        self.a.largest()
    }
    fn row_sizes(&self, first: usize, sizes: &mut [f64]) -> bool {
        self.a.row_sizes(first, sizes)
    }
}

/// (I − N Nᵀ) M.
struct Within<'a> {
    m: &'a dyn Preconditioner,
    right: Option<&'a NullSpace>,
}

impl Preconditioner for Within<'_> {
    /// A vector that M leaves not finite stays as it is, so that it can be told where.
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let applied = self.m.apply(r, z);
        if applied.is_err() {
            z.fill(f64::NAN);
        }
        remove(self.right, z).and(applied)
    }
    fn properties(&self) -> Properties {
        self.m.properties()
    }
    fn stored_entries(&self) -> usize {
        self.m.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.m.bytes()
    }
}
