//! Is A = Aᵀ? Exact, one pass over the entries, the answer kept with the matrix.
use super::{DistCsr, Space};
use crate::comm::Communicator;
use crate::{Error, Result};

/// Two entries that differ by more than this, relative to the largest of their row, differ.
const ROUNDING: f64 = 1e-10;

/// An entry that is not equal to its mirror image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unsymmetric {
    /// Global row.
    pub row: u64,
    /// Global column.
    pub col: u64,
    /// The entry there, zero where none is stored.
    pub entry: f64,
    /// The entry at `(col, row)`, zero where none is stored.
    pub mirror: f64,
}

impl std::fmt::Display for Unsymmetric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Unsymmetric { row, col, entry, mirror } = self;
        write!(f, "global row {row}: a({row}, {col}) = {entry} but a({col}, {row}) = {mirror}")
    }
}

impl DistCsr {
    /// The first entry, by rows, that is not equal to its mirror image up to rounding (1e-10 of
    /// the largest entry of its row); the same on all ranks. The first call costs about two
    /// products with A and sends the entries of the ghost block once; later calls are free.
    /// Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn first_unsymmetric(&self) -> Result<Option<Unsymmetric>> {
        if let Some(known) = self.symmetry().get() {
            return Ok(*known);
        }
        let found = find(self)?;
        Ok(*self.symmetry().get_or_init(|| found))
    }

    /// Refuses an unsymmetric matrix for `who`. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the first unsymmetric row.
    pub fn require_symmetric(&self, who: &str) -> Result<()> {
        match self.first_unsymmetric()? {
            None => Ok(()),
            Some(at) => Err(Error::Unsupported(format!("{who} needs a symmetric matrix; {at}"))),
        }
    }
}

fn find(a: &DistCsr) -> Result<Option<Unsymmetric>> {
    let space = a.space();
    let mine = first(first_own(a), first_ghost(a, space)?);
    let word = |at: Unsymmetric| [at.row, at.col, at.entry.to_bits(), at.mirror.to_bits()];
    let words = mine.map(word).map_or(Vec::new(), |w| w.to_vec());
    let all = space.comm().all_gather(&words)?;
    let found = all.iter().filter(|w| w.len() == 4).map(|w| Unsymmetric {
        row: w[0],
        col: w[1],
        entry: f64::from_bits(w[2]),
        mirror: f64::from_bits(w[3]),
    });
    Ok(found.fold(None, |best, at| first(best, Some(at))))
}

fn first(a: Option<Unsymmetric>, b: Option<Unsymmetric>) -> Option<Unsymmetric> {
    a.into_iter().chain(b).min_by_key(|at| (at.row, at.col))
}

/// NaN differs from everything.
fn differ(x: f64, y: f64, largest: f64) -> bool {
    let gap = (x - y).abs();
    gap.is_nan() || gap > ROUNDING * largest
}

fn largest(a: &DistCsr, i: usize) -> f64 {
    let values = a.own().view().row_values(i).iter().chain(a.ghost().view().row_values(i));
    values.fold(0.0, |m, v| v.abs().max(m))
}

/// Within the own block: rows in order meet the entries of every column in order of rows.
fn first_own(a: &DistCsr) -> Option<Unsymmetric> {
    let own = a.own().view();
    let start = a.space().start();
    let mut next: Vec<u32> = own.row_ptr[..a.n_own()].to_vec();
    let mut found = None;
    for i in 0..a.n_own() {
        let scale = largest(a, i);
        for (j, v) in own.row(i) {
            // Entries (j, k) with k < i that no row k mirrored are left behind: compare them too.
            let end = own.row_ptr[j + 1];
            let mut mirror = 0.0;
            while next[j] < end && own.cols[next[j] as usize] as usize <= i {
                let (k, w) = (own.cols[next[j] as usize] as usize, own.values[next[j] as usize]);
                next[j] += 1;
                if k == i {
                    mirror = w;
                } else {
                    found = first(found, alone(a, j, k, w));
                }
            }
            if differ(v, mirror, scale) {
                let (row, col) = (start + i as u64, start + j as u64);
                found = first(found, Some(Unsymmetric { row, col, entry: v, mirror }));
            }
        }
    }
    for (j, &next) in next.iter().enumerate() {
        for k in next as usize..own.row_ptr[j + 1] as usize {
            found = first(found, alone(a, j, own.cols[k] as usize, own.values[k]));
        }
    }
    found
}

/// Entry `(j, k)` of the own block, which has no mirror image.
fn alone(a: &DistCsr, j: usize, k: usize, entry: f64) -> Option<Unsymmetric> {
    let start = a.space().start();
    let at = Unsymmetric { row: start + j as u64, col: start + k as u64, entry, mirror: 0.0 };
    differ(entry, 0.0, largest(a, j)).then_some(at)
}

/// Across ranks: every ghost entry is sent to the owner of its column, which holds the mirror.
fn first_ghost(a: &DistCsr, space: &Space) -> Result<Option<Unsymmetric>> {
    let comm = space.comm();
    if comm.size() == 1 {
        return Ok(None);
    }
    let ghost = a.ghost().view();
    let mut send = vec![Vec::new(); comm.size()];
    for i in 0..a.n_own() {
        let scale = largest(a, i);
        for (g, v) in ghost.row(i) {
            let col = a.ghost_ids()[g];
            let to = &mut send[space.owner(col)];
            for word in [a.global_row(i), col, v.to_bits(), scale.to_bits()] {
                to.extend_from_slice(&word.to_le_bytes());
            }
        }
    }
    let mut found = None;
    for message in comm.all_to_all(&send)? {
        for entry in message.as_chunks::<32>().0 {
            let word = |k: usize| u64::from_le_bytes(std::array::from_fn(|b| entry[8 * k + b]));
            let (row, col, entry, scale) = (word(0), word(1), word(2), word(3));
            let i = (col - space.start()) as usize;
            let mirror = a.ghost_ids().binary_search(&row).map_or(0.0, |g| ghost.get(i, g));
            let entry = f64::from_bits(entry);
            if differ(entry, mirror, f64::from_bits(scale)) {
                found = first(found, Some(Unsymmetric { row, col, entry, mirror }));
            }
        }
    }
    Ok(found)
}
