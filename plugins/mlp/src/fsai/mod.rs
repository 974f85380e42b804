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
//!   is to the training families. FSAI's factor is used as it is where many entries stand in
//!   surroundings that the training never met, and where the network raises the K-condition number
//!   (known exactly from the diagonals of both factors) by more than it does on the training
//!   families. On request Lanczos steps with both factors compare their condition as well. A note
//!   says which factor is used and why.
//! - **Setup**: that of FSAI, about 1.3 kflop an entry of G for the network, two products with
//!   (nearly) tril(A²) and, on request, `check` products each with A, G and Gᵀ for both factors.
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

use std::sync::Arc;

use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::fsai::{self, Factored};
use precondor_sdk::core::kernel::lanczos;
use precondor_sdk::core::kernel::pattern::{Part, Pattern, digest};
use precondor_sdk::core::matrix::{Explicit, ExplicitKind};
use precondor_sdk::core::persist::Rows;
use precondor_sdk::core::train::{Trainable, Training};
use precondor_sdk::prelude::*;

use crate::model::{self, Recent};
use crate::run;
use factor::{Corrected, Plain, Weights, scaled, unscaled};

pub use train::TrainParams;

/// The method's name.
pub const NAME: &str = "mlp-fsai";

/// The shipped model: label, file, content.
const SHIPPED: (&str, &str, &[u8]) =
    ("default", "mlp-fsai.safetensors", include_bytes!("../../models/mlp-fsai.safetensors"));

/// Parameters of [`MlpFsai`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(
    crate = "precondor_sdk::schemars",
    extend("x-precondor-models" = model::shipped(&[SHIPPED]), "x-precondor-fallback" = "fsai")
)]
pub struct Params {
    /// A model file to use instead of the shipped one.
    #[schemars(extend("x-precondor-file" = true))]
    pub model: Option<String>,
    /// Lanczos steps with the network's factor and with FSAI's, after which the better one is used.
    #[schemars(range(min = 0, max = 1000))]
    pub check: usize,
    /// Use the network's factor on matrices unlike those of the training too, unseen.
    pub trust: bool,
}

/// Part of the entries whose features may lie far off those of the training (5 % do at most on
/// fresh matrices of the training families).
const UNUSUAL: f64 = 0.15;

/// Most that the network may raise log K (by 0.023 at most on fresh matrices of the training families).
const KAPORIN: f64 = 0.03;

/// Models read before.
static READ: Recent<Weights> = Recent::new();

/// The method.
pub struct MlpFsai;

/// G and Gᵀ, and how they came about.
pub struct Learned {
    m: Factored,
    notes: Vec<String>,
    /// None where G was loaded.
    plan: Option<Plan>,
}

/// What is kept from setup to refresh: the pattern of G, and what it was made for.
struct Plan {
    pattern: Pattern,
    /// Power of A, as the model asks for it.
    power: u32,
    /// Tells the pattern of A.
    digest: u64,
}

impl Plan {
    /// Collective.
    fn new(a: &DistCsr, power: u32, host: &dyn Host) -> Result<Self> {
        let pattern = Pattern::power(host, a, power as usize, Part::Lower)?;
        Ok(Plan { pattern, power, digest: digest(a) })
    }

    /// Refuses a matrix, or a model, that asks for another pattern on some rank. Collective.
    fn require_same(&self, a: &DistCsr, power: u32) -> Result<()> {
        let same = power == self.power && digest(a) == self.digest;
        if a.space().comm().any(!same)? { Err(Error::PatternChanged) } else { Ok(()) }
    }
}

/// The condition of MA after so many Lanczos steps: a lower bound. Collective.
fn condition(a: &DistCsr, m: &Factored, steps: usize) -> Result<f64> {
    let options = lanczos::Options { max_steps: steps, tolerance: 0.0 };
    let spectrum = lanczos::of_preconditioned(a, m, &options)?;
    Ok(spectrum.condition().unwrap_or(f64::INFINITY))
}

/// How far the network's factor is from what the training was about.
struct Departure {
    /// Part of the entries off G's diagonal that are unusual.
    unusual: f64,
    /// log K(G A Gᵀ), less that of FSAI's factor.
    kaporin: f64,
}

/// Over all ranks. Collective.
fn departure(a: &DistCsr, plain: &Plain<'_>, corrected: &Corrected) -> Result<Departure> {
    let (ends, off) = (&plain.pattern.row_ptr[1..], plain.entries.len() - a.n_own());
    let log =
        |&end: &u32| (plain.entries[end as usize - 1] / corrected.entries[end as usize - 1]).ln();
    let mut sums = [corrected.unusual as f64, off as f64, ends.iter().map(log).sum()];
    a.space().comm().sum(&mut sums)?;
    let [unusual, off, logs] = sums;
    Ok(Departure {
        unusual: unusual / off.max(1.0),
        kaporin: 2.0 * logs / a.n_global().max(1) as f64,
    })
}

/// FSAI of the matrix as it is, bit for bit that of the method `fsai`. Collective.
fn fsai_of(host: &dyn Host, a: &DistCsr, mut pattern: Pattern) -> Result<Factored> {
    let entries = {
        let reach = pattern.reach(a)?;
        fsai::entries(host, &reach, &pattern, a.space().start())?
    };
    Factored::new(a.space(), &pattern, entries)
}

/// The model that the parameters ask for. Collective.
fn weights(params: &Params, host: &dyn Host) -> Result<Arc<Weights>> {
    match &params.model {
        None => READ.read(SHIPPED.2, NAME, Weights::read),
        Some(path) => READ
            .read(&host.read(path)?, NAME, Weights::read)
            .map_err(|e| e.inside(format!("model '{path}'"))),
    }
}

/// G on the pattern of a plan. Collective.
fn learned(params: &Params, weights: &Weights, plan: Plan, system: &System) -> Result<Learned> {
    let (a, host) = (system.a(), system.host().as_ref());
    let (scaled, scale) = scaled(a)?;
    let plain = Plain::on(host, &scaled, plan.pattern.clone())?;
    let plan = Some(plan);
    let corrected = weights.correct(host, &plain)?;
    if params.trust {
        let m = unscaled(&scaled, &plain.pattern, corrected.entries, &scale)?;
        let notes = vec!["the network's factor is used unseen".to_owned()];
        return Ok(Learned { m, notes, plan });
    }
    let Departure { unusual, kaporin } = departure(a, &plain, &corrected)?;
    let seen = format!(
        "{:.1} % of the entries are in surroundings unlike the training matrices', log K is raised by \
         {kaporin:.4}",
        100.0 * unusual
    );
    if unusual > UNUSUAL || kaporin > KAPORIN {
        let notes = vec![format!("FSAI's factor is used as it is: with the network's {seen}")];
        return Ok(Learned { m: fsai_of(host, a, plain.pattern)?, notes, plan });
    }
    let learned = unscaled(&scaled, &plain.pattern, corrected.entries, &scale)?;
    if params.check == 0 {
        let notes = vec![format!("the network's factor is used: {seen}")];
        return Ok(Learned { m: learned, notes, plan });
    }
    let fsai = unscaled(&scaled, &plain.pattern, plain.entries, &scale)?;
    let ours = condition(a, &learned, params.check)?;
    let theirs = condition(a, &fsai, params.check)?;
    let (m, which) = match ours < theirs {
        true => (learned, "the network's factor is used"),
        false => (fsai_of(host, a, plain.pattern)?, "FSAI's factor is used as it is"),
    };
    let notes = vec![format!(
        "{which}: condition at least {ours:.3} with the network's, {theirs:.3} with FSAI's after {} \
         Lanczos steps; {seen}",
        params.check
    )];
    Ok(Learned { m, notes, plan })
}

impl Generator for MlpFsai {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str = "FSAI reshaped by a network, for any sparse SPD matrix";
    const CAPABILITIES: Capabilities = Capabilities {
        explicit: true,
        transpose: true,
        refresh: true,
        persist: true,
        ..Capabilities::NONE
    };
    type Params = Params;
    type Output = Learned;

    fn invariances(_: &Params) -> Invariances {
        Invariances::BOTH
    }

    fn generate(params: &Params, system: &System) -> Result<Learned> {
        let (a, host) = (system.a(), system.host().as_ref());
        a.require_symmetric(NAME)?;
        let weights = weights(params, host)?;
        learned(params, &weights, Plan::new(a, weights.power, host)?, system)
    }

    fn refresh(m: &mut Learned, params: &Params, system: &System) -> Result<()> {
        let a = system.a();
        let plan = m.plan.take().ok_or(Error::PatternChanged)?;
        let weights = weights(params, system.host().as_ref())?;
        plan.require_same(a, weights.power)?;
        a.require_symmetric(NAME)?;
        *m = learned(params, &weights, plan, system)?;
        Ok(())
    }

    fn load(bytes: &[u8], system: &System) -> Result<Learned> {
        let rows = Rows::read(bytes, system)?.of_kind(ExplicitKind::Factor)?;
        let m = Factored::of(rows.matrix(system)?)?;
        Ok(Learned { m, notes: rows.about.notes, plan: None })
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
        self.m.bytes() + self.plan.as_ref().map_or(0, |plan| plan.pattern.bytes())
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
