//! `precondor plugins describe`: a method's parameters, out of its own schema.
use crate::Status;
use crate::files::{print, print_json};
use crate::models::{self, Model};
use crate::report::format::number;
use crate::session::Session;
use precondor_core::{Result, schema};
use precondor_host::MethodInfo;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Describe a method: what it is and which parameters it takes
#[derive(clap::Args)]
pub struct Args {
    /// The method's name
    name: String,
    /// Print the description, with the JSON schema, as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, plugin_path: &[PathBuf]) -> Result<Status> {
    let session = Session::open(plugin_path, None)?;
    let method = session.generator(&args.name)?;
    let info = MethodInfo::of(method.as_ref());
    if args.json {
        print_json(&info)?;
        return Ok(Status::Done);
    }
    let mut out = format!("{}: {}\n", info.name, info.summary);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "version {}, {}", info.version, method.origin());
    if !info.extensions.is_empty() {
        let _ = writeln!(out, "offers {}", info.extensions.join(", "));
    }
    out += "\nparameters of [preconditioner]:\n";
    parameters(&mut out, &info.schema);
    if let Some(schema) = method.train_schema() {
        out += "\nparameters of [train]:\n";
        parameters(&mut out, &schema);
    }
    trained(&mut out, &models::shipped(method.as_ref()));
    print(&out)?;
    Ok(Status::Done)
}

/// The models that come with the method: what they were trained on and what was measured.
fn trained(out: &mut String, models: &[Model]) {
    if models.is_empty() {
        return;
    }
    out.push_str("\nmodels that come with it:\n");
    for model in models {
        let _ = writeln!(out, "  {} ({})", model.label, model.file);
        let seed = model.seed().map_or("unknown".into(), |seed| seed.to_string());
        let _ = writeln!(out, "      trained on {}, seed {seed}", model.family());
        let none = serde_json::Map::new();
        let metrics = model.card["metrics"].as_object().unwrap_or(&none);
        let words = metrics.iter().map(|(key, value)| match value.as_f64() {
            Some(x) if !value.is_u64() => format!("{key} {}", number(x)),
            _ => format!("{key} {value}"),
        });
        let _ = writeln!(out, "      {}", words.collect::<Vec<_>>().join(", "));
    }
}

fn parameters(out: &mut String, schema: &Value) {
    let none = serde_json::Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    if properties.is_empty() {
        out.push_str("  none\n");
    }
    for (name, property) in properties {
        let resolved = schema::resolve(schema, property);
        let default = match &property["default"] {
            Value::Null => String::new(),
            value => format!(", {value} unless given"),
        };
        let _ = writeln!(out, "  {name}: {}{default}", kind(schema, resolved));
        let about = property["description"].as_str().or(resolved["description"].as_str());
        for line in about.unwrap_or_default().lines() {
            let _ = writeln!(out, "      {line}");
        }
        for choice in choices(resolved) {
            let _ = writeln!(out, "      {choice}");
        }
    }
}

/// Type and range in words.
fn kind(root: &Value, of: &Value) -> String {
    if of[schema::METHOD] == Value::Bool(true) {
        return "a method: its name, or a table with `name` and its parameters".into();
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
    if of[schema::FILE] == Value::Bool(true) {
        words = vec!["a file"];
    }
    let mut text = if words.is_empty() { "any value".to_owned() } else { words.join(" or ") };
    if let Some(items) =
        of["prefixItems"].as_array().map(Vec::len).or(of["minItems"].as_u64().map(|n| n as usize))
    {
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

/// The choices of an enumeration, each with what it means.
fn choices(of: &Value) -> Vec<String> {
    let constants = of["oneOf"].as_array().into_iter().flatten().filter_map(|one| {
        let name = one["const"].as_str()?;
        let about = one["description"].as_str().unwrap_or_default().lines().next();
        Some(format!("- \"{name}\": {}", about.unwrap_or_default()))
    });
    let plain = of["enum"].as_array().into_iter().flatten();
    constants.chain(plain.map(|value| format!("- {value}"))).collect()
}
