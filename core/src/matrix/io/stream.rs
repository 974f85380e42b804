//! Matrices whose entries come one after the other out of a file, in any order.
use super::rows::{Added, READ, Twice, add_up, backed, compress, must_fit, spread};
use crate::comm::{Comm, Communicator};
use crate::matrix::{Csr, DistCsr, Space};
use crate::{Error, Result, memory};
use std::path::Path;

/// Entries that room is made for before they are there.
const FIRST_ROOM: u64 = 1 << 20;

/// What a file announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extents {
    pub(super) rows: u64,
    pub(super) cols: u64,
    /// Entries, mirror images included, at most.
    pub(super) count: u64,
    /// Whether half of them are mirror images of the others.
    pub(super) mirrored: bool,
}

/// A matrix, entry by entry.
pub(super) trait Stream {
    fn extents(&self) -> Extents;
    /// The next entry: row, column, value.
    fn next(&mut self) -> Result<Option<(u64, u64, f64)>>;
}

/// The matrix in one memory.
pub(super) fn whole(path: &Path, stream: &mut impl Stream, notes: &mut Vec<String>) -> Result<Csr> {
    let extents = stream.extents();
    let Extents { rows: n_rows, cols: n_cols, count, .. } = extents;
    if n_rows.max(n_cols) >= u64::from(u32::MAX) {
        let text = format!("{n_rows}×{n_cols} is too large: 2³² − 2 is the limit of a rank");
        return Err(Error::file(path, text));
    }
    if count > u64::from(u32::MAX) {
        return Err(Error::file(path, "2³² or more entries; use more ranks"));
    }
    check(path, extents)?;
    must_fit(n_rows, count)?;
    let (mut rows, mut cols, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let room = count.min(FIRST_ROOM) as usize;
    memory::reserve(&mut rows, room, READ)?;
    memory::reserve(&mut cols, room, READ)?;
    memory::reserve(&mut values, room, READ)?;
    while let Some((i, j, v)) = stream.next()? {
        memory::push(&mut rows, i as u32, READ)?;
        memory::push(&mut cols, j as u32, READ)?;
        memory::push(&mut values, v, READ)?;
    }
    let mut made = compress(n_rows as usize, rows, cols, values)?;
    let added = add_up(&mut made, |i| i as u32).map_err(|(i, j)| {
        let text =
            format!("the entries at row {i}, column {j} (from 0) add up to more than f64 can hold");
        Error::file(path, text)
    })?;
    tell(extents, added, notes);
    let (row_ptr, cols, values) = made;
    Csr::new(n_cols as usize, row_ptr, cols, values)
}

/// The matrix on all ranks, in blocks of nearly equally many rows: rank 0 reads and sends entries on as they come. There
/// notes are added. Collective.
pub(super) fn on_ranks<S: Stream>(
    path: &Path,
    comm: &Comm,
    open: impl FnOnce() -> Result<S>,
    notes: &mut Vec<String>,
) -> Result<DistCsr> {
    let in_file = |e| match e {
        Error::Data(why) => Error::file(path, why),
        other => other,
    };
    if comm.size() == 1 {
        return DistCsr::solo(whole(path, &mut open()?, notes)?).map_err(in_file);
    }
    comm.scope(|| {
        let mut stream = if comm.rank() == 0 { Some(open()?) } else { None };
        if let Some(stream) = &stream {
            let extents = stream.extents();
            check(path, extents)?;
            let Extents { rows, cols, .. } = extents;
            if rows != cols {
                let text = format!("the matrix is {rows}×{cols}; it must be square");
                return Err(Error::file(path, text));
            }
        }
        let rows = comm.all_gather(&[stream.as_ref().map_or(0, |stream| stream.extents().rows)])?;
        let space = Space::even(comm.clone(), rows[0][0]);
        let next = || stream.as_mut().map_or(Ok(None), Stream::next);
        let ((row_ptr, cols, values), added) = spread(&space, next, Twice::Add).map_err(in_file)?;
        if let Some(stream) = &stream {
            tell(stream.extents(), added, notes);
        }
        DistCsr::from_rows(&space, &row_ptr, &cols, &values)
    })
}

/// Refuses extents that nothing in the file backs, before memory is set aside for them.
fn check(path: &Path, Extents { rows, cols, count, .. }: Extents) -> Result<()> {
    for (extent, what) in [(rows, "rows"), (cols, "columns")] {
        if !backed(extent, count) {
            return Err(Error::file(path, format!("{extent} {what} with only {count} entries")));
        }
    }
    Ok(())
}

fn tell(extents: Extents, [below, above]: Added, notes: &mut Vec<String>) {
    // Each entry of a triangle was added together with its mirror image.
    let added = if extents.mirrored { below } else { below + above };
    if added > 0 {
        notes.push(format!(
            "{added} entries stand at the place of an earlier one and were added to it"
        ));
    }
}
