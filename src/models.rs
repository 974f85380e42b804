//! What is known about trained models: their cards.
//!
//! A model file (safetensors) has in its header, under `precondor`, a card: the method it is for, how it
//! was trained, on what and with which seed, and what was measured. The models that come with a
//! library are told by its method's schema, under `x-precondor-models`.
use precondor_core::config::MethodConfig;
use precondor_core::matrix::DistCsr;
use precondor_core::persist::Digest;
use precondor_core::registry::DynGenerator;
use precondor_core::{Error, Result, input};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Schema keyword under which a method tells its models.
const MODELS: &str = "x-precondor-models";
/// Entry of a file's header that holds the card.
const KEY: &str = "precondor";

/// A trained model and how it came to be.
#[derive(Clone)]
pub struct Model {
    /// What tables call it.
    pub label: String,
    /// Its file.
    pub file: String,
    /// Its card.
    pub card: Value,
}

/// The models that come with a method.
pub fn shipped(method: &dyn DynGenerator) -> Vec<Model> {
    let schema = method.schema();
    let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
    let models = schema[MODELS].as_array().into_iter().flatten();
    let model = |of: &Value| Model {
        label: text(of, "label"),
        file: text(of, "file"),
        card: of["card"].clone(),
    };
    models.map(model).collect()
}

/// The models that a method uses with these parameters: the file that `model` names, or those that
/// come with it.
///
/// # Errors
/// [`Error::File`] for a file that cannot be read or is no model.
pub fn used(method: &dyn DynGenerator, config: &MethodConfig) -> Result<Vec<Model>> {
    match config.params["model"].as_str() {
        Some(path) => Ok(vec![of_file(Path::new(path))?]),
        None => Ok(shipped(method)),
    }
}

/// The model in a file.
///
/// # Errors
/// [`Error::File`] where it cannot be read or is no model.
pub fn of_file(path: &Path) -> Result<Model> {
    let bytes = input::read(path).map_err(|e| Error::file(path, e))?;
    let (_, header) = SafeTensors::read_metadata(&bytes)
        .map_err(|e| Error::file(path, format!("this is no model file: {e}")))?;
    let text = header.metadata().as_ref().and_then(|entries| entries.get(KEY));
    let text = text.ok_or_else(|| Error::file(path, format!("its header has no entry '{KEY}'")))?;
    let card = serde_json::from_str(text)
        .map_err(|e| Error::file(path, format!("its entry '{KEY}' is no JSON: {e}")))?;
    let file = path.display().to_string();
    Ok(Model { label: file.clone(), file, card })
}

/// The model files that parameters name, also those of methods within: paths from `base` on.
pub fn named(params: &Value, base: &Path) -> Vec<PathBuf> {
    match params {
        Value::Array(items) => items.iter().flat_map(|item| named(item, base)).collect(),
        Value::Object(fields) => {
            let file = fields.get("model").and_then(Value::as_str).map(|name| base.join(name));
            file.into_iter().chain(fields.values().flat_map(|field| named(field, base))).collect()
        }
        _ => Vec::new(),
    }
}

/// The name of the matrix with this digest among those that a model file says it was trained on; nothing where it is no
/// model, or was trained on model problems.
pub fn trained_on(path: &Path, digest: &Digest) -> Option<String> {
    let of_json = || serde_json::from_slice::<Value>(&input::read(path).ok()?).ok();
    let card = match of_file(path) {
        Ok(model) => model.card,
        Err(_) => of_json()?["card"].clone(),
    };
    let samples = chain(&card).filter_map(|card| card["samples"].as_array()).flatten();
    let mut seen = samples.filter_map(|of| of["digests"].as_array()).flatten();
    let is = |of: &&Value| {
        of["pattern"] == *digest.pattern.as_str() && of["values"] == *digest.values.as_str()
    };
    seen.find(is).map(|of| of["name"].as_str().unwrap_or("one of its matrices").to_owned())
}

/// Refuses a method, with what is within it, whose model was trained on the matrix `a`: files are those that `params`
/// names, from `base` on, and the first rank reads them. Collective.
///
/// # Errors
/// [`Error::Data`] naming the model and the matrix that it learnt from.
pub fn not_trained_on(params: &Value, base: &Path, a: &DistCsr) -> Result<()> {
    let files = named(params, base);
    if files.is_empty() {
        return Ok(());
    }
    let digest = Digest::of(a)?;
    let comm = a.space().comm();
    let seen = |file: &PathBuf| Some((file.clone(), trained_on(file, &digest)?));
    let found = if comm.rank() == 0 { files.iter().find_map(seen) } else { None };
    comm.agree(match found {
        None => Ok(()),
        Some((file, matrix)) => Err(Error::Data(format!(
            "the model {} was trained on this very matrix ({matrix}): what it does here says nothing of others; \
             compare on matrices that it has not seen",
            file.display()
        ))),
    })
}

/// A card, that of the model which its training started from, and so on.
fn chain(card: &Value) -> impl Iterator<Item = &Value> {
    std::iter::successors(Some(card), |card| card.get("initial").filter(|card| card.is_object()))
}

impl Model {
    /// The seeds of the systems it was trained on: the last training's first, then those of the models before.
    pub fn seeds(&self) -> Vec<u64> {
        chain(&self.card).filter_map(|card| card["training"]["seed"].as_u64()).collect()
    }

    /// What it was trained on, in words: `poisson level 4, shift 0.3; poisson level 5, shift 0.3`; of one that started from
    /// another model, with what that was trained on.
    pub fn family(&self) -> String {
        let families: Vec<String> = chain(&self.card).map(|card| words(&card["samples"])).collect();
        families.join("; before: ")
    }
}

/// What training systems are described as, in words.
pub fn words(samples: &Value) -> String {
    let samples = samples.as_array().into_iter().flatten();
    let words = samples.map(|problem| {
        let none = serde_json::Map::new();
        let fields = problem.as_object().unwrap_or(&none);
        let kind = problem["kind"].as_str().unwrap_or("unknown");
        // Training draws its own seed and right-hand sides, and a contrast needs jumps.
        let dull = |key: &str, value: &Value| match key {
            "kind" | "seed" | "rhs" | "digests" => true,
            "contrast" => problem["coefficient"] != "jump",
            "coefficient" => value == "constant",
            _ => value.is_null(),
        };
        let told = fields.iter().filter(|(key, value)| !dull(key, value));
        let told = told.map(|(key, value)| match value {
            Value::String(text) => format!("{key} {text}"),
            value => format!("{key} {value}"),
        });
        format!("{kind} {}", told.collect::<Vec<_>>().join(", "))
    });
    words.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_family_is_told_without_what_does_not_matter() {
        let card = json!({
            "training": { "seed": 7 },
            "samples": [
                { "kind": "poisson", "level": 4, "shift": 0.3, "coefficient": "constant",
                  "contrast": 10.0, "rhs": "ones", "seed": 0 },
                { "kind": "poisson", "level": 5, "shift": 0.3, "coefficient": "jump",
                  "contrast": 10.0, "rhs": "ones", "seed": 0 },
            ],
        });
        let model = Model { label: String::new(), file: String::new(), card };
        assert_eq!(model.seeds(), [7]);
        assert_eq!(
            model.family(),
            "poisson level 4, shift 0.3; poisson coefficient jump, contrast 10.0, level 5, shift 0.3"
        );
        let after = json!({
            "training": { "seed": 3 },
            "samples": [{ "kind": "poisson", "level": 6 }],
            "initial": model.card,
        });
        let after = Model { card: after, ..model.clone() };
        assert_eq!(after.seeds(), [3, 7]);
        assert_eq!(after.family(), format!("poisson level 6; before: {}", model.family()));
    }
}
