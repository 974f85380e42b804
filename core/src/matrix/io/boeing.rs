//! Harwell-Boeing and Rutherford-Boeing files: columns of numbers in Fortran's fixed formats, indices from 1.
//!
//! ```text
//! title                                                                   key
//!              5             1             1             2             1     lines: all, pointers, rows, values, b
//! RSA                        3             3             4             0     type, rows, columns, entries
//! (4I5)           (4I5)           (3E16.8)            (3E16.8)               formats
//! F                          1             0                                  where there are right-hand sides
//!     1    3    4    5                                                        where each column starts
//! …
//! ```
//!
//! Read: types R (real), I (integer) and P (pattern: entries of 1), that are U (unsymmetric), S (symmetric), Z (skew-symmetric)
//! or R (rectangular), assembled (A); of a symmetric matrix the given triangle is either. Numbers may touch one another, their
//! exponents may begin with D, or with their sign; without a point the format's decimals count, and its scale factor where there
//! is no exponent. Of right-hand sides, full ones (F). Files may be gzipped. Refused: complex matrices, matrices of
//! elements (E), values in other files (Q), values that are not finite.
//!
//! Lines are counted from the numbers and the formats, as Fortran's own READ does. Cost: three readers go through the file
//! side by side, so that nothing but the matrix itself is in memory.
//!
//! References: I. S. Duff, R. G. Grimes, J. G. Lewis, *Users' Guide for the Harwell-Boeing Sparse Matrix Collection*, 1992; *The
//! Rutherford-Boeing Sparse Matrix Collection*, RAL-TR-97-031, 1997.
mod fields;

use super::lines::{Lines, natural, quoted};
use super::rows::backed;
use super::source::{self, Source};
use super::stream::{self, Extents, Stream};
use crate::comm::Comm;
use crate::matrix::{Csr, DistCsr};
use crate::{Error, Result, memory};
use fields::{Fields, Format};
use std::io::BufRead;
use std::path::Path;

/// Whether a file, unpacked where it is gzipped, begins like one of these.
pub fn is_boeing(path: &Path) -> bool {
    source::head(path).is_ok_and(|head| source::boeing(&head).is_some())
}

/// Reads a matrix; what is to be known of the file is added to `notes`.
///
/// # Errors
/// [`Error::File`] with the line and what is wrong there.
pub fn read_noting(path: &Path, notes: &mut Vec<String>) -> Result<Csr> {
    stream::whole(path, &mut Entries::open(path)?, notes)
}

/// Reads a matrix for all ranks, in blocks of nearly equally many rows. Rank 0 reads the file. Collective.
///
/// # Errors
/// As [`read_noting`], on all ranks; for a matrix that is not square.
pub fn read_on_ranks(path: &Path, comm: &Comm, notes: &mut Vec<String>) -> Result<DistCsr> {
    stream::on_ranks(path, comm, || Entries::open(path), notes)
}

/// The numbers of rows and columns that a file announces.
///
/// # Errors
/// As [`read_noting`].
pub fn extents(path: &Path) -> Result<(u64, u64)> {
    let (head, _) = Head::open(path)?;
    Ok((head.rows, head.cols))
}

/// The right-hand sides behind the matrix; none where the file has none.
///
/// # Errors
/// As [`read_noting`]; for ones that are stored like the matrix.
pub fn right_hand_sides(path: &Path) -> Result<Vec<Vec<f64>>> {
    let (head, _) = Head::open(path)?;
    let Some(Given { count, format, at }) = &head.given else { return Ok(Vec::new()) };
    if !backed(head.rows, head.entries) {
        return Err(Error::file(
            path,
            format!("{} rows with only {} entries", head.rows, head.entries),
        ));
    }
    let mut fields = head.fields(path, head.given_from(), *format, "right-hand sides")?;
    // Room for what the file has, not for what it announces.
    let mut columns = Vec::new();
    for k in 0..*count {
        let mut column = Vec::new();
        for _ in 0..head.rows {
            let value = fields.real()?;
            memory::push(&mut column, value, "a right-hand side")?;
        }
        if column.is_empty() {
            return Err(Error::at(path, *at, format!("right-hand side {} is empty", k + 1)));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// What the symmetry of a matrix says of the other triangle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mirror {
    None,
    Same,
    Negative,
}

/// What stands before the numbers.
struct Head {
    /// Lines before the pointers.
    lines: u64,
    rows: u64,
    cols: u64,
    entries: u64,
    mirror: Mirror,
    pointers: Format,
    indices: Format,
    /// None for a pattern.
    values: Option<Format>,
    given: Option<Given>,
}

/// Right-hand sides.
struct Given {
    count: u64,
    format: Format,
    /// Their line in the head.
    at: usize,
}

impl Head {
    /// Reads the head of a file, and what its text is at most long.
    fn open(path: &Path) -> Result<(Head, Option<u64>)> {
        let Source { text, size } = source::open_known(path)?;
        let mut lines = Lines::new(text, path);
        let head = Head::read(&mut lines)?;
        // Each column, and each entry, has a number at least.
        let numbers = head.cols.saturating_add(head.entries);
        if size.most().is_some_and(|bytes| numbers > bytes) {
            let text = format!("{numbers} columns and entries have no room in this file");
            return Err(Error::at(path, 3, text));
        }
        Ok((head, size.most()))
    }

    fn read(lines: &mut Lines<impl BufRead>) -> Result<Head> {
        let mut line = |what: &str| match lines.advance()? {
            true => Ok(()),
            false => Err(lines.fail(format!("the file ends before its {what}"))),
        };
        line("title")?;
        line("numbers of lines")?;
        let counts: Vec<Option<u64>> = lines.words().map(natural).collect();
        let given = counts.get(4).copied().flatten().is_some_and(|lines| lines > 0);
        if counts.len() < 3 || counts.iter().any(Option::is_none) {
            return Err(lines.fail("three to five numbers of lines must stand here"));
        }
        let mut line = |what: &str| match lines.advance()? {
            true => Ok(()),
            false => Err(lines.fail(format!("the file ends before its {what}"))),
        };
        line("type")?;
        let words: Vec<Vec<u8>> = lines.words().map(<[u8]>::to_vec).collect();
        let kind = words
            .first()
            .map_or(String::new(), |word| String::from_utf8_lossy(word).to_uppercase());
        let (pattern, mirror) = kind_of(&kind).map_err(|why| lines.fail(why))?;
        let sizes: Option<Vec<u64>> =
            words.iter().skip(1).take(3).map(|word| natural(word)).collect();
        let Some(&[rows, cols, entries]) = sizes.as_deref() else {
            return Err(
                lines.fail("the numbers of rows, columns and entries must stand behind the type")
            );
        };
        if mirror != Mirror::None && rows != cols {
            return Err(lines.fail(format!("{rows}×{cols} can't be symmetric: it is not square")));
        }
        let mut line = |what: &str| match lines.advance()? {
            true => Ok(()),
            false => Err(lines.fail(format!("the file ends before its {what}"))),
        };
        line("formats")?;
        let formats = fields::formats(lines.current()).map_err(|why| lines.fail(why))?;
        let format = |k: usize, what: &str| {
            let missing = || lines.fail(format!("the format of the {what} is missing"));
            formats.get(k).copied().ok_or_else(missing)
        };
        let pointers = format(0, "pointers")?;
        let indices = format(1, "row numbers")?;
        let values = if pattern { None } else { Some(format(2, "values")?) };
        // Behind the values, whose format a pattern may leave out.
        let place = if pattern && formats.len() == 3 { 2 } else { 3 };
        let of_given = given.then(|| format(place, "right-hand sides")).transpose()?;
        let mut head =
            Head { lines: 4, rows, cols, entries, mirror, pointers, indices, values, given: None };
        if let Some(format) = of_given {
            if !lines.advance()? {
                return Err(lines.fail("the file ends before its kind of right-hand sides"));
            }
            let mut words = lines.words();
            let kind = words
                .next()
                .map_or(String::new(), |word| String::from_utf8_lossy(word).to_uppercase());
            let count = words.next().and_then(natural);
            let Some(count) = count.filter(|_| kind.starts_with('F')) else {
                let why = "right-hand sides of the kind";
                return Err(
                    lines.fail(format!("{why} {}: only full ones (F) are read", quoted(&kind)))
                );
            };
            head.lines = 5;
            head.given = Some(Given { count, format, at: 5 });
        }
        Ok(head)
    }

    fn indices_from(&self) -> u64 {
        self.lines + self.pointers.lines(self.cols.saturating_add(1))
    }

    fn values_from(&self) -> u64 {
        self.indices_from().saturating_add(self.indices.lines(self.entries))
    }

    fn given_from(&self) -> u64 {
        let values = self.values.map_or(0, |format| format.lines(self.entries));
        self.values_from().saturating_add(values)
    }

    /// Numbers that begin behind so many lines.
    fn fields(
        &self,
        path: &Path,
        behind: u64,
        format: Format,
        what: &'static str,
    ) -> Result<Fields> {
        let Source { text, .. } = source::open_known(path)?;
        let mut lines = Lines::new(text, path);
        for _ in 0..behind {
            if !lines.advance()? {
                return Err(lines.fail(format!("the file ends before its {what}")));
            }
        }
        Ok(Fields::new(lines, format, what))
    }
}

/// Whether a type is a pattern, and what it says of the other triangle.
fn kind_of(kind: &str) -> std::result::Result<(bool, Mirror), String> {
    let letters: Vec<char> = kind.chars().collect();
    let &[values, symmetry, form] = letters.as_slice() else {
        return Err(format!("{} is no type of a matrix (RSA, PUA, …)", quoted(kind)));
    };
    let pattern = match values {
        'R' | 'I' => false,
        'P' => true,
        'C' => return Err(format!("the matrix is complex ({kind}); only real ones are read")),
        'Q' => return Err(format!("the values are in another file ({kind}), which is not read")),
        _ => return Err(format!("{} is no type of a matrix (RSA, PUA, …)", quoted(kind))),
    };
    let mirror = match symmetry {
        'U' | 'R' => Mirror::None,
        // Of real numbers, Hermitian is the same.
        'S' | 'H' => Mirror::Same,
        'Z' => Mirror::Negative,
        _ => return Err(format!("{} is no type of a matrix (RSA, PUA, …)", quoted(kind))),
    };
    match form {
        'A' => Ok((pattern, mirror)),
        'E' => Err(format!(
            "the matrix is given by its elements ({kind}); only assembled ones are read"
        )),
        _ => Err(format!("{} is no type of a matrix (RSA, PUA, …)", quoted(kind))),
    }
}

/// The entries of a file, column by column.
struct Entries {
    head: Head,
    pointers: Fields,
    indices: Fields,
    values: Option<Fields>,
    /// Columns begun, and where the last of them ends, counted from 1.
    column: u64,
    end: u64,
    done: u64,
    mirrored: Option<(u64, u64, f64)>,
}

impl Entries {
    fn open(path: &Path) -> Result<Entries> {
        let (head, _) = Head::open(path)?;
        let mut pointers = head.fields(path, head.lines, head.pointers, "pointers")?;
        let indices = head.fields(path, head.indices_from(), head.indices, "row numbers")?;
        let values = match head.values {
            Some(format) => Some(head.fields(path, head.values_from(), format, "values")?),
            None => None,
        };
        let first = pointers.natural()?;
        if first != 1 {
            return Err(pointers.fail(format!("the first pointer is {first}, not 1")));
        }
        Ok(Entries { head, pointers, indices, values, column: 0, end: 1, done: 0, mirrored: None })
    }
}

impl Stream for Entries {
    fn extents(&self) -> Extents {
        let Head { rows, cols, entries, mirror, .. } = self.head;
        let mirrored = mirror != Mirror::None;
        let count = if mirrored { entries.saturating_mul(2) } else { entries };
        Extents { rows, cols, count, mirrored }
    }

    fn next(&mut self) -> Result<Option<(u64, u64, f64)>> {
        if let Some(entry) = self.mirrored.take() {
            return Ok(Some(entry));
        }
        let Head { rows, cols, entries, mirror, .. } = self.head;
        // Columns without entries follow one another.
        while self.done + 1 >= self.end {
            if self.column == cols {
                return match self.done == entries {
                    true => Ok(None),
                    false => Err(self.pointers.fail(format!(
                        "the last pointer is {}, for {entries} entries it must be {}",
                        self.end,
                        entries + 1
                    ))),
                };
            }
            let next = self.pointers.natural()?;
            if next < self.end || next - 1 > entries {
                let (least, most) = (self.end, entries + 1);
                return Err(self
                    .pointers
                    .fail(format!("the pointer {next} is not within {least}..{most}")));
            }
            (self.end, self.column) = (next, self.column + 1);
        }
        let row = self.indices.natural()?;
        if row == 0 || row > rows {
            return Err(self.indices.fail(format!("row {row} is not within 1..{rows}")));
        }
        let value = self.values.as_mut().map_or(Ok(1.0), Fields::real)?;
        self.done += 1;
        let (i, j) = (row - 1, self.column - 1);
        if mirror == Mirror::Negative && i == j && value != 0.0 {
            return Err(self.indices.fail("a skew-symmetric matrix has no diagonal entries"));
        }
        if mirror != Mirror::None && i != j {
            let sign = if mirror == Mirror::Negative { -1.0 } else { 1.0 };
            self.mirrored = Some((j, i, sign * value));
        }
        Ok(Some((i, j, value)))
    }
}
