//! Matrices whose columns are spread over the ranks in another way than their rows: transfers between levels.
//!
//! A [`Rectangle`] is a rank's rows with global columns. Products and transposes of such matrices have the same
//! bits on any number of ranks: every sum runs over the columns of the left factor in their order.
//! [`Rectangle::operator`] makes what multiplies vectors.
//!
//! Cost: a transpose sends 24 bytes for each entry in a column of another rank; a product fetches the rows of
//! the right factor that the left one's foreign columns name, once each, 16 bytes an entry.
use super::remote::{self, words};
use super::split::Block;
use crate::comm::Communicator;
use crate::matrix::{Csr, DistCsr, Space};
use crate::{Error, Result};
use std::sync::Arc;

/// The rows that this rank owns of a matrix of any shape.
#[derive(Clone, Debug)]
pub struct Rectangle {
    rows: Arc<Space>,
    columns: Arc<Space>,
    /// A row more than there are: offsets into the entries.
    row_ptr: Vec<usize>,
    cols: Vec<u64>,
    values: Vec<f64>,
}

impl Rectangle {
    /// From own rows with global columns, strictly increasing within each. Not collective.
    ///
    /// # Errors
    /// [`Error::Data`] where the arrays do not fit together, naming the row.
    pub fn new(
        rows: &Arc<Space>,
        columns: &Arc<Space>,
        row_ptr: Vec<usize>,
        cols: Vec<u64>,
        values: Vec<f64>,
    ) -> Result<Self> {
        let whole = row_ptr.len() == rows.n_own() + 1
            && row_ptr[0] == 0
            && row_ptr.is_sorted()
            && row_ptr.last() == Some(&cols.len())
            && cols.len() == values.len();
        if !whole {
            let n = rows.n_own();
            return Err(Error::Data(format!("the arrays are not those of {n} rows")));
        }
        for i in 0..rows.n_own() {
            let row = &cols[row_ptr[i]..row_ptr[i + 1]];
            let inside = row.last().is_none_or(|&j| j < columns.n_global());
            if !inside || row.windows(2).any(|pair| pair[0] >= pair[1]) {
                let row = rows.start() + i as u64;
                let n = columns.n_global();
                return Err(Error::Data(format!(
                    "global row {row}: its columns are not increasing numbers below {n}"
                )));
            }
        }
        Ok(Rectangle {
            rows: Arc::clone(rows),
            columns: Arc::clone(columns),
            row_ptr,
            cols,
            values,
        })
    }

    /// The rows of a square matrix. Not collective.
    pub fn of(a: &DistCsr) -> Self {
        let (mut row_ptr, nnz) = (vec![0], a.nnz_own());
        let (mut cols, mut values) = (Vec::with_capacity(nnz), Vec::with_capacity(nnz));
        for i in 0..a.n_own() {
            for (j, v) in a.global_entries(i) {
                cols.push(j);
                values.push(v);
            }
            row_ptr.push(cols.len());
        }
        let (rows, columns) = (Arc::clone(a.space()), Arc::clone(a.space()));
        Rectangle { rows, columns, row_ptr, cols, values }
    }

    /// Who has which rows.
    pub fn rows(&self) -> &Arc<Space> {
        &self.rows
    }
    /// Who has which entries of a vector that it is multiplied with.
    pub fn columns(&self) -> &Arc<Space> {
        &self.columns
    }
    /// Entries that this rank stores.
    pub fn nnz_own(&self) -> usize {
        self.cols.len()
    }
    /// Entries of own row `i` as `(global column, value)`, in order of columns.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (u64, f64)> + '_ {
        let range = self.row_ptr[i]..self.row_ptr[i + 1];
        self.cols[range.clone()].iter().copied().zip(self.values[range].iter().copied())
    }

    /// The transpose. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn transpose(&self) -> Result<Self> {
        let comm = self.columns.comm();
        let first = self.columns.start();
        let mine = first..first + self.columns.n_own() as u64;
        let mut entries = Vec::new();
        let mut send = vec![Vec::new(); comm.size()];
        for i in 0..self.rows.n_own() {
            let row = self.rows.start() + i as u64;
            for (j, v) in self.row(i) {
                if mine.contains(&j) {
                    entries.push((j, row, v));
                } else {
                    let to = &mut send[self.columns.owner(j)];
                    for word in [j, row, v.to_bits()] {
                        to.extend_from_slice(&word.to_le_bytes());
                    }
                }
            }
        }
        if comm.size() > 1 {
            for message in comm.all_to_all(&send)? {
                let mut message = words(&message);
                while let (Some(j), Some(row), Some(v)) =
                    (message.next(), message.next(), message.next())
                {
                    if !mine.contains(&j) {
                        return Err(Error::Comm(format!("column {j} came to the wrong rank")));
                    }
                    entries.push((j, row, f64::from_bits(v)));
                }
            }
        }
        let mut row_ptr = vec![0; self.columns.n_own() + 1];
        entries.iter().for_each(|e| row_ptr[(e.0 - first) as usize + 1] += 1);
        for c in 1..row_ptr.len() {
            row_ptr[c] += row_ptr[c - 1];
        }
        entries.sort_unstable_by_key(|&(j, row, _)| (j, row));
        let cols = entries.iter().map(|e| e.1).collect();
        let values = entries.iter().map(|e| e.2).collect();
        let (rows, columns) = (Arc::clone(&self.columns), Arc::clone(&self.rows));
        Ok(Rectangle { rows, columns, row_ptr, cols, values })
    }

    /// The product `self · right`. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] where the columns of one are not spread as the rows of the other; what the communicator
    /// reports.
    pub fn times(&self, right: &Self) -> Result<Self> {
        if self.columns.starts() != right.rows.starts() {
            return Err(Error::Data("the factors of a product are not spread alike".into()));
        }
        let first = right.rows.start();
        let mine = first..first + right.rows.n_own() as u64;
        let mut foreign: Vec<u64> =
            self.cols.iter().copied().filter(|j| !mine.contains(j)).collect();
        foreign.sort_unstable();
        foreign.dedup();
        let fetched = remote::fetch_rows(&right.rows, &foreign, |message, i| {
            remote::put_entries(message, right.row_ptr[i + 1] - right.row_ptr[i], right.row(i));
        })?;
        let number = Numbers::new(&right.columns, &right.cols, &fetched.cols);
        // Columns of both parts of the right factor by their numbers, once.
        let near: Vec<u32> = right.cols.iter().map(|&j| number.of(j)).collect();
        let far: Vec<u32> = fetched.cols.iter().map(|&j| number.of(j)).collect();
        let mut sums = vec![(0.0f64, usize::MAX); number.len()];
        let mut touched: Vec<u32> = Vec::new();
        let (mut row_ptr, mut cols, mut values) = (vec![0], Vec::new(), Vec::new());
        for i in 0..self.rows.n_own() {
            touched.clear();
            for (j, v) in self.row(i) {
                let (columns, entries) = if mine.contains(&j) {
                    let k = (j - first) as usize;
                    let range = right.row_ptr[k]..right.row_ptr[k + 1];
                    (&near[range.clone()], &right.values[range])
                } else {
                    let k = foreign.partition_point(|&id| id < j);
                    let range = fetched.row_ptr[k]..fetched.row_ptr[k + 1];
                    (&far[range.clone()], &fetched.values[range])
                };
                for (&c, &w) in columns.iter().zip(entries) {
                    let sum = &mut sums[c as usize];
                    if sum.1 != i {
                        *sum = (0.0, i);
                        touched.push(c);
                    }
                    sum.0 += v * w;
                }
            }
            touched.sort_unstable_by_key(|&c| number.global(c));
            cols.extend(touched.iter().map(|&c| number.global(c)));
            values.extend(touched.iter().map(|&c| sums[c as usize].0));
            row_ptr.push(cols.len());
        }
        let (rows, columns) = (Arc::clone(&self.rows), Arc::clone(&right.columns));
        Ok(Rectangle { rows, columns, row_ptr, cols, values })
    }

    /// What multiplies vectors with it. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for 2³² or more entries on a rank; what the communicator reports.
    pub fn operator(&self) -> Result<Block> {
        let first = self.columns.start();
        let mine = first..first + self.columns.n_own() as u64;
        let mut ids: Vec<u64> = self.cols.iter().copied().filter(|j| !mine.contains(j)).collect();
        ids.sort_unstable();
        ids.dedup();
        let (mut own, mut ghost) = (Parts::default(), Parts::default());
        for i in 0..self.rows.n_own() {
            for (j, v) in self.row(i) {
                if mine.contains(&j) {
                    own.push((j - first) as u32, v);
                } else {
                    ghost.push(ids.partition_point(|&id| id < j) as u32, v);
                }
            }
            own.end_row()?;
            ghost.end_row()?;
        }
        Block::of(own.csr(self.columns.n_own())?, ghost.csr(ids.len())?, ids, &self.columns)
    }

    /// The matrix, where rows and columns are spread alike. Collective.
    ///
    /// # Errors
    /// As [`DistCsr::from_rows`].
    pub fn matrix(&self) -> Result<DistCsr> {
        let row_ptr: Vec<u32> = self
            .row_ptr
            .iter()
            .map(|&p| u32::try_from(p).map_err(|_| remote::too_many()))
            .collect::<Result<_>>()?;
        DistCsr::from_rows(&self.rows, &row_ptr, &self.cols, &self.values)
    }
}

/// Rows in the making, with local columns.
struct Parts {
    row_ptr: Vec<u32>,
    cols: Vec<u32>,
    values: Vec<f64>,
}

impl Default for Parts {
    fn default() -> Self {
        Parts { row_ptr: vec![0], cols: vec![], values: vec![] }
    }
}

impl Parts {
    fn push(&mut self, col: u32, value: f64) {
        self.cols.push(col);
        self.values.push(value);
    }
    fn end_row(&mut self) -> Result<()> {
        self.row_ptr.push(u32::try_from(self.cols.len()).map_err(|_| remote::too_many())?);
        Ok(())
    }
    fn csr(self, n_cols: usize) -> Result<Csr> {
        Csr::new(n_cols, self.row_ptr, self.cols, self.values)
    }
}

/// Local numbers of columns: own ones first, then those of others that are met, in order.
struct Numbers {
    first: u64,
    own: usize,
    others: Vec<u64>,
}

impl Numbers {
    fn new(columns: &Space, near: &[u64], far: &[u64]) -> Self {
        let (first, own) = (columns.start(), columns.n_own());
        let mine = first..first + own as u64;
        let all = near.iter().chain(far).copied();
        let mut others: Vec<u64> = all.filter(|j| !mine.contains(j)).collect();
        others.sort_unstable();
        others.dedup();
        Numbers { first, own, others }
    }
    fn len(&self) -> usize {
        self.own + self.others.len()
    }
    fn of(&self, j: u64) -> u32 {
        let here = j.wrapping_sub(self.first);
        if here < self.own as u64 {
            return here as u32;
        }
        (self.own + self.others.partition_point(|&id| id < j)) as u32
    }
    fn global(&self, c: u32) -> u64 {
        match (c as usize).checked_sub(self.own) {
            None => self.first + u64::from(c),
            Some(k) => self.others[k],
        }
    }
}
