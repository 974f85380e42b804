//! The reference solve alone: M = A0⁻¹, with A0 the separable operator nearest to A on the structured grid that A lives
//! on (`kernel/separable` of the core): in two dimensions Kx ⊗ My + Mx ⊗ Ky + σ Mx ⊗ My, in three the same with a third
//! factor, K and M the stiffness and mass of an axis.
//!
//! - **Exact** (one iteration) where A is separable: finite differences, linear elements and cell-centred finite volumes on
//!   tensor grids of any stretch, any units, any ends (Dirichlet, Neumann, periodic), a multiple of the mass added or
//!   not (time steps).
//! - **A model of A** on shifted or bent grids, and where a coefficient varies by a factor or so: the condition of A0⁻¹A is
//!   bounded in the number of unknowns as long as cells are not degenerate. Its distance from A, from 0 to 1, is among
//!   the notes; from 0.75 on A is refused, and where diagonal entries are off by sixteen times. A's diagonal couplings are not in A0: of bi- and trilinear elements it has
//!   the masses lumped.
//!
//! Works for matrices with entries for nodes next to each other, along axes (5 or 7 points) and perhaps diagonally (7, 9; 15,
//! 19, 27 points), nodes numbered row after row, plane after plane; anything else is refused, naming the first row
//! that does not fit. Of an unsymmetric A the symmetric part counts.
//!
//! A singular A0 (Neumann or periodic along every axis) is solved with on what is orthogonal to constants; constants get an
//! eigenvalue of their own, so that M is positive definite.
//!
//! Cost: setup a pass over A, some thousand rows of it again, and a division a node; apply two transforms along every axis but the last, O(n log n) for
//! equal spacings and 2 m multiplications a node for m others, and one tridiagonal solve along the last; 2 numbers a node.
//! On p ranks each one transforms the layers of its slab (rows, or planes in three dimensions) and solves its share of the
//! modes: the same bits on any number of ranks. More ranks than layers work, but those beyond have nothing to
//! transform.
//!
//! Communication of an application, with the slabs of `kernel/slab`: layers that the distribution cuts are put together,
//! one message of own(s) ∩ nodes(layers(r)) words from rank s to r ≠ s where that is not empty (at most one layer's worth a
//! border); then from each rank r to each other q one message of layers(r)·modes(q) words, and one of
//! modes(r)·around(q, 0) words: 2(p − 1) messages and about 16 n/p bytes a rank. Setup: gathers of row 0's columns,
//! of errors, and of sums, some words a layer.
//!
//! Reference: B. Buzbee, G. Golub, C. Nielson, *On direct methods for solving Poisson's equations*,
//! SIAM J. Numer. Anal. 7 (1970); R. Lynch, J. Rice, D. Thomas, *Direct solution of partial difference equations by tensor
//! product methods*, Numer. Math. 6 (1964).
use precondor_sdk::core::kernel::lattice::Lattice;
use precondor_sdk::core::kernel::separable::{Separable, Solver, fit};
use precondor_sdk::core::kernel::slab::{Redistribution, Slabs};
use precondor_sdk::core::system::NULL_SPACE;
use precondor_sdk::prelude::*;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Parameters of [`FastPoisson`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars", extend("x-precondor-old-name" = "sine"))]
pub struct Params {
    /// Nodes along x (which runs fastest), y and perhaps z; recognised from the matrix where it is left out.
    #[schemars(length(min = 2, max = 3), inner(range(min = 1)), extend("x-precondor-grid" = true))]
    pub grid: Option<Vec<usize>>,
}

/// The method.
pub struct FastPoisson;

/// A0⁻¹, on every rank for its own rows.
pub struct FastSolve {
    lattice: Lattice,
    host: Arc<dyn Host>,
    own: Range<usize>,
    /// The nodes of all layers that own ones are in.
    around: Range<usize>,
    /// Nodes in a layer.
    layer: usize,
    /// Modes that this rank solves for, times the layers.
    entries: usize,
    notes: Vec<String>,
    work: Mutex<Steps>,
}

/// The steps of an application, with what they work in.
struct Steps {
    solver: Solver<f64>,
    /// How nodes reach the rank whose slab their layer is in, and the whole layers there; nothing on one rank.
    whole: Option<(Redistribution<f64>, Vec<f64>)>,
}

impl FastSolve {
    /// The inverse of `operator` for vectors of the system's matrix, which has as many rows as it has nodes. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub(crate) fn new(operator: &Separable, system: &System) -> Result<Self> {
        let (space, lattice) = (system.a().space(), operator.lattice());
        let layers = Solver::<f64>::layers(lattice);
        let (comm, slabs) = (space.comm(), Slabs::new(layers, space.starts())?);
        let rows = |rank: usize| slabs.nodes(slabs.rows(rank));
        let around = slabs.nodes(slabs.around(comm.rank(), 0));
        let whole = if comm.size() > 1 {
            let moved = Redistribution::new(comm, 1, |rank| slabs.own(rank), rows)?;
            Some((moved, vec![0.0; around.len()]))
        } else {
            None
        };
        let work = Mutex::new(Steps { solver: Solver::new(operator, &slabs, comm, 0)?, whole });
        let shape = format!("structured grid of {lattice}");
        Ok(FastSolve {
            lattice,
            notes: std::iter::once(shape).chain(slabs.note()).collect(),
            host: Arc::clone(system.host()),
            own: slabs.own(comm.rank()),
            around,
            layer: layers.mx,
            entries: layers.my * slabs.columns(comm.rank()).len(),
            work,
        })
    }

    /// The inverse of another operator on the same grid, with all that depends on the grid alone. Not collective.
    ///
    /// # Errors
    /// As [`Solver::renew`].
    pub(crate) fn renew(&mut self, operator: &Separable, system: &System) -> Result<()> {
        self.host = Arc::clone(system.host());
        self.work.get_mut().unwrap_or_else(PoisonError::into_inner).solver.renew(operator)
    }
}

/// The separable operator nearest to a system's matrix, and what to tell of it. Collective.
pub(crate) fn fitted(system: &System, lattice: Lattice) -> Result<(Separable, String)> {
    let found = fit::fit(system.a(), lattice, constants_are_free(system)?)?;
    let told = match found.distance {
        d if d < 1e-9 => "A is separable: M is its inverse".into(),
        d => format!(
            "the nearest separable operator is {d:.3} away from A, 0 being A and 1 nothing like it"
        ),
    };
    let singular = match found.operator.is_singular() {
        true => "; it is singular, and constants have an eigenvalue of their own",
        false => "",
    };
    Ok((found.operator, told + singular))
}

/// Whether A is known to take constants to zero. Collective where a null space is known.
fn constants_are_free(system: &System) -> Result<bool> {
    let Some(null) = system.aux(NULL_SPACE).filter(|null| null.width > 0) else {
        return Ok(false);
    };
    let constant = null.width == 1 && null.values.windows(2).all(|pair| pair[0] == pair[1]);
    Ok(!system.a().space().comm().any(!constant)?)
}

impl Generator for FastPoisson {
    const NAME: &'static str = "fast-poisson";
    const SUMMARY: &'static str =
        "inverse of the nearest separable operator on a structured grid, by fast transforms";
    const CAPABILITIES: Capabilities =
        Capabilities { transpose: true, refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = FastSolve;

    fn generate(params: &Params, system: &System) -> Result<FastSolve> {
        let lattice = Lattice::shown(system.a(), params.grid.as_deref())?;
        let (operator, told) = fitted(system, lattice)?;
        let mut m = FastSolve::new(&operator, system)?;
        m.notes.push(told);
        Ok(m)
    }

    /// Keeps all that depends on the grid alone.
    fn refresh(m: &mut FastSolve, params: &Params, system: &System) -> Result<()> {
        if Lattice::shown(system.a(), params.grid.as_deref())? != m.lattice {
            return Err(Error::PatternChanged);
        }
        let (operator, told) = fitted(system, m.lattice)?;
        m.renew(&operator, system)?;
        m.notes.pop();
        m.notes.push(told);
        Ok(())
    }
}

impl Preconditioner for FastSolve {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Steps { solver, whole } = &mut *work;
        let (host, layer, own) = (&*self.host, self.layer, &self.own);
        let part = |nodes: &Range<usize>| &r[nodes.start - own.start..nodes.end - own.start];
        let Some((moved, rows)) = whole else {
            z.copy_from_slice(r);
            return solver.solve(host, z, layer);
        };
        let first = self.around.start;
        let kept = moved.kept();
        if !kept.is_empty() {
            rows[kept.start - first..kept.end - first].copy_from_slice(part(&kept));
        }
        moved.give(|_, nodes, out| out.copy_from_slice(part(&nodes)));
        moved.fetch(|_, nodes, from| {
            rows[nodes.start - first..nodes.end - first].copy_from_slice(from);
        })?;
        solver.solve(host, rows, layer).inspect_err(|_| z.fill(f64::NAN))?;
        if !own.is_empty() {
            z.copy_from_slice(&rows[own.start - first..own.end - first]);
        }
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        self.entries
    }
    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = work.whole.as_ref().map_or(0, |(s, rows)| s.bytes() + 8 * rows.len());
        work.solver.bytes() + whole
    }
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
