//! Formats of matrices and vectors in files. When read they are told by what is there: `NAME.00000` in
//! the place of a file, or beside it, is hypre's IJ format; PETSc's binary format, NumPy's arrays and SciPy's archives
//! begin with bytes of their own, Harwell-Boeing and Rutherford-Boeing files with lines of numbers and formats; any
//! other file is Matrix Market. The last two may be gzipped. When written the name decides: `*.petsc`, `*.npy`, `*.npz`, or
//! Matrix Market.
use precondor_core::comm::{Comm, Communicator};
use precondor_core::matrix::io::petsc_binary::{self, Indices, PetscFile};
use precondor_core::matrix::io::{boeing, hypre_ij, matrix_market, numpy, scipy};
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
    /// Harwell-Boeing and Rutherford-Boeing.
    Boeing,
    /// An array of NumPy.
    Npy,
    /// A matrix of SciPy.
    Npz,
}

impl Format {
    fn of(path: &Path) -> Format {
        if !path.exists() && hypre_ij::is_hypre_ij(path) {
            return Format::HypreIj;
        }
        // What cannot be read is told of by the reader of the plainest format.
        match petsc_binary::is_petsc_binary(path) {
            Ok(true) => Format::Petsc,
            _ if numpy::is_npy(path) => Format::Npy,
            _ if scipy::is_npz(path) => Format::Npz,
            _ if hypre_ij::is_part(path) => Format::HyprePart,
            _ if boeing::is_boeing(path) => Format::Boeing,
            _ => Format::MatrixMarket,
        }
    }

    /// The format that rank 0 finds. Collective.
    fn on_ranks(path: &Path, comm: &Comm) -> Result<Format> {
        let found = comm.all_gather(&[Format::of(path) as u64])?[0][0];
        use Format::{Boeing, HypreIj, HyprePart, Npy, Npz, Petsc};
        let formats = [HypreIj, HyprePart, Petsc, Boeing, Npy, Npz];
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
        _ => vec![path.to_owned()],
    }
}

/// Whether this file cannot be a system's matrix, which is seen without reading it: what its head announces is a
/// vector, or not square.
pub fn is_no_square(path: &Path) -> bool {
    let extents = match Format::of(path) {
        Format::MatrixMarket => matrix_market::extents(path),
        Format::Boeing => boeing::extents(path),
        Format::Npy => numpy::extents(path),
        Format::Npz => scipy::extents(path),
        Format::HypreIj | Format::HyprePart | Format::Petsc => return false,
    };
    extents.is_ok_and(|(rows, cols)| rows != cols)
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
        Format::Boeing => boeing::read_on_ranks(path, comm, notes),
        Format::Npy => numpy::read_on_ranks(path, comm, notes),
        Format::Npz => scipy::read_on_ranks(path, comm, notes),
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
        Format::Npy => {
            let mut columns = read_vectors_on_ranks(path, space, (what, 1), notes)?;
            match (columns.pop(), columns.len()) {
                (Some(column), 0) => Ok(column),
                (_, more) => {
                    let text = format!("a vector has one column, this {what} has {}", more + 1);
                    Err(Error::file(path, text))
                }
            }
        }
        Format::Npz | Format::Boeing => {
            Err(Error::file(path, format!("this is a file of a matrix, no {what}")))
        }
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

/// Reads vectors that are spread like the rows of a matrix: the columns of a Matrix Market file or an array of NumPy, the
/// one vector of another. `what` errors call them; the former may have a row for each node of so many
/// unknowns, in place of one for each of them. Rank 0 holds them whole while it reads, and has what is to be known of the file added to
/// its `notes`. Collective, in a scope.
pub fn read_vectors_on_ranks(
    path: &Path,
    space: &Arc<Space>,
    (what, unknowns): (&str, u32),
    notes: &mut Vec<String>,
) -> Result<Vec<Vec<f64>>> {
    let comm = space.comm();
    let format = Format::on_ranks(path, comm)?;
    if !matches!(format, Format::MatrixMarket | Format::Npy) {
        return Ok(vec![read_vector_on_ranks(path, space, what, notes)?]);
    }
    let mut columns = Vec::new();
    if comm.rank() == 0 {
        let before = notes.len();
        let whole = match format {
            Format::Npy => numpy::read_columns(path).map_err(in_file(path))?,
            _ => columns_of(&matrix_market::read_noting(path, notes)?),
        };
        notes[before..].iter_mut().for_each(|note| *note = format!("{what}: {note}"));
        columns = of_unknowns(path, whole, space.n_global(), (what, unknowns))?;
    }
    let count = comm.all_gather(&[columns.len() as u64])?[0][0] as usize;
    (0..count).map(|k| space.scatter(columns.get(k).map(Vec::as_slice))).collect()
}

/// The columns of a matrix that is none.
fn columns_of(whole: &Csr) -> Vec<Vec<f64>> {
    let transposed = whole.transpose();
    let column = |k: usize| {
        let mut column = vec![0.0; whole.n_rows()];
        transposed.view().row(k).for_each(|(i, value)| column[i] = value);
        column
    };
    (0..whole.n_cols()).map(column).collect()
}

/// Columns with an entry for each of `n` unknowns, out of ones that may have one for each node.
fn of_unknowns(
    path: &Path,
    columns: Vec<Vec<f64>>,
    n: u64,
    (what, unknowns): (&str, u32),
) -> Result<Vec<Vec<f64>>> {
    let rows = columns.first().map_or(0, Vec::len);
    if rows as u64 == n {
        return Ok(columns);
    }
    if unknowns > 1 && rows as u64 * u64::from(unknowns) == n {
        let spread = |column: Vec<f64>| {
            column.into_iter().flat_map(|v| std::iter::repeat_n(v, unknowns as usize)).collect()
        };
        return Ok(columns.into_iter().map(spread).collect());
    }
    let nodes = match unknowns {
        1 => String::new(),
        size => format!(", {} nodes of {size} unknowns", n / u64::from(size)),
    };
    let text = format!("this {what} has vectors of {rows} entries, the matrix {n} rows{nodes}");
    Err(Error::file(path, text))
}

/// Reads right-hand sides, each a column of the file; what can have one only is read as one. Collective, in a scope.
pub fn read_right_hand_sides(
    path: &Path,
    space: &Arc<Space>,
    notes: &mut Vec<String>,
) -> Result<Vec<Vec<f64>>> {
    const WHAT: &str = "right-hand side";
    let several = match Format::on_ranks(path, space.comm())? {
        Format::Npy => true,
        Format::MatrixMarket => {
            // What cannot be read is told of below.
            let columns = if space.comm().rank() == 0 {
                matrix_market::extents(path).map_or(1, |(_, k)| k)
            } else {
                1
            };
            space.comm().all_gather(&[columns])?[0][0] > 1
        }
        _ => false,
    };
    match several {
        true => read_vectors_on_ranks(path, space, (WHAT, 1), notes),
        false => Ok(vec![read_vector_on_ranks(path, space, WHAT, notes)?]),
    }
}

/// The vectors that come with the matrix in one file of PETSc or Harwell and Boeing, if any: its right-hand sides.
/// Collective, in a scope.
pub fn read_rhs_beside(path: &Path, space: &Arc<Space>) -> Result<Vec<Vec<f64>>> {
    match Format::on_ranks(path, space.comm())? {
        Format::Petsc => {
            let mut file = PetscFile::open(path)?;
            let vector = file.has_vector().then(|| file.distributed_vector(space)).transpose()?;
            Ok(vector.into_iter().collect())
        }
        Format::Boeing => {
            let comm = space.comm();
            let columns =
                if comm.rank() == 0 { boeing::right_hand_sides(path)? } else { Vec::new() };
            let count = comm.all_gather(&[columns.len() as u64])?[0][0] as usize;
            (0..count).map(|k| space.scatter(columns.get(k).map(Vec::as_slice))).collect()
        }
        _ => Ok(Vec::new()),
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
        Format::Boeing => boeing::read_noting(path, notes),
        Format::Npy => numpy::read_matrix(path, notes),
        Format::Npz => scipy::read_noting(path, notes),
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
        false if has_ending(path, "npz") => scipy::write(path, a.own())?,
        false if has_ending(path, "npy") => {
            return Err(Error::file(path, "a *.npy file takes no sparse matrix; a *.npz file can"));
        }
        false => matrix_market::write(path, a.own(), what)?,
    }
    match rhs.filter(|_| !together) {
        None => Ok(()),
        Some(path) if is_petsc(path) => petsc_binary::write_vector(path, a.space(), b, indices),
        Some(path) => write_rows(path, (1, b), &format!("right-hand side of {what}")),
    }
}

/// Writes a vector that is spread over ranks, as one file that rank 0 writes. Collective.
pub fn write_vector(path: &Path, space: &Space, x: &[f64], what: &str) -> Result<()> {
    if is_petsc(path) {
        return petsc_binary::write_vector(path, space, x, Indices::default());
    }
    write_vectors(path, space, &[x], what)
}

/// Writes vectors that are spread over ranks as the columns of one file, which rank 0 writes. Collective.
pub fn write_vectors(path: &Path, space: &Space, vectors: &[&[f64]], what: &str) -> Result<()> {
    if is_petsc(path) {
        return Err(Error::file(
            path,
            "a *.petsc file takes one vector; a *.mtx or *.npy file can take several",
        ));
    }
    let mut columns = Vec::new();
    for x in vectors {
        columns.extend(space.gather(x)?);
    }
    space.comm().agree(match columns.first().map(Vec::len) {
        Some(n) => {
            let rows: Vec<f64> = (0..n).flat_map(|i| columns.iter().map(move |x| x[i])).collect();
            write_rows(path, (columns.len(), &rows), what)
        }
        None => Ok(()),
    })
}

/// Writes rows of so many numbers, in the format that the name says.
pub fn write_rows(path: &Path, (width, rows): (usize, &[f64]), what: &str) -> Result<()> {
    match has_ending(path, "npy") {
        true => numpy::write_rows(path, width, rows),
        false => no_vectors(path).and_then(|()| matrix_market::write_rows(path, width, rows, what)),
    }
}

/// Refuses names of formats that vectors are not written in.
fn no_vectors(path: &Path) -> Result<()> {
    let endings = ["npz", "mat", "rsa", "rua", "psa", "pua", "rb"];
    match endings.into_iter().find(|ending| has_ending(path, ending)) {
        Some(ending) => {
            let text = format!(
                "vectors are not written as *.{ending}; *.mtx, *.npy and *.petsc are the formats for them"
            );
            Err(Error::file(path, text))
        }
        None => Ok(()),
    }
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

fn is_petsc(path: &Path) -> bool {
    has_ending(path, "petsc")
}
