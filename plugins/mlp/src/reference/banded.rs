//! Cholesky factors of symmetric band matrices, dense within the band.
use precondor_sdk::prelude::*;

/// A symmetric band matrix, and then its lower Cholesky factor.
#[derive(Default)]
pub struct Factor {
    n: usize,
    /// Entries of a row before its diagonal.
    width: usize,
    /// `width + 1` numbers a row, the diagonal last; of the factor, the diagonal's reciprocals.
    values: Vec<f64>,
}

impl Factor {
    /// The zero matrix of order `n`, with room for `width` entries of a row before the diagonal.
    pub fn zero(n: usize, width: usize) -> Self {
        let width = width.min(n.saturating_sub(1));
        Factor { n, width, values: vec![0.0; n * (width + 1)] }
    }

    /// Adds to the entry of row `p` and column `q`; of an entry above the diagonal, which is that below it,
    /// nothing is kept.
    ///
    /// # Panics
    /// For an entry outside the band.
    pub fn add(&mut self, p: usize, q: usize, value: f64) {
        if q <= p && value != 0.0 {
            assert!(p - q <= self.width, "row {p}, column {q} beyond {} entries", self.width);
            self.values[p * (self.width + 1) + self.width + q - p] += value;
        }
    }

    /// Numbers held.
    pub fn entries(&self) -> usize {
        self.values.len()
    }

    /// The Cholesky factor, in place of the matrix: about `n · width²` flops.
    ///
    /// # Errors
    /// [`Error::Breakdown`] where the matrix is not positive definite.
    pub fn factorise(&mut self) -> Result<()> {
        let stride = self.width + 1;
        for i in 0..self.n {
            let (above, row) = self.values.split_at_mut(i * stride);
            for j in i.saturating_sub(self.width)..=i {
                // Columns that both rows have, before column j.
                let common = self.width.min(j).min(j + self.width - i);
                let at = self.width + j - i;
                let mine = &row[at - common..at];
                let value = if i == j {
                    let value = row[at] - dot(mine, mine);
                    if value.is_nan() || value <= 0.0 {
                        return Err(Error::Breakdown("the matrix is not positive definite".into()));
                    }
                    1.0 / value.sqrt()
                } else {
                    let other = &above[j * stride..(j + 1) * stride];
                    let dot = dot(mine, &other[self.width - common..self.width]);
                    (row[at] - dot) * other[self.width]
                };
                row[at] = value;
            }
        }
        Ok(())
    }

    /// `x ← (L Lᵀ)⁻¹ x`, once it is factorised: about `4 · n · width` flops.
    pub fn solve(&self, x: &mut [f64]) {
        let row = |i: usize| {
            let before = self.width.min(i);
            let row = &self.values[i * (self.width + 1)..(i + 1) * (self.width + 1)];
            (i - before..i, &row[self.width - before..self.width], row[self.width])
        };
        for i in 0..self.n {
            let (before, row, reciprocal) = row(i);
            x[i] = (x[i] - dot(row, &x[before])) * reciprocal;
        }
        for i in (0..self.n).rev() {
            let (before, row, reciprocal) = row(i);
            let value = x[i] * reciprocal;
            x[i] = value;
            x[before].iter_mut().zip(row).for_each(|(x, l)| *x -= l * value);
        }
    }
}

/// Eight sums side by side, so that they need not wait for each other.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let ((x, rest_x), (y, rest_y)) = (x.as_chunks::<8>(), y.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (x, y) in x.iter().zip(y) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    let rest: f64 = rest_x.iter().zip(rest_y).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn solutions_are_those_of_the_matrix() {
        let mut random = Random::new(7, 0);
        for (n, width) in [(1, 0), (1, 3), (5, 0), (9, 1), (30, 4), (40, 17), (12, 20)] {
            let mut factor = Factor::zero(n, width);
            let mut dense = vec![0.0; n * n];
            for (p, q) in (0..n).flat_map(|p| (p.saturating_sub(width)..=p).map(move |q| (p, q))) {
                let value = if p == q { 1.0 + width as f64 } else { random.unit() - 0.5 };
                factor.add(p, q, value);
                // What is above the diagonal is known from below.
                if p != q {
                    factor.add(q, p, value);
                }
                (dense[p * n + q], dense[q * n + p]) = (value, value);
            }
            factor.factorise().expect("dominant diagonals");
            let x: Vec<f64> = (0..n).map(|_| random.unit() - 0.5).collect();
            let product = |row: &[f64]| row.iter().zip(&x).map(|(a, x)| a * x).sum();
            let mut b: Vec<f64> = dense.chunks(n).map(product).collect();
            factor.solve(&mut b);
            assert!(x.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-13), "{n} {width}");
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        for value in [0.0, -1.0, f64::NAN] {
            let mut factor = Factor::zero(3, 1);
            (0..3).for_each(|i| factor.add(i, i, if i == 2 { value } else { 1.0 }));
            assert!(factor.factorise().is_err(), "{value}");
        }
    }
}
