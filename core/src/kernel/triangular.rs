//! Unit triangular matrices by rows, and solves with them.
//!
//! Every method that substitutes forward and backward (Gauss–Seidel, incomplete factorisations)
//! scales its rows so that the triangle has a unit diagonal: the division then stands outside the
//! chain of dependent operations from one row to the next, which is what bounds the speed of a
//! substitution. For the same reason rows are summed so that the nearest neighbour comes last, and where that
//! is the row just done, its number never waits to be stored.
//!
//! Cost of a solve: one pass over the entries, two flops each; no allocation.
use crate::{Error, Result};

/// A row longer than so many times the entries that are wanted of it is searched for them.
pub const SEARCHED: usize = 32;

/// Which triangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Columns below the row's number.
    Lower,
    /// Columns above the row's number.
    Upper,
}

/// The strictly triangular part T of a unit triangular matrix I + T, by rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Triangle {
    shape: Shape,
    row_ptr: Vec<u32>,
    cols: Vec<u32>,
    values: Vec<f64>,
}

impl Triangle {
    /// No rows yet; room for `n` of them with `nnz` entries in all.
    pub fn with_capacity(shape: Shape, n: usize, nnz: usize) -> Self {
        let mut row_ptr = Vec::with_capacity(n + 1);
        row_ptr.push(0);
        Triangle { shape, row_ptr, cols: Vec::with_capacity(nnz), values: Vec::with_capacity(nnz) }
    }

    /// With this pattern, and zeros for values: entries of row i from `row_ptr[i]` on, in increasing order of
    /// columns.
    ///
    /// # Panics
    /// Where `row_ptr` does not end with the number of columns; in debug builds, where a row's are not strictly
    /// increasing or not in the triangle.
    pub fn with_pattern(shape: Shape, row_ptr: Vec<u32>, cols: Vec<u32>) -> Self {
        assert_eq!(
            row_ptr.last().map(|&end| end as usize),
            Some(cols.len()),
            "an end for the last row"
        );
        let values = vec![0.0; cols.len()];
        let triangle = Triangle { shape, row_ptr, cols, values };
        if cfg!(debug_assertions) {
            (0..triangle.n_rows()).for_each(|i| triangle.check_row(i));
        }
        triangle
    }

    /// Appends an entry to the row under construction, in increasing order of columns.
    pub fn push(&mut self, col: u32, value: f64) {
        self.cols.push(col);
        self.values.push(value);
    }

    /// Appends entries with the value 0, to be filled in through [`row_mut`](Triangle::row_mut).
    pub fn push_pattern(&mut self, cols: &[u32]) {
        self.cols.extend_from_slice(cols);
        self.values.resize(self.cols.len(), 0.0);
    }

    /// Makes room for `more` entries, for those that fill in: their number is not bounded by that of the
    /// matrix.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there is no memory for them.
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        let room = self.cols.try_reserve(more).and_then(|()| self.values.try_reserve(more));
        room.map_err(|_| {
            Error::Unsupported(format!(
                "no memory for {} entries of a factor, at its row {}: allow less fill",
                self.cols.len().saturating_add(more),
                self.n_rows()
            ))
        })
    }

    /// Ends the row under construction.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the triangle has 2³² entries or more.
    ///
    /// # Panics
    /// In debug builds, where the row's columns are not strictly increasing or not in the triangle.
    pub fn end_row(&mut self) -> Result<()> {
        self.end_row_in_any_order()?;
        self.check_row(self.n_rows() - 1);
        Ok(())
    }

    /// Ends the row under construction, whose columns [`renumber`](Triangle::renumber) will put into
    /// the triangle, and in order.
    ///
    /// # Errors
    /// As [`end_row`](Triangle::end_row).
    pub fn end_row_in_any_order(&mut self) -> Result<()> {
        let end = u32::try_from(self.cols.len()).map_err(|_| {
            Error::Unsupported(
                "a factor of 2³² or more entries on one rank: allow less fill".into(),
            )
        })?;
        self.row_ptr.push(end);
        Ok(())
    }

    /// Gives column j the number `new[j]`, and puts every row in order again.
    ///
    /// # Panics
    /// In debug builds, where an entry is not in the triangle then.
    pub fn renumber(&mut self, new: &[u32]) {
        let mut row = Vec::new();
        for i in 0..self.n_rows() {
            let range = self.range(i);
            row.clear();
            let cols = self.cols[range.clone()].iter().map(|&j| new[j as usize]);
            row.extend(cols.zip(self.values[range.clone()].iter().copied()));
            row.sort_unstable_by_key(|entry: &(u32, f64)| entry.0);
            for (at, &(col, value)) in range.zip(&row) {
                (self.cols[at], self.values[at]) = (col, value);
            }
            self.check_row(i);
        }
    }

    fn check_row(&self, i: usize) {
        let row = &self.cols[self.range(i)];
        debug_assert!(row.windows(2).all(|pair| pair[0] < pair[1]), "row {i}: columns {row:?}");
        debug_assert!(
            row.iter().all(|&j| match self.shape {
                Shape::Lower => (j as usize) < i,
                Shape::Upper => j as usize > i,
            }),
            "row {i} has an entry outside the {:?} triangle: {row:?}",
            self.shape
        );
    }

    /// No rows, and the room for as many as there were.
    pub fn clear(&mut self) {
        self.row_ptr.truncate(1);
        self.cols.clear();
        self.values.clear();
    }

    /// Gives back the room that no entry took.
    pub fn shrink(&mut self) {
        self.cols.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    /// The transpose.
    #[must_use]
    pub fn transposed(&self) -> Triangle {
        let n = self.n_rows();
        let mut row_ptr = vec![0u32; n + 1];
        for &j in &self.cols {
            row_ptr[j as usize + 1] += 1;
        }
        for j in 0..n {
            row_ptr[j + 1] += row_ptr[j];
        }
        let mut next = row_ptr.clone();
        let (mut cols, mut values) = (vec![0; self.nnz()], vec![0.0; self.nnz()]);
        for i in 0..n {
            let (of_row, t) = self.row(i);
            for (&j, &t) in of_row.iter().zip(t) {
                let at = next[j as usize] as usize;
                (cols[at], values[at]) = (i as u32, t);
                next[j as usize] += 1;
            }
        }
        let shape = match self.shape {
            Shape::Lower => Shape::Upper,
            Shape::Upper => Shape::Lower,
        };
        Triangle { shape, row_ptr, cols, values }
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.row_ptr.len() - 1
    }
    /// Stored entries; the unit diagonal is not stored.
    pub fn nnz(&self) -> usize {
        self.cols.len()
    }
    /// Bytes of the three arrays.
    pub fn bytes(&self) -> usize {
        4 * self.row_ptr.len() + 12 * self.nnz()
    }
    /// Columns and values of row `i`.
    #[inline]
    pub fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let range = self.range(i);
        (&self.cols[range.clone()], &self.values[range])
    }
    /// Columns of row `i` and its values to change: numeric work on a fixed pattern.
    #[inline]
    pub fn row_mut(&mut self, i: usize) -> (&[u32], &mut [f64]) {
        let range = self.range(i);
        (&self.cols[range.clone()], &mut self.values[range])
    }
    /// Offsets of the rows, columns, and values to change: numeric work that goes through several rows at once.
    pub fn parts_mut(&mut self) -> (&[u32], &[u32], &mut [f64]) {
        (&self.row_ptr, &self.cols, &mut self.values)
    }
    #[inline]
    fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.row_ptr[i] as usize..self.row_ptr[i + 1] as usize
    }

    /// Σⱼ tᵢⱼ xⱼ.
    #[inline]
    pub fn row_dot(&self, i: usize, x: &[f64]) -> f64 {
        let (cols, values) = self.row(i);
        cols.iter().zip(values).map(|(&j, t)| t * x[j as usize]).sum()
    }

    /// As [`row_dot`](Triangle::row_dot), where x vanishes but in the columns `wanted`, in increasing
    /// order: a row much longer than these is searched for them.
    #[inline]
    pub fn row_dot_among(&self, i: usize, x: &[f64], wanted: &[u32]) -> f64 {
        let (cols, values) = self.row(i);
        if cols.len() <= SEARCHED * wanted.len() {
            return self.row_dot(i, x);
        }
        let found = |&j: &u32| cols.binary_search(&j).ok().map(|k| values[k] * x[j as usize]);
        wanted.iter().filter_map(found).sum()
    }

    /// Solves (I + T) x = b in place, with bᵢ = `rhs(i, x)` asked for when row `i` is reached: at
    /// that moment x holds the solution in the rows done and what was there in the others.
    ///
    /// # Panics
    /// Where `x` is not one number a row.
    #[inline]
    pub fn solve(&self, x: &mut [f64], rhs: impl Fn(usize, &[f64]) -> f64) {
        assert_eq!(x.len(), self.n_rows(), "one number a row");
        // What the row before has found.
        let mut found = 0.0;
        match self.shape {
            Shape::Lower => {
                for i in 0..x.len() {
                    let mut s = rhs(i, x);
                    if let ([cols @ .., j], [values @ .., t]) = self.row(i) {
                        let far = cols.iter().zip(values);
                        s = far.fold(s, |s, (&j, t)| s - t * x[j as usize]);
                        s -= t * if *j as usize + 1 == i { found } else { x[*j as usize] };
                    }
                    (x[i], found) = (s, s);
                }
            }
            Shape::Upper => {
                for i in (0..x.len()).rev() {
                    let mut s = rhs(i, x);
                    if let ([j, cols @ ..], [t, values @ ..]) = self.row(i) {
                        let far = cols.iter().zip(values).rev();
                        s = far.fold(s, |s, (&j, t)| s - t * x[j as usize]);
                        s -= t * if *j as usize == i + 1 { found } else { x[*j as usize] };
                    }
                    (x[i], found) = (s, s);
                }
            }
        }
    }

    /// Solves (I + T)ᵀ x = b, with b in `x` at the start.
    ///
    /// # Panics
    /// Where `x` is not one number a row.
    #[inline]
    pub fn solve_transposed(&self, x: &mut [f64]) {
        assert_eq!(x.len(), self.n_rows(), "one number a row");
        // What is left of the row's own number when it is reached.
        let Some(mut left) = (match self.shape {
            Shape::Lower => x.last().copied(),
            Shape::Upper => x.first().copied(),
        }) else {
            return;
        };
        let scatter = |x: &mut [f64], xi: f64, cols: &[u32], values: &[f64]| {
            for (&j, t) in cols.iter().zip(values) {
                x[j as usize] -= t * xi;
            }
        };
        match self.shape {
            Shape::Lower => {
                for i in (0..x.len()).rev() {
                    let xi = left;
                    x[i] = xi;
                    left = if i > 0 { x[i - 1] } else { 0.0 };
                    match self.row(i) {
                        ([cols @ .., j], [values @ .., t]) if *j as usize + 1 == i => {
                            left -= t * xi;
                            scatter(x, xi, cols, values);
                        }
                        (cols, values) => scatter(x, xi, cols, values),
                    }
                }
            }
            Shape::Upper => {
                for i in 0..x.len() {
                    let xi = left;
                    x[i] = xi;
                    left = if i + 1 < x.len() { x[i + 1] } else { 0.0 };
                    match self.row(i) {
                        ([j, cols @ ..], [t, values @ ..]) if *j as usize == i + 1 => {
                            left -= t * xi;
                            scatter(x, xi, cols, values);
                        }
                        (cols, values) => scatter(x, xi, cols, values),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Entry (i, j) of I + T: T is dense but for every third entry.
    fn entry(shape: Shape, i: usize, j: usize) -> f64 {
        let inside = if shape == Shape::Lower { j < i } else { j > i };
        match (i == j, inside && !(i + 2 * j).is_multiple_of(3)) {
            (true, _) => 1.0,
            (false, true) => 0.1 * (i as f64 + 1.0) - 0.07 * (j as f64),
            (false, false) => 0.0,
        }
    }

    fn triangle(shape: Shape, n: usize) -> Triangle {
        let mut t = Triangle::with_capacity(shape, n, 0);
        for i in 0..n {
            for j in (0..n).filter(|&j| j != i && entry(shape, i, j) != 0.0) {
                t.push(j as u32, entry(shape, i, j));
            }
            t.end_row().unwrap();
        }
        t
    }

    #[test]
    fn solves_invert_products() {
        for shape in [Shape::Lower, Shape::Upper] {
            for n in [0, 1, 2, 9] {
                let t = triangle(shape, n);
                assert_eq!(t.n_rows(), n);
                let x: Vec<f64> = (0..n).map(|i| (i as f64).sin() + 2.0).collect();
                let product = |at: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
                    (0..n).map(|i| (0..n).map(|j| at(i, j) * x[j]).sum()).collect()
                };
                let b = product(&|i, j| entry(shape, i, j));
                let mut y = vec![f64::NAN; n];
                t.solve(&mut y, |i, _| b[i]);
                let mut yt = product(&|i, j| entry(shape, j, i));
                let mut copied = yt.clone();
                t.solve_transposed(&mut yt);
                let transposed = t.transposed();
                assert_eq!(transposed.transposed(), t);
                transposed.solve(&mut copied, |i, x| x[i]);
                for i in 0..n {
                    assert!((y[i] - x[i]).abs() < 1e-12, "{shape:?} {i}: {} {}", y[i], x[i]);
                    assert!((yt[i] - x[i]).abs() < 1e-12, "{shape:?} {i}: {} {}", yt[i], x[i]);
                    assert!((copied[i] - x[i]).abs() < 1e-12, "{shape:?} {i}: {}", copied[i]);
                    let off_diagonal = b[i] - x[i];
                    assert!((t.row_dot(i, &x) - off_diagonal).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn the_right_hand_side_sees_rows_done_and_rows_to_come() {
        let t = triangle(Shape::Lower, 3);
        let mut x = vec![10.0, 20.0, 30.0];
        t.solve(&mut x, |i, x| if i == 2 { x[0] + x[2] } else { 1.0 });
        let x1 = 1.0 - entry(Shape::Lower, 1, 0);
        let x2 = 1.0 + 30.0 - entry(Shape::Lower, 2, 0) - entry(Shape::Lower, 2, 1) * x1;
        assert_eq!(x[0], 1.0);
        assert!((x[1] - x1).abs() + (x[2] - x2).abs() < 1e-14);
    }

    #[test]
    fn columns_are_renumbered_into_the_triangle() {
        let mut t = Triangle::with_capacity(Shape::Upper, 3, 3);
        for row in [&[(0, 1.0), (1, 2.0)][..], &[(0, 3.0)], &[]] {
            row.iter().for_each(|&(col, value)| t.push(col, value));
            t.end_row_in_any_order().unwrap();
        }
        t.renumber(&[2, 1, 0]);
        assert_eq!(t.row(0), (&[1, 2][..], &[2.0, 1.0][..]));
        assert_eq!((t.row(1), t.row(2).0.len()), ((&[2][..], &[3.0][..]), 0));
    }

    #[test]
    fn entries_that_fit_no_memory_are_an_error() {
        let mut t = triangle(Shape::Lower, 3);
        t.reserve(10).unwrap();
        let error = t.reserve(usize::MAX / 16).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)));
        assert!(error.to_string().starts_with("no memory for 11529"), "{error}");
        assert!(error.to_string().ends_with("at its row 3: allow less fill"), "{error}");
        assert_eq!(t, triangle(Shape::Lower, 3));
    }

    #[test]
    #[should_panic(expected = "outside the Lower triangle")]
    fn an_entry_of_the_other_triangle_is_refused() {
        let mut t = Triangle::with_capacity(Shape::Lower, 1, 1);
        t.push(1, 1.0);
        t.end_row().unwrap();
    }
}
