//! Is A = Aᵀ? Exact, the answer kept with the matrix.
//!
//! Rows in order meet the entries of every column in order of rows: one cursor a row goes once over its
//! entries, so that every entry is visited a fixed number of times, however long its row is.
use super::{DistCsr, Operator};
use crate::comm::Communicator;
use crate::{Error, Result};
use std::cell::OnceCell;

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
    /// Over all entries of A, the largest difference from the mirror image, relative to the largest
    /// entry of the row.
    pub asymmetry: f64,
    /// The difference that counts as none.
    pub tolerance: f64,
}

impl std::fmt::Display for Unsymmetric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Unsymmetric { row, col, entry, mirror, asymmetry, tolerance } = self;
        write!(
            f,
            "global row {row}: a({row}, {col}) = {entry} but a({col}, {row}) = {mirror}; entries differ \
             from their mirror images by up to {asymmetry:.1e} of the largest of their row, and \
             'symmetry_tolerance' is {tolerance:e}"
        )
    }
}

impl DistCsr {
    /// The first entry, by rows, that is not equal to its mirror image up to
    /// [`symmetry_tolerance`](DistCsr::symmetry_tolerance) times the largest entry of its row; the same
    /// on all ranks. The first call looks at every entry at most four times
    /// (as long as three to nine products with A last: docs/auto.md) and sends the entries of the
    /// ghost block once; later calls are free. Collective.
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
            Some(at) => {
                let error = Error::Unsupported(format!("{who} needs a symmetric matrix; {at}"));
                Err(self.naming_identity_rows(error)?)
            }
        }
    }
}

/// What to try where A was taken for positive definite and is not: a sentence where every diagonal entry
/// on this rank is known and negative, else nothing. Not collective.
pub fn sign_hint(a: &dyn Operator) -> &'static str {
    let negative = |d: Vec<f64>| !d.is_empty() && d.iter().all(|&d| d < 0.0);
    match a.diagonal_entries().is_some_and(negative) {
        true => "; every diagonal entry is negative: change the sign of A and of b",
        false => "",
    }
}

fn find(a: &DistCsr) -> Result<Option<Unsymmetric>> {
    let mut search = Search::new(a);
    search.own();
    search.ghost()?;
    let word = |at: Unsymmetric| [at.row, at.col, at.entry.to_bits(), at.mirror.to_bits()];
    let mut words = vec![search.asymmetry.to_bits()];
    words.extend(search.found.iter().flat_map(|&at| word(at)));
    let all = a.space().comm().all_gather(&words)?;
    let asymmetry = all.iter().filter_map(|w| w.first()).map(|&bits| f64::from_bits(bits));
    let (asymmetry, tolerance) = (asymmetry.fold(0.0, f64::max), a.symmetry_tolerance());
    let found = all.iter().filter(|w| w.len() == 5).map(|w| Unsymmetric {
        row: w[1],
        col: w[2],
        entry: f64::from_bits(w[3]),
        mirror: f64::from_bits(w[4]),
        asymmetry,
        tolerance,
    });
    Ok(found.fold(None, |best, at| first(best, Some(at))))
}

fn first(a: Option<Unsymmetric>, b: Option<Unsymmetric>) -> Option<Unsymmetric> {
    a.into_iter().chain(b).min_by_key(|at| (at.row, at.col))
}

/// How far `x` is from `y`, relative to the largest entry of a row; NaN is far from everything.
fn apart(x: f64, y: f64, largest: f64) -> f64 {
    let gap = (x - y).abs();
    if gap.is_nan() {
        return f64::INFINITY;
    }
    if gap == 0.0 { 0.0 } else { gap / largest }
}

/// The search on one rank, and what it has found so far.
struct Search<'a> {
    a: &'a DistCsr,
    /// The largest entry of each row, looked for when two entries differ.
    largest: OnceCell<Vec<f64>>,
    /// How often an entry was looked at.
    visits: usize,
    found: Option<Unsymmetric>,
    asymmetry: f64,
}

impl<'a> Search<'a> {
    fn new(a: &'a DistCsr) -> Self {
        Search { a, largest: OnceCell::new(), visits: 0, found: None, asymmetry: 0.0 }
    }

    /// The largest entry of row `i`.
    fn largest(&self, i: usize) -> f64 {
        let (own, ghost) = (self.a.own().view(), self.a.ghost().view());
        let of_row = |i| {
            let values = own.row_values(i).iter().chain(ghost.row_values(i));
            values.fold(0.0, |m: f64, v| v.abs().max(m))
        };
        self.largest.get_or_init(|| (0..self.a.n_own()).map(of_row).collect())[i]
    }

    /// Compares entry `(i, j)` of the own block with its mirror image.
    fn compare(&mut self, i: usize, j: usize, entry: f64, mirror: f64) {
        if entry - mirror == 0.0 {
            return;
        }
        let at = [self.a.global_row(i), self.a.global_row(j)];
        self.weigh(at, [entry, mirror], self.largest(i));
    }

    /// An entry at `(row, col)` and its mirror image, in a row with this largest entry.
    fn weigh(&mut self, [row, col]: [u64; 2], [entry, mirror]: [f64; 2], largest: f64) {
        let (asymmetry, tolerance) = (apart(entry, mirror, largest), self.a.symmetry_tolerance());
        self.asymmetry = self.asymmetry.max(asymmetry);
        if asymmetry > tolerance {
            let at = Unsymmetric { row, col, entry, mirror, asymmetry, tolerance };
            self.found = first(self.found, Some(at));
        }
    }

    /// Whether the own block is symmetric to the last bit, by one visit of each entry; most
    /// matrices end here.
    fn own_is_exact(&self) -> bool {
        let own = self.a.own().view();
        let n = self.a.n_own();
        let mut next: Vec<u32> = own.row_ptr[..n].to_vec();
        for i in 0..n {
            // Where rows above have met all that is below the diagonal here, and nothing beyond.
            let (mut at, end) = (next[i] as usize, own.row_ptr[i + 1] as usize);
            if at > end || (at > own.range(i).start && own.cols[at - 1] as usize >= i) {
                return false;
            }
            if at < end && own.cols[at] as usize == i {
                if !own.values[at].is_finite() {
                    return false;
                }
                at += 1;
            }
            for (&j, v) in own.cols[at..end].iter().zip(&own.values[at..end]) {
                let mirror = next[j as usize] as usize;
                next[j as usize] += 1;
                // Not below the diagonal, which no row above has met then. NaN and infinities fail, too.
                let there = j as usize > i && own.cols.get(mirror) == Some(&(i as u32));
                if !there || v - own.values[mirror] != 0.0 {
                    return false;
                }
            }
        }
        true
    }

    /// Within the own block.
    fn own(&mut self) {
        if self.own_is_exact() {
            return;
        }
        let own = self.a.own().view();
        let n = self.a.n_own();
        let mut next: Vec<u32> = own.row_ptr[..n].to_vec();
        for i in 0..n {
            for (j, v) in own.row(i) {
                self.visits += 1;
                // Entries (j, k) with k < i that no row k mirrored are left behind: compare them too.
                let end = own.row_ptr[j + 1];
                let mut mirror = 0.0;
                while next[j] < end && own.cols[next[j] as usize] as usize <= i {
                    self.visits += 1;
                    let (k, w) =
                        (own.cols[next[j] as usize] as usize, own.values[next[j] as usize]);
                    next[j] += 1;
                    if k == i {
                        mirror = w;
                    } else {
                        self.compare(j, k, w, 0.0);
                    }
                }
                self.compare(i, j, v, mirror);
            }
        }
        for (j, &next) in next.iter().enumerate() {
            for k in next as usize..own.row_ptr[j + 1] as usize {
                self.visits += 1;
                self.compare(j, own.cols[k] as usize, own.values[k], 0.0);
            }
        }
    }

    /// Across ranks: every ghost entry is sent to the owner of its column, which holds the mirror.
    fn ghost(&mut self) -> Result<()> {
        let (a, space) = (self.a, self.a.space());
        let comm = space.comm();
        if comm.size() == 1 {
            return Ok(());
        }
        let ghost = a.ghost().view();
        let mut send = vec![Vec::new(); comm.size()];
        for i in 0..a.n_own() {
            for (g, v) in ghost.row(i) {
                self.visits += 1;
                let col = a.ghost_ids()[g];
                let to = &mut send[space.owner(col)];
                for word in [a.global_row(i), col, v.to_bits(), self.largest(i).to_bits()] {
                    to.extend_from_slice(&word.to_le_bytes());
                }
            }
        }
        // Messages come in rank order and have rows in order, so that cursors only go forwards.
        let mut next: Vec<u32> = ghost.row_ptr[..a.n_own()].to_vec();
        for message in comm.all_to_all(&send)? {
            for entry in message.as_chunks::<32>().0 {
                self.visits += 1;
                let word = |k: usize| u64::from_le_bytes(std::array::from_fn(|b| entry[8 * k + b]));
                let (row, col, entry, largest) = (word(0), word(1), word(2), word(3));
                let i = (col - space.start()) as usize;
                let id = |k: u32| a.ghost_ids()[ghost.cols[k as usize] as usize];
                while next[i] < ghost.row_ptr[i + 1] && id(next[i]) < row {
                    self.visits += 1;
                    next[i] += 1;
                }
                let there = next[i] < ghost.row_ptr[i + 1] && id(next[i]) == row;
                let mirror = if there { ghost.values[next[i] as usize] } else { 0.0 };
                let entry = f64::from_bits(entry);
                self.weigh([row, col], [entry, mirror], f64::from_bits(largest));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::{Comm, threads};
    use crate::matrix::Space;

    /// Twos on the diagonal, and row `full` full of ones that nothing mirrors.
    fn with_full_row(comm: Comm, n: u64, full: u64) -> DistCsr {
        let space = Space::even(comm, n);
        let (mut row_ptr, mut cols) = (vec![0], vec![]);
        for i in space.start()..space.start() + space.n_own() as u64 {
            cols.extend(if i == full { 0..n } else { i..i + 1 });
            row_ptr.push(cols.len() as u32);
        }
        let values: Vec<f64> = vec![2.0; cols.len()];
        DistCsr::from_rows(&space, &row_ptr, &cols, &values).expect("valid")
    }

    #[test]
    fn every_entry_is_visited_a_few_times_however_long_its_row_is() {
        let n = 4000;
        for size in [1, 3] {
            for full in [0, n / 2, n - 1] {
                let all = threads::run(size, |comm| {
                    let a = with_full_row(Comm::new(comm), n, full);
                    let mut search = Search::new(&a);
                    search.own();
                    search.ghost().expect("sent");
                    let first = a.first_unsymmetric().expect("sent").expect("unsymmetric");
                    assert_eq!((first.row, first.entry, first.mirror), (full, 2.0, 0.0));
                    assert_eq!(first.col, u64::from(full == 0));
                    (search.visits, a.nnz_own())
                });
                let (visits, entries) = all.iter().fold((0, 0), |s, a| (s.0 + a.0, s.1 + a.1));
                assert!(visits <= 4 * entries, "{visits} visits of {entries} entries");
            }
        }
    }
}
