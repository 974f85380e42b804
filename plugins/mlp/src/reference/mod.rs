//! `mlp-reference`: a reference solve whose interpolation, correction and smoother a network writes.
//!
//! `M = P A0⁻¹ Pᵀ + R Rᵀ`, wrapped once in a symmetric smoother: `M₂ = 2S − S A S + (I − S A) M (I − A S)`,
//! applied as `y = S r; y += M (r − A y); y += S (r − A y)`. `A0` is the matrix of the unshifted mesh, solved by
//! the fast sine transform; `P` (nine-point, rows sum to one), `R` (five-point) and `S` (diagonal or
//! nine-point) come from one small network that sees the 3 × 3 neighbourhood of each node.
//!
//! - **Works for** P1 matrices of perturbed structured meshes (seven-point pattern, coefficient near one);
//!   trained for node shifts in a disc of 0.3 mesh widths. Then the number of iterations hardly depends
//!   on the size: the Green's function at shifted points is the unshifted one, interpolated from both
//!   sides, plus a local correction, and the smoothing squares what is rough in the error. With the
//!   diagonal `S` (`spd`) `M₂` is symmetric positive definite for any weights.
//! - **Setup**: about 7.5 kflop a node, nearly all in matrix products. **Application**: three products
//!   with `A`, two sine transforms, about 40 (`spd`) or 60 flops a node in stencils. 14 or 18 stored
//!   single-precision numbers a node beside the bands of `A`.
//! - **Communication**: on several ranks each one keeps the whole grid and repeats the work; an application
//!   gathers the residual.
//! - **Reference**: the wrapping is that of a symmetric two-grid cycle (W. Hackbusch, *Multi-Grid Methods
//!   and Applications*, Springer 1985, §2) with a reference solve for the coarse grid; that the network
//!   writes sparse operators around a fixed solve is this project's own.

pub mod chain;
pub mod coefficient;
pub mod evaluate;
pub mod objective;
pub mod pgp;
pub mod stencil;
pub mod sweep;
pub mod train;

use std::sync::{Mutex, PoisonError};

use precondor_sdk::core::kernel::gather::Gather;
use precondor_sdk::core::kernel::sine::{PoissonSolver, SineScratch};
use precondor_sdk::core::train::{Trainable, Training};
use precondor_sdk::prelude::*;

use crate::grid::{Bands, Grid};
use crate::model;
use crate::net::Net;
use crate::reference::evaluate::{Evaluator, LANES};
use crate::reference::pgp::{Description, Stencils, Variant, matrix_stencil};
use crate::reference::stencil::Stencil;
use crate::reference::train::{NAME, TrainParams, Trainer, Weights};
use crate::run;

/// Parameters of [`MlpReference`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars", extend("x-precondor-models" = model::shipped(&SHIPPED)))]
pub struct Params {
    /// Which shipped model: `spd` (diagonal smoother, positive definite for any weights) or `stencil`
    /// (nine-point smoother, fewer iterations). With `model`, that file's variant must be this one.
    pub variant: Option<Variant>,
    /// A model file to use instead of the shipped ones.
    #[schemars(extend("x-precondor-file" = true))]
    pub model: Option<String>,
    /// Nodes in a row and number of rows; recognised from the matrix where it is left out.
    pub grid: Option<[usize; 2]>,
}

/// The method.
pub struct MlpReference;

/// The wrapped reference map of one matrix.
pub struct ReferenceMap {
    grid: Grid,
    variant: Variant,
    a: Stencil<f64>,
    stencils: Stencils<f32>,
    scaling: Option<Vec<f64>>,
    solver: PoissonSolver<f64>,
    own: std::ops::Range<usize>,
    gathers: bool,
    work: Mutex<Work>,
}

/// Memory of an application.
struct Work {
    planes: [Vec<f64>; 4],
    nodes: Vec<f64>,
    sine: SineScratch<f64>,
    /// How the residual reaches all ranks.
    gather: Gather,
}

/// Evaluates the network for every node and decodes its outputs.
pub fn assemble(
    net: &Net,
    parameters: &[f32],
    variant: Variant,
    description: &Description<f32>,
) -> Stencils<f32> {
    let grid = description.grid();
    let body = grid.body();
    let mut stencils = Stencils::new(grid, variant);
    let (planes, offsets) = description.planes(net.inputs());
    let mut evaluator = Evaluator::new(net, parameters, offsets);
    let corner = grid.stride() + 1;
    for start in body.clone().step_by(LANES) {
        let part = start..body.end.min(start + LANES);
        let outputs = evaluator.at(planes, start - corner);
        stencils.decode(description, part, outputs, LANES, 0);
    }
    stencils
}

impl ReferenceMap {
    /// Builds the map for a matrix with given weights. Collective.
    ///
    /// # Errors
    /// As [`Bands::of`], where the matrix is not one of a structured grid.
    pub fn new(weights: &Weights, system: &System, grid: Option<[usize; 2]>) -> Result<Self> {
        let a = system.a();
        let space = a.space();
        let bands = Bands::of(a, grid)?;
        let own = space.start() as usize..space.start() as usize + space.n_own();
        let gathers = space.comm().size() > 1;
        let c = coefficient::of(system, &bands)?;
        Ok(Self::from_bands(weights, &bands, c, own, Gather::new(space), gathers))
    }

    fn from_bands(
        weights: &Weights,
        bands: &Bands,
        coefficient: Option<Vec<f64>>,
        own: std::ops::Range<usize>,
        gather: Gather,
        gathers: bool,
    ) -> Self {
        let grid = bands.grid;
        let Weights { variant, net, parameters } = weights;
        let stencils =
            assemble(net, parameters, *variant, &Description::new(bands, coefficient.as_deref()));
        let scaling = coefficient.map(|c| {
            let mut plane = vec![0.0; grid.plane()];
            grid.to_plane(&c.iter().map(|c| c.sqrt().recip()).collect::<Vec<_>>(), &mut plane);
            plane
        });
        let solver = PoissonSolver::new(grid.mx, grid.my);
        let work = Work {
            planes: std::array::from_fn(|_| vec![0.0; grid.plane()]),
            nodes: vec![0.0; grid.nodes()],
            sine: solver.scratch(),
            gather,
        };
        ReferenceMap {
            grid,
            variant: *variant,
            a: matrix_stencil(bands),
            stencils,
            scaling,
            solver,
            own,
            gathers,
            work: Mutex::new(work),
        }
    }

    fn scale(&self, plane: &mut [f64]) {
        if let Some(scaling) = &self.scaling {
            plane.iter_mut().zip(scaling).for_each(|(x, s)| *x *= s);
        }
    }

    /// The stencils that the network wrote.
    pub fn stencils(&self) -> &Stencils<f32> {
        &self.stencils
    }
}

impl Preconditioner for ReferenceMap {
    fn apply(&self, residual: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { planes: [x, y, t, w], nodes, sine, gather } = &mut *work;
        if self.gathers {
            gather.whole(residual, nodes)?;
            self.grid.to_plane(nodes, x);
        } else {
            self.grid.to_plane(residual, x);
        }
        let Stencils { p, r, .. } = &self.stencils;
        y.fill(0.0);
        self.stencils.smooth(&self.a, x, w, y);
        self.a.add_to(x, y, -1.0, t);

        w.fill(0.0);
        r.add_transposed(t, 1.0, w);
        r.add(w, 1.0, y);
        w.fill(0.0);
        p.add_transposed(t, 1.0, w);
        self.scale(w);
        self.grid.to_nodes(w, nodes);
        self.solver.solve(nodes, sine);
        self.grid.to_plane(nodes, w);
        self.scale(w);
        p.add(w, 1.0, y);

        self.a.add_to(x, y, -1.0, t);
        self.stencils.smooth(&self.a, t, w, y);
        self.grid.to_nodes(y, nodes);
        z.copy_from_slice(&nodes[self.own.clone()]);
        Ok(())
    }

    fn properties(&self) -> Properties {
        Properties { positive_definite: self.variant != Variant::Stencil, ..Properties::SPD }
    }

    fn stored_entries(&self) -> usize {
        self.stencils.entries()
    }

    fn bytes(&self) -> usize {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let vectors = work.planes.iter().map(Vec::len).sum::<usize>() + work.nodes.len();
        self.a.bytes()
            + self.stencils.bytes()
            + self.solver.bytes()
            + work.sine.bytes()
            + work.gather.bytes()
            + size_of::<f64>() * vectors
    }

    fn notes(&self) -> Vec<String> {
        let Grid { mx, my } = self.grid;
        let mut notes = vec![format!("structured grid of {mx} by {my} nodes")];
        if self.variant == Variant::Stencil {
            notes.push(
                "positive definiteness is observed, not proved (variant = \"stencil\")".into(),
            );
        }
        if self.gathers {
            notes.push("every rank keeps the whole grid and repeats the work".into());
        }
        notes
    }
}

/// The shipped models.
const SPD: &[u8] = include_bytes!("../../models/mlp-reference-spd.safetensors");
const STENCIL: &[u8] = include_bytes!("../../models/mlp-reference-stencil.safetensors");
/// Their variants, files and content.
const SHIPPED: [(&str, &str, &[u8]); 2] = [
    ("spd", "models/mlp-reference-spd.safetensors", SPD),
    ("stencil", "models/mlp-reference-stencil.safetensors", STENCIL),
];

impl Weights {
    /// The shipped model of a variant.
    ///
    /// # Errors
    /// As [`Weights::read`].
    pub fn shipped(variant: Variant) -> Result<Self> {
        Weights::read(match variant {
            Variant::Spd => SPD,
            Variant::Stencil | Variant::Sweep => STENCIL,
        })
    }
}

impl Generator for MlpReference {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str =
        "reference solve with interpolation, correction and smoother from a neural network";
    type Params = Params;
    type Output = ReferenceMap;

    fn generate(params: &Params, system: &System) -> Result<ReferenceMap> {
        let weights = match &params.model {
            None => Weights::shipped(params.variant.unwrap_or_default())?,
            Some(path) => {
                let bytes = system.host().read(path)?;
                let weights =
                    Weights::read(&bytes).map_err(|e| e.inside(format!("model '{path}'")))?;
                if let Some(variant) = params.variant.filter(|v| *v != weights.variant) {
                    return Err(Error::Parameter(format!(
                        "parameter 'variant': {variant:?} was asked for, the model '{path}' is {:?}",
                        weights.variant
                    )));
                }
                weights
            }
        };
        ReferenceMap::new(&weights, system, params.grid)
    }
}

impl Trainable for MlpReference {
    type TrainParams = TrainParams;

    fn train(params: &TrainParams, training: Training<'_>) -> Result<Vec<u8>> {
        run::drive(&mut Trainer::new(params, training.samples, &**training.host)?, training)
    }
}
