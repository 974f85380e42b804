//! One triangle of a matrix, for sweeps: rows in blocks of four entries, scaled by the diagonal.
//!
//! A row's blocks are padded with (own column, 0), so that the trip count of its loop is nearly always
//! the same; entries are aᵢⱼ/aᵢᵢ, so that from the newest x to the next one there is one multiplication and
//! one addition and nothing after them. For symmetric A the lower triangle is all that is kept: what
//! gathers a row scatters it, too.
use crate::number::Number;
use crate::rows::Rows;

const WIDTH: usize = 4;

/// L or U of A = L + D + U.
pub(crate) struct Half<V: Number> {
    /// n + 1 offsets, in blocks.
    start: Vec<u32>,
    cols: Vec<[u32; WIDTH]>,
    values: Vec<[V; WIDTH]>,
    pub diagonal: Vec<V>,
    pub inverse: Vec<V>,
}

/// Which triangle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Below,
    Above,
}

impl<V: Number> Half<V> {
    pub fn of<W: Number>(a: &Rows<'_, W>, part: Part) -> Self {
        let n = a.len();
        let range = |i: usize| match part {
            Part::Below => a.start[i] as usize..a.middle[i] as usize,
            Part::Above => a.middle[i] as usize + 1..a.start[i + 1] as usize,
        };
        let blocks: usize = (0..n).map(|i| range(i).len().div_ceil(WIDTH)).sum();
        let mut half = Half {
            start: Vec::with_capacity(n + 1),
            cols: Vec::with_capacity(blocks),
            values: Vec::with_capacity(blocks),
            diagonal: Vec::with_capacity(n),
            inverse: Vec::with_capacity(n),
        };
        half.start.push(0);
        for i in 0..n {
            let d = a.diagonal[i].double();
            let scale = 1.0 / d;
            half.push_row(i, range(i).map(|k| (a.cols[k], V::of(a.values[k].double() * scale))));
            half.diagonal.push(V::of(d));
            half.inverse.push(V::of(scale));
        }
        half
    }

    /// Appends the entries of row `i`.
    fn push_row(&mut self, i: usize, entries: impl Iterator<Item = (u32, V)>) {
        let mut used = WIDTH;
        for (col, value) in entries {
            if used == WIDTH {
                self.cols.push([i as u32; WIDTH]);
                self.values.push([V::ZERO; WIDTH]);
                used = 0;
            }
            let last = self.cols.len() - 1;
            (self.cols[last][used], self.values[last][used]) = (col, value);
            used += 1;
        }
        self.start.push(self.cols.len() as u32);
    }

    pub fn len(&self) -> usize {
        self.diagonal.len()
    }
    pub fn stored_entries(&self) -> usize {
        WIDTH * self.values.len() + self.len()
    }
    pub fn bytes(&self) -> usize {
        let number = size_of::<V>();
        4 * self.start.len() + WIDTH * self.cols.len() * (4 + number) + 2 * number * self.len()
    }

    #[inline(always)]
    fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.start[i] as usize..self.start[i + 1] as usize
    }

    /// `s − (D⁻¹L x)ᵢ`.
    #[inline(always)]
    pub fn gather(&self, s: V, i: usize, x: &[V]) -> V {
        let mut s = s;
        for (cols, values) in self.cols[self.range(i)].iter().zip(&self.values[self.range(i)]) {
            for k in 0..WIDTH {
                s -= values[k] * x[cols[k] as usize];
            }
        }
        s
    }

    /// `r ← r − s (D⁻¹L)ᵀ eᵢ`.
    #[inline(always)]
    pub fn scatter(&self, s: V, i: usize, r: &mut [V]) {
        for (cols, values) in self.cols[self.range(i)].iter().zip(&self.values[self.range(i)]) {
            for k in 0..WIDTH {
                r[cols[k] as usize] -= values[k] * s;
            }
        }
    }
}

/// Symmetric A, of which `a` is the lower triangle.
impl<V: Number> Half<V> {
    /// A forward Gauss–Seidel sweep from zero: `x = (D + L)⁻¹ b`, and `r = b − A x`.
    pub fn forward(&self, b: &[V], x: &mut [V], r: &mut [V]) {
        for i in 0..self.len() {
            let s = self.gather(b[i] * self.inverse[i], i, x);
            (x[i], r[i]) = (s, V::ZERO);
            self.scatter(s * self.diagonal[i], i, r);
        }
    }

    /// A backward sweep: `x ← x + (D + U)⁻¹ (b − A x)`; `b` is used up.
    pub fn backward(&self, b: &mut [V], x: &mut [V]) {
        for i in (0..self.len()).rev() {
            let s = self.gather(b[i] * self.inverse[i], i, x);
            x[i] = s;
            self.scatter(s * self.diagonal[i], i, b);
        }
    }

    /// `r ← r − A x`.
    pub fn subtract(&self, x: &[V], r: &mut [V]) {
        for i in 0..self.len() {
            let s = x[i];
            let below = self.gather(V::ZERO, i, x) - s;
            r[i] += self.diagonal[i] * below;
            self.scatter(s * self.diagonal[i], i, r);
        }
    }
}
