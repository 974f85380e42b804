//! One triangle of a matrix, for sweeps: rows in blocks of a few entries, scaled by the diagonal.
//!
//! A row's blocks are padded with (own column, 0), so that the trip count of its loop is nearly always
//! the same; entries are aᵢⱼ/aᵢᵢ, so that from the newest x to the next one there is one multiplication and
//! one addition and nothing after them. For symmetric A the lower triangle is all that is kept: what
//! gathers a row scatters it, too.
use crate::number::Number;
use crate::rows::Rows;
use crate::stripes::Stripes;
use precondor_sdk::core::kernel::chunks;
use precondor_sdk::prelude::*;
use std::ops::Range;

/// Rows that one thread takes at a time, at least, where they do not depend on each other.
const GRAIN: usize = 4000;

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
        self.gather_from(s, i, x, 0)
    }

    /// The same with the part of x that begins at `from`.
    #[inline(always)]
    fn gather_from<X: Number>(&self, s: X, i: usize, x: &[X], from: usize) -> X {
        let mut s = s;
        for (cols, values) in self.cols[self.range(i)].iter().zip(&self.values[self.range(i)]) {
            for k in 0..W {
                s -= X::of(values[k].double()) * x[cols[k] as usize - from];
            }
        }
        s
    }

    /// `rⱼ ← rⱼ − s tᵢⱼ`.
    #[inline(always)]
    pub fn scatter<X: Number>(&self, s: X, i: usize, r: &mut [X]) {
        self.scatter_from(s, i, r, 0);
    }

    /// The same with the part of r that begins at `from`.
    #[inline(always)]
    fn scatter_from<X: Number>(&self, s: X, i: usize, r: &mut [X], from: usize) {
        for (cols, values) in self.cols[self.range(i)].iter().zip(&self.values[self.range(i)]) {
            for k in 0..W {
                r[cols[k] as usize - from] -= X::of(values[k].double()) * s;
            }
        }
    }

    /// The entries of row `i` in columns before `end`.
    #[inline(always)]
    fn before(&self, i: usize, end: usize) -> impl Iterator<Item = (usize, V)> + '_ {
        let range = self.range(i);
        let cols = self.cols[range.clone()].as_flattened().iter().map(|&j| j as usize);
        cols.zip(self.values[range].as_flattened().iter().copied()).filter(move |e| e.0 < end)
    }
}

/// A symmetric matrix by its lower triangle.
pub(crate) struct Half<V: Number> {
    /// D⁻¹L.
    pub below: Triangle<V, 4>,
    pub diagonal: Vec<V>,
    pub inverse: Vec<V>,
    stripes: Stripes,
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
            let lowest = |i| a.part(i, below).map(|k| a.cols[k] as usize).min().unwrap_or(i);
            let stripes = Stripes::of_rows(a.len(), lowest);
            let below = Triangle::of(a, below);
            return Matrix::Symmetric(Half { below, diagonal, inverse, stripes });
        }
        let (below, above) = (Triangle::of(a, below), Triangle::of(a, Part::Above));
        Matrix::General(Halves { below, above, diagonal, inverse })
    }

    /// A forward Gauss–Seidel sweep from zero: `x = (D + L)⁻¹ b`, and `r = b − A x`.
    pub fn forward(&self, host: &dyn Host, b: &[V], x: &mut [V], r: &mut [V]) -> Result<()> {
        match self {
            Matrix::Symmetric(half) => half.forward(host, b, x, r),
            Matrix::General(halves) => {
                halves.forward(b, x, r);
                Ok(())
            }
        }
    }

    /// A backward sweep: `x ← x + (D + U)⁻¹ (b − A x)`; `b` may be used up.
    pub fn backward(&self, host: &dyn Host, b: &mut [V], x: &mut [V]) -> Result<()> {
        match self {
            Matrix::Symmetric(half) => half.backward(host, b, x),
            Matrix::General(halves) => {
                halves.backward(b, x);
                Ok(())
            }
        }
    }

    /// `r ← r − A x`.
    pub fn subtract(&self, host: &dyn Host, x: &[V], r: &mut [V]) -> Result<()> {
        match self {
            Matrix::Symmetric(half) => half.subtract(host, x, r),
            Matrix::General(halves) => {
                halves.subtract(x, r);
                Ok(())
            }
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

/// What a stripe of rows does, and with which columns before it: even stripes come first going forward.
impl<V: Number> Half<V> {
    fn forward(&self, host: &dyn Host, b: &[V], x: &mut [V], r: &mut [V]) -> Result<()> {
        let Half { below, diagonal, inverse, stripes } = self;
        // What even stripes see of odd ones, and add to.
        for odd in stripes.of_parity(1) {
            let seen = stripes.after(odd)..odd.rows.end;
            x[seen.clone()].fill(V::ZERO);
            r[seen].fill(V::ZERO);
        }
        for parity in 0..2 {
            stripes.run(host, parity, [x, r], |stripe, [x, r]| {
                let from = stripe.places.start;
                let added = if parity == 1 { stripes.after(stripe) } else { stripe.rows.end };
                let mut row = |i: usize, b: V, r: &mut [V]| {
                    let s = below.gather_from(b * inverse[i], i, x, from);
                    (x[i - from], r[i - from]) = (s, V::ZERO);
                    below.scatter_from(s * diagonal[i], i, r, from);
                };
                (stripe.rows.start..added).for_each(|i| row(i, b[i], r));
                // r is what even stripes have taken away there.
                (added..stripe.rows.end).for_each(|i| row(i, b[i] + r[i - from], r));
            })?;
        }
        // What odd stripes found, for the rows of even ones that see it from above.
        let x = &*x;
        stripes.run(host, 0, [r], |stripe, [r]| {
            for i in stripe.head.clone() {
                let seen = below.before(i, stripe.rows.start);
                let sum = seen.fold(V::ZERO, |sum, (j, v)| sum + v * x[j]);
                r[i - stripe.places.start] -= diagonal[i] * sum;
            }
        })
    }

    fn backward(&self, host: &dyn Host, b: &mut [V], x: &mut [V]) -> Result<()> {
        let Half { below, diagonal, inverse, stripes } = self;
        let seen = &*x;
        self.above(host, b, |i| seen[i])?;
        for parity in [1, 0] {
            stripes.run(host, parity, [&mut *b, &mut *x], |stripe, [b, x]| {
                let from = stripe.places.start;
                for i in stripe.rows.clone().rev() {
                    let s = below.gather_from(b[i - from] * inverse[i], i, x, from);
                    x[i - from] = s;
                    below.scatter_from(s * diagonal[i], i, b, from);
                }
            })?;
            if parity == 1 {
                // As if odd stripes had not seen them: they come once more.
                let seen = &*x;
                self.above(host, b, |i| V::ZERO - seen[i])?;
            }
        }
        Ok(())
    }

    /// What odd stripes see of the rows of even ones below them, `b ← b − L ᵀ x` for those.
    fn above(&self, host: &dyn Host, b: &mut [V], x: impl Fn(usize) -> V + Sync) -> Result<()> {
        let Half { below, diagonal, stripes, .. } = self;
        stripes.run(host, 0, [b], |stripe, [b]| {
            for i in stripe.head.clone() {
                let s = x(i) * diagonal[i];
                let places = below.before(i, stripe.rows.start);
                places.for_each(|(j, v)| b[j - stripe.places.start] -= v * s);
            }
        })
    }

    /// After a backward sweep from x to z, which left `b`, `y = A z − b` with the b from before: every row's b has had
    /// taken away what lies above the diagonal.
    pub fn product(&self, host: &dyn Host, b: &[V], z: &[V], y: &mut [V]) -> Result<()> {
        chunks::rows(host, y.len(), GRAIN, [(y, 1)], |rows, [y]| {
            for (i, y) in rows.zip(y) {
                *y = self.diagonal[i] * (z[i] - self.below.gather(V::ZERO, i, z)) - b[i];
            }
            Ok(())
        })
    }

    fn subtract(&self, host: &dyn Host, x: &[V], r: &mut [V]) -> Result<()> {
        let Half { below, diagonal, stripes, .. } = self;
        for parity in 0..2 {
            stripes.run(host, parity, [&mut *r], |stripe, [r]| {
                let from = stripe.places.start;
                for i in stripe.rows.clone() {
                    let s = x[i];
                    r[i - from] += diagonal[i] * (below.gather(V::ZERO, i, x) - s);
                    below.scatter_from(s * diagonal[i], i, r, from);
                }
            })?;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_sdk::core::host::Level;
    use precondor_sdk::serde_json::Value;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Every chunk on a thread of its own.
    struct Threads(AtomicUsize);

    impl Host for Threads {
        fn inner(&self, _: &str, _: &Value, _: &System) -> Result<Box<dyn Instance>> {
            unreachable!("no method inside")
        }
        fn read(&self, _: &str) -> Result<Vec<u8>> {
            unreachable!("no file")
        }
        fn log(&self, _: Level, _: &str) {}
        fn parallel_for(
            &self,
            n: usize,
            grain: usize,
            body: &(dyn Fn(Range<usize>) -> Result<()> + Sync),
        ) -> Result<()> {
            self.0.fetch_add(usize::from(n > grain), Ordering::Relaxed);
            std::thread::scope(|scope| {
                for k in (0..n.div_ceil(grain)).rev() {
                    scope.spawn(move || body(k * grain..((k + 1) * grain).min(n)));
                }
            });
            Ok(())
        }
    }

    const N: usize = 33_000;

    fn number(k: usize) -> f64 {
        ((k * 7919 + 13) % 1000) as f64 / 1000.0 - 0.5
    }

    /// A symmetric matrix with couplings to the rows 1, 7 and 1500 before and behind.
    fn rows() -> Rows<'static, f64> {
        let (mut start, mut middle) = (vec![0u32], Vec::new());
        let (mut cols, mut values, mut diagonal) = (Vec::new(), Vec::new(), Vec::new());
        let entry = |i: usize, j: usize| number(i.min(j) * 3 + i.max(j));
        for i in 0..N {
            let before = [1500, 7, 1].iter().filter_map(|&d| i.checked_sub(d));
            let behind = [1, 7, 1500].iter().map(|d| i + d).filter(|&j| j < N);
            for j in before.chain([i]).chain(behind) {
                if j == i {
                    middle.push(cols.len() as u32);
                    diagonal.push(4.0 + number(i));
                }
                cols.push(j as u32);
                values.push(if j == i { 4.0 + number(i) } else { entry(i, j) });
            }
            start.push(cols.len() as u32);
        }
        Rows { start: start.into(), middle, cols: cols.into(), values: values.into(), diagonal }
    }

    fn residual(a: &Rows<'_, f64>, b: &[f64], x: &[f64]) -> Vec<f64> {
        let product = |i: usize| a.row(i).map(|(j, v)| v * x[j as usize]).sum::<f64>();
        b.iter().enumerate().map(|(i, b)| b - product(i)).collect()
    }

    fn near(x: &[f64], y: &[f64]) {
        let far = x.iter().zip(y).position(|(x, y)| (x - y).abs() > 1e-11);
        assert_eq!(far, None);
    }

    #[test]
    fn sweeps_in_stripes_are_sweeps_and_their_transposes_on_any_threads() {
        let a = rows();
        let matrix = Matrix::of::<f64>(&a, true);
        let Matrix::Symmetric(half) = &matrix else { unreachable!("symmetric") };
        assert!(!half.stripes.single());
        let b: Vec<f64> = (0..N).map(|i| number(5 * i + 1)).collect();
        let c: Vec<f64> = (0..N).map(|i| number(11 * i + 4)).collect();
        let threads = Threads(AtomicUsize::new(0));
        let mut results = Vec::new();
        for host in [&precondor_sdk::core::host::Alone as &dyn Host, &threads] {
            // What was there before plays no part.
            let (mut x, mut r) = (vec![3.0; N], vec![5.0; N]);
            matrix.forward(host, &b, &mut x, &mut r).expect("no faults");
            near(&r, &residual(&a, &b, &x));
            let mut taken = b.clone();
            matrix.subtract(host, &x, &mut taken).expect("no faults");
            near(&taken, &r);
            // From zero it is the transposed map.
            let (mut used, mut z) = (c.clone(), vec![0.0; N]);
            matrix.backward(host, &mut used, &mut z).expect("no faults");
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
            assert!((dot(&x, &c) - dot(&b, &z)).abs() < 1e-9);
            // From any x it adds that of the residual.
            let (mut used, mut moved) = (residual(&a, &c, &x), vec![0.0; N]);
            matrix.backward(host, &mut used, &mut moved).expect("no faults");
            let (mut used, mut y) = (c.clone(), x.clone());
            matrix.backward(host, &mut used, &mut y).expect("no faults");
            let sum: Vec<f64> = x.iter().zip(&moved).map(|(x, m)| x + m).collect();
            near(&y, &sum);
            results.push([x, r, z, y]);
        }
        assert!(results[0] == results[1]);
        assert!(threads.0.into_inner() > 0);
    }
}
