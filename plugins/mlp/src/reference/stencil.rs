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

use std::ops::Range;

use multiversion::multiversion;

use precondor_neural::number::Number;
use precondor_sdk::core::kernel::grid::Grid;

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

/// What the result of a sweep is added to.
#[derive(Clone, Copy)]
pub enum Onto<'a, T> {
    /// Nothing: `y = alpha K x`.
    Nothing,
    /// What is there: `y += alpha K x`.
    Itself,
    /// A plane: `y = base + alpha K x`.
    Plane(&'a [T]),
}

/// A stencil as an operator: which sums to form for every node.
struct Sums<'a, K> {
    values: &'a [K],
    terms: [Term; TERMS],
    count: usize,
    /// The terms whose coefficients the centre makes up to one.
    centre: [Term; TERMS],
    rest: usize,
}

/// The `n` numbers from `from` on.
#[inline(always)]
fn part<T>(values: &[T], from: usize, n: usize) -> &[T] {
    &values[from..from + n]
}

/// [`Sums`] of up to [`CHUNK`] nodes, the first of them `at` places after the first of the body, which
/// stands at `start`.
#[inline(always)]
fn sums<K: Number + Into<T>, T: Number>(
    stencil: &Sums<'_, K>,
    x: &[T],
    start: usize,
    at: usize,
    n: usize,
) -> [T; CHUNK] {
    let mut sum = [T::zero(); CHUNK];
    for &(from, of) in &stencil.terms[..stencil.count] {
        let terms = part(stencil.values, from + at, n).iter().zip(part(x, of + at, n));
        for (s, (&k, &x)) in sum.iter_mut().zip(terms) {
            *s = *s + k.into() * x;
        }
    }
    if stencil.rest > 0 {
        let mut centre = [T::one(); CHUNK];
        for &(from, _) in &stencil.centre[..stencil.rest] {
            for (c, &k) in centre.iter_mut().zip(part(stencil.values, from + at, n)) {
                *c = *c - k.into();
            }
        }
        for ((s, &c), &x) in sum.iter_mut().zip(&centre).zip(part(x, start + at, n)) {
            *s = *s + c * x;
        }
    }
    sum
}

/// Sweeps over the nodes from `from` places after the first of the body on, which stands at `start`, and
/// of which `y` is the part.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn sweep<K: Number + Into<T>, T: Number>(
    stencil: &Sums<'_, K>,
    x: &[T],
    (start, from): (usize, usize),
    alpha: T,
    onto: Onto<'_, T>,
    y: &mut [T],
) {
    for (chunk, y) in y.chunks_mut(CHUNK).enumerate() {
        let (at, n) = (from + chunk * CHUNK, y.len());
        // Whole chunks by themselves: their sums stay in registers.
        let sum = match n {
            CHUNK => sums(stencil, x, start, at, CHUNK),
            _ => sums(stencil, x, start, at, n),
        };
        match onto {
            Onto::Nothing => y.iter_mut().zip(&sum).for_each(|(y, &s)| *y = alpha * s),
            Onto::Itself => y.iter_mut().zip(&sum).for_each(|(y, &s)| *y = *y + alpha * s),
            Onto::Plane(base) => {
                for ((y, &s), &b) in y.iter_mut().zip(&sum).zip(part(base, start + at, n)) {
                    *y = b + alpha * s;
                }
            }
        }
    }
}

/// `k_c(i) += a(i) (b(i + d_c) − unit·b(i))` on the body.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn outer<T: Number>(
    body: Range<usize>,
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

    /// The planes of coefficients, one an offset.
    pub fn planes_mut(&mut self) -> impl Iterator<Item = &mut [K]> {
        self.values.chunks_exact_mut(self.grid.plane())
    }

    /// Bytes of the coefficients.
    pub fn bytes(&self) -> usize {
        size_of::<K>() * self.values.len()
    }

    /// The terms of `K x` (first) and of `Kᵀ x`.
    fn terms(&self, offset: usize) -> [Term; 2] {
        let (start, plane) = (self.grid.body().start, offset * self.grid.plane());
        let shift = self.grid.offset(self.offsets[offset]);
        let by = |x: usize, d: isize| x.wrapping_add_signed(d);
        [(plane + start, by(start, shift)), (by(plane + start, -shift), by(start, -shift))]
    }

    /// The sums of `K x`, or of `Kᵀ x`.
    fn sums(&self, transposed: bool) -> Sums<'_, K> {
        let none = [(0, 0); TERMS];
        let mut sums = Sums { values: &self.values, terms: none, count: 0, centre: none, rest: 0 };
        for c in 0..self.offsets.len() {
            let [row, column] = self.terms(c);
            if self.kind == Kind::UnitRows {
                sums.centre[sums.rest] = row;
                sums.rest += 1;
            }
            sums.terms[sums.count] = if transposed { column } else { row };
            sums.count += 1;
            if self.kind == Kind::Symmetric && c > 0 {
                sums.terms[sums.count] = column;
                sums.count += 1;
            }
        }
        sums
    }

    /// Sets, or adds to, `rows` of the grid: `y` is that part of the body of a plane. `x` is a whole plane.
    pub fn sweep<T: Number>(
        &self,
        rows: Range<usize>,
        transposed: bool,
        x: &[T],
        alpha: T,
        onto: Onto<'_, T>,
        y: &mut [T],
    ) where
        K: Into<T>,
    {
        let (stride, start) = (self.grid.stride(), self.grid.body().start);
        let y = &mut y[..rows.len() * stride];
        sweep(&self.sums(transposed), x, (start, rows.start * stride), alpha, onto, y);
        for row in y.chunks_exact_mut(stride) {
            row[self.grid.mx] = T::zero();
        }
    }

    fn apply<T: Number>(&self, transposed: bool, x: &[T], alpha: T, onto: Onto<'_, T>, y: &mut [T])
    where
        K: Into<T>,
    {
        let Grid { my, .. } = self.grid;
        self.sweep(0..my, transposed, x, alpha, onto, &mut y[self.grid.body()]);
    }

    /// `y += alpha K x`.
    pub fn add<T: Number>(&self, x: &[T], alpha: T, y: &mut [T])
    where
        K: Into<T>,
    {
        self.apply(false, x, alpha, Onto::Itself, y);
    }

    /// `y = base + alpha K x`.
    pub fn add_to<T: Number>(&self, base: &[T], x: &[T], alpha: T, y: &mut [T])
    where
        K: Into<T>,
    {
        self.apply(false, x, alpha, Onto::Plane(base), y);
    }

    /// `y += alpha Kᵀ x`.
    pub fn add_transposed<T: Number>(&self, x: &[T], alpha: T, y: &mut [T])
    where
        K: Into<T>,
    {
        self.apply(true, x, alpha, Onto::Itself, y);
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
    use precondor_neural::random::Random;

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
    fn sweeps_over_parts_give_the_bits_of_the_whole() {
        let mut random = Random::new(5, 0);
        let (body, stride) = (GRID.body(), GRID.stride());
        for stencil in all(&mut random) {
            let (x, base) = (noise(&mut random, GRID), noise(&mut random, GRID));
            for transposed in [false, true] {
                let mut whole = base.clone();
                stencil.apply(transposed, &x, 0.3, Onto::Itself, &mut whole);
                for onto in [Onto::Nothing, Onto::Itself, Onto::Plane(&base)] {
                    let mut parts = base.clone();
                    let mut rest = &mut parts[body.clone()];
                    for rows in [0..1, 1..3, 3..GRID.my] {
                        let part = rest.split_off_mut(..rows.len() * stride).unwrap();
                        stencil.sweep(rows, transposed, &x, 0.3, onto, part);
                    }
                    let added = |at: usize| match onto {
                        Onto::Nothing => (parts[at] + base[at] - whole[at]).abs() < 1e-14,
                        _ => parts[at] == whole[at],
                    };
                    assert!(body.clone().all(added));
                }
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
