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
//!   surroundings that the training never met, which is looked at before the network is evaluated; where
//!   the network raises the K-condition number (known exactly from the diagonals of both factors) by
//!   more than it does on the training families; and where a few Lanczos steps with both factors do not
//!   see that it is worth it. A note says which factor is used and why.
//! - **Setup**: that of FSAI, twice the features (two products with nearly tril(A²)), about 1.3 kflop an
//!   entry of G for the network, and `check` products each with A, G and Gᵀ for both factors; where many
//!   entries are unlike the training, FSAI's and the features until that is known.
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
use precondor_sdk::core::kernel::pattern::{Bound, Cut, MAX_ROW, Part, Pattern, digest};
use precondor_sdk::core::matrix::{Explicit, ExplicitKind};
use precondor_sdk::core::persist::Stored;
use precondor_sdk::core::train::{Trainable, Training};
use precondor_sdk::prelude::*;

use factor::{Plain, Weights, scaled, unscaled};
use precondor_neural::model::{self, Recent};
use precondor_neural::run;

pub use train::TrainParams;

/// The method's name.
pub const NAME: &str = "mlp-fsai";

/// The shipped model: label, file, content.
const SHIPPED: (&str, &str, &[u8]) =
    ("default", "mlp-fsai.safetensors", include_bytes!("../../models/mlp-fsai.safetensors"));

/// Parameters of [`MlpFsai`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(
    crate = "precondor_sdk::schemars",
    extend("x-precondor-models" = model::shipped(&[SHIPPED]), "x-precondor-fallback" = "fsai")
)]
pub struct Params {
    /// A model file to use instead of the shipped one.
    #[schemars(extend("x-precondor-file" = true))]
    pub model: Option<String>,
    /// Lanczos steps with the network's factor and with FSAI's. The network's is used where the condition
    /// that they see falls by 6 % at least and the largest eigenvalue grows by 5 % at most; 0 for no such
    /// look.
    #[schemars(range(min = 0, max = 1000), extend("x-precondor-tune" = false))]
    pub check: usize,
    /// Use the network's factor on matrices unlike those of the training too, unseen.
    #[schemars(extend("x-precondor-tune" = false))]
    pub trust: bool,
    /// Entries of a row of G, at most: a row with more keeps the strongest, by |aᵢⱼ|/√(aᵢᵢ aⱼⱼ). A matrix
    /// with a longer row gets FSAI's factor as it is.
    #[schemars(range(min = 1), extend("x-precondor-tune" = false))]
    pub max_row: u32,
}

impl Default for Params {
    fn default() -> Self {
        Params { model: None, check: 10, trust: false, max_row: MAX_ROW }
    }
}

/// Part of the entries whose features may lie far off those of the training (5 % do at most on
/// fresh matrices of the training families).
const UNUSUAL: f64 = 0.15;

/// Most that the network may raise log K (by 0.023 at most on fresh matrices of the training families).
const KAPORIN: f64 = 0.03;

/// Most that the largest eigenvalue of MA may grow, and least that the condition has to fall, to 10
/// Lanczos steps' knowledge. A network that pushes the upper end of the spectrum out buys 1 to 5 % fewer
/// iterations for right-hand sides that meet all of it, and takes up to 11 % more for smooth ones on
/// regular grids, which meet few eigenvectors (docs/fsai.md).
const LARGEST: f64 = 1.05;
const CONDITION: f64 = 0.94;

/// Models read before.
static READ: Recent<Weights> = Recent::new();

/// The method.
pub struct MlpFsai;

/// G and Gᵀ, and how they came about.
pub struct Learned {
    m: Stored,
    /// None where G was loaded.
    plan: Option<Plan>,
}

/// What is kept from setup to refresh: the pattern of G, and what it was made for.
struct Plan {
    pattern: Pattern,
    /// Whether a row of A is longer than a row of G may be: the network knows no such matrix.
    exceeded: bool,
    /// Rows that were cut, on all ranks, and what to say of them.
    cut: Cut,
    note: Option<String>,
    /// Power of A, as the model asks for it.
    power: u32,
    /// Tells the pattern of A.
    digest: u64,
}

impl Plan {
    /// Collective.
    fn new(a: &DistCsr, power: u32, max_row: u32, host: &dyn Host) -> Result<Self> {
        let bound = Bound::new(a, max_row)?;
        let pattern = Pattern::power(host, a, power as usize, Part::Lower, &bound)?;
        let exceeded = bound.exceeded;
        let cut = match exceeded || power > 1 {
            true => pattern.cut().of_all(a.space().comm())?,
            false => Cut::default(),
        };
        Ok(Plan { pattern, exceeded, cut, note: bound.note(cut), power, digest: digest(a) })
    }

    /// Refuses a matrix, or a model, that asks for another pattern on some rank. Collective.
    fn require_same(&self, a: &DistCsr, power: u32) -> Result<()> {
        let same = power == self.power && digest(a) == self.digest;
        if a.space().comm().any(!same)? { Err(Error::PatternChanged) } else { Ok(()) }
    }
}

/// Both ends of the spectrum of MA as so many Lanczos steps see them, from within; none where the process
/// breaks down, as on an indefinite A. Collective.
fn ends_of(a: &DistCsr, m: &Factored, steps: usize) -> Result<Option<[f64; 2]>> {
    let options = lanczos::Options { max_steps: steps, tolerance: 0.0 };
    match lanczos::of_preconditioned(a, m, &options) {
        Ok(spectrum) => Ok(spectrum.condition().map(|_| [spectrum.min, spectrum.max])),
        // Of inner products, and so the same on all ranks.
        Err(Error::Breakdown(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// What the network's factor does to the spectrum, beside FSAI's.
struct Spread {
    /// The largest eigenvalue, in units of FSAI's.
    largest: f64,
    /// The condition, in units of FSAI's.
    condition: f64,
}

impl Spread {
    /// None where it is not known. Collective.
    fn of(a: &DistCsr, ours: &Factored, theirs: &Factored, steps: usize) -> Result<Option<Spread>> {
        let (Some(ours), Some(theirs)) = (ends_of(a, ours, steps)?, ends_of(a, theirs, steps)?)
        else {
            return Ok(None);
        };
        let largest = ours[1] / theirs[1];
        Ok(Some(Spread { largest, condition: largest * theirs[0] / ours[0] }))
    }

    fn is_worth_it(&self) -> bool {
        self.largest <= LARGEST && self.condition <= CONDITION
    }
}

/// Whether too many entries of the factor are in surroundings unlike the training matrices', by the
/// features alone; and how many, where not. Collective.
fn usual(
    host: &dyn Host,
    a: &DistCsr,
    weights: &Weights,
    plain: &Plain<'_>,
) -> Result<Option<f64>> {
    let comm = a.space().comm();
    let mut off = [(plain.entries.len() - a.n_own()) as f64];
    comm.sum(&mut off)?;
    let limit = UNUSUAL * off[0];
    // More than are allowed on all ranks together need not be counted on one.
    let mut unusual = [weights.unusual(host, plain, limit as u64)? as f64];
    comm.sum(&mut unusual)?;
    Ok((unusual[0] <= limit).then(|| unusual[0] / off[0].max(1.0)))
}

/// log K(G A Gᵀ) of the network's factor, less that of FSAI's. Collective.
fn kaporin(a: &DistCsr, plain: &Plain<'_>, entries: &[f64]) -> Result<f64> {
    let ends = &plain.pattern.row_ptr[1..];
    let log = |&end: &u32| (plain.entries[end as usize - 1] / entries[end as usize - 1]).ln();
    let mut sum = [ends.iter().map(log).sum()];
    a.space().comm().sum(&mut sum)?;
    Ok(2.0 * sum[0] / a.n_global().max(1) as f64)
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
    let as_it_is = |plan: Plan, why: String| -> Result<Learned> {
        let notes = vec![format!("FSAI's factor is used as it is: {why}")];
        let m = fsai_of(host, a, plan.pattern.clone())?;
        let notes = notes.into_iter().chain(plan.note.clone()).collect();
        Ok(Learned { m: Stored::factor(m, notes), plan: Some(plan) })
    };
    if plan.exceeded {
        return as_it_is(plan, "a row of the matrix is longer than 'max_row'".into());
    }
    let (scaled, scale) = scaled(a)?;
    let plain = Plain::on(host, &scaled, plan.pattern.clone())?;
    let usual = if params.trust { Some(0.0) } else { usual(host, a, weights, &plain)? };
    let Some(unusual) = usual else {
        let why = format!(
            "more than {:.0} % of the entries are in surroundings unlike the training matrices'",
            100.0 * UNUSUAL
        );
        return as_it_is(plan, why);
    };
    let corrected = weights.correct(host, &plain)?;
    let note = plan.note.clone();
    let made = |m, note_of: String, plan| Learned {
        m: Stored::factor(m, std::iter::once(note_of).chain(note).collect()),
        plan: Some(plan),
    };
    if params.trust {
        let m = unscaled(&scaled, &plain.pattern, corrected, &scale)?;
        return Ok(made(m, "the network's factor is used unseen".into(), plan));
    }
    let kaporin = kaporin(a, &plain, &corrected)?;
    let seen = format!(
        "{:.1} % of the entries are in surroundings unlike the training matrices', log K is raised by \
         {kaporin:.4}",
        100.0 * unusual
    );
    if kaporin > KAPORIN {
        return as_it_is(plan, format!("with the network's {seen}"));
    }
    let learned = unscaled(&scaled, &plain.pattern, corrected, &scale)?;
    if params.check == 0 {
        return Ok(made(learned, format!("the network's factor is used: {seen}"), plan));
    }
    let fsai = unscaled(&scaled, &plain.pattern, plain.entries, &scale)?;
    let Some(spread) = Spread::of(a, &learned, &fsai, params.check)? else {
        return as_it_is(plan, format!("Lanczos steps break down; {seen}"));
    };
    let compared = format!(
        "after {} Lanczos steps the largest eigenvalue is {:.3} times FSAI's, the condition {:.3} \
         times; {seen}",
        params.check, spread.largest, spread.condition
    );
    match spread.is_worth_it() {
        true => Ok(made(learned, format!("the network's factor is used: {compared}"), plan)),
        false => as_it_is(plan, compared),
    }
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
        let system = &*system.regular()?;
        let (a, host) = (system.a(), system.host().as_ref());
        a.require_symmetric(NAME)?;
        let weights = weights(params, host)?;
        learned(params, &weights, Plan::new(a, weights.power, params.max_row, host)?, system)
    }

    fn refresh(m: &mut Learned, params: &Params, system: &System) -> Result<()> {
        let system = &*system.regular()?;
        let a = system.a();
        let plan = m.plan.take().ok_or(Error::PatternChanged)?;
        let weights = weights(params, system.host().as_ref())?;
        plan.require_same(a, weights.power)?;
        a.require_symmetric(NAME)?;
        // Which entries are the strongest of a row that was cut depends on values.
        let plan = match plan.cut.rows {
            0 => plan,
            _ => Plan::new(a, weights.power, params.max_row, system.host().as_ref())?,
        };
        *m = learned(params, &weights, plan, system)?;
        Ok(())
    }

    fn load(bytes: &[u8], system: &System) -> Result<Learned> {
        Ok(Learned { m: Stored::load(bytes, ExplicitKind::Factor, system)?, plan: None })
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
        self.m.notes()
    }
}

impl Trainable for MlpFsai {
    type TrainParams = TrainParams;

    fn train(params: &TrainParams, training: Training<'_>) -> Result<Vec<u8>> {
        let Training { comm, host, samples, .. } = training;
        run::train(train::Learner::new(params, samples, host, comm)?, training)
    }
}
