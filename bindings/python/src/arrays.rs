//! The three arrays of a matrix, in the memory of NumPy where they are of the right types.
use numpy::{Element, PyArray1, PyArrayMethods, PyUntypedArrayMethods};
use precondor::core::matrix::{CsrStorage, OwnedArrays};
use precondor::{Error, Result};
use pyo3::prelude::*;
use std::sync::{Arc, OnceLock};

/// The arrays of a matrix of SciPy.
pub struct Arrays {
    row_ptr: Part<u32>,
    cols: Part<u32>,
    values: Part<f64>,
    /// Copies that took the place of NumPy's arrays: see [`detach`](Arrays::detach).
    own: OnceLock<OwnedArrays>,
}

/// An array, owned or lent.
enum Part<T> {
    Owned(Vec<T>),
    Lent { at: *const T, len: usize, _owner: Py<PyAny> },
}

// SAFETY: the numbers are read, and nobody is handed the pointer but as a slice that borrows the part.
unsafe impl<T: Send> Send for Part<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Part<T> {}

impl<T> Part<T> {
    fn slice(&self) -> &[T] {
        match self {
            Part::Owned(values) => values,
            // SAFETY: the array is contiguous, aligned, and alive with `_owner`; NumPy does not move it while it
            // is referred to. Whoever changes the numbers from another thread while a method reads them gets the
            // result of a mixture, as with any routine of NumPy's; sizes and indices are looked at in every access.
            Part::Lent { at, len, .. } => unsafe { std::slice::from_raw_parts(*at, *len) },
        }
    }
}

/// The numbers of an array where they are; `None` for one of another type, or with gaps.
fn lend<T: Element, U>(array: &Bound<'_, PyAny>) -> Option<Part<U>> {
    const { assert!(size_of::<T>() == size_of::<U>() && align_of::<T>() == align_of::<U>()) };
    let typed = array.cast::<PyArray1<T>>().ok()?;
    let (len, at) = (typed.len(), typed.data().cast::<U>().cast_const());
    if len == 0 {
        return Some(Part::Owned(Vec::new()));
    }
    if !typed.is_c_contiguous() || !at.is_aligned() {
        return None;
    }
    Some(Part::Lent { at, len, _owner: array.clone().unbind() })
}

/// Indices of 32 bits where they are, those of 64 bits in 32 bits.
fn indices(array: &Bound<'_, PyAny>, what: &str) -> PyResult<Part<u32>> {
    if let Some(part) = lend::<i32, u32>(array) {
        return Ok(part);
    }
    let wide = array.cast::<PyArray1<i64>>()?;
    let narrow = |(k, &value): (usize, &i64)| {
        u32::try_from(value).map_err(|_| {
            let why = format!("{what} {k} of A is {value}: indices go from 0 to 2³² − 1");
            super::error::exception(Error::Data(why))
        })
    };
    let wide = wide.readonly();
    let wide = wide.as_slice()?;
    Ok(Part::Owned(wide.iter().enumerate().map(narrow).collect::<PyResult<_>>()?))
}

impl Arrays {
    /// Out of `indptr`, `indices` and `data`: contiguous arrays of numbers of 32 or 64 bits.
    ///
    /// # Errors
    /// `TypeError` for other arrays; `DataError` for an index that does not fit into 32 bits.
    pub fn new(arrays: [&Bound<'_, PyAny>; 3]) -> PyResult<Self> {
        let [row_ptr, cols, values] = arrays;
        let of_values = || -> PyResult<Part<f64>> {
            Ok(Part::Owned(values.cast::<PyArray1<f64>>()?.readonly().as_array().to_vec()))
        };
        Ok(Arrays {
            row_ptr: indices(row_ptr, "row offset")?,
            cols: indices(cols, "column index")?,
            values: lend::<f64, f64>(values).map_or_else(of_values, Ok)?,
            own: OnceLock::new(),
        })
    }

    /// The same in the order that we need: columns increasing in every row, entries at one place added up, as SciPy
    /// does. Nothing is done to arrays that have it.
    ///
    /// # Errors
    /// [`Error::Data`] naming the first row that is no row of a matrix with `n_cols` columns, or the first entry that
    /// is not finite.
    pub fn in_order(self, n_cols: usize) -> Result<Self> {
        let (row_ptr, cols, values) = (self.row_ptr(), self.cols(), self.values());
        let refuse = |why: String| Err(Error::Data(why));
        if row_ptr.first() != Some(&0) || cols.len() != values.len() {
            let (m, n) = (cols.len(), values.len());
            return refuse(format!(
                "A has {m} column indices and {n} values, and its first row offset is not 0"
            ));
        }
        let mut ordered = true;
        for (row, ends) in row_ptr.windows(2).enumerate() {
            let (from, to) = (ends[0] as usize, ends[1] as usize);
            if from > to || to > cols.len() {
                return refuse(format!(
                    "global row {row}: its entries {from} to {to} are not among the {} that A has",
                    cols.len()
                ));
            }
            let row_cols = &cols[from..to];
            if let Some(col) = row_cols.iter().find(|&&col| col as usize >= n_cols) {
                // A negative number of 32 bits.
                let col = i64::from(*col) - if *col > i32::MAX as u32 { 1 << 32 } else { 0 };
                return refuse(format!(
                    "global row {row}: column {col} of a matrix with {n_cols} columns"
                ));
            }
            if let Some(k) = values[from..to].iter().position(|value| !value.is_finite()) {
                let (col, value) = (row_cols[k], values[from + k]);
                return refuse(format!(
                    "global row {row}: the entry in column {col} is {value}, not a finite number"
                ));
            }
            ordered &= row_cols.windows(2).all(|pair| pair[0] < pair[1]);
        }
        if row_ptr.last().is_some_and(|&last| (last as usize) < cols.len()) {
            return refuse(format!("the rows of A end before its {} entries do", cols.len()));
        }
        Ok(if ordered { self } else { self.ordered() })
    }

    fn ordered(&self) -> Self {
        let (row_ptr, cols, values) = (self.row_ptr(), self.cols(), self.values());
        let mut all = OwnedArrays { row_ptr: vec![0], cols: Vec::new(), values: Vec::new() };
        all.cols.reserve_exact(cols.len());
        all.values.reserve_exact(cols.len());
        let mut row: Vec<(u32, f64)> = Vec::new();
        for ends in row_ptr.windows(2) {
            let range = ends[0] as usize..ends[1] as usize;
            row.clear();
            row.extend(cols[range.clone()].iter().copied().zip(values[range].iter().copied()));
            row.sort_by_key(|entry| entry.0);
            let first = all.cols.len();
            for &(col, value) in &row {
                if all.cols.len() > first && all.cols.last() == Some(&col) {
                    let at = all.values.len() - 1;
                    all.values[at] += value;
                } else {
                    all.cols.push(col);
                    all.values.push(value);
                }
            }
            all.row_ptr.push(all.cols.len() as u32);
        }
        Arrays {
            row_ptr: Part::Owned(all.row_ptr),
            cols: Part::Owned(all.cols),
            values: Part::Owned(all.values),
            own: OnceLock::new(),
        }
    }

    /// Takes copies in the place of NumPy's arrays, so that a method that goes on using A does not see what is done to
    /// them later.
    pub fn detach(&self) {
        let lent = matches!(self.row_ptr, Part::Lent { .. })
            || matches!(self.cols, Part::Lent { .. })
            || matches!(self.values, Part::Lent { .. });
        if lent {
            self.own.get_or_init(|| OwnedArrays {
                row_ptr: self.row_ptr.slice().to_vec(),
                cols: self.cols.slice().to_vec(),
                values: self.values.slice().to_vec(),
            });
        }
    }
}

impl CsrStorage for Arrays {
    fn row_ptr(&self) -> &[u32] {
        self.own.get().map_or_else(|| self.row_ptr.slice(), |own| &own.row_ptr)
    }
    fn cols(&self) -> &[u32] {
        self.own.get().map_or_else(|| self.cols.slice(), |own| &own.cols)
    }
    fn values(&self) -> &[f64] {
        self.own.get().map_or_else(|| self.values.slice(), |own| &own.values)
    }
    fn retain(self: Arc<Self>) -> Arc<dyn CsrStorage> {
        self // Python's reference goes along
    }
}
