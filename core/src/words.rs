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
    let types: Vec<&str> = match &of["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let mut words: Vec<&str> = types.into_iter().filter(|t| *t != "null").collect();
    if of[FILE] == Value::Bool(true) {
        words = vec!["a file"];
    }
    let mut text = if words.is_empty() { "any value".to_owned() } else { words.join(" or ") };
    let fixed = of["minItems"].as_u64().filter(|n| of["maxItems"].as_u64() == Some(*n));
    if let Some(items) = of["prefixItems"].as_array().map(Vec::len).or(fixed.map(|n| n as usize)) {
        // Writing to a string cannot fail.
        let _ = write!(text, " of {items}");
    }
    for (key, sign) in
        [("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<")]
    {
        if let Some(bound) = of[key].as_f64() {
            let _ = write!(text, " {sign} {bound}");
        }
    }
    text
}

/// The values of an enumeration with the schema `of` within `root`, each with what it means.
pub fn choices(root: &Value, of: &Value) -> Vec<(String, String)> {
    let alternatives = of["anyOf"].as_array().into_iter().flatten();
    let inner = alternatives.flat_map(|one| choices(root, schema::resolve(root, one)));
    let constants = of["oneOf"].as_array().into_iter().flatten().filter_map(|one| {
        let about = one["description"].as_str().unwrap_or_default().lines().next();
        Some((one["const"].as_str()?.to_owned(), about.unwrap_or_default().to_owned()))
    });
    let plain = of["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    inner.chain(constants).chain(plain.map(|name| (name.to_owned(), String::new()))).collect()
}
