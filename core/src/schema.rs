//! Parameter schemas: making them, and checking JSON against them.
//!
//! Covers the part of JSON Schema that `#[derive(JsonSchema)]` emits for parameter structs:
//! objects of numbers, booleans, strings, arrays and choices, with ranges and defaults. Own
//! keywords: `x-precondor-method` marks a parameter, or the items of a list, that names a method (a
//! string, or a table with `name`), whose own section is checked against that method's schema;
//! `x-precondor-file` marks a path that is read relative to the config; `x-precondor-grid` marks the numbers of
//! nodes of a structured grid, which a host that knows the grid fills in; `x-precondor-old-name` is what a parameter
//! was called before, which is understood for one release; at the root of a method's schema it is that of the method.
//! At that root,
//! `x-precondor-fallback` names the method (as such a parameter does) that a solve goes on with where
//! this one is seen to fail, and `x-precondor-contraction` is the factor that an iteration reduces
//! the residual by, or more, on the matrices that the method is for: a watched solve leaves the method
//! soon after the iterations that this takes. `x-precondor-tune` says what `precondor tune` may draw of a parameter: the
//! two ends that numbers are drawn between, the name of a parameter that it is always to equal, or false, nothing; at the
//! root, false leaves the method out where it is not asked for, and "ranks" does so on a single rank.
mod sound;

pub use sound::{endless, misfits};

use crate::{Error, Result};
use schemars::JsonSchema;
use serde_json::Value;
use std::any::TypeId;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Schema keyword of a parameter that names a method.
pub const METHOD: &str = "x-precondor-method";
/// Schema keyword of a parameter that names a file.
pub const FILE: &str = "x-precondor-file";

/// Schema keyword of a parameter for the numbers of nodes of a structured grid along its axes: two, or up to as many as its list takes.
pub const GRID: &str = "x-precondor-grid";
/// Schema keyword of what a parameter, or at the root a method, was called before: understood, and noted, for one release.
pub const OLD_NAME: &str = "x-precondor-old-name";

/// Schema keyword of what `precondor tune` may draw of a parameter, or, at the root, whether it takes the method.
pub const TUNE: &str = "x-precondor-tune";

/// Schema keyword, at the root, of the method that takes over where this one fails.
pub const FALLBACK: &str = "x-precondor-fallback";
/// Schema keyword of the parameter that lists methods that must not be chosen: what failed is added to
/// it where a solve goes on with the next choice of the same method.
pub const EXCLUDE: &str = "x-precondor-exclude";
/// Schema keyword of the parameter that says whether A is positive definite: false where a solve saw
/// that it is not, and goes on with another choice of the same method.
pub const DEFINITE: &str = "x-precondor-definite";
/// Schema keyword, at the root, of the factor that an iteration promises to reduce the residual by.
pub const CONTRACTION: &str = "x-precondor-contraction";

/// Schema keyword, at the root, of how often an application of M goes through what M stores, where that is not once.
pub const PASSES: &str = "x-precondor-passes";

/// The schemas made so far.
static MADE: LazyLock<Mutex<HashMap<TypeId, Arc<Value>>>> = LazyLock::new(Mutex::default);

/// The schema of `T`, made at the first call: parameters are checked for every preconditioner, and
/// the schema of a learned method tells of its models.
pub fn of<T: JsonSchema + 'static>() -> Arc<Value> {
    let lock = || MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = lock().get(&TypeId::of::<T>()) {
        return made.clone();
    }
    // Not under the lock: what a schema is made of may ask for another.
    let schema = Arc::new(schemars::schema_for!(T).to_value());
    lock().entry(TypeId::of::<T>()).or_insert(schema).clone()
}

/// What is wrong with a value, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Keys (and array indices) that lead to the value; the last one is the culprit.
    pub path: Vec<String>,
    /// What is wrong, and what would be right.
    pub why: String,
    /// Whether the key is at fault rather than its value.
    pub of_key: bool,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Parameter(match fault.path.is_empty() {
            true => fault.why,
            false => format!("parameter '{}': {}", fault.path.join("."), fault.why),
        })
    }
}

/// Checks `doc` against `schema`.
///
/// # Errors
/// [`Error::Parameter`] for the first fault.
pub fn check(schema: &Value, doc: &Value) -> Result<()> {
    Ok(fault(schema, doc).map_or(Ok(()), Err)?)
}

/// The first fault of `doc`, if any.
pub fn fault(schema: &Value, doc: &Value) -> Option<Fault> {
    at(schema, schema, doc, &mut Vec::new()).err()
}

/// The schema that `$ref` in `schema` points to within `root`, or `schema` itself.
pub fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(target) => root.pointer(target.trim_start_matches('#')).unwrap_or(schema),
        None => schema,
    }
}

/// The name today, and the schema, of the parameter that `key` is a name of in a schema of parameters.
pub fn parameter<'a>(schema: &'a Value, key: &str) -> Option<(&'a str, &'a Value)> {
    let all = schema["properties"].as_object()?;
    let current = all.get_key_value(key);
    let found = current.or_else(|| all.iter().find(|(_, of)| of[OLD_NAME] == *key));
    found.map(|(name, of)| (name.as_str(), of))
}

/// The name of the parameter that a schema of parameters marks with `keyword`.
pub fn marked<'a>(schema: &'a Value, keyword: &str) -> Option<&'a str> {
    let mut all = schema["properties"].as_object()?.iter();
    let found = all.find(|(_, of)| resolve(schema, of)[keyword] == true || of[keyword] == true);
    found.map(|(name, _)| name.as_str())
}

/// The most items that a parameter's list may have, where its schema says so.
pub fn most_items(schema: &Value, key: &str) -> Option<usize> {
    let of_field = resolve(schema, &schema["properties"][key]);
    Some(of_field["maxItems"].as_u64()? as usize)
}

/// Parameters under the names of today. Where both names of one are there, both stay: that is a fault.
pub fn under_todays_names<'a>(schema: &Value, params: &'a Value) -> Cow<'a, Value> {
    let Some(fields) = params.as_object() else { return Cow::Borrowed(params) };
    let old = |key: &str| parameter(schema, key).is_some_and(|(name, _)| name != key);
    if !fields.keys().any(|key| old(key)) {
        return Cow::Borrowed(params);
    }
    let today = |(key, value): (&String, &Value)| {
        let name = parameter(schema, key).map_or(key.as_str(), |(name, _)| name);
        let name = if fields.contains_key(name) { key } else { name };
        (name.to_owned(), value.clone())
    };
    Cow::Owned(Value::Object(fields.iter().map(today).collect()))
}

/// What to say of parameters that have names of before.
pub fn old_names(schema: &Value, params: &Value) -> Vec<String> {
    let keys = params.as_object().into_iter().flat_map(|fields| fields.keys());
    let renamed = keys.filter_map(|key| {
        let (name, _) = parameter(schema, key).filter(|(name, _)| name != key)?;
        Some(format!(
            "parameter '{key}' is called '{name}' now; the next release knows that name only"
        ))
    });
    renamed.collect()
}

/// Whether the schema `of` within `root` is that of a list of methods.
pub fn lists_methods(root: &Value, of: &Value) -> bool {
    resolve(root, &of["items"])[METHOD] == Value::Bool(true)
}

/// The name and the parameters in a value that names a method: a string, or an object with `name`.
pub fn named_method(value: &Value) -> Option<(String, Value)> {
    match value {
        Value::String(name) => Some((name.clone(), Value::Object(serde_json::Map::new()))),
        Value::Object(fields) => {
            let mut rest = fields.clone();
            let name = rest.remove("name")?.as_str()?.to_owned();
            Some((name, Value::Object(rest)))
        }
        _ => None,
    }
}

/// The name among `known` that `word` most likely meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = 1 + word.chars().count() / 3;
    known
        .iter()
        .map(|k| (distance(word, k), *k))
        .filter(|&(d, k)| d <= limit || k.starts_with(word) || word.starts_with(k))
        .min_by_key(|&(d, _)| d)
        .map(|(_, k)| k)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let next = (corner + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

type Bound = (&'static str, &'static str, fn(f64, f64) -> bool);
const BOUNDS: [Bound; 4] = [
    ("minimum", "at least", |x, b| x >= b),
    ("exclusiveMinimum", "greater than", |x, b| x > b),
    ("maximum", "at most", |x, b| x <= b),
    ("exclusiveMaximum", "less than", |x, b| x < b),
];

fn at(
    root: &Value,
    schema: &Value,
    doc: &Value,
    path: &mut Vec<String>,
) -> std::result::Result<(), Fault> {
    let fail =
        |path: &[String], why: String| Err(Fault { path: path.to_vec(), why, of_key: false });
    let schema = resolve(root, schema);
    if let Some(parts) = schema["allOf"].as_array() {
        for part in parts {
            at(root, part, doc, path)?;
        }
    }
    let of_choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    if let Some(choices) = of_choices {
        let constants: Vec<&Value> = choices.iter().filter_map(|c| c.get("const")).collect();
        if constants.len() == choices.len() {
            if !constants.contains(&doc) {
                return fail(path, one_of(doc, &constants));
            }
        } else {
            // A fault leaves its path behind: each alternative has its own.
            let first = choices.iter().map(|choice| at(root, choice, doc, &mut path.clone()));
            let faults: Vec<Fault> = first.filter_map(std::result::Result::err).collect();
            if faults.len() == choices.len() {
                // The alternative that got furthest into the value is the one that was meant; of
                // several, the first (null comes last).
                let meant = faults.into_iter().rev().max_by_key(|f| f.path.len());
                return meant.map_or(Ok(()), Err);
            }
        }
    }
    let is = |kind: &str| match kind {
        "number" => doc.is_number(),
        "integer" => doc.is_i64() || doc.is_u64(),
        "boolean" => doc.is_boolean(),
        "string" => doc.is_string(),
        "array" => doc.is_array(),
        "object" => doc.is_object(),
        _ => doc.is_null(),
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(kind)) {
        let wanted: Vec<&str> = kinds.into_iter().filter(|k| *k != "null").collect();
        return fail(path, format!("{doc} is not of type {}", wanted.join(" or ")));
    }
    if let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.contains(doc)) {
        return fail(path, one_of(doc, &choices.iter().collect::<Vec<_>>()));
    }
    if let Some(x) = doc.as_f64() {
        for (key, words, holds) in BOUNDS {
            if let Some(b) = schema[key].as_f64().filter(|&b| !holds(x, b)) {
                return fail(path, format!("{doc} must be {words} {b}"));
            }
        }
    }
    if let Some(list) = doc.as_array() {
        let count = list.len() as u64;
        if let Some(least) = schema["minItems"].as_u64().filter(|&n| count < n) {
            return fail(path, format!("{count} items, at least {least} are needed"));
        }
        if let Some(most) = schema["maxItems"].as_u64().filter(|&n| count > n) {
            return fail(path, format!("{count} items, at most {most} are allowed"));
        }
        for (i, item) in list.iter().enumerate() {
            let items = schema["prefixItems"].get(i).or(schema.get("items"));
            if let Some(items) = items.filter(|s| s.is_object()) {
                path.push(i.to_string());
                at(root, items, item, path)?;
                path.pop();
            }
        }
    }
    if let (Some(known), Some(fields)) = (schema["properties"].as_object(), doc.as_object()) {
        for (name, value) in fields {
            path.push(name.clone());
            match parameter(schema, name) {
                Some((today, _)) if today != name && fields.contains_key(today) => {
                    let why = format!("is what '{today}' was called before: give that alone");
                    return Err(Fault { path: path.clone(), why, of_key: true });
                }
                Some((_, of_field)) => at(root, of_field, value, path)?,
                None => {
                    let why = unknown(name, known.keys());
                    return Err(Fault { path: path.clone(), why, of_key: true });
                }
            }
            path.pop();
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            let there = |name: &str| {
                let old = known.get(name).and_then(|of| of[OLD_NAME].as_str());
                fields.contains_key(name) || old.is_some_and(|old| fields.contains_key(old))
            };
            let missing = name.as_str().filter(|name| !there(name));
            if let Some(name) = missing {
                return fail(path, format!("'{name}' is missing"));
            }
        }
    }
    Ok(())
}

fn one_of(doc: &Value, choices: &[&Value]) -> String {
    let names: Vec<String> = choices.iter().map(ToString::to_string).collect();
    let plain: Vec<&str> = choices.iter().filter_map(|c| c.as_str()).collect();
    let hint = doc.as_str().and_then(|word| nearest(word, &plain));
    let hint = hint.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
    format!("{doc} is not one of {}{hint}", names.join(", "))
}

/// What to say about a key that is not among `known`.
pub fn unknown<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let hint = nearest(key, &known).map_or(String::new(), |n| format!("; did you mean '{n}'?"));
    let all = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("there is no such key{hint} (known: {all})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        /// A range.
        #[schemars(range(min = 0.0, max = 1.0))]
        damping: f64,
        sweep: Sweep,
        grid: Option<[usize; 2]>,
    }
    impl Default for Sample {
        fn default() -> Self {
            Sample { damping: 1.0, sweep: Sweep::Forward, grid: None }
        }
    }
    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Sweep {
        /// Rows in order.
        Forward,
        /// Rows in reverse.
        Backward,
    }

    #[test]
    fn faults_name_the_key_and_what_would_be_right() {
        let schema = of::<Sample>();
        let why = |doc: Value| check(&schema, &doc).map_err(|e| e.to_string()).err();
        assert_eq!(why(json!({"damping": 0.5, "sweep": "forward", "grid": [3, 4]})), None);
        assert_eq!(why(json!({})), None);
        for (doc, text) in [
            (
                json!({"dampin": 0.5}),
                "parameter 'dampin': there is no such key; did you mean 'damping'?",
            ),
            (json!({"damping": 1.5}), "parameter 'damping': 1.5 must be at most 1"),
            (json!({"damping": "x"}), "parameter 'damping': \"x\" is not of type number"),
            (json!({"sweep": "forwards"}), "is not one of \"forward\", \"backward\"; did you mean"),
            (json!({"grid": [3]}), "parameter 'grid'"),
            (json!({"grid": [3, -1]}), "parameter 'grid.1': -1 must be at least 0"),
        ] {
            let got = why(doc.clone()).unwrap_or_default();
            assert!(got.contains(text), "{doc}: {got}");
        }
    }

    #[test]
    fn old_names_are_understood_and_noted() {
        let schema = json!({ "properties": {
            "method": { "x-precondor-method": true, "x-precondor-old-name": "inner" },
            "shape": { "type": "array", "x-precondor-grid": true },
        }, "required": ["method"] });
        for params in [json!({"inner": "ilu"}), json!({"method": "ilu"})] {
            assert_eq!(fault(&schema, &params), None, "{params}");
            assert_eq!(*under_todays_names(&schema, &params), json!({"method": "ilu"}));
        }
        assert_eq!(old_names(&schema, &json!({"method": "ilu", "other": 1})), [""; 0]);
        let told = old_names(&schema, &json!({"inner": "ilu"}));
        assert!(told[0].contains("'inner' is called 'method' now"), "{told:?}");
        let both = fault(&schema, &json!({"inner": "ilu", "method": "ic"})).expect("two names");
        assert_eq!((both.path, both.of_key), (vec!["inner".to_owned()], true));
        assert!(both.why.contains("'method'"), "{}", both.why);
        assert!(fault(&schema, &json!({})).is_some_and(|fault| fault.why.contains("'method'")));
        assert_eq!((marked(&schema, GRID), marked(&schema, FILE)), (Some("shape"), None));
    }

    #[test]
    fn the_nearest_name_is_found_and_nothing_far_off() {
        assert_eq!(nearest("jacoby", &["jacobi", "ilu"]), Some("jacobi"));
        assert_eq!(nearest("multigrid", &["jacobi", "ilu"]), None);
    }
}
