//! From the numbers of an axis to its modes and back, for lines side by side.
//!
//! With the modes φ_q of an axis as columns of Φ, [`forward`](Line::forward) is Φᵀ and [`backward`](Line::backward)
//! Φ; Φᵀ M Φ is diagonal ([`weights`](Line::weights)), Φᵀ K Φ that times the eigenvalues.
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

use multiversion::multiversion;

use super::axis::{Axis, Modes};
use super::number::Number;
use super::real::{Bench, RealFft};
use crate::Result;

/// Nodes up to which a dense transform is used where the fast one takes a detour.
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
    Fast {
        modes: Modes,
        fft: RealFft<T>,
        waves: Vec<[T; 2]>,
    },
    /// Eigenvectors as rows, and as columns.
    Dense([Vec<T>; 2]),
}

/// The lines, and what they are transformed in.
pub(super) struct Lines<T> {
    /// `m` positions of all lines.
    pub x: Vec<T>,
    bench: Option<Bench<T>>,
    /// Results of a dense transform.
    spare: Vec<T>,
}

impl<T: Number> Lines<T> {
    pub fn bytes(&self) -> usize {
        let bench = self.bench.as_ref().map_or(0, Bench::bytes);
        size_of::<T>() * (self.x.len() + self.spare.len()) + bench
    }
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
        let fast = |modes: &Modes| m > SMALL || RealFft::<T>::is_direct(length(*modes));
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
        Ok(Line {
            nodes: m,
            how: How::Fast { modes, fft: RealFft::new(n), waves: (0..n).map(wave).collect() },
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

    pub fn bytes(&self) -> usize {
        let tables = match &self.how {
            How::Fast { fft, waves, .. } => fft.bytes() + 2 * size_of::<T>() * waves.len(),
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
            How::Fast { fft, .. } => {
                Lines { x: zeros, bench: Some(fft.bench()), spare: Vec::new() }
            }
            How::Dense(_) => Lines { x: zeros.clone(), bench: None, spare: zeros },
        }
    }

    /// Numbers into modes: Φᵀ x.
    pub fn forward(&self, lines: &mut Lines<T>) {
        self.transform(lines, false);
    }

    /// Modes into numbers: Φ x.
    pub fn backward(&self, lines: &mut Lines<T>) {
        self.transform(lines, true);
    }

    fn transform(&self, lines: &mut Lines<T>, back: bool) {
        let Lines { x, bench, spare } = lines;
        match (&self.how, bench) {
            (How::Fast { modes, fft, waves }, Some(bench)) => match (modes, back) {
                (Modes::DirichletAtNodes, _) => {
                    fold_sines(fft, waves, x, bench);
                    fft.forward(bench);
                    sines(bench, x);
                }
                (Modes::NeumannAtNodes, _) => {
                    fold_cosines(fft, waves, x, bench);
                    fft.forward(bench);
                    cosines(bench, x);
                }
                (Modes::NeumannBetween | Modes::DirichletBetween, false) => {
                    interleave(fft, *modes, x, bench);
                    fft.forward(bench);
                    quarter_turned(waves, bench, x);
                }
                (Modes::NeumannBetween | Modes::DirichletBetween, true) => {
                    turn_back(waves, x, bench);
                    fft.backward(bench);
                    disperse(fft, *modes, bench, x);
                }
                (Modes::Periodic, false) => {
                    let lines = x.chunks_exact(T::LANES).enumerate();
                    lines.for_each(|(j, x)| fft.line(&mut bench.folded, j).copy_from_slice(x));
                    fft.forward(bench);
                    to_pairs(bench, x);
                }
                (Modes::Periodic, true) => {
                    of_pairs(x, bench);
                    fft.backward(bench);
                    let lines = x.chunks_exact_mut(T::LANES).enumerate();
                    lines.for_each(|(j, x)| x.copy_from_slice(fft.line(&mut bench.folded, j)));
                }
            },
            (How::Dense(both), _) => {
                product(&both[usize::from(back)], self.nodes, x, spare);
                std::mem::swap(x, spare);
            }
            (How::Fast { .. }, None) => {}
        }
    }
}

/// Line `j` of numbers side by side.
#[inline(always)]
fn at<T: Number>(x: &[T], j: usize) -> &[T] {
    &x[j * T::LANES..(j + 1) * T::LANES]
}

#[inline(always)]
fn at_mut<T: Number>(x: &mut [T], j: usize) -> &mut [T] {
    &mut x[j * T::LANES..(j + 1) * T::LANES]
}

/// `y_j = sin(πj/n) (x_j + x_{n−j}) + ½ (x_j − x_{n−j})`, where x_j is the number of node j − 1.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn fold_sines<T: Number>(fft: &RealFft<T>, waves: &[[T; 2]], x: &[T], bench: &mut Bench<T>) {
    let (n, half) = (waves.len(), T::rounded(0.5));
    fft.line(&mut bench.folded, 0).fill(T::ZERO);
    for (j, &[_, s]) in waves.iter().enumerate().skip(1) {
        let (near, far) = (at(x, j - 1), at(x, n - j - 1));
        let out = fft.line(&mut bench.folded, j);
        for l in 0..T::LANES {
            out[l] = s * (near[l] + far[l]) + half * (near[l] - far[l]);
        }
    }
}

/// From the sums of the folded numbers, `Re_k = X_{2k+1} − X_{2k−1}` and `Im_k = −X_{2k}`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn sines<T: Number>(bench: &Bench<T>, x: &mut [T]) {
    let (width, half) = (T::LANES, T::rounded(0.5));
    let m = x.len() / width;
    let (re, im) = (&bench.sums.re, &bench.sums.im);
    for l in 0..width {
        x[l] = half * re[l];
    }
    for k in 1..=m / 2 {
        let (before, here) = x.split_at_mut((2 * k - 1) * width);
        let (odd, (re, im)) = (at(before, 2 * k - 2), (at(re, k), at(im, k)));
        for l in 0..width {
            here[l] = -im[l];
        }
        if 2 * k < m {
            let next = at_mut(here, 1);
            for l in 0..width {
                next[l] = odd[l] + re[l];
            }
        }
    }
}

/// `y_j = ½ (x_j + x_{n−j}) − sin(πj/n) (x_j − x_{n−j})`, ends counted twice; and, where sums have no place for it, the
/// mode cos(πj/n) itself.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn fold_cosines<T: Number>(fft: &RealFft<T>, waves: &[[T; 2]], x: &mut [T], bench: &mut Bench<T>) {
    let (n, half, width) = (waves.len(), T::rounded(0.5), T::LANES);
    let mut first = [T::ZERO; 16];
    let out = fft.line(&mut bench.folded, 0);
    for l in 0..width {
        out[l] = x[l] + x[n * width + l];
        first[l] = x[l] - x[n * width + l];
    }
    for (j, &[c, s]) in waves.iter().enumerate().skip(1) {
        let (near, far) = (at(x, j), at(x, n - j));
        let out = fft.line(&mut bench.folded, j);
        for l in 0..width {
            out[l] = half * (near[l] + far[l]) - s * (near[l] - far[l]);
            first[l] += c * near[l];
        }
    }
    x[width..2 * width].copy_from_slice(&first[..width]);
}

/// `Re_k = X_{2k}` and `−Im_k = X_{2k+1} − X_{2k−1}`; X_1 is there.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn cosines<T: Number>(bench: &Bench<T>, x: &mut [T]) {
    let width = T::LANES;
    let n = x.len() / width - 1;
    let (re, im) = (&bench.sums.re, &bench.sums.im);
    x[..width].copy_from_slice(&re[..width]);
    for k in 1..=n / 2 {
        let (before, here) = x.split_at_mut(2 * k * width);
        here[..width].copy_from_slice(at(re, k));
        if 2 * k < n {
            let (odd, im, next) = (at(before, 2 * k - 1), at(im, k), at_mut(here, 1));
            for l in 0..width {
                next[l] = odd[l] - im[l];
            }
        }
    }
}

/// Even numbers upwards, then odd ones downwards; these with the other sign for sines.
fn interleave<T: Number>(fft: &RealFft<T>, modes: Modes, x: &[T], bench: &mut Bench<T>) {
    let m = x.len() / T::LANES;
    for (j, x) in x.chunks_exact(T::LANES).enumerate() {
        let to = if j % 2 == 0 { j / 2 } else { m - 1 - j / 2 };
        let out = fft.line(&mut bench.folded, to);
        match modes {
            Modes::DirichletBetween if j % 2 == 1 => {
                out.iter_mut().zip(x).for_each(|(out, x)| *out = -*x);
            }
            _ => out.copy_from_slice(x),
        }
    }
}

/// What [`interleave`] does, undone.
fn disperse<T: Number>(fft: &RealFft<T>, modes: Modes, bench: &mut Bench<T>, x: &mut [T]) {
    let m = x.len() / T::LANES;
    for (j, x) in x.chunks_exact_mut(T::LANES).enumerate() {
        let from = if j % 2 == 0 { j / 2 } else { m - 1 - j / 2 };
        let line = fft.line(&mut bench.folded, from);
        match modes {
            Modes::DirichletBetween if j % 2 == 1 => {
                x.iter_mut().zip(line).for_each(|(x, v)| *x = -*v);
            }
            _ => x.copy_from_slice(line),
        }
    }
}

/// `X_k = Re(e^{−iπk/2m} V_k)` and `X_{m−k} = −Im(e^{−iπk/2m} V_k)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn quarter_turned<T: Number>(waves: &[[T; 2]], bench: &Bench<T>, x: &mut [T]) {
    let (m, width) = (waves.len(), T::LANES);
    x[..width].copy_from_slice(&bench.sums.re[..width]);
    for (k, &[c, s]) in waves.iter().enumerate().take(m / 2 + 1).skip(1) {
        let (re, im) = (at(&bench.sums.re, k), at(&bench.sums.im, k));
        let near = at_mut(x, k);
        for l in 0..width {
            near[l] = c * re[l] + s * im[l];
        }
        if 2 * k < m {
            let far = at_mut(x, m - k);
            for l in 0..width {
                far[l] = s * re[l] - c * im[l];
            }
        }
    }
}

/// `V_k = ½ e^{iπk/2m} (X_k − i X_{m−k})`, and `V_0 = X_0`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn turn_back<T: Number>(waves: &[[T; 2]], x: &[T], bench: &mut Bench<T>) {
    let (m, width, half) = (waves.len(), T::LANES, T::rounded(0.5));
    bench.sums.re[..width].copy_from_slice(&x[..width]);
    bench.sums.im[..width].fill(T::ZERO);
    for (k, &[c, s]) in waves.iter().enumerate().take(m / 2 + 1).skip(1) {
        let (near, far) = (at(x, k), at(x, m - k));
        let (re, im) = (at_mut(&mut bench.sums.re, k), at_mut(&mut bench.sums.im, k));
        for l in 0..width {
            re[l] = half * (c * near[l] + s * far[l]);
            im[l] = half * (s * near[l] - c * far[l]);
        }
    }
}

/// Real and imaginary parts one after the other.
fn to_pairs<T: Number>(bench: &Bench<T>, x: &mut [T]) {
    let m = x.len() / T::LANES;
    for (q, x) in x.chunks_exact_mut(T::LANES).enumerate() {
        let part = if q % 2 == 1 || q == 0 { &bench.sums.re } else { &bench.sums.im };
        x.copy_from_slice(at(part, q.div_ceil(2).min(m / 2)));
    }
}

/// Parts of a Fourier sum from real and imaginary parts: half of each, as its conjugate is the other half.
fn of_pairs<T: Number>(x: &[T], bench: &mut Bench<T>) {
    let (m, half) = (x.len() / T::LANES, T::rounded(0.5));
    bench.sums.re[..T::LANES].copy_from_slice(&x[..T::LANES]);
    bench.sums.im[..T::LANES].fill(T::ZERO);
    for k in 1..=m / 2 {
        let (re, im) = (at_mut(&mut bench.sums.re, k), at_mut(&mut bench.sums.im, k));
        if 2 * k == m {
            re.copy_from_slice(at(x, m - 1));
            im.fill(T::ZERO);
        } else {
            re.iter_mut().zip(at(x, 2 * k - 1)).for_each(|(re, x)| *re = half * *x);
            im.iter_mut().zip(at(x, 2 * k)).for_each(|(im, x)| *im = half * *x);
        }
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
        let value = |i: usize, lane: usize| ((7 * i + 3 * lane) as f64).sin();
        for back in [false, true] {
            for (at, x) in lines.x.iter_mut().enumerate() {
                *x = T::rounded(value(at / T::LANES, at % T::LANES));
            }
            line.transform(&mut lines, back);
            let Some(modes) = modes.filter(|_| line.is_fast()) else { continue };
            for (at, x) in lines.x.iter().enumerate() {
                let (k, lane) = (at / T::LANES, at % T::LANES);
                let of = |i: usize| {
                    let wave = if back { phi(modes, m, k, i) } else { phi(modes, m, i, k) };
                    wave * value(i, lane)
                };
                let sum: f64 = (0..m).map(of).sum();
                let off = (x.widened() - sum).abs();
                assert!(off < slack * m as f64, "{modes:?} {m} {back} mode {k}: {off:e}");
            }
        }
        // There and back, weighted, is the inverse of the mass.
        for (at, x) in lines.x.iter_mut().enumerate() {
            *x = T::rounded(value(at / T::LANES, at % T::LANES) * axis.mass[at / T::LANES]);
        }
        line.forward(&mut lines);
        for (x, weight) in lines.x.chunks_exact_mut(T::LANES).zip(line.weights()) {
            x.iter_mut().for_each(|x| *x = T::rounded(x.widened() / weight));
        }
        line.backward(&mut lines);
        for (at, x) in lines.x.iter().enumerate() {
            let off = (x.widened() - value(at / T::LANES, at % T::LANES)).abs();
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
