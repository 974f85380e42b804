//! One triangle of a matrix, for sweeps: rows in blocks of a few entries, scaled by the diagonal.
//!
//! A row's blocks are padded with (own column, 0), so that the trip count of its loop is nearly always
//! the same; entries are aᵢⱼ/aᵢᵢ, so that from the newest x to the next one there is one multiplication and
//! one addition and nothing after them. For symmetric A the lower triangle is all that is kept: what
//! gathers a row scatters it, too.
use crate::number::Number;
use crate::rows::Rows;
use std::ops::Range;

/// A strict triangle, in blocks of `W` entries.
pub(crate) struct Triangle<V: Number, const W: usize> {
    /// n + 1 offsets, in blocks.
    start: Vec<u32>,
    cols: Vec<[u32; W]>,
    values: Vec<[V; W]>,
}

/// Which triangle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Below,
    Above,
}

impl<V: Number, const W: usize> Triangle<V, W> {
    /// No rows yet, with room for `n` of them.
    pub fn with_room(n: usize, blocks: usize) -> Self {
        let (cols, values) = (Vec::with_capacity(blocks), Vec::with_capacity(blocks));
        let mut start = Vec::with_capacity(n + 1);
        start.push(0);
        Triangle { start, cols, values }
    }

    /// D⁻¹L or D⁻¹U of A = L + D + U.
    pub fn of<X: Number>(a: &Rows<'_, X>, part: Part) -> Self {
        let blocks: usize = (0..a.len()).map(|i| a.part(i, part).len().div_ceil(W)).sum();
        let mut triangle = Self::with_room(a.len(), blocks);
        for i in 0..a.len() {
            let scale = 1.0 / a.diagonal[i].double();
            let entry = |k: usize| (a.cols[k], V::of(a.values[k].double() * scale));
            triangle.push_row(i, a.part(i, part).map(entry));
        }
        triangle
    }

    /// Appends the entries of row `i`.
    pub fn push_row(&mut self, i: usize, entries: impl Iterator<Item = (u32, V)>) {
        let mut used = W;
        for (col, value) in entries {
            if used == W {
                self.cols.push([i as u32; W]);
                self.values.push([V::ZERO; W]);
                used = 0;
            }
            let last = self.cols.len() - 1;
            (self.cols[last][used], self.values[last][used]) = (col, value);
            used += 1;
        }
        self.start.push(self.cols.len() as u32);
    }

    pub fn stored_entries(&self) -> usize {
        W * self.values.len()
    }
    pub fn bytes(&self) -> usize {
        4 * self.start.len() + W * self.cols.len() * (4 + size_of::<V>())
    }

    #[inline(always)]
    fn range(&self, i: usize) -> Range<usize> {
        self.start[i] as usize..self.start[i + 1] as usize
    }

    /// `s − Σⱼ tᵢⱼ xⱼ`.
    #[inline(always)]
    pub fn gather<X: Number>(&self, s: X, i: usize, x: &[X]) -> X {
        let mut s = s;
        for (cols, values) in self.cols[self.range(i)].iter().zip(&self.values[self.range(i)]) {
            for k in 0..W {
                s -= X::of(values[k].double()) * x[cols[k] as usize];
            }
        }
        s
    }

    /// `rⱼ ← rⱼ − s tᵢⱼ`.
    #[inline(always)]
    pub fn scatter<X: Number>(&self, s: X, i: usize, r: &mut [X]) {
        for (cols, values) in self.cols[self.range(i)].iter().zip(&self.values[self.range(i)]) {
            for k in 0..W {
                r[cols[k] as usize] -= X::of(values[k].double()) * s;
            }
        }
    }
}

/// A symmetric matrix by its lower triangle.
pub(crate) struct Half<V: Number> {
    /// D⁻¹L.
    pub below: Triangle<V, 4>,
    pub diagonal: Vec<V>,
    pub inverse: Vec<V>,
}

/// Any matrix by its triangles; rows are short in each.
pub(crate) struct Halves<V: Number> {
    /// D⁻¹L and D⁻¹U.
    pub below: Triangle<V, 2>,
    pub above: Triangle<V, 2>,
    pub diagonal: Vec<V>,
    pub inverse: Vec<V>,
}

/// The diagonal and its inverse.
fn diagonals<V: Number, X: Number>(a: &Rows<'_, X>) -> (Vec<V>, Vec<V>) {
    let of = |d: &X| V::of(d.double());
    let inverse = |d: &X| V::of(1.0 / d.double());
    (a.diagonal.iter().map(of).collect(), a.diagonal.iter().map(inverse).collect())
}

/// `r ← r − A x`, sweeps and what they cost, for either way of keeping a matrix.
pub(crate) enum Matrix<V: Number> {
    Symmetric(Half<V>),
    General(Halves<V>),
}

impl<V: Number> Matrix<V> {
    pub fn of<X: Number>(a: &Rows<'_, X>, symmetric: bool) -> Self {
        let below = Part::Below;
        let (diagonal, inverse) = diagonals(a);
        if symmetric {
            return Matrix::Symmetric(Half { below: Triangle::of(a, below), diagonal, inverse });
        }
        let (below, above) = (Triangle::of(a, below), Triangle::of(a, Part::Above));
        Matrix::General(Halves { below, above, diagonal, inverse })
    }

    /// A forward Gauss–Seidel sweep from zero: `x = (D + L)⁻¹ b`, and `r = b − A x`.
    pub fn forward(&self, b: &[V], x: &mut [V], r: &mut [V]) {
        match self {
            Matrix::Symmetric(half) => half.forward(b, x, r),
            Matrix::General(halves) => halves.forward(b, x, r),
        }
    }

    /// A backward sweep: `x ← x + (D + U)⁻¹ (b − A x)`; `b` may be used up.
    pub fn backward(&self, b: &mut [V], x: &mut [V]) {
        match self {
            Matrix::Symmetric(half) => half.backward(b, x),
            Matrix::General(halves) => halves.backward(b, x),
        }
    }

    /// `z = (D + L)⁻¹ r`, or with U, and `r ← r − A z`.
    pub fn correction(&self, r: &mut [V], z: &mut [V], transposed: bool) {
        match self {
            Matrix::Symmetric(half) if transposed => half.backward_correction(r, z),
            Matrix::Symmetric(half) => {
                (0..r.len()).for_each(|i| z[i] = half.below.gather(r[i] * half.inverse[i], i, z));
                half.subtract(z, r);
            }
            Matrix::General(Halves { below, above, inverse, .. }) => {
                if transposed {
                    (0..r.len()).rev().for_each(|i| z[i] = above.gather(r[i] * inverse[i], i, z));
                } else {
                    (0..r.len()).for_each(|i| z[i] = below.gather(r[i] * inverse[i], i, z));
                }
                self.subtract(z, r);
            }
        }
    }

    /// `r ← r − A x`.
    pub fn subtract(&self, x: &[V], r: &mut [V]) {
        match self {
            Matrix::Symmetric(half) => half.subtract(x, r),
            Matrix::General(halves) => halves.subtract(x, r),
        }
    }

    pub fn stored_entries(&self) -> usize {
        match self {
            Matrix::Symmetric(h) => h.below.stored_entries() + h.diagonal.len(),
            Matrix::General(h) => {
                h.below.stored_entries() + h.above.stored_entries() + h.diagonal.len()
            }
        }
    }
    pub fn bytes(&self) -> usize {
        let diagonals = |n: usize| 2 * size_of::<V>() * n;
        match self {
            Matrix::Symmetric(h) => h.below.bytes() + diagonals(h.diagonal.len()),
            Matrix::General(h) => h.below.bytes() + h.above.bytes() + diagonals(h.diagonal.len()),
        }
    }
}

impl<V: Number> Half<V> {
    fn forward(&self, b: &[V], x: &mut [V], r: &mut [V]) {
        for i in 0..b.len() {
            let s = self.below.gather(b[i] * self.inverse[i], i, x);
            (x[i], r[i]) = (s, V::ZERO);
            self.below.scatter(s * self.diagonal[i], i, r);
        }
    }

    fn backward(&self, b: &mut [V], x: &mut [V]) {
        for i in (0..b.len()).rev() {
            let s = self.below.gather(b[i] * self.inverse[i], i, x);
            x[i] = s;
            self.below.scatter(s * self.diagonal[i], i, b);
        }
    }

    /// With (D + U) z = r there is r − A z = −L z.
    fn backward_correction(&self, r: &mut [V], z: &mut [V]) {
        for i in (0..r.len()).rev() {
            z[i] = r[i] * self.inverse[i];
            self.below.scatter(z[i] * self.diagonal[i], i, r);
        }
        for (i, r) in r.iter_mut().enumerate() {
            *r = self.below.gather(V::ZERO, i, z) * self.diagonal[i];
        }
    }

    fn subtract(&self, x: &[V], r: &mut [V]) {
        for i in 0..r.len() {
            let s = x[i];
            let below = self.below.gather(V::ZERO, i, x) - s;
            r[i] += self.diagonal[i] * below;
            self.below.scatter(s * self.diagonal[i], i, r);
        }
    }
}

impl<V: Number> Halves<V> {
    fn forward(&self, b: &[V], x: &mut [V], r: &mut [V]) {
        for i in 0..b.len() {
            x[i] = self.below.gather(b[i] * self.inverse[i], i, x);
        }
        for (i, r) in r.iter_mut().enumerate() {
            *r = self.above.gather(V::ZERO, i, x) * self.diagonal[i];
        }
    }

    fn backward(&self, b: &[V], x: &mut [V]) {
        for i in (0..b.len()).rev() {
            let s = self.below.gather(b[i] * self.inverse[i], i, x);
            x[i] = self.above.gather(s, i, x);
        }
    }

    fn subtract(&self, x: &[V], r: &mut [V]) {
        for (i, r) in r.iter_mut().enumerate() {
            let near = self.above.gather(self.below.gather(V::ZERO, i, x), i, x) - x[i];
            *r += self.diagonal[i] * near;
        }
    }
}
