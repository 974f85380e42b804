//! Incomplete Cholesky without fill, as a smoother: S = (L Lᵀ)⁻¹ with L on the pattern of A's lower triangle.
//!
//! L = diag(L) (I + C); C, which has no unit, is kept in single precision, vectors in double: S is linear to 16 digits,
//! and a sweep reads half the bytes. Pivots that are not safely positive make no smoother.
//!
//! S keeps a symmetric cycle positive definite where λmax(SA) < 2. So it is for every M-matrix (a regular
//! splitting); for others four Lanczos steps look. (Positive couplings could be lumped, which makes an M-matrix of
//! any A; on tetrahedra the iterations are then 26 instead of 12, and 27 with Gauss–Seidel.)
//!
//! Cost: setup one operation for every entry of L and every entry of the row that its column names, and four
//! products with A and S; a step one pass over L forward and one backward.
//!
//! Reference: J. Meijerink, H. van der Vorst, *An iterative solution method for linear systems of which the
//! coefficient matrix is a symmetric M-matrix*, Math. Comp. 31 (1977).
use crate::half::{Part, Triangle};
use crate::rows::Rows;
use precondor_sdk::core::kernel::lanczos::{self, Options};
use precondor_sdk::core::matrix::{Operator, Space};
use precondor_sdk::prelude::*;
use std::sync::Arc;

/// A pivot below this part of the diagonal entry is none.
const PIVOT: f64 = 1e-3;
/// How λmax(SA) is looked at.
const LANCZOS: Options = Options { max_steps: 4, tolerance: 0.05 };
/// From here on S is not taken: an estimate from so few steps is low.
const LIMIT: f64 = 1.6;

/// L of A ≈ L Lᵀ.
pub(crate) struct Incomplete {
    /// C.
    below: Triangle<f32, 4>,
    /// 1/lᵢᵢ.
    inverse: Vec<f64>,
}

impl Incomplete {
    /// None where a pivot is not safely positive, or λmax(SA) too near to 2.
    ///
    /// # Errors
    /// Values that are not finite.
    pub fn of(a: &Rows<'_, f64>) -> Result<Option<Self>> {
        let Some(factor) = Self::factor(a) else { return Ok(None) };
        if (0..a.len()).all(|i| a.row(i).filter(|&(_, v)| v > 0.0).count() == 1) {
            return Ok(Some(factor));
        }
        let product = Product { a, space: Space::solo(a.len()) };
        match lanczos::of_preconditioned(&product, &factor, &LANCZOS) {
            Ok(ends) => Ok((ends.max < LIMIT).then_some(factor)),
            // A is not positive definite.
            Err(Error::Breakdown(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn factor(a: &Rows<'_, f64>) -> Option<Self> {
        let n = a.len();
        let blocks = (0..n).map(|i| a.part(i, Part::Below).len().div_ceil(4)).sum();
        let mut below = Triangle::with_room(n, blocks);
        let mut inverse: Vec<f64> = Vec::with_capacity(n);
        // Row i of L by column, zero elsewhere.
        let (mut row, mut columns) = (vec![0.0f64; n], Vec::new());
        for i in 0..n {
            columns.clear();
            for k in a.part(i, Part::Below) {
                row[a.cols[k] as usize] = a.values[k];
                columns.push(a.cols[k]);
            }
            columns.sort_unstable();
            let d = a.diagonal[i];
            let mut square = d;
            for &j in &columns {
                let j = j as usize;
                // lᵢⱼ = aᵢⱼ/lⱼⱼ − Σₖ lᵢₖ cⱼₖ.
                let value = below.gather(row[j] * inverse[j], j, &row);
                row[j] = value;
                square -= value * value;
            }
            if !(square > PIVOT * d && square.is_finite()) {
                return None;
            }
            let scale = 1.0 / square.sqrt();
            below.push_row(i, columns.iter().map(|&j| (j, (row[j as usize] * scale) as f32)));
            columns.iter().for_each(|&j| row[j as usize] = 0.0);
            inverse.push(scale);
        }
        Some(Incomplete { below, inverse })
    }
}

impl Preconditioner for Incomplete {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        for (i, r) in r.iter().enumerate() {
            z[i] = self.below.gather(r * self.inverse[i], i, z);
        }
        for i in (0..r.len()).rev() {
            let s = z[i];
            self.below.scatter(s, i, z);
            z[i] = s * self.inverse[i];
        }
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        self.below.stored_entries() + self.inverse.len()
    }
    fn bytes(&self) -> usize {
        self.below.bytes() + 8 * self.inverse.len()
    }
}

/// A symmetric A for Lanczos' iteration.
struct Product<'a> {
    a: &'a Rows<'a, f64>,
    space: Arc<Space>,
}

impl Operator for Product<'_> {
    fn space(&self) -> &Arc<Space> {
        &self.space
    }
    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<()> {
        for (i, y) in y.iter_mut().enumerate() {
            *y = self.a.row(i).map(|(j, v)| v * x[j as usize]).sum();
        }
        Ok(())
    }
}
