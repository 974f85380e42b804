//! `ridge`: the dense inverse by linear regression from the bands of the matrix.
//!
//! `M = decode(t̄ + Bᵀ R s)`: what [`mlp-dense`](mod@crate::mlp) is without its network. It is the baseline
//! that a network has to beat, and the shortest example of a generator that learns and is no network:
//!
//! 1. [`Data`] makes training systems, their inputs (bands) and targets (components of whitened inverses);
//! 2. [`regression`] is an ordinary linfa model: `Ridge.fit(&Dataset)` gives a `Fitted`, which predicts;
//! 3. [`Trainable::train`] packs `Fitted` and the components into a model file;
//! 4. [`Generator::generate`] reads it, predicts for one matrix and returns an explicit inverse.
//!
//! - **Works for** one size only, that of its training; shipped for levels 2 and 3 (9 and 49 unknowns).
//!   With `mean_only` it is a constant matrix, the mean of the training inverses.
//! - **Setup**: `2pk + n²k + 4n³` flops for `p` inputs (about `4n`) and `k` components, a Newton step `2n³`.
//!   **Application**: `2n²` flops; `n²` stored numbers. **Training**: the inverses, and the flops of
//!   [`regression`]: half a minute at level 4. **Communication**: the ghost exchange of a dense matrix.
//! - **Reference**: A. Hoerl, R. Kennard, *Ridge regression: biased estimation for nonorthogonal problems*,
//!   Technometrics 12 (1970).

pub mod regression;

use precondor_sdk::core::matrix::ExplicitKind;
use precondor_sdk::core::persist::Stored;
use precondor_sdk::core::train::{Progress, Trainable, Training};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, json};

use crate::learned::data::{Data, Inputs, Shape, Targets, grid_of};
use crate::learned::explicit::{self, Model, Settings};
use crate::learned::linear::Linear;
use crate::learned::weights::{Architecture, Precision, Weights, to_json};
use precondor_neural::model::{self, Card, Kind};
use precondor_neural::net::Activation;
use precondor_neural::team::same;

/// Parameters of [`RidgeInverse`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(
    crate = "precondor_sdk::schemars",
    extend("x-precondor-models" = models(), "x-precondor-fallback" = "ic")
)]
pub struct Params {
    /// A model file to use instead of the shipped ones, which are for 3 by 3 and 7 by 7 nodes.
    #[schemars(extend("x-precondor-file" = true))]
    pub model: Option<String>,
    /// Nodes in a row and number of rows; recognised from the matrix where it is left out.
    #[schemars(extend("x-precondor-grid" = true))]
    pub grid: Option<[usize; 2]>,
    /// The mean of the training inverses alone, the same for all matrices.
    pub mean_only: bool,
    /// Newton steps M ← 2M − M A M at the end, each of them 2n³ flops.
    #[schemars(range(max = 4))]
    pub newton: usize,
}

/// Parameters of training `ridge`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct TrainParams {
    /// Penalty of the regression, against inputs of mean square 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub penalty: f64,
    /// Principal components of the inverses that are predicted; 0 for whole inverses.
    #[schemars(range(max = 4096))]
    pub components: usize,
    /// Learn the mean of the training inverses and nothing else.
    pub mean_only: bool,
    /// Matrices to learn from, shared evenly by the families.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub pool: usize,
    /// How the large arrays of the model file are stored: `f32` or `bf16`.
    pub precision: Precision,
    /// Seed of the matrices.
    pub seed: u64,
}

impl Default for TrainParams {
    fn default() -> Self {
        TrainParams {
            penalty: 1e-3,
            components: 600,
            mean_only: false,
            pool: 10_000,
            precision: Precision::F32,
            seed: 1,
        }
    }
}

/// The method.
pub struct RidgeInverse;

/// The shipped models: nodes a side of the grid, label, file, content.
const SHIPPED: [(usize, &str, &str, &[u8]); 2] = [
    (
        3,
        "level 2",
        "models/ridge-level2.safetensors",
        include_bytes!("../../models/ridge-level2.safetensors"),
    ),
    (
        7,
        "level 3",
        "models/ridge-level3.safetensors",
        include_bytes!("../../models/ridge-level3.safetensors"),
    ),
];

/// What the schema tells of them.
fn models() -> Value {
    model::shipped(&SHIPPED.map(|(_, label, file, bytes)| (label, file, bytes)))
}

impl Params {
    fn model(&self) -> Model<'_> {
        match &self.model {
            Some(path) => Model::File(path),
            None => Model::Shipped(SHIPPED.map(|(m, _, _, bytes)| (m, bytes)).to_vec()),
        }
    }

    fn settings(&self) -> Settings {
        let Params { grid, newton, mean_only, .. } = *self;
        Settings { grid, newton, mean_only }
    }
}

impl Generator for RidgeInverse {
    const NAME: &'static str = "ridge";
    const SUMMARY: &'static str =
        "dense inverse by linear regression from the bands, for one fixed size";
    const CAPABILITIES: Capabilities = Capabilities {
        explicit: true,
        transpose: true,
        refresh: true,
        persist: true,
        ..Capabilities::NONE
    };
    type Params = Params;
    type Output = Stored;

    fn generate(params: &Params, system: &System) -> Result<Stored> {
        explicit::generate(Self::NAME, &params.model(), params.settings(), system)
    }

    fn refresh(m: &mut Stored, params: &Params, system: &System) -> Result<()> {
        explicit::refresh(m, Self::NAME, &params.model(), params.settings(), system)
    }

    fn load(bytes: &[u8], system: &System) -> Result<Stored> {
        Stored::load(bytes, ExplicitKind::Inverse, system)
    }
}

impl Trainable for RidgeInverse {
    type TrainParams = TrainParams;

    /// One step, so there is nothing to keep in a checkpoint or to resume from. On several ranks each
    /// does all of it.
    fn train(params: &TrainParams, training: Training<'_>) -> Result<Vec<u8>> {
        if training.resume.is_some() {
            return Err(Error::Data(
                "ridge is trained in one step and writes no checkpoints".into(),
            ));
        }
        let grid = grid_of(training.samples, params.seed)?;
        let families = training.samples.families();
        let systems = params.pool.div_ceil(families) * families;
        let learns = !params.mean_only;
        let shape = Shape {
            grid,
            inputs: Inputs::Bands,
            whiten: true,
            targets: if learns { Targets::new(params.components, grid) } else { Targets::Mean },
            systems,
            learned: systems,
            seed: params.seed,
        };
        shape.affordable(learns, 0)?;
        let mut data = Data::new(&shape, training.samples, training.host.as_ref(), None)?;
        let (mut linear, mut left) = (None, 1.0);
        if learns {
            let penalty = Some(params.penalty);
            let part = Linear::take_out(penalty, None, &mut data, systems, systems)?;
            (linear, left) = (part.fitted, part.left);
        }
        let weights = Weights {
            architecture: Architecture {
                grid: [grid.mx, grid.my],
                inputs: shape.inputs,
                whiten: true,
                ridge: linear.is_some(),
                components: shape.targets.components(),
                hidden: vec![],
                activation: Activation::default(),
            },
            standard: linear.as_ref().map(|linear| linear.standard.clone()),
            linear,
            net: None,
            expansion: Some(data.expansion),
        };
        training.watch.progress(&Progress { step: 1, steps: 1, loss: left, learning_rate: 0.0 });
        let of = (Self::NAME, env!("CARGO_PKG_VERSION"));
        let architecture = to_json(&weights.architecture)?;
        let mut card = Card::of_run(of, architecture, params, training.samples)?;
        card.kind = Kind::Model;
        card.metrics = json!({
            "left_by_ridge": left,
            "parameters": weights.parameters(),
            "flops": weights.flops(),
        });
        let model = weights.write(&card, params.precision)?;
        same(training.comm, "the model", &model)?;
        Ok(model)
    }
}
