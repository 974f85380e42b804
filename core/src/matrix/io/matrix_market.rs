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
//! Read: `coordinate` and `array`; `real`, `double`, `integer`, `unsigned-integer` and `pattern`
//! (entries of 1, whatever stands after them); `general`, `symmetric` (of real numbers, `hermitian` is the
//! same) and `skew-symmetric`, the given triangle being either. Fortran exponents (`1D-3`) are numbers.
//! Entries that are given twice are added up, in a symmetric file those of both triangles, too; how many
//! there were, and values of a pattern that were left aside, is told in notes. Files may be gzipped.
//! Refused, with the line: complex matrices, values that are not finite. Zeros that a `coordinate` file
//! lists stay stored; zeros of an `array` do not, nor those of a skew-symmetric diagonal.
//!
//! Cost: the text is read once through a fixed buffer; entries are mirrored and sorted in place, so
//! the peak is 16 bytes an entry beside 8 a row: 1.5 × the matrix in memory. Before memory is set aside,
//! what a file announces is compared with its length.
//!
//! Reference: R. F. Boisvert, R. Pozo, K. A. Remington, *The Matrix Market exchange formats*,
//! NISTIR 5935, 1996.
mod text;

use super::rows::{Added, READ, Twice, add_up, compress, must_fit, spread};
use super::source::{self, Size, Source};
use crate::comm::{Comm, Communicator};
use crate::file;
use crate::matrix::{Csr, DistCsr, Space};
use crate::{Error, Result, memory};
use std::io::{BufRead, Write};
use std::path::Path;
use text::{Entries, Format, Header, Symmetry};

/// Reads a matrix.
///
/// # Errors
/// [`Error::File`] with the line and what is wrong there.
pub fn read(path: &Path) -> Result<Csr> {
    read_noting(path, &mut Vec::new())
}

/// As [`read`]; what the reader has to say about the file is added to `notes`.
///
/// # Errors
/// As [`read`].
pub fn read_noting(path: &Path, notes: &mut Vec<String>) -> Result<Csr> {
    let Source { text, size } = source::open(path)?;
    matrix(Entries::new(text, path, size)?, notes)
}

/// The numbers of rows and columns that a file announces, of which no entry is read.
///
/// # Errors
/// As [`read`].
pub fn extents(path: &Path) -> Result<(u64, u64)> {
    let Source { text, size } = source::open(path)?;
    let entries = Entries::new(text, path, size)?;
    Ok((entries.rows, entries.cols))
}

/// Reads a matrix for all ranks, in blocks of nearly equally many rows. Rank 0 reads the file and
/// sends entries on as they come, so that it holds no more than any other rank: while it reads, 44
/// bytes for each of its own entries. There the reader's notes are added to `notes`. Collective.
///
/// # Errors
/// [`Error::File`] with the line and what is wrong there, on all ranks; for a matrix that is not
/// square.
pub fn read_on_ranks(path: &Path, comm: &Comm, notes: &mut Vec<String>) -> Result<DistCsr> {
    let in_file = |e| match e {
        Error::Data(why) => Error::file(path, why),
        other => other,
    };
    if comm.size() == 1 {
        return DistCsr::solo(read_noting(path, notes)?).map_err(in_file);
    }
    comm.scope(|| {
        let mut entries = match comm.rank() {
            0 => {
                let Source { text, size } = source::open(path)?;
                Some(Entries::new(text, path, size)?)
            }
            _ => None,
        };
        if let Some(entries) = &entries {
            entries.check_extents()?;
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
        let ((row_ptr, cols, values), added) = spread(&space, next, Twice::Add).map_err(in_file)?;
        if let Some(entries) = &entries {
            entries.tell(added, notes);
        }
        DistCsr::from_rows(&space, &row_ptr, &cols, &values)
    })
}

/// Reads a matrix from `source`; errors call it `name`.
///
/// # Errors
/// As [`read`].
pub fn read_from(source: impl BufRead, name: &Path) -> Result<Csr> {
    matrix(Entries::new(source, name, Size::Unknown)?, &mut Vec::new())
}

/// Reads a vector: an `array` or `coordinate` file with one column.
///
/// # Errors
/// As [`read`]; where there are more columns.
pub fn read_vector(path: &Path) -> Result<Vec<f64>> {
    let Source { text, size } = source::open(path)?;
    vector(Entries::new(text, path, size)?, false, &mut Vec::new())
}

/// Reads a vector for all ranks: rank 0 reads the file, holds the whole vector while it does, and
/// hands every rank the entries of its rows. The reader's notes are added to its `notes`. Collective.
///
/// # Errors
/// As [`read_vector`], on all ranks; where the vector has not one entry for each row.
pub fn read_vector_on_ranks(
    path: &Path,
    space: &Space,
    notes: &mut Vec<String>,
) -> Result<Vec<f64>> {
    space.comm().scope(|| {
        let mut whole = None;
        if space.comm().rank() == 0 {
            let Source { text, size } = source::open(path)?;
            let entries = Entries::new(text, path, size)?;
            let (n, rows) = (entries.rows, space.n_global());
            if n != rows && entries.cols == 1 {
                let text = format!("this vector has {n} entries, the matrix {rows} rows");
                return Err(Error::file(path, text));
            }
            whole = Some(vector(entries, true, notes)?);
        }
        space.scatter(whole.as_deref())
    })
}

/// Reads a vector from `source`; errors call it `name`.
///
/// # Errors
/// As [`read_vector`].
pub fn read_vector_from(source: impl BufRead, name: &Path) -> Result<Vec<f64>> {
    vector(Entries::new(source, name, Size::Unknown)?, false, &mut Vec::new())
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
    write_rows(path, 1, x, comment)
}

/// Writes rows of `width` numbers, one after the other in `rows`, as an `array` file of so many columns. See
/// [`write()`].
///
/// # Errors
/// As [`write()`]; [`Error::Data`] where the last row is not whole.
pub fn write_rows(path: &Path, width: usize, rows: &[f64], comment: &str) -> Result<()> {
    if width == 0 || !rows.len().is_multiple_of(width) {
        return Err(Error::Data(format!("{} numbers are no rows of {width}", rows.len())));
    }
    check_finite(rows)?;
    file::replace(path, |out| {
        writeln!(out, "%%MatrixMarket matrix array real general")?;
        comment.lines().try_for_each(|line| writeln!(out, "% {line}"))?;
        writeln!(out, "{} {width}", rows.len() / width)?;
        let column = |j: usize| rows.iter().skip(j).step_by(width);
        (0..width).flat_map(column).try_for_each(|v| writeln!(out, "{v:?}"))
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

impl<R: BufRead> Entries<R> {
    /// What is to be known of a file that was read.
    fn tell(&self, [below, above]: Added, notes: &mut Vec<String>) {
        // Each entry of a triangle was added together with its mirror image.
        let added = if self.header.mirrored() { below } else { below + above };
        if added > 0 {
            let mirrored = match self.both_sides() {
                true => {
                    ", mirror images of one another among them: this file says that it is symmetric \
                         and has entries on both sides of the diagonal"
                }
                false => "",
            };
            notes.push(format!(
                "{added} entries stand at the place of an earlier one and were added to it{mirrored}"
            ));
        }
        if self.ignored > 0 {
            let lines = self.ignored;
            notes
                .push(format!("a pattern with values on {lines} lines: ignored, every entry is 1"));
        }
    }
}

fn matrix(mut entries: Entries<impl BufRead>, notes: &mut Vec<String>) -> Result<Csr> {
    entries.check_limit()?;
    let header = entries.header;
    let copies = if header.mirrored() { 2 } else { 1 };
    if entries.count > u64::from(u32::MAX) / copies {
        return Err(entries.lines.fail("2³² or more entries; use more ranks"));
    }
    let sparse = header.format == Format::Coordinate;
    let (mut rows, mut cols, mut values) = (Vec::new(), Vec::new(), Vec::new());
    if sparse {
        let room = entries.room();
        must_fit(0, room as u64)?;
        memory::reserve(&mut rows, room, READ)?;
        memory::reserve(&mut cols, room, READ)?;
        memory::reserve(&mut values, room, READ)?;
    }
    while let Some((i, j, v)) = entries.next()? {
        if v != 0.0 || sparse {
            memory::push(&mut rows, i as u32, READ)?;
            memory::push(&mut cols, j as u32, READ)?;
            memory::push(&mut values, v, READ)?;
        }
    }
    if header.mirrored() {
        let given = rows.len();
        let mirrored = rows.iter().zip(&cols).filter(|(i, j)| i != j).count();
        // The largest first, while the others are still small.
        memory::reserve(&mut values, mirrored, READ)?;
        memory::reserve(&mut rows, mirrored, READ)?;
        memory::reserve(&mut cols, mirrored, READ)?;
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
    entries.check_extents()?;
    let mut made = compress(entries.rows as usize, rows, cols, values)?;
    let added =
        add_up(&mut made, |i| i as u32).map_err(|(i, j)| infinite(&entries, i, j as usize))?;
    entries.tell(added, notes);
    let (row_ptr, cols, values) = made;
    Csr::new(entries.cols as usize, row_ptr, cols, values)
}

/// One column. `backed`: there are as many rows as the matrix has.
fn vector(
    mut entries: Entries<impl BufRead>,
    backed: bool,
    notes: &mut Vec<String>,
) -> Result<Vec<f64>> {
    if entries.cols != 1 {
        let text = format!("a vector has one column, this has {}", entries.cols);
        return Err(entries.lines.fail(text));
    }
    entries.check_limit()?;
    if entries.header.format == Format::Array {
        let mut x = Vec::new();
        memory::reserve(&mut x, entries.room(), READ)?;
        while let Some((_, _, v)) = entries.next()? {
            memory::push(&mut x, v, READ)?;
        }
        return Ok(x);
    }
    let mut given = Vec::new();
    memory::reserve(&mut given, entries.room(), READ)?;
    while let Some((i, _, v)) = entries.next()? {
        memory::push(&mut given, (i as usize, v), READ)?;
    }
    if !backed {
        entries.check_extents()?;
    }
    let mut x = memory::vec_of(0.0, entries.rows as usize, READ)?;
    let mut seen = memory::vec_of(false, x.len(), READ)?;
    let mut added = 0;
    for (i, v) in given {
        added += u64::from(std::mem::replace(&mut seen[i], true));
        x[i] += v;
    }
    if let Some(i) = x.iter().position(|v| !v.is_finite()) {
        return Err(infinite(&entries, i, 0));
    }
    entries.tell([added, 0], notes);
    Ok(x)
}

fn infinite<R>(entries: &Entries<R>, i: usize, j: usize) -> Error {
    let text = format!("the entries at ({}, {}) add up to more than f64 can hold", i + 1, j + 1);
    Error::file(entries.lines.path(), text)
}
