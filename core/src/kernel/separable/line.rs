//! From the numbers of an axis to its modes and back, line by line.
//!
//! With the modes φ_q of an axis as columns of Φ, forward is Φᵀ and backward Φ; Φᵀ M Φ is diagonal
//! ([`weights`](Line::weights)), Φᵀ K Φ that times the eigenvalues.
//!
//! | nodes | modes | by one real Fourier transform of length |
//! |---|---|---|
//! | Dirichlet, walls a spacing away | sin(π (i+1)(q+1)/(m+1)) | m + 1 |
//! | Neumann, nodes on the walls | cos(π iq/(m−1)) | m − 1 |
//! | Neumann, walls half a spacing away | cos(π (i+½)q/m) | m |
//! | Dirichlet, walls half a spacing away | (−1)^i times the last, so from high to low | m |
//! | ring | 1, cos(2π ik/m), −sin(2π ik/m), … | m |
//! | any other | eigenvectors, orthonormal | – (m² multiplications) |
//!
//! Reference: W. Press et al., *Numerical Recipes*, 3rd ed., §12.4 (sines, and cosines at nodes);
//! J. Makhoul, *A fast cosine transform in one and two dimensions*, IEEE Trans. ASSP 28 (1980).
use std::f64::consts::PI;
use std::sync::Arc;

use multiversion::multiversion;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex;

use super::axis::{Axis, Modes};
use super::number::Number;
use crate::Result;

/// Nodes up to which a dense transform is used where the length of the fast one has other factors than 2, 3, 5 and 7.
const SMALL: usize = 192;

/// The transform of one axis.
pub(super) struct Line<T> {
    nodes: usize,
    how: How<T>,
    /// λ of every mode.
    eigenvalues: Vec<f64>,
    /// φᵀ M φ of every mode.
    weights: Vec<f64>,
}

enum How<T> {
    Fast(Fast<T>),
    /// Eigenvectors as rows, and as columns.
    Dense([Vec<T>; 2]),
}

/// A transform by a real Fourier transform.
struct Fast<T> {
    modes: Modes,
    /// cos and sin of the angles of the family.
    waves: Vec<[T; 2]>,
    forward: Arc<dyn RealToComplex<T>>,
    backward: Arc<dyn ComplexToReal<T>>,
}

/// What lines are transformed in.
pub(super) struct Lines<T> {
    /// Some lines: one after the other, or, for a dense transform, side by side, one in each lane.
    pub x: Vec<T>,
    /// Results of a dense transform.
    spare: Vec<T>,
    folded: Vec<T>,
    sums: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
}

impl<T: Number> Lines<T> {
    pub fn bytes(&self) -> usize {
        let real = self.x.len() + self.spare.len() + self.folded.len();
        size_of::<T>() * (real + 2 * (self.sums.len() + self.scratch.len()))
    }
}

/// Whether a number has no factors but 2, 3, 5 and 7.
fn is_smooth(mut n: usize) -> bool {
    for factor in [2, 3, 5, 7] {
        while n > 0 && n.is_multiple_of(factor) {
            n /= factor;
        }
    }
    n == 1
}

impl<T: Number> Line<T> {
    /// # Errors
    /// [`Error::Breakdown`](crate::Error::Breakdown) where eigenvectors are not found.
    pub fn new(axis: &Axis) -> Result<Self> {
        let m = axis.nodes();
        let length = |modes: Modes| match modes {
            Modes::DirichletAtNodes => m + 1,
            Modes::NeumannAtNodes => m - 1,
            _ => m,
        };
        let fast = |modes: &Modes| m > SMALL || is_smooth(length(*modes));
        let Some(modes) = axis.modes().filter(fast) else {
            let (eigenvalues, rows) = axis.eigenvectors()?;
            let of = |at: &dyn Fn(usize, usize) -> usize| -> Vec<T> {
                let all = (0..m).flat_map(|a| (0..m).map(move |b| (a, b)));
                all.map(|(a, b)| T::rounded(rows[at(a, b)])).collect()
            };
            let how = How::Dense([of(&|a, b| a * m + b), of(&|a, b| b * m + a)]);
            return Ok(Line { nodes: m, how, eigenvalues, weights: vec![1.0; m] });
        };
        let n = length(modes);
        let wave = |j: usize| {
            let part = match modes {
                Modes::NeumannBetween | Modes::DirichletBetween => 0.5,
                _ => 1.0,
            };
            let angle = part * PI * j as f64 / n as f64;
            [T::rounded(angle.cos()), T::rounded(angle.sin())]
        };
        let full = |q: usize| match modes {
            Modes::DirichletAtNodes => false,
            Modes::NeumannAtNodes => q == 0 || q == n,
            Modes::NeumannBetween | Modes::DirichletBetween => q == 0,
            Modes::Periodic => q == 0 || (q == m - 1 && m.is_multiple_of(2)),
        };
        let weight = |q: usize| axis.mass[1] * n as f64 * if full(q) { 1.0 } else { 0.5 };
        let mut planner = RealFftPlanner::new();
        Ok(Line {
            nodes: m,
            how: How::Fast(Fast {
                modes,
                waves: (0..n).map(wave).collect(),
                forward: planner.plan_fft_forward(n),
                backward: planner.plan_fft_inverse(n),
            }),
            eigenvalues: axis.eigenvalues_of(modes),
            weights: (0..m).map(weight).collect(),
        })
    }

    pub fn eigenvalues(&self) -> &[f64] {
        &self.eigenvalues
    }

    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Bytes held, tables of the Fourier transform counted as one complex number a node.
    pub fn bytes(&self) -> usize {
        let tables = match &self.how {
            How::Fast(Fast { waves, .. }) => 4 * size_of::<T>() * waves.len(),
            How::Dense(both) => 2 * size_of::<T>() * both[0].len(),
        };
        tables + 16 * self.nodes
    }

    /// Whether a fast transform does it.
    pub fn is_fast(&self) -> bool {
        matches!(self.how, How::Fast { .. })
    }

    pub fn lines(&self) -> Lines<T> {
        let zeros = vec![T::ZERO; self.nodes * T::LANES];
        match &self.how {
            How::Fast(Fast { forward, backward, .. }) => Lines {
                x: zeros,
                spare: Vec::new(),
                folded: forward.make_input_vec(),
                sums: forward.make_output_vec(),
                scratch: match backward.get_scratch_len() > forward.get_scratch_len() {
                    true => backward.make_scratch_vec(),
                    false => forward.make_scratch_vec(),
                },
            },
            How::Dense(_) => Lines {
                x: zeros.clone(),
                spare: zeros,
                folded: vec![],
                sums: vec![],
                scratch: vec![],
            },
        }
    }

    /// Transforms a line by a fast transform: Φᵀ x, or back: Φ x. Of another axis nothing is done.
    pub fn one(&self, x: &mut [T], lines: &mut Lines<T>, back: bool) {
        if let How::Fast(fast) = &self.how {
            fast.transform(x, lines, back);
        }
    }

    /// Transforms the lines side by side in `lines.x` by a dense transform. Of another axis nothing is done.
    pub fn side_by_side(&self, lines: &mut Lines<T>, back: bool) {
        if let How::Dense(both) = &self.how {
            product(&both[usize::from(back)], self.nodes, &lines.x, &mut lines.spare);
            std::mem::swap(&mut lines.x, &mut lines.spare);
        }
    }
}

impl<T: Number> Fast<T> {
    fn transform(&self, x: &mut [T], lines: &mut Lines<T>, back: bool) {
        let Lines { folded, sums, scratch, .. } = lines;
        match (self.modes, back) {
            (Modes::DirichletAtNodes, _) => {
                fold_sines(&self.waves, x, folded);
                self.sum(folded, sums, scratch);
                sines(sums, x);
            }
            (Modes::NeumannAtNodes, _) => {
                let first = fold_cosines(&self.waves, x, folded);
                self.sum(folded, sums, scratch);
                cosines(sums, first, x);
            }
            (Modes::NeumannBetween | Modes::DirichletBetween, false) => {
                interleave(self.modes, x, folded);
                self.sum(folded, sums, scratch);
                quarter_turned(&self.waves, sums, x);
            }
            (Modes::NeumannBetween | Modes::DirichletBetween, true) => {
                turn_back(&self.waves, x, sums);
                self.numbers(sums, folded, scratch);
                disperse(self.modes, folded, x);
            }
            (Modes::Periodic, false) => {
                folded.copy_from_slice(x);
                self.sum(folded, sums, scratch);
                to_pairs(sums, x);
            }
            (Modes::Periodic, true) => {
                of_pairs(x, sums);
                self.numbers(sums, folded, scratch);
                x.copy_from_slice(folded);
            }
        }
    }

    /// `sums_k = Σ_j y_j exp(−2πi jk/n)`; `y` is overwritten.
    fn sum(&self, y: &mut [T], sums: &mut [Complex<T>], scratch: &mut [Complex<T>]) {
        let scratch = &mut scratch[..self.forward.get_scratch_len()];
        let done = self.forward.process_with_scratch(y, sums, scratch);
        done.expect("arrays are those of the plan");
    }

    /// `y_j = Σ_k sums_k exp(2πi jk/n)` over all k, those beyond n/2 being conjugates.
    fn numbers(&self, sums: &mut [Complex<T>], y: &mut [T], scratch: &mut [Complex<T>]) {
        let n = y.len();
        sums[0].im = T::ZERO;
        if n.is_multiple_of(2) {
            sums[n / 2].im = T::ZERO;
        }
        let scratch = &mut scratch[..self.backward.get_scratch_len()];
        let done = self.backward.process_with_scratch(sums, y, scratch);
        done.expect("arrays are those of the plan");
    }
}

/// `y_j = sin(πj/n) (x_j + x_{n−j}) + ½ (x_j − x_{n−j})`, where x_j is the number of node j − 1.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn fold_sines<T: Number>(waves: &[[T; 2]], x: &[T], y: &mut [T]) {
    let half = T::rounded(0.5);
    y[0] = T::ZERO;
    let pairs = x.iter().zip(x.iter().rev());
    for ((y, &[_, s]), (&near, &far)) in y[1..].iter_mut().zip(&waves[1..]).zip(pairs) {
        *y = s * (near + far) + half * (near - far);
    }
}

/// From the sums of the folded numbers, `Re_k = X_{2k+1} − X_{2k−1}` and `Im_k = −X_{2k}`.
fn sines<T: Number>(sums: &[Complex<T>], x: &mut [T]) {
    let mut odd = T::rounded(0.5) * sums[0].re;
    x[0] = odd;
    for (pair, sum) in x[1..].chunks_mut(2).zip(&sums[1..]) {
        pair[0] = -sum.im;
        if let Some(last) = pair.get_mut(1) {
            odd += sum.re;
            *last = odd;
        }
    }
}

/// `y_j = ½ (x_j + x_{n−j}) − sin(πj/n) (x_j − x_{n−j})`, ends counted twice; and what sums have no place for, the mode
/// cos(πj/n).
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn fold_cosines<T: Number>(waves: &[[T; 2]], x: &[T], y: &mut [T]) -> T {
    let (n, half) = (waves.len(), T::rounded(0.5));
    y[0] = x[0] + x[n];
    let mut first = x[0] - x[n];
    let pairs = x[1..n].iter().zip(x[1..n].iter().rev());
    for ((y, &[c, s]), (&near, &far)) in y[1..].iter_mut().zip(&waves[1..]).zip(pairs) {
        *y = half * (near + far) - s * (near - far);
        first += c * near;
    }
    first
}

/// `Re_k = X_{2k}` and `−Im_k = X_{2k+1} − X_{2k−1}`, given X_1.
fn cosines<T: Number>(sums: &[Complex<T>], first: T, x: &mut [T]) {
    (x[0], x[1]) = (sums[0].re, first);
    let mut odd = first;
    for (pair, sum) in x[2..].chunks_mut(2).zip(&sums[1..]) {
        pair[0] = sum.re;
        if let Some(last) = pair.get_mut(1) {
            odd += -sum.im;
            *last = odd;
        }
    }
}

/// Even numbers upwards, then odd ones downwards; these with the other sign for sines.
fn interleave<T: Number>(modes: Modes, x: &[T], y: &mut [T]) {
    let m = x.len();
    let sines = modes == Modes::DirichletBetween;
    for (j, pair) in x.chunks(2).enumerate() {
        y[j] = pair[0];
        if let Some(&odd) = pair.get(1) {
            y[m - 1 - j] = if sines { -odd } else { odd };
        }
    }
}

/// What [`interleave`] does, undone.
fn disperse<T: Number>(modes: Modes, y: &[T], x: &mut [T]) {
    let m = x.len();
    let sines = modes == Modes::DirichletBetween;
    for (j, pair) in x.chunks_mut(2).enumerate() {
        pair[0] = y[j];
        if let Some(odd) = pair.get_mut(1) {
            *odd = if sines { -y[m - 1 - j] } else { y[m - 1 - j] };
        }
    }
}

/// `X_k = Re(e^{−iπk/2m} V_k)` and `X_{m−k} = −Im(e^{−iπk/2m} V_k)`.
fn quarter_turned<T: Number>(waves: &[[T; 2]], sums: &[Complex<T>], x: &mut [T]) {
    let m = waves.len();
    x[0] = sums[0].re;
    for (k, (&[c, s], v)) in waves.iter().zip(sums).enumerate().skip(1) {
        x[k] = c * v.re + s * v.im;
        if 2 * k < m {
            x[m - k] = s * v.re - c * v.im;
        }
    }
}

/// `V_k = ½ e^{iπk/2m} (X_k − i X_{m−k})`, and `V_0 = X_0`.
fn turn_back<T: Number>(waves: &[[T; 2]], x: &[T], sums: &mut [Complex<T>]) {
    let (m, half) = (waves.len(), T::rounded(0.5));
    sums[0] = Complex { re: x[0], im: T::ZERO };
    for (k, (&[c, s], v)) in waves.iter().zip(sums).enumerate().skip(1) {
        let (near, far) = (x[k], x[m - k]);
        *v = Complex { re: half * (c * near + s * far), im: half * (s * near - c * far) };
    }
}

/// Real and imaginary parts one after the other.
fn to_pairs<T: Number>(sums: &[Complex<T>], x: &mut [T]) {
    x[0] = sums[0].re;
    for (pair, sum) in x[1..].chunks_mut(2).zip(&sums[1..]) {
        pair[0] = sum.re;
        if let Some(im) = pair.get_mut(1) {
            *im = sum.im;
        }
    }
}

/// Parts of a Fourier sum from real and imaginary parts: half of each, as its conjugate is the other half.
fn of_pairs<T: Number>(x: &[T], sums: &mut [Complex<T>]) {
    let half = T::rounded(0.5);
    sums[0] = Complex { re: x[0], im: T::ZERO };
    for (pair, sum) in x[1..].chunks(2).zip(&mut sums[1..]) {
        *sum = match *pair {
            [re, im] => Complex { re: half * re, im: half * im },
            // Its own conjugate.
            _ => Complex { re: pair[0], im: T::ZERO },
        };
    }
}

/// Rows of a dense transform that are worked on together.
const ROWS: usize = 4;

/// `y = V x`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn product<T: Number>(v: &[T], m: usize, x: &[T], y: &mut [T]) {
    match T::LANES {
        8 => product_of::<T, 8>(v, m, x, y),
        _ => product_of::<T, 16>(v, m, x, y),
    }
}

#[inline(always)]
fn product_of<T: Number, const LANES: usize>(v: &[T], m: usize, x: &[T], y: &mut [T]) {
    for (y, v) in y.chunks_mut(ROWS * LANES).zip(v.chunks(ROWS * m)) {
        let mut sums = [[T::ZERO; LANES]; ROWS];
        let last = v.len() / m - 1;
        let rows: [&[T]; ROWS] = std::array::from_fn(|r| &v[r.min(last) * m..][..m]);
        for (i, x) in x.chunks_exact(LANES).enumerate() {
            for (sums, row) in sums.iter_mut().zip(rows) {
                let factor = row[i];
                for (s, x) in sums.iter_mut().zip(x) {
                    *s += factor * *x;
                }
            }
        }
        for (y, sums) in y.chunks_exact_mut(LANES).zip(sums) {
            y.copy_from_slice(&sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(m: usize, ends: f64, mass: f64) -> Axis {
        let mut axis = Axis::unit(m);
        (axis.stiffness[0], axis.stiffness[m]) = (ends, ends);
        (axis.mass[0], axis.mass[m - 1]) = (mass, mass);
        axis
    }

    fn phi(modes: Modes, m: usize, i: usize, q: usize) -> f64 {
        let (x, k, n) = (i as f64, q as f64, m as f64);
        match modes {
            Modes::DirichletAtNodes => (PI * (x + 1.0) * (k + 1.0) / (n + 1.0)).sin(),
            Modes::NeumannAtNodes => (PI * x * k / (n - 1.0)).cos(),
            Modes::NeumannBetween => (PI * (x + 0.5) * k / n).cos(),
            Modes::DirichletBetween => (PI * (x + 0.5) * (n - k) / n).sin(),
            Modes::Periodic => {
                let angle = 2.0 * PI * x * ((k + 1.0) / 2.0).floor() / n;
                if q % 2 == 1 || q == 0 { angle.cos() } else { -angle.sin() }
            }
        }
    }

    fn check<T: Number>(axis: &Axis, slack: f64) {
        let (m, line) = (axis.nodes(), Line::<T>::new(axis).expect("an axis"));
        let (modes, mut lines) = (axis.modes(), line.lines());
        // Lines as the transform takes them.
        let count = if line.is_fast() { 1 } else { T::LANES };
        let transform = |x: &mut Vec<T>, lines: &mut Lines<T>, back: bool| match line.is_fast() {
            true => line.one(x, lines, back),
            false => {
                std::mem::swap(x, &mut lines.x);
                line.side_by_side(lines, back);
                std::mem::swap(x, &mut lines.x);
            }
        };
        let value = |i: usize, lane: usize| ((7 * i + 3 * lane) as f64).sin();
        let numbers = |mass: &dyn Fn(usize) -> f64| -> Vec<T> {
            let of = |at: usize| T::rounded(value(at / count, at % count) * mass(at / count));
            (0..m * count).map(of).collect()
        };
        for back in [false, true] {
            let mut x = numbers(&|_| 1.0);
            transform(&mut x, &mut lines, back);
            let Some(modes) = modes.filter(|_| line.is_fast()) else { continue };
            for (k, x) in x.iter().enumerate() {
                let of = |i: usize| {
                    let wave = if back { phi(modes, m, k, i) } else { phi(modes, m, i, k) };
                    wave * value(i, 0)
                };
                let sum: f64 = (0..m).map(of).sum();
                let off = (x.widened() - sum).abs();
                assert!(off < slack * m as f64, "{modes:?} {m} {back} mode {k}: {off:e}");
            }
        }
        // There and back, weighted, is the inverse of the mass.
        let mut x = numbers(&|i| axis.mass[i]);
        transform(&mut x, &mut lines, false);
        for (x, weight) in x.chunks_exact_mut(count).zip(line.weights()) {
            x.iter_mut().for_each(|x| *x = T::rounded(x.widened() / weight));
        }
        transform(&mut x, &mut lines, true);
        for (at, x) in x.iter().enumerate() {
            let off = (x.widened() - value(at / count, at % count)).abs();
            assert!(off < slack * m as f64, "{modes:?} {m}: {off:e}");
        }
    }

    #[test]
    fn transforms_are_their_defining_sums_and_invert_each_other() {
        let sizes = (4..=20).chain([24, 31, 47, 48, 63, 65, 127, 193, 255, 257]);
        for m in sizes {
            for (ends, mass) in [(1.0, 1.0), (2.0, 1.0), (0.0, 1.0), (0.0, 0.5)] {
                check::<f64>(&axis(m, ends, mass), 3e-14);
                check::<f32>(&axis(m, ends, mass), 1e-5);
            }
            let ring = Axis { periodic: true, ..Axis::unit(m) };
            check::<f64>(&ring, 3e-14);
            check::<f32>(&ring, 1e-5);
        }
        for m in 1..4 {
            check::<f64>(&Axis::unit(m), 1e-14);
        }
    }
}
