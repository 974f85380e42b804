//! IC(0): the values of U and D in A ≈ (I + U)ᵀ D (I + U) on the pattern of A.
//!
//! U alone is kept, by rows: forward substitution goes through its columns. Row i of D U is that of A less a
//! multiple of the rest of each row k of U that has an entry in column i. These k are the columns of row i of A
//! below the diagonal, and as rows come in order, a cursor for each row of U stands at that entry: nothing is
//! searched for, sorted or transposed. What is subtracted outside the pattern is never read.
use crate::factors::ZERO;
use precondor_sdk::core::kernel::triangular::{SEARCHED, Shape, Triangle};
use precondor_sdk::prelude::*;

/// U and D⁻¹.
pub struct Factors {
    pub upper: Triangle,
    pub inverse: Vec<f64>,
}

/// Why there are no factors.
#[derive(Debug, PartialEq)]
pub enum Failed {
    /// The pivot of this row is not positive.
    Pivot(usize),
    /// The pattern of the block is not symmetric.
    Unmirrored,
}

/// A row of U while rows below it are made.
struct Row {
    /// Its next entry that is not divided by the pivot yet.
    next: u32,
    end: u32,
    /// The reciprocal of its pivot.
    inverse: f64,
}

impl Factors {
    /// With the pattern of the upper triangle of `a`, all of whose diagonal is stored; without values.
    pub fn pattern(a: CsrView<'_>) -> Self {
        let n = a.n_rows();
        let mut row_ptr = Vec::with_capacity(n + 1);
        let mut cols = Vec::with_capacity((a.nnz() - n).div_ceil(2));
        row_ptr.push(0);
        for i in 0..n {
            cols.extend_from_slice(above(a.row_cols(i), i));
            // No more entries than those of A, whose offsets fit.
            row_ptr.push(cols.len() as u32);
        }
        Factors {
            upper: Triangle::with_pattern(Shape::Upper, row_ptr, cols),
            inverse: vec![0.0; n],
        }
    }

    /// Whether `a` has the pattern that this was made for.
    pub fn fits(&self, a: CsrView<'_>) -> bool {
        self.inverse.len() == a.n_rows()
            && (0..a.n_rows()).all(|i| above(a.row_cols(i), i) == self.upper.row(i).0)
    }

    /// The values for A + `alpha`·diag(A); of those of A, the diagonal and what is above it are read.
    ///
    /// # Errors
    /// The factors are unusable then.
    pub fn factorise(&mut self, a: CsrView<'_>, alpha: f64) -> std::result::Result<(), Failed> {
        let Factors { upper, inverse } = self;
        let (row_ptr, all_cols, u) = upper.parts_mut();
        if a.nnz() != inverse.len() + 2 * u.len() {
            return Err(Failed::Unmirrored);
        }
        let row = |ends: &[u32]| Row { next: ends[0], end: ends[1], inverse: 0.0 };
        let mut rows: Vec<Row> = row_ptr.windows(2).map(row).collect();
        // Row i of D U, where that has entries.
        let mut work = vec![0.0; inverse.len()];
        for (i, inverse) in inverse.iter_mut().enumerate() {
            let own = row_ptr[i] as usize..row_ptr[i + 1] as usize;
            let (cols, values) = (a.row_cols(i), a.row_values(i));
            let Some(diagonal) = cols.len().checked_sub(own.len() + 1) else {
                return Err(Failed::Unmirrored);
            };
            let (below, above) = (&cols[..diagonal], &cols[diagonal + 1..]);
            for (&j, &value) in above.iter().zip(&values[diagonal + 1..]) {
                work[j as usize] = value;
            }
            let shifted = (1.0 + alpha) * values[diagonal];
            let mut pivot = shifted;
            for &k in below {
                let row = &mut rows[k as usize];
                let at = row.next as usize;
                if row.next == row.end || all_cols[at] as usize != i {
                    return Err(Failed::Unmirrored);
                }
                row.next += 1;
                // Entries of D U until they are reached, of U from then on.
                let (cols, values) =
                    (&all_cols[at..row.end as usize], &mut u[at..row.end as usize]);
                let factor = values[0] * row.inverse;
                pivot -= values[0] * factor;
                values[0] = factor;
                subtract(factor, &cols[1..], &values[1..], above, &mut work);
            }
            if pivot <= ZERO * shifted || !pivot.recip().is_finite() {
                return Err(Failed::Pivot(i));
            }
            *inverse = pivot.recip();
            rows[i].inverse = *inverse;
            for (&j, u) in above.iter().zip(&mut u[own]) {
                *u = work[j as usize];
            }
        }
        Ok(())
    }

    /// x ← (I + U)⁻¹ D⁻¹ (I + U)⁻ᵀ x.
    pub fn solve_in_place(&self, x: &mut [f64]) {
        self.upper.solve_transposed(x);
        self.upper.solve(x, |i, x| x[i] * self.inverse[i]);
    }

    pub fn bytes(&self) -> usize {
        self.upper.bytes() + 8 * self.inverse.len()
    }
}

/// `a` with what is above its diagonal mirrored below, in place of what is there.
pub fn mirrored(a: CsrView<'_>) -> Result<Csr> {
    let n = a.n_rows();
    let mut both = Vec::with_capacity(a.nnz());
    for (i, (j, v)) in (0..n).flat_map(|i| a.row(i).map(move |entry| (i, entry))) {
        if j >= i {
            both.push((i, j, v));
        }
        if j > i {
            both.push((j, i, v));
        }
    }
    Csr::from_triplets(n, n, both)
}

/// What is right of the diagonal, which is stored.
fn above(cols: &[u32], i: usize) -> &[u32] {
    let before = cols.iter().take_while(|&&j| (j as usize) < i).count();
    &cols[before + 1..]
}

/// work ← work − `factor` · row, at least in the columns `wanted`; a row that is much longer is searched for these.
#[inline(always)]
fn subtract(factor: f64, cols: &[u32], values: &[f64], wanted: &[u32], work: &mut [f64]) {
    if cols.len() <= SEARCHED * wanted.len() {
        for (&j, value) in cols.iter().zip(values) {
            work[j as usize] -= factor * value;
        }
        return;
    }
    for &j in wanted {
        if let Ok(at) = cols.binary_search(&j) {
            work[j as usize] -= factor * values[at];
        }
    }
}
