//! Formats of matrices and vectors in files, told by what is there: a file with `NAME.00000` beside it
//! in its place is in hypre's IJ format, any other one in that of Matrix Market.
use precondor_core::comm::Comm;
use precondor_core::matrix::io::{hypre_ij, matrix_market};
use precondor_core::matrix::{Csr, DistCsr, Space};
use precondor_core::{Error, Result};
use std::path::Path;
use std::sync::Arc;

#[derive(Clone, Copy)]
enum Format {
    MatrixMarket,
    HypreIj,
}

impl Format {
    fn of(path: &Path) -> Format {
        match !path.exists() && hypre_ij::is_hypre_ij(path) {
            true => Format::HypreIj,
            false => Format::MatrixMarket,
        }
    }

    /// The format that rank 0 finds. Collective.
    fn on_ranks(path: &Path, comm: &Comm) -> Result<Format> {
        use precondor_core::comm::Communicator;
        let found = comm.all_gather(&[Format::of(path) as u64])?[0][0];
        Ok(if found == Format::HypreIj as u64 { Format::HypreIj } else { Format::MatrixMarket })
    }
}

/// Reads a matrix for all ranks. Collective, in a scope.
pub fn read_on_ranks(path: &Path, comm: &Comm) -> Result<DistCsr> {
    match Format::on_ranks(path, comm)? {
        Format::HypreIj => hypre_ij::read(path, comm),
        Format::MatrixMarket => matrix_market::read_on_ranks(path, comm),
    }
}

/// Reads a vector that is spread like the rows of a matrix; errors call it `what`. Collective, in a
/// scope.
pub fn read_vector_on_ranks(path: &Path, space: &Arc<Space>, what: &str) -> Result<Vec<f64>> {
    let read = match Format::on_ranks(path, space.comm())? {
        Format::HypreIj => hypre_ij::read_vector(path, space),
        Format::MatrixMarket => matrix_market::read_vector_on_ranks(path, space),
    };
    read.map_err(|e| match e {
        Error::File { path, line, message } => Error::File {
            path,
            line,
            message: message.replacen("this vector", &format!("this {what}"), 1),
        },
        other => other,
    })
}

/// Reads a matrix into one memory.
pub fn read_matrix(path: &Path) -> Result<Csr> {
    match Format::of(path) {
        Format::HypreIj => Ok(hypre_ij::read(path, &Comm::solo())?.own().clone()),
        Format::MatrixMarket => matrix_market::read(path),
    }
}

/// Writes a vector that is spread over ranks, as one file that rank 0 writes. Collective.
pub fn write_vector(path: &Path, space: &Space, x: &[f64], what: &str) -> Result<()> {
    let whole = space.gather(x)?;
    space.comm().agree(match whole {
        Some(whole) => matrix_market::write_vector(path, &whole, what),
        None => Ok(()),
    })
}
