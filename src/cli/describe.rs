//! `precondor describe` and `precondor schema`: every key of a configuration, out of the schemas that check it.
use crate::Status;
use crate::files::print;
use crate::keys;
use crate::plugins::describe as of_method;
use crate::session::Session;
use crate::train::ModelSection;
use precondor::tune::Tune;
use precondor_core::config::SolverConfig;
use precondor_core::problem::Problem;
use precondor_core::registry::DynGenerator;
use precondor_core::{Error, Result, schema};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Describe a section of a configuration: every key with meaning, range and default
#[derive(clap::Args)]
pub struct Args {
    /// `problem`, `solver`, `preconditioner`, `compare`, `run`, `tune`, `model`, `train` or `data`. Left out: what there is
    section: Option<String>,
    /// The kind of a problem, or the method of `preconditioner` and `train`
    name: Option<String>,
}

/// Print the JSON schema of configurations, for editors
#[derive(clap::Args)]
pub struct SchemaArgs {}

/// The sections, and what they are.
const SECTIONS: [(&str, &str); 9] = [
    ("problem", "the system that is solved: a model problem (poisson, diffusion, cube) or files"),
    ("solver", "the iteration, and when it stops"),
    ("preconditioner", "the method (`describe preconditioner NAME`): its name and its parameters"),
    ("compare", "compare: the keys beside its sections"),
    ("run", "compare: a row of the tables, [[run]]"),
    ("tune", "tune: how long, by what measure, which methods"),
    ("model", "train: the method that learns, and where the model goes"),
    ("train", "train: the parameters of training (`describe train NAME`)"),
    ("data", "train: the problems that training systems come from, or matrices in files"),
];

pub fn run(args: &Args, plugin_path: &[PathBuf]) -> Result<Status> {
    let name = args.name.as_deref();
    let mut out = String::new();
    match args.section.as_deref() {
        None => {
            out +=
                "sections of a configuration; `precondor describe SECTION` tells their keys:\n\n";
            for (name, about) in SECTIONS {
                out += &format!("  {name:<16} {about}\n");
            }
            out += "\nsolve: problem, solver, preconditioner; compare: problem, solver, run and the \
                    keys of `describe compare`;\ntune: problem, held_out (as problem), solver, preconditioner, tune; \
                    train: model, train, data\n";
        }
        Some("problem" | "data") if name.is_some_and(|name| name != "files") => {
            let kind = name.unwrap_or_default();
            let schema = schema_of(kind, plugin_path)?;
            section(&mut out, &format!("kind = \"{kind}\""), &schema);
            section(
                &mut out,
                "and with `levels` or `samples`, too",
                &schema::of::<keys::Several>(),
            );
        }
        Some("problem") => {
            section(&mut out, "a system in files", &schema::of::<keys::Files>());
            section(&mut out, "for any system", &schema::of::<keys::Beside>());
            section(&mut out, "of compare and tune", &schema::of::<keys::Several>());
            section(
                &mut out,
                "many systems in files, of compare and tune",
                &schema::of::<keys::Suite>(),
            );
            out += &kinds("problem", plugin_path)?;
        }
        Some("data") => {
            let suite = schema::of::<keys::Suite>();
            section(&mut out, "matrices in files", &suite);
            section(&mut out, "beside them", &schema::of::<keys::Held>());
            out += &kinds("data", plugin_path)?;
        }
        Some("solver") => section(&mut out, "[solver]", &schema::of::<SolverConfig>()),
        Some("compare") => {
            section(&mut out, "beside the sections", &schema::of::<keys::Comparison>());
        }
        Some("tune") => section(&mut out, "[tune]", &schema::of::<Tune>()),
        Some("run") => section(&mut out, "[[run]]", &schema::of::<keys::Run>()),
        Some("model") => section(&mut out, "[model]", &schema::of::<ModelSection>()),
        Some(what @ ("preconditioner" | "train")) => {
            let session = Session::open(plugin_path, None)?;
            match name {
                Some(name) => {
                    let method = session.generator(name)?;
                    match (what, method.train_schema()) {
                        ("preconditioner", _) => section(&mut out, name, &method.schema()),
                        (_, Some(schema)) => section(&mut out, name, &schema),
                        (_, None) => {
                            return Err(Error::Parameter(format!("{name} has nothing to train")));
                        }
                    }
                }
                None => {
                    out += &format!("`precondor describe {what} NAME` tells the keys of:\n\n");
                    let all = session.plugins().registry().iter();
                    let shown = all.filter(|m| what != "train" || m.train_schema().is_some());
                    for method in shown {
                        out += &format!("  {:<16} {}\n", method.name(), method.summary());
                    }
                }
            }
        }
        Some(other) => {
            let known = SECTIONS.map(|(name, _)| name);
            let near = schema::nearest(other, &known);
            let hint = near.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
            return Err(Error::Parameter(format!(
                "there is no section '{other}'{hint} (there are: {})",
                known.join(", ")
            )));
        }
    }
    print(&out)?;
    Ok(Status::Done)
}

fn section(out: &mut String, title: &str, schema: &Value) {
    *out += &format!("{title}:\n");
    of_method::parameters(out, schema);
}

/// The schema of a kind of problem; libraries are looked at for one that is not shipped.
fn schema_of(kind: &str, plugin_path: &[PathBuf]) -> Result<Value> {
    match Problem::schema(kind) {
        Ok(schema) => Ok(schema),
        Err(_) => Problem::schema_among(kind, Session::open(plugin_path, None)?.plugins()),
    }
}

fn kinds(section: &str, plugin_path: &[PathBuf]) -> Result<String> {
    let session = Session::open(plugin_path, None)?;
    let kinds = session.kinds()?;
    let kinds = kinds.iter().map(|(kind, _)| format!("  precondor describe {section} {kind}\n"));
    Ok(format!("model problems, of a `kind`:\n{}", kinds.collect::<String>()))
}

pub fn run_schema(_: &SchemaArgs, plugin_path: &[PathBuf]) -> Result<Status> {
    let session = Session::open(plugin_path, None)?;
    let methods: Vec<_> = session.plugins().registry().iter().cloned().collect();
    let text = serde_json::to_string_pretty(&of_configurations(&methods, &session.kinds()?)?);
    let text = text.map_err(|e| Error::Data(e.to_string()))?;
    print(&format!("{text}\n"))?;
    Ok(Status::Done)
}

/// The JSON schema of configurations of all commands: what a key may be, not which keys go together.
fn of_configurations(
    methods: &[Arc<dyn DynGenerator>],
    kinds: &[(String, Value)],
) -> Result<Value> {
    let mut definitions = Definitions::default();
    let files = definitions.add("files", &schema::of::<keys::Files>());
    let beside = schema::of::<keys::Beside>();
    let several = schema::of::<keys::Several>();
    let suite = definitions.add("suite", &schema::of::<keys::Suite>());
    let of_several = |keys: &[&str]| {
        let of = keys.iter().map(|key| ((*key).to_owned(), several["properties"][key].clone()));
        json!({ "properties": of.collect::<Map<_, _>>() })
    };
    let label = of_several(&["label"]);
    definitions.0.insert("system".into(), join(&files, &[&beside, &label], None));
    let mut problems = vec![
        join(&files, &[&beside, &label], None),
        join(&suite, &[&of_several(&["label", "sequence"])], None),
    ];
    let levels = of_several(&["levels"]);
    let held = definitions.add("held", &schema::of::<keys::Held>());
    let mut data = vec![join(&suite, &[&label, &held], None)];
    for (kind, schema) in kinds {
        let own = definitions.add(kind, schema);
        problems.push(join(&own, &[&beside, &several], Some(("kind", kind))));
        data.push(join(&own, &[&levels], Some(("kind", kind))));
    }
    let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
    let mut tables = vec![json!({ "enum": names })];
    for method in methods {
        let own = definitions.add(method.name(), &method.schema());
        tables.push(join(&own, &[], Some(("name", method.name()))));
    }
    // PETSc's own preconditioners.
    let petsc = json!({ "type": "string", "pattern": "^petsc:" });
    let table = json!({ "type": "object", "required": ["name"],
        "properties": { "name": petsc, "options": { "type": "object" } }, "additionalProperties": false });
    tables.extend([petsc, table]);
    definitions.0.insert("method".into(), json!({ "anyOf": tables }));
    definitions.0.insert("problem".into(), json!({ "anyOf": problems }));
    definitions.0.insert("data".into(), json!({ "anyOf": data }));
    let solver = definitions.add("solver", &schema::of::<SolverConfig>());
    definitions.0.insert("solver".into(), solver.clone());
    let mut rows = definitions.add("run", &schema::of::<keys::Run>());
    let mut shared = solver;
    // A row says what differs.
    if let Some(fields) = shared.as_object_mut() {
        fields.remove("required");
    }
    rows["properties"]["solver"] = shared;
    rows["additionalProperties"] = false.into();
    let model = definitions.add("model", &schema::of::<ModelSection>());
    let tune = definitions.add("tune", &schema::of::<Tune>());
    let mut properties = schema::of::<keys::Comparison>()["properties"].clone();
    renamed(&mut properties, "");
    let one_or_more = |of: &str| {
        let one = json!({ "$ref": format!("#/$defs/{of}") });
        json!({ "anyOf": [one, { "type": "array", "items": one }] })
    };
    let sections = json!({
        "problem": one_or_more("problem"),
        "solver": { "$ref": "#/$defs/solver" },
        "preconditioner": { "$ref": "#/$defs/method" },
        "run": { "type": "array", "items": rows },
        "held_out": one_or_more("problem"),
        "tune": tune,
        "model": model,
        "train": { "type": "object" },
        "data": one_or_more("data"),
    });
    if let (Some(keys), Some(sections)) = (properties.as_object_mut(), sections.as_object()) {
        keys.extend(sections.clone());
    }
    Ok(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A configuration of Precondor",
        "description": "For solve ([problem], [solver], [preconditioner]), compare ([problem], [solver], [[run]]), tune ([problem], [held_out], [solver], [preconditioner], [tune]) and train ([model], [train], [[data]]).",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "$defs": definitions.0,
    }))
}

/// The definitions of a schema that is put together of several, each with its own.
#[derive(Default)]
struct Definitions(Map<String, Value>);

impl Definitions {
    /// `schema` with its definitions moved here, under names that begin with `of`, and parameters that name methods as
    /// what a method is.
    fn add(&mut self, of: &str, schema: &Value) -> Value {
        let mut schema = schema.clone();
        let Some(fields) = schema.as_object_mut() else { return schema };
        ["$schema", "title"].iter().for_each(|key| drop(fields.remove(*key)));
        fields.retain(|key, _| !key.starts_with("x-"));
        let own = fields.remove("$defs");
        renamed(&mut schema, of);
        for (name, mut definition) in
            own.as_ref().and_then(Value::as_object).cloned().unwrap_or_default()
        {
            renamed(&mut definition, of);
            self.0.insert(format!("{of}.{name}"), definition);
        }
        schema
    }
}

/// References below `value` to definitions of `of`, and methods where methods are named.
fn renamed(value: &mut Value, of: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| renamed(item, of)),
        Value::Object(fields) => {
            if fields.get(schema::METHOD) == Some(&Value::Bool(true)) {
                fields.retain(|key, _| matches!(key.as_str(), "description" | "default"));
                fields.insert("$ref".into(), "#/$defs/method".into());
                return;
            }
            // What has no name of its own refers to what has one already.
            if let Some(Value::String(target)) = fields.get_mut("$ref")
                && !of.is_empty()
            {
                *target = target.replacen("#/$defs/", &format!("#/$defs/{of}."), 1);
            }
            fields.retain(|key, _| !key.starts_with("x-"));
            fields.values_mut().for_each(|field| renamed(field, of));
        }
        _ => {}
    }
}

/// A table with the keys of `own`, those of `more`, and one with a fixed value, which must be there.
fn join(own: &Value, more: &[&Value], fixed: Option<(&str, &str)>) -> Value {
    let mut joined = own.clone();
    for of in more {
        for (key, field) in of["properties"].as_object().into_iter().flatten() {
            let mut field = field.clone();
            renamed(&mut field, "");
            joined["properties"][key] = field;
        }
    }
    if let Some((key, value)) = fixed {
        joined["properties"][key] = json!({ "const": value });
        let required = joined["required"].as_array().cloned().unwrap_or_default();
        joined["required"] = [vec![json!(key)], required].concat().into();
    }
    joined["type"] = "object".into();
    joined["additionalProperties"] = false.into();
    joined
}
