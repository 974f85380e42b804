//! Formats of matrices and vectors in files. When read they are told by what is there: `NAME.00000` in
//! the place of a file, or beside it, is hypre's IJ format; PETSc's binary format begins with a number of its
//! own; any other file is Matrix Market, gzipped or not. When written the name decides: `*.petsc`, or Matrix
//! Market.
use precondor_core::comm::{Comm, Communicator};
use precondor_core::matrix::io::petsc_binary::{self, Indices, PetscFile};
use precondor_core::matrix::io::{hypre_ij, matrix_market};
use precondor_core::matrix::{Csr, DistCsr, Space};
use precondor_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Clone, Copy)]
enum Format {
    MatrixMarket,
    /// Named by what its parts have in common.
    HypreIj,
    /// Named by one of its parts.
    HyprePart,
    Petsc,
}

impl Format {
    fn of(path: &Path) -> Format {
        if !path.exists() && hypre_ij::is_hypre_ij(path) {
            return Format::HypreIj;
        }
        // What cannot be read is told of by the reader of the plainest format.
        match petsc_binary::is_petsc_binary(path) {
            Ok(true) => Format::Petsc,
            _ if hypre_ij::is_part(path) => Format::HyprePart,
            _ => Format::MatrixMarket,
        }
    }

    /// The format that rank 0 finds. Collective.
    fn on_ranks(path: &Path, comm: &Comm) -> Result<Format> {
        let found = comm.all_gather(&[Format::of(path) as u64])?[0][0];
        let formats = [Format::HypreIj, Format::HyprePart, Format::Petsc];
        let format = formats.into_iter().find(|&format| format as u64 == found);
        Ok(format.unwrap_or(Format::MatrixMarket))
    }

    /// What the parts of a file in hypre's format have in common.
    fn name_of_parts(self, path: &Path) -> PathBuf {
        let of_part = || hypre_ij::name_of_part(path);
        let name = matches!(self, Format::HyprePart).then(of_part).flatten();
        name.unwrap_or_else(|| path.to_owned())
    }
}

/// The files that are read where `path` is named: that one, or the parts of it.
pub fn files(path: &Path) -> Vec<PathBuf> {
    match Format::of(path) {
        // What is wrong with the parts is told of by their reader.
        format @ (Format::HypreIj | Format::HyprePart) => {
            hypre_ij::parts(&format.name_of_parts(path)).unwrap_or_default()
        }
        Format::Petsc | Format::MatrixMarket => vec![path.to_owned()],
    }
}

/// Whether this file cannot be a system's matrix, which is seen without reading it: what its head announces is a
/// vector, or not square.
pub fn is_no_square(path: &Path) -> bool {
    match Format::of(path) {
        Format::MatrixMarket => matrix_market::extents(path).is_ok_and(|(rows, cols)| rows != cols),
        _ => false,
    }
}

/// An error of memory, told of the file that was read.
fn in_file(path: &Path) -> impl Fn(Error) -> Error {
    move |e| match e {
        Error::Memory(_) => e.inside(path.display().to_string()),
        other => other,
    }
}

/// Reads a matrix for all ranks. On the first, what is to be known of the file is added to `notes`.
/// Collective, in a scope.
pub fn read_on_ranks(path: &Path, comm: &Comm, notes: &mut Vec<String>) -> Result<DistCsr> {
    let read = match Format::on_ranks(path, comm)? {
        format @ (Format::HypreIj | Format::HyprePart) => {
            hypre_ij::read(&format.name_of_parts(path), comm)
        }
        Format::Petsc => PetscFile::open(path).and_then(|mut file| file.distributed_matrix(comm)),
        Format::MatrixMarket => matrix_market::read_on_ranks(path, comm, notes),
    };
    read.map_err(in_file(path))
}

/// Reads a vector that is spread like the rows of a matrix; errors call it `what`. On the first rank,
/// what is to be known of the file is added to `notes`. Collective, in a scope.
pub fn read_vector_on_ranks(
    path: &Path,
    space: &Arc<Space>,
    what: &str,
    notes: &mut Vec<String>,
) -> Result<Vec<f64>> {
    let read = match Format::on_ranks(path, space.comm())? {
        format @ (Format::HypreIj | Format::HyprePart) => {
            hypre_ij::read_vector(&format.name_of_parts(path), space)
        }
        Format::Petsc => PetscFile::open(path).and_then(|mut file| file.distributed_vector(space)),
        Format::MatrixMarket => {
            let before = notes.len();
            let read = matrix_market::read_vector_on_ranks(path, space, notes);
            notes[before..].iter_mut().for_each(|note| *note = format!("{what}: {note}"));
            read
        }
    };
    read.map_err(in_file(path)).map_err(|e| match e {
        Error::File { path, line, message } => Error::File {
            path,
            line,
            message: message.replacen("this vector", &format!("this {what}"), 1),
        },
        other => other,
    })
}

/// Reads vectors that are spread like the rows of a matrix: the columns of a Matrix Market file, the one
/// vector of another. `what` errors call them; a Matrix Market file may have a row for each node of so many
/// unknowns, in place of one for each of them. Rank 0 holds them whole while it reads, and has what is to be known of the file added to
/// its `notes`. Collective, in a scope.
pub fn read_vectors_on_ranks(
    path: &Path,
    space: &Arc<Space>,
    (what, unknowns): (&str, u32),
    notes: &mut Vec<String>,
) -> Result<Vec<Vec<f64>>> {
    let comm = space.comm();
    if !matches!(Format::on_ranks(path, comm)?, Format::MatrixMarket) {
        return Ok(vec![read_vector_on_ranks(path, space, what, notes)?]);
    }
    let mut columns = Vec::new();
    if comm.rank() == 0 {
        let before = notes.len();
        let whole = matrix_market::read_noting(path, notes)?;
        notes[before..].iter_mut().for_each(|note| *note = format!("{what}: {note}"));
        let (rows, n) = (whole.n_rows(), space.n_global());
        let nodes = unknowns > 1 && rows as u64 * u64::from(unknowns) == n;
        if rows as u64 != n && !nodes {
            let nodes = match unknowns {
                1 => String::new(),
                size => format!(", {} nodes of {size} unknowns", n / u64::from(size)),
            };
            return Err(Error::file(
                path,
                format!("this {what} has vectors of {rows} entries, the matrix {n} rows{nodes}"),
            ));
        }
        let times = if nodes { unknowns as usize } else { 1 };
        let transposed = whole.transpose();
        let column = |k: usize| {
            let mut column = vec![0.0; rows * times];
            let entries = transposed.view().row(k);
            entries.for_each(|(i, value)| column[i * times..(i + 1) * times].fill(value));
            column
        };
        columns = (0..whole.n_cols()).map(column).collect();
    }
    let count = comm.all_gather(&[columns.len() as u64])?[0][0] as usize;
    (0..count).map(|k| space.scatter(columns.get(k).map(Vec::as_slice))).collect()
}

/// The vector that comes with the matrix in one PETSc file, if any: its right-hand side. Collective,
/// in a scope.
pub fn read_rhs_beside(path: &Path, space: &Arc<Space>) -> Result<Option<Vec<f64>>> {
    match Format::on_ranks(path, space.comm())? {
        Format::Petsc => {
            let mut file = PetscFile::open(path)?;
            file.has_vector().then(|| file.distributed_vector(space)).transpose()
        }
        _ => Ok(None),
    }
}

/// Reads a matrix into one memory; what is to be known of the file is added to `notes`.
pub fn read_matrix(path: &Path, notes: &mut Vec<String>) -> Result<Csr> {
    let read = match Format::of(path) {
        format @ (Format::HypreIj | Format::HyprePart) => {
            let read = hypre_ij::read(&format.name_of_parts(path), &Comm::solo());
            read.map(|a| a.own().clone())
        }
        Format::Petsc => petsc_binary::read(path),
        Format::MatrixMarket => matrix_market::read_noting(path, notes),
    };
    read.map_err(in_file(path))
}

/// Writes a matrix and its right-hand side, of one rank; both may go into one PETSc file.
pub fn write_system(
    path: &Path,
    rhs: Option<&Path>,
    (a, b): (&DistCsr, &[f64]),
    what: &str,
    indices: Option<Indices>,
) -> Result<()> {
    if indices.is_some() && !is_petsc(path) && !rhs.is_some_and(is_petsc) {
        return Err(Error::file(path, "--petsc-indices: only files named *.petsc have indices"));
    }
    let indices = indices.unwrap_or_default();
    let together = rhs == Some(path);
    match is_petsc(path) {
        true => petsc_binary::write(path, a, together.then_some(b), indices)?,
        false if together => {
            let text = "cannot take both the matrix and the right-hand side; a *.petsc file can";
            return Err(Error::file(path, text));
        }
        false => matrix_market::write(path, a.own(), what)?,
    }
    match rhs.filter(|_| !together) {
        None => Ok(()),
        Some(path) if is_petsc(path) => petsc_binary::write_vector(path, a.space(), b, indices),
        Some(path) => matrix_market::write_vector(path, b, &format!("right-hand side of {what}")),
    }
}

/// Writes a vector that is spread over ranks, as one file that rank 0 writes. Collective.
pub fn write_vector(path: &Path, space: &Space, x: &[f64], what: &str) -> Result<()> {
    if is_petsc(path) {
        return petsc_binary::write_vector(path, space, x, Indices::default());
    }
    let whole = space.gather(x)?;
    space.comm().agree(match whole {
        Some(whole) => matrix_market::write_vector(path, &whole, what),
        None => Ok(()),
    })
}

fn is_petsc(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "petsc")
}
