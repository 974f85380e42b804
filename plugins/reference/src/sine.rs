//! The reference solve alone: M = A0⁻¹, with A0 the five-point Laplacian (4 in the middle, −1 for the
//! four neighbours) of the structured grid that A lives on.
//!
//! A0 is the matrix of linear elements on the unshifted mesh. For a mesh with shifted nodes the
//! condition of A0⁻¹A is bounded in the number of unknowns as long as the triangles are, but it is not
//! small, and M says nothing about a coefficient that varies.
//!
//! Works for matrices with the five- or seven-point pattern, nodes numbered row after row; anything
//! else is refused, naming the first row that does not fit.
//!
//! Cost: setup one pass over A and a division a node; apply two sine transforms of every row, O(n log n), on
//! the threads of the host. On several ranks every rank gathers the residual and solves on the whole grid:
//! the same bits on any number of ranks, no gain in time.
//!
//! Reference: B. Buzbee, G. Golub, C. Nielson, *On direct methods for solving Poisson's equations*,
//! SIAM J. Numer. Anal. 7 (1970).
use precondor_sdk::core::kernel::gather::Gather;
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::kernel::sine::{PoissonSolver, SineScratch};
use precondor_sdk::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// Parameters of [`Sine`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {
    /// Nodes in a row and number of rows; recognised from the matrix where it is left out.
    pub grid: Option<[usize; 2]>,
}

/// The method.
pub struct Sine;

/// A0⁻¹ on the whole grid.
pub struct SineSolve {
    grid: Grid,
    host: Arc<dyn Host>,
    solver: PoissonSolver<f64>,
    first: usize,
    ranks: usize,
    work: Mutex<Work>,
}

struct Work {
    gather: Gather,
    whole: Vec<f64>,
    scratch: SineScratch<f64>,
}

impl SineSolve {
    /// For vectors of the system's matrix on a grid with as many nodes.
    pub(crate) fn new(grid: Grid, system: &System) -> Self {
        let (host, space) = (Arc::clone(system.host()), system.a().space());
        let solver = PoissonSolver::new(grid.mx, grid.my);
        let ranks = space.comm().size();
        let work = Work {
            gather: Gather::new(space),
            whole: vec![0.0; if ranks > 1 { grid.nodes() } else { 0 }],
            scratch: solver.scratch(),
        };
        SineSolve {
            grid,
            host,
            solver,
            first: space.start() as usize,
            ranks,
            work: Mutex::new(work),
        }
    }
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
        Ok(SineSolve::new(grid, system))
    }

    /// A0 depends on the grid alone.
    fn refresh(m: &mut SineSolve, params: &Params, system: &System) -> Result<()> {
        if Grid::of(system.a(), params.grid)? != m.grid {
            return Err(Error::PatternChanged);
        }
        m.host = Arc::clone(system.host());
        Ok(())
    }
}

impl Preconditioner for SineSolve {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { gather, whole, scratch } = &mut *work;
        if self.ranks == 1 {
            z.copy_from_slice(r);
            return self.solver.solve(&*self.host, z, self.grid.mx, scratch);
        }
        gather.whole(r, whole)?;
        self.solver.solve(&*self.host, whole, self.grid.mx, scratch)?;
        z.copy_from_slice(&whole[self.first..self.first + z.len()]);
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        self.grid.mx + self.grid.my
    }
    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        self.solver.bytes() + work.gather.bytes() + 8 * work.whole.len() + work.scratch.bytes()
    }
    fn notes(&self) -> Vec<String> {
        let Grid { mx, my } = self.grid;
        let grid = format!("structured grid of {mx} by {my} nodes");
        let repeated = "every rank gathers the residual and solves on the whole grid".to_owned();
        std::iter::once(grid).chain((self.ranks > 1).then_some(repeated)).collect()
    }
}
