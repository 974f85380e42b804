//! Powers of two that bring a system into the middle of the range of floating point.
//!
//! With b̂ = 2^−β b, Â = 2^−α A, x̂ = 2^(α−β) x and M̂ = 2^μ M a solver works on Â x̂ = b̂. Multiplying
//! by a power of two is exact, so every bit of x is that of the plain iteration wherever that neither
//! over- nor underflows.
//!
//! β brings the largest entry of b to 1. A is left alone (α = 0) unless its largest entry is beyond
//! 2^±[`PLAIN`], so that a usual product costs no pass over a vector; where α is not 0, M is brought
//! to a size of 1 by what it makes of its first vector. (Richardson's iteration is not invariant
//! under a factor in M: there μ = α, and M̂Â = MA.)
use crate::comm::Communicator;
use crate::matrix::Operator;
use crate::{Error, Result};

/// Exponents that a largest entry of A may have and stay as it is: no product of three of them
/// leaves the range.
const PLAIN: i32 = 200;
/// Exponents that a factor may have.
const MOST: i32 = 1000;

/// The exponents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Units {
    /// α.
    pub a: i32,
    /// β.
    pub b: i32,
    /// μ; none where M has not been applied yet and A is not plain.
    pub m: Option<i32>,
    /// b = 0.
    pub zero: bool,
}

impl Units {
    /// Those of the system A x = b; `stationary` for Richardson's iteration. Collective.
    pub fn of(a: &dyn Operator, b: &[f64], stationary: bool) -> Result<Units> {
        let mut largest = [largest(b), a.largest().unwrap_or(0.0)];
        a.space().comm().max(&mut largest)?;
        let of_a = exponent(largest[1]);
        let of_a = if of_a.abs() > PLAIN { of_a } else { 0 };
        let m = if stationary { Some(of_a) } else { (of_a == 0).then_some(0) };
        Ok(Units { a: of_a, b: exponent(largest[0]), m, zero: largest[0] == 0.0 })
    }

    /// The power that turns x into x̂.
    pub fn x(&self) -> i32 {
        self.a - self.b
    }

    /// x out of x̂ of the largest entry `largest`.
    ///
    /// # Errors
    /// [`Error::Data`] where x is outside the range of floating point.
    pub fn check_range(&self, largest: f64) -> Result<()> {
        if largest == 0.0 || !largest.is_finite() {
            return Ok(());
        }
        let digits = f64::MANTISSA_DIGITS as i32;
        let at = exponent(largest) - self.x();
        if at < f64::MAX_EXP - 1 && at > f64::MIN_EXP + digits {
            return Ok(());
        }
        Err(Error::Data(format!(
            "the solution has entries of about 2^{at}, outside of what floating point holds with all \
             digits, 2^{} to 2^{}: scale A or b",
            f64::MIN_EXP + digits,
            f64::MAX_EXP - 1
        )))
    }
}

/// The largest magnitude, NaN passed over.
pub(super) fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |m: f64, v| m.max(v.abs()))
}

/// The power of two that is next to `largest`, within what a factor may have; 0 for none.
pub(super) fn exponent(largest: f64) -> i32 {
    if largest == 0.0 || !largest.is_finite() {
        return 0;
    }
    (largest.log2().floor() as i32).clamp(-MOST, MOST)
}

/// 2^k for |k| up to 1022.
pub(super) fn power(k: i32) -> f64 {
    f64::from_bits(((1023 + k) as u64) << 52)
}

/// `v ← 2^k v`.
pub(super) fn scale(v: &mut [f64], mut k: i32) {
    while k != 0 {
        let step = k.clamp(-MOST, MOST);
        let factor = power(step);
        v.iter_mut().for_each(|v| *v *= factor);
        k -= step;
    }
}

/// 2^k, 0 or infinite beyond the range.
pub(super) fn factor(k: i32) -> f64 {
    let mut one = [1.0];
    scale(&mut one, k);
    one[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_exact_over_the_whole_range() {
        for (value, k) in [(1.0, 0), (3.9, 1), (4.0, 2), (0.5, -1), (1e-160, -532), (1e200, 664)] {
            assert_eq!(exponent(value), k, "{value}");
        }
        assert_eq!((exponent(0.0), exponent(f64::MAX), exponent(5e-324)), (0, 1000, -1000));
        let mut v = [1.5, -3.0];
        scale(&mut v, 1900);
        assert!(v[0].is_infinite());
        let mut v = [1.5 * power(-900), -3.0 * power(-900)];
        scale(&mut v, 1800);
        assert_eq!(v, [1.5 * power(900), -3.0 * power(900)]);
        assert_eq!((factor(10), factor(-1500)), (1024.0, 0.0));
    }
}
