//! Fourier transforms of real sequences side by side, each by itself: an even length is folded into half as
//! many complex numbers, an odd one has imaginary parts of zero.
use std::f64::consts::PI;

use multiversion::multiversion;

use super::fft::{Fft, Wide, is_smooth};
use super::number::Number;

/// The transform `Y_k = Σ_j y_j exp(−2πi jk/n)` of real numbers, and the way back, not normalised.
pub(super) struct RealFft<T> {
    length: usize,
    fft: Fft<T>,
    /// exp(−2πi k/n), k = 0 … n/2; none where the length is odd.
    turns: Vec<[T; 2]>,
}

/// The memory that a transform works in.
pub(super) struct Bench<T> {
    /// What comes in, position after position of the folded sequence; then work space.
    pub folded: Wide<T>,
    /// The Fourier sums Y_0 … Y_{n/2}.
    pub sums: Wide<T>,
}

impl<T: Number> Bench<T> {
    pub fn bytes(&self) -> usize {
        self.folded.bytes() + self.sums.bytes()
    }
}

impl<T: Number> RealFft<T> {
    pub fn new(length: usize) -> Self {
        let even = length.is_multiple_of(2);
        let turn = |k: usize| {
            let angle = 2.0 * PI * k as f64 / length as f64;
            [T::rounded(angle.cos()), T::rounded(-angle.sin())]
        };
        let turns = if even { (0..=length / 2).map(turn).collect() } else { Vec::new() };
        RealFft { length, fft: Fft::new(if even { length / 2 } else { length }), turns }
    }

    /// Whether it takes no detour over another length.
    pub fn is_direct(length: usize) -> bool {
        is_smooth(if length.is_multiple_of(2) { length / 2 } else { length })
    }

    pub fn bench(&self) -> Bench<T> {
        let room = self.fft.room() + 1;
        Bench { folded: Wide::new(room), sums: Wide::new(room) }
    }

    pub fn bytes(&self) -> usize {
        self.fft.bytes() + size_of::<T>() * 2 * self.turns.len()
    }

    /// Where `y_j` of all sequences stands.
    pub fn line<'a>(&self, y: &'a mut Wide<T>, j: usize) -> &'a mut [T] {
        let half = self.length.is_multiple_of(2);
        let at = if half { j / 2 } else { j } * T::LANES;
        let part = if half && j % 2 == 1 { &mut y.im } else { &mut y.re };
        &mut part[at..at + T::LANES]
    }

    /// From `folded` to `sums`.
    pub fn forward(&self, bench: &mut Bench<T>) {
        let Bench { folded, sums } = bench;
        if self.turns.is_empty() {
            folded.im[..self.length * T::LANES].fill(T::ZERO);
            self.fft.transform(folded, sums);
            std::mem::swap(folded, sums);
        } else {
            self.fft.transform(folded, sums);
            unfold(&self.turns, folded, sums);
        }
    }

    /// From `sums` to `folded`: `y_j = Σ_k Y_k exp(2πi jk/n)` over all k, `Y_{n−k}` being the conjugate of `Y_k`.
    pub fn backward(&self, bench: &mut Bench<T>) {
        let Bench { folded, sums } = bench;
        let width = T::LANES;
        if self.turns.is_empty() {
            for k in 1..self.length.div_ceil(2) {
                let (from, to) = (k * width, (self.length - k) * width);
                for l in 0..width {
                    sums.re[to + l] = sums.re[from + l];
                    sums.im[to + l] = -sums.im[from + l];
                }
            }
            std::mem::swap(folded, sums);
        } else {
            fold_back(&self.turns, sums, folded);
        }
        // Backward: forward with the parts exchanged.
        std::mem::swap(&mut folded.re, &mut folded.im);
        self.fft.transform(folded, sums);
        std::mem::swap(&mut folded.re, &mut folded.im);
    }
}

/// `Y_k = E_k + w^k O_k` out of `Z = E + iO`, E and O the sums of even and odd positions.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn unfold<T: Number>(turns: &[[T; 2]], z: &Wide<T>, y: &mut Wide<T>) {
    let (half, width, m) = (T::rounded(0.5), T::LANES, turns.len() - 1);
    let lines = y.re.chunks_exact_mut(width).zip(y.im.chunks_exact_mut(width));
    for ((k, &[c, s]), (re, im)) in turns.iter().enumerate().zip(lines) {
        let (near, far) = (k % m * width, (m - k) % m * width);
        let (zr, zi) = (&z.re[near..near + width], &z.im[near..near + width]);
        let (fr, fi) = (&z.re[far..far + width], &z.im[far..far + width]);
        for l in 0..width {
            let (er, ei) = (half * (zr[l] + fr[l]), half * (zi[l] - fi[l]));
            let (or, oi) = (half * (zi[l] + fi[l]), half * (fr[l] - zr[l]));
            re[l] = er + (c * or - s * oi);
            im[l] = ei + (c * oi + s * or);
        }
    }
}

/// `Z_k = (Y_k + conj Y_{m−k}) + i w^{−k} (Y_k − conj Y_{m−k})`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn fold_back<T: Number>(turns: &[[T; 2]], y: &Wide<T>, z: &mut Wide<T>) {
    let (width, m) = (T::LANES, turns.len() - 1);
    let lines = z.re.chunks_exact_mut(width).zip(z.im.chunks_exact_mut(width));
    for ((k, &[c, s]), (re, im)) in turns[..m].iter().enumerate().zip(lines) {
        let (near, far) = (k * width, (m - k) * width);
        let (yr, yi) = (&y.re[near..near + width], &y.im[near..near + width]);
        let (fr, fi) = (&y.re[far..far + width], &y.im[far..far + width]);
        for l in 0..width {
            let (er, ei) = (yr[l] + fr[l], yi[l] - fi[l]);
            let (dr, di) = (yr[l] - fr[l], yi[l] + fi[l]);
            let (or, oi) = (c * dr + s * di, c * di - s * dr);
            re[l] = er - oi;
            im[l] = ei + or;
        }
    }
}
