//! Formats of matrices and vectors in files: told by the content when read, by the name when
//! written (`.petsc` is PETSc's binary format, anything else is Matrix Market).
use precondor_core::matrix::io::petsc_binary::{self, Indices};
use precondor_core::matrix::io::matrix_market;
use precondor_core::matrix::{Csr, DistCsr, Space};
use precondor_core::{Error, Result};
use std::path::Path;

/// Reads a matrix into one memory.
pub fn read_matrix(path: &Path) -> Result<Csr> {
    match petsc_binary::is_petsc_binary(path)? {
        true => petsc_binary::read(path),
        false => matrix_market::read(path),
    }
}

/// Writes a matrix and its right-hand side; both may go into one PETSc file.
pub fn write_system(
    path: &Path,
    rhs: Option<&Path>,
    (a, b): (&DistCsr, &[f64]),
    what: &str,
    indices: Option<Indices>,
) -> Result<()> {
    if indices.is_some() && !is_petsc(path) && !rhs.is_some_and(is_petsc) {
        return Err(Error::file(path, "--petsc-indices: only files named *.petsc have indices"));
    }
    let indices = indices.unwrap_or_default();
    let together = rhs == Some(path);
    match is_petsc(path) {
        true => petsc_binary::write(path, a, together.then_some(b), indices)?,
        false if together => {
            let text = "cannot take both the matrix and the right-hand side; a *.petsc file can";
            return Err(Error::file(path, text));
        }
        false => matrix_market::write(path, a.own(), what)?,
    }
    match rhs.filter(|_| !together) {
        None => Ok(()),
        Some(path) if is_petsc(path) => petsc_binary::write_vector(path, a.space(), b, indices),
        Some(path) => matrix_market::write_vector(path, b, &format!("right-hand side of {what}")),
    }
}

/// Writes a vector.
pub fn write_vector(path: &Path, space: &Space, x: &[f64], what: &str) -> Result<()> {
    match is_petsc(path) {
        true => petsc_binary::write_vector(path, space, x, Indices::default()),
        false => matrix_market::write_vector(path, x, what),
    }
}

fn is_petsc(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "petsc")
}
