//! Symmetric smoothing around an approximate inverse M:
//! M₂ = 2S − S A S + (I − S A) M (I − A S), applied as y = S r; y += M (r − A y); y += S (r − A y).
//!
//! What is rough in the error of M is smoothed before and after, so M has to be good for smooth
//! vectors only. With A, S and M symmetric, M₂ is symmetric; with M positive semi-definite and
//! 0 < S < 2A⁻¹ (that is, 2S − S A S positive definite) it is positive definite: the error operator
//! is I − M₂A = (I − SA)(I − MA)(I − SA), a multigrid cycle of two levels.
//!
//! Cost: two applications of S and one of M, two products with A; 2 n-vectors.
//!
//! Reference: W. Hackbusch, *Multi-Grid Methods and Applications*, Springer 1985, §2; J. Xu,
//! *Iterative methods by space decomposition and subspace correction*, SIAM Review 34 (1992).
use crate::Result;

/// The two vectors that an application needs.
pub struct Wrap {
    residual: Vec<f64>,
    correction: Vec<f64>,
}

impl Wrap {
    /// For vectors of `n` entries.
    pub fn new(n: usize) -> Self {
        Wrap { residual: vec![0.0; n], correction: vec![0.0; n] }
    }

    /// `y = M₂ r`, given `product(x, y)` for y = A x, `smooth(r, y)` for y = S r and `inner(r, y)`
    /// for y = M r; `y` is overwritten in all of them. Does not allocate.
    ///
    /// # Errors
    /// What the three report. `inner` must have communicated all it has to before it does.
    pub fn apply(
        &mut self,
        product: impl Fn(&[f64], &mut [f64]) -> Result<()>,
        mut smooth: impl FnMut(&[f64], &mut [f64]) -> Result<()>,
        inner: impl FnOnce(&[f64], &mut [f64]) -> Result<()>,
        r: &[f64],
        y: &mut [f64],
    ) -> Result<()> {
        let Wrap { residual, correction } = self;
        smooth(r, y)?;
        product(y, residual)?;
        subtract_from(r, residual);
        let applied = inner(residual, correction);
        if applied.is_err() {
            correction.fill(f64::NAN);
        }
        add(correction, y);
        product(y, residual)?;
        subtract_from(r, residual);
        smooth(residual, correction)?;
        add(correction, y);
        applied
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        8 * (self.residual.len() + self.correction.len())
    }
}

/// `y ← x − y`.
fn subtract_from(x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = x - *y);
}

/// `y += x`.
fn add(x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    /// With everything diagonal the formula can be read off.
    #[test]
    fn the_three_steps_are_the_formula() {
        let (a, s, m) = ([2.0, 3.0], [0.3, 0.1], [0.4, -0.7]);
        let times = |d: [f64; 2]| {
            move |x: &[f64], y: &mut [f64]| {
                y.iter_mut().zip(x).zip(d).for_each(|((y, x), d)| *y = d * x);
                Ok(())
            }
        };
        let (mut wrap, r) = (Wrap::new(2), [1.0, -5.0]);
        let mut y = [f64::NAN; 2];
        wrap.apply(times(a), times(s), times(m), &r, &mut y).unwrap();
        for i in 0..2 {
            let (a, s, m) = (a[i], s[i], m[i]);
            let m2 = 2.0 * s - s * a * s + (1.0 - s * a) * m * (1.0 - a * s);
            assert!((y[i] - m2 * r[i]).abs() < 1e-14);
        }
        assert_eq!(wrap.bytes(), 32);
    }

    #[test]
    fn an_error_inside_comes_out_after_the_last_product() {
        let products = std::cell::Cell::new(0);
        let product = |x: &[f64], y: &mut [f64]| {
            products.set(products.get() + 1);
            y.copy_from_slice(x);
            Ok(())
        };
        let smooth = |r: &[f64], y: &mut [f64]| {
            y.copy_from_slice(r);
            Ok(())
        };
        let inner = |_: &[f64], _: &mut [f64]| Err(Error::Data("no".into()));
        let mut y = [0.0];
        let applied = Wrap::new(1).apply(product, smooth, inner, &[1.0], &mut y);
        assert_eq!((applied, products.get()), (Err(Error::Data("no".into())), 2));
        assert!(y[0].is_nan());
    }
}
