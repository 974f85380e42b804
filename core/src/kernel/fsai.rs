//! The rows of FSAI, and the product with M = GᵀG.
//!
//! Row i of G, with entries in the columns J of a lower triangular pattern (the last of them i), is
//! the solution of Cᵀ g = eᵢ with the Cholesky factor A(J, J) = C Cᵀ; then diag(G A Gᵀ) = 1.
//!
//! Cost: k³/6 vector operations for eight rows of k entries, each in its own lane, however long the
//! rows of A are that they touch; no communication.
//! Bitwise the same rows on any number of ranks.
//!
//! Reference: L. Kolotilina, A. Yeremin, *Factorized sparse approximate inverse preconditionings
//! I*, SIAM J. Matrix Anal. Appl. 14 (1993), §2.
use super::batch::{self, LANES, Lanes, packed};
use super::chunks::{self, Pool};
use super::pattern::Pattern;
use super::reach::Reach;
use super::remote;
use crate::host::Host;
use crate::matrix::{DistCsr, Explicit, ExplicitKind, Space};
use crate::memory;
use crate::precond::{Preconditioner, Properties};
use crate::{Error, Result};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows that one thread takes at a time.
const GRAIN: usize = 2048;

/// The entries of G on the lower triangular `pattern`, with the rows of A that `reach` holds, whose
/// first own row has the global number `start`. Not collective.
///
/// # Errors
/// [`Error::Breakdown`] for the first row on whose pattern A is not positive definite.
pub fn entries(
    host: &dyn Host,
    reach: &Reach<'_>,
    pattern: &Pattern,
    start: u64,
) -> Result<Vec<f64>> {
    let mut values =
        memory::vec_of(0.0, pattern.cols.len(), "the factor; lower 'max_row' or 'power'")?;
    Rows { reach, pattern, start }.solve(host, &mut values)?;
    Ok(values)
}

/// M = GᵀG, as a product with G and one with Gᵀ.
pub struct Factored {
    g: DistCsr,
    transpose: DistCsr,
    /// G r, between the two products.
    between: Mutex<Vec<f64>>,
}

impl Factored {
    /// With the entries of G on a pattern. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn new(space: &Arc<Space>, pattern: &Pattern, values: Vec<f64>) -> Result<Self> {
        Self::of(pattern.matrix(space, values)?)
    }

    /// With a lower triangular G. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn of(g: DistCsr) -> Result<Self> {
        let transpose = remote::transpose(&g)?;
        let between = Mutex::new(vec![0.0; g.n_own()]);
        Ok(Factored { g, transpose, between })
    }

    /// G.
    pub fn g(&self) -> &DistCsr {
        &self.g
    }
}

impl Preconditioner for Factored {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut between = self.between.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.g.spmv(r, &mut between);
        first.and(self.transpose.spmv(&between, z))
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        self.g.nnz_own()
    }
    fn bytes(&self) -> usize {
        self.g.bytes() + self.transpose.bytes() + 8 * self.g.n_own()
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        Some(Explicit::of(ExplicitKind::Factor, &self.g))
    }
}

/// The small systems of all own rows.
struct Rows<'a> {
    reach: &'a Reach<'a>,
    pattern: &'a Pattern,
    start: u64,
}

impl Rows<'_> {
    /// Computes the entries of G.
    fn solve(&self, host: &dyn Host, values: &mut [f64]) -> Result<()> {
        let pool = Pool::default();
        let make = || BatchRoom::new(self.reach.numbering().len());
        chunks::fill(host, &self.pattern.row_ptr, GRAIN, values, |range, out| {
            pool.with(make, |work| self.solve_chunk(range, work, out))
        })
    }

    fn solve_chunk(
        &self,
        range: Range<usize>,
        work: &mut BatchRoom,
        out: &mut [f64],
    ) -> Result<()> {
        let first = self.pattern.row_ptr[range.start] as usize;
        let mut order = std::mem::take(&mut work.order);
        self.pattern.by_size(range, &mut order);
        for rows in order.chunks(LANES) {
            let size = self.pattern.row(rows[rows.len() - 1] as usize).len();
            work.start(size).map_err(|e| e.of_row(self.start + u64::from(rows[rows.len() - 1])))?;
            for (lane, &i) in rows.iter().enumerate() {
                self.gather(i as usize, lane, work);
            }
            let ratio = batch::cholesky(size, &mut work.matrix);
            batch::solve_upper(size, &work.matrix, &mut work.row);
            for (lane, &i) in rows.iter().enumerate() {
                let i = i as usize;
                let (k, to) = (self.pattern.row(i).len(), self.pattern.row_ptr[i] as usize - first);
                if ratio.0[lane] <= k as f64 * f64::EPSILON {
                    return Err(Error::breakdown(
                        self.start + i as u64,
                        "the matrix is not positive definite on the pattern of this row",
                    ));
                }
                for (g, x) in out[to..to + k].iter_mut().zip(&work.row) {
                    *g = x.0[lane];
                }
            }
        }
        work.order = order;
        Ok(())
    }

    /// Puts A(J, J) of row `i` and the right-hand side eᵢ into `lane` of the batch.
    fn gather(&self, i: usize, lane: usize, work: &mut BatchRoom) {
        let pattern = self.pattern.row(i);
        for (a, &j) in pattern.iter().enumerate() {
            work.place[j as usize] = a as u32;
        }
        for (a, &j) in pattern.iter().enumerate() {
            let row = &mut work.matrix[packed(a, 0)..=packed(a, a)];
            row[a].0[lane] = 0.0;
            self.reach.visit_among(j, &pattern[..=a], |c, value| {
                // Places are smaller than a to the left of the diagonal, and only there.
                if let Some(cell) = row.get_mut(work.place[c as usize] as usize) {
                    cell.0[lane] = value;
                }
            });
        }
        for &j in pattern {
            work.place[j as usize] = ABSENT;
        }
        work.row[pattern.len() - 1].0[lane] = 1.0;
    }
}

/// A column that is not in the pattern of the row at hand.
const ABSENT: u32 = u32::MAX;

/// What a chunk of rows is solved in.
struct BatchRoom {
    order: Vec<u32>,
    /// Where each column stands in the pattern of the row at hand; [`ABSENT`] between rows.
    place: Vec<u32>,
    matrix: Vec<Lanes>,
    row: Vec<Lanes>,
}

impl BatchRoom {
    fn new(n_columns: usize) -> Self {
        let place = vec![ABSENT; n_columns];
        BatchRoom { order: Vec::new(), place, matrix: Vec::new(), row: Vec::new() }
    }

    /// Starts a batch of systems with up to `size` unknowns, all of them the identity.
    ///
    /// # Errors
    /// [`Error::Memory`] where they do not fit.
    fn start(&mut self, size: usize) -> Result<()> {
        self.matrix.clear();
        let what = format_args!("the systems of eight rows of {size} entries; lower 'max_row'");
        memory::reserve(&mut self.matrix, packed(size, 0), what)?;
        self.matrix.resize(packed(size, 0), Lanes::default());
        for a in 0..size {
            self.matrix[packed(a, a)] = Lanes::all(1.0);
        }
        self.row.clear();
        self.row.resize(size, Lanes::default());
        Ok(())
    }
}
