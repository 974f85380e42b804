//! The parts of a PETSc binary file, and numbers out of the middle of it.
use crate::{Error, Result, input};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Class numbers that PETSc writes before an object.
pub(super) const MATRIX: i64 = 1_211_216;
pub(super) const VECTOR: i64 = 1_211_214;
const INDEX_SET: i64 = 1_211_218;

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 16;

/// Width of the integers in a file: how the PETSc that wrote it, or is to read it, was configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Indices {
    /// 32 bits: PETSc's default.
    #[default]
    Bits32,
    /// 64 bits: `--with-64-bit-indices`.
    Bits64,
}

impl Indices {
    /// Bytes of an integer.
    pub fn bytes(self) -> u64 {
        match self {
            Indices::Bits32 => 4,
            Indices::Bits64 => 8,
        }
    }
}

/// An object in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A sparse matrix.
    Matrix {
        /// Rows.
        rows: u64,
        /// Columns.
        cols: u64,
        /// Stored entries.
        entries: u64,
    },
    /// A vector.
    Vector {
        /// Entries.
        len: u64,
    },
    /// A list of indices, of no use here.
    IndexSet {
        /// Indices.
        len: u64,
    },
}

/// An object and where it is.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) object: Object,
    /// Byte of its class number.
    pub(super) at: u64,
    /// Byte after its header.
    pub(super) data: u64,
}

pub(super) fn fault(path: &Path, at: u64, message: impl std::fmt::Display) -> Error {
    Error::file(path, format!("byte {at}: {message}"))
}

/// Whether the file begins like one of PETSc's binary files.
///
/// # Errors
/// [`Error::File`] where it cannot be read.
pub fn is_petsc_binary(path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    let file = input::open(path).map_err(|e| Error::file(path, e))?;
    file.take(8).read_to_end(&mut start).map_err(|e| Error::file(path, e))?;
    Ok(width(&start).is_some())
}

/// The width of integers that the first class number of a file has.
fn width(start: &[u8]) -> Option<Indices> {
    let known = |class: i64| [MATRIX, VECTOR, INDEX_SET].contains(&class);
    let narrow = start.first_chunk().map(|bytes| i32::from_be_bytes(*bytes).into());
    let wide = start.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
    match (narrow, wide) {
        (Some(class), _) if known(class) => Some(Indices::Bits32),
        (_, Some(class)) if known(class) => Some(Indices::Bits64),
        _ => None,
    }
}

/// Opens a file and follows its parts to the end.
pub(super) fn open(path: &Path) -> Result<(Numbers, Vec<Part>)> {
    let fail = |e: std::io::Error| Error::file(path, e);
    let mut file = input::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    let mut start = Vec::new();
    (&mut file).take(8).read_to_end(&mut start).map_err(fail)?;
    let Some(indices) = width(&start) else {
        let text = "no PETSc binary file: it starts with no class number of a matrix or vector";
        return Err(fault(path, 0, text));
    };
    let size = metadata.len();
    let mut numbers = Numbers { file, path: path.to_owned(), indices, buffer: vec![0; BUFFER] };
    match numbers.parts(size, 8) {
        Ok(parts) => Ok((numbers, parts)),
        Err(e) => {
            // The real reason may be that values are not what they are taken for.
            let others = [(16, "complex, or have 128 bits"), (4, "f32"), (32, "complex")];
            let fits = others.iter().find(|(scalar, _)| numbers.parts(size, *scalar).is_ok());
            Err(fits.map_or(e, |(_, kind)| {
                let text = format!("its length says that values are {kind}; only f64 is read");
                Error::file(path, text)
            }))
        }
    }
}

/// A file that numbers are read from anywhere.
pub(super) struct Numbers {
    file: File,
    path: PathBuf,
    pub(super) indices: Indices,
    buffer: Vec<u8>,
}

impl Numbers {
    /// All parts, where values have `scalar` bytes.
    fn parts(&mut self, size: u64, scalar: u64) -> Result<Vec<Part>> {
        let (mut parts, mut at) = (Vec::new(), 0);
        while at < size {
            let part = self.part(at, size)?;
            let needed = part.object.bytes(self.indices.bytes(), scalar);
            match needed.and_then(|bytes| part.data.checked_add(bytes)) {
                Some(end) if end <= size => at = end,
                _ => {
                    let text =
                        format!("{} has no room in the {size} bytes of the file", part.object);
                    return Err(fault(&self.path, at, text));
                }
            }
            parts.push(part);
        }
        Ok(parts)
    }

    /// The header of a part.
    fn part(&mut self, at: u64, size: u64) -> Result<Part> {
        let width = self.indices.bytes();
        let mut header = [0i64; 4];
        let mut read = |k: u64| -> Result<i64> {
            if at + (k + 1) * width > size {
                return Err(fault(&self.path, at, "the file ends within a header"));
            }
            self.integers(at + k * width, 1, |_, number| {
                header[k as usize] = number;
                Ok(())
            })?;
            Ok(header[k as usize])
        };
        let class = read(0)?;
        let count = match class {
            MATRIX => 3,
            VECTOR | INDEX_SET => 1,
            _ => {
                let text = format!("{class} is no class number of a matrix or vector");
                return Err(fault(&self.path, at, text));
            }
        };
        for k in 1..=count {
            read(k)?;
        }
        if class == MATRIX && header[3] == -1 {
            let text = "a dense matrix; write it as a sparse one (-mat_type aij)";
            return Err(fault(&self.path, at, text));
        }
        let mut lengths = [0u64; 3];
        for (k, length) in lengths.iter_mut().enumerate().take(count as usize) {
            let number = header[k + 1];
            *length = u64::try_from(number).map_err(|_| {
                fault(&self.path, at + (k as u64 + 1) * width, format!("a length of {number}"))
            })?;
        }
        let [rows, cols, entries] = lengths;
        let object = match class {
            MATRIX => Object::Matrix { rows, cols, entries },
            VECTOR => Object::Vector { len: rows },
            _ => Object::IndexSet { len: rows },
        };
        Ok(Part { object, at, data: at + (count + 1) * width })
    }

    /// Hands `count` integers from byte `at` on to `take`, each with its place among them.
    pub(super) fn integers(
        &mut self,
        at: u64,
        count: u64,
        mut take: impl FnMut(u64, i64) -> Result<()>,
    ) -> Result<()> {
        match self.indices {
            Indices::Bits32 => {
                self.chunks(at, count, |k, bytes| take(k, i32::from_be_bytes(bytes).into()))
            }
            Indices::Bits64 => {
                self.chunks(at, count, |k, bytes| take(k, i64::from_be_bytes(bytes)))
            }
        }
    }

    /// Hands `count` values from byte `at` on to `take`, each with its place among them.
    pub(super) fn reals(
        &mut self,
        at: u64,
        count: u64,
        mut take: impl FnMut(u64, f64) -> Result<()>,
    ) -> Result<()> {
        self.chunks(at, count, |k, bytes| take(k, f64::from_be_bytes(bytes)))
    }

    fn chunks<const W: usize>(
        &mut self,
        at: u64,
        count: u64,
        mut take: impl FnMut(u64, [u8; W]) -> Result<()>,
    ) -> Result<()> {
        let fail = |e: std::io::Error| Error::file(&self.path, e);
        self.file.seek(SeekFrom::Start(at)).map_err(fail)?;
        let mut done = 0;
        while done < count {
            let n = (count - done).min((BUFFER / W) as u64);
            let bytes = &mut self.buffer[..n as usize * W];
            self.file.read_exact(bytes).map_err(fail)?;
            for (k, number) in bytes.as_chunks().0.iter().enumerate() {
                take(done + k as u64, *number)?;
            }
            done += n;
        }
        Ok(())
    }
}

impl Object {
    /// Bytes after the header; none: more than there can be.
    fn bytes(self, index: u64, scalar: u64) -> Option<u64> {
        match self {
            Object::Matrix { rows, entries, .. } => {
                rows.checked_mul(index)?.checked_add(entries.checked_mul(index + scalar)?)
            }
            Object::Vector { len } => len.checked_mul(scalar),
            Object::IndexSet { len } => len.checked_mul(index),
        }
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Object::Matrix { rows, cols, entries } => {
                write!(f, "a {rows}×{cols} matrix of {entries} entries")
            }
            Object::Vector { len } => write!(f, "a vector of {len} entries"),
            Object::IndexSet { len } => write!(f, "a set of {len} indices"),
        }
    }
}
