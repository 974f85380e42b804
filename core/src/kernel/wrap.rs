//! Symmetric smoothing around an approximate inverse M:
//! M₂ = S + Sᵀ − Sᵀ A S + (I − Sᵀ A) M (I − A S), applied as
//! y = S r; y += M (r − A y); y += Sᵀ (r − A y).
//!
//! What is rough in the error of M is smoothed before and after, so M has to be good for smooth
//! vectors only. With A and M symmetric, M₂ is symmetric. It is positive definite where M is positive
//! semi-definite and S + Sᵀ − Sᵀ A S is positive definite: that is, where S⁻¹ + S⁻ᵀ − A is (for
//! symmetric S: 0 < S < 2A⁻¹). The error operator is I − M₂A = (I − SᵀA)(I − MA)(I − SA), a multigrid
//! cycle of two levels.
//!
//! Cost: one application each of S, Sᵀ and M, two products with A (fewer where a smoother knows its
//! residual); 2 n-vectors.
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

    /// `y = M₂ r`, given
    /// - `before(r, y, residual)` for y = S r and the residual r − A y,
    /// - `inner(r, y)` for y = M r,
    /// - `after(r, y, work)` for y ← y + Sᵀ (r − A y), with two vectors to work in.
    ///
    /// Results are overwritten. Does not allocate.
    ///
    /// # Errors
    /// What the three report. `inner` must have communicated all it has to before it does.
    pub fn apply(
        &mut self,
        before: impl FnOnce(&[f64], &mut [f64], &mut [f64]) -> Result<()>,
        inner: impl FnOnce(&[f64], &mut [f64]) -> Result<()>,
        after: impl FnOnce(&[f64], &mut [f64], [&mut [f64]; 2]) -> Result<()>,
        r: &[f64],
        y: &mut [f64],
    ) -> Result<()> {
        let Wrap { residual, correction } = self;
        before(r, y, residual)?;
        let applied = inner(residual, correction);
        if applied.is_err() {
            correction.fill(f64::NAN);
        }
        y.iter_mut().zip(&*correction).for_each(|(y, x)| *y += x);
        after(r, y, [residual, correction])?;
        applied
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        8 * (self.residual.len() + self.correction.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    /// With everything diagonal the formula can be read off.
    #[test]
    fn the_three_steps_are_the_formula() {
        let (a, s, m) = ([2.0, 3.0], [0.3, 0.1], [0.4, -0.7]);
        let (mut wrap, r) = (Wrap::new(2), [1.0, -5.0]);
        let before = |r: &[f64], y: &mut [f64], residual: &mut [f64]| {
            for i in 0..2 {
                y[i] = s[i] * r[i];
                residual[i] = r[i] - a[i] * y[i];
            }
            Ok(())
        };
        let inner = |r: &[f64], y: &mut [f64]| {
            y.iter_mut().zip(r).zip(m).for_each(|((y, r), m)| *y = m * r);
            Ok(())
        };
        let after = |r: &[f64], y: &mut [f64], [work, _]: [&mut [f64]; 2]| {
            for i in 0..2 {
                work[i] = r[i] - a[i] * y[i];
                y[i] += s[i] * work[i];
            }
            Ok(())
        };
        let mut y = [f64::NAN; 2];
        wrap.apply(before, inner, after, &r, &mut y).unwrap();
        for i in 0..2 {
            let (a, s, m) = (a[i], s[i], m[i]);
            let m2 = 2.0 * s - s * a * s + (1.0 - s * a) * m * (1.0 - a * s);
            assert!((y[i] - m2 * r[i]).abs() < 1e-14);
        }
        assert_eq!(wrap.bytes(), 32);
    }

    #[test]
    fn an_error_inside_comes_out_after_the_last_step() {
        let ended = std::cell::Cell::new(false);
        let before = |r: &[f64], y: &mut [f64], residual: &mut [f64]| {
            y.copy_from_slice(r);
            residual.copy_from_slice(r);
            Ok(())
        };
        let inner = |_: &[f64], _: &mut [f64]| Err(Error::Data("no".into()));
        let after = |_: &[f64], _: &mut [f64], _: [&mut [f64]; 2]| {
            ended.set(true);
            Ok(())
        };
        let mut y = [0.0];
        let applied = Wrap::new(1).apply(before, inner, after, &[1.0], &mut y);
        assert_eq!((applied, ended.get()), (Err(Error::Data("no".into())), true));
        assert!(y[0].is_nan());
    }
}
