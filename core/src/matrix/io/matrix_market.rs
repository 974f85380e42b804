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
use crate::file;
use crate::matrix::Csr;
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes that a line may have.
const LONGEST_LINE: u64 = 1 << 16;
/// Entries to make room for where the size of the file is not known.
const FIRST_ROOM: u64 = 1 << 16;

/// Reads a matrix.
///
/// # Errors
/// [`Error::File`] with the line and what is wrong there.
pub fn read(path: &Path) -> Result<Csr> {
    let (source, size) = open(path)?;
    matrix(source, path, Some(size)).or_else(|fault| {
        let Fault::Twice(entry) = fault else { return Err(fault.told(path)) };
        // Only now worth a second look at the file: on which line was it given again?
        let mut entries = Entries::new(open(path)?.0, path)?;
        let mut before = false;
        while let Some((i, j, _)) = entries.next()? {
            let same = (i, j) == entry || entries.header.mirrored() && (j, i) == entry;
            if same && before {
                return Err(entries.lines.fail(twice(entry)));
            }
            before |= same;
        }
        Err(fault.told(path))
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

/// Writes a vector as an `array` file of one column. See [`write`].
///
/// # Errors
/// As [`write`].
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
    Twice((u32, u32)),
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

fn twice((i, j): (u32, u32)) -> String {
    format!("entry ({}, {}) is given twice; add duplicates up first", i + 1, j + 1)
}

fn matrix(source: impl BufRead, path: &Path, size: Option<u64>) -> std::result::Result<Csr, Fault> {
    let mut entries = Entries::new(source, path)?;
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
            rows.push(i);
            cols.push(j);
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
    compress(entries.rows, entries.cols, rows, cols, values)
}

/// Sorts entries into rows in place: by row (each is swapped to its place at most once), then by
/// column within each row.
fn compress(
    n_rows: usize,
    n_cols: usize,
    mut rows: Vec<u32>,
    mut cols: Vec<u32>,
    mut values: Vec<f64>,
) -> std::result::Result<Csr, Fault> {
    let mut row_ptr = vec![0u32; n_rows + 1];
    for &i in &rows {
        row_ptr[i as usize + 1] += 1;
    }
    for i in 0..n_rows {
        row_ptr[i + 1] += row_ptr[i];
    }
    let mut next = row_ptr.clone();
    for i in 0..n_rows {
        while next[i] < row_ptr[i + 1] {
            let k = next[i] as usize;
            let to = &mut next[rows[k] as usize];
            for list in [&mut rows, &mut cols] {
                list.swap(k, *to as usize);
            }
            values.swap(k, *to as usize);
            *to += 1;
        }
    }
    drop(rows);
    let mut row = Vec::new();
    for i in 0..n_rows {
        let range = row_ptr[i] as usize..row_ptr[i + 1] as usize;
        if !cols[range.clone()].is_sorted() {
            row.clear();
            row.extend(range.clone().map(|k| (cols[k], values[k])));
            row.sort_unstable_by_key(|&(j, _)| j);
            for (k, &(j, v)) in range.clone().zip(&row) {
                (cols[k], values[k]) = (j, v);
            }
        }
        if let Some(pair) = cols[range].windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Fault::Twice((i as u32, pair[0])));
        }
    }
    cols.shrink_to_fit();
    values.shrink_to_fit();
    Ok(Csr::new(n_cols, row_ptr, cols, values)?)
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
    if entries.header.format == Format::Array {
        let mut x = Vec::with_capacity(entries.room(size) as usize);
        while let Some((_, _, v)) = entries.next()? {
            x.push(v);
        }
        return Ok(x);
    }
    entries.check_rows()?;
    let mut x = vec![None; entries.rows];
    while let Some((i, j, v)) = entries.next()? {
        if x[i as usize].replace(v).is_some() {
            return Err(entries.lines.fail(twice((i, j))).into());
        }
    }
    Ok(x.into_iter().map(|v| v.unwrap_or(0.0)).collect())
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Coordinate,
    Array,
}

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Real,
    Integer,
    Pattern,
}

#[derive(Clone, Copy, PartialEq)]
enum Symmetry {
    General,
    Symmetric,
    Skew,
}

#[derive(Clone, Copy)]
struct Header {
    format: Format,
    field: Field,
    symmetry: Symmetry,
}

impl Header {
    fn parse(line: &[u8]) -> std::result::Result<Self, String> {
        let line = String::from_utf8_lossy(line).to_ascii_lowercase();
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if words.first() != Some(&"%%matrixmarket") {
            return Err("no Matrix Market file: it starts with no %%MatrixMarket".into());
        }
        let &[_, object, format, field, symmetry] = words.as_slice() else {
            return Err("the header must be '%%MatrixMarket matrix FORMAT FIELD SYMMETRY'".into());
        };
        let not = |word: &str, wanted: &str| Err(format!("{} is not {wanted}", quoted(word)));
        if object != "matrix" {
            return not(object, "'matrix'");
        }
        let format = match format {
            "coordinate" => Format::Coordinate,
            "array" => Format::Array,
            _ => return not(format, "'coordinate' or 'array'"),
        };
        let field = match field {
            "real" | "double" => Field::Real,
            "integer" => Field::Integer,
            "pattern" => Field::Pattern,
            "complex" => return Err("complex matrices are not supported".into()),
            _ => return not(field, "'real', 'double', 'integer' or 'pattern'"),
        };
        let symmetry = match symmetry {
            "general" => Symmetry::General,
            "symmetric" => Symmetry::Symmetric,
            "skew-symmetric" => Symmetry::Skew,
            "hermitian" => return Err("hermitian matrices are not supported".into()),
            _ => return not(symmetry, "'general', 'symmetric' or 'skew-symmetric'"),
        };
        if field == Field::Pattern && (format == Format::Array || symmetry == Symmetry::Skew) {
            return Err("a pattern is 'coordinate', and 'general' or 'symmetric'".into());
        }
        Ok(Header { format, field, symmetry })
    }

    fn mirrored(&self) -> bool {
        self.symmetry != Symmetry::General
    }
}

/// The entries of a file, one by one and as they stand there.
struct Entries<R> {
    lines: Lines<R>,
    header: Header,
    rows: usize,
    cols: usize,
    /// Entries that the file announces.
    count: u64,
    /// Entries read so far.
    done: u64,
    /// Where the next entry of an array is.
    at: (u32, u32),
}

impl<R: BufRead> Entries<R> {
    /// Reads the header and the sizes.
    fn new(source: R, path: &Path) -> Result<Self> {
        let mut lines = Lines { source, path: path.to_owned(), number: 0, line: Vec::new() };
        lines.advance()?;
        let header = Header::parse(&lines.line).map_err(|why| lines.fail(why))?;
        if !lines.advance_to_content()? {
            return Err(lines.fail("the file ends before its sizes"));
        }
        let (names, n) = match header.format {
            Format::Coordinate => ("rows, columns and entries", 3),
            Format::Array => ("rows and columns", 2),
        };
        let sizes = || {
            let words: Vec<&[u8]> = lines.words().collect();
            let sizes: Option<Vec<u64>> = words.iter().map(|word| natural(word)).collect();
            sizes.filter(|sizes| sizes.len() == n)
        };
        let Some(sizes) = sizes() else {
            return Err(lines.fail(format!("the numbers of {names} must stand here")));
        };
        let (rows, cols) = (sizes[0], sizes[1]);
        if rows >= u64::from(u32::MAX) || cols >= u64::from(u32::MAX) {
            return Err(lines.fail(format!("{rows}×{cols} is too large: 2³² − 2 is the limit")));
        }
        if header.mirrored() && rows != cols {
            return Err(lines.fail(format!("{rows}×{cols} can't be symmetric: it is not square")));
        }
        let places = match header.symmetry {
            Symmetry::General => rows * cols,
            Symmetry::Symmetric => rows * (rows + 1) / 2,
            Symmetry::Skew => rows * rows.saturating_sub(1) / 2,
        };
        let count = sizes.get(2).copied().unwrap_or(places);
        if count > places {
            let text = format!("{count} entries have no room in {places} places");
            return Err(lines.fail(text));
        }
        let at = (u32::from(header.symmetry == Symmetry::Skew), 0);
        Ok(Entries { lines, header, rows: rows as usize, cols: cols as usize, count, done: 0, at })
    }

    /// Entries to make room for: what is announced, unless the file cannot hold as many.
    fn room(&self, size: Option<u64>) -> u64 {
        let shortest_line = match (self.header.format, self.header.field) {
            (Format::Array, _) => 2,
            (_, Field::Pattern) => 4,
            _ => 6,
        };
        self.count.min(size.map_or(FIRST_ROOM, |bytes| bytes / shortest_line + 1))
    }

    /// Refuses sizes that nothing in the file backs, before memory is set aside for them.
    fn check_rows(&self) -> Result<()> {
        if self.rows as u64 <= 1_000_000 + 1000 * self.count {
            return Ok(());
        }
        let text = format!("{} rows with only {} entries", self.rows, self.count);
        Err(Error::file(&self.lines.path, text))
    }

    fn next(&mut self) -> Result<Option<(u32, u32, f64)>> {
        let content = self.lines.advance_to_content()?;
        if !content {
            let text = format!("the file ends after {} of {} entries", self.done, self.count);
            return if self.done == self.count { Ok(None) } else { Err(self.lines.fail(text)) };
        }
        if self.done == self.count {
            return Err(self.lines.fail(format!("more than the {} entries announced", self.count)));
        }
        self.done += 1;
        let mut words = self.lines.words();
        let (i, j) = match self.header.format {
            Format::Coordinate => {
                let i = self.index(words.next(), self.rows, "row")?;
                (i, self.index(words.next(), self.cols, "column")?)
            }
            Format::Array => self.at,
        };
        let value = match self.header.field {
            Field::Pattern => 1.0,
            field => self.value(words.next(), field)?,
        };
        if let Some(word) = words.next() {
            return Err(self.lines.fail(format!("{} is one number too many", shown(word))));
        }
        if i == j && self.header.symmetry == Symmetry::Skew {
            return Err(self.lines.fail("a skew-symmetric matrix has no diagonal entries"));
        }
        if self.header.format == Format::Array {
            self.at = match (self.header.symmetry, i + 1 < self.rows as u32) {
                (_, true) => (i + 1, j),
                (Symmetry::General, false) => (0, j + 1),
                (Symmetry::Symmetric, false) => (j + 1, j + 1),
                (Symmetry::Skew, false) => (j + 2, j + 1),
            };
        }
        Ok(Some((i, j, value)))
    }

    fn index(&self, word: Option<&[u8]>, limit: usize, what: &str) -> Result<u32> {
        let word = word.ok_or_else(|| self.lines.fail(format!("the {what} is missing")))?;
        match natural(word) {
            Some(k) if (1..=limit as u64).contains(&k) => Ok((k - 1) as u32),
            Some(k) => Err(self.lines.fail(format!("{what} {k} is not within 1..{limit}"))),
            None => Err(self.lines.fail(format!("{} is no {what} number", shown(word)))),
        }
    }

    fn value(&self, word: Option<&[u8]>, field: Field) -> Result<f64> {
        let word = word.ok_or_else(|| self.lines.fail("the value is missing"))?;
        let text = std::str::from_utf8(word).ok();
        let value = match field {
            Field::Integer => text.and_then(|t| t.parse::<i64>().ok()).map(|v| v as f64),
            _ => text.and_then(real),
        };
        match value {
            Some(v) if v.is_finite() => Ok(v),
            Some(_) => Err(self.lines.fail(format!("{} is not finite", shown(word)))),
            None if field == Field::Integer => {
                Err(self.lines.fail(format!("{} is no integer of 64 bits", shown(word))))
            }
            None => Err(self.lines.fail(format!("{} is not a number", shown(word)))),
        }
    }
}

/// A real number; Fortran's `D` may start the exponent.
fn real(text: &str) -> Option<f64> {
    text.parse().ok().or_else(|| text.replace(['D', 'd'], "e").parse().ok())
}

/// A number of digits only.
fn natural(word: &[u8]) -> Option<u64> {
    let digits = word.strip_prefix(b"+").unwrap_or(word);
    let add = |n: u64, c: &u8| {
        let digit = c.is_ascii_digit().then(|| u64::from(c - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

fn shown(word: &[u8]) -> String {
    quoted(&String::from_utf8_lossy(word))
}

fn quoted(word: &str) -> String {
    let short: String = word.chars().take(32).flat_map(char::escape_debug).collect();
    let more = if word.chars().nth(32).is_some() { "…" } else { "" };
    format!("'{short}{more}'")
}

/// Lines of a source through one buffer.
struct Lines<R> {
    source: R,
    path: PathBuf,
    /// Number of the current line, from 1.
    number: usize,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Goes to the next line; `false` at the end.
    fn advance(&mut self) -> Result<bool> {
        self.line.clear();
        let mut source = (&mut self.source).take(LONGEST_LINE);
        let read = source.read_until(b'\n', &mut self.line);
        let read = read.map_err(|e| Error::file(&self.path, e))?;
        self.number += usize::from(read > 0);
        if read as u64 == LONGEST_LINE && self.line.last() != Some(&b'\n') {
            return Err(self.fail(format!("a line of more than {LONGEST_LINE} bytes")));
        }
        Ok(read > 0)
    }

    /// Goes to the next line that is neither blank nor a comment; `false` at the end.
    fn advance_to_content(&mut self) -> Result<bool> {
        while self.advance()? {
            let first = self.line.iter().find(|c| !c.is_ascii_whitespace());
            if first.is_some_and(|&c| c != b'%') {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl<R> Lines<R> {
    fn words(&self) -> impl Iterator<Item = &[u8]> {
        self.line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
    }

    fn fail(&self, why: impl Into<String>) -> Error {
        Error::at(&self.path, self.number.max(1), why.into())
    }
}
