//! `describe` and `schema`: every key of a configuration, for readers and for editors.
use crate::support::{program, run};
use serde_json::Value;

fn said(arguments: &[&str]) -> String {
    let ran = run(program().args(arguments));
    assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.err);
    ran.out
}

#[test]
fn every_section_is_described_with_its_keys() {
    let all = said(&["describe"]);
    for (section, keys) in [
        (
            "problem",
            &["matrix", "matrices", "rhs", "null_space", "samples", "describe problem poisson"][..],
        ),
        ("solver", &["method", "tolerance: number > 0", "absolute_tolerance", "divergence"]),
        ("preconditioner", &["ilu", "auto", "describe preconditioner NAME"]),
        ("compare", &["title", "repeats: integer", "time_limit: number > 0"]),
        ("run", &["label", "reuse: true or false", "preconditioner: a method"]),
        ("tune", &["budget: number > 0", "measure: one of", "methods: a list of methods"]),
        ("model", &["checkpoint_every", "output"]),
        ("train", &["mlp-reference", "auto"]),
        ("data", &["describe data cube"]),
    ] {
        assert!(all.contains(&format!("  {section} ")), "{all}");
        let out = said(&["describe", section]);
        for key in keys {
            assert!(out.contains(key), "describe {section} lacks {key}: {out}");
        }
    }
    assert!(said(&["describe", "problem", "poisson"]).contains("shift: number ≥ 0"));
    assert!(said(&["describe", "preconditioner", "ilu"]).contains("drop_tolerance: number ≥ 0"));
    assert!(said(&["describe", "train", "mlp-reference"]).contains("steps: integer"));
    run(program().args(["describe", "solvr"])).fails_with(&["'solvr'", "did you mean 'solver'?"]);
    run(program().args(["describe", "train", "ilu"])).fails_with(&["ilu has nothing to train"]);
    run(program().args(["describe", "problem", "poison"])).fails_with(&["did you mean 'poisson'?"]);
}

#[test]
fn the_guide_shows_what_is_described() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let mut seen = 0;
    for part in page.split("## `precondor ").skip(1) {
        let (command, rest) = part.split_once("`\n\n```text\n").expect("a command and a block");
        let shown = rest.split("\n```").next().expect("text");
        let arguments: Vec<&str> = command.split(' ').collect();
        assert_eq!(said(&arguments).trim_end(), shown, "docs/configuration.md, {command}");
        seen += 1;
    }
    assert!(seen > 6);
}

/// What `doc` breaks of `of` within `root`, as far as this reads JSON schemas: references, alternatives, types, keys
/// and constants.
fn fault(root: &Value, of: &Value, doc: &Value) -> Option<String> {
    if let Some(target) = of["$ref"].as_str() {
        let there = root.pointer(target.trim_start_matches('#'));
        let there = there.unwrap_or_else(|| panic!("{target} leads nowhere"));
        return fault(root, there, doc);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(all) = of[key].as_array() {
            let faults: Vec<_> = all.iter().map(|one| fault(root, one, doc)).collect();
            if faults.iter().all(Option::is_some) {
                return Some(format!("{doc} is none of {}: {faults:?}", all.len()));
            }
        }
    }
    let named = match doc {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
    };
    let fits = |kind: &str| kind == named || (kind, named) == ("number", "integer");
    let kinds: Vec<&str> = match &of["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| fits(kind)) {
        return Some(format!("{doc} is no {kinds:?}"));
    }
    if let Some(constant) = of.get("const").filter(|constant| *constant != doc) {
        return Some(format!("{doc} is not {constant}"));
    }
    if let Some(all) = of["enum"].as_array().filter(|all| !all.contains(doc)) {
        return Some(format!("{doc} is not one of {all:?}"));
    }
    if let Some(start) = of["pattern"].as_str() {
        let start = start.trim_start_matches('^');
        if doc.as_str().is_some_and(|text| !text.starts_with(start)) {
            return Some(format!("{doc} does not begin with {start}"));
        }
    }
    for (key, value) in doc.as_object().into_iter().flatten() {
        match of["properties"].get(key) {
            Some(property) => {
                if let Some(why) = fault(root, property, value) {
                    return Some(format!("{key}: {why}"));
                }
            }
            None if of["additionalProperties"] == Value::Bool(false) => {
                return Some(format!("there is no key {key}"));
            }
            None => {}
        }
    }
    let missing = |key: &&Value| key.as_str().is_some_and(|key| doc.get(key).is_none());
    if let Some(key) = of["required"].as_array().into_iter().flatten().find(missing) {
        return Some(format!("{key} is missing"));
    }
    let items = doc.as_array().into_iter().flatten().filter(|_| of["items"].is_object());
    items.filter_map(|item| fault(root, &of["items"], item)).next()
}

#[test]
fn the_schema_for_editors_takes_all_examples_and_is_the_one_that_is_kept() {
    let text = said(&["schema"]);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = std::fs::read_to_string(root.join("docs/config.schema.json")).expect("it");
    let made: Value = serde_json::from_str(&text).expect("JSON");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    assert!(made == kept, "precondor schema > docs/config.schema.json");
    // Every reference leads somewhere.
    let mut open = vec![&made];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                    assert!(made.pointer(target.trim_start_matches('#')).is_some(), "{target}");
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    let read = |path: &std::path::Path| precondor_core::config::read(path).expect("TOML").json();
    let mut seen = 0;
    for entry in std::fs::read_dir(root.join("examples")).expect("examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            assert_eq!(fault(&made, &made, &read(&path)), None, "{}", path.display());
            let first = std::fs::read_to_string(&path).expect("text");
            assert!(
                first.starts_with("#:schema ../docs/config.schema.json\n"),
                "{}",
                path.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 8);
    // What is misspelt, or of another type, is seen.
    for wrong in [
        "problem.kind = 'poisson'\nproblem.levl = 3",
        "problem.kind = 'poison'",
        "solver.tolerance = 'small'",
        "solver.method = 'cgg'",
        "preconditioner = { name = 'ilu', levels = 1 }",
        "preconditioner = 'illu'",
        "run = [{ preconditioner = { name = 'schwarz', method = { name = 'ilu', lvl = 1 } } }]",
        "solvr = {}",
    ] {
        let doc = precondor_core::config::parse("", std::path::Path::new(""), wrong).expect(wrong);
        assert!(fault(&made, &made, &doc.json()).is_some(), "{wrong}");
    }
}
