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

/// Some entries of a row.
#[derive(Clone, Copy)]
struct Block<V, const W: usize> {
    cols: [u32; W],
    values: [V; W],
}

impl<V: Number, const W: usize> Block<V, W> {
    /// `s − Σ v xⱼ`, with the part of x that begins at `from`.
    #[inline(always)]
    fn gather<X: Number>(&self, s: X, x: &[X], from: usize) -> X {
        let mut s = s;
        for k in 0..W {
            s -= X::of(self.values[k].double()) * x[self.cols[k] as usize - from];
        }
        s
    }

    /// `rⱼ ← rⱼ − s v`, in the part of r that begins at `from`.
    #[inline(always)]
    fn scatter<X: Number>(&self, s: X, r: &mut [X], from: usize) {
        for k in 0..W {
            r[self.cols[k] as usize - from] -= X::of(self.values[k].double()) * s;
        }
    }
}

/// A strict triangle, in blocks of `W` entries.
pub(crate) struct Triangle<V: Number, const W: usize> {
    /// n + 1 offsets, in blocks.
    start: Vec<u32>,
    blocks: Vec<Block<V, W>>,
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
        let mut start = Vec::with_capacity(n + 1);
        start.push(0);
        Triangle { start, blocks: Vec::with_capacity(blocks) }
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

    /// Appends the entries of row `i`. What pads them stands before them: the last entry of a lower triangle's row, whose x is
    /// the newest in a sweep, is to be the last that is waited for.
    pub fn push_row(&mut self, i: usize, entries: impl ExactSizeIterator<Item = (u32, V)>) {
        let empty = Block { cols: [i as u32; W], values: [V::ZERO; W] };
        let (mut block, mut used) = (empty, entries.len().next_multiple_of(W) - entries.len());
        for (col, value) in entries {
            (block.cols[used], block.values[used]) = (col, value);
            used += 1;
            if used == W {
                self.blocks.push(block);
                (block, used) = (empty, 0);
            }
        }
        self.start.push(self.blocks.len() as u32);
    }

    pub fn stored_entries(&self) -> usize {
        W * self.blocks.len()
    }
    pub fn bytes(&self) -> usize {
        4 * self.start.len() + self.blocks.len() * size_of::<Block<V, W>>()
    }

    #[inline(always)]
    fn row(&self, i: usize) -> &[Block<V, W>] {
        &self.blocks[self.start[i] as usize..self.start[i + 1] as usize]
    }

    /// The blocks of some rows, one row after the other.
    #[inline(always)]
    fn rows(
        &self,
        rows: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = &[Block<V, W>]> + ExactSizeIterator {
        let ends = self.start[rows.start..=rows.end].windows(2);
        ends.map(|ends| &self.blocks[ends[0] as usize..ends[1] as usize])
    }

    /// `s − Σⱼ tᵢⱼ xⱼ`.
    #[inline(always)]
    pub fn gather<X: Number>(&self, s: X, i: usize, x: &[X]) -> X {
        self.row(i).iter().fold(s, |s, block| block.gather(s, x, 0))
    }

    /// `rⱼ ← rⱼ − s tᵢⱼ`.
    #[inline(always)]
    pub fn scatter<X: Number>(&self, s: X, i: usize, r: &mut [X]) {
        self.row(i).iter().for_each(|block| block.scatter(s, r, 0));
    }

    /// The entries of row `i` in columns before `end`.
    #[inline(always)]
    fn before(&self, i: usize, end: usize) -> impl Iterator<Item = (usize, V)> + '_ {
        let entries = self.row(i).iter().flat_map(|block| block.cols.iter().zip(&block.values));
        entries.map(|(&j, &v)| (j as usize, v)).filter(move |e| e.0 < end)
    }
}

/// A symmetric matrix by its lower triangle.
pub(crate) struct Half<V: Number> {
    /// D⁻¹L.
    below: Triangle<V, 4>,
    /// D and D⁻¹.
    diagonal: Vec<[V; 2]>,
    stripes: Stripes,
}

/// Any matrix by its triangles; rows are short in each.
pub(crate) struct Halves<V: Number> {
    /// D⁻¹L and D⁻¹U.
    below: Triangle<V, 2>,
    above: Triangle<V, 2>,
    /// D and D⁻¹.
    diagonal: Vec<[V; 2]>,
}

/// `r ← r − A x`, sweeps and what they cost, for either way of keeping a matrix.
pub(crate) enum Matrix<V: Number> {
    Symmetric(Half<V>),
    General(Halves<V>),
}

impl<V: Number> Matrix<V> {
    pub fn of<X: Number>(a: &Rows<'_, X>, symmetric: bool) -> Self {
        let below = Part::Below;
        let both = |d: &X| [V::of(d.double()), V::of(1.0 / d.double())];
        let diagonal = a.diagonal.iter().map(both).collect();
        if symmetric {
            let lowest = |i| a.part(i, below).map(|k| a.cols[k] as usize).min().unwrap_or(i);
            let stripes = Stripes::of_rows(a.len(), lowest);
            let below = Triangle::of(a, below);
            return Matrix::Symmetric(Half { below, diagonal, stripes });
        }
        let (below, above) = (Triangle::of(a, below), Triangle::of(a, Part::Above));
        Matrix::General(Halves { below, above, diagonal })
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
        let Half { below, diagonal, stripes } = self;
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
                self.down(stripe.rows.start..added, from, |i, _| b[i], x, r);
                // r is what even stripes have taken away there.
                self.down(added..stripe.rows.end, from, |i, r| b[i] + r, x, r);
            })?;
        }
        // What odd stripes found, for the rows of even ones that see it from above.
        let x = &*x;
        stripes.run(host, 0, [r], |stripe, [r]| {
            for i in stripe.head.clone() {
                let seen = below.before(i, stripe.rows.start);
                let sum = seen.fold(V::ZERO, |sum, (j, v)| sum + v * x[j]);
                r[i - stripe.places.start] -= diagonal[i][0] * sum;
            }
        })
    }

    /// The forward sweep over some rows, with the parts of x and r that begin at `from`; `b` is told the row and its r.
    #[inline(always)]
    fn down(
        &self,
        rows: Range<usize>,
        from: usize,
        b: impl Fn(usize, V) -> V,
        x: &mut [V],
        r: &mut [V],
    ) {
        let of_rows = self.below.rows(rows.clone()).zip(&self.diagonal[rows.clone()]);
        for ((blocks, &[diagonal, inverse]), i) in of_rows.zip(rows) {
            let at = i - from;
            let s = b(i, r[at]) * inverse;
            let s = blocks.iter().fold(s, |s, block| block.gather(s, x, from));
            (x[at], r[at]) = (s, V::ZERO);
            blocks.iter().for_each(|block| block.scatter(s * diagonal, r, from));
        }
    }

    fn backward(&self, host: &dyn Host, b: &mut [V], x: &mut [V]) -> Result<()> {
        let Half { below, diagonal, stripes } = self;
        let seen = &*x;
        self.above(host, b, |i| seen[i])?;
        for parity in [1, 0] {
            stripes.run(host, parity, [&mut *b, &mut *x], |stripe, [b, x]| {
                let (from, rows) = (stripe.places.start, stripe.rows.clone());
                let of_rows = below.rows(rows.clone()).zip(&diagonal[rows.clone()]).rev();
                for ((blocks, &[diagonal, inverse]), i) in of_rows.zip(rows.rev()) {
                    let at = i - from;
                    // From one row to the next b is waited for: the sum is ready by then.
                    let near = blocks.iter().fold(V::ZERO, |s, block| block.gather(s, x, from));
                    let s = b[at] + diagonal * near;
                    x[at] = s * inverse;
                    blocks.iter().for_each(|block| block.scatter(s, b, from));
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
                let s = x(i) * diagonal[i][0];
                let places = below.before(i, stripe.rows.start);
                places.for_each(|(j, v)| b[j - stripe.places.start] -= v * s);
            }
        })
    }

    /// After a backward sweep from x to z, which left `b`, `y = A z` where `r` tells of each row its b from before: every row's b
    /// has had taken away what lies above the diagonal.
    pub fn product(
        &self,
        host: &dyn Host,
        r: impl Fn(usize) -> V + Sync,
        [b, z]: [&[V]; 2],
        y: &mut [V],
    ) -> Result<()> {
        chunks::rows(host, y.len(), GRAIN, [(y, 1)], |rows, [y]| {
            let of_rows = self.below.rows(rows.clone()).zip(&self.diagonal[rows.clone()]);
            let vectors = z[rows.clone()].iter().zip(&b[rows.clone()]).zip(y).zip(rows);
            for ((blocks, &[diagonal, _]), (((&z_here, &b), y), i)) in of_rows.zip(vectors) {
                let near = blocks.iter().fold(V::ZERO, |s, block| block.gather(s, z, 0));
                *y = r(i) + (diagonal * (z_here - near) - b);
            }
            Ok(())
        })
    }

    fn subtract(&self, host: &dyn Host, x: &[V], r: &mut [V]) -> Result<()> {
        let Half { below, diagonal, stripes } = self;
        for parity in 0..2 {
            stripes.run(host, parity, [&mut *r], |stripe, [r]| {
                let (from, rows) = (stripe.places.start, stripe.rows.clone());
                let of_rows = below.rows(rows.clone()).zip(&diagonal[rows.clone()]);
                for ((blocks, &[diagonal, _]), i) in of_rows.zip(rows) {
                    let s = x[i];
                    let near = blocks.iter().fold(V::ZERO, |s, block| block.gather(s, x, 0));
                    r[i - from] += diagonal * (near - s);
                    blocks.iter().for_each(|block| block.scatter(s * diagonal, r, from));
                }
            })?;
        }
        Ok(())
    }
}

impl<V: Number> Halves<V> {
    fn forward(&self, b: &[V], x: &mut [V], r: &mut [V]) {
        let rows = 0..b.len();
        let of_rows = self.below.rows(rows.clone()).zip(&self.diagonal).zip(b);
        for (((blocks, &[_, inverse]), &b), i) in of_rows.zip(rows.clone()) {
            x[i] = blocks.iter().fold(b * inverse, |s, block| block.gather(s, x, 0));
        }
        let of_rows = self.above.rows(rows).zip(&self.diagonal);
        for ((blocks, &[diagonal, _]), r) in of_rows.zip(r) {
            *r = blocks.iter().fold(V::ZERO, |s, block| block.gather(s, x, 0)) * diagonal;
        }
    }

    fn backward(&self, b: &[V], x: &mut [V]) {
        let rows = 0..b.len();
        let of_rows = self.below.rows(rows.clone()).zip(self.above.rows(rows.clone()));
        let of_rows = of_rows.zip(&self.diagonal).zip(b).rev();
        for ((((below, above), &[_, inverse]), &b), i) in of_rows.zip(rows.rev()) {
            let s = below.iter().fold(b * inverse, |s, block| block.gather(s, x, 0));
            x[i] = above.iter().fold(s, |s, block| block.gather(s, x, 0));
        }
    }

    fn subtract(&self, x: &[V], r: &mut [V]) {
        let rows = 0..r.len();
        let of_rows = self.below.rows(rows.clone()).zip(self.above.rows(rows));
        for ((((below, above), &[diagonal, _]), &x_here), r) in
            of_rows.zip(&self.diagonal).zip(x).zip(r)
        {
            let s = below.iter().fold(V::ZERO, |s, block| block.gather(s, x, 0));
            let s = above.iter().fold(s, |s, block| block.gather(s, x, 0));
            *r += diagonal * (s - x_here);
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
