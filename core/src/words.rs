//! A method's parameters in words, out of its schema: what lists, help texts and tables are made of.
use crate::schema::{self, FILE, METHOD};
use serde_json::Value;
use std::fmt::Write as _;

/// A parameter in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its key in a configuration.
    pub name: String,
    /// Type and range.
    pub kind: String,
    /// What it is where it is left out; `None` where the method decides.
    pub default: Option<Value>,
    /// What it means; several lines.
    pub about: String,
    /// The values of an enumeration, each with what it means.
    pub choices: Vec<(String, String)>,
}

/// The parameters of `schema`.
pub fn parameters(schema: &Value) -> Vec<Parameter> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let one = |(name, property): (&String, &Value)| {
        let resolved = schema::resolve(schema, property);
        let about = property["description"].as_str().or(resolved["description"].as_str());
        Parameter {
            name: name.clone(),
            kind: kind(schema, resolved),
            default: Some(property["default"].clone()).filter(|value| !value.is_null()),
            about: about.unwrap_or_default().to_owned(),
            choices: choices(schema, resolved),
        }
    };
    properties.map(one).collect()
}

/// Type and range of a value with the schema `of` within `root`.
pub fn kind(root: &Value, of: &Value) -> String {
    if of[METHOD] == Value::Bool(true) {
        return "a method: its name, or a table with `name` and its parameters".into();
    }
    if schema::lists_methods(root, of) {
        return "a list of methods: names, or tables with `name` and their parameters".into();
    }
    if let Some(alternatives) = of["anyOf"].as_array() {
        let words = alternatives.iter().map(|one| schema::resolve(root, one));
        let words = words.filter(|one| one["type"] != "null").map(|one| kind(root, one));
        return words.collect::<Vec<_>>().join(" or ");
    }
    if of["oneOf"].is_array() || of["enum"].is_array() {
        return "one of".into();
    }
    noun(root, of, false)
}

/// What values with the schema `of` within `root` are called, one or several of them.
fn noun(root: &Value, of: &Value, several: bool) -> String {
    let of = schema::resolve(root, of);
    let types: Vec<&str> = match &of["type"] {
        Value::String(one) => vec![one],
        Value::Array(more) => more.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let plural = if several { "s" } else { "" };
    let word = |kind: &str| match kind {
        "boolean" => "true or false".to_owned(),
        "string" if of[FILE] == Value::Bool(true) => format!("{}file{plural}", article(several)),
        "string" => format!("text{plural}"),
        "object" => table(of, several),
        "array" => list(root, of, several),
        number => format!("{number}{plural}"),
    };
    let words: Vec<String> = types.into_iter().filter(|t| *t != "null").map(word).collect();
    let mut text = if words.is_empty() { "any value".into() } else { words.join(" or ") };
    for (key, sign) in
        [("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<")]
    {
        if let Some(bound) = of[key].as_f64() {
            // Writing to a string cannot fail.
            let _ = write!(text, " {sign} {bound}");
        }
    }
    text
}

fn article(several: bool) -> &'static str {
    if several { "" } else { "a " }
}

/// `list of integers`, `list of 1 to 8 numbers`, and for several of them `lists of …`.
fn list(root: &Value, of: &Value, several: bool) -> String {
    let parts = of["prefixItems"].as_array();
    let item = parts.and_then(|parts| parts.first()).unwrap_or(&of["items"]);
    let items = if item.is_object() { noun(root, item, true) } else { "values".to_owned() };
    let bound = |key: &str| of[key].as_u64().or(parts.map(|parts| parts.len() as u64));
    let count = match (bound("minItems").filter(|&n| n > 0), bound("maxItems")) {
        (Some(least), Some(most)) if least == most => format!("{least} "),
        (Some(least), Some(most)) => format!("{least} to {most} "),
        (None, Some(most)) => format!("at most {most} "),
        (Some(least), None) => format!("at least {least} "),
        (None, None) => String::new(),
    };
    format!("list{} of {count}{items}", if several { "s" } else { "" })
}

fn table(of: &Value, several: bool) -> String {
    let keys = of["properties"].as_object().into_iter().flatten();
    let keys: Vec<String> = keys.map(|(key, _)| format!("`{key}`")).collect();
    let plural = if several { "s" } else { "" };
    match keys.as_slice() {
        [] => format!("table{plural}"),
        keys => format!("table{plural} of {}", keys.join(", ")),
    }
}

/// A value in words: lists without brackets, tables as their keys and values.
pub fn value(of: &Value) -> String {
    match of {
        Value::Null => "nothing".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(x) if number.to_string().len() > 6 => rounded(x),
            _ => number.to_string(),
        },
        Value::Bool(truth) => truth.to_string(),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => {
            let nested = items.iter().any(|item| item.is_array() || item.is_object());
            let words: Vec<String> = items.iter().map(value).collect();
            words.join(if nested { "; " } else { ", " })
        }
        Value::Object(fields) if fields.is_empty() => "none".into(),
        Value::Object(fields) => {
            let word = |(key, of): (&String, &Value)| match of {
                Value::Object(_) => format!("{} ({})", spaced(key), value(of)),
                _ => format!("{} {}", spaced(key), value(of)),
            };
            fields.iter().map(word).collect::<Vec<_>>().join(", ")
        }
    }
}

/// A key as words.
pub fn spaced(key: &str) -> String {
    key.replace('_', " ")
}

/// Four digits, which is what a reader takes in.
fn rounded(x: f64) -> String {
    let size = x.abs();
    let text = match size {
        _ if (1e-3..1e5).contains(&size) => {
            let digits = (3 - size.log10().floor() as i32).max(0) as usize;
            format!("{x:.digits$}")
        }
        _ => return format!("{x:.3e}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The values of an enumeration with the schema `of` within `root`, each with what it means.
pub fn choices(root: &Value, of: &Value) -> Vec<(String, String)> {
    let alternatives = of["anyOf"].as_array().into_iter().flatten();
    let inner = alternatives.flat_map(|one| choices(root, schema::resolve(root, one)));
    let constants = of["oneOf"].as_array().into_iter().flatten().filter_map(|one| {
        let about = one["description"].as_str().unwrap_or_default();
        let about = about.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        Some((one["const"].as_str()?.to_owned(), about))
    });
    let plain = of["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    inner.chain(constants).chain(plain.map(|name| (name.to_owned(), String::new()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_are_told_in_words() {
        let root = json!({ "$defs": { "Pair": {
            "type": "object", "properties": { "method": {}, "setup": {} } } } });
        for (schema, told) in [
            (json!({ "type": "boolean" }), "true or false"),
            (json!({ "type": ["string", "null"], FILE: true }), "a file"),
            (
                json!({ "type": "array", "items": { "type": "integer", "minimum": 0 } }),
                "list of integers ≥ 0",
            ),
            (
                json!({ "type": "array", "items": { "type": "integer" }, "minItems": 2, "maxItems": 2 }),
                "list of 2 integers",
            ),
            (
                json!({ "type": "array", "items": { "type": "number" }, "minItems": 1, "maxItems": 8 }),
                "list of 1 to 8 numbers",
            ),
            (
                json!({ "type": "array", "minItems": 1, "items": { "type": "array", "items": { "type": "string" } } }),
                "list of at least 1 lists of texts",
            ),
            (
                json!({ "type": "array", "items": { "$ref": "#/$defs/Pair" } }),
                "list of tables of `method`, `setup`",
            ),
            (json!({ "type": "array" }), "list of values"),
        ] {
            assert_eq!(kind(&root, &schema), told, "{schema}");
        }
    }

    #[test]
    fn values_are_told_without_brackets() {
        for (json, told) in [
            (json!([0, 0, 0]), "0, 0, 0"),
            (json!([]), "none"),
            (json!([[1, 2.5], [3, 0.123456]]), "1, 2.5; 3, 0.1235"),
            (json!({ "best_of": { "ic": 96 }, "rate": 1e-8 }), "best of (ic 96), rate 1e-8"),
            (
                json!([{ "method": "ic", "setup": 0.0 }, { "method": "ilu" }]),
                "method ic, setup 0.0; method ilu",
            ),
        ] {
            assert_eq!(value(&json), told, "{json}");
        }
    }

    #[test]
    fn the_meaning_of_a_choice_is_told_whole() {
        let of =
            json!({ "oneOf": [{ "const": "auto", "description": "Where a pivot\nvanishes." }] });
        assert_eq!(choices(&of, &of), [("auto".to_owned(), "Where a pivot vanishes.".to_owned())]);
    }
}
