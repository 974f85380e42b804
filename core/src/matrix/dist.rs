//! A sparse matrix spread over ranks by contiguous blocks of rows.
use super::{Csr, NullSpaces, Space, Unsymmetric};
use crate::comm::{Communicator, Exchange};
use crate::host::Host;
use crate::kernel::chunks;
use crate::{Error, Result};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The rows of a square matrix that this rank owns; an immutable shared handle.
///
/// Columns are split in two blocks: `own` (n × n, columns that this rank owns, numbered from its
/// first row) and `ghost` (n × g, columns owned by others, numbered by their place in
/// [`ghost_ids`](DistCsr::ghost_ids)).
#[derive(Clone)]
pub struct DistCsr {
    own: Csr,
    ghost: Csr,
    ghost_ids: Arc<[u64]>,
    space: Arc<Space>,
    link: Arc<dyn Exchange>,
    arrived: Arc<Mutex<Vec<f64>>>,
    /// Rows with ghost entries, and where in the row of the ghost block the own columns come in.
    boundary: Arc<[(u32, u32)]>,
    symmetry: Arc<OnceLock<Option<Unsymmetric>>>,
    symmetry_tolerance: f64,
    largest: Arc<OnceLock<f64>>,
    /// Whose threads products run on; none: that of the caller.
    host: Option<Arc<dyn Host>>,
    null: Option<Arc<NullSpaces>>,
}

/// Rounding of entries that were computed twice.
const SYMMETRY_TOLERANCE: f64 = 1e-10;

/// Rows, at least, that one thread multiplies at a time.
const GRAIN: usize = 1 << 13;

impl std::fmt::Debug for DistCsr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DistCsr({:?}, {:?}, {:?})", self.space, self.own, self.ghost)
    }
}

impl DistCsr {
    /// A matrix of one rank.
    ///
    /// # Errors
    /// [`Error::Data`] where `a` is not square.
    pub fn solo(a: Csr) -> Result<Self> {
        let n = a.n_rows();
        Self::square(n, a.n_cols())?;
        let ghost = Csr::new(0, vec![0; n + 1], vec![], vec![])?;
        let link = Arc::new(crate::comm::Solo);
        Self::from_parts(a, ghost, vec![], Space::solo(n), link)
    }

    /// From this rank's rows with global columns, strictly increasing within each row. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] naming the first row that is inconsistent, on all ranks.
    pub fn from_rows(
        space: &Arc<Space>,
        row_ptr: &[u32],
        cols: &[u64],
        values: &[f64],
    ) -> Result<Self> {
        space.comm().scope(|| {
            let (own, ghost, ghost_ids) = split(space, row_ptr, cols, values)?;
            Self::linked(space, own, ghost, ghost_ids)
        })
    }

    /// From blocks that are already split, as other libraries keep them: see [`DistCsr`] for their
    /// columns. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] where the shapes do not fit together, on all ranks.
    pub fn from_blocks(
        space: &Arc<Space>,
        own: Csr,
        ghost: Csr,
        ghost_ids: Vec<u64>,
    ) -> Result<Self> {
        space.comm().scope(|| {
            if let Some(beyond) = ghost_ids.iter().find(|&&id| id >= space.n_global()) {
                return Err(Error::Data(format!(
                    "ghost column {beyond} of a matrix with {} columns",
                    space.n_global()
                )));
            }
            Self::linked(space, own, ghost, ghost_ids)
        })
    }

    /// The matrix of these blocks, with a link that fetches its ghost columns.
    fn linked(space: &Arc<Space>, own: Csr, ghost: Csr, ghost_ids: Vec<u64>) -> Result<Self> {
        let link = space.comm().exchange(space.halo(&ghost_ids)?)?;
        Self::from_parts(own, ghost, ghost_ids, Arc::clone(space), Arc::from(link))
    }

    /// From blocks that are already split. Not collective.
    ///
    /// # Errors
    /// [`Error::Data`] where the shapes do not fit together.
    pub fn from_parts(
        own: Csr,
        ghost: Csr,
        ghost_ids: Vec<u64>,
        space: Arc<Space>,
        link: Arc<dyn Exchange>,
    ) -> Result<Self> {
        let n = space.n_own();
        let fits = own.n_rows() == n && own.n_cols() == n && ghost.n_rows() == n;
        if !fits || ghost.n_cols() != ghost_ids.len() {
            return Err(Error::Data(format!(
                "blocks of {}×{} and {}×{} with {} ghost columns do not make {n} rows",
                own.n_rows(),
                own.n_cols(),
                ghost.n_rows(),
                ghost.n_cols(),
                ghost_ids.len()
            )));
        }
        let arrived = Arc::new(Mutex::new(vec![0.0; ghost_ids.len()]));
        let mine = space.start()..space.start() + n as u64;
        let increasing = ghost_ids.windows(2).all(|pair| pair[0] < pair[1]);
        if !increasing || ghost_ids.iter().any(|g| mine.contains(g) || *g >= space.n_global()) {
            return Err(Error::Data(format!(
                "ghost columns must be increasing numbers of the other ranks' rows, outside {mine:?}"
            )));
        }
        let view = ghost.view();
        let below = ghost_ids.partition_point(|&g| g < space.start()) as u32;
        let rows = (0..n).filter(|&i| !view.range(i).is_empty());
        let boundary = rows.map(|i| {
            let cut = view.row_cols(i).partition_point(|&j| j < below);
            (i as u32, view.row_ptr[i] + cut as u32)
        });
        let boundary = boundary.collect();
        Ok(DistCsr {
            own,
            ghost,
            ghost_ids: ghost_ids.into(),
            space,
            link,
            arrived,
            boundary,
            symmetry: Arc::default(),
            symmetry_tolerance: SYMMETRY_TOLERANCE,
            largest: Arc::default(),
            host: None,
            null: None,
        })
    }

    /// Other values on the same pattern. Index arrays and halo are shared, so exchanges of the two
    /// matrices must not overlap. Null spaces are forgotten. Not collective.
    ///
    /// # Errors
    /// [`Error::Data`] where there is not one value for each entry of the two blocks.
    pub fn with_values(&self, own: Vec<f64>, ghost: Vec<f64>) -> Result<Self> {
        let (own, ghost) = (self.own.with_values(own)?, self.ghost.with_values(ghost)?);
        let (symmetry, largest) = (Arc::default(), Arc::default());
        Ok(DistCsr { own, ghost, symmetry, largest, null: None, ..self.clone() })
    }

    /// The same matrix, whose entries count as equal to their mirror images up to this part of the
    /// largest of their row; 1e-10 unless set. Not collective: the same on all ranks.
    #[must_use]
    pub fn with_symmetry_tolerance(self, tolerance: f64) -> Self {
        if tolerance == self.symmetry_tolerance {
            return self;
        }
        DistCsr { symmetry: Arc::default(), symmetry_tolerance: tolerance, ..self }
    }

    /// The same matrix, singular with these null spaces, which solvers take care of. Not collective.
    #[must_use]
    pub fn with_null_spaces(self, null: NullSpaces) -> Self {
        DistCsr { null: Some(Arc::new(null)), ..self }
    }

    /// The same matrix, whose products run on the threads of `host`. Not collective.
    #[must_use]
    pub fn with_host(self, host: Arc<dyn Host>) -> Self {
        DistCsr { host: Some(host), ..self }
    }

    /// Its null spaces, where it is known to be singular; see
    /// [`with_null_spaces`](DistCsr::with_null_spaces).
    pub fn null_spaces(&self) -> Option<&NullSpaces> {
        self.null.as_deref()
    }
    /// The block of columns that this rank owns, n × n.
    pub fn own(&self) -> &Csr {
        &self.own
    }
    /// The block of columns that others own, n × g.
    pub fn ghost(&self) -> &Csr {
        &self.ghost
    }
    /// Global numbers of the ghost columns, strictly increasing.
    pub fn ghost_ids(&self) -> &[u64] {
        &self.ghost_ids
    }
    /// The distribution of rows.
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }
    /// Rows that this rank owns.
    pub fn n_own(&self) -> usize {
        self.own.n_rows()
    }
    /// Rows in all.
    pub fn n_global(&self) -> u64 {
        self.space.n_global()
    }
    /// Entries that this rank stores.
    pub fn nnz_own(&self) -> usize {
        self.own.nnz() + self.ghost.nnz()
    }
    /// Entries in all. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn nnz_global(&self) -> Result<u64> {
        let counts = self.space.comm().all_gather(&[self.nnz_own() as u64])?;
        Ok(counts.iter().map(|c| c[0]).sum())
    }
    /// Global number of own row `i`.
    pub fn global_row(&self, i: usize) -> u64 {
        self.space.start() + i as u64
    }
    /// Diagonal entry of own row `i`, zero where none is stored.
    pub fn diagonal(&self, i: usize) -> f64 {
        self.own.view().get(i, i)
    }
    /// The largest magnitude of the entries that this rank stores, NaN passed over; 0 where there are
    /// none. The first call looks at every entry, later ones are free. Not collective.
    pub fn largest(&self) -> f64 {
        *self.largest.get_or_init(|| {
            let all = self.own.view().values.iter().chain(self.ghost.view().values);
            all.fold(0.0, |most: f64, v| most.max(v.abs()))
        })
    }
    /// Bytes of this rank's arrays.
    pub fn bytes(&self) -> usize {
        self.own.bytes() + self.ghost.bytes() + 8 * self.ghost_ids.len()
    }
    /// Entries of own row `i` as `(global column, value)`, in increasing order of columns.
    pub fn global_entries(&self, i: usize) -> impl Iterator<Item = (u64, f64)> + '_ {
        let start = self.space.start();
        let ghost = self.ghost.view();
        let range = ghost.range(i);
        let place = self.boundary.binary_search_by_key(&(i as u32), |&(row, _)| row);
        let cut = place.map_or(range.start, |k| self.boundary[k].1 as usize);
        let ghosts = move |range: std::ops::Range<usize>| {
            range.map(move |k| (self.ghost_ids[ghost.cols[k] as usize], ghost.values[k]))
        };
        let own = self.own.view().row(i).map(move |(j, v)| (start + j as u64, v));
        ghosts(range.start..cut).chain(own).chain(ghosts(cut..range.end))
    }

    /// What fetches the ghost entries.
    pub fn link(&self) -> &Arc<dyn Exchange> {
        &self.link
    }

    /// Starts fetching the ghost entries of `x`. See [`Exchange::start`].
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn exchange_start(&self, x: &[f64]) -> Result<u64> {
        self.link.start(x)
    }
    /// Finishes fetching the ghost entries, `ghost.len() = ghost_ids().len()`.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn exchange_finish(&self, token: u64, ghost: &mut [f64]) -> Result<()> {
        self.link.finish(token, ghost)
    }

    /// Numbers of own rows, fetched for the ghost columns. Collective; nothing is sent on one rank.
    ///
    /// # Errors
    /// What the exchange reports.
    pub fn on_ghosts(&self, own: &[f64]) -> Result<Vec<f64>> {
        let mut ghost = vec![0.0; self.ghost_ids().len()];
        if self.space().comm().size() > 1 {
            let token = self.exchange_start(own)?;
            self.exchange_finish(token, &mut ghost)?;
        }
        Ok(ghost)
    }

    /// `y = A x` on the rows that this rank owns, the exchange overlapped with the own block.
    /// Every row is added up in order of its columns, so y has the same bits on any number of
    /// ranks and threads. Collective; does not allocate.
    ///
    /// # Errors
    /// What the communicator reports, or the host that lends threads.
    ///
    /// # Panics
    /// Where `x` or `y` is not [`n_own`](DistCsr::n_own) long.
    pub fn spmv(&self, x: &[f64], y: &mut [f64]) -> Result<()> {
        assert!(x.len() == self.n_own() && y.len() == self.n_own(), "vectors of n_own entries");
        if self.space.comm().size() == 1 {
            return self.multiply_own(x, y);
        }
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let token = self.link.start(x)?;
        let multiplied = self.multiply_own(x, y);
        self.link.finish(token, &mut arrived)?;
        multiplied?;
        let (own, ghost) = (self.own.view(), self.ghost.view());
        for &(row, cut) in &*self.boundary {
            let (row, cut) = (row as usize, cut as usize);
            let range = ghost.range(row);
            let s = ghost.add_products(range.start..cut, &arrived, 0.0);
            let s = own.add_products(own.range(row), x, s);
            y[row] = ghost.add_products(cut..range.end, &arrived, s);
        }
        Ok(())
    }

    /// `y =` the own block times `x`.
    fn multiply_own(&self, x: &[f64], y: &mut [f64]) -> Result<()> {
        let own = self.own.view();
        let Some(host) = self.host.as_ref().filter(|_| y.len() > GRAIN) else {
            own.spmv(x, y, false);
            return Ok(());
        };
        chunks::rows(&**host, y.len(), GRAIN, [(y, 1)], |rows, [y]| {
            own.rows(rows).spmv(x, y, false);
            Ok(())
        })
    }

    /// What [`with_symmetry_tolerance`](DistCsr::with_symmetry_tolerance) set.
    pub fn symmetry_tolerance(&self) -> f64 {
        self.symmetry_tolerance
    }

    /// What is known of the symmetry of A: nothing, or the first unsymmetric entry, if any.
    pub(super) fn symmetry(&self) -> &OnceLock<Option<Unsymmetric>> {
        &self.symmetry
    }

    fn square(rows: usize, cols: usize) -> Result<()> {
        if rows == cols {
            return Ok(());
        }
        Err(Error::Data(format!("the matrix is {rows}×{cols}; it must be square")))
    }
}

/// Splits rows with global columns into the own and the ghost block.
fn split(
    space: &Space,
    row_ptr: &[u32],
    cols: &[u64],
    values: &[f64],
) -> Result<(Csr, Csr, Vec<u64>)> {
    check_rows(space, row_ptr, cols, values)?;
    let (n, start) = (space.n_own(), space.start());
    let mine = start..start + n as u64;
    let mut ghost_ids: Vec<u64> = cols.iter().copied().filter(|g| !mine.contains(g)).collect();
    let n_ghost = ghost_ids.len();
    ghost_ids.sort_unstable();
    ghost_ids.dedup();
    let with = |n_entries| {
        let mut ptr = Vec::with_capacity(n + 1);
        ptr.push(0);
        (ptr, Vec::with_capacity(n_entries), Vec::with_capacity(n_entries))
    };
    let (mut own, mut ghost) = (with(cols.len() - n_ghost), with(n_ghost));
    for pair in row_ptr.windows(2) {
        for k in pair[0] as usize..pair[1] as usize {
            let (block, col) = if mine.contains(&cols[k]) {
                (&mut own, (cols[k] - start) as usize)
            } else {
                (&mut ghost, ghost_ids.partition_point(|&g| g < cols[k]))
            };
            block.1.push(col as u32);
            block.2.push(values[k]);
        }
        own.0.push(own.1.len() as u32);
        ghost.0.push(ghost.1.len() as u32);
    }
    let own = Csr::new(n, own.0, own.1, own.2)?;
    let ghost = Csr::new(ghost_ids.len(), ghost.0, ghost.1, ghost.2)?;
    Ok((own, ghost, ghost_ids))
}

fn check_rows(space: &Space, row_ptr: &[u32], cols: &[u64], values: &[f64]) -> Result<()> {
    let (n, n_global) = (space.n_own(), space.n_global());
    let last = row_ptr.last().map_or(0, |&p| p as usize);
    let fits = row_ptr.len() == n + 1 && last == cols.len() && last == values.len();
    if !fits || row_ptr[0] != 0 {
        return Err(Error::Data(format!(
            "{} offsets, {} columns and {} values do not make {n} rows",
            row_ptr.len(),
            cols.len(),
            values.len()
        )));
    }
    for (i, pair) in row_ptr.windows(2).enumerate() {
        let fail = |what: String| {
            Err(Error::Data(format!("global row {}: {what}", space.start() + i as u64)))
        };
        let (from, to) = (pair[0] as usize, pair[1] as usize);
        if from > to || to > cols.len() {
            return fail(format!("its offsets {from}..{to} are no range of entries"));
        }
        let row = &cols[from..to];
        if let Some(pair) = row.windows(2).find(|pair| pair[0] >= pair[1]) {
            return fail(format!("column {} follows column {}; sort columns", pair[1], pair[0]));
        }
        if let Some(beyond) = row.last().filter(|&&j| j >= n_global) {
            return fail(format!("column {beyond} of a matrix with {n_global} columns"));
        }
    }
    Ok(())
}
