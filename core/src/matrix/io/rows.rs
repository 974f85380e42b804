//! Rows out of entries that come in any order.
use crate::comm::Communicator;
use crate::matrix::Space;
use crate::{Error, Result, memory};

/// Offsets of rows, columns and values, sorted.
pub(super) type Rows<C> = (Vec<u32>, Vec<C>, Vec<f64>);

/// Entries that a rank sends on at a time.
const BATCH: usize = 1 << 17;
/// Bytes of an entry on its way: row, column, value.
const ENTRY: usize = 24;

/// What errors call the arrays of a matrix that is read.
pub(super) const READ: &str = "the entries of this file";

/// Refuses a file of which this rank is to hold so many rows and entries, where the memory that reading
/// them takes is not available.
///
/// # Errors
/// [`Error::Memory`].
pub(super) fn must_fit(rows: u64, entries: u64) -> Result<()> {
    memory::must_fit(u128::from(rows) * ROW + u128::from(entries) * 2 * ENTRY as u128, READ)
}

/// Whether so many rows or columns are what a file of so many entries may announce: arrays of that length
/// are made, so nothing may be taken on trust.
pub(super) fn backed(extent: u64, entries: u64) -> bool {
    extent <= 1_000_000 + entries.saturating_mul(1000)
}

/// Bytes of a row while it is read: two offsets.
const ROW: u128 = 8;

/// Entries that were added to others at the same place, below the diagonal or on it, and above.
pub(super) type Added = [u64; 2];

/// What is done about an entry that is given twice.
pub(super) enum Twice<'a> {
    /// Its values are added up.
    Add,
    /// It is refused. All ranks are asked about it: who has read it says where.
    Refuse(&'a dyn Fn((u64, u64)) -> Result<()>),
}

/// Sorts entries into rows in place: by row (each is swapped to its place at most once), then by
/// column within each row. Entries that are given twice stand beside one another.
///
/// # Errors
/// [`Error::Memory`] where there is none for so many rows.
pub(super) fn compress<C: Copy + Ord>(
    n_rows: usize,
    mut rows: Vec<u32>,
    mut cols: Vec<C>,
    mut values: Vec<f64>,
) -> Result<Rows<C>> {
    let mut row_ptr = memory::vec_of(0u32, n_rows + 1, READ)?;
    for &i in &rows {
        row_ptr[i as usize + 1] += 1;
    }
    for i in 0..n_rows {
        row_ptr[i + 1] += row_ptr[i];
    }
    let mut next = Vec::new();
    memory::reserve(&mut next, n_rows, READ)?;
    next.extend_from_slice(&row_ptr[..n_rows]);
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
    sort(&row_ptr, &mut cols, &mut values)?;
    cols.shrink_to_fit();
    values.shrink_to_fit();
    Ok((row_ptr, cols, values))
}

/// Sorts each row by column.
///
/// # Errors
/// [`Error::Memory`] where there is none for a second copy of the longest row.
pub(super) fn sort<C: Copy + Ord>(
    row_ptr: &[u32],
    cols: &mut [C],
    values: &mut [f64],
) -> Result<()> {
    let mut row = Vec::new();
    for pair in row_ptr.windows(2) {
        let range = pair[0] as usize..pair[1] as usize;
        if !cols[range.clone()].is_sorted() {
            row.clear();
            memory::grow(&mut row, range.len(), READ)?;
            row.extend(range.clone().map(|k| (cols[k], values[k])));
            row.sort_unstable_by_key(|&(j, _)| j);
            for (k, &(j, v)) in range.zip(&row) {
                (cols[k], values[k]) = (j, v);
            }
        }
    }
    Ok(())
}

/// The first row, and a column of it, that is given twice in sorted rows.
pub(super) fn twice<C: Copy + Ord>(row_ptr: &[u32], cols: &[C]) -> Option<(usize, C)> {
    row_ptr.windows(2).enumerate().find_map(|(i, pair)| {
        let row = &cols[pair[0] as usize..pair[1] as usize];
        row.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| (i, pair[0]))
    })
}

/// Adds up entries at the same place in sorted rows, in order of their values, so that the sum does
/// not depend on the order in which they came. `row` gives the number of a row as columns count.
///
/// # Errors
/// The row and column of a sum that is not finite.
pub(super) fn add_up<C: Copy + Ord>(
    (row_ptr, cols, values): &mut Rows<C>,
    row: impl Fn(usize) -> C,
) -> std::result::Result<Added, (usize, C)> {
    let (mut to, mut from, mut added) = (0, 0, [0; 2]);
    for i in 0..row_ptr.len() - 1 {
        let end = row_ptr[i + 1] as usize;
        while from < end {
            let j = cols[from];
            let same = cols[from..end].iter().take_while(|&&other| other == j).count();
            values[from..from + same].sort_unstable_by(f64::total_cmp);
            let sum: f64 = values[from + 1..from + same].iter().fold(values[from], |s, v| s + v);
            if !sum.is_finite() {
                return Err((i, j));
            }
            added[usize::from(j > row(i))] += same as u64 - 1;
            (cols[to], values[to]) = (j, sum);
            to += 1;
            from += same;
        }
        row_ptr[i + 1] = to as u32;
    }
    cols.truncate(to);
    values.truncate(to);
    Ok(added)
}

/// The rows that this rank owns, out of entries `(row, column, value)` that any rank reads: `next`
/// gives those of this one. They travel in batches, so that no rank holds many of other ranks'.
/// With the rows comes how many entries were added to others on all ranks. Collective, inside a scope.
///
/// # Errors
/// What `next` and `given_twice` report; [`Error::Data`] where a rank would own 2³² entries or more.
pub(super) fn spread(
    space: &Space,
    mut next: impl FnMut() -> Result<Option<(u64, u64, f64)>>,
    given_twice: Twice<'_>,
) -> Result<(Rows<u64>, Added)> {
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
            let more = bytes.len() / ENTRY;
            memory::grow(&mut rows, more, READ)?;
            memory::grow(&mut cols, more, READ)?;
            memory::grow(&mut values, more, READ)?;
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
    let mut made = compress(space.n_own(), rows, cols, values)?;
    let start = space.start();
    match given_twice {
        Twice::Add => {
            let added = add_up(&mut made, |i| start + i as u64).map_err(|(i, j)| {
                let i = start + i as u64;
                Error::Data(format!("entry ({i}, {j}) is given twice, and the sum is not finite"))
            })?;
            let all = comm.all_gather(&added)?;
            Ok((made, [0, 1].map(|side| all.iter().map(|added| added[side]).sum())))
        }
        Twice::Refuse(again) => {
            let mine = twice(&made.0, &made.1);
            let mine = mine.map_or(vec![], |(i, j)| vec![start + i as u64, j]);
            if let Some(entry) = comm.all_gather(&mine)?.into_iter().find(|entry| !entry.is_empty())
            {
                comm.agree(again((entry[0], entry[1])))?;
                return Err(Error::Data(format!(
                    "entry ({}, {}) is given twice",
                    entry[0], entry[1]
                )));
            }
            Ok((made, [0; 2]))
        }
    }
}
