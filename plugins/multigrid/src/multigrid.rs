//! Geometric multigrid: one V-cycle from zero, M = V(ν₁, ν₂).
//!
//! On every level z ← ν₁ steps of S from zero; z ← z + P Mc Pᵀ (r − A z), with Mc the cycle on the next
//! coarser grid; ν₂ steps of Sᵀ. Grids are halved, Ac = Pᵀ A P with linear interpolation on the
//! triangles (`transfer.rs`), the coarsest system is solved directly (`direct.rs`). S is two Chebyshev
//! steps, a Gauss–Seidel sweep or any method by name (`smoother.rs`).
//!
//! Works for linear elements on structured meshes of any size, shifted or not (five- or seven-point
//! pattern, nodes numbered row after row); anything else is refused, naming the first row that does
//! not fit. Convergence does not depend on the number of unknowns.
//!
//! With ν₁ = ν₂ M is symmetric: the error operator is I − M A = Eᵀ E in the inner product of A. It is
//! positive definite for positive definite A, because every smoother is proved to have
//! S + Sᵀ − Sᵀ A S > 0 (a method by name: is seen to, by a few Lanczos steps) and the coarsest matrix
//! has a Cholesky factor.
//!
//! Cost: setup one pass over A and some 55 flops a node for the coarse matrices, which have together a
//! third of the entries; ten Lanczos steps a level for a method by name. Stored are four numbers a node
//! (a symmetric stencil, no indices) and the smoother. An application of V(1,1) costs about 4/3 of 4
//! products with A for Chebyshev, of 2 for Gauss–Seidel, of 2 and two applications for a method by name.
//! On several ranks every rank gathers A once and the residual every time, and does the whole cycle:
//! the same bits on any number of ranks, no gain in time.
//!
//! Reference: A. Brandt, *Multi-level adaptive solutions to boundary-value problems*, Math. Comp. 31
//! (1977); W. Hackbusch, *Multi-Grid Methods and Applications*, Springer 1985, §7 (V-cycle).
use crate::direct::Direct;
use crate::smoother::{Kind, Smoother};
use crate::transfer;
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::kernel::gather::Gather;
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::kernel::smoothing::Traits;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// Grids of at most this many nodes are solved on directly.
const SMALL: usize = 60;

/// Parameters of [`Multigrid`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {
    /// What smooths, where `method` is left out.
    pub smoother: Kind,
    /// A method that smooths in place of `smoother`: a name, or a section with its name and its
    /// parameters. It is set up on every level but the coarsest.
    #[schemars(extend("x-precondor-method" = true))]
    pub method: Option<Value>,
    /// What `method` is multiplied by; where it is left out, 1.6 over the largest eigenvalue of MA if
    /// it is symmetric, else 1.
    #[schemars(extend("exclusiveMinimum" = 0.0, "x-precondor-tune" = false))]
    pub damping: Option<f64>,
    /// Smoothing steps before the coarse correction.
    #[schemars(range(min = 1, max = 100), extend("x-precondor-tune" = [1, 3]))]
    pub before: u32,
    /// Smoothing steps after it; as many as before make M symmetric, for conjugate gradients.
    #[schemars(range(min = 1, max = 100), extend("x-precondor-tune" = "before"))]
    pub after: u32,
    /// Grids at most, the coarsest included: 2 for a two-grid method. As many as can be where it is
    /// left out.
    #[schemars(range(min = 1))]
    pub levels: Option<u32>,
    /// Nodes in a row and number of rows; recognised from the matrix where it is left out.
    #[schemars(extend("x-precondor-grid" = true))]
    pub grid: Option<[usize; 2]>,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            smoother: Kind::GaussSeidel,
            method: None,
            damping: None,
            before: 1,
            after: 1,
            levels: None,
            grid: None,
        }
    }
}

/// The method.
pub struct Multigrid;

/// M.
pub struct Cycle {
    first: usize,
    grid: Grid,
    ranks: usize,
    properties: Properties,
    notes: Vec<String>,
    work: Mutex<Hierarchy>,
}

/// The levels, with what they work in.
struct Hierarchy {
    gather: Gather,
    /// The residual of all ranks, then the result; nothing on one rank.
    whole: Vec<f64>,
    before: u32,
    after: u32,
    levels: Vec<Level>,
    direct: Direct,
    /// Right-hand side and solution on the coarsest grid.
    coarsest: [Vec<f64>; 2],
}

/// A level that is not the coarsest.
struct Level {
    a: Bands,
    smoother: Smoother,
    r: Vec<f64>,
    z: Vec<f64>,
    rest: Vec<f64>,
}

impl Generator for Multigrid {
    const NAME: &'static str = "multigrid";
    const SUMMARY: &'static str = "geometric multigrid V-cycle on a structured grid";
    const CAPABILITIES: Capabilities = Capabilities { refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = Cycle;

    fn invariances(params: &Params) -> Invariances {
        // A single grid is solved on directly.
        if params.levels == Some(1) { Invariances::BOTH } else { Invariances::SCALING }
    }

    fn generate(params: &Params, system: &System) -> Result<Cycle> {
        let grid = grid(params, system.a())?;
        cycle(params, grid, None, system)
    }

    /// Keeps the vectors of all levels.
    fn refresh(m: &mut Cycle, params: &Params, system: &System) -> Result<()> {
        if grid(params, system.a())? != m.grid {
            return Err(Error::PatternChanged);
        }
        let work = m.work.get_mut().unwrap_or_else(PoisonError::into_inner);
        let kept = Kept {
            whole: std::mem::take(&mut work.whole),
            levels: std::mem::take(&mut work.levels),
            coarsest: std::mem::take(&mut work.coarsest),
        };
        *m = cycle(params, m.grid, Some(kept), system)?;
        Ok(())
    }
}

/// The grid of a matrix that the method works for. Collective.
fn grid(params: &Params, a: &DistCsr) -> Result<Grid> {
    if params.damping.is_some() && params.method.is_none() {
        let why = "parameter 'damping': only a smoother given by 'method' has one";
        return Err(Error::Parameter(why.into()));
    }
    a.require_symmetric(Multigrid::NAME)?;
    Grid::of(a, params.grid)
}

/// What depends on the grid alone.
#[derive(Default)]
struct Kept {
    whole: Vec<f64>,
    levels: Vec<Level>,
    coarsest: [Vec<f64>; 2],
}

/// The cycle for a matrix on a grid, in what is left of an earlier one. Collective.
fn cycle(params: &Params, grid: Grid, kept: Option<Kept>, system: &System) -> Result<Cycle> {
    let system = &*system.regular()?;
    let a = system.a();
    let ranks = a.space().comm().size();
    let mut coarsest = Bands::gather(a, grid)?;
    if let Some((row, d)) = coarsest.not_positive() {
        let why = format!("the diagonal entry is {d}; multigrid needs it to be positive");
        return Err(Error::breakdown(row, why));
    }
    let Kept { whole, levels: old, coarsest: vectors } = kept.unwrap_or_default();
    let mut old = old.into_iter();
    let mut levels: Vec<Level> = Vec::new();
    let (mut definite, mut symmetric) = (true, params.before == params.after);
    let mut notes = Vec::new();
    // Every level has a quarter of the nodes of the one before it.
    let look = |left: usize| system.host().step(grid.nodes() - left, grid.nodes(), "nodes set up");
    while may_coarsen(coarsest.grid, levels.len(), params.levels) {
        look(coarsest.grid.nodes())?;
        let number = levels.len();
        let on_one_rank = || -> Result<System> {
            Ok(match (number, ranks) {
                (0, 1) => system.clone(),
                _ => system.for_matrix(coarsest.to_rows()?),
            })
        };
        let (smoother, traits) = Smoother::new(params, number, &coarsest, on_one_rank)?;
        let Traits { symmetric: of_smoother, definite: safe, note } = traits;
        (symmetric, definite) = (symmetric && of_smoother, definite && safe);
        notes.extend(note);
        look(coarsest.grid.nodes())?;
        let next = transfer::galerkin(&coarsest);
        let [r, z, rest] = match old.next() {
            Some(Level { r, z, rest, .. }) => [r, z, rest],
            None => std::array::from_fn(|_| vec![0.0; coarsest.grid.plane()]),
        };
        levels.push(Level { a: coarsest, smoother, r, z, rest });
        coarsest = next;
    }
    let direct = Direct::new(&coarsest, &|| look(0))?;
    let shape = |grid: Grid| format!("{} by {}", grid.mx, grid.my);
    notes.insert(
        0,
        format!(
            "{} grids, from {} to {} nodes",
            levels.len() + 1,
            shape(grid),
            shape(coarsest.grid)
        ),
    );
    if ranks > 1 {
        notes.push("every rank gathers the residual and does the whole cycle".into());
    }
    if symmetric && !definite {
        notes.push(
            "not found to be positive definite: a smoother may enlarge errors; give a smaller \
                 'damping'"
                .into(),
        );
    }
    let properties = Properties {
        symmetric,
        positive_definite: symmetric && definite,
        constant: true,
        rank_independent: true,
    };
    let work = Hierarchy {
        gather: Gather::new(a.space()),
        whole: sized(whole, if ranks > 1 { 2 * grid.nodes() } else { 0 }),
        before: params.before,
        after: params.after,
        levels,
        direct,
        coarsest: vectors.map(|v| sized(v, coarsest.grid.plane())),
    };
    let (first, work) = (a.space().start() as usize, Mutex::new(work));
    Ok(Cycle { first, grid, ranks, properties, notes, work })
}

/// A vector of this length, zero where it was shorter.
fn sized(mut vector: Vec<f64>, length: usize) -> Vec<f64> {
    vector.resize(length, 0.0);
    vector
}

fn may_coarsen(grid: Grid, levels: usize, limit: Option<u32>) -> bool {
    let more = limit.is_none_or(|limit| levels + 1 < limit as usize);
    more && grid.nodes() > SMALL && grid.mx > 2 && grid.my > 2
}

impl Hierarchy {
    /// The cycle from level `number` on; its right-hand side is in place, and so is the result.
    fn cycle(&mut self, number: usize) -> Result<()> {
        let Some(Level { a, smoother, r, z, rest }) = self.levels.get_mut(number) else {
            let [r, z] = &mut self.coarsest;
            self.direct.solve(r, z);
            return Ok(());
        };
        smoother.before(a, self.before, r, z, rest)?;
        let grid = a.grid;
        let (mine, coarser) = self.levels.split_at_mut(number + 1);
        let below = match coarser.first_mut() {
            Some(level) => &mut level.r,
            None => &mut self.coarsest[0],
        };
        transfer::restrict(grid, &mine[number].rest, below);
        self.cycle(number + 1)?;
        let (mine, coarser) = self.levels.split_at_mut(number + 1);
        let correction = coarser.first().map_or(&self.coarsest[1], |level| &level.z);
        let Level { a, smoother, r, z, rest } = &mut mine[number];
        transfer::interpolate(grid, correction, z);
        smoother.after(a, self.after, r, z, rest)
    }

    /// `z = M r` for the whole grid.
    fn apply(&mut self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let finest = self.levels.first().map(|level| level.a.grid);
        let grid = finest.unwrap_or(self.direct.grid());
        match self.levels.first_mut() {
            Some(level) => grid.to_plane(r, &mut level.r),
            None => grid.to_plane(r, &mut self.coarsest[0]),
        }
        let applied = self.cycle(0);
        grid.to_nodes(self.levels.first().map_or(&self.coarsest[1], |level| &level.z), z);
        if applied.is_err() {
            z.fill(f64::NAN);
        }
        applied
    }
}

impl Preconditioner for Cycle {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ranks == 1 {
            return work.apply(r, z);
        }
        let mut whole = std::mem::take(&mut work.whole);
        let (from, to) = whole.split_at_mut(self.grid.nodes());
        let applied = work.gather.whole(r, from).and_then(|()| work.apply(from, to));
        z.copy_from_slice(&to[self.first..self.first + z.len()]);
        work.whole = whole;
        applied
    }
    fn properties(&self) -> Properties {
        self.properties
    }
    fn stored_entries(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let level = |l: &Level| 4 * l.a.grid.nodes() + l.smoother.stored_entries();
        work.levels.iter().map(level).sum::<usize>() + work.direct.stored_entries()
    }
    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let level = |l: &Level| 8 * 7 * l.a.grid.plane() + l.smoother.bytes();
        let vectors = work.whole.len() + 2 * work.coarsest[0].len();
        let levels: usize = work.levels.iter().map(level).sum();
        levels + work.direct.bytes() + work.gather.bytes() + 8 * vectors
    }
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
