//! Stencils whose coefficients vary from node to node, as operators on planes, with their derivative.
//!
//! With coefficients `k_c(i)` and offsets `d_c` a stencil means one of
//! - rows: `(K x)(i) = Σ_c k_c(i) x(i + d_c)`, and its transpose;
//! - rows that sum to one: the same plus the centre coefficient `1 − Σ_c k_c(i)`, which is not stored
//!   (so that constants are kept to the last bit whatever precision the coefficients have);
//! - the lower half of a symmetric operator: `K + Kᵀ` with the diagonal counted once.
//!
//! Cost: two flops a coefficient and node (four for a symmetric one); every coefficient is read once,
//! the vectors stay in cache from one row to the next.

use multiversion::multiversion;

use crate::grid::Grid;
use crate::number::Number;

/// Offsets `(dx, dy)` of a nine-point stencil without its centre.
pub const AROUND: [(isize, isize); 8] =
    [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)];

/// Offsets of half a nine-point stencil with its centre, which comes first.
pub const HALF: [(isize, isize); 5] = [(0, 0), (1, 0), (-1, 1), (0, 1), (1, 1)];

/// What the coefficients of a stencil mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Coefficients of rows.
    Rows,
    /// Coefficients of rows beside the centre, which makes each row sum to one.
    UnitRows,
    /// Half of a symmetric operator; the first offset is `(0, 0)`.
    Symmetric,
}

/// A stencil on a grid; one plane of coefficients an offset.
#[derive(Clone, Debug)]
pub struct Stencil<K> {
    grid: Grid,
    kind: Kind,
    offsets: &'static [(isize, isize)],
    /// The planes, one after the other.
    pub values: Vec<K>,
}

/// Where a product of coefficient and vector starts, for the first node of the body.
type Term = (usize, usize);

/// More terms than any stencil here has.
const TERMS: usize = 10;

/// Nodes handled at a time.
const CHUNK: usize = 64;

/// `y = base + alpha K x` on the body, or `y += alpha K x` where `base` is empty.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn sweep<K: Number + Into<T>, T: Number>(
    body: std::ops::Range<usize>,
    terms: &[Term],
    centre: &[Term],
    (k, x): (&[K], &[T]),
    alpha: T,
    base: &[T],
    y: &mut [T],
) {
    let start = body.start;
    for at in body.clone().step_by(CHUNK) {
        let n = CHUNK.min(body.end - at);
        let mut sum = [T::zero(); CHUNK];
        for &(from, of) in terms {
            let k = &k[from + at - start..][..n];
            let x = &x[of + at - start..][..n];
            for ((s, &k), &x) in sum[..n].iter_mut().zip(k).zip(x) {
                *s = *s + k.into() * x;
            }
        }
        if !centre.is_empty() {
            let mut rest = [T::one(); CHUNK];
            for &(from, _) in centre {
                for (r, &k) in rest[..n].iter_mut().zip(&k[from + at - start..][..n]) {
                    *r = *r - k.into();
                }
            }
            for ((s, &r), &x) in sum[..n].iter_mut().zip(&rest[..n]).zip(&x[at..][..n]) {
                *s = *s + r * x;
            }
        }
        let y = &mut y[at..at + n];
        if base.is_empty() {
            for (y, &s) in y.iter_mut().zip(&sum[..n]) {
                *y = *y + alpha * s;
            }
        } else {
            for ((y, &s), &b) in y.iter_mut().zip(&sum[..n]).zip(&base[at..at + n]) {
                *y = b + alpha * s;
            }
        }
    }
}

/// `k_c(i) += a(i) (b(i + d_c) − unit·b(i))` on the body.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn outer<T: Number>(
    body: std::ops::Range<usize>,
    terms: &[Term],
    unit: bool,
    (a, b): (&[T], &[T]),
    k: &mut [T],
) {
    let n = body.len();
    let (a, here) = (&a[body.clone()], &b[body]);
    for &(to, of) in terms {
        let (k, b) = (&mut k[to..][..n], &b[of..][..n]);
        if unit {
            for (((k, &a), &b), &h) in k.iter_mut().zip(a).zip(b).zip(here) {
                *k = *k + a * (b - h);
            }
        } else {
            for ((k, &a), &b) in k.iter_mut().zip(a).zip(b) {
                *k = *k + a * b;
            }
        }
    }
}

impl<K: Number> Stencil<K> {
    /// A stencil with all coefficients zero.
    pub fn new(grid: Grid, kind: Kind, offsets: &'static [(isize, isize)]) -> Self {
        Stencil { grid, kind, offsets, values: vec![K::zero(); offsets.len() * grid.plane()] }
    }

    /// The grid.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The offsets `(dx, dy)`, one a plane.
    pub fn offsets(&self) -> &'static [(isize, isize)] {
        self.offsets
    }

    /// The plane of coefficients of one offset.
    pub fn plane(&self, offset: usize) -> &[K] {
        &self.values[offset * self.grid.plane()..(offset + 1) * self.grid.plane()]
    }

    /// The plane of coefficients of one offset.
    pub fn plane_mut(&mut self, offset: usize) -> &mut [K] {
        let plane = self.grid.plane();
        &mut self.values[offset * plane..(offset + 1) * plane]
    }

    /// Bytes of the coefficients.
    pub fn bytes(&self) -> usize {
        size_of::<K>() * self.values.len()
    }

    /// Stored coefficients, borders not counted.
    pub fn entries(&self) -> usize {
        self.offsets.len() * self.grid.nodes()
    }

    /// The terms of `K x` (first) and of `Kᵀ x`.
    fn terms(&self, offset: usize) -> [Term; 2] {
        let (start, plane) = (self.grid.body().start, offset * self.grid.plane());
        let shift = self.grid.offset(self.offsets[offset]);
        let by = |x: usize, d: isize| x.wrapping_add_signed(d);
        [(plane + start, by(start, shift)), (by(plane + start, -shift), by(start, -shift))]
    }

    fn apply<T: Number>(&self, transposed: bool, x: &[T], alpha: T, base: &[T], y: &mut [T])
    where
        K: Into<T>,
    {
        let mut terms = [(0, 0); TERMS];
        let mut centre = [(0, 0); TERMS];
        let (mut n, mut rest) = (0, 0);
        for c in 0..self.offsets.len() {
            let [row, column] = self.terms(c);
            if self.kind == Kind::UnitRows {
                centre[rest] = row;
                rest += 1;
            }
            terms[n] = if transposed { column } else { row };
            n += 1;
            if self.kind == Kind::Symmetric && c > 0 {
                terms[n] = column;
                n += 1;
            }
        }
        let body = self.grid.body();
        sweep(body, &terms[..n], &centre[..rest], (&self.values, x), alpha, base, y);
        self.grid.clear_border(y);
    }

    /// `y += alpha K x`.
    pub fn add<T: Number>(&self, x: &[T], alpha: T, y: &mut [T])
    where
        K: Into<T>,
    {
        self.apply(false, x, alpha, &[], y);
    }

    /// `y = base + alpha K x`.
    pub fn add_to<T: Number>(&self, base: &[T], x: &[T], alpha: T, y: &mut [T])
    where
        K: Into<T>,
    {
        self.apply(false, x, alpha, base, y);
    }

    /// `y += alpha Kᵀ x`.
    pub fn add_transposed<T: Number>(&self, x: &[T], alpha: T, y: &mut [T])
    where
        K: Into<T>,
    {
        self.apply(true, x, alpha, &[], y);
    }

    /// Adds to this, the derivative with respect to the coefficients, that of `gᵀ K x`.
    pub fn add_derivative(&mut self, g: &[K], x: &[K]) {
        let mut terms = [(0, 0); TERMS];
        let count = self.offsets.len();
        for (c, term) in terms[..count].iter_mut().enumerate() {
            *term = self.terms(c)[0];
        }
        let (body, unit) = (self.grid.body(), self.kind == Kind::UnitRows);
        outer(body.clone(), &terms[..count], unit, (g, x), &mut self.values);
        if self.kind == Kind::Symmetric {
            outer(body, &terms[1..count], false, (x, g), &mut self.values);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::random::Random;

    pub(crate) const GRID: Grid = Grid { mx: 5, my: 4 };

    pub(crate) fn noise(random: &mut Random, grid: Grid) -> Vec<f64> {
        let nodes: Vec<f64> = (0..grid.nodes()).map(|_| 2.0 * random.unit() - 1.0).collect();
        let mut plane = vec![0.0; grid.plane()];
        grid.to_plane(&nodes, &mut plane);
        plane
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn random_stencil(
        random: &mut Random,
        kind: Kind,
        offsets: &'static [(isize, isize)],
    ) -> Stencil<f64> {
        let mut stencil = Stencil::new(GRID, kind, offsets);
        for c in 0..offsets.len() {
            let plane = noise(random, GRID);
            stencil.plane_mut(c).copy_from_slice(&plane);
        }
        stencil
    }

    /// `K x` by its definition, node by node.
    fn by_definition(stencil: &Stencil<f64>, x: &[f64]) -> Vec<f64> {
        let (mx, my) = (GRID.mx as isize, GRID.my as isize);
        let place = |i: isize, j: isize| ((j + 1) * (mx + 1) + i + 1) as usize;
        let mut y = vec![0.0; GRID.plane()];
        for j in 0..my {
            for i in 0..mx {
                let here = place(i, j);
                if stencil.kind == Kind::UnitRows {
                    y[here] += x[here];
                }
                for (c, &(dx, dy)) in stencil.offsets.iter().enumerate() {
                    let k = stencil.plane(c)[here];
                    if stencil.kind == Kind::UnitRows {
                        y[here] -= k * x[here];
                    }
                    if (0..mx).contains(&(i + dx)) && (0..my).contains(&(j + dy)) {
                        let there = place(i + dx, j + dy);
                        y[here] += k * x[there];
                        if stencil.kind == Kind::Symmetric && c > 0 {
                            y[there] += k * x[here];
                        }
                    }
                }
            }
        }
        y
    }

    fn all(random: &mut Random) -> [Stencil<f64>; 3] {
        [
            random_stencil(random, Kind::Rows, &HALF),
            random_stencil(random, Kind::UnitRows, &AROUND),
            random_stencil(random, Kind::Symmetric, &HALF),
        ]
    }

    #[test]
    fn sweeps_are_the_definition_and_leave_the_border_zero() {
        let mut random = Random::new(1, 0);
        for stencil in all(&mut random) {
            let (x, base) = (noise(&mut random, GRID), noise(&mut random, GRID));
            let mut y = vec![0.0; GRID.plane()];
            stencil.add_to(&base, &x, -2.0, &mut y);
            for ((y, b), k) in y.iter().zip(&base).zip(by_definition(&stencil, &x)) {
                assert!((y - (b - 2.0 * k)).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn transposes_are_adjoint() {
        let mut random = Random::new(2, 0);
        for stencil in all(&mut random) {
            let (x, g) = (noise(&mut random, GRID), noise(&mut random, GRID));
            let (mut forward, mut back) = (vec![0.0; GRID.plane()], vec![0.0; GRID.plane()]);
            stencil.add(&x, 1.0, &mut forward);
            if stencil.kind == Kind::Symmetric {
                stencil.add(&g, 1.0, &mut back);
            } else {
                stencil.add_transposed(&g, 1.0, &mut back);
            }
            assert!((dot(&g, &forward) - dot(&back, &x)).abs() < 1e-12);
            let border = |p: &[f64]| p.iter().filter(|v| **v != 0.0).count();
            assert_eq!((border(&forward), border(&back)), (GRID.nodes(), GRID.nodes()));
        }
    }

    #[test]
    fn rows_of_a_unit_stencil_sum_to_one_in_single_precision_too() {
        let mut random = Random::new(3, 0);
        let double = random_stencil(&mut random, Kind::UnitRows, &AROUND);
        let mut single = Stencil::<f32>::new(GRID, Kind::UnitRows, &AROUND);
        for (s, d) in single.values.iter_mut().zip(&double.values) {
            *s = *d as f32;
        }
        // Inner nodes have all neighbours, so a constant is kept there.
        let (mut ones, mut y) = (vec![0.0f64; GRID.plane()], vec![0.0; GRID.plane()]);
        GRID.to_plane(&vec![1.0; GRID.nodes()], &mut ones);
        single.add(&ones, 1.0, &mut y);
        for j in 1..GRID.my - 1 {
            for i in 1..GRID.mx - 1 {
                assert!((y[(j + 1) * GRID.stride() + i + 1] - 1.0).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn derivative_agrees_with_differences() {
        let mut random = Random::new(4, 0);
        for mut stencil in all(&mut random) {
            let (x, g) = (noise(&mut random, GRID), noise(&mut random, GRID));
            let mut derivative = Stencil::new(GRID, stencil.kind, stencil.offsets);
            derivative.add_derivative(&g, &x);
            let value = |stencil: &Stencil<f64>| {
                let mut y = vec![0.0; GRID.plane()];
                stencil.add(&x, 1.0, &mut y);
                dot(&g, &y)
            };
            let at = value(&stencil);
            for c in 0..stencil.offsets.len() {
                for place in GRID.body() {
                    let index = c * GRID.plane() + place;
                    stencil.values[index] += 1.0;
                    let difference = value(&stencil) - at;
                    stencil.values[index] -= 1.0;
                    assert!((difference - derivative.values[index]).abs() < 1e-12);
                }
            }
        }
    }
}
