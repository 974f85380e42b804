//! `auto`: M is that of another method, which a random forest picks by what A looks like.
//!
//! - **Works for** matrices like those that the forest was trained on: it knows which method was the
//!   cheapest there, from setup to solution. Notes say what was chosen, by how many votes, which
//!   features decided, and which of them lie outside what was seen in training.
//! - A method that refuses the matrix is passed over for the next by votes, then for the one with
//!   the least to lose on average; where A is symmetric with a positive diagonal, so is one whose M
//!   is not known to be positive definite, because conjugate gradients could not use it.
//! - **Setup**: the features, some three products with A, then that of the method chosen.
//!   **Application, communication**: those of the method chosen.
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
        "x-precondor-fallback" = json!({"name": METHOD, "exclude": ["mlp-reference"]})
    )
)]
pub struct Params {
    /// A model file to use instead of the shipped one.
    #[schemars(extend("x-precondor-file" = true))]
    pub model: Option<String>,
    /// Methods that must not be chosen.
    pub exclude: Vec<String>,
    /// Whether M must be known to be positive definite; yes, where it is left out, for a symmetric A
    /// with a positive diagonal.
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
    notes: Vec<String>,
}

/// Features that a note names.
const TOLD: usize = 3;

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
        let said = |&(k, value, [low, high]): &(usize, f32, [f32; 2])| {
            format!("{} = {} ({} to {})", NAMES[k], short(value), short(low), short(high))
        };
        let list: Vec<String> = outside.iter().map(said).collect();
        notes.push(format!("outside what it was trained on: {}", list.join(", ")));
    }
    Ok(notes)
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
        persist: true,
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
        let known =
            model.candidates.iter().map(|c| Ok(c.named()?.0)).collect::<Result<Vec<_>>>()?;
        if let Some(unknown) = params.exclude.iter().find(|name| !known.contains(name)) {
            return Err(Error::Parameter(format!(
                "parameter 'exclude': '{unknown}' is no candidate (they are: {})",
                known.join(", ")
            )));
        }
        let seen = Features::of(system.a())?;
        let votes = forest.votes(&seen, model.candidates.len());
        let reasons = reasons(model, &votes, &seen)?;
        let by_votes = votes.order().into_iter().filter(|&class| votes.counts[class] > 0);
        let mut order: Vec<usize> = by_votes.collect();
        for class in model.by_mean_cost() {
            if !order.contains(&class) {
                order.push(class);
            }
        }
        let definite = match params.positive_definite {
            Some(asked) => asked,
            None => seen.allows_conjugate_gradients(),
        };
        let mut passed = Vec::new();
        for class in order {
            let (name, section) = model.candidates[class].named()?;
            if params.exclude.contains(&name) {
                continue;
            }
            match system.host().inner(&name, &section, system) {
                Ok(m) if definite && !m.properties().positive_definite => {
                    passed.push(format!("{name}: not known to be positive definite"));
                }
                Ok(m) => {
                    let chosen = label(&model.candidates, &model.candidates[class])?;
                    let mut notes = vec![format!("chosen: {chosen}")];
                    notes.extend(reasons);
                    notes.extend(passed.into_iter().map(|why| format!("passed over {why}")));
                    notes.extend(m.notes().into_iter().map(|note| format!("{name}: {note}")));
                    return Ok(Chosen { m, notes });
                }
                Err(e @ Error::Comm(_)) => return Err(e),
                Err(e) => passed.push(format!("{name}: {e}")),
            }
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
}
