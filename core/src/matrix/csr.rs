//! Compressed sparse rows with 32-bit indices: one rank's block, owned or borrowed.
use crate::{Error, Result};
use std::sync::Arc;

/// Where the arrays of a [`Csr`] live.
///
/// Borrowed storage (PETSc's, SciPy's, another library's) implements this too; cloning a [`Csr`]
/// calls [`retain`](CsrStorage::retain), which is where such storage copies what it cannot keep
/// alive.
pub trait CsrStorage: Send + Sync + 'static {
    /// `n_rows + 1` offsets into the entries.
    fn row_ptr(&self) -> &[u32];
    /// Column of each entry, strictly increasing within a row.
    fn cols(&self) -> &[u32];
    /// Value of each entry.
    fn values(&self) -> &[f64];
    /// Storage of the same arrays that may be kept for ever.
    fn retain(self: Arc<Self>) -> Arc<dyn CsrStorage>;
}

/// Arrays in plain vectors.
#[derive(Clone)]
pub struct OwnedArrays {
    /// See [`CsrStorage::row_ptr`].
    pub row_ptr: Vec<u32>,
    /// See [`CsrStorage::cols`].
    pub cols: Vec<u32>,
    /// See [`CsrStorage::values`].
    pub values: Vec<f64>,
}

impl CsrStorage for OwnedArrays {
    fn row_ptr(&self) -> &[u32] {
        &self.row_ptr
    }
    fn cols(&self) -> &[u32] {
        &self.cols
    }
    fn values(&self) -> &[f64] {
        &self.values
    }
    fn retain(self: Arc<Self>) -> Arc<dyn CsrStorage> {
        self
    }
}

/// The pattern of another matrix with values of its own.
struct Revalued {
    pattern: Arc<dyn CsrStorage>,
    values: Vec<f64>,
}

impl CsrStorage for Revalued {
    fn row_ptr(&self) -> &[u32] {
        self.pattern.row_ptr()
    }
    fn cols(&self) -> &[u32] {
        self.pattern.cols()
    }
    fn values(&self) -> &[f64] {
        &self.values
    }
    fn retain(self: Arc<Self>) -> Arc<dyn CsrStorage> {
        self // the pattern was retained when this was made
    }
}

/// A sparse matrix in one memory, immutable; clones share (or retain) the arrays.
///
/// Columns are strictly increasing within each row. At most 2³² − 1 entries.
pub struct Csr {
    storage: Arc<dyn CsrStorage>,
    n_cols: usize,
}

impl Clone for Csr {
    fn clone(&self) -> Self {
        Csr { storage: Arc::clone(&self.storage).retain(), n_cols: self.n_cols }
    }
}

impl std::fmt::Debug for Csr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Csr({}×{}, {} entries)", self.n_rows(), self.n_cols, self.nnz())
    }
}

impl Csr {
    /// From the three arrays, `row_ptr.len() - 1` rows and `n_cols` columns.
    ///
    /// # Errors
    /// [`Error::Data`] naming the first row whose offsets or columns are inconsistent.
    pub fn new(n_cols: usize, row_ptr: Vec<u32>, cols: Vec<u32>, values: Vec<f64>) -> Result<Self> {
        Self::from_storage(n_cols, Arc::new(OwnedArrays { row_ptr, cols, values }))
    }

    /// From arrays that live elsewhere; checked like [`new`](Csr::new).
    ///
    /// # Errors
    /// As [`new`](Csr::new).
    pub fn from_storage(n_cols: usize, storage: Arc<dyn CsrStorage>) -> Result<Self> {
        check(n_cols, storage.row_ptr(), storage.cols(), storage.values().len())?;
        Ok(Csr { storage, n_cols })
    }

    /// From `(row, column, value)` triplets in any order; values at the same place are added.
    ///
    /// # Errors
    /// [`Error::Data`] naming the first triplet outside `n_rows × n_cols`, or too many entries.
    pub fn from_triplets(
        n_rows: usize,
        n_cols: usize,
        triplets: impl IntoIterator<Item = (usize, usize, f64)> + Clone,
    ) -> Result<Self> {
        let mut start = vec![0u32; n_rows + 1];
        for (i, j, _) in triplets.clone() {
            if i >= n_rows || j >= n_cols {
                return Err(Error::Data(format!(
                    "entry ({i}, {j}) lies outside a {n_rows}×{n_cols} matrix"
                )));
            }
            start[i + 1] = start[i + 1].checked_add(1).ok_or_else(too_many)?;
        }
        for i in 0..n_rows {
            start[i + 1] = start[i + 1].checked_add(start[i]).ok_or_else(too_many)?;
        }
        let nnz = start[n_rows] as usize;
        let (mut cols, mut values) = (vec![0u32; nnz], vec![0.0; nnz]);
        let mut next = start.clone();
        for (i, j, v) in triplets {
            let at = next[i] as usize;
            (cols[at], values[at]) = (j as u32, v);
            next[i] += 1;
        }
        // Sort each row and add up duplicates, compacting in place.
        let (mut row, mut to, mut row_ptr) = (Vec::new(), 0, vec![0u32; n_rows + 1]);
        for i in 0..n_rows {
            row.clear();
            row.extend((start[i] as usize..start[i + 1] as usize).map(|k| (cols[k], values[k])));
            row.sort_by_key(|&(j, _)| j);
            let first = to;
            for &(j, v) in &row {
                if to > first && cols[to - 1] == j {
                    values[to - 1] += v;
                } else {
                    (cols[to], values[to]) = (j, v);
                    to += 1;
                }
            }
            row_ptr[i + 1] = to as u32;
        }
        cols.truncate(to);
        values.truncate(to);
        Csr::new(n_cols, row_ptr, cols, values)
    }

    /// Other values on the same pattern, whose arrays are shared.
    ///
    /// # Errors
    /// [`Error::Data`] where there is not one value for each entry.
    pub fn with_values(&self, values: Vec<f64>) -> Result<Self> {
        if values.len() != self.nnz() {
            return Err(Error::Data(format!("{} values for {} entries", values.len(), self.nnz())));
        }
        let pattern = Arc::clone(&self.storage).retain();
        Ok(Csr { storage: Arc::new(Revalued { pattern, values }), n_cols: self.n_cols })
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.storage.row_ptr().len() - 1
    }
    /// Columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }
    /// Stored entries.
    pub fn nnz(&self) -> usize {
        self.storage.cols().len()
    }
    /// The three arrays, borrowed once for use in loops.
    pub fn view(&self) -> CsrView<'_> {
        CsrView {
            row_ptr: self.storage.row_ptr(),
            cols: self.storage.cols(),
            values: self.storage.values(),
        }
    }
    /// Bytes of the three arrays.
    pub fn bytes(&self) -> usize {
        4 * (self.n_rows() + 1) + 12 * self.nnz()
    }

    /// The transpose.
    pub fn transpose(&self) -> Csr {
        let a = self.view();
        let mut row_ptr = vec![0u32; self.n_cols + 1];
        for &j in a.cols {
            row_ptr[j as usize + 1] += 1;
        }
        for j in 0..self.n_cols {
            row_ptr[j + 1] += row_ptr[j];
        }
        let (mut cols, mut values) = (vec![0u32; a.nnz()], vec![0.0; a.nnz()]);
        let mut next = row_ptr.clone();
        for i in 0..a.n_rows() {
            for (j, v) in a.row(i) {
                let at = next[j] as usize;
                (cols[at], values[at]) = (i as u32, v);
                next[j] += 1;
            }
        }
        Csr { n_cols: self.n_rows(), storage: Arc::new(OwnedArrays { row_ptr, cols, values }) }
    }
}

/// The arrays of a [`Csr`].
#[derive(Clone, Copy, Debug)]
pub struct CsrView<'a> {
    /// `n_rows + 1` offsets.
    pub row_ptr: &'a [u32],
    /// Columns, strictly increasing within a row.
    pub cols: &'a [u32],
    /// Values.
    pub values: &'a [f64],
}

impl<'a> CsrView<'a> {
    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.row_ptr.len() - 1
    }
    /// Stored entries.
    pub fn nnz(&self) -> usize {
        self.cols.len()
    }
    /// Where row `i`'s entries stand.
    #[inline]
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.row_ptr[i] as usize..self.row_ptr[i + 1] as usize
    }
    /// Columns of row `i`.
    #[inline]
    pub fn row_cols(&self, i: usize) -> &'a [u32] {
        &self.cols[self.range(i)]
    }
    /// Values of row `i`.
    #[inline]
    pub fn row_values(&self, i: usize) -> &'a [f64] {
        &self.values[self.range(i)]
    }
    /// Entries of row `i` as `(column, value)`.
    #[inline]
    pub fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + use<'a> {
        self.row_cols(i).iter().zip(self.row_values(i)).map(|(&j, &v)| (j as usize, v))
    }
    /// Entry `(i, j)`, zero where none is stored.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        let cols = self.row_cols(i);
        cols.binary_search(&(j as u32)).map_or(0.0, |k| self.row_values(i)[k])
    }
    /// Some of the rows: offsets still count from the first entry of the whole.
    pub fn rows(&self, rows: std::ops::Range<usize>) -> CsrView<'a> {
        CsrView { row_ptr: &self.row_ptr[rows.start..rows.end + 1], ..*self }
    }
    /// `y = A x`, or `y += A x` with `add`. Every row is added up in order of its columns.
    ///
    /// Cutting row after row off the front of the arrays costs one length check a row, where
    /// slicing by offsets costs two; what remains is the check of each column against `x`.
    pub fn spmv(&self, x: &[f64], y: &mut [f64], add: bool) {
        if add { self.products(x, y, |y| y) } else { self.products(x, y, |_| 0.0) }
    }
    #[inline(always)]
    fn products(&self, x: &[f64], y: &mut [f64], first: impl Fn(f64) -> f64) {
        let first_entry = self.row_ptr[0] as usize;
        let (mut cols, mut values) = (&self.cols[first_entry..], &self.values[first_entry..]);
        for (pair, y) in self.row_ptr.windows(2).zip(y) {
            let length = (pair[1] - pair[0]) as usize;
            let (row_cols, row_values);
            (row_cols, cols) = cols.split_at(length);
            (row_values, values) = values.split_at(length);
            *y = add_products(row_cols, row_values, x, first(*y));
        }
    }
    /// `s +` the products of the entries in `range` with `x`, added one by one.
    pub(super) fn add_products(&self, range: std::ops::Range<usize>, x: &[f64], s: f64) -> f64 {
        add_products(&self.cols[range.clone()], &self.values[range], x, s)
    }
}

#[inline(always)]
fn add_products(cols: &[u32], values: &[f64], x: &[f64], s: f64) -> f64 {
    let mut s = s;
    for (&j, &v) in cols.iter().zip(values) {
        s += v * x[j as usize];
    }
    s
}

fn too_many() -> Error {
    Error::Unsupported("2³² or more entries on one rank: use more ranks".into())
}

fn check(n_cols: usize, row_ptr: &[u32], cols: &[u32], n_values: usize) -> Result<()> {
    let fail = |text: String| Err(Error::Data(text));
    if n_cols > u32::MAX as usize || row_ptr.len() > u32::MAX as usize {
        return Err(too_many());
    }
    match (row_ptr.first(), row_ptr.last()) {
        (Some(0), Some(&last)) if last as usize == cols.len() && n_values == cols.len() => {}
        _ => {
            return fail(format!(
                "row offsets, {} columns and {n_values} values do not fit together",
                cols.len()
            ));
        }
    }
    for i in 0..row_ptr.len() - 1 {
        let (from, to) = (row_ptr[i] as usize, row_ptr[i + 1] as usize);
        if from > to || to > cols.len() {
            return fail(format!("row {i}: its offsets {from}..{to} are no range of entries"));
        }
        let row = &cols[from..to];
        if row.windows(2).any(|pair| pair[0] >= pair[1]) {
            return fail(format!("row {i}: its columns are not strictly increasing"));
        }
        if row.last().is_some_and(|&j| j as usize >= n_cols) {
            return fail(format!("row {i}: it has an entry beyond column {n_cols}"));
        }
    }
    Ok(())
}

#[cfg(feature = "sprs")]
mod with_sprs {
    use super::*;

    impl From<&Csr> for sprs::CsMat<f64> {
        fn from(a: &Csr) -> Self {
            let view = a.view();
            let row_ptr = view.row_ptr.iter().map(|&p| p as usize).collect();
            let cols = view.cols.iter().map(|&j| j as usize).collect();
            sprs::CsMat::new((a.n_rows(), a.n_cols()), row_ptr, cols, view.values.to_vec())
        }
    }

    impl TryFrom<&sprs::CsMat<f64>> for Csr {
        type Error = Error;

        /// Columns-first matrices are converted to rows first.
        fn try_from(a: &sprs::CsMat<f64>) -> Result<Self> {
            let a = a.to_csr();
            let narrow = |x: &usize| u32::try_from(*x).map_err(|_| too_many());
            let row_ptr = a.proper_indptr().iter().map(narrow).collect::<Result<_>>()?;
            let cols = a.indices().iter().map(narrow).collect::<Result<_>>()?;
            Csr::new(a.cols(), row_ptr, cols, a.data().to_vec())
        }
    }
}
