//! Writing PETSc binary files: the first rank writes, the others send their rows in turn.
use super::Indices;
use super::parts::{MATRIX, VECTOR};
use crate::comm::{Comm, Communicator};
use crate::matrix::{DistCsr, Space};
use crate::{Error, Result, file};
use std::io::Write;
use std::path::Path;

/// Writes a matrix and, behind it in the same file, its right-hand side where there is one (own
/// entries). Reading gives the same bits. The file is [replaced](file::replace) whole, by rank 0.
/// Collective.
///
/// # Errors
/// [`Error::File`] where it cannot be written, or numbers do not fit into the integers asked for;
/// [`Error::Data`] for a right-hand side of another length and values that are not finite. On all
/// ranks.
pub fn write(path: &Path, a: &DistCsr, b: Option<&[f64]>, indices: Indices) -> Result<()> {
    let space = a.space();
    space.comm().scope(|| {
        for block in [a.own(), a.ghost()] {
            check_finite("the matrix", block.view().values)?;
        }
        b.map_or(Ok(()), |b| check_vector(space, b))?;
        let (n, entries) = (a.n_global(), a.nnz_global()?);
        let limit = if indices == Indices::Bits32 { i32::MAX as u64 } else { i64::MAX as u64 };
        if n.max(entries) > limit {
            let text = format!("{n} rows and {entries} entries need indices of 64 bits");
            return Err(Error::file(path, text));
        }
        let rows = || 0..a.n_own();
        written(path, space.comm(), |out| {
            out.head(indices, &[MATRIX, n as i64, n as i64, entries as i64])?;
            out.section(|bytes| {
                for i in rows() {
                    let length = a.own().view().range(i).len() + a.ghost().view().range(i).len();
                    indices.put(bytes, length as u64);
                }
            })?;
            out.section(|bytes| {
                for (j, _) in rows().flat_map(|i| a.global_entries(i)) {
                    indices.put(bytes, j);
                }
            })?;
            out.section(|bytes| {
                for (_, v) in rows().flat_map(|i| a.global_entries(i)) {
                    bytes.extend_from_slice(&v.to_be_bytes());
                }
            })?;
            b.map_or(Ok(()), |b| vector(out, space, b, indices))
        })
    })
}

/// Writes a vector (own entries). See [`write()`].
///
/// # Errors
/// As [`write()`].
pub fn write_vector(path: &Path, space: &Space, x: &[f64], indices: Indices) -> Result<()> {
    space.comm().scope(|| {
        check_vector(space, x)?;
        written(path, space.comm(), |out| vector(out, space, x, indices))
    })
}

fn vector(out: &mut Out, space: &Space, x: &[f64], indices: Indices) -> std::io::Result<()> {
    out.head(indices, &[VECTOR, space.n_global() as i64])?;
    out.section(|bytes| x.iter().for_each(|v| bytes.extend_from_slice(&v.to_be_bytes())))
}

fn check_vector(space: &Space, x: &[f64]) -> Result<()> {
    let n = space.n_own();
    if x.len() != n {
        return Err(Error::Data(format!("a vector of {} entries for {n} rows", x.len())));
    }
    check_finite("the vector", x)
}

fn check_finite(what: &str, values: &[f64]) -> Result<()> {
    match values.iter().find(|v| !v.is_finite()) {
        Some(v) => Err(Error::Data(format!("{what} has a value {v}: not to be written"))),
        None => Ok(()),
    }
}

impl Indices {
    fn put(self, bytes: &mut Vec<u8>, number: u64) {
        match self {
            Indices::Bits32 => bytes.extend_from_slice(&(number as i32).to_be_bytes()),
            Indices::Bits64 => bytes.extend_from_slice(&(number as i64).to_be_bytes()),
        }
    }
}

/// Where the sections of a file go: into it on rank 0, to rank 0 on the others.
struct Out<'a> {
    comm: &'a Comm,
    file: Option<&'a mut dyn Write>,
}

/// Carries out `content` on all ranks, rank 0 with the file.
fn written(
    path: &Path,
    comm: &Comm,
    content: impl FnOnce(&mut Out) -> std::io::Result<()>,
) -> Result<()> {
    if comm.rank() > 0 {
        return content(&mut Out { comm, file: None }).map_err(communication);
    }
    file::replace(path, |out| content(&mut Out { comm, file: Some(out) }))
}

/// The error that a communicator reported, out of its disguise.
fn communication(e: std::io::Error) -> Error {
    let text = e.to_string();
    match e.into_inner().and_then(|inner| inner.downcast::<Error>().ok()) {
        Some(inner) => *inner,
        None => Error::Comm(text),
    }
}

impl Out<'_> {
    /// Integers that rank 0 alone writes.
    fn head(&mut self, indices: Indices, numbers: &[i64]) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        numbers.iter().for_each(|&number| indices.put(&mut bytes, number as u64));
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(&bytes))
    }

    /// What `mine` makes on each rank, in rank order.
    fn section(&mut self, mine: impl Fn(&mut Vec<u8>)) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        mine(&mut bytes);
        if let Some(file) = &mut self.file {
            file.write_all(&bytes)?;
        }
        for sender in 1..self.comm.size() {
            let mut send = vec![Vec::new(); self.comm.size()];
            if self.comm.rank() == sender {
                send[0] = std::mem::take(&mut bytes);
            }
            let arrived = self.comm.all_to_all(&send).map_err(std::io::Error::other)?;
            if let Some(file) = &mut self.file {
                file.write_all(&arrived[sender])?;
            }
        }
        Ok(())
    }
}
