//! Which dense networks the experiments use, and how much training they get.
//!
//! The paper's budget is 10 000 matrices and 1000 epochs of Adam with batches of 100. At 225 unknowns
//! that takes hours, so less is the default, and every table says what was spent.
use super::library::Recipe;
use crate::models;
use crate::session::Session;
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
const PENALTY: f64 = 1e-4;

/// Matrices and epochs.
pub fn budget(full: bool, level: u32) -> (u64, u64) {
    match (full, level) {
        (true, _) => (10_000, 1000),
        (_, ..=2) => (10_000, 200),
        (_, 3) => (10_000, 60),
        _ => (2000, 30),
    }
}

/// The paper's network: three hidden layers as wide as the matrix.
pub fn plain(full: bool, level: u32) -> Recipe {
    let (matrices, epochs) = budget(full, level);
    let train = json!({ "matrices": matrices, "epochs": epochs });
    new(PLAIN, "mlp-dense", Some(train), DAMPING)
}

/// The paper's network with other widths.
pub fn of_width(full: bool, level: u32, width: usize) -> Recipe {
    let mut recipe = plain(full, level);
    recipe.label = format!("dense network, {width} neurons");
    if let Some(train) = &mut recipe.train {
        train["hidden"] = json!([width, width, width]);
    }
    recipe
}

/// The rows with dense M of a level: mean inverse, ridge regression, plain and whitened network.
/// Those that this build cannot train are left out.
pub fn dense(session: &Session, full: bool, level: u32) -> Vec<Recipe> {
    if level > LARGEST {
        return Vec::new();
    }
    let (matrices, epochs) = budget(full, level);
    let components = [0, 0, 45, 400, 800][level as usize];
    let width = [0, 0, 64, 200, 300][level as usize];
    let mean = json!({ "matrices": matrices, "mean_only": true });
    let ridge = json!({ "matrices": matrices, "penalty": PENALTY, "components": components });
    let whitened = json!({
        "matrices": matrices, "epochs": epochs, "whiten": true, "ridge": PENALTY,
        "components": components, "hidden": [width, width, width], "schedule": "cosine",
    });
    let mut all = vec![
        new("mean inverse", "ridge", Some(mean), DAMPING),
        new("ridge", "ridge", own(session, "ridge", level, ridge), 1.0),
        plain(full, level),
        new(WHITENED, "mlp-dense", own(session, "mlp-dense", level, whitened), 1.0),
    ];
    all.retain(|recipe| can_be_trained(session, recipe));
    all
}

/// No training where the method brings a model with whitened targets for this level.
fn own(session: &Session, method: &str, level: u32, train: Value) -> Option<Value> {
    let brought = session.generator(method).map(|method| models::shipped(method.as_ref()));
    let side = (1u64 << level) - 1;
    let fits = brought.unwrap_or_default().iter().any(|model| {
        let shape = &model.card["architecture"];
        shape["grid"] == json!([side, side]) && shape["whiten"] == true
    });
    (!fits).then_some(train)
}

/// Whether this build has the method, and its training these parameters.
pub fn can_be_trained(session: &Session, recipe: &Recipe) -> bool {
    let Ok(method) = session.generator(recipe.method) else { return false };
    recipe.train.as_ref().is_none_or(|train| {
        method.train_schema().is_some_and(|schema| schema::check(&schema, train).is_ok())
    })
}

fn new(label: &str, method: &'static str, train: Option<Value>, damping: f64) -> Recipe {
    Recipe { label: label.to_owned(), method, train, damping }
}
