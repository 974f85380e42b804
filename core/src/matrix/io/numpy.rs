//! NumPy's arrays in files, `.npy`: vectors, several side by side, dense matrices.
//!
//! ```text
//! \x93NUMPY  version (2 bytes)  length of the header (2 or 4 bytes, little-endian)
//! {'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }
//! numbers
//! ```
//!
//! Read: floating point numbers of 32 and 64 bits, integers and booleans, in either order of bytes, by rows or by columns.
//! Refused: complex numbers, other precisions, structured arrays, and objects, which are programs. A vector has one dimension,
//! or two: then each column is one.
//!
//! Cost: numbers are read through one buffer, and what the header announces is compared with the length of the file first.
//!
//! Reference: NEP 1, *A Simple File Format for NumPy Arrays*.
use super::rows::READ;
use super::stream::{self, Extents, Stream};
use crate::comm::Comm;
use crate::matrix::{Csr, DistCsr};
use crate::{Error, Result, file, input, memory};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes of a header, at most.
const LONGEST: u64 = 1 << 16;

/// Whether a file begins like one of these.
pub fn is_npy(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = input::open(path).and_then(|file| file.take(6).read_to_end(&mut start));
    read.is_ok() && start == MAGIC
}

/// The columns of an array; one of one dimension is one.
///
/// # Errors
/// [`Error::File`] with what is wrong, and at which number.
pub fn read_columns(path: &Path) -> Result<Vec<Vec<f64>>> {
    let mut array = open(path)?;
    let (rows, cols) = match *array.header.shape.as_slice() {
        [n] => (n, 1),
        [n, k] => (n, k),
        ref shape => {
            let text = format!("the array has {} dimensions; vectors have one or two", shape.len());
            return Err(Error::file(path, text));
        }
    };
    let room = rows.checked_mul(cols).map_or(usize::MAX, |count| count as usize);
    let mut flat = Vec::new();
    memory::reserve(&mut flat, room, READ)?;
    while let Some(value) = array.real()? {
        flat.push(value);
    }
    let (rows, cols) = (rows as usize, cols as usize);
    Ok(match array.header.fortran {
        true if rows > 0 => flat.chunks(rows).map(<[f64]>::to_vec).collect(),
        _ => {
            (0..cols).map(|k| flat.iter().skip(k).step_by(cols.max(1)).copied().collect()).collect()
        }
    })
}

/// The shape that a file announces: rows and columns, of which a vector has one.
///
/// # Errors
/// As [`read_columns`].
pub fn extents(path: &Path) -> Result<(u64, u64)> {
    match *open(path)?.header.shape.as_slice() {
        [rows] => Ok((rows, 1)),
        [rows, cols] => Ok((rows, cols)),
        ref shape => Err(Error::file(path, format!("the array has {} dimensions", shape.len()))),
    }
}

/// Reads a dense matrix, of which zeros are not stored.
///
/// # Errors
/// As [`read_columns`].
pub fn read_matrix(path: &Path, notes: &mut Vec<String>) -> Result<Csr> {
    stream::whole(path, &mut Dense::open(path)?, notes)
}

/// Reads a dense matrix for all ranks. Rank 0 reads the file. Collective.
///
/// # Errors
/// As [`read_columns`], on all ranks; for a matrix that is not square.
pub fn read_on_ranks(path: &Path, comm: &Comm, notes: &mut Vec<String>) -> Result<DistCsr> {
    stream::on_ranks(path, comm, || Dense::open(path), notes)
}

/// Writes rows of `width` numbers, one after the other in `rows`; of one number a row, an array of one dimension. The file
/// is [replaced](file::replace) whole.
///
/// # Errors
/// [`Error::File`] where it cannot be written, [`Error::Data`] for values that are not finite, and where the last row is not
/// whole.
pub fn write_rows(path: &Path, width: usize, rows: &[f64]) -> Result<()> {
    if width == 0 || !rows.len().is_multiple_of(width) {
        return Err(Error::Data(format!("{} numbers are no rows of {width}", rows.len())));
    }
    if let Some(k) = rows.iter().position(|v| !v.is_finite()) {
        return Err(Error::Data(format!("value {k} is {}: not to be written", rows[k])));
    }
    let (n, width) = ((rows.len() / width) as u64, width as u64);
    let shape = if width == 1 { vec![n] } else { vec![n, width] };
    file::replace(path, |out| {
        out.write_all(&header("<f8", &shape))?;
        rows.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))
    })
}

/// The header of an array that is written, its magic number included.
pub(super) fn header(descr: &str, shape: &[u64]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|n| format!("{n},")).collect();
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    // Numbers begin at a multiple of 64 bytes.
    while !(MAGIC.len() + 4 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let length = (text.len() as u16).to_le_bytes();
    [MAGIC, &[1, 0], &length, text.as_bytes()].concat()
}

/// What numbers are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Float,
    Signed,
    Unsigned,
    /// Bytes or characters of four bytes.
    Text,
}

/// What stands before the numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Bytes of a number.
    pub(super) size: u64,
    big: bool,
    pub(super) fortran: bool,
    pub(super) shape: Vec<u64>,
}

impl Header {
    /// Numbers in the array; none where they are more than can be counted.
    pub(super) fn count(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, n| product.checked_mul(*n))
    }

    /// Reads a header, and how many bytes it has.
    fn read(source: &mut impl Read) -> std::result::Result<(Header, u64), String> {
        let mut start = [0; 8];
        source.read_exact(&mut start).map_err(|_| "the file ends within its header")?;
        if &start[..6] != MAGIC {
            return Err("no NumPy array: it starts with no \\x93NUMPY".into());
        }
        let mut length = [0; 4];
        let wide = match start[6] {
            1 => 2,
            2 | 3 => 4,
            version => return Err(format!("version {version} of NumPy's format is not known")),
        };
        source.read_exact(&mut length[..wide]).map_err(|_| "the file ends within its header")?;
        let length = u64::from(u32::from_le_bytes(length));
        if length > LONGEST {
            return Err(format!("a header of {length} bytes; {LONGEST} are the most"));
        }
        let mut text = vec![0; length as usize];
        source.read_exact(&mut text).map_err(|_| "the file ends within its header")?;
        let header = Header::parse(&String::from_utf8_lossy(&text))?;
        Ok((header, 8 + wide as u64 + length))
    }

    /// Out of Python's text of a dictionary.
    fn parse(text: &str) -> std::result::Result<Header, String> {
        let value = |key: &str| {
            let quoted = [format!("'{key}'"), format!("\"{key}\"")];
            let at = quoted.iter().find_map(|quoted| text.find(quoted.as_str()))?;
            Some(text[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start())
        };
        let missing = |key: &str| format!("the header has no '{key}': {}", short(text));
        let descr = value("descr").ok_or_else(|| missing("descr"))?;
        let Some(quote) = descr.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return Err("a structured array, which has no numbers alone".into());
        };
        let descr = descr[1..].split(quote).next().unwrap_or_default();
        let fortran = value("fortran_order").ok_or_else(|| missing("fortran_order"))?;
        let fortran = match () {
            () if fortran.starts_with("True") => true,
            () if fortran.starts_with("False") => false,
            () => {
                return Err(format!(
                    "'fortran_order' is neither True nor False: {}",
                    short(fortran)
                ));
            }
        };
        let shape = value("shape").ok_or_else(|| missing("shape"))?;
        let inside = shape.strip_prefix('(').and_then(|rest| rest.split(')').next());
        let sizes = inside.unwrap_or_default().split(',').map(|n| n.trim().trim_end_matches('L'));
        let sizes: Option<Vec<u64>> =
            sizes.filter(|n| !n.is_empty()).map(|n| n.parse().ok()).collect();
        let Some(shape) = sizes.filter(|_| inside.is_some()) else {
            return Err(format!("'shape' is no tuple of sizes: {}", short(shape)));
        };
        let (kind, size, big) = kind_of(descr)?;
        Ok(Header { kind, size, big, fortran, shape })
    }
}

/// The beginning of a text that is shown.
fn short(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

/// Kind, bytes and order of a type: `<f8`.
fn kind_of(descr: &str) -> std::result::Result<(Kind, u64, bool), String> {
    let shown = short(descr);
    let other = || {
        format!(
            "numbers of the type '{shown}' are not read: float32, float64, integers and booleans are"
        )
    };
    let big = descr.starts_with('>');
    let rest = descr.trim_start_matches(['<', '>', '=', '|']);
    let mut letters = rest.chars();
    let letter = letters.next().ok_or_else(other)?;
    let size: u64 = letters.as_str().parse().map_err(|_| other())?;
    let kind = match (letter, size) {
        ('f', 4 | 8) => Kind::Float,
        ('i', 1 | 2 | 4 | 8) => Kind::Signed,
        ('u', 1 | 2 | 4 | 8) | ('b', 1) => Kind::Unsigned,
        ('S', 1..=64) => Kind::Text,
        ('U', 1..=64) => return Ok((Kind::Text, 4 * size, big)),
        ('c', _) => return Err("the numbers are complex; only real ones are read".into()),
        ('O', _) => {
            return Err("an array of Python objects, which are programs and are not run".into());
        }
        _ => return Err(other()),
    };
    Ok((kind, size, big))
}

/// An array that is read number by number.
pub(super) struct Array {
    path: PathBuf,
    /// What errors call it, in a file of several.
    name: Option<String>,
    pub(super) header: Header,
    source: Box<dyn Read>,
    done: u64,
    count: u64,
}

impl Array {
    /// Out of `source`, which has `bytes` bytes, at most; exactly so many where it is a file of its own.
    pub(super) fn new(
        path: &Path,
        name: Option<&str>,
        mut source: Box<dyn Read>,
        (bytes, exactly): (u64, bool),
    ) -> Result<Array> {
        let name = name.map(str::to_owned);
        let fail = |why: String| Error::file(path, in_array(name.as_deref(), why));
        let (header, before) = Header::read(&mut source).map_err(&fail)?;
        let shape = &header.shape;
        let count = header.count();
        let needed = count
            .and_then(|count| count.checked_mul(header.size))
            .and_then(|n| n.checked_add(before));
        let (Some(count), Some(needed)) = (count, needed) else {
            return Err(fail(format!("an array of the shape {shape:?} has no room in any file")));
        };
        if needed > bytes || (exactly && needed != bytes) {
            let size = header.size;
            let text = format!(
                "an array of the shape {shape:?} and {size} bytes a number takes {needed} bytes with its header; there are {bytes}"
            );
            return Err(fail(text));
        }
        Ok(Array { path: path.to_owned(), name, header, source, done: 0, count })
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// An error at the last number.
    pub(super) fn fail(&self, why: impl std::fmt::Display) -> Error {
        let at = self.done.saturating_sub(1);
        Error::file(&self.path, in_array(self.name.as_deref(), format!("number {at}: {why}")))
    }

    /// The bytes of the next number; none behind the last one.
    fn bytes(&mut self) -> Result<Option<[u8; 8]>> {
        if self.done == self.count {
            return Ok(None);
        }
        let mut bytes = [0; 8];
        let size = self.header.size as usize;
        if self.header.kind == Kind::Text {
            return Err(self.fail("text in the place of numbers"));
        }
        self.done += 1;
        let read = self.source.read_exact(&mut bytes[..size]);
        read.map_err(|e| self.fail(format!("cannot be read: {e}")))?;
        if self.header.big {
            bytes[..size].reverse();
        }
        Ok(Some(bytes))
    }

    /// The next number, which has to be finite.
    pub(super) fn real(&mut self) -> Result<Option<f64>> {
        let Some(bytes) = self.bytes()? else { return Ok(None) };
        let word = u64::from_le_bytes(bytes);
        let value = match (self.header.kind, self.header.size) {
            (Kind::Float, 4) => f64::from(f32::from_bits(word as u32)),
            (Kind::Float, _) => f64::from_bits(word),
            (Kind::Signed, size) => signed(word, size) as f64,
            _ => word as f64,
        };
        if value.is_finite() {
            Ok(Some(value))
        } else {
            Err(self.fail(format!("{value} is not finite")))
        }
    }

    /// The next number, which has to be an integer.
    pub(super) fn integer(&mut self) -> Result<Option<i64>> {
        let Some(bytes) = self.bytes()? else { return Ok(None) };
        let word = u64::from_le_bytes(bytes);
        match (self.header.kind, self.header.size) {
            (Kind::Signed, size) => Ok(Some(signed(word, size))),
            (Kind::Unsigned, _) => {
                let number = i64::try_from(word);
                number.map(Some).map_err(|_| self.fail(format!("{word} is too large")))
            }
            _ => Err(self.fail("no integer")),
        }
    }

    /// All of a short text.
    pub(super) fn text(&mut self) -> Result<String> {
        if self.header.kind != Kind::Text || self.count != 1 {
            return Err(self.fail("no text"));
        }
        let mut bytes = vec![0; self.header.size as usize];
        let read = self.source.read_exact(&mut bytes);
        read.map_err(|e| self.fail(format!("cannot be read: {e}")))?;
        bytes.retain(|byte| *byte != 0);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reads what is behind the last number, which nothing may be; whoever unpacks compares its checksum then.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.source.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.fail("there is more behind the last number")),
            Err(e) => Err(self.fail(e)),
        }
    }
}

fn in_array(name: Option<&str>, why: String) -> String {
    name.map_or(why.clone(), |name| format!("'{name}': {why}"))
}

/// A number of so many bytes with its sign.
fn signed(word: u64, size: u64) -> i64 {
    let unused = 64 - 8 * size as u32;
    ((word << unused) as i64) >> unused
}

fn open(path: &Path) -> Result<Array> {
    let file = input::open(path).map_err(|e| Error::file(path, e))?;
    let bytes = file.metadata().map_err(|e| Error::file(path, e))?.len();
    Array::new(path, None, Box::new(BufReader::with_capacity(1 << 16, file)), (bytes, true))
}

/// The entries of a dense matrix.
struct Dense {
    array: Array,
    rows: u64,
    cols: u64,
}

impl Dense {
    fn open(path: &Path) -> Result<Dense> {
        let array = open(path)?;
        let &[rows, cols] = array.header.shape.as_slice() else {
            let text = format!("an array of the shape {:?} is no matrix", array.header.shape);
            return Err(Error::file(path, text));
        };
        Ok(Dense { array, rows, cols })
    }
}

impl Stream for Dense {
    fn extents(&self) -> Extents {
        Extents { rows: self.rows, cols: self.cols, count: self.array.count(), mirrored: false }
    }

    fn next(&mut self) -> Result<Option<(u64, u64, f64)>> {
        loop {
            let at = self.array.done;
            let Some(value) = self.array.real()? else { return Ok(None) };
            if value != 0.0 {
                let (i, j) = match self.array.header.fortran {
                    true => (at % self.rows, at / self.rows),
                    false => (at / self.cols, at % self.cols),
                };
                return Ok(Some((i, j, value)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_understood_as_numpy_writes_them() {
        let of = |text: &str| Header::parse(text);
        let header = of("{'descr': '>i4', 'fortran_order': True, 'shape': (3, 2L), }  \n")
            .expect("a header");
        let shape = vec![3, 2];
        assert_eq!(header, Header { kind: Kind::Signed, size: 4, big: true, fortran: true, shape });
        assert_eq!(
            of("{'descr':'|b1','fortran_order':False,'shape':()}").expect("a header").count(),
            Some(1)
        );
        for (text, why) in [
            ("{}", "no 'descr'"),
            ("{'descr': '<c16', 'fortran_order': False, 'shape': (1,)}", "complex"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "not read"),
            ("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", "structured"),
            ("{'descr': '<f2', 'fortran_order': False, 'shape': (1,)}", "'<f2' are not read"),
            ("{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}", "neither True nor False"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", "no tuple of sizes"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': 3}", "no tuple of sizes"),
        ] {
            let said = of(text).expect_err("refused");
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn numbers_keep_their_signs() {
        assert_eq!([signed(0xff, 1), signed(0x7f, 1), signed(u64::MAX, 8)], [-1, 127, -1]);
        assert_eq!(header("<f8", &[3]).len() % 64, 0);
    }
}
