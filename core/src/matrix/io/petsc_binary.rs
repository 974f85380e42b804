//! PETSc's binary files: matrices and vectors, one after the other, numbers in big-endian order.
//!
//! ```text
//! matrix (AIJ)  1211216  rows  columns  entries  length of each row  column of each entry  values
//! vector        1211214  length                                                            values
//! index set     1211218  length                                      indices (skipped)
//! ```
//!
//! Integers, the class numbers among them, have 32 bits, or 64 where PETSc was configured with
//! `--with-64-bit-indices`; the first bytes tell which. Values are `f64`. Refused, with the byte
//! where it stands: values in another precision and complex ones (the length of the file gives
//! them away), dense matrices, other objects, lengths that the file cannot hold, columns out of
//! range or given twice in a row, values that are not finite. Rows with unsorted columns are sorted.
//!
//! A file may hold a matrix and then its right-hand side, as `MatLoad` and `VecLoad` of one viewer
//! expect.
//!
//! Cost: every length is checked against the size of the file before memory is set aside. On several
//! ranks each one reads its own rows only, from their place in the file, and writing sends one
//! rank's rows at a time: no rank ever holds the whole.
//!
//! Reference: PETSc's `MatView`, `MatLoad`, `VecView` and `VecLoad` with a viewer of type `binary`.
mod parts;
mod write;

use super::rows;
use crate::comm::{Comm, Communicator};
use crate::matrix::{Csr, DistCsr, Space};
use crate::{Error, Result, memory};
use parts::{Numbers, Part};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use parts::{Indices, Object, is_petsc_binary};
pub use write::{write, write_vector};

/// An open file whose parts are known.
pub struct PetscFile {
    path: PathBuf,
    numbers: Numbers,
    parts: Vec<Part>,
}

impl PetscFile {
    /// Opens a file and looks at what it holds. Not collective.
    ///
    /// # Errors
    /// [`Error::File`] with the byte and what is wrong there.
    pub fn open(path: &Path) -> Result<Self> {
        let (numbers, parts) = parts::open(path)?;
        Ok(PetscFile { path: path.to_owned(), numbers, parts })
    }

    /// Width of the integers.
    pub fn indices(&self) -> Indices {
        self.numbers.indices
    }

    /// What the file holds, in its order.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        self.parts.iter().map(|part| part.object)
    }

    /// Whether there is a vector: the right-hand side, where there is a matrix before it.
    pub fn has_vector(&self) -> bool {
        self.objects().any(|object| matches!(object, Object::Vector { .. }))
    }

    /// The first matrix. Not collective.
    ///
    /// # Errors
    /// [`Error::File`] with the byte and what is wrong there; where there is no matrix.
    pub fn matrix(&mut self) -> Result<Csr> {
        let (part, [rows, cols, entries]) = self.first_matrix()?;
        let limit = u64::from(u32::MAX);
        if rows >= limit || cols >= limit {
            return Err(self.fail(part.at, format!("{rows}×{cols} is too large for one rank")));
        }
        if !rows::backed(cols, rows.saturating_add(entries)) {
            let text = format!("{cols} columns with only {entries} entries");
            return Err(self.fail(part.at, text));
        }
        let row_ptr = self.row_ptr(part, 0..rows)?;
        self.check_sum(part, u64::from(row_ptr[rows as usize]), entries)?;
        let (wide, values) = self.entries(part, 0..rows, &row_ptr, 0)?;
        let mut narrow = Vec::new();
        memory::reserve(&mut narrow, wide.len(), rows::READ)?;
        narrow.extend(wide.into_iter().map(|j| j as u32));
        Csr::new(cols as usize, row_ptr, narrow, values).map_err(|e| self.fail(part.at, e))
    }

    /// The first matrix, in blocks of nearly equally many rows. Collective: every rank has the file
    /// open and reads its rows.
    ///
    /// # Errors
    /// As [`matrix`](PetscFile::matrix), and for a matrix that is not square, on all ranks.
    pub fn distributed_matrix(&mut self, comm: &Comm) -> Result<DistCsr> {
        comm.scope(|| {
            let (part, [rows, cols, entries]) = self.first_matrix()?;
            if rows != cols {
                return Err(self.fail(part.at, format!("the matrix is {rows}×{cols}, not square")));
            }
            let space = Space::even(comm.clone(), rows);
            let mine = space.start()..space.start() + space.n_own() as u64;
            let row_ptr = self.row_ptr(part, mine.clone())?;
            let own = row_ptr.last().map_or(0, |&n| u64::from(n));
            let counts: Vec<u64> = comm.all_gather(&[own])?.iter().map(|c| c[0]).collect();
            self.check_sum(part, counts.iter().sum(), entries)?;
            let before = counts[..comm.rank()].iter().sum();
            let (cols, values) = self.entries(part, mine, &row_ptr, before)?;
            DistCsr::from_rows(&space, &row_ptr, &cols, &values)
        })
    }

    /// The first vector. Not collective.
    ///
    /// # Errors
    /// As [`matrix`](PetscFile::matrix).
    pub fn vector(&mut self) -> Result<Vec<f64>> {
        let (part, n) = self.first_vector()?;
        self.values(part, 0..n)
    }

    /// The own entries of the first vector. Collective.
    ///
    /// # Errors
    /// As [`matrix`](PetscFile::matrix); where the vector has not one entry for each row.
    pub fn distributed_vector(&mut self, space: &Arc<Space>) -> Result<Vec<f64>> {
        space.comm().scope(|| {
            let (part, n) = self.first_vector()?;
            if n != space.n_global() {
                let rows = space.n_global();
                let text = format!("this vector has {n} entries, the matrix {rows} rows");
                return Err(self.fail(part.at, text));
            }
            self.values(part, space.start()..space.start() + space.n_own() as u64)
        })
    }

    fn first_matrix(&self) -> Result<(Part, [u64; 3])> {
        let found = self.parts.iter().find_map(|&part| match part.object {
            Object::Matrix { rows, cols, entries } => Some((part, [rows, cols, entries])),
            _ => None,
        });
        found.ok_or_else(|| {
            let none = "there is no matrix in this PETSc file";
            let there: Vec<String> = self.objects().map(|object| object.to_string()).collect();
            let text = match there.is_empty() {
                true => none.to_owned(),
                false => format!("{none}, only {}", there.join(", ")),
            };
            Error::file(&self.path, text)
        })
    }

    fn first_vector(&self) -> Result<(Part, u64)> {
        let found = self.parts.iter().find_map(|&part| match part.object {
            Object::Vector { len } => Some((part, len)),
            _ => None,
        });
        found.ok_or_else(|| Error::file(&self.path, "there is no vector in this PETSc file"))
    }

    /// Offsets of the entries of `rows`, from 0.
    fn row_ptr(&mut self, part: Part, rows: Range<u64>) -> Result<Vec<u32>> {
        let Object::Matrix { cols, entries, .. } = part.object else { return Ok(vec![0]) };
        let width = self.numbers.indices.bytes();
        let at = part.data + rows.start * width;
        let mut row_ptr = Vec::new();
        memory::reserve(&mut row_ptr, (rows.end - rows.start) as usize + 1, rows::READ)?;
        row_ptr.push(0u32);
        let (mut sum, path) = (0u64, &self.path);
        self.numbers.integers(at, rows.end - rows.start, |k, length| {
            let fail = |text: String| {
                Err(parts::fault(path, at + k * width, format!("row {}: {text}", rows.start + k)))
            };
            let length = match u64::try_from(length) {
                Ok(length) if length <= cols => length,
                _ => return fail(format!("{length} entries in {cols} columns")),
            };
            sum += length;
            match u32::try_from(sum) {
                _ if sum > entries => {
                    fail(format!("more entries up to here than the {entries} announced"))
                }
                Ok(sum) => {
                    row_ptr.push(sum);
                    Ok(())
                }
                Err(_) => fail("2³² or more entries; use more ranks".into()),
            }
        })?;
        Ok(row_ptr)
    }

    fn check_sum(&self, part: Part, sum: u64, entries: u64) -> Result<()> {
        if sum == entries {
            return Ok(());
        }
        let text = format!("{entries} entries are announced, and the rows have {sum}");
        Err(self.fail(part.at, text))
    }

    /// Columns, increasing within each row, and values of `rows`, whose first entry is number
    /// `first`.
    fn entries(
        &mut self,
        part: Part,
        rows: Range<u64>,
        row_ptr: &[u32],
        first: u64,
    ) -> Result<(Vec<u64>, Vec<f64>)> {
        let Object::Matrix { rows: n_rows, cols: n_cols, entries } = part.object else {
            return Ok((Vec::new(), Vec::new()));
        };
        let width = self.numbers.indices.bytes();
        let count = row_ptr.last().map_or(0, |&n| u64::from(n));
        let start = part.data + n_rows * width;
        let at = start + first * width;
        let row_of = |k: u64| {
            rows.start + row_ptr.partition_point(|&p| u64::from(p) <= k).saturating_sub(1) as u64
        };
        rows::must_fit(rows.end - rows.start, count)?;
        let mut cols = Vec::new();
        memory::reserve(&mut cols, count as usize, rows::READ)?;
        let path = &self.path;
        self.numbers.integers(at, count, |k, j| match u64::try_from(j) {
            Ok(j) if j < n_cols => {
                cols.push(j);
                Ok(())
            }
            _ => {
                let text = format!("row {}: column {j} of {n_cols}", row_of(k));
                Err(parts::fault(path, at + k * width, text))
            }
        })?;
        let at = start + entries * width + 8 * first;
        let mut values = Vec::new();
        memory::reserve(&mut values, count as usize, rows::READ)?;
        self.numbers.reals(at, count, |k, v| {
            if !v.is_finite() {
                let text = format!("row {}: the value {v} is not finite", row_of(k));
                return Err(parts::fault(path, at + 8 * k, text));
            }
            values.push(v);
            Ok(())
        })?;
        rows::sort(row_ptr, &mut cols, &mut values)?;
        if let Some((i, j)) = rows::twice(row_ptr, &cols) {
            let at = start + (first + u64::from(row_ptr[i])) * width;
            let text = format!("row {}: column {j} is given twice", rows.start + i as u64);
            return Err(self.fail(at, text));
        }
        Ok((cols, values))
    }

    /// Entries `range` of a vector.
    fn values(&mut self, part: Part, range: Range<u64>) -> Result<Vec<f64>> {
        let (at, count) = (part.data + 8 * range.start, range.end - range.start);
        let mut values = Vec::new();
        memory::reserve(&mut values, count as usize, rows::READ)?;
        let path = &self.path;
        self.numbers.reals(at, count, |k, v| {
            if !v.is_finite() {
                let text = format!("entry {} is {v}, not finite", range.start + k);
                return Err(parts::fault(path, at + 8 * k, text));
            }
            values.push(v);
            Ok(())
        })?;
        Ok(values)
    }

    fn fail(&self, at: u64, message: impl std::fmt::Display) -> Error {
        parts::fault(&self.path, at, message)
    }
}

/// Reads the first matrix of a file.
///
/// # Errors
/// [`Error::File`] with the byte and what is wrong there.
pub fn read(path: &Path) -> Result<Csr> {
    PetscFile::open(path)?.matrix()
}

/// Reads the first vector of a file.
///
/// # Errors
/// As [`read`].
pub fn read_vector(path: &Path) -> Result<Vec<f64>> {
    PetscFile::open(path)?.vector()
}
