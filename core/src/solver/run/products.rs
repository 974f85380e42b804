//! Where A and M are applied.
use super::{Go, Run, units};
use crate::Error;
use crate::comm::{Communicator, panic_text};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What M says of A z and a product with A differ by, relatively, where both are of the same matrix.
const SAME: f64 = 1e-10;

impl Run<'_> {
    /// `y = A x`: here and nowhere else.
    pub fn product(&self, x: &[f64], y: &mut [f64]) -> Go<()> {
        self.a.apply(x, y)?;
        units::scale(y, -self.units.a);
        Ok(())
    }

    /// `r = b − A x`.
    pub fn residual(&self, x: &[f64], r: &mut [f64]) -> Go<()> {
        self.product(x, r)?;
        let of_b = units::power(-self.units.b);
        for (r, b) in r.iter_mut().zip(self.b) {
            *r = of_b * b - *r;
        }
        Ok(())
    }

    /// `z = M r`, with which x is about to move. A failure on this rank leaves NaN in `z` and is
    /// told in the next reduction.
    pub fn apply(&mut self, r: &[f64], z: &mut [f64]) {
        self.moved();
        self.precondition(r, z);
    }

    /// `z = M r`: here and nowhere else.
    pub(super) fn precondition(&mut self, r: &[f64], z: &mut [f64]) {
        let applied = catch_unwind(AssertUnwindSafe(|| self.m.apply(r, z)))
            .unwrap_or_else(|panic| Err(Error::Panicked(panic_text(panic))));
        if let Err(e) = applied {
            self.spoilt(e);
            z.fill(f64::NAN);
        }
        let comm = self.a.space().comm();
        let power = match self.units.m {
            Some(known) => known,
            None => {
                // The first time, and of an A that is not plain: the size of M.
                let mut largest = [units::largest(z), units::largest(r)];
                match comm.max(&mut largest) {
                    Ok(()) => *self
                        .units
                        .m
                        .insert(units::exponent(largest[1]) - units::exponent(largest[0])),
                    Err(e) => {
                        self.fail(e);
                        0
                    }
                }
            }
        };
        units::scale(z, power);
    }

    /// Whether M may give products with A.
    pub fn may_multiply(&self) -> bool {
        let plain = self.units.a == 0 && self.units.m == Some(0);
        plain && self.multiplies != Some(false)
    }

    /// `z = M r` and `y = A z` in one; false where M does not give that, and nothing is done. The first time it is
    /// seen whether that is A: M may be that of another matrix.
    pub fn apply_and_multiply(&mut self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Go<bool> {
        let applied = catch_unwind(AssertUnwindSafe(|| self.m.apply_and_multiply(r, z, y)))
            .unwrap_or_else(|panic| Err(Error::Panicked(panic_text(panic))));
        match applied {
            Ok(()) => {}
            Err(Error::Unsupported(_)) if self.multiplies.is_none() => {
                self.multiplies = Some(false);
                return Ok(false);
            }
            Err(e) => {
                self.spoilt(e);
                z.fill(f64::NAN);
                y.fill(f64::NAN);
            }
        }
        self.moved();
        if self.multiplies.is_none() {
            let mut product = vec![0.0; z.len()];
            self.product(z, &mut product)?;
            y.iter_mut().zip(&product).for_each(|(y, p)| *y -= p);
            let [off, whole] = self.dots([(&*y, &*y), (&product, &product)])?;
            self.multiplies = Some(off <= SAME * SAME * whole);
            y.copy_from_slice(&product);
        }
        Ok(true)
    }

    /// M failed on this rank.
    fn spoilt(&mut self, e: Error) {
        let comm = self.a.space().comm();
        if comm.size() > 1 && matches!(e.root(), Error::Panicked(_)) {
            // The other ranks may be waiting inside `apply`: no reduction would reach them.
            comm.abort(&format!("the preconditioner {e}"));
        }
        self.fail(e);
    }

    /// Something failed on this rank: told in the next reduction.
    pub fn fail(&mut self, e: Error) {
        self.news.fault.get_or_insert(e);
    }

    /// x is another one than that of the last residual.
    pub fn moved(&mut self) {
        (self.truth, self.scaled) = (None, None);
    }
}
