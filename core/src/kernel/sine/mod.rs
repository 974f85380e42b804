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
//!   a node; no allocation after setup. Rows, and blocks of modes, are shared out to the threads of the
//!   host, and to ranks ([`SlabSolver`]); every number is the same for any of them.
//! - Reference: R. Hockney, *A fast direct solution of Poisson's equation using Fourier analysis*, J. ACM 12
//!   (1965); W. Press et al., *Numerical Recipes*, 3rd ed., §12.4.1 (a sine transform of length `m` by one
//!   real Fourier transform of length `m + 1`).

mod line;
mod modes;
mod slab;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;
use rustfft::FftNum;

use crate::Result;
use crate::host::Host;
use crate::kernel::chunks::{self, RUNS};

pub use slab::SlabSolver;

use line::{Line, LineScratch};
use modes::{MODES, Modes};

/// Number types the transform is made for: `f32` and `f64`.
pub trait SineNumber: FftNum + Pod {
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
    modes: Modes<T>,
}

/// The memory a [`PoissonSolver`] works in.
pub struct SineScratch<T: FftNum> {
    /// The modes, block after block.
    modes: Vec<T>,
    lines: Vec<Mutex<LineScratch<T>>>,
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

impl<T: SineNumber> PoissonSolver<T> {
    /// Plans the solver for `mx` nodes a row and `my` rows; both at least 1.
    pub fn new(mx: usize, my: usize) -> Self {
        Self::for_modes(mx, my, 0..mx, MODES)
    }

    /// The part of the solver that solves for some of the modes only, in blocks of `width`.
    fn for_modes(mx: usize, my: usize, modes: Range<usize>, width: usize) -> Self {
        assert!(mx > 0 && my > 0, "a grid has at least one node");
        PoissonSolver { mx, my, along_x: Line::new(mx), modes: Modes::new(mx, my, modes, width) }
    }

    /// Nodes in a row and number of rows.
    pub fn shape(&self) -> (usize, usize) {
        (self.mx, self.my)
    }

    /// Bytes held, scratch not counted.
    pub fn bytes(&self) -> usize {
        size_of::<T>() * (self.mx + self.modes.len())
    }

    /// Memory for [`solve`](Self::solve), allocated once.
    pub fn scratch(&self) -> SineScratch<T> {
        self.scratch_for(self.my)
    }

    /// The same where no more than `rows` rows are transformed at a time.
    fn scratch_for(&self, rows: usize) -> SineScratch<T> {
        let runs = rows.div_ceil(GRAIN.div_ceil(self.mx)).min(RUNS);
        SineScratch {
            modes: vec![T::zero(); self.modes.len()],
            lines: (0..runs).map(|_| Mutex::new(self.along_x.scratch())).collect(),
        }
    }

    /// Rows, at least, of so many that one thread transforms at a time.
    fn grain(&self, rows: usize) -> usize {
        GRAIN.div_ceil(self.mx).max(rows.div_ceil(RUNS))
    }

    /// Transforms the rows `x`, `stride` numbers apart, each after `fill(row, x)`.
    fn transform(
        &self,
        host: &dyn Host,
        (x, stride): (&mut [T], usize),
        lines: &[Mutex<LineScratch<T>>],
        fill: impl Fn(usize, &mut [T]) + Sync,
    ) -> Result<()> {
        let rows = x.len() / stride;
        let grain = self.grain(rows);
        chunks::rows(host, rows, grain, [(x, stride)], |rows, [x]| {
            let line = &lines[rows.start / grain];
            let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
            for (j, row) in rows.zip(x.chunks_exact_mut(stride)) {
                fill(j, &mut row[..self.mx]);
                self.along_x.transform(&mut row[..self.mx], &mut line);
            }
            Ok(())
        })
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
        self.transform(host, (&mut *x, stride), lines, |_, _| ())?;
        self.modes.solve(host, Some((x, stride)), modes)?;
        self.transform(host, (x, stride), lines, |j, row| {
            for (block, part) in row.chunks_mut(self.modes.width()).enumerate() {
                part.copy_from_slice(&modes[self.modes.part(block, j, part.len())]);
            }
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
