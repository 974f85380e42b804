//! `mlp-reference`: a reference solve whose interpolation, correction and smoother a network writes.
//!
//! `M = P A0⁻¹ Pᵀ + R Rᵀ`, wrapped once in a symmetric smoother: `M₂ = 2S − S A S + (I − S A) M (I − A S)`,
//! applied as `y = S r; y += M (r − A y); y += S (r − A y)`. `A0` is the matrix of the unshifted mesh, solved by
//! the fast sine transform; `P` (nine-point, rows sum to one), `R` (five-point) and `S` (diagonal, nine-point, or a
//! symmetric Gauss–Seidel sweep) come from one small network that sees the 3 × 3 neighbourhood of each node.
//!
//! The network knows matrices of one level: that of A against `A0` is estimated, by one number for all of it
//! (`kernel/level.rs` of the core), the network sees `A` divided by it, and so is what comes out. So `M₂` of `cA`
//! is `M₂/c`, whatever units `A` is in. Training is on matrices as they are assembled, whose level is one.
//!
//! - **Works for** P1 matrices of perturbed structured meshes (seven-point pattern), trained for node shifts in
//!   a disc of 0.3 mesh widths (`sweep`: up to 0.45). Then the number of iterations hardly depends on the
//!   size: the Green's function at shifted points is the unshifted one, interpolated from both sides, plus a
//!   local correction, and the smoothing squares what is rough in the error. With `spd` and `sweep`, `M₂` is
//!   symmetric positive definite for any weights. Smooth coefficients are scaled away ([`coefficient`]); where
//!   they jump, a coarse correction helps ([`coarse`]). Counts: `docs/networks.md`.
//! - **Setup**: 7 kflop a node (`stencil`: 2.6), nearly all in matrix products. **Application**: two products
//!   with `A` and one solve with `A0`, 180 (`spd`) or 210 flops a node in all, bound by memory (`docs/cost.md`);
//!   `sweep` runs through the rows one after the other. 14 or 18 stored single-precision numbers a node beside
//!   the bands of `A`.
//! - **On p ranks** each one evaluates the network at the nodes of its slab of rows, n/p of them, keeps so many
//!   rows of its neighbours (`share.rs`) that an application needs no exchange but the residual's, and
//!   shares the solve with `A0` (`kernel/separable` of the core): one gather of a word and 2(p − 1) + 2 messages a rank
//!   (`apply.rs` has the formulas). The same bits on any number of ranks; with the coarse correction, up to
//!   rounding. More ranks than rows of the grid work, but those beyond have no row to transform.
//!   Setup communicates, with the slabs of `kernel/slab`, `H` rows around (`share.rs`) and K = 14 (`spd`, `sweep`)
//!   or 18 (`stencil`): gathers of row 0's columns (where the grid is not given), of errors (two), of 18 words
//!   and, with a coefficient, of one; the bands, 4·|own(s) ∩ nodes(around(r, H))| words from rank s to r ≠ s;
//!   the network's numbers,
//!   ⌈K·|nodes(rows(s) ∩ around(r, H))|/2⌉ words; five exchanges are prepared; and what the coefficient
//!   ([`coefficient`]) and the coarse correction ([`coarse`]) take.
//! - **Reference**: the wrapping is that of a symmetric two-grid cycle (W. Hackbusch, *Multi-Grid Methods
//!   and Applications*, Springer 1985, §2) with a reference solve for the coarse grid; that the network
//!   writes sparse operators around a fixed solve is this project's own.

pub mod apply;
pub mod chain;
pub mod coarse;
pub mod coefficient;
pub mod evaluate;
pub mod objective;
pub mod pgp;
pub mod share;
pub mod stencil;
pub mod sweep;
pub mod train;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use precondor_sdk::core::kernel::chunks;
use precondor_sdk::core::kernel::slab::Slabs;
use precondor_sdk::core::train::{Trainable, Training};
use precondor_sdk::prelude::*;

use crate::reference::apply::{Memory, Operator};
use crate::reference::coarse::Coarse;
use crate::reference::coefficient::{Coefficient, Source};
use crate::reference::evaluate::{Evaluator, LANES};
use crate::reference::pgp::{Description, Stencils, Variant, matrix_stencil};
use crate::reference::share::{Share, halo};
use crate::reference::train::{Learner, NAME, TrainParams, Weights};
use precondor_neural::model::{self, Recent};
use precondor_neural::run;
use precondor_sdk::core::kernel::bands::{Bands, grain};
use precondor_sdk::core::kernel::grid::Grid;

/// Parameters of [`MlpReference`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(
    crate = "precondor_sdk::schemars",
    extend(
        "x-precondor-models" = model::shipped(&SHIPPED),
        "x-precondor-fallback" = "multigrid",
        "x-precondor-contraction" = 0.1
    )
)]
pub struct Params {
    /// Form of the smoother, and with it which shipped model: `spd` (diagonal, positive definite for any
    /// weights), `stencil` (nine-point, fewer iterations) or `sweep` (symmetric Gauss-Seidel, sequential;
    /// positive definite for any weights, and for strongly distorted meshes: trained on shifts up to 0.45
    /// mesh widths, the others on 0.3). With `model`, that file's variant must be this one.
    pub variant: Option<Variant>,
    /// A model file to use instead of the shipped ones.
    #[schemars(extend("x-precondor-file" = true))]
    pub model: Option<String>,
    /// Nodes in a row and number of rows; recognised from the matrix where it is left out.
    #[schemars(extend("x-precondor-grid" = true))]
    pub grid: Option<[usize; 2]>,
    /// Where a coefficient that varies is known from; conjugate gradients then take a few iterations more.
    pub coefficient: Source,
    /// Coarse nodes a side, at most, of a correction for coefficients that jump; 0 for none. Left out, as many
    /// as their setup is worth where the coefficient jumps and is given with the system, else none.
    #[schemars(range(max = 255), extend("x-precondor-tune" = false))]
    pub coarse: Option<usize>,
}

/// The method.
pub struct MlpReference;

/// The wrapped reference map of one matrix, on every rank for its own rows.
pub struct ReferenceMap {
    variant: Variant,
    operator: Operator,
    coefficient: Option<String>,
    work: Mutex<Memory>,
}

/// Evaluates the network for every node of some rows and decodes its outputs, on the threads of `host`: run
/// after run of rows of the grid, so that what is between the bands and the coefficients stays in cache. The
/// rows beside those are described, too, where there are any.
///
/// # Errors
/// What the host reports.
pub fn assemble(
    host: &dyn Host,
    Weights { variant, net, parameters }: &Weights,
    bands: &Bands,
    coefficient: Option<&[f64]>,
    rows: Range<usize>,
) -> Result<Stencils<f32>> {
    let (grid, stride) = (bands.grid, bands.grid.stride());
    let mut stencils = Stencils::new(grid, *variant);
    let start = grid.body().start;
    let part = start + rows.start * stride..start + rows.end * stride;
    let bodies = stencils.planes_mut().map(|plane| match plane.is_empty() {
        true => (plane, 0),
        false => (&mut plane[part.clone()], stride),
    });
    chunks::rows(host, rows.len(), grain(grid), bodies, |run, mut to| {
        let rows = rows.start + run.start..rows.start + run.end;
        let description = Description::of_rows(bands, coefficient, rows);
        let (planes, offsets) = description.planes(net.inputs());
        let mut evaluator = Evaluator::new(net, parameters, offsets);
        let body = description.grid().body();
        for start in body.clone().step_by(LANES) {
            let part = start..body.end.min(start + LANES);
            // The patch of a node begins at its lower left neighbour.
            let outputs = evaluator.at(planes, start - (stride + 1));
            let parts = to.each_mut().map(|plane| {
                let length = part.len().min(plane.len());
                plane.split_off_mut(..length).unwrap_or_default()
            });
            description.decode(part, outputs, LANES, 0, (*variant, parts));
        }
        Ok(())
    })?;
    Ok(stencils)
}

impl ReferenceMap {
    /// Builds the map for a system with given weights, all else by default. Collective.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn new(weights: &Weights, system: &System, grid: Option<[usize; 2]>) -> Result<Self> {
        Self::with(weights, system, &Params { grid, ..Params::default() })
    }

    /// Builds the map for a system with given weights; `variant` and `model` of the parameters play no
    /// part. Collective.
    ///
    /// # Errors
    /// As [`Bands::read`], where the matrix is not one of a structured grid, and as [`Coefficient::of`].
    pub fn with(weights: &Weights, system: &System, params: &Params) -> Result<Self> {
        let (operator, coefficient) = Self::operator(weights, system, params)?;
        let work = Mutex::new(operator.memory()?);
        Ok(ReferenceMap { variant: weights.variant, operator, coefficient, work })
    }

    /// What depends on the values of the matrix, and what is to be told of its coefficient. Collective.
    fn operator(
        weights: &Weights,
        system: &System,
        params: &Params,
    ) -> Result<(Operator, Option<String>)> {
        let (host, a) = (system.host(), system.a());
        let (space, comm) = (a.space(), a.space().comm());
        let grid = Grid::agreed(a, params.grid)?;
        let slabs = Slabs::new(grid, space.starts())?;
        let share = Share::new(slabs, comm.rank(), halo(weights.variant.reach()));
        let mut bands = Bands::read(&**host, a, grid, |rank| share.kept(rank))?;
        let coefficient = Coefficient::of(system, &bands, &share, params.coefficient)?;
        let values = coefficient.as_ref().map(|c| c.values.as_slice());
        let steady = coefficient.as_ref().map(|c| c.steady.as_slice());
        let level = bands.level(comm, grid, share.first(), share.slab(), values, steady)?;
        bands.divide(level);
        let mut stencils = assemble(&**host, weights, &bands, values, share.slab())?;
        share.complete(comm, stencils.planes_mut())?;
        let jumps = coefficient.as_ref().is_some_and(|c| c.jumps);
        let wanted = params.coarse.map_or(jumps, |nodes| nodes > 0);
        let coarse =
            wanted.then(|| Coarse::new(comm, &share, &bands, params.coarse)).transpose()?;
        let operator =
            Operator::new(Arc::clone(host), comm, share, matrix_stencil(&bands), stencils)
                .at(level)
                .scaled(values)
                .corrected(coarse);
        Ok((operator, coefficient.map(|c| c.note())))
    }

    /// What the matrix was divided by before the network saw it.
    pub fn level(&self) -> f64 {
        self.operator.level()
    }

    /// The stencils that the network wrote, for the rows that this rank keeps.
    pub fn stencils(&self) -> &Stencils<f32> {
        &self.operator.stencils
    }
}

impl Preconditioner for ReferenceMap {
    fn apply(&self, residual: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        self.operator.apply(residual, z, &mut work)
    }

    fn properties(&self) -> Properties {
        Properties { positive_definite: self.variant != Variant::Stencil, ..Properties::SPD }
    }

    fn stored_entries(&self) -> usize {
        self.operator.entries()
    }

    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        self.operator.bytes() + work.bytes()
    }

    fn notes(&self) -> Vec<String> {
        let Grid { mx, my } = self.operator.share().slabs().grid();
        let mut notes = vec![format!("structured grid of {mx} by {my} nodes")];
        if self.variant == Variant::Stencil {
            notes.push(
                "positive definiteness is observed, not proved (variant = \"stencil\")".into(),
            );
        }
        notes.push(format!(
            "A is {:.4} times the reference matrix for smooth vectors, and M is divided by that",
            self.level()
        ));
        notes.extend(self.coefficient.clone());
        notes.extend(self.operator.share().slabs().note());
        notes
    }
}

/// Models read before.
static READ: Recent<Weights> = Recent::new();

/// The shipped models: name, file and content.
const SHIPPED: [(&str, &str, &[u8]); 3] = [
    (
        "spd",
        "models/mlp-reference-spd.safetensors",
        include_bytes!("../../models/mlp-reference-spd.safetensors"),
    ),
    (
        "stencil",
        "models/mlp-reference-stencil.safetensors",
        include_bytes!("../../models/mlp-reference-stencil.safetensors"),
    ),
    (
        "sweep",
        "models/mlp-reference-sweep.safetensors",
        include_bytes!("../../models/mlp-reference-sweep.safetensors"),
    ),
];

impl Weights {
    /// The shipped model of a variant.
    ///
    /// # Errors
    /// As [`Weights::read`].
    pub fn shipped(variant: Variant) -> Result<Self> {
        Weights::read(Weights::file(variant))
    }

    /// The file of the shipped model of a variant.
    fn file(variant: Variant) -> &'static [u8] {
        let [spd, stencil, sweep] = SHIPPED;
        match variant {
            Variant::Spd => spd.2,
            Variant::Stencil => stencil.2,
            Variant::Sweep => sweep.2,
        }
    }
}

/// The model that the parameters ask for. Collective.
fn weights(params: &Params, host: &dyn Host) -> Result<Arc<Weights>> {
    let read = |bytes: &[u8]| READ.read(bytes, NAME, Weights::read);
    let weights = match &params.model {
        None => read(Weights::file(params.variant.unwrap_or_default()))?,
        Some(path) => read(&host.read(path)?).map_err(|e| e.inside(format!("model '{path}'")))?,
    };
    if let Some(variant) = params.variant.filter(|v| *v != weights.variant) {
        return Err(Error::Parameter(format!(
            "parameter 'variant': {variant:?} was asked for, the model '{}' is {:?}",
            params.model.as_deref().unwrap_or_default(),
            weights.variant
        )));
    }
    Ok(weights)
}

impl Generator for MlpReference {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str =
        "reference solve with interpolation, correction and smoother from a neural network";
    const CAPABILITIES: Capabilities = Capabilities { refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = ReferenceMap;

    fn generate(params: &Params, system: &System) -> Result<ReferenceMap> {
        ReferenceMap::with(&*weights(params, &**system.host())?, system, params)
    }

    /// Keeps the plans of the transform and of all exchanges of an application, and its memory.
    fn refresh(m: &mut ReferenceMap, params: &Params, system: &System) -> Result<()> {
        let weights = weights(params, &**system.host())?;
        let (operator, coefficient) = ReferenceMap::operator(&weights, system, params)?;
        // All ranks know the whole grid and its slabs.
        let slabs = m.operator.share().slabs();
        if operator.share().slabs() != slabs || weights.variant != m.variant {
            return Err(Error::PatternChanged);
        }
        let work = m.work.get_mut().unwrap_or_else(PoisonError::into_inner);
        operator.fit(work);
        (m.operator, m.coefficient) = (operator, coefficient);
        Ok(())
    }
}

impl Trainable for MlpReference {
    type TrainParams = TrainParams;

    fn train(params: &TrainParams, training: Training<'_>) -> Result<Vec<u8>> {
        let Training { comm, host, samples, .. } = training;
        run::train(Learner::new(params, samples, &**host, comm)?, training)
    }
}
