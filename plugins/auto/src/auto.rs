//! `auto`: M is that of another method, which a random forest picks by what A looks like.
//!
//! - **Works for** matrices like those that the forest was trained on: it knows which method was the
//!   cheapest there, from setup to solution. Notes say what was chosen, by how many votes, which
//!   features decided, and which of them lie outside what was seen in training.
//! - A method that refuses the matrix is passed over for the next by votes, then for the one with
//!   the least to lose on average, then for those of [`LAST`], which take nearly any matrix. Where A is
//!   symmetric with a positive diagonal, a method whose M is not known to be positive definite comes
//!   after all the others, because conjugate gradients could not use it. Where A is not so, and beyond what the
//!   forest has seen of such matrices in more than its size, the forest is not asked.
//! - A solve that fails goes on with the next choice: the host excludes the method that failed
//!   ([`Preconditioner::delegate`]) and sets `auto` up again.
//! - **Setup**: the features (`features.rs`), then that of the method chosen, and what those that
//!   refuse take to find out. **Application, communication**: those of the method chosen.
//! - **Reference**: J. R. Rice, *The Algorithm Selection Problem*, Advances in Computers 15 (1976);
//!   for preconditioners S. Xu, J. Zhang, *A data mining approach to matrix preconditioning problem*,
//!   ICDM 2005.
use crate::features::{Features, NAMES};
use crate::forest::Votes;
use crate::model::{Kind, METHOD, Model};
use crate::train::{self, TrainParams, label};
use precondor_sdk::core::matrix::Explicit;
use precondor_sdk::core::persist::{Rows, Stored};
use precondor_sdk::core::train::{Trainable, Training};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{self, Value, json};
use std::sync::LazyLock;

/// The shipped model, read when it is first asked for.
static SHIPPED: LazyLock<Result<Model>> =
    LazyLock::new(|| Model::read(include_bytes!("../models/auto.json"), Kind::Model));

/// Parameters of [`Auto`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(
    crate = "precondor_sdk::schemars",
    extend(
        "x-precondor-models" = shipped(),
        "x-precondor-fallback" = METHOD,
        "x-precondor-tune" = false
    )
)]
pub struct Params {
    /// A model file to use instead of the shipped one.
    #[schemars(extend("x-precondor-file" = true))]
    pub model: Option<String>,
    /// Methods that must not be chosen.
    #[schemars(extend("x-precondor-exclude" = true))]
    pub exclude: Vec<String>,
    /// Whether A is positive definite, so that M must be known to be. Where it is left out, methods with
    /// such an M come first for a symmetric A with a positive diagonal.
    #[schemars(extend("x-precondor-definite" = true))]
    pub positive_definite: Option<bool>,
}

/// What the schema tells about the shipped model.
fn shipped() -> Value {
    let card = SHIPPED.as_ref().ok().map(|model| &model.card);
    let card = serde_json::to_value(card).unwrap_or_default();
    json!([{ "label": "auto", "file": "auto.json", "card": card }])
}

/// The method.
pub struct Auto;

/// M of the method that was chosen.
pub struct Chosen {
    m: Box<dyn Preconditioner>,
    /// The first one names the method, also to whoever loads M.
    notes: Vec<String>,
}

/// What is tried, in this order, where no candidate of the model takes the matrix, or the forest knows
/// nothing of its kind: incomplete factors, a sparse inverse (which needs no diagonal), and what is
/// left where these break down.
pub const LAST: [&str; 4] = ["ilu", "spai", "gauss-seidel", "jacobi"];

/// Overlaps of the blocks of ranks that `schwarz` is tried with after an `ilu` that does without: a block
/// may be singular where A is not, and with more rows it no longer is.
pub const OVERLAPS: [usize; 3] = [2, 8, 32];

/// What the note begins with that names the method.
const CHOSEN: &str = "chosen: ";

/// Features that a note names.
const TOLD: usize = 3;

/// Features, their values, and the ranges that these are not in.
fn listed(outside: &[(usize, f32, [f32; 2])]) -> String {
    let said = |&(k, value, [low, high]): &(usize, f32, [f32; 2])| {
        format!("{} = {} ({} to {})", NAMES[k], short(value), short(low), short(high))
    };
    outside.iter().map(said).collect::<Vec<_>>().join(", ")
}

/// Why a method was chosen, in words.
fn reasons(model: &Model, votes: &Votes, seen: &Features) -> Result<Vec<String>> {
    let name = |class: usize| label(&model.candidates, &model.candidates[class]);
    let order = votes.order();
    let voted = order.iter().filter(|&&class| votes.counts[class] > 0);
    let counts = voted.map(|&class| Ok(format!("{} {}", name(class)?, votes.counts[class])));
    let counts = counts.collect::<Result<Vec<_>>>()?.join(", ");
    let total: usize = votes.counts.iter().sum();
    let mut deciders: Vec<usize> = (0..NAMES.len()).filter(|&k| votes.deciders[k] > 0).collect();
    deciders.sort_by_key(|&k| std::cmp::Reverse(votes.deciders[k]));
    let said = |k: usize| format!("{} = {}", NAMES[k], short(seen.values()[k]));
    let decided: Vec<String> = deciders.into_iter().take(TOLD).map(said).collect();
    let mut notes = vec![format!("votes of {total} trees: {counts}")];
    if !decided.is_empty() {
        notes.push(format!("decided mostly by {}", decided.join(", ")));
    }
    let outside = model.unknown(seen);
    if !outside.is_empty() {
        notes.push(format!("outside what it was trained on: {}", listed(&outside)));
    }
    Ok(notes)
}

/// A method that may be chosen, with its parameters.
struct Choice {
    name: String,
    section: Value,
    /// What notes call it.
    label: String,
}

/// The candidates of the model, in the order of the forest's classes, then those of [`LAST`].
fn choices(model: &Model, ranks: usize) -> Result<Vec<Choice>> {
    let trained = model.candidates.iter().map(|candidate| {
        let (name, section) = candidate.named()?;
        Ok(Choice { name, section, label: label(&model.candidates, candidate)? })
    });
    let plain = |name: &str| Choice { name: name.into(), section: json!({}), label: name.into() };
    let overlapping = |overlap| Choice {
        name: "schwarz".into(),
        section: json!({ "method": LAST[0], "overlap": overlap }),
        label: format!("schwarz (method {}, overlap {overlap})", LAST[0]),
    };
    let overlaps = OVERLAPS.into_iter().filter(|_| ranks > 1).map(overlapping);
    let (first, rest) = LAST.split_at(1);
    let last = first.iter().map(|name| plain(name)).chain(overlaps);
    trained.chain(last.chain(rest.iter().map(|name| plain(name))).map(Ok)).collect()
}

/// The forest's classes by votes, then by what they cost in training.
fn by_preference(model: &Model, votes: &Votes) -> Vec<usize> {
    let voted = votes.order().into_iter().filter(|&class| votes.counts[class] > 0);
    let mut order: Vec<usize> = voted.collect();
    for class in model.by_mean_cost() {
        if !order.contains(&class) {
            order.push(class);
        }
    }
    order
}

/// M of the candidate `class`, with what is told about the choice.
fn chosen(
    candidates: Vec<Choice>,
    class: usize,
    m: Box<dyn Instance>,
    reasons: Vec<String>,
    passed: Vec<String>,
) -> Chosen {
    let Choice { name, label, .. } = &candidates[class];
    let mut notes = vec![format!("{CHOSEN}{label}")];
    notes.extend(reasons);
    notes.extend(passed.into_iter().map(|why| format!("passed over {why}")));
    notes.extend(m.notes().into_iter().map(|note| format!("{name}: {note}")));
    Chosen { m, notes }
}

fn short(value: f32) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    rounded.to_string()
}

impl Generator for Auto {
    const NAME: &'static str = METHOD;
    const SUMMARY: &'static str = "another method, chosen by a forest that looks at the matrix";
    const CAPABILITIES: Capabilities = Capabilities {
        explicit: true,
        transpose: true,
        many: true,
        product: true,
        persist: true,
        delegate: true,
        ..Capabilities::NONE
    };
    type Params = Params;
    type Output = Chosen;

    fn generate(params: &Params, system: &System) -> Result<Chosen> {
        let own;
        let model = match &params.model {
            None => SHIPPED.as_ref().map_err(Clone::clone)?,
            Some(path) => {
                let bytes = system.host().read(path)?;
                let read = Model::read(&bytes, Kind::Model);
                own = read.map_err(|e| e.inside(format!("model '{path}'")))?;
                &own
            }
        };
        let Some(forest) = &model.forest else {
            return Err(Error::Data("the model has no forest".into()));
        };
        let candidates = choices(model, system.a().space().comm().size())?;
        if let Some(unknown) =
            params.exclude.iter().find(|name| candidates.iter().all(|c| c.name != **name))
        {
            let mut known: Vec<&str> = Vec::new();
            for Choice { name, .. } in &candidates {
                if !known.contains(&name.as_str()) {
                    known.push(name);
                }
            }
            return Err(Error::Parameter(format!(
                "parameter 'exclude': '{unknown}' is no candidate (they are: {})",
                known.join(", ")
            )));
        }
        let seen = Features::of(system.a())?;
        let allows = seen.allows_conjugate_gradients();
        let definite = params.positive_definite.unwrap_or(allows);
        let foreign = if definite { Vec::new() } else { model.foreign(&seen) };
        let (order, reasons) = if foreign.is_empty() {
            let votes = forest.votes(&seen, model.candidates.len());
            let mut order = by_preference(model, &votes);
            // What looks definite and was seen not to be is rare in the training: one try.
            if allows && !definite {
                order.truncate(1);
            }
            (order, reasons(model, &votes, &seen)?)
        } else {
            let why = match foreign.iter().any(|(_, _, [low, high])| low <= high) {
                true => format!("unlike all of that kind in the training: {}", listed(&foreign)),
                false => "none of that kind was in the training".into(),
            };
            (Vec::new(), vec![format!("A is not positive definite, and {why}")])
        };
        let last = model.candidates.len()..candidates.len();
        let known = order.into_iter().chain(last);
        // What is beyond the reach of the forest comes in the order of `LAST`, then by what it cost.
        let rest: Vec<usize> = model.by_mean_cost();
        let mut order: Vec<usize> = Vec::new();
        for class in known.chain(rest) {
            let is = &candidates[class];
            let same = |&other: &usize| {
                candidates[other].name == is.name && candidates[other].section == is.section
            };
            if !order.iter().any(same) && !params.exclude.contains(&candidates[class].name) {
                order.push(class);
            }
        }
        let mut passed = Vec::new();
        // The first that works though conjugate gradients may not be able to use it.
        let mut doubtful = None;
        for class in order {
            let Choice { name, section, .. } = &candidates[class];
            match system.host().inner(name, section, system) {
                Ok(m) if m.properties().positive_definite => {
                    return Ok(chosen(candidates, class, m, reasons, passed));
                }
                Ok(m) => {
                    if !definite {
                        return Ok(chosen(candidates, class, m, reasons, passed));
                    }
                    passed.push(format!("{name}: not known to be positive definite"));
                    if params.positive_definite.is_none() && doubtful.is_none() {
                        doubtful = Some((class, m));
                    }
                }
                Err(e @ Error::Comm(_)) => return Err(e),
                Err(e) => passed.push(format!("{name}: {e}")),
            }
        }
        if let Some((class, m)) = doubtful {
            return Ok(chosen(candidates, class, m, reasons, passed));
        }
        let why = if passed.is_empty() { "all are excluded".into() } else { passed.join("; ") };
        Err(Error::Unsupported(format!("no candidate takes this matrix: {why}")))
    }

    fn load(bytes: &[u8], system: &System) -> Result<Chosen> {
        let rows = Rows::read(bytes, system)?;
        let notes = rows.about.notes.clone();
        Ok(Chosen { m: Box::new(Stored::new(rows, system)?), notes })
    }
}

impl Trainable for Auto {
    type TrainParams = TrainParams;

    fn train(params: &TrainParams, training: Training<'_>) -> Result<Vec<u8>> {
        train::train(params, training)
    }
}

impl Preconditioner for Chosen {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.m.apply(r, z)
    }
    fn apply_many(&self, k: usize, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.m.apply_many(k, r, z)
    }
    fn apply_and_multiply(&self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Result<()> {
        self.m.apply_and_multiply(r, z, y)
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.m.apply_transpose(r, z)
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
    fn delegate(&self) -> Option<String> {
        let label = self.notes.first()?.strip_prefix(CHOSEN)?;
        label.split(' ').next().map(str::to_owned)
    }
}
