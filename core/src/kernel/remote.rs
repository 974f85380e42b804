//! Rows of a distributed matrix that other ranks own, and the transpose.
use crate::comm::Communicator;
use crate::matrix::{Csr, DistCsr, Space};
use crate::{Error, Result};
use std::sync::Arc;

/// Some rows of a matrix, with global columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Their global numbers, strictly increasing.
    pub ids: Vec<u64>,
    /// `ids.len() + 1` offsets into the entries.
    pub row_ptr: Vec<usize>,
    /// Global column of each entry, increasing within a row.
    pub cols: Vec<u64>,
    /// Value of each entry.
    pub values: Vec<f64>,
}

/// Fetches the rows `ids` (strictly increasing, none of them this rank's) from their owners: one
/// round of requests and one of replies, 8 bytes a row and 16 an entry. Collective; ranks that
/// need nothing pass an empty list.
///
/// # Errors
/// [`Error::Data`] for a row that is this rank's own, beyond the matrix, or out of order; what the
/// communicator reports.
pub fn fetch(a: &DistCsr, ids: &[u64]) -> Result<Rows> {
    let (space, comm) = (a.space(), a.space().comm());
    let mine = space.start()..space.start() + a.n_own() as u64;
    let mut wanted = vec![Vec::new(); comm.size()];
    for (k, &id) in ids.iter().enumerate() {
        if id >= a.n_global() || mine.contains(&id) || (k > 0 && ids[k - 1] >= id) {
            return Err(Error::Data(format!("row {id} is not one to fetch from another rank")));
        }
        wanted[space.owner(id)].extend_from_slice(&id.to_le_bytes());
    }
    if comm.size() == 1 {
        return Ok(Rows { row_ptr: vec![0], ..Rows::default() });
    }
    let requests = comm.all_to_all(&wanted)?;
    let replies = requests.iter().map(|request| {
        let mut reply = Vec::new();
        for id in words(request) {
            if !mine.contains(&id) {
                return Err(Error::Comm(format!("row {id} was asked of the wrong rank")));
            }
            let i = (id - mine.start) as usize;
            let count = a.own().view().range(i).len() + a.ghost().view().range(i).len();
            put(&mut reply, count as u64);
            for (col, value) in a.global_entries(i) {
                put(&mut reply, col);
                put(&mut reply, value.to_bits());
            }
        }
        Ok(reply)
    });
    let replies = replies.collect::<Result<Vec<_>>>()?;
    let mut rows = Rows { ids: ids.to_vec(), row_ptr: vec![0], ..Rows::default() };
    for reply in comm.all_to_all(&replies)? {
        let mut reply = words(&reply);
        while let Some(count) = reply.next() {
            for _ in 0..count {
                if let (Some(col), Some(value)) = (reply.next(), reply.next()) {
                    rows.cols.push(col);
                    rows.values.push(f64::from_bits(value));
                }
            }
            rows.row_ptr.push(rows.cols.len());
        }
    }
    if rows.row_ptr.len() != ids.len() + 1 {
        return Err(Error::Comm(format!(
            "{} rows came for {} that were asked for",
            rows.row_ptr.len() - 1,
            ids.len()
        )));
    }
    Ok(rows)
}

/// Aᵀ on the same distribution of rows: entries of the ghost block go to the owners of their
/// columns, 24 bytes each, in one round. Collective.
///
/// # Errors
/// What the communicator reports.
pub fn transpose(a: &DistCsr) -> Result<DistCsr> {
    let (space, comm) = (a.space(), a.space().comm());
    let own = a.own().transpose();
    if comm.size() == 1 {
        return on_one_rank(space, own);
    }
    let mut send = vec![Vec::new(); comm.size()];
    for i in 0..a.n_own() {
        for (g, value) in a.ghost().view().row(i) {
            let col = a.ghost_ids()[g];
            let to = &mut send[space.owner(col)];
            put(to, col);
            put(to, a.global_row(i));
            put(to, value.to_bits());
        }
    }
    // Messages come in order of ranks, and their entries in order of rows: so, within a row of the
    // transpose, columns increase, first those below this rank's, then its own, then those above.
    let mut arrived = Vec::new();
    for message in comm.all_to_all(&send)? {
        let mut message = words(&message);
        while let (Some(row), Some(col), Some(value)) =
            (message.next(), message.next(), message.next())
        {
            arrived.push((row, col, f64::from_bits(value)));
        }
    }
    arrived.sort_by_key(|&(row, col, _)| (row, col));
    let nnz = own.nnz() + arrived.len();
    let (mut cols, mut values) = (Vec::with_capacity(nnz), Vec::with_capacity(nnz));
    let mut row_ptr = vec![0u32];
    let mut rest = arrived.as_slice();
    for i in 0..a.n_own() {
        let row = a.global_row(i);
        let here = rest.partition_point(|e| e.0 <= row);
        let (these, later) = rest.split_at(here);
        let (below, above) = these.split_at(these.partition_point(|e| e.1 < space.start()));
        let mut push = |col, value| {
            cols.push(col);
            values.push(value);
        };
        below.iter().for_each(|e| push(e.1, e.2));
        own.view().row(i).for_each(|(j, v)| push(space.start() + j as u64, v));
        above.iter().for_each(|e| push(e.1, e.2));
        row_ptr.push(u32::try_from(cols.len()).map_err(|_| too_many())?);
        rest = later;
    }
    DistCsr::from_rows(space, &row_ptr, &cols, &values)
}

/// A matrix of a space with a single rank, which owns all columns.
pub(super) fn on_one_rank(space: &Arc<Space>, own: Csr) -> Result<DistCsr> {
    let ghost = Csr::new(0, vec![0; own.n_rows() + 1], vec![], vec![])?;
    DistCsr::from_parts(own, ghost, vec![], Arc::clone(space), Arc::new(crate::comm::Solo))
}

pub(super) fn too_many() -> Error {
    Error::Unsupported("2³² or more entries on one rank: use more ranks".into())
}

fn put(message: &mut Vec<u8>, word: u64) {
    message.extend_from_slice(&word.to_le_bytes());
}

fn words(message: &[u8]) -> impl Iterator<Item = u64> + '_ {
    message.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}
