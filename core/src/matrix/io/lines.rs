//! Text that is read line by line through one buffer, and the numbers in it.
use crate::{Error, Result};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// Bytes that a line may have, comments apart.
const LONGEST_LINE: u64 = 1 << 16;

/// A real number; Fortran's `D` may start the exponent.
pub(super) fn real(text: &str) -> Option<f64> {
    text.parse().ok().or_else(|| text.replace(['D', 'd'], "e").parse().ok())
}

/// A number of digits only.
pub(super) fn natural(word: &[u8]) -> Option<u64> {
    let digits = word.strip_prefix(b"+").unwrap_or(word);
    let add = |n: u64, c: &u8| {
        let digit = c.is_ascii_digit().then(|| u64::from(c - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

pub(super) fn shown(word: &[u8]) -> String {
    quoted(&String::from_utf8_lossy(word))
}

pub(super) fn quoted(word: &str) -> String {
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
    pub(super) fn advance(&mut self) -> Result<bool> {
        self.advance_past(None)
    }

    /// As [`advance`](Self::advance); of a comment that is too long, the start is kept.
    fn advance_past(&mut self, comment: Option<u8>) -> Result<bool> {
        self.line.clear();
        let mut source = (&mut self.source).take(LONGEST_LINE);
        let read = source.read_until(b'\n', &mut self.line);
        let read = read.map_err(|e| Error::file(&self.path, e))?;
        self.number += usize::from(read > 0);
        if read as u64 == LONGEST_LINE && self.line.last() != Some(&b'\n') {
            if comment.is_some() && self.first() == comment {
                self.source.skip_until(b'\n').map_err(|e| Error::file(&self.path, e))?;
                return Ok(true);
            }
            return Err(self.fail(format!("a line of more than {LONGEST_LINE} bytes")));
        }
        Ok(read > 0)
    }

    /// Goes to the next line that is neither blank nor a comment, which the given character starts;
    /// `false` at the end.
    pub(super) fn advance_to_content(&mut self, comment: Option<u8>) -> Result<bool> {
        while self.advance_past(comment)? {
            if self.first().is_some_and(|c| Some(c) != comment) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first character of the current line that is no space.
    fn first(&self) -> Option<u8> {
        self.line.iter().copied().find(|c| !c.is_ascii_whitespace())
    }
}

impl<R> Lines<R> {
    /// Before the first line of `source`; errors call it `path`.
    pub(super) fn new(source: R, path: &Path) -> Self {
        Lines { source, path: path.to_owned(), number: 0, line: Vec::new() }
    }

    /// The current line.
    pub(super) fn current(&self) -> &[u8] {
        &self.line
    }

    /// The name of the source.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The words of the current line.
    pub(super) fn words(&self) -> impl Iterator<Item = &[u8]> {
        self.line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
    }

    /// An error in the current line.
    pub(super) fn fail(&self, why: impl Into<String>) -> Error {
        Error::at(&self.path, self.number.max(1), why.into())
    }
}
