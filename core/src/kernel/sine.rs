//! Discrete sine transform of a grid, and the solve with the five-point Laplacian that it diagonalises.
//!
//! On `mx × my` inner nodes of a rectangle the matrix `A0` with 4 on the diagonal and −1 for the four
//! neighbours has the eigenvectors `sin(π k i/(mx+1)) sin(π l j/(my+1))` and the eigenvalues
//! `4 sin²(π k/(2(mx+1))) + 4 sin²(π l/(2(my+1)))`. P1 elements on a square cut into equal triangles by
//! one family of diagonals give exactly this matrix: the diagonal edge's entry is zero.
//!
//! - Works for any `mx, my ≥ 1`; fastest where `mx + 1` and `my + 1` have small prime factors.
//! - Cost: setup `O(mx + my)`; one transform `O(n log n)`, one solve two transforms; no allocation
//!   after setup; no communication (the whole grid lives on one rank).
//! - Reference: W. Press et al., *Numerical Recipes*, 3rd ed., §12.4.1 (a sine transform of length
//!   `m` by one real Fourier transform of length `m + 1`); B. Buzbee, G. Golub, C. Nielson, *On direct
//!   methods for solving Poisson's equations*, SIAM J. Numer. Anal. 7 (1970).

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};
use rustfft::{FftNum, num_complex::Complex};

/// Number types the transform is made for: `f32` and `f64`.
pub trait SineNumber: FftNum {
    /// The nearest number of this type to `x`.
    fn rounded(x: f64) -> Self;
}

impl SineNumber for f32 {
    fn rounded(x: f64) -> Self {
        x as f32
    }
}

impl SineNumber for f64 {
    fn rounded(x: f64) -> Self {
        x
    }
}

/// Eigenvalue number `k` (from 1 to `m`) of the one-dimensional second difference `(−1, 2, −1)` on `m`
/// inner nodes.
pub fn eigenvalue(m: usize, k: usize) -> f64 {
    let s = (std::f64::consts::FRAC_PI_2 * k as f64 / (m + 1) as f64).sin();
    4.0 * s * s
}

/// The orthonormal sine transform (DST-I) of vectors of one length; it is its own inverse.
struct Line<T: FftNum> {
    m: usize,
    fft: Arc<dyn RealToComplex<T>>,
    /// `sin(π j/(m+1))` for `j = 0 … m`.
    sines: Vec<T>,
    scale: T,
}

/// The memory one [`Line`] works in.
struct LineScratch<T: FftNum> {
    folded: Vec<T>,
    spectrum: Vec<Complex<T>>,
    fft: Vec<Complex<T>>,
}

impl<T: SineNumber> Line<T> {
    fn new(m: usize) -> Self {
        let length = m + 1;
        let fft = RealFftPlanner::new().plan_fft_forward(length);
        let sine = |j: usize| (std::f64::consts::PI * j as f64 / length as f64).sin();
        let sines = (0..length).map(|j| T::rounded(sine(j))).collect();
        Line { m, fft, sines, scale: T::rounded((2.0 / length as f64).sqrt()) }
    }

    fn scratch(&self) -> LineScratch<T> {
        LineScratch {
            folded: self.fft.make_input_vec(),
            spectrum: self.fft.make_output_vec(),
            fft: self.fft.make_scratch_vec(),
        }
    }

    /// Replaces `x` (length `m`) by its transform.
    ///
    /// With `N = m + 1` the folded sequence `y_j = sin(πj/N)(x_j + x_{N−j}) + (x_j − x_{N−j})/2` has the
    /// Fourier sums `Re_k = X_{2k+1} − X_{2k−1}` and `Im_k = −X_{2k}`.
    fn transform(&self, x: &mut [T], scratch: &mut LineScratch<T>) {
        let (m, half) = (self.m, T::rounded(0.5));
        let LineScratch { folded, spectrum, fft } = scratch;
        folded[0] = T::zero();
        for j in 1..=m {
            let (forward, mirrored) = (x[j - 1], x[m - j]);
            folded[j] = self.sines[j] * (forward + mirrored) + half * (forward - mirrored);
        }
        self.fft
            .process_with_scratch(folded, spectrum, fft)
            .expect("the buffers were made by this plan");
        let mut odd = half * spectrum[0].re;
        x[0] = self.scale * odd;
        for k in 1..=m / 2 {
            x[2 * k - 1] = -self.scale * spectrum[k].im;
            if 2 * k < m {
                odd = odd + spectrum[k].re;
                x[2 * k] = self.scale * odd;
            }
        }
    }
}

/// The orthonormal two-dimensional sine transform of an `mx × my` grid; it is its own inverse.
///
/// ```
/// use precondor_core::kernel::sine::SineTransform;
/// let transform = SineTransform::<f64>::new(3, 2);
/// let mut scratch = transform.scratch();
/// let mut x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// transform.transform(&mut x, &mut scratch);
/// transform.transform(&mut x, &mut scratch);
/// assert!((x[4] - 5.0).abs() < 1e-14);
/// ```
pub struct SineTransform<T: FftNum> {
    along_x: Line<T>,
    along_y: Line<T>,
}

/// The memory a [`SineTransform`] or a [`PoissonSolver`] works in; one per thread.
pub struct SineScratch<T: FftNum> {
    turned: Vec<T>,
    x: LineScratch<T>,
    y: LineScratch<T>,
}

impl<T: FftNum> SineScratch<T> {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let line = |l: &LineScratch<T>| l.folded.len() + 2 * (l.spectrum.len() + l.fft.len());
        size_of::<T>() * (self.turned.len() + line(&self.x) + line(&self.y))
    }
}

impl<T: SineNumber> SineTransform<T> {
    /// Plans the transform for `mx` nodes a row and `my` rows; both at least 1.
    pub fn new(mx: usize, my: usize) -> Self {
        assert!(mx > 0 && my > 0, "a grid has at least one node");
        SineTransform { along_x: Line::new(mx), along_y: Line::new(my) }
    }

    /// Nodes in a row and number of rows.
    pub fn shape(&self) -> (usize, usize) {
        (self.along_x.m, self.along_y.m)
    }

    /// Memory for [`transform`](Self::transform), allocated once.
    pub fn scratch(&self) -> SineScratch<T> {
        let (mx, my) = self.shape();
        SineScratch {
            turned: vec![T::zero(); mx * my],
            x: self.along_x.scratch(),
            y: self.along_y.scratch(),
        }
    }

    /// Replaces `x` (row after row, `mx` each) by its transform.
    pub fn transform(&self, x: &mut [T], scratch: &mut SineScratch<T>) {
        self.to_spectrum(x, scratch);
        let (mx, my) = self.shape();
        turn(&scratch.turned, my, mx, x);
    }

    /// Leaves the transform of `x` in `scratch.turned`, column after column.
    fn to_spectrum(&self, x: &mut [T], scratch: &mut SineScratch<T>) {
        let (mx, my) = self.shape();
        assert_eq!(x.len(), mx * my, "the vector has one entry a node");
        for row in x.chunks_exact_mut(mx) {
            self.along_x.transform(row, &mut scratch.x);
        }
        turn(x, mx, my, &mut scratch.turned);
        for column in scratch.turned.chunks_exact_mut(my) {
            self.along_y.transform(column, &mut scratch.y);
        }
    }
}

/// Writes the transpose of `from` (rows of length `columns`) to `to`.
fn turn<T: Copy>(from: &[T], columns: usize, rows: usize, to: &mut [T]) {
    const BLOCK: usize = 16;
    for j0 in (0..rows).step_by(BLOCK) {
        for i0 in (0..columns).step_by(BLOCK) {
            for j in j0..rows.min(j0 + BLOCK) {
                for i in i0..columns.min(i0 + BLOCK) {
                    to[i * rows + j] = from[j * columns + i];
                }
            }
        }
    }
}

/// Solves with the five-point Laplacian `A0` of an `mx × my` grid (diagonal 4, neighbours −1).
pub struct PoissonSolver<T: FftNum> {
    transform: SineTransform<T>,
    eigen_x: Vec<T>,
    eigen_y: Vec<T>,
}

impl<T: SineNumber> PoissonSolver<T> {
    /// Plans the solver for `mx` nodes a row and `my` rows; both at least 1.
    pub fn new(mx: usize, my: usize) -> Self {
        let all = |m: usize| (1..=m).map(|k| T::rounded(eigenvalue(m, k))).collect();
        PoissonSolver { transform: SineTransform::new(mx, my), eigen_x: all(mx), eigen_y: all(my) }
    }

    /// Nodes in a row and number of rows.
    pub fn shape(&self) -> (usize, usize) {
        self.transform.shape()
    }

    /// Bytes held, scratch not counted.
    pub fn bytes(&self) -> usize {
        let (mx, my) = self.shape();
        size_of::<T>() * 2 * (mx + my + 1)
    }

    /// Memory for [`solve`](Self::solve), allocated once.
    pub fn scratch(&self) -> SineScratch<T> {
        self.transform.scratch()
    }

    /// Replaces `x` (row after row, `mx` each) by `A0⁻¹ x`.
    pub fn solve(&self, x: &mut [T], scratch: &mut SineScratch<T>) {
        let (mx, my) = self.shape();
        self.transform.to_spectrum(x, scratch);
        for (column, &lx) in scratch.turned.chunks_exact_mut(my).zip(&self.eigen_x) {
            for (value, &ly) in column.iter_mut().zip(&self.eigen_y) {
                *value = *value / (lx + ly);
            }
            self.transform.along_y.transform(column, &mut scratch.y);
        }
        turn(&scratch.turned, my, mx, x);
        for row in x.chunks_exact_mut(mx) {
            self.transform.along_x.transform(row, &mut scratch.x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [(usize, usize); 8] =
        [(1, 1), (2, 1), (1, 3), (3, 3), (4, 7), (10, 6), (12, 31), (31, 16)];

    fn noise(n: usize) -> Vec<f64> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as f64 / (1u64 << 31) as f64 - 0.5
        };
        (0..n).map(|_| next()).collect()
    }

    /// The transform by its defining double sum.
    fn by_definition(x: &[f64], mx: usize, my: usize) -> Vec<f64> {
        let wave = |m: usize, k: usize, i: usize| {
            let angle = std::f64::consts::PI * ((k + 1) * (i + 1)) as f64 / (m + 1) as f64;
            (2.0 / (m + 1) as f64).sqrt() * angle.sin()
        };
        let mut out = vec![0.0; mx * my];
        for l in 0..my {
            for k in 0..mx {
                for j in 0..my {
                    for i in 0..mx {
                        out[l * mx + k] += wave(my, l, j) * wave(mx, k, i) * x[j * mx + i];
                    }
                }
            }
        }
        out
    }

    fn five_point(x: &[f64], mx: usize, my: usize) -> Vec<f64> {
        let at = |i: isize, j: isize| {
            let inside = i >= 0 && j >= 0 && (i as usize) < mx && (j as usize) < my;
            if inside { x[j as usize * mx + i as usize] } else { 0.0 }
        };
        let mut out = Vec::new();
        for j in 0..my as isize {
            for i in 0..mx as isize {
                let around = at(i - 1, j) + at(i + 1, j) + at(i, j - 1) + at(i, j + 1);
                out.push(4.0 * at(i, j) - around);
            }
        }
        out
    }

    fn distance(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn transform_is_the_defining_sum_at_any_length() {
        for (mx, my) in SHAPES {
            let x = noise(mx * my);
            let transform = SineTransform::<f64>::new(mx, my);
            let mut y = x.clone();
            transform.transform(&mut y, &mut transform.scratch());
            assert!(distance(&y, &by_definition(&x, mx, my)) < 1e-12, "{mx} by {my}");
        }
    }

    #[test]
    fn transform_undoes_itself_in_both_precisions() {
        for (mx, my) in SHAPES {
            let x = noise(mx * my);
            let double = SineTransform::<f64>::new(mx, my);
            let mut scratch = double.scratch();
            let mut y = x.clone();
            double.transform(&mut y, &mut scratch);
            double.transform(&mut y, &mut scratch);
            assert!(distance(&x, &y) < 1e-13 * (mx * my) as f64);

            let single = SineTransform::<f32>::new(mx, my);
            let mut scratch = single.scratch();
            let mut y: Vec<f32> = x.iter().map(|&v| v as f32).collect();
            single.transform(&mut y, &mut scratch);
            single.transform(&mut y, &mut scratch);
            let y: Vec<f64> = y.iter().map(|&v| f64::from(v)).collect();
            assert!(distance(&x, &y) < 1e-5, "{mx} by {my}: {}", distance(&x, &y));
        }
    }

    #[test]
    fn solver_inverts_the_five_point_matrix() {
        for (mx, my) in SHAPES {
            let x = noise(mx * my);
            let solver = PoissonSolver::<f64>::new(mx, my);
            let mut y = five_point(&x, mx, my);
            solver.solve(&mut y, &mut solver.scratch());
            assert!(distance(&x, &y) < 1e-11, "{mx} by {my}");
        }
    }

    #[test]
    fn large_grid_keeps_its_digits() {
        let m = 255;
        let x = noise(m * m);
        let solver = PoissonSolver::<f64>::new(m, m);
        let mut y = five_point(&x, m, m);
        solver.solve(&mut y, &mut solver.scratch());
        let size = x.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!(distance(&x, &y) < 1e-11 * size, "{}", distance(&x, &y) / size);
    }
}
