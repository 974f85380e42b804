//! A ≈ (I + L) D (I + U): pivots, and substitution forward and backward.
//!
//! Errors name rows by their places in the block that is factorised, as "global row"; the methods
//! renumber them.
use precondor_sdk::core::kernel::triangular::{Shape, Triangle};
use precondor_sdk::prelude::*;

/// A pivot at most this times Σⱼ|aᵢⱼ| is zero up to rounding.
pub const ZERO: f64 = 1e-14;

/// The factors of one rank's block.
pub struct Factors {
    /// L, strictly lower.
    pub lower: Triangle,
    /// U, strictly upper: its rows are divided by their pivots.
    pub upper: Triangle,
    /// D⁻¹.
    pub inverse: Vec<f64>,
}

impl Factors {
    /// No rows yet; room for `n` of them with `nnz` entries in all.
    pub fn with_capacity(n: usize, nnz: usize) -> Self {
        let half = nnz.saturating_sub(n).div_ceil(2);
        Factors {
            lower: Triangle::with_capacity(Shape::Lower, n, half),
            upper: Triangle::with_capacity(Shape::Upper, n, half),
            inverse: Vec::with_capacity(n),
        }
    }

    /// No rows, and the room for as many as there were.
    pub fn clear(&mut self) {
        self.lower.clear();
        self.upper.clear();
        self.inverse.clear();
    }

    /// x ← (I + U)⁻¹ D⁻¹ (I + L)⁻¹ x.
    pub fn solve_in_place(&self, x: &mut [f64]) {
        self.lower.solve(x, |i, x| x[i]);
        self.upper.solve(x, |i, x| x[i] * self.inverse[i]);
    }

    /// z = (I + U)⁻¹ D⁻¹ (I + L)⁻¹ r.
    pub fn solve(&self, r: &[f64], z: &mut [f64]) {
        self.lower.solve(z, |i, _| r[i]);
        self.upper.solve(z, |i, z| z[i] * self.inverse[i]);
    }

    /// x ← (I + L)⁻ᵀ D⁻¹ (I + U)⁻ᵀ x.
    pub fn solve_transposed_in_place(&self, x: &mut [f64]) {
        self.upper.solve_transposed(x);
        x.iter_mut().zip(&self.inverse).for_each(|(x, inverse)| *x *= inverse);
        self.lower.solve_transposed(x);
    }

    /// Entries of L, D and U.
    pub fn stored_entries(&self) -> usize {
        self.lower.nnz() + self.upper.nnz() + self.inverse.len()
    }

    pub fn bytes(&self) -> usize {
        self.lower.bytes() + self.upper.bytes() + 8 * self.inverse.len()
    }
}

/// Called before every row of a factorisation; ends it with its error.
pub type BeforeRow<'w> = dyn Fn(usize) -> Result<()> + 'w;

/// A pivot below this, beside Σⱼ|aᵢⱼ|, may be what rounding left of a zero: its sign says nothing.
const CHANCE: f64 = 1e-12;

/// What is done about pivots that are too small.
#[derive(Clone, Copy, Debug)]
pub struct Pivots {
    /// Least size of a pivot beside Σⱼ|aᵢⱼ|; without one, a zero is an error.
    pub shift: Option<f64>,
    /// Pivots moved so far.
    pub moved: u32,
}

impl Pivots {
    /// Those of one attempt at a factorisation.
    pub fn new(shift: Option<f64>) -> Self {
        Pivots { shift, moved: 0 }
    }

    /// The pivot to use in row `i` of `a`, where elimination left `pivot`.
    ///
    /// # Errors
    /// [`Error::Breakdown`] naming the row, where it must not be divided by.
    pub fn take(&mut self, a: CsrView<'_>, i: usize, pivot: f64) -> Result<f64> {
        let sum: f64 = a.row_values(i).iter().map(|v| v.abs()).sum();
        let mut used = pivot;
        if let Some(shift) = self.shift.filter(|shift| pivot.abs() < shift * sum) {
            // The sign of a rounding error is chance.
            let sign = if pivot.abs() > CHANCE * sum { pivot } else { 1.0 };
            used = (shift * sum).copysign(sign);
            self.moved += 1;
        }
        if used.abs() > ZERO * sum && used.is_finite() && used.recip().is_finite() {
            return Ok(used);
        }
        let stored = a.row_cols(i).binary_search(&(i as u32)).is_ok();
        Err(Error::breakdown(
            i as u64,
            match (sum.is_finite(), sum == 0.0, stored) {
                (false, ..) => "an entry is not a finite number".to_owned(),
                (_, true, _) => "it has no entry but zeros in this rank's block".to_owned(),
                (.., true) => format!("the pivot is {pivot:e}; set 'shift' to move zero pivots"),
                (.., false) => format!(
                    "no diagonal entry is stored and the pivot is {pivot:e}; set 'shift' to move \
                     zero pivots"
                ),
            },
        ))
    }
}
