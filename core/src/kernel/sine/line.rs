//! The sine transform of one row.
use std::sync::Arc;

use multiversion::multiversion;
use realfft::{RealFftPlanner, RealToComplex};
use rustfft::{FftNum, num_complex::Complex};

use super::SineNumber;

/// The orthonormal sine transform (DST-I) of vectors of one length; it is its own inverse.
pub(super) struct Line<T: FftNum> {
    fft: Arc<dyn RealToComplex<T>>,
    /// `√(2/(m+1)) sin(π j/(m+1))` for `j = 1 … m`.
    sines: Vec<T>,
    /// `½ √(2/(m+1))`.
    half: T,
}

/// The memory one [`Line`] works in.
pub(super) struct LineScratch<T: FftNum> {
    folded: Vec<T>,
    spectrum: Vec<Complex<T>>,
    fft: Vec<Complex<T>>,
}

impl<T: FftNum> LineScratch<T> {
    pub fn bytes(&self) -> usize {
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
    pub fn new(m: usize) -> Self {
        let length = m + 1;
        let fft = RealFftPlanner::new().plan_fft_forward(length);
        let scale = (2.0 / length as f64).sqrt();
        let sine = |j: usize| (std::f64::consts::PI * j as f64 / length as f64).sin();
        let sines = (1..length).map(|j| T::rounded(scale * sine(j))).collect();
        Line { fft, sines, half: T::rounded(0.5 * scale) }
    }

    pub fn scratch(&self) -> LineScratch<T> {
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
    pub fn transform(&self, x: &mut [T], scratch: &mut LineScratch<T>) {
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
