//! `mlp-fsai`: FSAI whose rows a network reshapes, for any sparse symmetric positive definite matrix.
//!
//! ```text
//! M = GᵀG,   vᵢⱼ = (gᵢⱼ/gᵢᵢ)(1 + ½ tanh t(edge i j)),  vᵢᵢ = 1,   Gᵢ = vᵢ / √(vᵢᵀ A vᵢ)
//! ```
//!
//! with g FSAI's factor on the lower pattern of a power of A and t a small network that sees the
//! surroundings of the edge ([`features`]). FSAI is best by the K-condition number; the network is
//! trained to make κ(MA) small instead, which is what counts for the conjugate gradients' worst case.
//!
//! - **Works for** any symmetric positive definite A; M is symmetric positive definite for any
//!   weights, and exactly FSAI's where the network gives zero. What it gains depends on how near A
//!   is to the training families. Where many entries stand in surroundings that the training never
//!   met, FSAI's factor is used as it is; else a few Lanczos steps with both factors compare their
//!   condition, and the better one is used. A note says which and why.
//! - **Setup**: that of FSAI, about 1.3 kflop an entry of G for the network, two products with
//!   (nearly) tril(A²) and, for the check, `check` products each with A, G and Gᵀ for both factors.
//!   **Application**: as FSAI, one product with G and one with Gᵀ. **Communication**: one exchange of
//!   rows at setup, then FSAI's; the same M on any number of ranks.
//! - **Reference**: L. Kolotilina, A. Yeremin, *Factorized sparse approximate inverse preconditionings
//!   I*, SIAM J. Matrix Anal. Appl. 14 (1993) for g; the reshaping is this project's.

pub mod ends;
pub mod factor;
pub mod features;
pub mod objective;
pub mod row;
pub mod train;

use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::fsai::{self, Factored};
use precondor_sdk::core::kernel::lanczos;
use precondor_sdk::core::kernel::pattern::Pattern;
use precondor_sdk::core::matrix::Explicit;
use precondor_sdk::core::train::{Trainable, Training};
use precondor_sdk::prelude::*;

use crate::model::{self, Recent};
use crate::run;
use factor::{Plain, Weights, scaled, unscaled};

pub use train::TrainParams;

/// The method's name.
pub const NAME: &str = "mlp-fsai";

/// The shipped model: label, file, content.
const SHIPPED: (&str, &str, &[u8]) =
    ("default", "mlp-fsai.safetensors", include_bytes!("../../models/mlp-fsai.safetensors"));

/// Parameters of [`MlpFsai`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars", extend("x-precondor-models" = model::shipped(&[SHIPPED])))]
pub struct Params {
    /// A model file to use instead of the shipped one.
    #[schemars(extend("x-precondor-file" = true))]
    pub model: Option<String>,
    /// Lanczos steps with the network's factor and with FSAI's, after which the better one is used;
    /// FSAI's at once where the matrix is unlike those of the training. 0 uses the network's unseen.
    #[schemars(range(min = 0, max = 1000))]
    pub check: usize,
}

impl Default for Params {
    fn default() -> Self {
        Params { model: None, check: 10 }
    }
}

/// Part of the entries whose features may lie far off those of the training (5 % do at most on
/// fresh matrices of the training families).
const UNUSUAL: f64 = 0.15;

/// Models read before.
static READ: Recent<Weights> = Recent::new();

/// The method.
pub struct MlpFsai;

/// G and Gᵀ, and how they came about.
pub struct Learned {
    m: Factored,
    notes: Vec<String>,
}

/// The condition of MA after so many Lanczos steps: a lower bound. Collective.
fn condition(a: &DistCsr, m: &Factored, steps: usize) -> Result<f64> {
    let options = lanczos::Options { max_steps: steps, tolerance: 0.0 };
    let spectrum = lanczos::of_preconditioned(a, m, &options)?;
    Ok(spectrum.condition().unwrap_or(f64::INFINITY))
}

/// Part of the entries off G's diagonal that is unusual, over all ranks. Collective.
fn share(a: &DistCsr, unusual: u64, pattern: &Pattern) -> Result<f64> {
    let mine = [unusual, (pattern.cols.len() - a.n_own()) as u64];
    let all = a.space().comm().all_gather(&mine)?;
    let sum = |k: usize| all.iter().map(|counts| counts[k]).sum::<u64>() as f64;
    Ok(sum(0) / sum(1).max(1.0))
}

/// FSAI of the matrix as it is, bit for bit that of the method `fsai`. Collective.
fn fsai_of(host: &dyn Host, a: &DistCsr, mut pattern: Pattern) -> Result<Factored> {
    let entries = {
        let reach = pattern.reach(a)?;
        fsai::entries(host, &reach, &pattern, a.space().start())?
    };
    Factored::new(a.space(), &pattern, entries)
}

impl Generator for MlpFsai {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str = "FSAI reshaped by a network, for any sparse SPD matrix";
    const CAPABILITIES: Capabilities =
        Capabilities { explicit: true, transpose: true, refresh: false, many: false };
    type Params = Params;
    type Output = Learned;

    fn generate(params: &Params, system: &System) -> Result<Learned> {
        let (a, host) = (system.a(), system.host().as_ref());
        a.require_symmetric(NAME)?;
        let weights = match &params.model {
            None => READ.read(SHIPPED.2, NAME, Weights::read)?,
            Some(path) => READ
                .read(&host.read(path)?, NAME, Weights::read)
                .map_err(|e| e.inside(format!("model '{path}'")))?,
        };
        let (scaled, scale) = scaled(a)?;
        let plain = Plain::new(host, &scaled, weights.power)?;
        let corrected = weights.correct(host, &plain)?;
        if params.check == 0 {
            let m = unscaled(&scaled, &plain.pattern, corrected.entries, &scale)?;
            let notes = vec!["the network's factor is used without a check".to_owned()];
            return Ok(Learned { m, notes });
        }
        let unusual = share(a, corrected.unusual, &plain.pattern)?;
        if unusual > UNUSUAL {
            let notes = vec![format!(
                "FSAI's factor is used as it is: {:.0} % of its entries stand in surroundings unlike \
                 the training matrices'",
                100.0 * unusual
            )];
            return Ok(Learned { m: fsai_of(host, a, plain.pattern)?, notes });
        }
        let learned = unscaled(&scaled, &plain.pattern, corrected.entries, &scale)?;
        let fsai = unscaled(&scaled, &plain.pattern, plain.entries, &scale)?;
        let ours = condition(a, &learned, params.check)?;
        let theirs = condition(a, &fsai, params.check)?;
        let (m, which) = match ours < theirs {
            true => (learned, "the network's factor is used"),
            false => (fsai_of(host, a, plain.pattern)?, "FSAI's factor is used as it is"),
        };
        let notes = vec![format!(
            "{which}: condition at least {ours:.3} with the network's, {theirs:.3} with FSAI's after {} \
             Lanczos steps",
            params.check
        )];
        Ok(Learned { m, notes })
    }
}

impl Preconditioner for Learned {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.m.apply(r, z)
    }
    fn properties(&self) -> Properties {
        self.m.properties()
    }
    fn stored_entries(&self) -> usize {
        self.m.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.m.bytes()
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        self.m.explicit()
    }
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

impl Trainable for MlpFsai {
    type TrainParams = TrainParams;

    fn train(params: &TrainParams, training: Training<'_>) -> Result<Vec<u8>> {
        let Training { comm, host, samples, .. } = training;
        run::drive(&mut train::Trainer::new(params, samples, host, comm)?, training)
    }
}
