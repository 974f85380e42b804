//! The diffusion problems that *PreCorrector* is tried on: −∇·(k ∇u) = f on the unit square, u = 0 on its boundary, five-point
//! differences on grid × grid inner points times (grid + 1)², k = e^g on the corners of the cells around each point, g a Gaussian
//! field with covariance σ² e^(−d²/ℓ²), ℓ = 0.05. Fields count whose contrast max k / min k lies within bounds; others are
//! drawn again. b and the vector to start from are normal.
//!
//! g is white noise under a moving average with weights e^(−2 d²/ℓ²) in each direction: the averages of two places have that
//! covariance up to e^(−π² ℓ²/(4 h²)) for points h apart, 5e-12 on 64 × 64 and less on finer grids.
//!
//! Reference: V. Trifonov, A. Rudikov, O. Iliev, Y. M. Laevsky, I. Oseledets, E. Muravleva, *Learning from linear algebra: a
//! graph neural network approach to preconditioner design for conjugate gradient solvers*, arXiv:2405.15557;
//! github.com/vltrifonov/PreCorrector, `data/qtt.py` and `data/make_elliptic_datasets.ipynb`; fields by
//! github.com/parafields/parafields, whose correlation length ℓ is 0.05 unless given.
use super::made::Made;
use precondor_core::kernel::random::{Purpose, Stream};
use precondor_core::matrix::{Csr, DistCsr};
use precondor_core::{Error, Result};

/// ℓ.
const CORRELATION: f64 = 0.05;
/// Half the width of the moving average, in ℓ: weights beyond are below 1e-16.
const REACH: f64 = 4.3;
/// Fields that are drawn until one has a contrast within the bounds.
const TRIES: u64 = 10_000;

/// Streams of a system, those of fields from the last one on.
const RHS: u64 = 0;
const START: u64 = 1;
const FIELD: u64 = 2;

/// Problems of one kind.
#[derive(Clone, Debug)]
pub struct Contrast {
    /// Inner points a side.
    pub grid: usize,
    /// σ².
    pub variance: f64,
    /// The least and the largest contrast.
    pub bounds: [f64; 2],
    /// Inner points a side of the part around the middle that is taken; none: all.
    pub window: Option<usize>,
}

impl Contrast {
    /// Whole grids.
    pub fn new(grid: usize, variance: f64, bounds: [f64; 2]) -> Self {
        Contrast { grid, variance, bounds, window: None }
    }

    /// System `index`.
    pub fn make(&self, purpose: Purpose, seed: u64, index: u64) -> Result<Made> {
        let stream = |what| {
            let tags = [self.grid as u64, self.variance.to_bits(), what];
            Stream::new(purpose, seed, index, &tags)
        };
        let field = (0..TRIES)
            .map(|k| self.field(stream(FIELD + k)))
            .find(|field| (self.bounds[0]..=self.bounds[1]).contains(&contrast(field)));
        let field = field.ok_or_else(|| {
            Error::Data(format!("none of {TRIES} fields has a contrast within {:?}", self.bounds))
        })?;
        let m = self.window.unwrap_or(self.grid).min(self.grid);
        let first = (self.grid - m) / 2;
        let k = |i: usize, j: usize| field[(first + i) * (self.grid + 1) + first + j];
        let a = DistCsr::solo(matrix(m, k, ((self.grid + 1) * (self.grid + 1)) as f64)?)?;
        let normal = |stream: Stream| (0..(m * m) as u64).map(|row| stream.normal(row)).collect();
        Ok(Made { a, b: normal(stream(RHS)), x0: Some(normal(stream(START))) })
    }

    /// k on (grid + 1)² places.
    fn field(&self, stream: Stream) -> Vec<f64> {
        let side = self.grid + 1;
        let scale = 1.0 / (side as f64 * CORRELATION);
        let reach = (REACH / scale).ceil() as usize;
        let weight = |d: usize| (-2.0 * (d.abs_diff(reach) as f64 * scale).powi(2)).exp();
        let weights: Vec<f64> = (0..=2 * reach).map(weight).collect();
        let norm = weights.iter().map(|w| w * w).sum::<f64>();
        let wide = side + 2 * reach;
        let noise: Vec<f64> = (0..(wide * wide) as u64).map(|place| stream.normal(place)).collect();
        let averaged = |from: &[f64], at: usize, stride: usize| -> f64 {
            weights.iter().enumerate().map(|(d, w)| w * from[at + d * stride]).sum()
        };
        // Along the rows, of `side` numbers then; then along the columns.
        let rows: Vec<f64> =
            (0..wide * side).map(|k| averaged(&noise, k / side * wide + k % side, 1)).collect();
        let deviation = self.variance.sqrt() / norm;
        (0..side * side).map(|k| (deviation * averaged(&rows, k, side)).exp()).collect()
    }
}

/// max k / min k.
fn contrast(field: &[f64]) -> f64 {
    let most = field.iter().copied().fold(f64::MIN, f64::max);
    most / field.iter().copied().fold(f64::MAX, f64::min)
}

/// Differences times `scale` on m × m points, k on the corners of the cells around them. Point (i, j) has row i + j·m.
fn matrix(m: usize, k: impl Fn(usize, usize) -> f64, scale: f64) -> Result<Csr> {
    // The coupling of (i, j) with (i + 1, j), and with (i, j + 1).
    let down = |i: usize, j: usize| 0.5 * (k(i + 1, j) + k(i + 1, j + 1)) * scale;
    let right = |i: usize, j: usize| 0.5 * (k(i, j + 1) + k(i + 1, j + 1)) * scale;
    let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
    for (j, i) in (0..m).flat_map(|j| (0..m).map(move |i| (j, i))) {
        let row = i + j * m;
        let centre = k(i, j) + k(i, j + 1) + k(i + 1, j) + k(i + 1, j + 1);
        let neighbours = [
            (j > 0).then(|| (row - m, -right(i, j - 1))),
            (i > 0).then(|| (row - 1, -down(i - 1, j))),
            Some((row, centre * scale)),
            (i + 1 < m).then(|| (row + 1, -down(i, j))),
            (j + 1 < m).then(|| (row + m, -right(i, j))),
        ];
        for (col, value) in neighbours.into_iter().flatten() {
            cols.push(col as u32);
            values.push(value);
        }
        row_ptr.push(cols.len() as u32);
    }
    Csr::new(m * m, row_ptr, cols, values)
}

#[cfg(test)]
mod tests {
    use super::super::made::tests::{definite, differ, symmetric};
    use super::*;

    #[test]
    fn fields_have_the_variance_and_the_covariance() {
        let recipe = Contrast::new(64, 1.1, [0.0, f64::MAX]);
        let (mut square, mut beside, mut count) = (0.0, 0.0, 0.0);
        for index in 0..150 {
            let field = recipe.field(Stream::new(Purpose::Test, 5, index, &[]));
            // Places far from each other; their neighbours 3 and 4 points away, 0.0769 in all.
            for at in (0..4).flat_map(|i| (0..4).map(move |j| i * 16 * 65 + j * 16)) {
                let [g, near] = [at, at + 3 * 65 + 4].map(|at| field[at].ln());
                (square, beside, count) = (square + g * g, beside + g * near, count + 1.0);
            }
        }
        let near = 1.1 * (-(5.0f64 / 65.0 / CORRELATION).powi(2)).exp();
        // Each bound is about four standard deviations.
        assert!((square / count - 1.1).abs() < 0.13, "{}", square / count);
        assert!((beside / count - near).abs() < 0.1, "{} for {near}", beside / count);
    }

    #[test]
    fn matrices_are_symmetric_positive_definite_of_a_contrast_within_the_bounds() {
        let recipe = Contrast { window: Some(12), ..Contrast::new(64, 1.1, [400.0, 1200.0]) };
        for index in 0..2 {
            let made = recipe.make(Purpose::Test, 7, index).expect("made");
            assert_eq!((made.b.len(), made.a.nnz_own()), (144, 5 * 144 - 4 * 12));
            assert!(symmetric(&made.a));
            definite(&made.a);
        }
        let whole = Contrast::new(32, 0.7, [180.0, 700.0]);
        let made = whole.make(Purpose::Test, 7, 0).expect("made");
        // A diagonal entry is the sum of the corners, between four times the least and the most.
        let diagonal: Vec<f64> = (0..1024).map(|i| made.a.diagonal(i) / 33.0f64.powi(2)).collect();
        let spread = contrast(&diagonal);
        assert!((10.0..700.0).contains(&spread), "{spread}");
    }

    #[test]
    fn inner_rows_sum_to_nothing_and_constant_fields_give_five_points() {
        let a = matrix(3, |_, _| 1.0, 16.0).expect("a matrix");
        assert_eq!(
            a.view().row(4).collect::<Vec<_>>(),
            [(1, -16.0), (3, -16.0), (4, 64.0), (5, -16.0), (7, -16.0)]
        );
        let a = matrix(4, |i, j| (1 + i * i + 2 * j) as f64, 1.0).expect("a matrix");
        for row in [5, 6, 9, 10] {
            assert_eq!(a.view().row_values(row).iter().sum::<f64>(), 0.0, "row {row}");
        }
    }

    #[test]
    fn bounds_that_no_field_meets_are_an_error() {
        let recipe = Contrast::new(2, 0.01, [1e6, 1e7]);
        let failed = recipe.make(Purpose::Test, 1, 0).err().expect("no such field");
        assert!(
            failed.to_string().contains("has a contrast within [1000000.0, 10000000.0]"),
            "{failed}"
        );
    }

    #[test]
    fn systems_are_the_same_again_and_differ_in_seed_index_and_purpose() {
        let recipe = Contrast::new(8, 0.5, [1.0, 1e9]);
        differ(|purpose, seed, index| recipe.make(purpose, seed, index));
    }
}
