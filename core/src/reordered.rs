//! Methods that get A in another order, with its rows spread in another way.
//!
//! Methods for structured grids ask for nodes row after row, plane after plane. Where a host numbers them otherwise (a DMDA of PETSc
//! that is cut in several directions numbers each rank's part for itself), [`Reordered`] stands between: M = Pᵀ M' P, where M'
//! is made for P A Pᵀ, spread as the method likes it, and P sends vectors there and back.
//!
//! An order may leave unknowns out: those whose row of A has a diagonal entry only (Dirichlet nodes that a program keeps). With
//! D the diagonal there, u = D⁻¹ r is exact, and the others get M' (r − A' u), A' their couplings to those left out.
//!
//! Cost of a setup: every entry of A sent to the rank that its row goes to, 16 bytes each and 16 a row. Of an application: one
//! message there and one back between any two ranks that have rows in common, 8 bytes a row; nothing between a rank and itself.
//! Where couplings to unknowns left out are not zero, a product with those. Nothing is allocated.
use crate::comm::{Comm, Communicator};
use crate::instance::{Instance, same_rows, together};
use crate::invariance::Invariances;
use crate::kernel::slab::PairExchange;
use crate::matrix::{DistCsr, Space};
use crate::persist::no_persist;
use crate::precond::{Capabilities, Preconditioner, Properties};
use crate::registry::DynGenerator;
use crate::system::{
    BLOCK_SIZE, COEFFICIENT, COORDINATES, GRID_INDEX, NEAR_NULL_SPACE, NULL_SPACE,
    SYMMETRY_TOLERANCE, System,
};
use crate::train::Training;
use crate::{Error, Result};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// What moves with the rows.
const MOVED: [&str; 7] = [
    BLOCK_SIZE,
    COEFFICIENT,
    COORDINATES,
    GRID_INDEX,
    NEAR_NULL_SPACE,
    NULL_SPACE,
    SYMMETRY_TOLERANCE,
];

/// The number that a row has in another order.
pub type Numbering = Arc<dyn Fn(u64) -> Option<u64> + Send + Sync>;

/// Another order of the rows of a matrix. The same on all ranks.
#[derive(Clone)]
pub struct Order {
    /// Where each rank's rows start, and their number.
    pub starts: Vec<u64>,
    /// The number there of any row; none for one whose row of A has a diagonal entry only.
    pub number: Numbering,
    /// What notes say of it.
    pub note: String,
}

/// A method that gets matrices in another order.
pub struct Reordered {
    method: Arc<dyn DynGenerator>,
    order: Order,
}

impl Reordered {
    /// `method` in this order.
    pub fn new(method: Arc<dyn DynGenerator>, order: Order) -> Self {
        Reordered { method, order }
    }
}

impl DynGenerator for Reordered {
    fn name(&self) -> &str {
        self.method.name()
    }
    fn summary(&self) -> &str {
        self.method.summary()
    }
    fn version(&self) -> &str {
        self.method.version()
    }
    fn origin(&self) -> String {
        self.method.origin()
    }
    fn capabilities(&self) -> Capabilities {
        let Capabilities { transpose, refresh, delegate, .. } = self.method.capabilities();
        Capabilities { transpose, refresh, delegate, ..Capabilities::NONE }
    }
    fn schema(&self) -> Value {
        self.method.schema()
    }
    fn invariances(&self, params: &Value) -> Result<Option<Invariances>> {
        self.method.invariances(params)
    }
    fn train_schema(&self) -> Option<Value> {
        self.method.train_schema()
    }
    fn generate(&self, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        let comm = system.a().space().comm();
        comm.scope(|| {
            let mut plan = Plan::new(system.a(), &self.order)?;
            let there = plan.system(system)?;
            let inner = plan.told(self.method.generate(params, &there))?;
            let n = there.a().n_own();
            let work = Mutex::new(Work { plan, r: vec![0.0; n], z: vec![0.0; n] });
            let (note, starts) = (self.order.note.clone(), system.a().space().starts().to_vec());
            Ok(Box::new(Placed { inner, note, starts, work }) as Box<dyn Instance>)
        })
    }
    fn load(&self, _: &Value, _: &[u8], _: &System) -> Result<Box<dyn Instance>> {
        Err(no_persist(self.name()))
    }
    fn train(&self, params: &Value, training: Training<'_>) -> Result<Vec<u8>> {
        self.method.train(params, training)
    }
}

/// How rows and vectors move.
struct Plan {
    space: Arc<Space>,
    order: Order,
    /// There.
    target: Arc<Space>,
    forth: PairExchange<f64>,
    back: PairExchange<f64>,
    /// Own rows that go to each rank; to this one, too.
    give: Vec<Vec<u32>>,
    /// Own rows there that come from each.
    take: Vec<Vec<u32>>,
    /// Own rows left out, and 1 over their diagonal.
    left_out: Vec<(u32, f64)>,
    /// Couplings to rows left out, where there are any, with room for what they are multiplied by, and the product.
    couplings: Option<(DistCsr, Vec<f64>, Vec<f64>)>,
    /// Numbers here of the own rows there.
    origins: Vec<u64>,
}

impl Plan {
    fn new(a: &DistCsr, order: &Order) -> Result<Self> {
        let (space, comm) = (Arc::clone(a.space()), a.space().comm());
        let target = Space::from_starts(comm.clone(), order.starts.clone())?;
        let mut give = vec![Vec::new(); comm.size()];
        let mut left_out = Vec::new();
        let mut numbers = vec![Vec::new(); comm.size()];
        for i in 0..a.n_own() {
            let row = a.global_row(i);
            let Some(there) = (order.number)(row) else {
                left_out.push((i as u32, 0.0));
                continue;
            };
            if there >= target.n_global() {
                return Err(Error::Data(format!(
                    "row {row} is number {there} in another order of {} rows",
                    target.n_global()
                )));
            }
            let rank = target.owner(there);
            give[rank].push(i as u32);
            numbers[rank].extend([there, row].into_iter().flat_map(u64::to_le_bytes));
        }
        let mut take = Vec::new();
        let mut origins = vec![u64::MAX; target.n_own()];
        for came in comm.all_to_all(&numbers)? {
            let pairs = came.as_chunks::<16>().0.iter().map(|pair| {
                let word = |k: usize| {
                    pair[8 * k..8 * k + 8].iter().rev().fold(0, |w, &b| w << 8 | u64::from(b))
                };
                [word(0), word(1)]
            });
            let mut rows = Vec::new();
            for [there, row] in pairs {
                let at = (there - target.start()) as usize;
                if origins[at] != u64::MAX {
                    let why = format!(
                        "rows {} and {row} are both number {there} in another order",
                        origins[at]
                    );
                    return Err(Error::Data(why));
                }
                origins[at] = row;
                rows.push(at as u32);
            }
            take.push(rows);
        }
        if let Some(at) = origins.iter().position(|&row| row == u64::MAX) {
            let there = target.start() + at as u64;
            return Err(Error::Data(format!("no row is number {there} in another order")));
        }
        let counts = |lists: &[Vec<u32>]| -> Vec<usize> {
            let count =
                |(rank, list): (usize, &Vec<u32>)| if rank == comm.rank() { 0 } else { list.len() };
            lists.iter().enumerate().map(count).collect()
        };
        let (sent, came) = (counts(&give), counts(&take));
        let forth = PairExchange::new(comm, &sent, &came)?;
        let back = PairExchange::new(comm, &came, &sent)?;
        let (order, couplings) = (order.clone(), None);
        Ok(Plan { space, order, target, forth, back, give, take, left_out, couplings, origins })
    }

    fn comm(&self) -> &Comm {
        self.space.comm()
    }

    /// What all ranks failed with, or none did, told of the rows here. Collective, within a scope.
    fn told<T>(&self, made: Result<T>) -> Result<T> {
        let Err(error) = made else { return made };
        // A rank that failed itself leaves with its error; where the others miss it they hear of it again.
        if let Error::Elsewhere { .. } = error.root() {
            self.comm().all_gather(&[])?;
        }
        Err(self.of_rows_here(error))
    }

    fn of_rows_here(&self, error: Error) -> Error {
        let place = |row: u64| usize::try_from(row.checked_sub(self.target.start())?).ok();
        error.renumbered(&|row| self.origins.get(place(row)?).copied())
    }

    /// The system there. Collective.
    fn system(&mut self, system: &System) -> Result<System> {
        let mut there = system.for_matrix(self.matrix(system.a())?);
        let width = |name: &str| system.aux(name).map_or(0, |aux| aux.width as u64);
        let mine: Vec<u64> =
            MOVED.iter().map(|name| width(name)).chain([self.left_out.len() as u64]).collect();
        let all = self.comm().all_gather(&mine)?;
        let most = |k: usize| all.iter().map(|of_rank| of_rank[k]).max().unwrap_or(0) as usize;
        for (k, name) in MOVED.iter().enumerate() {
            let width = most(k);
            // Without the unknowns left out A has another null space.
            if width == 0 || (*name == NULL_SPACE && most(MOVED.len()) > 0) {
                continue;
            }
            let values = system.aux(name).map_or(&[][..], |aux| &aux.values);
            let mut moved = vec![0.0; width * self.target.n_own()];
            let mut column = vec![0.0; self.target.n_own()];
            for part in 0..width {
                let own: Vec<f64> = values.iter().skip(part).step_by(width).copied().collect();
                self.there(&own, &mut column)?;
                moved
                    .iter_mut()
                    .skip(part)
                    .step_by(width)
                    .zip(&column)
                    .for_each(|(to, from)| *to = *from);
            }
            there = there.with_aux(name, width, moved)?;
        }
        Ok(there)
    }

    /// P A Pᵀ. Collective.
    fn matrix(&mut self, a: &DistCsr) -> Result<DistCsr> {
        let comm = self.space.comm().clone();
        let start = a.space().start();
        let mut messages = vec![Vec::new(); comm.size()];
        let (mut row_ptr, mut cols, mut values) =
            (vec![0u32; a.n_own() + 1], Vec::new(), Vec::new());
        for (rows, message) in self.give.iter().zip(&mut messages) {
            for &i in rows {
                let inside = a
                    .global_entries(i as usize)
                    .filter_map(|(col, value)| Some(((self.order.number)(col)?, value)));
                let entries: Vec<(u64, f64)> = inside.collect();
                let mut put = |word: u64| message.extend_from_slice(&word.to_le_bytes());
                put((self.order.number)(start + u64::from(i)).unwrap_or_default());
                put(entries.len() as u64);
                entries.iter().for_each(|&(col, value)| {
                    put(col);
                    put(value.to_bits());
                });
            }
        }
        for i in 0..a.n_own() {
            if (self.order.number)(start + i as u64).is_some() {
                let out =
                    |&(col, value): &(u64, f64)| value != 0.0 && (self.order.number)(col).is_none();
                for (col, value) in a.global_entries(i).filter(out) {
                    cols.push(col);
                    values.push(value);
                }
            }
            row_ptr[i + 1] = cols.len() as u32;
        }
        for (i, inverse) in &mut self.left_out {
            let row = start + u64::from(*i);
            let others =
                a.global_entries(*i as usize).find(|&(col, value)| col != row && value != 0.0);
            if let Some((col, _)) = others {
                let why = format!(
                    "global row {row} has an entry in column {col}; it may have a diagonal entry only here"
                );
                return Err(Error::Unsupported(why));
            }
            *inverse = match a.diagonal(*i as usize) {
                0.0 => return Err(Error::breakdown(row, "the diagonal entry is zero")),
                diagonal => 1.0 / diagonal,
            };
        }
        self.couplings = match comm.any(!cols.is_empty())? {
            false => None,
            true => {
                let couplings = DistCsr::from_rows(&self.space, &row_ptr, &cols, &values)?;
                Some((couplings, vec![0.0; a.n_own()], vec![0.0; a.n_own()]))
            }
        };
        let first = self.target.start();
        let mut rows: Vec<Vec<(u64, f64)>> = vec![Vec::new(); self.target.n_own()];
        for message in comm.all_to_all(&messages)? {
            let mut words = message.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
            while let (Some(row), Some(count)) = (words.next(), words.next()) {
                let entry = |_| Some((words.next()?, f64::from_bits(words.next()?)));
                rows[(row - first) as usize] = (0..count).filter_map(entry).collect();
            }
        }
        let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
        for mut row in rows {
            row.sort_unstable_by_key(|entry| entry.0);
            cols.extend(row.iter().map(|entry| entry.0));
            values.extend(row.iter().map(|entry| entry.1));
            row_ptr.push(u32::try_from(cols.len()).map_err(|_| {
                Error::Unsupported("2³² or more entries on one rank: use more ranks".into())
            })?);
        }
        DistCsr::from_rows(&self.target, &row_ptr, &cols, &values)
    }

    /// `out` ← P `own`. Collective.
    fn there(&mut self, own: &[f64], out: &mut [f64]) -> Result<()> {
        moved(self.space.comm().rank(), (&self.give, &self.take), &mut self.forth, own, out)
    }

    /// `out` ← Pᵀ `theirs`, where rows are not left out. Collective.
    fn back(&mut self, theirs: &[f64], out: &mut [f64]) -> Result<()> {
        moved(self.space.comm().rank(), (&self.take, &self.give), &mut self.back, theirs, out)
    }
}

/// Moves entries to where they are taken.
fn moved(
    me: usize,
    (give, take): (&[Vec<u32>], &[Vec<u32>]),
    link: &mut PairExchange<f64>,
    from: &[f64],
    to: &mut [f64],
) -> Result<()> {
    for (rank, rows) in give.iter().enumerate().filter(|(rank, _)| *rank != me) {
        link.outbox(rank).iter_mut().zip(rows).for_each(|(out, &i)| *out = from[i as usize]);
    }
    link.exchange()?;
    for (rank, rows) in take.iter().enumerate() {
        if rank == me {
            rows.iter().zip(&give[me]).for_each(|(&i, &j)| to[i as usize] = from[j as usize]);
        } else {
            rows.iter().zip(link.inbox(rank)).for_each(|(&i, &value)| to[i as usize] = value);
        }
    }
    Ok(())
}

/// M of a matrix in another order.
struct Placed {
    inner: Box<dyn Instance>,
    note: String,
    /// Where rows start here.
    starts: Vec<u64>,
    work: Mutex<Work>,
}

struct Work {
    plan: Plan,
    r: Vec<f64>,
    z: Vec<f64>,
}

impl Placed {
    fn run(&self, r: &[f64], z: &mut [f64], transposed: bool) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { plan, r: theirs, z: done } = &mut *work;
        let Plan { space, forth, give, take, left_out, couplings, .. } = plan;
        let mut from = r;
        if let Some((couplings, u, product)) = couplings {
            left_out.iter().for_each(|&(i, d)| u[i as usize] = d * r[i as usize]);
            couplings.spmv(u, product)?;
            product.iter_mut().zip(r).for_each(|(p, r)| *p = r - *p);
            from = product;
        }
        moved(space.comm().rank(), (give, take), forth, from, theirs)?;
        let applied = match transposed {
            true => self.inner.apply_transpose(theirs, done),
            false => self.inner.apply(theirs, done),
        };
        plan.back(done, z)?;
        plan.left_out.iter().for_each(|&(i, d)| z[i as usize] = d * r[i as usize]);
        applied.map_err(|e| plan.of_rows_here(e))
    }

    fn has_couplings(&self) -> bool {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).plan.couplings.is_some()
    }
}

impl Instance for Placed {
    fn refresh(&mut self, system: &System) -> Result<()> {
        let space = system.a().space();
        same_rows(&self.starts, space)?;
        let Work { plan, .. } = self.work.get_mut().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut self.inner;
        together(space.comm(), || {
            let there = plan.system(system)?;
            plan.told(inner.refresh(&there))
        })
    }
    fn save(&self) -> Result<Vec<u8>> {
        Err(Error::Unsupported(
            "a preconditioner of a matrix in another order cannot be saved".into(),
        ))
    }
}

impl Preconditioner for Placed {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.run(r, z, false)
    }
    fn properties(&self) -> Properties {
        match self.has_couplings() {
            false => self.inner.properties(),
            true => {
                Properties { symmetric: false, positive_definite: false, ..self.inner.properties() }
            }
        }
    }
    fn stored_entries(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let couplings = work.plan.couplings.as_ref().map_or(0, |(c, ..)| c.nnz_own());
        self.inner.stored_entries() + work.plan.left_out.len() + couplings
    }
    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let (plan, vectors) = (&work.plan, 8 * (work.r.len() + work.z.len()));
        let lists: usize = plan.give.iter().chain(&plan.take).map(|list| 4 * list.len()).sum();
        let couplings =
            plan.couplings.as_ref().map_or(0, |(c, u, p)| c.bytes() + 8 * (u.len() + p.len()));
        let plan = plan.forth.bytes()
            + plan.back.bytes()
            + 16 * plan.left_out.len()
            + 8 * plan.origins.len();
        self.inner.bytes() + vectors + lists + couplings + plan
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        if self.has_couplings() {
            let why =
                "with couplings to unknowns that are left out this preconditioner has no transpose";
            return Err(Error::Unsupported(why.into()));
        }
        self.run(r, z, true)
    }
    fn notes(&self) -> Vec<String> {
        self.inner.notes().into_iter().chain([self.note.clone()]).collect()
    }
    fn delegate(&self) -> Option<String> {
        self.inner.delegate()
    }
}
