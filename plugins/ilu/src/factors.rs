//! A ≈ (I + L) D (I + U): pivots, and substitution forward and backward.
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

    /// z = (I + U)⁻¹ D⁻¹ (I + L)⁻¹ r.
    pub fn solve(&self, r: &[f64], z: &mut [f64]) {
        self.lower.solve(z, |i, _| r[i]);
        self.upper.solve(z, |i, z| z[i] * self.inverse[i]);
    }

    /// z = (I + L)⁻ᵀ D⁻¹ (I + U)⁻ᵀ r.
    pub fn solve_transposed(&self, r: &[f64], z: &mut [f64]) {
        z.copy_from_slice(r);
        self.upper.solve_transposed(z);
        z.iter_mut().zip(&self.inverse).for_each(|(z, inverse)| *z *= inverse);
        self.lower.solve_transposed(z);
    }

    /// Entries of L, D and U.
    pub fn stored_entries(&self) -> usize {
        self.lower.nnz() + self.upper.nnz() + self.inverse.len()
    }

    pub fn bytes(&self) -> usize {
        self.lower.bytes() + self.upper.bytes() + 8 * self.inverse.len()
    }
}

/// What is done about pivots that are too small.
#[derive(Clone, Copy, Debug)]
pub struct Pivots {
    /// Least size of a pivot beside Σⱼ|aᵢⱼ|; without one, a zero is an error.
    pub shift: Option<f64>,
    /// Pivots moved so far.
    pub moved: u32,
}

impl Pivots {
    /// The pivot to use in own row `i`, where elimination left `pivot`.
    ///
    /// # Errors
    /// [`Error::Breakdown`] naming the global row, where it must not be divided by.
    pub fn take(&mut self, a: &DistCsr, i: usize, pivot: f64) -> Result<f64> {
        let sum: f64 = a.own().view().row_values(i).iter().map(|v| v.abs()).sum();
        let mut used = pivot;
        if let Some(shift) = self.shift.filter(|shift| pivot.abs() < shift * sum) {
            used = (shift * sum).copysign(pivot);
            self.moved += 1;
        }
        if used.abs() > ZERO * sum && used.is_finite() && used.recip().is_finite() {
            return Ok(used);
        }
        Err(Error::breakdown(
            a.global_row(i),
            match (sum.is_finite(), sum == 0.0, has_diagonal(a, i)) {
                (false, ..) => "an entry is not a finite number".to_owned(),
                (_, true, _) => "it has no entry but zeros in this rank's block".to_owned(),
                (.., true) => format!("the pivot is {pivot:e}; set 'shift' to move zero pivots"),
                (.., false) => format!(
                    "no diagonal entry is stored and the pivot is {pivot:e}; reorder the rows, \
                     or set 'shift' to move zero pivots"
                ),
            },
        ))
    }
}

fn has_diagonal(a: &DistCsr, i: usize) -> bool {
    a.own().view().row_cols(i).binary_search(&(i as u32)).is_ok()
}
