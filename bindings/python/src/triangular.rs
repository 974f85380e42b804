//! M = (L U)⁻¹ by its triangular factors.
use precondor::core::matrix::Csr;
use precondor::{Error, Result};

/// L, lower triangular, and U, upper triangular, both with their diagonals.
pub struct Pair {
    l: Csr,
    u: Csr,
}

impl Pair {
    /// # Errors
    /// [`Error::Data`] naming the first row that is not of such a triangle; [`Error::Breakdown`] for a zero on a
    /// diagonal.
    pub fn new(l: Csr, u: Csr) -> Result<Self> {
        // Columns increase: the diagonal is the last entry of a row of L and the first of one of U.
        triangular(&l, "L", "lower", |cols| cols.last())?;
        triangular(&u, "U", "upper", |cols| cols.first())?;
        Ok(Pair { l, u })
    }

    /// Entries of both.
    pub fn nnz(&self) -> usize {
        self.l.nnz() + self.u.nnz()
    }

    /// Bytes of both.
    pub fn bytes(&self) -> usize {
        self.l.bytes() + self.u.bytes()
    }

    /// L y = r, U z = y.
    pub fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let (l, u) = (self.l.view(), self.u.view());
        for i in 0..r.len() {
            let (mut sum, mut diagonal) = (r[i], 1.0);
            for (j, value) in l.row(i) {
                if j == i { diagonal = value } else { sum -= value * z[j] }
            }
            z[i] = sum / diagonal;
        }
        for i in (0..r.len()).rev() {
            let (mut sum, mut diagonal) = (z[i], 1.0);
            for (j, value) in u.row(i) {
                if j == i { diagonal = value } else { sum -= value * z[j] }
            }
            z[i] = sum / diagonal;
        }
        Ok(())
    }

    /// Uᵀ y = r, Lᵀ z = y, column by column.
    pub fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let (l, u) = (self.l.view(), self.u.view());
        z.copy_from_slice(r);
        for i in 0..r.len() {
            z[i] /= u.get(i, i);
            let y = z[i];
            u.row(i).filter(|(j, _)| *j > i).for_each(|(j, value)| z[j] -= value * y);
        }
        for i in (0..r.len()).rev() {
            z[i] /= l.get(i, i);
            let y = z[i];
            l.row(i).filter(|(j, _)| *j < i).for_each(|(j, value)| z[j] -= value * y);
        }
        Ok(())
    }
}

/// Refuses a matrix with an entry beside the triangle, or without one on the diagonal, which `end` picks of a row.
fn triangular(
    matrix: &Csr,
    name: &str,
    side: &str,
    end: impl Fn(&[u32]) -> Option<&u32>,
) -> Result<()> {
    let view = matrix.view();
    for i in 0..view.n_rows() {
        match end(view.row_cols(i)) {
            Some(&j) if j as usize == i => {}
            Some(&j) if (j as usize > i) == (side == "lower") => {
                let why = format!(
                    "global row {i}: {name} is {side} triangular, and has an entry in column {j}"
                );
                return Err(Error::Data(why));
            }
            _ => {
                let why =
                    format!("global row {i}: {name} has no diagonal entry; ones are stored, too");
                return Err(Error::Data(why));
            }
        }
        if view.get(i, i) == 0.0 {
            return Err(Error::breakdown(
                i as u64,
                format_args!("the diagonal entry of {name} is 0"),
            ));
        }
    }
    Ok(())
}
