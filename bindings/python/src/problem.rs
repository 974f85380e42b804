//! Model problems, and matrices and vectors in files.
use crate::error::without_python;
use crate::methods::{methods, section};
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use precondor::config::formats;
use precondor::core::comm::Comm;
use precondor::core::matrix::{DistCsr, Space};
use precondor::{Error, Result};
use pyo3::prelude::*;
use std::path::PathBuf;

/// Row offsets, columns and values.
type Csr<'py> = (Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<f64>>);
/// Numbers that belong to rows, by name.
type Known<'py> = Vec<(String, Bound<'py, PyArray2<f64>>)>;

/// The arrays of a matrix with less than 2³¹ entries.
fn arrays<'py>(py: Python<'py>, a: &DistCsr) -> PyResult<Csr<'py>> {
    let a = a.own().view();
    if i32::try_from(a.nnz()).is_err() {
        let why = format!("{} entries: Python takes less than 2³¹", a.nnz());
        return Err(crate::error::exception(Error::Unsupported(why)));
    }
    let signed = |indices: &[u32]| PyArray1::from_iter(py, indices.iter().map(|&i| i as i32));
    Ok((signed(a.row_ptr), signed(a.cols), PyArray1::from_slice(py, a.values)))
}

/// System `index` of the model problem that `json` says: the arrays of A, b, and what is known of the rows.
#[pyfunction]
pub fn problem<'py>(
    py: Python<'py>,
    json: &str,
    index: u64,
) -> PyResult<(Csr<'py>, Bound<'py, PyArray1<f64>>, Known<'py>, String)> {
    let (system, b, said) = without_python(py, || {
        let node = section("problem", json)?;
        let problem = methods()?.problem(&node.json())?;
        let (system, b) = problem.generate_nth(Comm::solo(), index)?;
        Ok((system, b, problem.to_json().to_string()))
    })?;
    let known = system.all_aux().map(|(name, aux)| {
        let rows = PyArray1::from_slice(py, &aux.values);
        Ok((name.to_owned(), rows.reshape([aux.values.len() / aux.width.max(1), aux.width])?))
    });
    let known = known.collect::<PyResult<_>>()?;
    Ok((arrays(py, system.a())?, PyArray1::from_vec(py, b), known, said))
}

/// The arrays of the matrix in a file, and what is to be known of the file.
#[pyfunction]
pub fn read(py: Python<'_>, path: PathBuf) -> PyResult<(Csr<'_>, Vec<String>)> {
    let (a, notes) = without_python(py, || {
        let mut notes = Vec::new();
        let a = formats::read_on_ranks(&path, methods()?.comm(), &mut notes)?;
        Ok((a, notes))
    })?;
    Ok((arrays(py, &a)?, notes))
}

/// The vectors of so many entries in a file, one after the other.
#[pyfunction]
pub fn read_vector(
    py: Python<'_>,
    path: PathBuf,
    size: usize,
) -> PyResult<Vec<Bound<'_, PyArray1<f64>>>> {
    let vectors: Vec<Vec<f64>> = without_python(py, || -> Result<_> {
        formats::read_vectors_on_ranks(&path, &Space::solo(size), ("vector", 1), &mut Vec::new())
    })?;
    Ok(vectors.into_iter().map(|v| PyArray1::from_vec(py, v)).collect())
}
