//! The text of a Matrix Market file: header, sizes, entries line by line, and what may be wrong.
use crate::{Error, Result};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// Bytes that a line may have.
const LONGEST_LINE: u64 = 1 << 16;
/// Entries to make room for where the size of the file is not known.
const FIRST_ROOM: u64 = 1 << 16;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Format {
    Coordinate,
    Array,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Field {
    Real,
    Integer,
    Pattern,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Symmetry {
    General,
    Symmetric,
    Skew,
}

#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) format: Format,
    pub(super) field: Field,
    pub(super) symmetry: Symmetry,
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

    pub(super) fn mirrored(&self) -> bool {
        self.symmetry != Symmetry::General
    }
}

/// The entries of a file, one by one and as they stand there.
pub(super) struct Entries<R> {
    pub(super) lines: Lines<R>,
    pub(super) header: Header,
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// Entries that the file announces.
    pub(super) count: u64,
    /// Entries read so far.
    done: u64,
    /// Where the next entry of an array is.
    at: (u32, u32),
}

impl<R: BufRead> Entries<R> {
    /// Reads the header and the sizes.
    pub(super) fn new(source: R, path: &Path) -> Result<Self> {
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
    pub(super) fn room(&self, size: Option<u64>) -> u64 {
        let shortest_line = match (self.header.format, self.header.field) {
            (Format::Array, _) => 2,
            (_, Field::Pattern) => 4,
            _ => 6,
        };
        self.count.min(size.map_or(FIRST_ROOM, |bytes| bytes / shortest_line + 1))
    }

    /// Refuses sizes that nothing in the file backs, before memory is set aside for them.
    pub(super) fn check_rows(&self) -> Result<()> {
        if self.rows as u64 <= 1_000_000 + 1000 * self.count {
            return Ok(());
        }
        let text = format!("{} rows with only {} entries", self.rows, self.count);
        Err(Error::file(&self.lines.path, text))
    }

    pub(super) fn next(&mut self) -> Result<Option<(u32, u32, f64)>> {
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
pub(super) struct Lines<R> {
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

    pub(super) fn fail(&self, why: impl Into<String>) -> Error {
        Error::at(&self.path, self.number.max(1), why.into())
    }
}
