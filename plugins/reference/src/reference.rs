//! A reference solve in symmetric smoothing, nothing of it learned:
//! M₂ = S + Sᵀ − Sᵀ A S + (I − Sᵀ A) M (I − A S) with M = P (s A0)⁻¹ Pᵀ, applied as
//! y = S r; y += M (r − A y); y += Sᵀ (r − A y).
//!
//! - A0 is the five-point Laplacian of the grid, solved by the fast sine transform or by any method
//!   by name; s is the level of A against it (`kernel/level.rs` of the core), so that the units of A play
//!   no part: M₂ of cA is M₂/c.
//! - P = I + c E, E = D0⁻¹A0 − D⁻¹A with D0, D the diagonals. Row i of D⁻¹A tells how the value at
//!   node i follows from its neighbours, so to first order P interpolates from the nodes of the
//!   reference mesh to the shifted ones. c = 0 leaves P out; ½ is good, between 0.3 and 0.7 little
//!   changes.
//! - S is damped Jacobi, two Chebyshev steps, a Gauss–Seidel sweep (forward before, backward after),
//!   a symmetric one, or left out (then M₂ = M).
//!
//! Works for linear elements on shifted structured meshes (five- or seven-point pattern, coefficient
//! nearly constant); iterations then hardly depend on the size. Mean iterations
//! at levels 4/5/6/7/8 (225 to 65025 unknowns, shifts of a quarter mesh width; 3 systems, at level 8
//! one; `cargo test -p precondor-plugin-reference iterations_are`), and the products with A or as large
//! a matrix that an application and the solver's residual take:
//!
//! | S | c | Richardson, ω = 1, to 1e-5 of the residual | conjugate gradients to 1e-8 | products |
//! |---|---|---|---|---|
//! | none | 0 | – | 14 / 15.3 / 16.5 / 17.8 / 19 | 1 |
//! | Jacobi, ω = 0.5 | 0 | 7 / 7 / 8 / 8 / 9 | 8 / 9 / 9 / 10 / 10 | 3 |
//! | Jacobi, ω = 0.6 | 0.5 | 5 / 6 / 6 / 6 / 6 | 7 / 7 / 7 / 8 / 8 | 5 |
//! | Gauss–Seidel | 0 | 6 / 6.7 / 7 / 7.7 / 8 | 7 / 8 / 8 / 9 / 9 | 3 |
//! | Gauss–Seidel | 0.5 | 4.7 / 5 / 5 / 5.7 / 6 | 6 / 6.3 / 7 / 7 / 7 | 5 |
//! | Chebyshev | 0 | 5 / 5 / 5 / 6 / 6 | 6 / 6 / 7 / 7 / 7 | 5 |
//! | Chebyshev | 0.5 | 4 / 4 / 4.7 / 5 / 5 | 5 / 6 / 6 / 6 / 6 | 7 |
//! | symmetric Gauss–Seidel | 0 | 4 / 5 / 5 / 5 / 5 | 6 / 6 / 6 / 6.7 / 7 | 5 |
//! | symmetric Gauss–Seidel | 0.5 | 4 / 4 / 4 / 4 / 5 | 5 / 5 / 6 / 6 / 6 | 7 |
//!
//! Chebyshev needs products alone, no sweep from row to row: M₂ is then the same on any number of
//! ranks, and positive definite whatever the mesh.
//!
//! A has to be symmetric with a positive diagonal. M₂ is declared positive definite where
//! `smoother.rs` proves it; without a smoother, where A0⁻¹ is and P is diagonally dominant.
//!
//! Cost: setup a few passes over A and a gather of 18 words for s; stored are the values of P and Pᵀ
//! (2 nnz) and, for the sweeps, the triangles of A. Apply: one solve with A0 and the products of the table, less one. On several
//! ranks the sweeps are over each rank's own block, so M₂ depends on their number; with Jacobi, Chebyshev
//! or no smoother it has the same bits on any.
//!
//! Communication of an application: that of one solve with A0 (`sine.rs`), and exchanges of A's ghost
//! entries: 2 with Jacobi and the sweeps, 4 with Chebyshev, none without a smoother; 2 more with c > 0.
//!
//! Reference: W. Hackbusch, *Multi-Grid Methods and Applications*, Springer 1985, §2, for the form;
//! a reference matrix as preconditioner goes back to P. Concus, G. Golub, *Use of fast direct methods
//! for the efficient numerical solution of nonseparable elliptic equations*, SIAM J. Numer. Anal. 10
//! (1973).
use crate::sine::{Sine, SineSolve, level_note};
use crate::smoother::{Kind, Smoother};
use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::core::kernel::level;
use precondor_sdk::core::kernel::wrap::Wrap;
use precondor_sdk::core::precond::Identity;
use precondor_sdk::core::schema::named_method;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// Parameters of [`Reference`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {
    /// What smooths before and after the reference solve.
    pub smoother: Kind,
    /// Damping ω of the Jacobi smoother, 0.5 where it is left out.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 2.0))]
    pub damping: Option<f64>,
    /// Weight c in P = I + c E, which interpolates between the reference mesh and the real one; 0 for
    /// none.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub interpolation: f64,
    /// Nodes in a row and number of rows; recognised from the matrix where it is left out.
    #[schemars(extend("x-precondor-grid" = true))]
    pub grid: Option<[usize; 2]>,
    /// What solves with the reference matrix A0: `sine`, or any method, as a section with its name and
    /// its parameters.
    #[schemars(extend("x-precondor-method" = true, "x-precondor-old-name" = "solver"))]
    pub method: Value,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            smoother: Kind::SymmetricGaussSeidel,
            damping: None,
            interpolation: 0.5,
            grid: None,
            method: Sine::NAME.into(),
        }
    }
}

/// The method.
pub struct Reference;

/// M₂.
pub struct Wrapped {
    a: DistCsr,
    smoother: Option<Smoother>,
    transfer: Option<Transfer>,
    solver: Box<dyn Preconditioner>,
    grid: Grid,
    /// s.
    level: f64,
    properties: Properties,
    notes: Vec<String>,
    work: Mutex<Work>,
}

struct Work {
    wrap: Wrap,
    /// Pᵀ r and A0⁻¹ Pᵀ r.
    reference: [Vec<f64>; 2],
}

/// P and Pᵀ, on the pattern of A.
struct Transfer {
    p: DistCsr,
    transposed: DistCsr,
    /// Every diagonal entry of P exceeds the sum of the others in its row: P is nonsingular.
    dominant: bool,
}

impl Transfer {
    /// Collective.
    fn new(a: &DistCsr, grid: Grid, c: f64, diagonal: &[f64]) -> Result<Self> {
        let mut ghost_diagonal = vec![0.0; a.ghost_ids().len()];
        let token = a.exchange_start(diagonal)?;
        a.exchange_finish(token, &mut ghost_diagonal)?;
        let start = a.space().start();
        let mut off_diagonal = vec![0.0; a.n_own()];
        let mut block = |view: CsrView<'_>, diagonal_of: &[f64], number: &dyn Fn(usize) -> u64| {
            let (mut p, mut transposed) =
                (Vec::with_capacity(view.nnz()), Vec::with_capacity(view.nnz()));
            for (i, d) in diagonal.iter().enumerate() {
                let row = start + i as u64;
                for (j, value) in view.row(i) {
                    let col = number(j);
                    if col == row {
                        // E is zero there.
                        p.push(1.0);
                        transposed.push(1.0);
                        continue;
                    }
                    let reference = grid.laplacian_between(row, col) / Grid::laplacian((0, 0));
                    let entry = c * (reference - value / d);
                    off_diagonal[i] += entry.abs();
                    p.push(entry);
                    transposed.push(c * (reference - value / diagonal_of[j]));
                }
            }
            (p, transposed)
        };
        let own = block(a.own().view(), diagonal, &|j| start + j as u64);
        let ghost = block(a.ghost().view(), &ghost_diagonal, &|j| a.ghost_ids()[j]);
        let mut largest = [off_diagonal.iter().copied().fold(0.0, f64::max)];
        a.space().comm().max(&mut largest)?;
        Ok(Transfer {
            p: a.with_values(own.0, ghost.0)?,
            transposed: a.with_values(own.1, ghost.1)?,
            dominant: largest[0] < 1.0,
        })
    }
}

/// The diagonal of A, which has to be positive.
fn positive_diagonal(a: &DistCsr) -> Result<Vec<f64>> {
    let check = |i: usize| match a.diagonal(i) {
        d if d > 0.0 && d.is_finite() => Ok(d),
        d => {
            let why = format!("the diagonal entry is {d}; reference needs it to be positive");
            Err(Error::breakdown(a.global_row(i), why))
        }
    };
    (0..a.n_own()).map(check).collect()
}

/// Sets up what solves with A0. Collective.
fn solver(params: &Params, grid: Grid, system: &System) -> Result<Box<dyn Preconditioner>> {
    let (name, section) = named_method(&params.method).ok_or_else(|| {
        let why = "parameter 'method': it takes a method's name, or a section with 'name'";
        Error::Parameter(why.into())
    })?;
    if name == Sine::NAME && section.as_object().is_some_and(|s| s.is_empty()) {
        return Ok(Box::new(SineSolve::new(grid, 1.0, system)?));
    }
    let reference = grid.five_point(system.a().space())?;
    let inner = system.host().inner(&name, &section, &system.with_matrix(reference)?);
    Ok(inner.map_err(|e| e.inside(format!("parameter 'method': {name}")))?)
}

impl Generator for Reference {
    const NAME: &'static str = "reference";
    const SUMMARY: &'static str =
        "inverse of the unperturbed grid matrix, interpolated and wrapped in smoothing";
    const CAPABILITIES: Capabilities =
        Capabilities { transpose: true, refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = Wrapped;

    fn generate(params: &Params, system: &System) -> Result<Wrapped> {
        let grid = grid(params, system)?;
        wrap(params, grid, None, system)
    }

    /// Keeps what solves with A0, which depends on the grid alone.
    fn refresh(m: &mut Wrapped, params: &Params, system: &System) -> Result<()> {
        if grid(params, system)? != m.grid {
            return Err(Error::PatternChanged);
        }
        let solver = std::mem::replace(&mut m.solver, Box::new(Identity));
        *m = wrap(params, m.grid, Some(solver), system)?;
        Ok(())
    }
}

/// The grid of a matrix that the method works for. Collective.
fn grid(params: &Params, system: &System) -> Result<Grid> {
    if params.damping.is_some() && params.smoother != Kind::Jacobi {
        let why = "parameter 'damping': only the smoother \"jacobi\" has one";
        return Err(Error::Parameter(why.into()));
    }
    system.a().require_symmetric(Reference::NAME)?;
    Grid::of(system.a(), params.grid)
}

/// M₂ around what solves with A0, which is set up where it is not there yet. Collective.
fn wrap(
    params: &Params,
    grid: Grid,
    solve: Option<Box<dyn Preconditioner>>,
    system: &System,
) -> Result<Wrapped> {
    let a = system.a();
    let diagonal = positive_diagonal(a)?;
    let damping = params.damping.unwrap_or(0.5);
    let smoother = Smoother::new(params.smoother, damping, a, &diagonal)?;
    let c = params.interpolation;
    let transfer = if c == 0.0 { None } else { Some(Transfer::new(a, grid, c, &diagonal)?) };
    let solver = match solve {
        Some(solver) => solver,
        None => solver(params, grid, system)?,
    };

    let level = level::of_matrix(a, grid)?;
    let mut notes = solver.notes();
    notes.push(level_note(level));
    let doubt = match (&smoother, &transfer) {
        (Some(smoother), _) => smoother.doubt(a)?,
        (None, Some(Transfer { dominant: false, .. })) => {
            Some("positive definiteness is not proved: P is not diagonally dominant".into())
        }
        (None, _) => None,
    };
    let inner = solver.properties();
    let properties = Properties {
        positive_definite: inner.positive_definite && doubt.is_none(),
        rank_independent: inner.rank_independent && params.smoother.rank_independent(),
        ..inner
    };
    notes.extend(doubt);
    let (n, wrapped, mapped) = (a.n_own(), smoother.is_some(), transfer.is_some());
    let length = |needed: bool| if needed { n } else { 0 };
    let work = Work {
        wrap: Wrap::new(length(wrapped)),
        reference: [vec![0.0; length(mapped)], vec![0.0; length(mapped)]],
    };
    let (a, work) = (a.clone(), Mutex::new(work));
    Ok(Wrapped { a, smoother, transfer, solver, grid, level, properties, notes, work })
}

impl Wrapped {
    /// `y = M r`, before smoothing.
    fn reference_solve(&self, work: &mut [Vec<f64>; 2], r: &[f64], y: &mut [f64]) -> Result<()> {
        let Some(Transfer { p, transposed, .. }) = &self.transfer else {
            let solved = self.solver.apply(r, y);
            y.iter_mut().for_each(|y| *y /= self.level);
            return solved;
        };
        let [u, v] = work;
        transposed.spmv(r, u)?;
        u.iter_mut().for_each(|u| *u /= self.level);
        let solved = self.solver.apply(u, v);
        if solved.is_err() {
            v.fill(f64::NAN);
        }
        p.spmv(v, y)?;
        solved
    }
}

impl Preconditioner for Wrapped {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { wrap, reference } = &mut *work;
        let mut inner = |r: &[f64], y: &mut [f64]| self.reference_solve(reference, r, y);
        let Some(smoother) = &self.smoother else {
            return inner(r, z);
        };
        let before =
            |r: &[f64], y: &mut [f64], rest: &mut [f64]| smoother.before(&self.a, r, y, rest);
        let after =
            |r: &[f64], y: &mut [f64], work: [&mut [f64]; 2]| smoother.after(&self.a, r, y, work);
        wrap.apply(before, inner, after, r, z)
    }
    fn properties(&self) -> Properties {
        self.properties
    }
    fn stored_entries(&self) -> usize {
        let transfer = self.transfer.as_ref().map_or(0, |t| 2 * t.p.nnz_own());
        let smoother = self.smoother.as_ref().map_or(0, Smoother::stored_entries);
        transfer + smoother + self.solver.stored_entries()
    }
    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let vectors: usize = work.reference.iter().map(Vec::len).sum();
        // The pattern of P is that of A.
        let transfer = self.transfer.as_ref().map_or(0, |t| 2 * 8 * t.p.nnz_own());
        let smoother = self.smoother.as_ref().map_or(0, Smoother::bytes);
        8 * vectors + work.wrap.bytes() + transfer + smoother + self.solver.bytes()
    }
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
