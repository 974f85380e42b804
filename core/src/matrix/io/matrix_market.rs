//! Matrix Market files: text, one entry a line, indices from 1.
//!
//! ```text
//! %%MatrixMarket matrix coordinate real symmetric
//! % comments and blank lines
//! 3 3 4
//! 1 1 2.0
//! 2 1 -1.0
//! 2 2 2.0
//! 3 3 2.0
//! ```
//!
//! Read: `coordinate` and `array`; `real`, `double`, `integer` and `pattern` (entries of 1);
//! `general`, `symmetric` and `skew-symmetric`, the given triangle being either. Fortran exponents
//! (`1D-3`) are numbers. Refused, with the line: complex and hermitian matrices, entries given
//! twice (also as mirror images of each other), values that are not finite. Zeros that a
//! `coordinate` file lists stay stored; zeros of an `array` do not.
//!
//! Cost: the text is read once through a fixed buffer; entries are mirrored and sorted in place, so
//! the peak is 16 bytes an entry beside 8 a row: 1.5 × the matrix in memory.
//!
//! Reference: R. F. Boisvert, R. Pozo, K. A. Remington, *The Matrix Market exchange formats*,
//! NISTIR 5935, 1996.
mod text;

use super::rows::{compress, spread};
use crate::comm::{Comm, Communicator};
use crate::file;
use crate::matrix::{Csr, DistCsr, Space};
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use text::{Entries, Format, Header, Symmetry};

/// Reads a matrix.
///
/// # Errors
/// [`Error::File`] with the line and what is wrong there.
pub fn read(path: &Path) -> Result<Csr> {
    let (source, size) = open(path)?;
    matrix(source, path, Some(size)).map_err(|fault| match fault {
        Fault::Twice(entry) => given_again(path, entry).unwrap_or_else(|e| e),
        other => other.told(path),
    })
}

/// The line on which an entry is given again: only then is a second look at the file worth it.
fn given_again(path: &Path, entry: (u64, u64)) -> Result<Error> {
    let mut entries = Entries::new(open(path)?.0, path)?;
    let mut before = false;
    while let Some((i, j, _)) = entries.next()? {
        let same = (i, j) == entry || entries.header.mirrored() && (j, i) == entry;
        if same && before {
            return Ok(entries.lines.fail(twice(entry)));
        }
        before |= same;
    }
    Ok(Fault::Twice(entry).told(path))
}

/// Reads a matrix for all ranks, in blocks of nearly equally many rows. Rank 0 reads the file and
/// sends entries on as they come, so that it holds no more than any other rank: while it reads, 44
/// bytes for each of its own entries. Collective.
///
/// # Errors
/// [`Error::File`] with the line and what is wrong there, on all ranks; for a matrix that is not
/// square.
pub fn read_on_ranks(path: &Path, comm: &Comm) -> Result<DistCsr> {
    let in_file = |e| match e {
        Error::Data(why) => Error::file(path, why),
        other => other,
    };
    if comm.size() == 1 {
        return DistCsr::solo(read(path)?).map_err(in_file);
    }
    comm.scope(|| {
        let mut entries = match comm.rank() {
            0 => Some(Entries::new(open(path)?.0, path)?),
            _ => None,
        };
        if let Some(entries) = &entries {
            entries.check_rows()?;
            let (rows, cols) = (entries.rows, entries.cols);
            if rows != cols {
                let text = format!("the matrix is {rows}×{cols}; it must be square");
                return Err(Error::file(path, text));
            }
        }
        let rows = comm.all_gather(&[entries.as_ref().map_or(0, |entries| entries.rows)])?;
        let space = Space::even(comm.clone(), rows[0][0]);
        // The mirror image of the last entry, where it has one.
        let mut mirrored = None;
        let next = || {
            if let Some(entry) = mirrored.take() {
                return Ok(Some(entry));
            }
            let Some(entries) = &mut entries else { return Ok(None) };
            let Header { format, symmetry, .. } = entries.header;
            while let Some((i, j, v)) = entries.next()? {
                if v == 0.0 && format == Format::Array {
                    continue;
                }
                if symmetry != Symmetry::General && i != j {
                    let sign = if symmetry == Symmetry::Skew { -1.0 } else { 1.0 };
                    mirrored = Some((j, i, sign * v));
                }
                return Ok(Some((i, j, v)));
            }
            Ok(None)
        };
        let again = |entry| match comm.rank() {
            0 => given_again(path, entry).and_then(Err),
            _ => Ok(()),
        };
        let (row_ptr, cols, values) = spread(&space, next, again)?;
        DistCsr::from_rows(&space, &row_ptr, &cols, &values)
    })
}

/// Reads a matrix from `source`; errors call it `name`.
///
/// # Errors
/// As [`read`], without the line for an entry that is given twice.
pub fn read_from(source: impl BufRead, name: &Path) -> Result<Csr> {
    matrix(source, name, None).map_err(|fault| fault.told(name))
}

/// Reads a vector: an `array` or `coordinate` file with one column.
///
/// # Errors
/// As [`read`]; where there are more columns.
pub fn read_vector(path: &Path) -> Result<Vec<f64>> {
    let (source, size) = open(path)?;
    vector(source, path, Some(size)).map_err(|fault| fault.told(path))
}

/// Reads a vector for all ranks: rank 0 reads the file, holds the whole vector while it does, and
/// hands every rank the entries of its rows. Collective.
///
/// # Errors
/// As [`read_vector`], on all ranks; where the vector has not one entry for each row.
pub fn read_vector_on_ranks(path: &Path, space: &Space) -> Result<Vec<f64>> {
    space.comm().scope(|| {
        let mut whole = None;
        if space.comm().rank() == 0 {
            let values = read_vector(path)?;
            let (n, rows) = (values.len(), space.n_global());
            if n as u64 != rows {
                let text = format!("this vector has {n} entries, the matrix {rows} rows");
                return Err(Error::file(path, text));
            }
            whole = Some(values);
        }
        space.scatter(whole.as_deref())
    })
}

/// Reads a vector from `source`; errors call it `name`.
///
/// # Errors
/// As [`read_vector`].
pub fn read_vector_from(source: impl BufRead, name: &Path) -> Result<Vec<f64>> {
    vector(source, name, None).map_err(|fault| fault.told(name))
}

/// Writes a matrix, as its lower triangle where it is symmetric bit for bit, with a comment of any
/// number of lines. Reading it gives the same matrix bit for bit. The file is
/// [replaced](file::replace) whole.
///
/// # Errors
/// [`Error::File`] where it cannot be written, [`Error::Data`] for values that are not finite.
pub fn write(path: &Path, a: &Csr, comment: &str) -> Result<()> {
    check_finite(a.view().values)?;
    file::replace(path, |out| write_to(out, a, comment))
}

/// Writes a vector as an `array` file of one column. See [`write()`].
///
/// # Errors
/// As [`write()`].
pub fn write_vector(path: &Path, x: &[f64], comment: &str) -> Result<()> {
    check_finite(x)?;
    file::replace(path, |out| {
        writeln!(out, "%%MatrixMarket matrix array real general")?;
        comment.lines().try_for_each(|line| writeln!(out, "% {line}"))?;
        writeln!(out, "{} 1", x.len())?;
        x.iter().try_for_each(|v| writeln!(out, "{v:?}"))
    })
}

fn write_to(out: &mut dyn Write, a: &Csr, comment: &str) -> std::io::Result<()> {
    let symmetric = is_symmetric(a);
    let view = a.view();
    let listed = |i: usize, j: usize| !symmetric || j <= i;
    let rows = 0..a.n_rows();
    let count = |i| view.row(i).filter(|&(j, _)| listed(i, j)).count();
    let kind = if symmetric { "symmetric" } else { "general" };
    writeln!(out, "%%MatrixMarket matrix coordinate real {kind}")?;
    comment.lines().try_for_each(|line| writeln!(out, "% {line}"))?;
    let entries: usize = rows.clone().map(count).sum();
    writeln!(out, "{} {} {entries}", a.n_rows(), a.n_cols())?;
    for i in rows {
        for (j, v) in view.row(i).filter(|&(j, _)| listed(i, j)) {
            writeln!(out, "{} {} {v:?}", i + 1, j + 1)?;
        }
    }
    Ok(())
}

/// Whether A = Aᵀ bit for bit.
fn is_symmetric(a: &Csr) -> bool {
    if a.n_rows() != a.n_cols() {
        return false;
    }
    let transpose = a.transpose();
    let (a, t) = (a.view(), transpose.view());
    let same_bits = |(x, y): (&f64, &f64)| x.to_bits() == y.to_bits();
    a.row_ptr == t.row_ptr && a.cols == t.cols && a.values.iter().zip(t.values).all(same_bits)
}

fn check_finite(values: &[f64]) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(k) => Err(Error::Data(format!("value {k} is {}: not to be written", values[k]))),
        None => Ok(()),
    }
}

fn open(path: &Path) -> Result<(BufReader<File>, u64)> {
    let fail = |e| Error::file(path, e);
    let file = File::open(path).map_err(fail)?;
    let size = file.metadata().map_err(fail)?.len();
    Ok((BufReader::with_capacity(1 << 16, file), size))
}

/// Why there is no matrix.
enum Fault {
    Error(Error),
    Twice((u64, u64)),
}

impl From<Error> for Fault {
    fn from(e: Error) -> Self {
        Fault::Error(e)
    }
}

impl Fault {
    fn told(self, path: &Path) -> Error {
        match self {
            Fault::Error(e) => e,
            Fault::Twice(entry) => Error::file(path, twice(entry)),
        }
    }
}

fn twice((i, j): (u64, u64)) -> String {
    format!("entry ({}, {}) is given twice; add duplicates up first", i + 1, j + 1)
}

fn matrix(source: impl BufRead, path: &Path, size: Option<u64>) -> std::result::Result<Csr, Fault> {
    let mut entries = Entries::new(source, path)?;
    entries.check_limit()?;
    let header = entries.header;
    let copies = if header.mirrored() { 2 } else { 1 };
    if entries.count > u64::from(u32::MAX) / copies {
        return Err(entries.lines.fail("2³² or more entries; use more ranks").into());
    }
    let sparse = header.format == Format::Coordinate;
    let room = entries.room(if sparse { size } else { None }) as usize;
    let with_room = || Vec::<u32>::with_capacity(room);
    let (mut rows, mut cols, mut values) = (with_room(), with_room(), Vec::with_capacity(room));
    while let Some((i, j, v)) = entries.next()? {
        if v != 0.0 || sparse {
            rows.push(i as u32);
            cols.push(j as u32);
            values.push(v);
        }
    }
    if header.mirrored() {
        let given = rows.len();
        let mirrored = rows.iter().zip(&cols).filter(|(i, j)| i != j).count();
        // The largest first, while the others are still small.
        values.reserve_exact(mirrored);
        rows.reserve_exact(mirrored);
        cols.reserve_exact(mirrored);
        let sign = if header.symmetry == Symmetry::Skew { -1.0 } else { 1.0 };
        for k in 0..given {
            let (i, j) = (rows[k], cols[k]);
            if i != j {
                rows.push(j);
                cols.push(i);
                values.push(sign * values[k]);
            }
        }
    }
    entries.check_rows()?;
    match compress(entries.rows as usize, rows, cols, values) {
        Ok((row_ptr, cols, values)) => Ok(Csr::new(entries.cols as usize, row_ptr, cols, values)?),
        Err((i, j)) => Err(Fault::Twice((i.into(), j.into()))),
    }
}

fn vector(
    source: impl BufRead,
    path: &Path,
    size: Option<u64>,
) -> std::result::Result<Vec<f64>, Fault> {
    let mut entries = Entries::new(source, path)?;
    if entries.cols != 1 {
        let text = format!("a vector has one column, this has {}", entries.cols);
        return Err(entries.lines.fail(text).into());
    }
    entries.check_limit()?;
    if entries.header.format == Format::Array {
        let mut x = Vec::with_capacity(entries.room(size) as usize);
        while let Some((_, _, v)) = entries.next()? {
            x.push(v);
        }
        return Ok(x);
    }
    entries.check_rows()?;
    let mut x = vec![None; entries.rows as usize];
    while let Some((i, j, v)) = entries.next()? {
        if x[i as usize].replace(v).is_some() {
            return Err(entries.lines.fail(twice((i, j))).into());
        }
    }
    Ok(x.into_iter().map(|v| v.unwrap_or(0.0)).collect())
}
