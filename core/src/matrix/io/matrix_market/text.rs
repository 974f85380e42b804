//! The text of a Matrix Market file: header, sizes, entries line by line, and what may be wrong.
use crate::matrix::io::lines::{Lines, natural, quoted, real, shown};
use crate::matrix::io::rows::backed;
use crate::matrix::io::source::Size;
use crate::{Error, Result};
use std::io::BufRead;
use std::path::Path;

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
    Unsigned,
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
        // Some programs write one % only.
        if !matches!(words.first(), Some(&("%%matrixmarket" | "%matrixmarket"))) {
            let none = "no Matrix Market file: it starts with no %%MatrixMarket";
            let numbers = words.len() > 1 && words.iter().all(|word| real(word).is_some());
            let how = if numbers {
                "; before rows of numbers, put '%%MatrixMarket matrix coordinate real general' and a \
                 line with the numbers of rows, columns and entries (indices from 1)"
            } else {
                ""
            };
            return Err(format!("{none}{how}"));
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
            "unsigned-integer" => Field::Unsigned,
            "complex" => return Err("complex matrices are not supported, only real ones".into()),
            _ => return not(field, "'real', 'double', 'integer', 'unsigned-integer' or 'pattern'"),
        };
        let symmetry = match symmetry {
            "general" => Symmetry::General,
            // Of real numbers, that is the same.
            "symmetric" | "hermitian" => Symmetry::Symmetric,
            "skew-symmetric" => Symmetry::Skew,
            _ => return not(symmetry, "'general', 'symmetric' or 'skew-symmetric'"),
        };
        if field == Field::Pattern && format == Format::Array {
            return Err("a pattern is 'coordinate'".into());
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
    pub(super) rows: u64,
    pub(super) cols: u64,
    /// Entries that the file announces.
    pub(super) count: u64,
    /// Entries read so far.
    done: u64,
    size: Size,
    /// Entries of a pattern that had a value all the same.
    pub(super) ignored: u64,
    /// Whether there were entries below and above the diagonal.
    sides: [bool; 2],
    /// Where the next entry of an array is.
    at: (u64, u64),
}

impl<R: BufRead> Entries<R> {
    /// Reads the header and the sizes.
    pub(super) fn new(source: R, path: &Path, size: Size) -> Result<Self> {
        let mut lines = Lines::new(source, path);
        lines.advance()?;
        let header = Header::parse(lines.current()).map_err(|why| lines.fail(why))?;
        if !lines.advance_to_content(Some(b'%'))? {
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
        if header.mirrored() && rows != cols {
            return Err(lines.fail(format!("{rows}×{cols} can't be symmetric: it is not square")));
        }
        // Entries that are given twice may make more than there are places.
        let count = sizes.get(2).copied().unwrap_or(match header.symmetry {
            Symmetry::General => rows.saturating_mul(cols),
            Symmetry::Symmetric => rows.saturating_mul(rows.saturating_add(1)) / 2,
            Symmetry::Skew => rows.saturating_mul(rows.saturating_sub(1)) / 2,
        });
        let at = (u64::from(header.symmetry == Symmetry::Skew), 0);
        let (done, ignored, sides) = (0, 0, [false; 2]);
        let entries = Entries { lines, header, rows, cols, count, done, size, ignored, sides, at };
        match size.most().map(|bytes| bytes / entries.shortest_line() + 1) {
            Some(most) if count > most => {
                let text = format!("{count} entries have no room in this file: it ends before");
                Err(entries.lines.fail(text))
            }
            _ => Ok(entries),
        }
    }

    /// Bytes of a line with an entry, at least.
    fn shortest_line(&self) -> u64 {
        match (self.header.format, self.header.field) {
            (Format::Array, _) => 2,
            (_, Field::Pattern) => 4,
            _ => 6,
        }
    }

    /// Refuses what has no room in one memory; right after the sizes were read.
    pub(super) fn check_limit(&self) -> Result<()> {
        let (rows, cols) = (self.rows, self.cols);
        if rows.max(cols) < u64::from(u32::MAX) {
            return Ok(());
        }
        Err(self.lines.fail(format!("{rows}×{cols} is too large: 2³² − 2 is the limit of a rank")))
    }

    /// Entries to make room for: those announced, where the file was seen to be long enough.
    pub(super) fn room(&self) -> usize {
        let known = matches!(self.size, Size::Bytes(_));
        (if known { self.count } else { self.count.min(FIRST_ROOM) }) as usize
    }

    /// Refuses sizes that nothing in the file backs, before memory is set aside for them.
    pub(super) fn check_extents(&self) -> Result<()> {
        for (extent, what) in [(self.rows, "rows"), (self.cols, "columns")] {
            if !backed(extent, self.count) {
                let text = format!("{extent} {what} with only {} entries", self.count);
                return Err(Error::file(self.lines.path(), text));
            }
        }
        Ok(())
    }

    /// Whether a symmetric file has entries on both sides of the diagonal.
    pub(super) fn both_sides(&self) -> bool {
        self.header.mirrored() && self.sides == [true; 2]
    }

    pub(super) fn next(&mut self) -> Result<Option<(u64, u64, f64)>> {
        loop {
            match self.following()? {
                // A skew-symmetric file may list the zeros of its diagonal.
                Some((i, j, v)) if i == j && self.header.symmetry == Symmetry::Skew => {
                    if v != 0.0 {
                        let text = "a skew-symmetric matrix has no diagonal entries";
                        return Err(self.lines.fail(text));
                    }
                }
                Some((i, j, v)) => {
                    self.sides[0] |= i > j;
                    self.sides[1] |= i < j;
                    return Ok(Some((i, j, v)));
                }
                None => return Ok(None),
            }
        }
    }

    /// The next entry of the file.
    fn following(&mut self) -> Result<Option<(u64, u64, f64)>> {
        let content = self.lines.advance_to_content(Some(b'%'))?;
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
        match words.next() {
            Some(_) if self.header.field == Field::Pattern => self.ignored += 1,
            Some(word) => {
                return Err(self.lines.fail(format!("{} is one number too many", shown(word))));
            }
            None => {}
        }
        if self.header.format == Format::Array {
            self.at = match (self.header.symmetry, i + 1 < self.rows) {
                (_, true) => (i + 1, j),
                (Symmetry::General, false) => (0, j + 1),
                (Symmetry::Symmetric, false) => (j + 1, j + 1),
                (Symmetry::Skew, false) => (j + 2, j + 1),
            };
        }
        Ok(Some((i, j, value)))
    }

    fn index(&self, word: Option<&[u8]>, limit: u64, what: &str) -> Result<u64> {
        let word = word.ok_or_else(|| self.lines.fail(format!("the {what} is missing")))?;
        match natural(word) {
            Some(k) if (1..=limit).contains(&k) => Ok(k - 1),
            Some(k) => Err(self.lines.fail(format!("{what} {k} is not within 1..{limit}"))),
            None => Err(self.lines.fail(format!("{} is no {what} number", shown(word)))),
        }
    }

    fn value(&self, word: Option<&[u8]>, field: Field) -> Result<f64> {
        let word = word.ok_or_else(|| self.lines.fail("the value is missing"))?;
        let text = std::str::from_utf8(word).ok();
        let value = match field {
            Field::Integer => text.and_then(|t| t.parse::<i64>().ok()).map(|v| v as f64),
            Field::Unsigned => natural(word).map(|v| v as f64),
            _ => text.and_then(real),
        };
        match value {
            Some(v) if v.is_finite() => Ok(v),
            Some(_) => Err(self.lines.fail(format!("{} is not finite", shown(word)))),
            None if field == Field::Integer => {
                Err(self.lines.fail(format!("{} is no integer of 64 bits", shown(word))))
            }
            None if field == Field::Unsigned => {
                let text = format!("{} is no integer of 64 bits without a sign", shown(word));
                Err(self.lines.fail(text))
            }
            None => Err(self.lines.fail(format!("{} is not a number", shown(word)))),
        }
    }
}
