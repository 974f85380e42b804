//! `mlp-reference`: a reference solve whose interpolation, correction and smoother a network writes.
//!
//! `M = P A0⁻¹ Pᵀ + R Rᵀ`, wrapped once in a symmetric smoother: `M₂ = 2S − S A S + (I − S A) M (I − A S)`,
//! applied as `y = S r; y += M (r − A y); y += S (r − A y)`. `A0` is the matrix of the unshifted mesh, solved by
//! the fast sine transform; `P` (nine-point, rows sum to one), `R` (five-point) and `S` (diagonal, nine-point, or a
//! symmetric Gauss–Seidel sweep) come from one small network that sees the 3 × 3 neighbourhood of each node.
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
//! - **Communication**: on several ranks each one keeps the whole grid and repeats the work; an application
//!   gathers the residual.
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
pub mod stencil;
pub mod sweep;
pub mod train;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use precondor_sdk::core::kernel::chunks;
use precondor_sdk::core::kernel::gather::Gather;
use precondor_sdk::core::train::{Trainable, Training};
use precondor_sdk::prelude::*;

use crate::grid::{Bands, Grid, grain};
use crate::model::{self, Recent};
use crate::reference::apply::{Memory, Operator};
use crate::reference::coarse::Coarse;
use crate::reference::coefficient::{Coefficient, Source};
use crate::reference::evaluate::{Evaluator, LANES};
use crate::reference::pgp::{Description, Stencils, Variant, matrix_stencil};
use crate::reference::train::{NAME, TrainParams, Trainer, Weights};
use crate::run;

/// Parameters of [`MlpReference`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(
    crate = "precondor_sdk::schemars",
    extend(
        "x-precondor-models" = model::shipped(&SHIPPED),
        "x-precondor-fallback" = "reference",
        "x-precondor-contraction" = 0.7
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
    pub grid: Option<[usize; 2]>,
    /// Where a coefficient that varies is known from; conjugate gradients then take a few iterations more.
    pub coefficient: Source,
    /// Coarse nodes a side of a correction for coefficients that jump; 0 for none. Left out, 23 where the
    /// coefficient jumps and is given with the system, else none.
    #[schemars(range(max = 63))]
    pub coarse: Option<usize>,
}

/// The method.
pub struct MlpReference;

/// The wrapped reference map of one matrix.
pub struct ReferenceMap {
    variant: Variant,
    operator: Operator,
    own: Range<usize>,
    gathers: bool,
    coefficient: Option<String>,
    work: Mutex<Work>,
}

/// Memory of an application.
struct Work {
    inner: Memory,
    /// How the residual reaches all ranks, and the whole vectors there.
    gather: Gather,
    whole: [Vec<f64>; 2],
}

/// Evaluates the network for every node and decodes its outputs, on the threads of `host`: run after run of
/// rows of the grid, so that what is between the bands and the coefficients stays in cache.
///
/// # Errors
/// What the host reports.
pub fn assemble(
    host: &dyn Host,
    Weights { variant, net, parameters }: &Weights,
    bands: &Bands,
    coefficient: Option<&[f64]>,
) -> Result<Stencils<f32>> {
    let (grid, stride) = (bands.grid, bands.grid.stride());
    let mut stencils = Stencils::new(grid, *variant);
    let bodies = stencils.planes_mut().map(|plane| match plane.is_empty() {
        true => (plane, 0),
        false => (&mut plane[grid.body()], stride),
    });
    chunks::rows(host, grid.my, grain(grid), bodies, |rows, mut to| {
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
        let (host, a) = (system.host(), system.a());
        let bands = Bands::read(&**host, a, params.grid)?;
        let grid = bands.grid;
        let coefficient = Coefficient::of(system, &bands, params.coefficient)?;
        let values = coefficient.as_ref().map(|c| c.values.as_slice());
        let stencils = assemble(&**host, weights, &bands, values)?;
        let jumps = coefficient.as_ref().is_some_and(|c| c.jumps);
        let nodes = params.coarse.unwrap_or(if jumps { coarse::NODES } else { 0 });
        let coarse = (nodes > 0).then(|| Coarse::new(&bands, nodes)).transpose()?;
        let operator = Operator::new(Arc::clone(host), matrix_stencil(&bands), stencils)
            .scaled(values)
            .corrected(coarse);
        let space = a.space();
        let gathers = space.comm().size() > 1;
        let whole = || vec![0.0; if gathers { grid.nodes() } else { 0 }];
        let work = Work {
            inner: operator.memory(),
            gather: Gather::new(space),
            whole: [whole(), whole()],
        };
        let start = space.start() as usize;
        let own = start..start + space.n_own();
        Ok(ReferenceMap {
            variant: weights.variant,
            operator,
            own,
            gathers,
            coefficient: coefficient.map(|c| c.note()),
            work: Mutex::new(work),
        })
    }

    /// The stencils that the network wrote.
    pub fn stencils(&self) -> &Stencils<f32> {
        &self.operator.stencils
    }
}

impl Preconditioner for ReferenceMap {
    fn apply(&self, residual: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { inner, gather, whole: [from, to] } = &mut *work;
        if !self.gathers {
            return self.operator.apply(residual, z, inner);
        }
        gather.whole(residual, from)?;
        self.operator.apply(from, to, inner)?;
        z.copy_from_slice(&to[self.own.clone()]);
        Ok(())
    }

    fn properties(&self) -> Properties {
        Properties { positive_definite: self.variant != Variant::Stencil, ..Properties::SPD }
    }

    fn stored_entries(&self) -> usize {
        self.operator.entries()
    }

    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let vectors = work.whole.iter().map(Vec::len).sum::<usize>();
        self.operator.bytes() + work.inner.bytes() + work.gather.bytes() + 8 * vectors
    }

    fn notes(&self) -> Vec<String> {
        let Grid { mx, my } = self.operator.grid();
        let mut notes = vec![format!("structured grid of {mx} by {my} nodes")];
        if self.variant == Variant::Stencil {
            notes.push(
                "positive definiteness is observed, not proved (variant = \"stencil\")".into(),
            );
        }
        notes.extend(self.coefficient.clone());
        if self.gathers {
            notes.push("every rank keeps the whole grid and repeats the work".into());
        }
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

impl Generator for MlpReference {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str =
        "reference solve with interpolation, correction and smoother from a neural network";
    type Params = Params;
    type Output = ReferenceMap;

    fn generate(params: &Params, system: &System) -> Result<ReferenceMap> {
        let read = |bytes: &[u8]| READ.read(bytes, NAME, Weights::read);
        let weights = match &params.model {
            None => read(Weights::file(params.variant.unwrap_or_default()))?,
            Some(path) => {
                read(&system.host().read(path)?).map_err(|e| e.inside(format!("model '{path}'")))?
            }
        };
        if let Some(variant) = params.variant.filter(|v| *v != weights.variant) {
            return Err(Error::Parameter(format!(
                "parameter 'variant': {variant:?} was asked for, the model '{}' is {:?}",
                params.model.as_deref().unwrap_or_default(),
                weights.variant
            )));
        }
        ReferenceMap::with(&weights, system, params)
    }
}

impl Trainable for MlpReference {
    type TrainParams = TrainParams;

    fn train(params: &TrainParams, training: Training<'_>) -> Result<Vec<u8>> {
        let Training { comm, host, samples, .. } = training;
        run::drive(&mut Trainer::new(params, samples, &**host, comm)?, training)
    }
}
