//! What the text of an option stands for, where a schema says what is expected.
use precondor_core::schema::{self, FILE};
use precondor_core::words;
use serde_json::Value;

/// A name as methods and choices have it.
pub(super) fn hyphens(name: &str) -> String {
    name.trim().replace('_', "-")
}

/// Yes and no, as PETSc reads them.
pub(super) fn yes(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "" | "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The kinds of values that a schema allows.
fn kinds<'a>(root: &'a Value, of: &'a Value) -> Vec<&'a str> {
    let alternatives = ["anyOf", "oneOf"].iter().flat_map(|key| of[*key].as_array()).flatten();
    let inner = alternatives.flat_map(|one| kinds(root, schema::resolve(root, one)));
    let own: Vec<&str> = match &of["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    own.into_iter().chain(inner).collect()
}

/// The kinds of values that the items of a list may have.
fn kinds_of_items<'a>(root: &'a Value, of: &'a Value) -> Vec<&'a str> {
    let alternatives = ["anyOf", "oneOf"].iter().flat_map(|key| of[*key].as_array()).flatten();
    let inner = alternatives.flat_map(|one| kinds_of_items(root, schema::resolve(root, one)));
    kinds(root, schema::resolve(root, &of["items"])).into_iter().chain(inner).collect()
}

/// The value that an option's text stands for, where the schema `of` says what is expected. What fits
/// nothing stays a text, about which the check complains.
pub(super) fn value(root: &Value, of: &Value, given: &str) -> Value {
    let (given, kinds) = (given.trim(), kinds(root, of));
    let choices = words::choices(root, of);
    let is_choice = |name: &str| choices.iter().any(|(choice, _)| choice == name);
    if let Some(choice) = [given.to_owned(), hyphens(given)].into_iter().find(|n| is_choice(n)) {
        return Value::String(choice);
    }
    let takes = |kind: &str| kinds.contains(&kind) || kinds.is_empty();
    if let Some(yes) = yes(given).filter(|_| kinds.contains(&"boolean")) {
        return Value::Bool(yes);
    }
    if takes("integer") || takes("number") {
        if let Ok(whole) = given.parse::<i64>() {
            return whole.into();
        }
        if let Some(number) = given.parse().ok().and_then(serde_json::Number::from_f64) {
            return Value::Number(number);
        }
    }
    if kinds.contains(&"array") {
        // Lists in a list are kept apart by another sign.
        let nested = kinds_of_items(root, of).contains(&"array");
        let item = |k: usize| match of["prefixItems"].get(k) {
            Some(item) => schema::resolve(root, item),
            None => schema::resolve(root, &of["items"]),
        };
        let parts =
            given.split(if nested { ';' } else { ',' }).filter(|part| !part.trim().is_empty());
        return parts.enumerate().map(|(k, part)| value(root, item(k), part)).collect();
    }
    if of[FILE] == Value::Bool(true) {
        // Relative to the current folder, whatever folder a configuration is in.
        let path = std::path::absolute(given).unwrap_or_else(|_| given.into());
        return Value::String(path.display().to_string());
    }
    Value::String(given.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_become_the_values_that_a_schema_expects() {
        let root = json!({"$defs": {"Sweep": {"oneOf": [
            {"const": "forward", "type": "string"},
            {"const": "symmetric-both", "type": "string"},
        ]}}});
        let sweep = json!({"anyOf": [{"$ref": "#/$defs/Sweep"}, {"type": "null"}]});
        let grid = json!({"type": ["array", "null"], "items": {"type": "integer"}});
        let number = json!({"type": ["number", "null"]});
        let lists = json!({"type": ["array", "null"], "items": grid});
        for (of, text, expected) in [
            (&number, "1", json!(1)),
            (&number, ".5", json!(0.5)),
            (&number, "2.", json!(2.0)),
            (&number, "1e-3", json!(0.001)),
            (&number, "inf", json!("inf")),
            (&number, "x", json!("x")),
            (&grid, "33,17", json!([33, 17])),
            (&grid, "3", json!([3])),
            (&grid, "3,x", json!([3, "x"])),
            (&lists, "0,1;2", json!([[0, 1], [2]])),
            (&lists, "3", json!([[3]])),
            (&sweep, "symmetric_both", json!("symmetric-both")),
            (&sweep, "forward", json!("forward")),
            (&sweep, "backward", json!("backward")),
            (&json!({"type": "boolean"}), "", json!(true)),
            (&json!({"type": "boolean"}), "No", json!(false)),
            (&json!({"type": "string"}), "12", json!("12")),
            (&json!({"type": "array", "items": {"type": "string"}}), "a,b", json!(["a", "b"])),
        ] {
            assert_eq!(value(&root, of, text), expected, "{text}");
        }
    }
}
