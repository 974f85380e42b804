//! Cholesky's factorisation where each row has its entries from a first column on to the diagonal: of band matrices
//! ([`Band`]) and of [envelopes](super::envelope).
//!
//! Cost: Σ wᵢ² multiplications and 2 Σ wᵢ a solve, with wᵢ the length of row i.
//!
//! Reference: G. H. Golub, C. F. Van Loan, *Matrix Computations*, 4th ed., §4.3.5.
use std::ops::Range;

/// Where the rows of a lower triangle stand in an array: each from its first column to the diagonal, without gaps, one
/// row after the other.
pub(crate) trait Profile {
    /// First column of row `i`.
    fn first(&self, i: usize) -> usize;
    /// Where its diagonal entry stands.
    fn diagonal(&self, i: usize) -> usize;
    /// Where all of it stands.
    fn row(&self, i: usize) -> Range<usize> {
        self.diagonal(i) - (i - self.first(i))..self.diagonal(i) + 1
    }
}

/// A pivot of no positive definite matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pivot {
    /// Its row.
    pub row: usize,
    /// Its value.
    pub value: f64,
}

/// Replaces some rows of a matrix by those of its factor L, which it has in those before them.
///
/// # Errors
/// The first pivot that is not above `least` times the diagonal entry.
pub(crate) fn factorise(
    profile: &impl Profile,
    values: &mut [f64],
    rows: Range<usize>,
    least: f64,
) -> Result<(), Pivot> {
    for i in rows {
        let first = profile.first(i);
        let (above, row) = values.split_at_mut(profile.row(i).start);
        for j in first..i {
            // Columns that both rows have.
            let from = first.max(profile.first(j));
            let other = &above[profile.row(j)];
            let sum = dot(&row[from - first..j - first], &other[from - profile.first(j)..]);
            row[j - first] = (row[j - first] - sum) / other[other.len() - 1];
        }
        let (row, length) = (&mut row[..=i - first], i - first);
        let pivot = row[length] - dot(&row[..length], &row[..length]);
        if pivot.is_nan() || pivot <= least * row[length].abs() {
            return Err(Pivot { row: i, value: pivot });
        }
        row[length] = pivot.sqrt();
    }
    Ok(())
}

/// `x ← L⁻¹ x`.
pub(crate) fn forward(profile: &impl Profile, values: &[f64], x: &mut [f64]) {
    for i in 0..x.len() {
        let (pivot, l) = values[profile.row(i)].split_last().expect("a diagonal");
        x[i] = (x[i] - dot(l, &x[profile.first(i)..i])) / pivot;
    }
}

/// `x ← L⁻ᵀ x` for the first rows of L, as many as `x` has entries.
pub(crate) fn backward(profile: &impl Profile, values: &[f64], x: &mut [f64]) {
    for i in (0..x.len()).rev() {
        let (pivot, l) = values[profile.row(i)].split_last().expect("a diagonal");
        x[i] /= pivot;
        let solved = x[i];
        x[profile.first(i)..i].iter_mut().zip(l).for_each(|(x, l)| *x -= l * solved);
    }
}

/// Σ xₖyₖ over the shorter length, in eight lanes that the compiler can keep in registers.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len().min(y.len());
    let (x, y) = (x[..n].as_chunks::<8>(), y[..n].as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (x, y) in x.0.iter().zip(y.0) {
        for l in 0..8 {
            lanes[l] += x[l] * y[l];
        }
    }
    let rest: f64 = x.1.iter().zip(y.1).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f64>() + rest
}

/// A symmetric band matrix, dense within the band, and then its lower Cholesky factor.
#[derive(Clone, Debug, Default)]
pub struct Band {
    shape: Shape,
    values: Vec<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    n: usize,
    /// Entries of a row before its diagonal, at most; each row has room for so many.
    width: usize,
}

impl Profile for Shape {
    fn first(&self, i: usize) -> usize {
        i.saturating_sub(self.width)
    }
    fn diagonal(&self, i: usize) -> usize {
        i * (self.width + 1) + self.width
    }
}

impl Band {
    /// The zero matrix of order `n`, with room for `width` entries of a row before the diagonal.
    pub fn zero(n: usize, width: usize) -> Self {
        let shape = Shape { n, width: width.min(n.saturating_sub(1)) };
        Band { shape, values: vec![0.0; n * (shape.width + 1)] }
    }

    /// The same in an array that there is: of zeros, `n · (width + 1)` of them.
    ///
    /// # Panics
    /// Where it has another length.
    pub fn within(values: Vec<f64>, n: usize, width: usize) -> Self {
        assert_eq!(values.len(), n * (width + 1), "one number for every place of the band");
        Band { shape: Shape { n, width }, values }
    }

    /// Adds to the entry of row `p` and column `q`; of an entry above the diagonal, which is that below it,
    /// nothing is kept.
    ///
    /// # Panics
    /// For an entry outside the band.
    pub fn add(&mut self, p: usize, q: usize, value: f64) {
        if q <= p && value != 0.0 {
            let width = self.shape.width;
            assert!(p - q <= width, "row {p}, column {q} beyond {width} entries");
            self.values[self.shape.diagonal(p) - (p - q)] += value;
        }
    }

    /// The entry of row `p` and column `q`, which is not above the diagonal nor outside the band.
    pub fn entry(&self, p: usize, q: usize) -> f64 {
        self.values[self.shape.diagonal(p) - (p - q)]
    }

    /// Entries of a row before its diagonal, at most.
    pub fn width(&self) -> usize {
        self.shape.width
    }

    /// Numbers held.
    pub fn entries(&self) -> usize {
        self.values.len()
    }

    /// The Cholesky factor, in place of the matrix: about `n · width²` flops.
    ///
    /// # Errors
    /// The first pivot that is not positive.
    pub fn factorise(&mut self) -> Result<(), Pivot> {
        factorise(&self.shape, &mut self.values, 0..self.shape.n, 0.0)
    }

    /// The same for some rows, after those before them.
    ///
    /// # Errors
    /// The first pivot that is not above `least` times the diagonal entry.
    pub fn factorise_rows(&mut self, rows: Range<usize>, least: f64) -> Result<(), Pivot> {
        factorise(&self.shape, &mut self.values, rows, least)
    }

    /// `x ← (L Lᵀ)⁻¹ x`, once it is factorised: about `4 · n · width` flops.
    pub fn solve(&self, x: &mut [f64]) {
        forward(&self.shape, &self.values, x);
        backward(&self.shape, &self.values, x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::random::mix;

    #[test]
    fn solutions_are_those_of_the_matrix() {
        let mut drawn = 0;
        let mut unit = || {
            drawn += 1;
            (mix(drawn) >> 11) as f64 / (1u64 << 53) as f64
        };
        for (n, width) in [(1, 0), (1, 3), (5, 0), (9, 1), (30, 4), (40, 17), (12, 20)] {
            let mut factor = Band::zero(n, width);
            let mut dense = vec![0.0; n * n];
            for (p, q) in (0..n).flat_map(|p| (p.saturating_sub(width)..=p).map(move |q| (p, q))) {
                let value = if p == q { 1.0 + width as f64 } else { unit() - 0.5 };
                factor.add(p, q, value);
                // What is above the diagonal is known from below.
                if p != q {
                    factor.add(q, p, value);
                }
                (dense[p * n + q], dense[q * n + p]) = (value, value);
                assert_eq!(factor.entry(p, q), value);
            }
            factor.factorise().expect("dominant diagonals");
            let x: Vec<f64> = (0..n).map(|_| unit() - 0.5).collect();
            let product = |row: &[f64]| row.iter().zip(&x).map(|(a, x)| a * x).sum();
            let mut b: Vec<f64> = dense.chunks(n).map(product).collect();
            factor.solve(&mut b);
            assert!(x.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-13), "{n} {width}");
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused_with_its_row() {
        for value in [0.0, -1.0, f64::NAN] {
            let mut factor = Band::zero(3, 1);
            (0..3).for_each(|i| factor.add(i, i, if i == 2 { value } else { 1.0 }));
            assert_eq!(factor.factorise().expect_err("no pivot").row, 2, "{value}");
        }
        // Rounding alone is no pivot where that is asked for.
        let (one, less) = (1.0, 1.0 - f64::EPSILON / 2.0);
        let mut factor = Band::zero(2, 1);
        for (p, q, value) in [(0, 0, one), (1, 0, less), (1, 1, one)] {
            factor.add(p, q, value);
        }
        assert!(factor.clone().factorise().is_ok());
        assert!(factor.factorise_rows(0..2, f64::EPSILON).is_err());
    }
}
