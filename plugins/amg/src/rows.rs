//! The matrix of a level: each row as its entries below the diagonal, the diagonal, those above it.
//!
//! Within the two parts columns stand in any order, so that a Galerkin product needs no sorting; the
//! finest matrix is borrowed from A as it is.
use crate::half::Part;
use crate::number::Number;
use precondor_sdk::core::matrix::CsrView;
use precondor_sdk::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// Entries beyond so many times their diagonal entry are not taken to single precision.
const FAR: f64 = 1e10;

/// A square matrix with a full diagonal.
pub(crate) struct Rows<'a, V: Number> {
    /// n + 1 offsets.
    pub start: Cow<'a, [u32]>,
    /// Where each row's diagonal entry stands.
    pub middle: Vec<u32>,
    pub cols: Cow<'a, [u32]>,
    pub values: Cow<'a, [V]>,
    pub diagonal: Vec<V>,
}

impl<V: Number> Rows<'_, V> {
    pub fn len(&self) -> usize {
        self.diagonal.len()
    }
    pub fn nnz(&self) -> usize {
        self.cols.len()
    }
    /// All entries of row `i`, the diagonal among them.
    #[inline(always)]
    pub fn row(&self, i: usize) -> impl Iterator<Item = (u32, V)> + '_ {
        let range = self.start[i] as usize..self.start[i + 1] as usize;
        self.cols[range.clone()].iter().copied().zip(self.values[range].iter().copied())
    }
    /// Where the entries of row `i` on one side of the diagonal stand.
    #[inline(always)]
    pub fn part(&self, i: usize, part: Part) -> Range<usize> {
        match part {
            Part::Below => self.start[i] as usize..self.middle[i] as usize,
            Part::Above => self.middle[i] as usize + 1..self.start[i + 1] as usize,
        }
    }
    /// Entry `(i, j)`, zero where none is stored; looks at the whole row.
    pub fn get(&self, i: usize, j: u32) -> V {
        self.row(i).find(|&(k, _)| k == j).map_or(V::ZERO, |(_, v)| v)
    }

    /// A copy with columns in increasing order, in double precision.
    pub fn to_csr(&self) -> Result<Csr> {
        let (mut cols, mut values) = (Vec::with_capacity(self.nnz()), Vec::new());
        values.reserve_exact(self.nnz());
        let mut row = Vec::new();
        for i in 0..self.len() {
            row.clear();
            row.extend(self.row(i));
            row.sort_unstable_by_key(|&(j, _)| j);
            cols.extend(row.iter().map(|&(j, _)| j));
            values.extend(row.iter().map(|&(_, v)| v.double()));
        }
        Csr::new(self.len(), self.start.to_vec(), cols, values)
    }
}

impl<'a> Rows<'a, f64> {
    /// The same times `scale` in single precision, where it is within its range.
    pub fn narrowed(&self, scale: f64) -> Option<Rows<'_, f32>> {
        let narrow = |v: &f64| (v * scale) as f32;
        let within = |i: usize| {
            let d = self.diagonal[i].abs();
            self.row(i).all(|(_, v)| v.abs() <= FAR * d)
        };
        (0..self.len()).all(within).then(|| Rows {
            start: Cow::Borrowed(&self.start),
            middle: self.middle.clone(),
            cols: Cow::Borrowed(&self.cols),
            values: self.values.iter().map(narrow).collect(),
            diagonal: self.diagonal.iter().map(narrow).collect(),
        })
    }

    /// The rows of `a` as they stand, or, given `order` (new place → old number), in that order.
    ///
    /// # Errors
    /// The first row, by its number in `a`, without a diagonal entry.
    pub fn of(a: CsrView<'a>, order: Option<&Order>) -> std::result::Result<Self, usize> {
        match order {
            None => borrowed(a),
            Some(order) => reordered(a, order),
        }
    }
}

/// An order of rows and columns.
pub(crate) struct Order {
    /// Old number of each new place.
    pub old: Vec<u32>,
    /// New place of each old number.
    pub new: Vec<u32>,
}

fn borrowed(a: CsrView<'_>) -> std::result::Result<Rows<'_, f64>, usize> {
    let n = a.n_rows();
    let (mut middle, mut diagonal) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for i in 0..n {
        let at = a.row_cols(i).partition_point(|&j| (j as usize) < i);
        if a.row_cols(i).get(at) != Some(&(i as u32)) {
            return Err(i);
        }
        middle.push(a.row_ptr[i] + at as u32);
        diagonal.push(a.row_values(i)[at]);
    }
    let (start, cols, values) = (a.row_ptr.into(), a.cols.into(), a.values.into());
    Ok(Rows { start, middle, cols, values, diagonal })
}

fn reordered<'a>(a: CsrView<'_>, order: &Order) -> std::result::Result<Rows<'a, f64>, usize> {
    let n = a.n_rows();
    let mut start = Vec::with_capacity(n + 1);
    let (mut middle, mut diagonal) = (Vec::with_capacity(n), Vec::with_capacity(n));
    let (mut cols, mut values) = (Vec::with_capacity(a.nnz()), Vec::with_capacity(a.nnz()));
    start.push(0);
    let mut above = Vec::new();
    for (i, &old) in order.old.iter().enumerate() {
        above.clear();
        let mut diagonal_entry = None;
        for (j, v) in a.row(old as usize) {
            let j = order.new[j];
            match (j as usize).cmp(&i) {
                std::cmp::Ordering::Less => {
                    cols.push(j);
                    values.push(v);
                }
                std::cmp::Ordering::Equal => diagonal_entry = Some(v),
                std::cmp::Ordering::Greater => above.push((j, v)),
            }
        }
        let d = diagonal_entry.ok_or(old as usize)?;
        middle.push(cols.len() as u32);
        diagonal.push(d);
        cols.push(i as u32);
        values.push(d);
        cols.extend(above.iter().map(|&(j, _)| j));
        values.extend(above.iter().map(|&(_, v)| v));
        start.push(cols.len() as u32);
    }
    let (start, cols, values) = (start.into(), cols.into(), values.into());
    Ok(Rows { start, middle, cols, values, diagonal })
}
