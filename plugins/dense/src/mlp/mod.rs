//! `mlp-dense`: a network that writes the dense inverse.
//!
//! `M = decode(t̄ + Bᵀ (R s + net(s)))`: `s` are the standardised bands of `A` (or all of it), `R` a ridge
//! regression, `net` a multilayer perceptron that learns what the regression leaves, `B` the principal
//! components of the inverses, `t̄` their mean; `decode` reads the upper triangle of `A0^½ M A0^½` in the
//! sine basis of the unshifted mesh's matrix `A0`. So `M` is symmetric whatever the weights, and the loss
//! measures what decides convergence. Everything but the network is optional; with nothing else it is the
//! paper's *plain* network, `vec(M) = net(a)`, trained by the mean square of `M − A⁻¹`.
//!
//! With `newton = k` the result is refined by `k` Newton steps `M ← 2M − M A M`, each of which squares the
//! error `I − M A`.
//!
//! - **Works for** one size only: input and output are those of the matrices it was trained on. Shipped
//!   for levels 2 and 3 (9 and 49 unknowns); a constant matrix, `A0⁻¹`, beats the plain network from 49
//!   unknowns on. Positive definite as checked for every matrix (by Cholesky factorisation), not as proved.
//! - **Setup**: `n²·(components or last width)` multiplications and additions in the output layer, `4n³`
//!   flops to undo the whitening, `2n³` for a Newton step, `n³/3` for the check. **Application**: `2n²`
//!   flops, a dense product; `n²` stored numbers. **Communication**: the ghost exchange of a dense matrix.
//! - **Reference**: the plain form is the "NN" rows of the method this project reproduces: three hidden layers
//!   of width `n`, 10 000 matrices, 1000 epochs of Adam with rate 1e-3 and batches of 100. Newton's
//!   iteration: G. Schulz, *Iterative Berechnung der reziproken Matrix*, ZAMM 13 (1933).

pub mod train;

use precondor_sdk::core::matrix::ExplicitKind;
use precondor_sdk::core::persist::Stored;
use precondor_sdk::core::train::{Trainable, Training};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;

use crate::learned::explicit::{self, Model, Settings};
use crate::mlp::train::{Learner, TrainParams};
use precondor_neural::model;
use precondor_neural::run;

/// Parameters of [`MlpDense`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(
    crate = "precondor_sdk::schemars",
    extend("x-precondor-models" = models(), "x-precondor-fallback" = "ic")
)]
pub struct Params {
    /// Which shipped model: `whitened` (whitened inverses, ridge regression and network), the default, or
    /// `plain` (the paper's network). They are for 3 by 3 and, whitened, 7 by 7 nodes.
    pub variant: Option<Variant>,
    /// A model file to use instead of the shipped ones.
    #[schemars(extend("x-precondor-file" = true))]
    pub model: Option<String>,
    /// Nodes in a row and number of rows; recognised from the matrix where it is left out.
    #[schemars(extend("x-precondor-grid" = true))]
    pub grid: Option<[usize; 2]>,
    /// Newton steps M ← 2M − M A M at the end, each of them 2n³ flops.
    #[schemars(range(max = 4))]
    pub newton: usize,
}

/// The shipped models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "lowercase")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Variant {
    /// Whitened inverses, ridge regression and network.
    #[default]
    Whitened,
    /// The paper's network.
    Plain,
}

/// The method.
pub struct MlpDense;

/// The shipped models: which, nodes a side of the grid, label, file, content.
const SHIPPED: [(Variant, usize, &str, &str, &[u8]); 3] = [
    (
        Variant::Whitened,
        3,
        "level 2",
        "models/mlp-dense-level2.safetensors",
        include_bytes!("../../models/mlp-dense-level2.safetensors"),
    ),
    (
        Variant::Whitened,
        7,
        "level 3",
        "models/mlp-dense-level3.safetensors",
        include_bytes!("../../models/mlp-dense-level3.safetensors"),
    ),
    (
        Variant::Plain,
        3,
        "level 2, plain",
        "models/mlp-dense-plain-level2.safetensors",
        include_bytes!("../../models/mlp-dense-plain-level2.safetensors"),
    ),
];

/// What the schema tells of them.
fn models() -> Value {
    model::shipped(&SHIPPED.map(|(_, _, label, file, bytes)| (label, file, bytes)))
}

impl Params {
    fn model(&self) -> Result<Model<'_>> {
        Ok(match (&self.model, self.variant) {
            (Some(_), Some(_)) => {
                return Err(Error::Parameter(
                    "'variant': it chooses a shipped model; leave it out beside 'model'".into(),
                ));
            }
            (Some(path), None) => Model::File(path),
            (None, variant) => {
                let variant = variant.unwrap_or_default();
                let shipped = SHIPPED.iter().filter(|(of, ..)| *of == variant);
                Model::Shipped(shipped.map(|&(_, m, _, _, bytes)| (m, bytes)).collect())
            }
        })
    }

    fn settings(&self) -> Settings {
        Settings { grid: self.grid, newton: self.newton, mean_only: false }
    }
}

impl Generator for MlpDense {
    const NAME: &'static str = "mlp-dense";
    const SUMMARY: &'static str = "dense inverse written by a network, for one fixed size";
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
        explicit::generate(Self::NAME, &params.model()?, params.settings(), system)
    }

    fn refresh(m: &mut Stored, params: &Params, system: &System) -> Result<()> {
        explicit::refresh(m, Self::NAME, &params.model()?, params.settings(), system)
    }

    fn load(bytes: &[u8], system: &System) -> Result<Stored> {
        Stored::load(bytes, ExplicitKind::Inverse, system)
    }
}

impl Trainable for MlpDense {
    type TrainParams = TrainParams;

    fn train(params: &TrainParams, training: Training<'_>) -> Result<Vec<u8>> {
        let Training { comm, host, samples, .. } = training;
        run::train(Learner::new(params, samples, &**host, comm)?, training)
    }
}
