//! Which dense networks the experiments use, and how much training they get.
//!
//! The paper's budget is 10 000 matrices and 1000 epochs of Adam with batches of 100. At 225 unknowns
//! that takes hours, so less is the default, and every table says what was spent.
use super::library::Recipe;
use precondor::Methods;
use precondor::models;
use precondor_core::schema;
use serde_json::{Value, json};

/// The paper's network in tables.
pub const PLAIN: &str = "mlp-dense (plain)";
/// The network with whitened targets, a linear part and components.
pub const WHITENED: &str = "mlp-dense (whitened)";
/// Largest level with dense networks.
pub const LARGEST: u32 = 4;
/// The paper's damping of its network.
pub const DAMPING: f64 = 0.8;
/// Penalty of the linear parts.
const PENALTY: f64 = 1e-3;
/// Components of the whitened inverses.
const COMPONENTS: u32 = 600;

/// How much training there is.
#[derive(Clone, Copy)]
pub struct Budget {
    /// As much as in the paper.
    pub full: bool,
    /// Passes over the training matrices, where they are not left to the level.
    pub epochs: Option<u64>,
}

impl Budget {
    /// Matrices and epochs at a level.
    pub fn at(self, level: u32) -> (u64, u64) {
        let (matrices, epochs) = match (self.full, level) {
            (true, _) => (10_000, 1000),
            (_, ..=2) => (10_000, 200),
            (_, 3) => (10_000, 60),
            _ => (2000, 30),
        };
        (matrices, self.epochs.unwrap_or(epochs))
    }
}

/// The paper's network: three hidden layers as wide as the matrix.
pub fn plain(budget: Budget, level: u32) -> Recipe {
    let (matrices, epochs) = budget.at(level);
    let train = json!({ "pool": matrices, "epochs": epochs });
    new(PLAIN, "mlp-dense", json!({}), Some(train), DAMPING)
}

/// The paper's network, the one that the method brings where it brings one.
pub fn paper(methods: &Methods, budget: Budget, level: u32) -> Recipe {
    match brings(methods, "mlp-dense", level, false) {
        true => new(PLAIN, "mlp-dense", json!({ "variant": "plain" }), None, DAMPING),
        false => plain(budget, level),
    }
}

/// The paper's network with other widths.
pub fn of_width(budget: Budget, level: u32, width: usize) -> Recipe {
    let mut recipe = plain(budget, level);
    recipe.label = format!("dense network, {width} neurons");
    let unknowns = ((1usize << level) - 1).pow(2);
    if let Some(train) = recipe.train.as_mut().filter(|_| width != unknowns) {
        train["hidden"] = json!([width, width, width]);
    }
    recipe
}

/// The paper's network with another input and another budget.
pub fn varied(inputs: &str, matrices: u64, epochs: u64) -> Recipe {
    let mut train = json!({ "pool": matrices, "epochs": epochs });
    if inputs != "bands" {
        train["inputs"] = inputs.into();
    }
    let label = format!("{inputs} input, {matrices} matrices, {epochs} epochs");
    new(&label, "mlp-dense", json!({}), Some(train), DAMPING)
}

/// The rows with dense M of a level: mean inverse, ridge regression, plain and whitened network.
/// Those that this build cannot train are left out.
pub fn dense(methods: &Methods, budget: Budget, level: u32) -> Vec<Recipe> {
    if level > LARGEST {
        return Vec::new();
    }
    let (matrices, epochs) = budget.at(level);
    let brought = |method: &str, train: Value| match brings(methods, method, level, true) {
        true => None,
        false => Some(train),
    };
    let ridge = brought("ridge", json!({ "pool": matrices, "penalty": PENALTY }));
    let validation = matrices / 20;
    let whitened = json!({
        "pool": matrices - validation, "validation": validation, "epochs": epochs, "whiten": true,
        "ridge": PENALTY, "components": COMPONENTS, "hidden": [128, 128], "schedule": "cosine",
    });
    let whitened = brought("mlp-dense", whitened);
    let mean = json!({ "mean_only": true });
    let mut all = vec![
        new("mean inverse", "ridge", mean, ridge.clone(), DAMPING),
        new("ridge", "ridge", json!({}), ridge, 1.0),
        Recipe { label: format!("{PLAIN}, ω = {DAMPING}"), ..paper(methods, budget, level) },
        // The damping that the paper used for its first table is not known.
        Recipe { label: format!("{PLAIN}, ω = 1"), damping: 1.0, ..paper(methods, budget, level) },
        new(WHITENED, "mlp-dense", json!({}), whitened, 1.0),
    ];
    all.retain(|recipe| can_be_trained(methods, recipe));
    all
}

/// Whether a method comes with a model for this level, with whitened targets or without.
fn brings(methods: &Methods, method: &str, level: u32, whitened: bool) -> bool {
    let brought = methods.get(method).map(|method| models::shipped(method.as_ref()));
    let side = (1u64 << level) - 1;
    brought.unwrap_or_default().iter().any(|model| {
        let shape = &model.card["architecture"];
        shape["grid"] == json!([side, side]) && shape["whiten"] == whitened
    })
}

/// Whether this build has the method, and its training these parameters.
pub fn can_be_trained(methods: &Methods, recipe: &Recipe) -> bool {
    let Ok(method) = methods.get(recipe.method) else { return false };
    recipe.train.as_ref().is_none_or(|train| {
        method.train_schema().is_some_and(|schema| schema::check(&schema, train).is_ok())
    })
}

fn new(
    label: &str,
    method: &'static str,
    parameters: Value,
    train: Option<Value>,
    damping: f64,
) -> Recipe {
    Recipe { label: label.to_owned(), method, train, parameters, damping }
}
