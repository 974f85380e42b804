//! The reference solve alone: M = (s A0)⁻¹, with A0 the five-point Laplacian (4 in the middle, −1 for the
//! four neighbours) of the structured grid that A lives on, and s the level of A against it
//! (`kernel/level.rs` of the core): 1 for linear elements and the Laplacian, 1/h² for finite differences,
//! c times as much for cA.
//!
//! A0 is the matrix of linear elements on the unshifted mesh. For a mesh with shifted nodes the
//! condition of A0⁻¹A is bounded in the number of unknowns as long as the triangles are, but it is not
//! small, and M says nothing about a coefficient that varies.
//!
//! Works for matrices with the five- or seven-point pattern, nodes numbered row after row; anything
//! else is refused, naming the first row that does not fit.
//!
//! Cost: setup two passes over A and a division a node; apply two sine transforms of every row, O(n log n), on
//! the threads of the host; 2 numbers a node. On p ranks each one transforms the rows of its slab and solves
//! its share of the modes (`kernel/sine/slab.rs`): the same bits on any number of ranks, up to 8 numbers a node
//! of n/p. More ranks than rows of the grid work, but those beyond have no rows to transform.
//!
//! Communication of an application, with the slabs of `kernel/slab`: rows of the grid that the distribution
//! cuts are put together, one message of own(s) ∩ nodes(rows(r)) words from rank s to r ≠ s where that
//! is not empty (at most one row's worth a border); then from each rank r to each other q one message of
//! rows(r)·columns(q) words, and one of columns(r)·around(q, 0) words: 2(p − 1) messages and about
//! 16 n/p bytes a rank. Setup: one gather of row 0's columns, one of errors, one
//! of 18 words.
//!
//! Reference: B. Buzbee, G. Golub, C. Nielson, *On direct methods for solving Poisson's equations*,
//! SIAM J. Numer. Anal. 7 (1970).
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::kernel::level;
use precondor_sdk::core::kernel::sine::SlabSolver;
use precondor_sdk::core::kernel::slab::{Redistribution, Slabs};
use precondor_sdk::prelude::*;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Parameters of [`Sine`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {
    /// Nodes in a row and number of rows; recognised from the matrix where it is left out.
    #[schemars(extend("x-precondor-grid" = true))]
    pub grid: Option<[usize; 2]>,
}

/// The method.
pub struct Sine;

/// (s A0)⁻¹, on every rank for its own rows.
pub struct SineSolve {
    grid: Grid,
    /// s.
    level: f64,
    host: Arc<dyn Host>,
    own: Range<usize>,
    /// The nodes of all rows that own ones are in.
    around: Range<usize>,
    /// Rows and columns that this rank solves for.
    entries: usize,
    notes: Vec<String>,
    work: Mutex<Work>,
}

struct Work {
    solver: SlabSolver<f64>,
    /// How nodes reach the rank whose slab their row is in, and the whole rows there; nothing on one rank.
    whole: Option<(Redistribution<f64>, Vec<f64>)>,
}

impl SineSolve {
    /// (`level` · A0)⁻¹ for vectors of the system's matrix on a grid with as many nodes. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub(crate) fn new(grid: Grid, level: f64, system: &System) -> Result<Self> {
        let space = system.a().space();
        let (comm, slabs) = (space.comm(), Slabs::new(grid, space.starts())?);
        let rows = |rank: usize| slabs.nodes(slabs.rows(rank));
        let around = slabs.nodes(slabs.around(comm.rank(), 0));
        let whole = if comm.size() > 1 {
            let moved = Redistribution::new(comm, 1, |rank| slabs.own(rank), rows)?;
            Some((moved, vec![0.0; around.len()]))
        } else {
            None
        };
        let work = Mutex::new(Work { solver: SlabSolver::new(&slabs, comm, 0)?, whole });
        let Grid { mx, my } = grid;
        let shape = format!("structured grid of {mx} by {my} nodes");
        Ok(SineSolve {
            grid,
            level,
            notes: std::iter::once(shape).chain(slabs.note()).collect(),
            host: Arc::clone(system.host()),
            own: slabs.own(comm.rank()),
            around,
            entries: slabs.rows(comm.rank()).len() + slabs.columns(comm.rank()).len(),
            work,
        })
    }

    /// The notes, and what A was measured with.
    fn told(mut self) -> Self {
        self.notes.push(level_note(self.level));
        self
    }
}

/// What to tell of the level of A.
pub(crate) fn level_note(level: f64) -> String {
    format!(
        "A is {level:.4} times the reference matrix for smooth vectors, and M is divided by that"
    )
}

impl Generator for Sine {
    const NAME: &'static str = "sine";
    const SUMMARY: &'static str = "inverse of the five-point Laplacian by the fast sine transform";
    const CAPABILITIES: Capabilities =
        Capabilities { transpose: true, refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = SineSolve;

    fn generate(params: &Params, system: &System) -> Result<SineSolve> {
        let grid = Grid::of(system.a(), params.grid)?;
        Ok(SineSolve::new(grid, level::of_matrix(system.a(), grid)?, system)?.told())
    }

    /// A0 depends on the grid alone.
    fn refresh(m: &mut SineSolve, params: &Params, system: &System) -> Result<()> {
        if Grid::of(system.a(), params.grid)? != m.grid {
            return Err(Error::PatternChanged);
        }
        m.level = level::of_matrix(system.a(), m.grid)?;
        m.host = Arc::clone(system.host());
        m.notes.pop();
        m.notes.push(level_note(m.level));
        Ok(())
    }
}

impl Preconditioner for SineSolve {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { solver, whole } = &mut *work;
        let (host, mx, own, level) = (&*self.host, self.grid.mx, &self.own, self.level);
        let scaled = |nodes: Range<usize>, out: &mut [f64]| {
            let from = &r[nodes.start - own.start..nodes.end - own.start];
            out.iter_mut().zip(from).for_each(|(out, r)| *out = r / level);
        };
        let Some((moved, rows)) = whole else {
            scaled(own.clone(), z);
            return solver.solve(host, z, mx);
        };
        let first = self.around.start;
        let kept = moved.kept();
        if !kept.is_empty() {
            scaled(kept.clone(), &mut rows[kept.start - first..kept.end - first]);
        }
        moved.give(|_, nodes, out| scaled(nodes, out));
        moved.fetch(|_, nodes, from| {
            rows[nodes.start - first..nodes.end - first].copy_from_slice(from);
        })?;
        solver.solve(host, rows, mx).inspect_err(|_| z.fill(f64::NAN))?;
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
