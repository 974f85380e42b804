//! Methods that get A in another order, with its rows spread in another way.
//!
//! Methods for structured grids ask for nodes row after row, plane after plane. Where a host numbers them otherwise (a DMDA of PETSc
//! that is cut in several directions numbers each rank's part for itself), [`Reordered`] stands between: M = Pᵀ M' P, where M'
//! is made for P A Pᵀ, spread as the method likes it, and P sends vectors there and back.
//!
//! An order may leave unknowns out: those whose row of A has a diagonal entry only (Dirichlet nodes that a program keeps). With
//! D the diagonal there, u = D⁻¹ r is exact, and the others get M' (r − A' u), A' their couplings to those left out.
//!
//! Cost of a setup: A moved (`core/src/matrix/route.rs`). Of an application: a vector there and one back; where couplings to
//! unknowns left out are not zero, a product with those. Nothing is allocated.
use crate::comm::{Comm, Communicator};
use crate::instance::{Instance, same_rows, together};
use crate::invariance::Invariances;
use crate::matrix::{DistCsr, Route, Space};
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
    route: Route,
    order: Order,
    /// Own rows left out, and 1 over their diagonal.
    left_out: Vec<(u32, f64)>,
    /// Couplings to rows left out, where there are any, with room for what they are multiplied by, and the product.
    couplings: Option<(DistCsr, Vec<f64>, Vec<f64>)>,
}

impl Plan {
    fn new(a: &DistCsr, order: &Order) -> Result<Self> {
        let to = Space::from_starts(a.space().comm().clone(), order.starts.clone())?;
        let number = |i: usize| (order.number)(a.global_row(i));
        let route = Route::new(a.space(), to, number)?;
        let left_out = (0..a.n_own()).filter(|&i| number(i).is_none());
        let left_out = left_out.map(|i| (i as u32, 0.0)).collect();
        Ok(Plan { route, order: order.clone(), left_out, couplings: None })
    }

    fn comm(&self) -> &Comm {
        self.route.comm()
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
        error.renumbered(&|row| self.route.origin(row))
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
            let mut moved = vec![0.0; width * self.route.to().n_own()];
            let mut column = vec![0.0; self.route.to().n_own()];
            for part in 0..width {
                let own: Vec<f64> = values.iter().skip(part).step_by(width).copied().collect();
                self.route.there(&own, &mut column)?;
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
        let number = &self.order.number;
        let (mut row_ptr, mut cols, mut values) =
            (vec![0u32; a.n_own() + 1], Vec::new(), Vec::new());
        for i in 0..a.n_own() {
            if number(a.global_row(i)).is_some() {
                let out = |&(col, value): &(u64, f64)| value != 0.0 && number(col).is_none();
                for (col, value) in a.global_entries(i).filter(out) {
                    cols.push(col);
                    values.push(value);
                }
            }
            row_ptr[i + 1] = cols.len() as u32;
        }
        for (i, inverse) in &mut self.left_out {
            let row = a.global_row(*i as usize);
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
        self.couplings = match self.comm().any(!cols.is_empty())? {
            false => None,
            true => {
                let couplings = DistCsr::from_rows(self.route.from(), &row_ptr, &cols, &values)?;
                Some((couplings, vec![0.0; a.n_own()], vec![0.0; a.n_own()]))
            }
        };
        self.route.matrix(a, &**number)
    }
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
        let Plan { route, left_out, couplings, .. } = plan;
        let mut from = r;
        if let Some((couplings, u, product)) = couplings {
            left_out.iter().for_each(|&(i, d)| u[i as usize] = d * r[i as usize]);
            couplings.spmv(u, product)?;
            product.iter_mut().zip(r).for_each(|(p, r)| *p = r - *p);
            from = product;
        }
        route.there(from, theirs)?;
        let applied = match transposed {
            true => self.inner.apply_transpose(theirs, done),
            false => self.inner.apply(theirs, done),
        };
        route.back(done, z)?;
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
        let couplings =
            plan.couplings.as_ref().map_or(0, |(c, u, p)| c.bytes() + 8 * (u.len() + p.len()));
        let plan = plan.route.bytes() + 16 * plan.left_out.len();
        self.inner.bytes() + vectors + couplings + plan
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
