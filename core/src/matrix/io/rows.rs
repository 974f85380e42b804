//! Rows out of entries that come in any order.
use crate::comm::Communicator;
use crate::matrix::Space;
use crate::{Error, Result};

/// Offsets of rows, columns and values, sorted.
pub(super) type Rows<C> = (Vec<u32>, Vec<C>, Vec<f64>);

/// Entries that a rank sends on at a time.
const BATCH: usize = 1 << 17;
/// Bytes of an entry on its way: row, column, value.
const ENTRY: usize = 24;

/// Sorts entries into rows in place: by row (each is swapped to its place at most once), then by
/// column within each row. An entry that is given twice comes back instead.
pub(super) fn compress<C: Copy + Ord>(
    n_rows: usize,
    mut rows: Vec<u32>,
    mut cols: Vec<C>,
    mut values: Vec<f64>,
) -> std::result::Result<Rows<C>, (u32, C)> {
    let mut row_ptr = vec![0u32; n_rows + 1];
    for &i in &rows {
        row_ptr[i as usize + 1] += 1;
    }
    for i in 0..n_rows {
        row_ptr[i + 1] += row_ptr[i];
    }
    let mut next = row_ptr.clone();
    for i in 0..n_rows {
        while next[i] < row_ptr[i + 1] {
            let k = next[i] as usize;
            let to = &mut next[rows[k] as usize];
            rows.swap(k, *to as usize);
            cols.swap(k, *to as usize);
            values.swap(k, *to as usize);
            *to += 1;
        }
    }
    drop(rows);
    let mut row = Vec::new();
    for i in 0..n_rows {
        let range = row_ptr[i] as usize..row_ptr[i + 1] as usize;
        if !cols[range.clone()].is_sorted() {
            row.clear();
            row.extend(range.clone().map(|k| (cols[k], values[k])));
            row.sort_unstable_by_key(|&(j, _)| j);
            for (k, &(j, v)) in range.clone().zip(&row) {
                (cols[k], values[k]) = (j, v);
            }
        }
        if let Some(pair) = cols[range].windows(2).find(|pair| pair[0] == pair[1]) {
            return Err((i as u32, pair[0]));
        }
    }
    cols.shrink_to_fit();
    values.shrink_to_fit();
    Ok((row_ptr, cols, values))
}

/// The rows that this rank owns, out of entries `(row, column, value)` that any rank reads: `next`
/// gives those of this one. They travel in batches, so that no rank holds many of other ranks'.
/// `again` is asked on all ranks about an entry that was given twice: who has read it says where.
/// Collective, inside a scope.
///
/// # Errors
/// What `next` and `again` report; [`Error::Data`] where a rank would own 2³² entries or more.
pub(super) fn spread(
    space: &Space,
    mut next: impl FnMut() -> Result<Option<(u64, u64, f64)>>,
    again: impl Fn((u64, u64)) -> Result<()>,
) -> Result<Rows<u64>> {
    let comm = space.comm();
    let (mut rows, mut cols, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut more = true;
    loop {
        let mut send = vec![Vec::new(); comm.size()];
        for _ in 0..BATCH {
            more = more
                && match next()? {
                    Some((i, j, v)) => {
                        let to = &mut send[space.owner(i)];
                        [i, j, v.to_bits()].iter().for_each(|word| to.extend(word.to_le_bytes()));
                        true
                    }
                    None => false,
                };
        }
        for bytes in comm.all_to_all(&send)? {
            for entry in bytes.as_chunks::<ENTRY>().0 {
                let word =
                    |k: usize| u64::from_le_bytes(*entry[8 * k..].first_chunk().unwrap_or(&[0; 8]));
                rows.push((word(0) - space.start()) as u32);
                cols.push(word(1));
                values.push(f64::from_bits(word(2)));
            }
        }
        if values.len() > u32::MAX as usize {
            return Err(Error::Data("2³² or more entries on a rank; use more ranks".into()));
        }
        if comm.all_gather(&[u64::from(more)])?.iter().all(|more| more[0] == 0) {
            break;
        }
    }
    let made = compress(space.n_own(), rows, cols, values);
    let mine = match &made {
        Ok(_) => vec![],
        Err((i, j)) => vec![space.start() + u64::from(*i), *j],
    };
    if let Some(entry) = comm.all_gather(&mine)?.into_iter().find(|entry| !entry.is_empty()) {
        comm.agree(again((entry[0], entry[1])))?;
        return Err(Error::Data(format!("entry ({}, {}) is given twice", entry[0], entry[1])));
    }
    made.map_err(|(i, j)| Error::Data(format!("entry ({i}, {j}) is given twice")))
}
