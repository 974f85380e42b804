//! SciPy's sparse matrices in files, `.npz` as `scipy.sparse.save_npz` writes them: a zip archive of NumPy's arrays.
//!
//! | `format` | arrays |
//! |---|---|
//! | csr, csc | `indptr`, `indices`, `data` |
//! | bsr | the same, `data` of blocks by rows |
//! | coo | `row`, `col`, `data` |
//! | dia | `offsets`, `data`; zeros there are no entries |
//!
//! Entries that are given twice are added up, as SciPy does. Read: arrays that are stored or deflated, of the numbers that
//! [`numpy`] reads. Their checksums are compared.
//!
//! Cost: the arrays are unpacked side by side through one buffer each, so that nothing but the matrix itself is in memory.
//! What archive and headers announce is compared with the bytes that there are, which deflate at most 1032 fold.
use super::numpy::{self, Array};
use super::source::DEFLATE;
use super::stream::{self, Extents, Stream};
use crate::comm::Comm;
use crate::matrix::{Csr, DistCsr};
use crate::{Error, Result, file, input};
use flate2::CrcReader;
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveWriter};
use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Arrays that an archive may have.
const MOST: usize = 64;

/// Whether a file begins like a zip archive.
pub fn is_npz(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = input::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
    read.is_ok() && start == b"PK\x03\x04"
}

/// Reads a matrix; what is to be known of the file is added to `notes`.
///
/// # Errors
/// [`Error::File`] with the array and what is wrong with which of its numbers.
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
    Archive::open(path)?.shape()
}

/// Writes a matrix by rows, for `scipy.sparse.load_npz`. The file is [replaced](file::replace) whole.
///
/// # Errors
/// [`Error::File`] where it cannot be written, [`Error::Data`] for values that are not finite.
pub fn write(path: &Path, a: &Csr) -> Result<()> {
    let view = a.view();
    if let Some(k) = view.values.iter().position(|v| !v.is_finite()) {
        return Err(Error::Data(format!("value {k} is {}: not to be written", view.values[k])));
    }
    let integers = |numbers: &mut dyn Iterator<Item = u64>| -> Vec<u8> {
        numbers.flat_map(|n| (n as i64).to_le_bytes()).collect()
    };
    let nnz = view.values.len() as u64;
    let arrays = [
        ("indices.npy", "<i8", vec![nnz], integers(&mut view.cols.iter().map(|&j| u64::from(j)))),
        (
            "indptr.npy",
            "<i8",
            vec![view.row_ptr.len() as u64],
            integers(&mut view.row_ptr.iter().map(|&p| u64::from(p))),
        ),
        ("format.npy", "|S3", vec![], b"csr".to_vec()),
        (
            "shape.npy",
            "<i8",
            vec![2],
            integers(&mut [a.n_rows() as u64, a.n_cols() as u64].into_iter()),
        ),
        ("data.npy", "<f8", vec![nnz], view.values.iter().flat_map(|v| v.to_le_bytes()).collect()),
    ];
    file::replace(path, |out| {
        let mut archive = ZipArchiveWriter::new(out);
        for (name, descr, shape, bytes) in arrays {
            let failed = std::io::Error::other;
            let (mut entry, config) = archive
                .new_file(name)
                .compression_method(CompressionMethod::STORE)
                .start()
                .map_err(failed)?;
            let mut writer = config.wrap(&mut entry);
            writer.write_all(&numpy::header(descr, &shape))?;
            writer.write_all(&bytes)?;
            let (_, descriptor) = writer.finish().map_err(failed)?;
            entry.finish(descriptor).map_err(failed)?;
        }
        archive.finish().map(drop).map_err(std::io::Error::other)
    })
}

/// Where an array is in the archive.
#[derive(Clone, Copy)]
struct Place {
    from: u64,
    to: u64,
    method: CompressionMethod,
    /// Bytes when unpacked, as announced.
    size: u64,
    crc: u32,
}

/// The arrays of a file.
struct Archive {
    path: PathBuf,
    arrays: BTreeMap<String, Place>,
}

impl Archive {
    fn open(path: &Path) -> Result<Archive> {
        let fail = |why: String| Error::file(path, why);
        let file = input::open(path).map_err(|e| Error::file(path, e))?;
        let length = file.metadata().map_err(|e| Error::file(path, e))?.len();
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let broken = |e: rawzip::Error| fail(format!("the archive is damaged or cut short: {e}"));
        let archive = ZipArchive::from_file(file, &mut buffer).map_err(broken)?;
        let mut arrays = BTreeMap::new();
        let mut entries = archive.entries(&mut buffer);
        while let Some(entry) = entries.next_entry().map_err(broken)? {
            let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
            let Some(name) = name.strip_suffix(".npy") else { continue };
            if arrays.len() == MOST {
                return Err(fail(format!("more than {MOST} arrays")));
            }
            let found = archive.get_entry(entry.wayfinder()).map_err(broken)?;
            let (from, to) = found.compressed_data_range();
            if from > to || to > length {
                return Err(fail(format!("'{name}': it has no room in this file")));
            }
            let (method, size, crc) =
                (entry.compression_method(), entry.uncompressed_size_hint(), entry.crc32());
            let place = Place { from, to, method, size, crc };
            if arrays.insert(name.to_owned(), place).is_some() {
                return Err(fail(format!("'{name}' is there twice")));
            }
        }
        Ok(Archive { path: path.to_owned(), arrays })
    }

    /// Begins to read an array.
    fn array(&self, name: &str) -> Result<Array> {
        let fail = |why: String| Error::file(&self.path, why);
        let Some(place) = self.arrays.get(name) else {
            let there: Vec<&str> = self.arrays.keys().map(String::as_str).collect();
            return Err(fail(format!(
                "no '{name}' among its arrays ({}): is it one of scipy.sparse.save_npz?",
                there.join(", ")
            )));
        };
        let io = |e: std::io::Error| Error::file(&self.path, e);
        let mut file = input::open(&self.path).map_err(io)?;
        file.seek(SeekFrom::Start(place.from)).map_err(io)?;
        let packed = place.to - place.from;
        let bytes = BufReader::with_capacity(1 << 16, file.take(packed));
        let (source, most): (Box<dyn Read>, u64) = match place.method {
            CompressionMethod::STORE => (Box::new(bytes), packed),
            CompressionMethod::DEFLATE => {
                let unpacked = BufReader::with_capacity(1 << 16, DeflateDecoder::new(bytes));
                (Box::new(unpacked), packed.saturating_mul(DEFLATE))
            }
            method => {
                return Err(fail(format!("'{name}': packed by {method:?}, which is not unpacked")));
            }
        };
        if place.size > most {
            let size = place.size;
            return Err(fail(format!("'{name}': {size} bytes cannot come out of {packed}")));
        }
        let source = Box::new(Checked { source: CrcReader::new(source), crc: place.crc });
        Array::new(&self.path, Some(name), source, (place.size, true))
    }

    fn shape(&self) -> Result<(u64, u64)> {
        let mut shape = self.array("shape")?;
        let mut size = || match shape.integer()? {
            Some(n) if n >= 0 => Ok(n as u64),
            _ => Err(shape.fail("the numbers of rows and columns must stand here")),
        };
        let (rows, cols) = (size()?, size()?);
        match shape.count() {
            2 => Ok((rows, cols)),
            n => Err(shape.fail(format!("an array of {n} dimensions is no matrix"))),
        }
    }
}

/// Bytes whose checksum is compared at their end.
struct Checked<R> {
    source: CrcReader<R>,
    crc: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.source.read(buffer)?;
        if n == 0 && !buffer.is_empty() && self.source.crc().sum() != self.crc {
            return Err(std::io::Error::other("the checksum is another one: the file is damaged"));
        }
        Ok(n)
    }
}

/// The entries of a matrix.
struct Entries {
    rows: u64,
    cols: u64,
    data: Array,
    layout: Layout,
}

enum Layout {
    /// By rows (or by columns), in blocks of r × c.
    Compressed {
        by_rows: bool,
        pointers: Array,
        indices: Array,
        block: (u64, u64),
        line: u64,
        end: u64,
        done: u64,
        at: u64,
        index: u64,
    },
    Coordinates {
        row: Array,
        col: Array,
    },
    /// Each of so many diagonals over the columns.
    Diagonals {
        offsets: Vec<i64>,
        length: u64,
        at: u64,
    },
}

impl Entries {
    fn open(path: &Path) -> Result<Entries> {
        let archive = Archive::open(path)?;
        let format = archive.array("format")?.text()?;
        let (rows, cols) = archive.shape()?;
        let data = archive.array("data")?;
        let flat = |data: &Array| match data.header.shape.as_slice() {
            [_] => Ok(()),
            shape => {
                Err(Error::file(path, format!("'data': the shape {shape:?} is none of {format}")))
            }
        };
        let same = |array: &Array, name: &str, count: u64| match array.count() == count {
            true => Ok(()),
            false => {
                let found = array.count();
                Err(Error::file(path, format!("'{name}': {found} numbers where {count} belong")))
            }
        };
        let layout = match format.as_str() {
            "csr" | "csc" | "bsr" => {
                let block = match (format.as_str(), data.header.shape.as_slice()) {
                    ("bsr", &[_, r, c]) if r > 0 && c > 0 && !data.header.fortran => (r, c),
                    ("bsr", shape) => {
                        let text = format!("'data': the shape {shape:?} is none of blocks by rows");
                        return Err(Error::file(path, text));
                    }
                    _ => flat(&data).map(|()| (1, 1))?,
                };
                if !rows.is_multiple_of(block.0) || !cols.is_multiple_of(block.1) {
                    let text =
                        format!("{rows}×{cols} is not made of blocks of {}×{}", block.0, block.1);
                    return Err(Error::file(path, text));
                }
                let by_rows = format != "csc";
                let lines = if by_rows { rows / block.0 } else { cols };
                let (mut pointers, indices) = (archive.array("indptr")?, archive.array("indices")?);
                same(&pointers, "indptr", lines.saturating_add(1))?;
                same(&indices, "indices", data.count() / (block.0 * block.1))?;
                if pointers.integer()? != Some(0) {
                    return Err(pointers.fail("the first pointer is not 0"));
                }
                Layout::Compressed {
                    by_rows,
                    pointers,
                    indices,
                    block,
                    line: 0,
                    end: 0,
                    done: 0,
                    at: 0,
                    index: 0,
                }
            }
            "coo" => {
                flat(&data)?;
                let (row, col) = (archive.array("row")?, archive.array("col")?);
                same(&row, "row", data.count())?;
                same(&col, "col", data.count())?;
                Layout::Coordinates { row, col }
            }
            "dia" => {
                let mut array = archive.array("offsets")?;
                let &[diagonals, length] = data.header.shape.as_slice() else {
                    return Err(Error::file(
                        path,
                        "'data': no diagonals, which have two dimensions",
                    ));
                };
                if data.header.fortran {
                    return Err(Error::file(path, "'data': diagonals by columns are not read"));
                }
                same(&array, "offsets", diagonals)?;
                let mut offsets = Vec::new();
                while let Some(offset) = array.integer()? {
                    offsets.push(offset);
                }
                Layout::Diagonals { offsets, length, at: 0 }
            }
            other => {
                let text =
                    format!("'format': {other:?} is not read; csr, csc, bsr, coo and dia are");
                return Err(Error::file(path, text));
            }
        };
        Ok(Entries { rows, cols, data, layout })
    }

    /// Nothing may be left when all entries were read.
    fn finish(&mut self) -> Result<Option<(u64, u64, f64)>> {
        self.data.end()?;
        match &mut self.layout {
            Layout::Compressed { pointers, indices, .. } => {
                pointers.end().and_then(|()| indices.end())?
            }
            Layout::Coordinates { row, col } => row.end().and_then(|()| col.end())?,
            Layout::Diagonals { .. } => {}
        }
        Ok(None)
    }
}

/// An index below `limit`.
fn index(array: &mut Array, limit: u64) -> Result<u64> {
    match array.integer()? {
        Some(k) if k >= 0 && (k as u64) < limit => Ok(k as u64),
        Some(k) => Err(array.fail(format!("{k} is not within 0..{limit}"))),
        None => Err(array.fail("there is no further number")),
    }
}

impl Stream for Entries {
    fn extents(&self) -> Extents {
        Extents { rows: self.rows, cols: self.cols, count: self.data.count(), mirrored: false }
    }

    fn next(&mut self) -> Result<Option<(u64, u64, f64)>> {
        let (rows, cols) = (self.rows, self.cols);
        match &mut self.layout {
            Layout::Compressed {
                by_rows,
                pointers,
                indices,
                block,
                line,
                end,
                done,
                at,
                index: of,
            } => {
                let (by_rows, (r, c)) = (*by_rows, *block);
                let lines = if by_rows { rows / r } else { cols };
                if *at == 0 {
                    while *done == *end {
                        if *line == lines {
                            if *done != indices.count() {
                                let count = indices.count();
                                return Err(pointers
                                    .fail(format!("the last pointer is {done}, not {count}")));
                            }
                            return self.finish();
                        }
                        let next = index(pointers, indices.count() + 1)?;
                        if next < *end {
                            return Err(pointers
                                .fail(format!("{next} is below the pointer before it, {end}")));
                        }
                        (*end, *line) = (next, *line + 1);
                    }
                    *of = index(indices, if by_rows { cols / c } else { rows })?;
                    *done += 1;
                }
                let Some(value) = self.data.real()? else {
                    return Err(self.data.fail("there is no further number"));
                };
                let (i, j) = (*at / c, *at % c);
                *at = (*at + 1) % (r * c);
                let (line, of) = (*line - 1, *of);
                Ok(Some(if by_rows {
                    (line * r + i, of * c + j, value)
                } else {
                    (of, line, value)
                }))
            }
            Layout::Coordinates { row, col } => {
                let Some(value) = self.data.real()? else { return self.finish() };
                Ok(Some((index(row, rows)?, index(col, cols)?, value)))
            }
            Layout::Diagonals { offsets, length, at } => loop {
                let Some(value) = self.data.real()? else { return self.finish() };
                let (diagonal, column) = (*at / *length, *at % *length);
                *at += 1;
                let offset = offsets.get(diagonal as usize).copied().unwrap_or_default();
                let row = i128::from(column) - i128::from(offset);
                if value != 0.0 && column < cols && row >= 0 && row < i128::from(rows) {
                    return Ok(Some((row as u64, column, value)));
                }
            },
        }
    }
}
