//! Rows of a distributed matrix that other ranks own, and the transpose.
use crate::comm::Communicator;
use crate::matrix::{Csr, DistCsr, Space};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
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
    fetch_rows(a.space(), ids, |message, i| put_row(message, a, i))
}

/// The same for rows that are spread as `space` says; `put` writes an own row.
pub(super) fn fetch_rows(
    space: &Space,
    ids: &[u64],
    put: impl Fn(&mut Vec<u8>, usize),
) -> Result<Rows> {
    let comm = space.comm();
    let mine = space.start()..space.start() + space.n_own() as u64;
    let mut wanted = vec![Vec::new(); comm.size()];
    for (k, &id) in ids.iter().enumerate() {
        if id >= space.n_global() || mine.contains(&id) || (k > 0 && ids[k - 1] >= id) {
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
            put(&mut reply, asked(space, id)?);
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

/// Rows that came from others: column and bits of the value of each entry.
type Found = BTreeMap<u64, Vec<(u64, u64)>>;

/// The rows of others that are at most `steps` steps away from own ones in the graph of A, where no step
/// leaves a row of more than `longest` entries: through a dense row every row would be near every other.
/// Collective; `steps` and `longest` are the same on all ranks.
///
/// An owner that is asked for a row sends along what it has within the steps that are left, so that one
/// round of requests and replies brings all of them, for any number of steps, where no path of that
/// length leads from one rank over another to a third. Each further rank on a path costs a further
/// round. A request is 16 bytes a row, a reply 16 a row and 16 an entry; where `steps` is above 1, a
/// reduction after each round tells whether it was the last.
///
/// # Errors
/// What the communicator reports.
pub fn neighbours(a: &DistCsr, steps: usize, longest: usize) -> Result<Rows> {
    let (space, comm) = (a.space(), a.space().comm());
    let mut found = Found::new();
    if comm.size() > 1 && steps > 0 {
        let first = beside(a, longest);
        let mut wanted: Vec<_> = first.iter().map(|&id| (id, steps - 1)).collect();
        loop {
            let mut requests = vec![Vec::new(); comm.size()];
            for &(id, left) in &wanted {
                let request = &mut requests[space.owner(id)];
                put(request, id);
                put(request, left as u64);
            }
            let requests = comm.all_to_all(&requests)?;
            let replies = requests.iter().map(|request| rows_within(a, request, longest));
            let replies = replies.collect::<Result<Vec<_>>>()?;
            for reply in comm.all_to_all(&replies)? {
                let mut reply = words(&reply);
                while let (Some(id), Some(count)) = (reply.next(), reply.next()) {
                    let entry = |_| reply.next().zip(reply.next());
                    found.insert(id, (0..count).filter_map(entry).collect());
                }
            }
            wanted = lacking(a, &first, &found, steps, longest);
            if steps == 1 || !comm.any(!wanted.is_empty())? {
                break;
            }
        }
    }
    let mut rows = Rows { row_ptr: vec![0], ..Rows::default() };
    for (id, entries) in found {
        rows.ids.push(id);
        rows.cols.extend(entries.iter().map(|&(col, _)| col));
        rows.values.extend(entries.iter().map(|&(_, bits)| f64::from_bits(bits)));
        rows.row_ptr.push(rows.cols.len());
    }
    Ok(rows)
}

/// Ghost columns of the own rows of at most `longest` entries.
fn beside(a: &DistCsr, longest: usize) -> Vec<u64> {
    let (own, ghost) = (a.own().view(), a.ghost().view());
    let short = |i: &usize| own.range(*i).len() + ghost.range(*i).len() <= longest;
    if (0..a.n_own()).all(|i| short(&i)) {
        return a.ghost_ids().to_vec();
    }
    let mut met = vec![false; a.ghost_ids().len()];
    let near = (0..a.n_own()).filter(short).flat_map(|i| ghost.row_cols(i));
    near.for_each(|&g| met[g as usize] = true);
    a.ghost_ids().iter().zip(met).filter(|(_, met)| *met).map(|(&id, _)| id).collect()
}

/// The reply to a request of [`neighbours`]: pairs of a row and the steps left there. Own rows within
/// those steps, over own rows of at most `longest` entries.
fn rows_within(a: &DistCsr, request: &[u8], longest: usize) -> Result<Vec<u8>> {
    let (start, own, ghost) = (a.space().start(), a.own().view(), a.ghost().view());
    let short = |i: &&usize| own.range(**i).len() + ghost.range(**i).len() <= longest;
    let mut wanted: Vec<(u64, usize)> = Vec::new();
    let mut request = words(request);
    while let Some((id, left)) = request.next().zip(request.next()) {
        wanted.push((left, asked(a.space(), id)?));
    }
    // Rows with the most steps left first: what they reach has one less, and comes in its turn.
    wanted.sort_unstable_by(|x, y| y.cmp(x));
    let mut wanted = wanted.into_iter().peekable();
    let (mut met, mut layer) = (BTreeSet::new(), Vec::new());
    let mut left = wanted.peek().map_or(0, |&(most, _)| most);
    loop {
        while let Some((_, i)) = wanted.next_if(|next| next.0 == left) {
            layer.push(i);
        }
        layer.retain(|&i| met.insert(i));
        if left == 0 {
            break;
        }
        let next = layer.iter().filter(short).flat_map(|&i| own.row_cols(i));
        layer = next.map(|&j| j as usize).collect();
        left -= 1;
    }
    let mut reply = Vec::new();
    for i in met {
        put(&mut reply, start + i as u64);
        put_row(&mut reply, a, i);
    }
    Ok(reply)
}

/// Rows of others within `steps` steps that are not among those found, with the steps that are left.
fn lacking(
    a: &DistCsr,
    first: &[u64],
    found: &Found,
    steps: usize,
    longest: usize,
) -> Vec<(u64, usize)> {
    let mine = a.space().start()..a.space().start() + a.n_own() as u64;
    let mut met: BTreeSet<u64> = first.iter().copied().collect();
    let (mut layer, mut lacking) = (first.to_vec(), Vec::new());
    for left in (0..steps).rev() {
        let mut next = Vec::new();
        for id in layer {
            match found.get(&id) {
                Some(row) if row.len() > longest => {}
                Some(row) => next.extend(row.iter().map(|entry| entry.0)),
                None => lacking.push((id, left)),
            }
        }
        next.retain(|id| !mine.contains(id) && met.insert(*id));
        layer = next;
    }
    lacking
}

/// The own row that another rank asked for by its global number.
fn asked(space: &Space, id: u64) -> Result<usize> {
    let i = id.wrapping_sub(space.start());
    let wrong = || Error::Comm(format!("row {id} was asked of the wrong rank"));
    if i < space.n_own() as u64 { Ok(i as usize) } else { Err(wrong()) }
}

/// Number of entries of own row `i`, then column and value of each.
fn put_row(message: &mut Vec<u8>, a: &DistCsr, i: usize) {
    let count = a.own().view().range(i).len() + a.ghost().view().range(i).len();
    put_entries(message, count, a.global_entries(i));
}

/// The number of entries, then column and value of each.
pub(super) fn put_entries(
    message: &mut Vec<u8>,
    count: usize,
    entries: impl Iterator<Item = (u64, f64)>,
) {
    put(message, count as u64);
    for (col, value) in entries {
        put(message, col);
        put(message, value.to_bits());
    }
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

pub(crate) fn too_many() -> Error {
    Error::Unsupported("2³² or more entries on one rank: use more ranks".into())
}

pub(crate) fn put(message: &mut Vec<u8>, word: u64) {
    message.extend_from_slice(&word.to_le_bytes());
}

pub(crate) fn words(message: &[u8]) -> impl Iterator<Item = u64> + '_ {
    message.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}
