//! Fields: the rows of a distributed matrix sorted into sets, and the blocks of the matrix between them.
//!
//! Every rank keeps its rows. The vectors of a field are spread over the same ranks: a rank owns those
//! entries of it that it owns of the whole, in the same order, so that numbers within a field increase
//! with those of the whole. A rank may own no row of a field.
//!
//! Cost: setup one gather a field and two exchanges of A's ghost entries (whose fields and numbers
//! there), then one round of messages for each block; a product with a block one exchange of the
//! entries that it needs, its transpose one of as many sums.
use super::chunks;
use crate::Result;
use crate::comm::{Comm, Communicator, Exchange, HaloPlan};
use crate::host::Host;
use crate::matrix::{Csr, CsrView, DistCsr, Space};
use std::sync::Arc;

/// Rows, at least, that one thread multiplies at a time.
const GRAIN: usize = 1 << 13;

/// A row of the whole as its field has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The field.
    pub field: u32,
    /// Its number there.
    pub number: u64,
}

/// The rows of a matrix, sorted into fields.
pub struct Fields {
    whole: Arc<Space>,
    /// Of every own row.
    places: Vec<Place>,
    /// Own rows of every field, increasing.
    rows: Vec<Vec<u32>>,
    spaces: Vec<Arc<Space>>,
    /// Of every ghost column of A.
    ghosts: Vec<Place>,
}

impl Fields {
    /// Sorts the rows of `a` into `count` fields; `of` has that of every own row. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    ///
    /// # Panics
    /// Where `of` has another length than the rank has rows, or names a field from `count` on.
    pub fn new(a: &DistCsr, of: &[u32], count: usize) -> Result<Self> {
        assert_eq!(of.len(), a.n_own(), "a field for each own row");
        let whole = Arc::clone(a.space());
        let mut rows = vec![Vec::new(); count];
        of.iter().enumerate().for_each(|(i, &f)| rows[f as usize].push(i as u32));
        let space = |rows: &Vec<u32>| Space::new(whole.comm().clone(), rows.len());
        let spaces = rows.iter().map(space).collect::<Result<Vec<_>>>()?;
        let mut next: Vec<u64> = spaces.iter().map(|space| space.start()).collect();
        let place = |&field: &u32| {
            let number = next[field as usize];
            next[field as usize] += 1;
            Place { field, number }
        };
        let places: Vec<Place> = of.iter().map(place).collect();
        let ghosts = places_through(&**a.link(), &places, a.ghost_ids().len())?;
        Ok(Fields { whole, places, rows, spaces, ghosts })
    }

    /// Fields.
    pub fn count(&self) -> usize {
        self.rows.len()
    }
    /// The distribution of the rows of field `f`.
    pub fn space(&self, f: usize) -> &Arc<Space> {
        &self.spaces[f]
    }
    /// Own rows of field `f`, increasing.
    pub fn rows(&self, f: usize) -> &[u32] {
        &self.rows[f]
    }
    /// Where the own rows are.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Where the rows `ids` of others (increasing) are. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn places_of(&self, ids: &[u64]) -> Result<Vec<Place>> {
        let link = self.whole.comm().exchange(self.whole.halo(ids)?)?;
        places_through(&*link, &self.places, ids.len())
    }

    /// Where the ghost columns of A are.
    pub fn ghosts(&self) -> &[Place] {
        &self.ghosts
    }

    /// The number in the whole of row `number` of field `f`, where `a`, which the fields were made for,
    /// has it among its own rows or ghost columns here.
    pub fn global(&self, a: &DistCsr, f: usize, number: u64) -> Option<u64> {
        let own = number.checked_sub(self.spaces[f].start()).and_then(|i| usize::try_from(i).ok());
        if let Some(&row) = own.and_then(|i| self.rows[f].get(i)) {
            return Some(a.global_row(row as usize));
        }
        let there = Place { field: f as u32, number };
        self.ghosts.iter().position(|&place| place == there).map(|g| a.ghost_ids()[g])
    }

    /// `part` ← the entries of `whole` on the rows of field `f`.
    pub fn take(&self, f: usize, whole: &[f64], part: &mut [f64]) {
        part.iter_mut().zip(&self.rows[f]).for_each(|(x, &i)| *x = whole[i as usize]);
    }

    /// The entries of `whole` on the rows of field `f` ← `part`.
    pub fn put(&self, f: usize, part: &[f64], whole: &mut [f64]) {
        part.iter().zip(&self.rows[f]).for_each(|(&x, &i)| whole[i as usize] = x);
    }

    /// A on the rows and columns of field `f`. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn diagonal_block(&self, a: &DistCsr, f: usize) -> Result<DistCsr> {
        let Parts { own, ghost, ids } = self.parts(a, f, f)?;
        DistCsr::from_blocks(&self.spaces[f], own, ghost, ids)
    }

    /// A on the rows of field `f` and the columns of field `g`. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn block(&self, a: &DistCsr, f: usize, g: usize) -> Result<Block> {
        Block::new(self.parts(a, f, g)?, &self.spaces[g])
    }

    /// The values of A on the rows of field `f` and the columns of field `g`: those of the own columns,
    /// then those of the ghost columns, in order of the rows. Not collective.
    pub fn values(&self, a: &DistCsr, f: usize, g: usize) -> (Vec<f64>, Vec<f64>) {
        let in_g = |place: &Place| place.field as usize == g;
        let (own, ghost) = (a.own().view(), a.ghost().view());
        let rows = || self.rows[f].iter().map(|&i| i as usize);
        (
            rows()
                .flat_map(|i| own.row(i))
                .filter_map(|(j, v)| in_g(&self.places[j]).then_some(v))
                .collect(),
            rows()
                .flat_map(|i| ghost.row(i))
                .filter_map(|(j, v)| in_g(&self.ghosts[j]).then_some(v))
                .collect(),
        )
    }

    fn parts(&self, a: &DistCsr, f: usize, g: usize) -> Result<Parts> {
        let (own, ghost) = (a.own().view(), a.ghost().view());
        let start = self.spaces[g].start();
        let local = |j: usize| Some(self.places[j]).filter(|place| place.field as usize == g);
        let own = self.part(f, own, self.spaces[g].n_own(), |j| {
            local(j).map(|place| (place.number - start) as u32)
        })?;
        // Only the ghost columns that these rows reach.
        let mut reached = vec![false; self.ghosts.len()];
        for &i in &self.rows[f] {
            ghost.row(i as usize).for_each(|(j, _)| reached[j] = true);
        }
        let mut number = vec![None; self.ghosts.len()];
        let mut ids = Vec::new();
        for (j, place) in self.ghosts.iter().enumerate() {
            if reached[j] && place.field as usize == g {
                number[j] = Some(ids.len() as u32);
                ids.push(place.number);
            }
        }
        let ghost = self.part(f, ghost, ids.len(), |j| number[j])?;
        Ok(Parts { own, ghost, ids })
    }

    /// The rows of field `f` of `block`, with those of its columns that get a `number`.
    fn part(
        &self,
        f: usize,
        block: CsrView<'_>,
        n_cols: usize,
        number: impl Fn(usize) -> Option<u32>,
    ) -> Result<Csr> {
        let mut row_ptr = Vec::with_capacity(self.rows[f].len() + 1);
        let (mut cols, mut values) = (Vec::new(), Vec::new());
        row_ptr.push(0);
        for &i in &self.rows[f] {
            for (j, value) in block.row(i as usize) {
                if let Some(col) = number(j) {
                    cols.push(col);
                    values.push(value);
                }
            }
            row_ptr.push(cols.len() as u32);
        }
        Csr::new(n_cols, row_ptr, cols, values)
    }

    /// Bytes of this rank's arrays.
    pub fn bytes(&self) -> usize {
        let places = self.places.len() + self.ghosts.len();
        size_of::<Place>() * places + 4 * self.places.len()
    }
}

/// Brings the places of rows of others. Collective.
fn places_through(link: &dyn Exchange, own: &[Place], count: usize) -> Result<Vec<Place>> {
    // Numbers below 2⁵³ are exact.
    let bring = |of: &dyn Fn(&Place) -> f64| -> Result<Vec<f64>> {
        let (own, mut theirs): (Vec<f64>, _) = (own.iter().map(of).collect(), vec![0.0; count]);
        let token = link.start(&own)?;
        link.finish(token, &mut theirs)?;
        Ok(theirs)
    };
    let fields = bring(&|place| f64::from(place.field))?;
    let numbers = bring(&|place| place.number as f64)?;
    let place = |(field, number)| Place { field: field as u32, number: number as u64 };
    Ok(fields.into_iter().zip(numbers).map(place).collect())
}

/// The two parts of a block, and the numbers of its ghost columns.
struct Parts {
    own: Csr,
    ghost: Csr,
    ids: Vec<u64>,
}

/// A block of a distributed matrix, whose columns are spread over the ranks in another way than its
/// rows; and its transpose.
pub struct Block {
    own: Csr,
    ghost: Csr,
    /// Rows with ghost entries, and where in the row of the ghost part the own columns come in.
    boundary: Vec<(u32, u32)>,
    bring: Box<dyn Exchange>,
    arrived: Vec<f64>,
    back: Back,
}

impl Block {
    /// From rows split into own columns and those of others, `ids`, in increasing order. Collective.
    pub(super) fn of(own: Csr, ghost: Csr, ids: Vec<u64>, columns: &Space) -> Result<Self> {
        Block::new(Parts { own, ghost, ids }, columns)
    }

    /// Collective. `columns` says who has which columns.
    fn new(parts: Parts, columns: &Space) -> Result<Self> {
        let Parts { own, ghost, ids } = parts;
        let plan = columns.halo(&ids)?;
        let back = Back::new(columns.comm(), &plan)?;
        let bring = columns.comm().exchange(plan)?;
        let below = ids.partition_point(|&id| id < columns.start()) as u32;
        let view = ghost.view();
        let rows = (0..ghost.n_rows()).filter(|&i| !view.range(i).is_empty());
        let cut = |i| view.row_ptr[i] + view.row_cols(i).partition_point(|&j| j < below) as u32;
        let boundary = rows.map(|i| (i as u32, cut(i))).collect();
        Ok(Block { own, ghost, boundary, bring, arrived: vec![0.0; ids.len()], back })
    }

    /// `y = B x`; x has the own columns, y the own rows. Every row is added up in order of its columns,
    /// so y has the same bits on any number of ranks and threads. Collective; does not allocate.
    ///
    /// # Errors
    /// What the communicator reports, or the host that lends threads.
    pub fn multiply(&mut self, host: &dyn Host, x: &[f64], y: &mut [f64]) -> Result<()> {
        let token = self.bring.start(x)?;
        let own = self.own.view();
        let multiplied = match y.len() > GRAIN {
            true => chunks::rows(host, y.len(), GRAIN, [(&mut *y, 1)], |rows, [y]| {
                own.rows(rows).spmv(x, y, false);
                Ok(())
            }),
            false => {
                own.spmv(x, y, false);
                Ok(())
            }
        };
        self.bring.finish(token, &mut self.arrived)?;
        multiplied?;
        let ghost = self.ghost.view();
        for &(row, cut) in &self.boundary {
            let (row, cut) = (row as usize, cut as usize);
            let range = ghost.range(row);
            let entry = |k: usize| ghost.values[k] * self.arrived[ghost.cols[k] as usize];
            let below = (range.start..cut).fold(0.0, |sum, k| sum + entry(k));
            let here = own.row(row).fold(below, |sum, (j, v)| sum + v * x[j]);
            y[row] = (cut..range.end).fold(here, |sum, k| sum + entry(k));
        }
        Ok(())
    }

    /// `y = Bᵀ x`; x has the own rows, y the own columns. Collective; does not allocate.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn multiply_transposed(&mut self, x: &[f64], y: &mut [f64]) -> Result<()> {
        self.back.multiply(self.own.view(), self.ghost.view(), x, y)
    }

    /// Takes over the values of a matrix with the same pattern, as [`Fields::values`] gives them. Not
    /// collective.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) where there is not one value for each entry.
    pub fn set_values(&mut self, (own, ghost): (Vec<f64>, Vec<f64>)) -> Result<()> {
        (self.own, self.ghost) = (self.own.with_values(own)?, self.ghost.with_values(ghost)?);
        Ok(())
    }

    /// Entries that this rank stores.
    pub fn nnz_own(&self) -> usize {
        self.own.nnz() + self.ghost.nnz()
    }
    /// Bytes of this rank's arrays.
    pub fn bytes(&self) -> usize {
        let arrays = 8 * (self.boundary.len() + self.arrived.len()) + self.back.bytes();
        self.own.bytes() + self.ghost.bytes() + arrays
    }
}

/// Products with the transpose of rows that a rank owns: what belongs to columns of others goes back to
/// them, and is added there.
pub struct Back {
    link: Box<dyn Exchange>,
    /// Own columns that sums of others come for, in order of the ranks.
    index: Vec<u32>,
    sent: Vec<f64>,
    returned: Vec<f64>,
}

impl Back {
    /// For the rows whose ghost columns `plan` brings. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn new(comm: &Comm, plan: &HaloPlan) -> Result<Self> {
        let mut reverse = HaloPlan::default();
        for (rank, range) in &plan.recv {
            reverse.send.push((*rank, (range.start as u32..range.end as u32).collect()));
        }
        let mut index = Vec::new();
        for (rank, theirs) in &plan.send {
            reverse.recv.push((*rank, index.len()..index.len() + theirs.len()));
            index.extend_from_slice(theirs);
        }
        let ghosts = plan.recv.last().map_or(0, |(_, range)| range.end);
        let (sent, returned) = (vec![0.0; ghosts], vec![0.0; index.len()]);
        Ok(Back { link: comm.exchange(reverse)?, index, sent, returned })
    }

    /// For the rows of `a`. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn of(a: &DistCsr) -> Result<Self> {
        Back::new(a.space().comm(), &a.space().halo(a.ghost_ids())?)
    }

    /// `y =` the transpose of the rows `own` and `ghost` times `x`, on own columns. Collective; does
    /// not allocate.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn multiply(
        &mut self,
        own: CsrView<'_>,
        ghost: CsrView<'_>,
        x: &[f64],
        y: &mut [f64],
    ) -> Result<()> {
        scatter(ghost, x, &mut self.sent);
        let token = self.link.start(&self.sent)?;
        scatter(own, x, y);
        self.link.finish(token, &mut self.returned)?;
        self.index.iter().zip(&self.returned).for_each(|(&j, sum)| y[j as usize] += sum);
        Ok(())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        4 * self.index.len() + 8 * (self.sent.len() + self.returned.len())
    }
}

/// `y =` the transpose of `rows` times `x`.
fn scatter(rows: CsrView<'_>, x: &[f64], y: &mut [f64]) {
    y.fill(0.0);
    for (i, &x) in x.iter().enumerate() {
        rows.row(i).for_each(|(j, v)| y[j] += v * x);
    }
}
