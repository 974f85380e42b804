//! The solve with the five-point Laplacian of a grid, by sine transforms of its rows.
//!
//! On `mx × my` inner nodes of a rectangle the matrix `A0` with 4 on the diagonal and −1 for the four
//! neighbours falls apart under the sine transform of every row: mode `k` of all rows obeys the
//! tridiagonal system `(−1, 2 + λ_k, −1)` with `λ_k = 4 sin²(π k/(2(mx+1)))`, solved by elimination with
//! the pivots `c_1 = 1/d`, `c_j = 1/(d − c_{j−1})`. P1 elements on a square cut into equal triangles by
//! one family of diagonals give exactly this matrix: the diagonal edge's entry is zero.
//!
//! - Works for any `mx, my ≥ 1`; fastest where `mx + 1` has small prime factors. Whatever the pivots are
//!   rounded to, what is computed is symmetric and positive definite up to the rounding of the sums.
//! - Cost: setup one division a node; one solve two transforms of every row, `O(n log mx)`, and four flops
//!   a node; no allocation after setup; no communication (the whole grid lives on one rank). Rows, and
//!   blocks of modes, are shared out to the threads of the host; every number is the same for any of them.
//! - Reference: R. Hockney, *A fast direct solution of Poisson's equation using Fourier analysis*, J. ACM 12
//!   (1965); W. Press et al., *Numerical Recipes*, 3rd ed., §12.4.1 (a sine transform of length `m` by one
//!   real Fourier transform of length `m + 1`).

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use multiversion::multiversion;
use realfft::{RealFftPlanner, RealToComplex};
use rustfft::{FftNum, num_complex::Complex};

use crate::Result;
use crate::host::Host;
use crate::kernel::chunks::{self, RUNS};

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
    fft: Arc<dyn RealToComplex<T>>,
    /// `√(2/(m+1)) sin(π j/(m+1))` for `j = 1 … m`.
    sines: Vec<T>,
    /// `½ √(2/(m+1))`.
    half: T,
}

/// The memory one [`Line`] works in.
struct LineScratch<T: FftNum> {
    folded: Vec<T>,
    spectrum: Vec<Complex<T>>,
    fft: Vec<Complex<T>>,
}

impl<T: FftNum> LineScratch<T> {
    fn bytes(&self) -> usize {
        size_of::<T>() * (self.folded.len() + 2 * (self.spectrum.len() + self.fft.len()))
    }
}

/// `y_j = s_j (x_j + x_{m+1−j}) + h (x_j − x_{m+1−j})`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn fold<T: SineNumber>(sines: &[T], h: T, x: &[T], y: &mut [T]) {
    let pairs = x.iter().zip(x.iter().rev());
    for ((y, &s), (&forward, &mirrored)) in y.iter_mut().zip(sines).zip(pairs) {
        *y = s * (forward + mirrored) + h * (forward - mirrored);
    }
}

impl<T: SineNumber> Line<T> {
    fn new(m: usize) -> Self {
        let length = m + 1;
        let fft = RealFftPlanner::new().plan_fft_forward(length);
        let scale = (2.0 / length as f64).sqrt();
        let sine = |j: usize| (std::f64::consts::PI * j as f64 / length as f64).sin();
        let sines = (1..length).map(|j| T::rounded(scale * sine(j))).collect();
        Line { fft, sines, half: T::rounded(0.5 * scale) }
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
        let LineScratch { folded, spectrum, fft } = scratch;
        folded[0] = T::zero();
        fold(&self.sines, self.half, x, &mut folded[1..]);
        self.fft
            .process_with_scratch(folded, spectrum, fft)
            .expect("the buffers were made by this plan");
        let mut odd = T::rounded(0.5) * spectrum[0].re;
        x[0] = odd;
        let pairs = x[1..].chunks_mut(2);
        for (pair, sum) in pairs.zip(&spectrum[1..]) {
            pair[0] = -sum.im;
            if let Some(last) = pair.get_mut(1) {
                odd = odd + sum.re;
                *last = odd;
            }
        }
    }
}

/// Modes whose tridiagonal systems are solved together.
const MODES: usize = 64;

/// Nodes, at least, that one thread takes at a time: fewer are done before another has woken up.
const GRAIN: usize = 1 << 13;

/// Solves with the five-point Laplacian `A0` of an `mx × my` grid (diagonal 4, neighbours −1).
///
/// ```
/// use precondor_core::{host::Alone, kernel::sine::PoissonSolver};
/// let solver = PoissonSolver::<f64>::new(2, 1);
/// let mut x = [3.0, 3.0];
/// solver.solve(&Alone, &mut x, 2, &mut solver.scratch())?;
/// assert!((x[0] - 1.0).abs() < 1e-15 && (x[1] - 1.0).abs() < 1e-15);
/// # Ok::<(), precondor_core::Error>(())
/// ```
pub struct PoissonSolver<T: FftNum> {
    mx: usize,
    my: usize,
    along_x: Line<T>,
    /// Pivots: for every block of [`MODES`] modes, `my` rows; zero for modes beyond the last.
    pivots: Vec<T>,
}

/// The memory a [`PoissonSolver`] works in.
pub struct SineScratch<T: FftNum> {
    /// The modes in the order of the pivots.
    modes: Vec<T>,
    lines: [Mutex<LineScratch<T>>; RUNS],
}

impl<T: FftNum> SineScratch<T> {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let line = |line: &Mutex<LineScratch<T>>| {
            line.lock().unwrap_or_else(PoisonError::into_inner).bytes()
        };
        size_of::<T>() * self.modes.len() + self.lines.iter().map(line).sum::<usize>()
    }
}

/// Pivots of a block of modes with the diagonal entries `d`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn eliminate<T: SineNumber>(d: &[f64; MODES], pivots: &mut [T]) {
    let mut c = [0.0; MODES];
    for row in pivots.chunks_exact_mut(MODES) {
        for ((to, c), &d) in row.iter_mut().zip(&mut c).zip(d) {
            *c = 1.0 / (d - *c);
            *to = T::rounded(*c);
        }
    }
}

/// Solves the systems of the block of modes from `first` on; `x` has rows of `stride` numbers.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn substitute<T: SineNumber>(
    (x, stride, first, count): (&[T], usize, usize, usize),
    pivots: &[T],
    modes: &mut [T],
) {
    let mut y = [T::zero(); MODES];
    for ((to, c), x) in
        modes.chunks_exact_mut(MODES).zip(pivots.chunks_exact(MODES)).zip(x.chunks(stride))
    {
        to[..count].copy_from_slice(&x[first..first + count]);
        for ((to, y), &c) in to.iter_mut().zip(&mut y).zip(c) {
            *y = (*to + *y) * c;
            *to = *y;
        }
    }
    let mut x = [T::zero(); MODES];
    for (to, c) in modes.chunks_exact_mut(MODES).zip(pivots.chunks_exact(MODES)).rev() {
        for ((to, x), &c) in to.iter_mut().zip(&mut x).zip(c) {
            *x = *to + c * *x;
            *to = *x;
        }
    }
}

impl<T: SineNumber> PoissonSolver<T> {
    /// Plans the solver for `mx` nodes a row and `my` rows; both at least 1.
    pub fn new(mx: usize, my: usize) -> Self {
        assert!(mx > 0 && my > 0, "a grid has at least one node");
        let mut pivots = vec![T::zero(); mx.div_ceil(MODES) * MODES * my];
        for (block, pivots) in pivots.chunks_exact_mut(MODES * my).enumerate() {
            let diagonal = |l: usize| match block * MODES + l + 1 {
                k if k <= mx => 2.0 + eigenvalue(mx, k),
                _ => f64::INFINITY,
            };
            eliminate(&std::array::from_fn(diagonal), pivots);
        }
        PoissonSolver { mx, my, along_x: Line::new(mx), pivots }
    }

    /// Nodes in a row and number of rows.
    pub fn shape(&self) -> (usize, usize) {
        (self.mx, self.my)
    }

    /// Bytes held, scratch not counted.
    pub fn bytes(&self) -> usize {
        size_of::<T>() * (self.mx + self.pivots.len())
    }

    /// Memory for [`solve`](Self::solve), allocated once.
    pub fn scratch(&self) -> SineScratch<T> {
        SineScratch {
            modes: vec![T::zero(); self.pivots.len()],
            lines: std::array::from_fn(|_| Mutex::new(self.along_x.scratch())),
        }
    }

    /// Replaces `x` by `A0⁻¹ x`, on the threads of `host`. Rows are `stride` numbers apart; those beyond
    /// the `mx` of a row are left alone.
    ///
    /// # Errors
    /// What the host reports.
    ///
    /// # Panics
    /// Where `x` is not `my` rows of `stride ≥ mx` numbers.
    pub fn solve(
        &self,
        host: &dyn Host,
        x: &mut [T],
        stride: usize,
        scratch: &mut SineScratch<T>,
    ) -> Result<()> {
        let (mx, my) = self.shape();
        assert!(stride >= mx && x.len() == my * stride, "a row of nodes is one of the vector");
        let SineScratch { modes, lines } = scratch;
        let grain = GRAIN.div_ceil(mx).max(my.div_ceil(RUNS));
        let line = |rows: &Range<usize>| {
            lines[rows.start / grain].lock().unwrap_or_else(PoisonError::into_inner)
        };
        chunks::rows(host, my, grain, [(&mut *x, stride)], |rows, [x]| {
            let mut line = line(&rows);
            x.chunks_exact_mut(stride).for_each(|row| {
                self.along_x.transform(&mut row[..mx], &mut line);
            });
            Ok(())
        })?;
        let blocks = mx.div_ceil(MODES);
        let grain_of_blocks = GRAIN.div_ceil(MODES * my);
        chunks::rows(
            host,
            blocks,
            grain_of_blocks,
            [(&mut *modes, MODES * my)],
            |run, [modes]| {
                for (block, modes) in run.zip(modes.chunks_exact_mut(MODES * my)) {
                    let first = block * MODES;
                    let pivots = &self.pivots[first * my..][..MODES * my];
                    substitute((x, stride, first, MODES.min(mx - first)), pivots, modes);
                }
                Ok(())
            },
        )?;
        chunks::rows(host, my, grain, [(x, stride)], |rows, [x]| {
            let mut line = line(&rows);
            for (j, row) in rows.zip(x.chunks_exact_mut(stride)) {
                for (block, part) in row[..mx].chunks_mut(MODES).enumerate() {
                    let at = (block * my + j) * MODES;
                    part.copy_from_slice(&modes[at..at + part.len()]);
                }
                self.along_x.transform(&mut row[..mx], &mut line);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Alone;

    const SHAPES: [(usize, usize); 10] =
        [(1, 1), (2, 1), (1, 3), (3, 3), (4, 7), (10, 6), (12, 31), (31, 16), (64, 40), (130, 70)];

    fn noise(n: usize) -> Vec<f64> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as f64 / (1u64 << 31) as f64 - 0.5
        };
        (0..n).map(|_| next()).collect()
    }

    /// The transform by its defining sum.
    fn by_definition(x: &[f64]) -> Vec<f64> {
        let n = (x.len() + 1) as f64;
        let wave = |k: usize, i: usize| {
            (2.0 / n).sqrt() * (std::f64::consts::PI * ((k + 1) * (i + 1)) as f64 / n).sin()
        };
        (0..x.len()).map(|k| x.iter().enumerate().map(|(i, x)| wave(k, i) * x).sum()).collect()
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
    fn transform_is_the_defining_sum_at_any_length_in_both_precisions() {
        for m in [1, 2, 3, 4, 7, 12, 31, 63, 100] {
            let x = noise(m);
            let double = Line::<f64>::new(m);
            let mut y = x.clone();
            double.transform(&mut y, &mut double.scratch());
            assert!(distance(&y, &by_definition(&x)) < 1e-13 * m as f64, "{m}");
            let single = Line::<f32>::new(m);
            let mut z: Vec<f32> = x.iter().map(|&v| v as f32).collect();
            single.transform(&mut z, &mut single.scratch());
            let z: Vec<f64> = z.iter().map(|&v| f64::from(v)).collect();
            assert!(distance(&y, &z) < 1e-5, "{m}: {}", distance(&y, &z));
        }
    }

    /// Solves with border places in every row, which must stay as they are.
    fn solved<T: SineNumber + Into<f64>>(x: &[f64], mx: usize, my: usize) -> Vec<f64> {
        let solver = PoissonSolver::<T>::new(mx, my);
        let seven = T::rounded(7.0);
        let mut padded = vec![seven; (mx + 2) * my];
        for (to, from) in padded.chunks_mut(mx + 2).zip(x.chunks(mx)) {
            to.iter_mut().zip(from).for_each(|(to, &x)| *to = T::rounded(x));
        }
        solver.solve(&Alone, &mut padded, mx + 2, &mut solver.scratch()).unwrap();
        assert!(padded.chunks(mx + 2).all(|row| row[mx] == seven && row[mx + 1] == seven));
        padded.chunks(mx + 2).flat_map(|row| row[..mx].iter().map(|&v| v.into())).collect()
    }

    #[test]
    fn solver_inverts_the_five_point_matrix() {
        for (mx, my) in SHAPES {
            let x = noise(mx * my);
            let b = five_point(&x, mx, my);
            assert!(distance(&x, &solved::<f64>(&b, mx, my)) < 1e-11, "{mx} by {my}");
            assert!(distance(&x, &solved::<f32>(&b, mx, my)) < 1e-3, "{mx} by {my}");
        }
    }

    #[test]
    fn large_grid_keeps_its_digits() {
        let m = 255;
        let x = noise(m * m);
        let b = five_point(&x, m, m);
        let size = x.iter().map(|v| v * v).sum::<f64>().sqrt();
        let off = |y: Vec<f64>| distance(&x, &y) / size;
        assert!(off(solved::<f64>(&b, m, m)) < 1e-11);
        // In single precision it is the energy of the error that is small, not its length.
        let y = solved::<f32>(&b, m, m);
        let e: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x - y).collect();
        let energy =
            |v: &[f64]| v.iter().zip(five_point(v, m, m)).map(|(v, av)| v * av).sum::<f64>().sqrt();
        let relative = energy(&e) / energy(&x);
        assert!(relative < 5e-5, "{relative:e}");
    }
}
