//! Fourier transforms of many sequences of one length side by side.
//!
//! Position `j` of all sequences stands in [`Number::LANES`] consecutive numbers, real parts in one array and
//! imaginary parts in another, so that every step of the transform is the same arithmetic on long
//! contiguous runs: the compiler turns it into the processor's vectors, and no sequence's result depends on
//! its neighbours.
//!
//! - Lengths of factors 2, 3, 5 and 7: Stockham's self-sorting form, radices 4, 2 and the odd ones.
//! - Any other length n: as a convolution of a length m ≥ 2n − 1 of that kind (Bluestein), three times the cost.
//!
//! Reference: C. Van Loan, *Computational Frameworks for the Fast Fourier Transform*, SIAM 1992, §1.7, §4.2.
use std::f64::consts::PI;

use multiversion::multiversion;

use super::number::Number;

/// The transform `Z_k = Σ_j z_j exp(−2πi jk/n)`.
pub(super) struct Fft<T> {
    length: usize,
    stages: Vec<Stage<T>>,
    chirp: Option<Box<Chirp<T>>>,
}

/// One step: `groups` groups of `radix` parts each, `stride` positions a part.
struct Stage<T> {
    radix: usize,
    groups: usize,
    stride: usize,
    /// exp(−2πi pk/(groups·radix)) for group p, k = 1 … radix − 1.
    twiddles: Vec<[T; 2]>,
}

/// How a length with large factors becomes a convolution.
struct Chirp<T> {
    inner: Fft<T>,
    /// exp(−πi j²/n).
    turns: Vec<[T; 2]>,
    /// The transform of the conjugate turns, over the inner length.
    kernel: Vec<[T; 2]>,
}

/// Real and imaginary parts of sequences side by side.
pub(super) struct Wide<T> {
    pub re: Vec<T>,
    pub im: Vec<T>,
}

impl<T: Number> Wide<T> {
    pub fn new(positions: usize) -> Self {
        let zeros = vec![T::ZERO; positions * T::LANES];
        Wide { re: zeros.clone(), im: zeros }
    }
    pub fn bytes(&self) -> usize {
        size_of::<T>() * (self.re.len() + self.im.len())
    }
}

/// The factors of a length that the steps take, large strides first; `None` where it has others.
fn radices(mut n: usize) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    for radix in [7, 5, 3, 4, 2] {
        while n.is_multiple_of(radix) && n > 1 {
            found.push(radix);
            n /= radix;
        }
    }
    (n == 1).then_some(found)
}

/// Whether a length is transformed without a detour.
pub(super) fn is_smooth(n: usize) -> bool {
    radices(n).is_some()
}

/// exp(−2πi k/n), exact at the quarter turns.
fn turn(k: usize, n: usize) -> [f64; 2] {
    let k = k % n;
    match (4 * k).checked_div(n) {
        Some(q) if 4 * k == q * n => [[1.0, 0.0], [0.0, -1.0], [-1.0, 0.0], [0.0, 1.0]][q],
        _ => {
            let angle = 2.0 * PI * k as f64 / n as f64;
            [angle.cos(), -angle.sin()]
        }
    }
}

fn rounded<T: Number>([re, im]: [f64; 2]) -> [T; 2] {
    [T::rounded(re), T::rounded(im)]
}

impl<T: Number> Fft<T> {
    pub fn new(length: usize) -> Self {
        let Some(factors) = radices(length) else {
            let chirp = Some(Box::new(Chirp::new(length)));
            return Fft { length, stages: Vec::new(), chirp };
        };
        let (mut rest, mut stride) = (length, 1);
        let stage = |radix: usize| {
            let groups = rest / radix;
            let twiddles = (0..groups)
                .flat_map(|p| (1..radix).map(move |k| (p, k)))
                .map(|(p, k)| rounded(turn(p * k, rest)))
                .collect();
            let stage = Stage { radix, groups, stride, twiddles };
            (rest, stride) = (groups, stride * radix);
            stage
        };
        Fft { length, stages: factors.into_iter().map(stage).collect(), chirp: None }
    }

    /// Positions that a work space needs.
    pub fn room(&self) -> usize {
        self.chirp.as_ref().map_or(self.length, |chirp| chirp.inner.length)
    }

    pub fn bytes(&self) -> usize {
        let stages: usize = self.stages.iter().map(|s| s.twiddles.len()).sum();
        let chirp = self
            .chirp
            .as_ref()
            .map_or(0, |c| c.inner.bytes() + 2 * size_of::<T>() * (c.turns.len() + c.kernel.len()));
        2 * size_of::<T>() * stages + chirp
    }

    /// Transforms the first `length` positions of `z` in place; what stands in `work` is lost.
    pub fn transform(&self, z: &mut Wide<T>, work: &mut Wide<T>) {
        if let Some(chirp) = &self.chirp {
            return chirp.transform(self.length, z, work);
        }
        for stage in &self.stages {
            step(stage, (&z.re, &z.im), (&mut work.re, &mut work.im));
            std::mem::swap(z, work);
        }
    }
}

impl<T: Number> Chirp<T> {
    fn new(length: usize) -> Self {
        let room = (2 * length - 1..).find(|&m| is_smooth(m)).unwrap_or(2 * length);
        let inner = Fft::new(room);
        // j² modulo 2n, so that large j lose no digits.
        let exact =
            |j: usize| turn((j as u128 * j as u128 % (2 * length) as u128) as usize, 2 * length);
        let mut line =
            Wide { re: vec![T::ZERO; room * T::LANES], im: vec![T::ZERO; room * T::LANES] };
        for j in 0..length {
            let [re, im] = exact(j);
            for at in [j, (room - j) % room] {
                line.re[at * T::LANES] = T::rounded(re / room as f64);
                line.im[at * T::LANES] = T::rounded(-im / room as f64);
            }
        }
        inner.transform(&mut line, &mut Wide::new(room));
        let parts = line.re.chunks_exact(T::LANES).zip(line.im.chunks_exact(T::LANES));
        let kernel = parts.map(|(re, im)| [re[0], im[0]]).collect();
        Chirp { inner, turns: (0..length).map(|j| rounded(exact(j))).collect(), kernel }
    }

    fn transform(&self, length: usize, z: &mut Wide<T>, work: &mut Wide<T>) {
        times(&mut z.re, &mut z.im, &self.turns);
        let (used, room) = (length * T::LANES, self.inner.length * T::LANES);
        z.re[used..room].fill(T::ZERO);
        z.im[used..room].fill(T::ZERO);
        self.inner.transform(z, work);
        times(&mut z.re, &mut z.im, &self.kernel);
        // Backward: forward with the parts exchanged.
        std::mem::swap(&mut z.re, &mut z.im);
        self.inner.transform(z, work);
        std::mem::swap(&mut z.re, &mut z.im);
        times(&mut z.re, &mut z.im, &self.turns);
    }
}

/// Every position times a number of its own.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn times<T: Number>(re: &mut [T], im: &mut [T], factors: &[[T; 2]]) {
    let lines = re.chunks_exact_mut(T::LANES).zip(im.chunks_exact_mut(T::LANES));
    for ((re, im), &[c, s]) in lines.zip(factors) {
        for (re, im) in re.iter_mut().zip(im) {
            (*re, *im) = (c * *re - s * *im, c * *im + s * *re);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn step<T: Number>(stage: &Stage<T>, x: (&[T], &[T]), y: (&mut [T], &mut [T])) {
    match stage.radix {
        2 => step_of_two(stage, x, y),
        3 => step_of_odd::<T, 3>(stage, x, y),
        4 => step_of_four(stage, x, y),
        5 => step_of_odd::<T, 5>(stage, x, y),
        _ => step_of_odd::<T, 7>(stage, x, y),
    }
}

#[inline(always)]
fn step_of_two<T: Number>(stage: &Stage<T>, x: (&[T], &[T]), y: (&mut [T], &mut [T])) {
    let width = stage.stride * T::LANES;
    let far = stage.groups * width;
    let lines = y.0.chunks_exact_mut(2 * width).zip(y.1.chunks_exact_mut(2 * width));
    for (p, (re, im)) in lines.enumerate().take(stage.groups) {
        let ((re0, re1), (im0, im1)) = (re.split_at_mut(width), im.split_at_mut(width));
        let [c, s] = stage.twiddles[p];
        let at = p * width;
        let (xr0, xi0) = (&x.0[at..at + width], &x.1[at..at + width]);
        let (xr1, xi1) = (&x.0[far + at..far + at + width], &x.1[far + at..far + at + width]);
        for i in 0..width {
            let (dr, di) = (xr0[i] - xr1[i], xi0[i] - xi1[i]);
            re0[i] = xr0[i] + xr1[i];
            im0[i] = xi0[i] + xi1[i];
            re1[i] = c * dr - s * di;
            im1[i] = c * di + s * dr;
        }
    }
}

#[inline(always)]
fn step_of_four<T: Number>(stage: &Stage<T>, x: (&[T], &[T]), y: (&mut [T], &mut [T])) {
    let width = stage.stride * T::LANES;
    let far = stage.groups * width;
    let lines = y.0.chunks_exact_mut(4 * width).zip(y.1.chunks_exact_mut(4 * width));
    for (p, (re, im)) in lines.enumerate().take(stage.groups) {
        let (re01, re23) = re.split_at_mut(2 * width);
        let ((re0, re1), (re2, re3)) = (re01.split_at_mut(width), re23.split_at_mut(width));
        let (im01, im23) = im.split_at_mut(2 * width);
        let ((im0, im1), (im2, im3)) = (im01.split_at_mut(width), im23.split_at_mut(width));
        let part = |k: usize| k * far + p * width..k * far + (p + 1) * width;
        let (xr0, xr1, xr2, xr3) = (&x.0[part(0)], &x.0[part(1)], &x.0[part(2)], &x.0[part(3)]);
        let (xi0, xi1, xi2, xi3) = (&x.1[part(0)], &x.1[part(1)], &x.1[part(2)], &x.1[part(3)]);
        let [[c1, s1], [c2, s2], [c3, s3]] = [0, 1, 2].map(|k| stage.twiddles[3 * p + k]);
        for i in 0..width {
            let (ar, ai) = (xr0[i] + xr2[i], xi0[i] + xi2[i]);
            let (br, bi) = (xr0[i] - xr2[i], xi0[i] - xi2[i]);
            let (cr, ci) = (xr1[i] + xr3[i], xi1[i] + xi3[i]);
            // −i (x1 − x3).
            let (dr, di) = (xi1[i] - xi3[i], xr3[i] - xr1[i]);
            re0[i] = ar + cr;
            im0[i] = ai + ci;
            let (ur, ui) = (br + dr, bi + di);
            re1[i] = c1 * ur - s1 * ui;
            im1[i] = c1 * ui + s1 * ur;
            let (ur, ui) = (ar - cr, ai - ci);
            re2[i] = c2 * ur - s2 * ui;
            im2[i] = c2 * ui + s2 * ur;
            let (ur, ui) = (br - dr, bi - di);
            re3[i] = c3 * ur - s3 * ui;
            im3[i] = c3 * ui + s3 * ur;
        }
    }
}

/// A step of an odd radix, its cosines and sines with sums and differences of opposite parts.
#[inline(always)]
fn step_of_odd<T: Number, const R: usize>(
    stage: &Stage<T>,
    x: (&[T], &[T]),
    y: (&mut [T], &mut [T]),
) {
    let width = stage.stride * T::LANES;
    let far = stage.groups * width;
    let half = R / 2;
    let unit: [[T; 2]; R] = std::array::from_fn(|k| rounded(turn(k, R)));
    let lines = y.0.chunks_exact_mut(R * width).zip(y.1.chunks_exact_mut(R * width));
    for (p, (re, im)) in lines.enumerate().take(stage.groups) {
        let part = |k: usize| k * far + p * width..k * far + (p + 1) * width;
        let xr: [&[T]; R] = std::array::from_fn(|k| &x.0[part(k)]);
        let xi: [&[T]; R] = std::array::from_fn(|k| &x.1[part(k)]);
        let first = [xr[0], xi[0]];
        for k in 0..=half {
            let twiddle = |k: usize| match k {
                0 => [T::rounded(1.0), T::ZERO],
                _ => stage.twiddles[(R - 1) * p + k - 1],
            };
            let ([c, s], [c_far, s_far]) = (twiddle(k), twiddle((R - k) % R));
            let turns: [[T; 2]; R] = std::array::from_fn(|j| unit[j * k % R]);
            let other = (R - k) % R;
            for i in 0..width {
                let (mut er, mut ei) = (first[0][i], first[1][i]);
                let (mut or, mut oi) = (T::ZERO, T::ZERO);
                for j in 1..=half {
                    let [cos, sin] = turns[j];
                    er += cos * (xr[j][i] + xr[R - j][i]);
                    ei += cos * (xi[j][i] + xi[R - j][i]);
                    // sin is that of exp(−2πi jk/R): negative of the sine.
                    or += sin * (xr[j][i] - xr[R - j][i]);
                    oi += sin * (xi[j][i] - xi[R - j][i]);
                }
                // X_k = E + i O, X_{R−k} = E − i O, with O = Σ sin (x_j − x_{R−j}).
                let (ur, ui) = (er - oi, ei + or);
                re[k * width + i] = c * ur - s * ui;
                im[k * width + i] = c * ui + s * ur;
                if k > 0 {
                    let (ur, ui) = (er + oi, ei - or);
                    re[other * width + i] = c_far * ur - s_far * ui;
                    im[other * width + i] = c_far * ui + s_far * ur;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(lane: usize, j: usize) -> [f64; 2] {
        let x = (17 * lane + 5 * j) as f64;
        [x.sin(), (0.3 * x).cos()]
    }

    fn by_definition(lane: usize, n: usize, k: usize) -> [f64; 2] {
        (0..n).fold([0.0; 2], |[re, im], j| {
            let ([c, s], [x, y]) = (turn(j * k, n), value(lane, j));
            [re + c * x - s * y, im + c * y + s * x]
        })
    }

    fn off<T: Number>(n: usize) -> f64 {
        let fft = Fft::<T>::new(n);
        let (mut z, mut work) = (Wide::new(fft.room()), Wide::new(fft.room()));
        for j in 0..n {
            for lane in 0..T::LANES {
                [z.re[j * T::LANES + lane], z.im[j * T::LANES + lane]] = rounded(value(lane, j));
            }
        }
        fft.transform(&mut z, &mut work);
        let mut off = 0.0f64;
        for (k, lane) in (0..n).flat_map(|k| (0..T::LANES).map(move |lane| (k, lane))) {
            let ([re, im], at) = (by_definition(lane, n, k), k * T::LANES + lane);
            off = off.max((z.re[at].widened() - re).abs()).max((z.im[at].widened() - im).abs());
        }
        off / (n as f64).sqrt()
    }

    #[test]
    fn transforms_are_the_defining_sums_at_any_length() {
        for n in (1..=30).chain([47, 48, 64, 97, 105, 210, 343]) {
            assert!(off::<f64>(n) < 1e-13, "{n}: {:e}", off::<f64>(n));
            assert!(off::<f32>(n) < 3e-5, "{n}: {:e}", off::<f32>(n));
        }
    }

    #[test]
    fn lengths_with_large_factors_are_seen() {
        assert_eq!(radices(48), Some(vec![3, 4, 4]));
        assert_eq!(radices(1), Some(vec![]));
        assert!(is_smooth(512) && is_smooth(2 * 3 * 5 * 7) && !is_smooth(11) && !is_smooth(509));
    }
}
