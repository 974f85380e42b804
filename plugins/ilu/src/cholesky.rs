//! IC(0): the values of L and D in A ≈ (I + L) D (I + L)ᵀ on the pattern of A.
use crate::factors::ZERO;
use precondor_sdk::core::kernel::triangular::{Shape, Triangle};
use precondor_sdk::prelude::*;

/// The factors of one rank's block.
pub struct Cholesky {
    /// L, strictly lower.
    pub lower: Triangle,
    /// D⁻¹.
    pub inverse: Vec<f64>,
}

impl Cholesky {
    /// The strictly lower pattern of `a`, with zeros for values.
    pub fn pattern(a: CsrView<'_>) -> Result<Self> {
        let n = a.n_rows();
        let nnz = a.nnz().saturating_sub(n).div_ceil(2);
        let mut lower = Triangle::with_capacity(Shape::Lower, n, nnz);
        for i in 0..n {
            strictly_lower(a, i).iter().for_each(|&j| lower.push(j, 0.0));
            lower.end_row()?;
        }
        Ok(Cholesky { lower, inverse: vec![0.0; n] })
    }

    /// Whether `a` has the pattern that this was made for.
    pub fn fits(&self, a: CsrView<'_>) -> bool {
        self.lower.n_rows() == a.n_rows()
            && (0..a.n_rows()).all(|i| self.lower.row(i).0 == strictly_lower(a, i))
    }

    /// Factorises A + `alpha`·diag(A). Row i of L D solves a triangular system with the rows of L
    /// above it, restricted to the pattern.
    ///
    /// Returns the first row whose pivot is not positive, if any.
    pub fn factorise(&mut self, a: CsrView<'_>, diagonal: &[f64], alpha: f64) -> Option<usize> {
        // Row i of L D; zero wherever L has no entry.
        let mut work = vec![0.0; a.n_rows()];
        for (i, &d) in diagonal.iter().enumerate() {
            for (&j, &value) in strictly_lower(a, i).iter().zip(a.row_values(i)) {
                work[j as usize] = value;
            }
            let shifted = (1.0 + alpha) * d;
            let mut pivot = shifted;
            for t in 0..self.lower.row(i).0.len() {
                let k = self.lower.row(i).0[t] as usize;
                let wk = work[k] - self.lower.row_dot(k, &work);
                let l = wk * self.inverse[k];
                work[k] = wk;
                self.lower.row_mut(i).1[t] = l;
                pivot -= wk * l;
            }
            for &j in self.lower.row(i).0 {
                work[j as usize] = 0.0;
            }
            if pivot <= ZERO * shifted || !pivot.recip().is_finite() {
                return Some(i);
            }
            self.inverse[i] = pivot.recip();
        }
        None
    }

    /// z = (I + L)⁻ᵀ D⁻¹ (I + L)⁻¹ r.
    pub fn solve(&self, r: &[f64], z: &mut [f64]) {
        self.lower.solve(z, |i, _| r[i]);
        z.iter_mut().zip(&self.inverse).for_each(|(z, inverse)| *z *= inverse);
        self.lower.solve_transposed(z);
    }
}

fn strictly_lower(a: CsrView<'_>, i: usize) -> &[u32] {
    let row = a.row_cols(i);
    &row[..row.partition_point(|&j| (j as usize) < i)]
}
