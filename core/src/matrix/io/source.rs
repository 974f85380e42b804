//! Text files as they are opened: unpacked where they are gzipped, which their first bytes tell, and refused
//! by name where they are of another format that is well known.
//!
//! Unpacking streams through one buffer; nothing is set aside for what a file claims to hold.
use crate::{Error, Result, input};
use flate2::read::MultiGzDecoder;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

/// Bytes at the start of a file that formats are told by.
const HEAD: u64 = 512;

/// Bytes that one byte of a gzipped file can stand for, at most.
pub(super) const DEFLATE: u64 = 1032;

/// An open text file.
pub(super) struct Source {
    pub(super) text: Box<dyn BufRead>,
    pub(super) size: Size,
}

/// What is known of the length of a text.
#[derive(Clone, Copy)]
pub(super) enum Size {
    /// Its bytes.
    Bytes(u64),
    /// The bytes of the gzipped file that it is in.
    Packed(u64),
    /// Nothing: a pipe, or a source without a file.
    Unknown,
}

impl Size {
    /// Bytes of the text, at most.
    pub(super) fn most(self) -> Option<u64> {
        match self {
            Size::Bytes(bytes) => Some(bytes),
            Size::Packed(bytes) => Some(bytes.saturating_mul(DEFLATE)),
            Size::Unknown => None,
        }
    }
}

/// Opens a text file; one of another format is refused.
pub(super) fn open(path: &Path) -> Result<Source> {
    opened(path, foreign)
}

/// Opens a text file whose format is known.
pub(super) fn open_known(path: &Path) -> Result<Source> {
    opened(path, |_| None)
}

/// The first bytes of a file, of what is in it where it is gzipped.
pub(super) fn head(path: &Path) -> Result<Vec<u8>> {
    let mut source = open_known(path)?.text;
    start(&mut source).map_err(|e| Error::file(path, e))
}

fn opened(path: &Path, foreign: impl Fn(&[u8]) -> Option<String>) -> Result<Source> {
    let fail = |e| Error::file(path, e);
    let mut file = input::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    let head = start(&mut file).map_err(fail)?;
    if let Some(what) = foreign(&head) {
        return Err(Error::file(path, what));
    }
    let gzipped = head.starts_with(b"\x1f\x8b");
    let whole = Cursor::new(head).chain(file);
    if !gzipped {
        let size = if metadata.is_file() { Size::Bytes(metadata.len()) } else { Size::Unknown };
        return Ok(Source { text: Box::new(BufReader::with_capacity(1 << 16, whole)), size });
    }
    let mut unpacked = Unpacked(MultiGzDecoder::new(whole));
    let head = start(&mut unpacked).map_err(fail)?;
    if let Some(what) = foreign(&head) {
        return Err(Error::file(path, format!("gzipped, and inside {what}")));
    }
    let size = if metadata.is_file() { Size::Packed(metadata.len()) } else { Size::Unknown };
    let whole = Cursor::new(head).chain(unpacked);
    Ok(Source { text: Box::new(BufReader::with_capacity(1 << 16, whole)), size })
}

/// The first bytes, as many as there are up to [`HEAD`].
fn start(source: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    source.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// What is unpacked, with errors that say so.
struct Unpacked<R>(R);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer).map_err(|e| {
            let text = format!("cannot be unpacked with gzip, so it is damaged or cut short: {e}");
            std::io::Error::new(e.kind(), text)
        })
    }
}

const CONVERT: &str = "write it as a Matrix Market file first (scipy.io.mmwrite)";
const UNPACK: &str = "unpack it first";
const AGAIN: &str = "get the file itself";

/// How files of other formats begin, what they are, and what to do.
const OTHERS: [(&[u8], &str, &str); 19] = [
    (b"PK\x03\x04", "a zip archive, as NumPy's npz files are", CONVERT),
    (b"PK\x05\x06", "an empty zip archive", AGAIN),
    (b"\x93NUMPY", "a NumPy array (npy)", CONVERT),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file (mat, version 5)", CONVERT),
    (b"MATLAB 7.3 MAT-file", "a MATLAB file (mat, version 7.3, which is HDF5)", CONVERT),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", CONVERT),
    (b"BZh", "a bzip2 file", UNPACK),
    (b"\xfd7zXZ\0", "an xz file", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd file", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"\x1f\x9d", "a file of Unix' compress (Z)", UNPACK),
    (b"Mat Object:", "PETSc's printed view of a matrix", "write PETSc's binary format"),
    (b"%Mat Object:", "PETSc's view of a matrix for MATLAB", "write PETSc's binary format"),
    (b"Vec Object:", "PETSc's printed view of a vector", "write PETSc's binary format"),
    (b"%Vec Object:", "PETSc's view of a vector for MATLAB", "write PETSc's binary format"),
    (b"%PDF-", "a PDF document", AGAIN),
    (b"<?xml", "an XML document", AGAIN),
    (&1_211_216_u32.to_be_bytes(), "a matrix in PETSc's binary format", UNPACK),
    (&1_211_214_u32.to_be_bytes(), "a vector in PETSc's binary format", UNPACK),
];

/// What a file that begins so is and what to do, where it is of a known format that is not read.
fn foreign(head: &[u8]) -> Option<String> {
    let known = OTHERS.iter().find(|(magic, ..)| head.starts_with(magic));
    let found = known.map(|(_, what, how)| (*what, *how));
    let found = found.or_else(|| {
        head.get(257..262).filter(|at| at == b"ustar").map(|_| ("a tar archive", UNPACK))
    });
    let found =
        found.or_else(|| is_matlab_4(head).then_some(("a MATLAB file (mat, version 4)", CONVERT)));
    let found = found.or_else(|| is_html(head).then_some(("an HTML page", AGAIN)));
    match found {
        Some((what, how)) => Some(format!("this is {what}; {how}")),
        None => boeing(head).map(|kind| {
            let what = "a Harwell-Boeing or Rutherford-Boeing file";
            match kind.starts_with('C') {
                true => format!(
                    "this is {what}, and its matrix is complex ({kind}); only real ones are read"
                ),
                false => format!("this is {what} ({kind}); {CONVERT}"),
            }
        }),
    }
}

fn is_html(head: &[u8]) -> bool {
    let text = head.trim_ascii_start().to_ascii_lowercase();
    text.starts_with(b"<!doctype html") || text.starts_with(b"<html")
}

/// Five numbers of 32 bits (type, rows, columns, whether complex, length of a name) and the name.
fn is_matlab_4(head: &[u8]) -> bool {
    let number = |k: usize| {
        head.get(4 * k..4 * k + 4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    };
    let (Some(kind), Some(complex), Some(length)) = (number(0), number(3), number(4)) else {
        return false;
    };
    let end = 19 + length as usize;
    kind <= 52 && complex <= 1 && (2..=64).contains(&length) && head.get(end) == Some(&0)
}

/// The type (RSA, PUA, …) that stands at the start of the third line, after a line of five numbers.
pub(super) fn boeing(head: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(head).ok().or_else(|| {
        // The cut after the first bytes may go through a character.
        std::str::from_utf8(&head[..head.len().saturating_sub(4)]).ok()
    })?;
    let mut lines = text.lines().skip(1);
    let numbers = lines.next()?.split_ascii_whitespace().collect::<Vec<_>>();
    let mut words = lines.next()?.split_ascii_whitespace();
    let kind = words.next()?.to_ascii_uppercase();
    let letters: Vec<char> = kind.chars().collect();
    let typed = matches!(letters[..], [a, b, c]
        if "RCPIQ".contains(a) && "SUHZR".contains(b) && "AE".contains(c));
    let counted = (3..=5).contains(&numbers.len())
        && numbers.into_iter().chain(words.take(3)).all(|word| word.parse::<i64>().is_ok());
    (typed && counted).then_some(kind)
}
