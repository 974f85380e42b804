//! What has to hold of a schema itself before anything is checked against it.
use super::{Fault, at, resolve};
use serde_json::Value;
use std::collections::HashMap;

/// Levels of a schema whose references are followed, at most: what walks through one goes so deep.
const DEPTH: usize = 256;
/// Parts of a schema whose references are followed, at most.
const PARTS: u64 = 100_000;

/// Keywords whose values are data, or texts for people.
const DATA: [&str; 4] = ["default", "const", "enum", "examples"];
/// Keywords whose values are tables of schemas, under names that may be any.
const TABLES: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];

/// Why `schema` has no end, or none that is near, where its references are followed: it refers to itself,
/// to what is not there, or to so much that nothing that walks through it would come to an end. A text
/// that follows "its schema".
pub fn endless(schema: &Value) -> Option<String> {
    let mut walk = Walk { root: schema, open: vec![""], known: HashMap::new() };
    walk.extent(schema, 0).err()
}

/// How much of a schema there is, references followed.
#[derive(Clone, Copy, Default)]
struct Extent {
    parts: u64,
    depth: usize,
}

struct Walk<'a> {
    root: &'a Value,
    /// References that are being followed; the root is the first.
    open: Vec<&'a str>,
    known: HashMap<&'a str, Extent>,
}

impl<'a> Walk<'a> {
    /// The extent of what is `above` levels below the root.
    fn extent(&mut self, schema: &'a Value, above: usize) -> Result<Extent, String> {
        let mut all = Extent { parts: 1, depth: 0 };
        let mut add = |part: Extent| {
            all.parts = all.parts.saturating_add(part.parts);
            all.depth = all.depth.max(part.depth + 1);
            let large = above + all.depth > DEPTH || all.parts > PARTS;
            let text =
                format!("has more than {PARTS} parts, or {DEPTH} levels, with its references");
            if large { Err(text) } else { Ok(()) }
        };
        if let Some(target) = schema["$ref"].as_str() {
            add(self.target(target, above + 1)?)?;
        }
        for part in parts(schema) {
            add(self.extent(part, above + 1)?)?;
        }
        Ok(all)
    }

    /// The extent of what a reference points to.
    fn target(&mut self, target: &'a str, above: usize) -> Result<Extent, String> {
        let target = target.trim_start_matches('#');
        if let Some(extent) = self.known.get(target) {
            return Ok(*extent);
        }
        if let Some(at) = self.open.iter().position(|open| *open == target) {
            let chain = self.open[at..].iter().chain([&target]).map(|part| format!("#{part}"));
            return Err(format!("refers to itself: {}", chain.collect::<Vec<_>>().join(" → ")));
        }
        let there = self.root.pointer(target);
        let there = there.ok_or_else(|| format!("refers to '#{target}', which is not there"))?;
        if above > DEPTH {
            return Err(format!("has references that are more than {DEPTH} levels deep"));
        }
        self.open.push(target);
        let extent = self.extent(there, above)?;
        self.open.pop();
        self.known.insert(target, extent);
        Ok(extent)
    }
}

/// The schemas that stand in `schema`.
fn parts(schema: &Value) -> Vec<&Value> {
    let mut all = Vec::new();
    for (key, value) in schema.as_object().into_iter().flatten() {
        if TABLES.contains(&key.as_str()) {
            all.extend(value.as_object().into_iter().flatten().map(|(_, schema)| schema));
        } else if !DATA.contains(&key.as_str()) && !key.starts_with("x-") {
            match value {
                Value::Array(several) => all.extend(several),
                one => all.push(one),
            }
        }
    }
    all
}

/// The defaults in `schema` that it does not allow itself, each as a fault of the parameter; the schema
/// has an [end](endless).
pub fn misfits(schema: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    defaults(schema, schema, &mut Vec::new(), &mut faults);
    faults
}

fn defaults(root: &Value, schema: &Value, path: &mut Vec<String>, faults: &mut Vec<Fault>) {
    for (name, of) in schema["properties"].as_object().into_iter().flatten() {
        path.push(name.clone());
        if let Some(default) = of.get("default").or(resolve(root, of).get("default")) {
            faults.extend(at(root, of, default, &mut path.clone()).err());
        }
        defaults(root, resolve(root, of), path, faults);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_that_refers_to_itself_is_told_from_one_that_is_shared() {
        for (schema, why) in [
            (json!({"$ref": "#"}), "refers to itself: # → #"),
            (
                json!({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {
                    "A": {"anyOf": [{"$ref": "#/$defs/B"}, {"type": "null"}]},
                    "B": {"items": {"$ref": "#/$defs/A"}},
                }}),
                "refers to itself: #/$defs/B → #/$defs/A → #/$defs/B",
            ),
            (
                json!({"properties": {"default": {"$ref": "#/properties/default"}}}),
                "refers to itself: #/properties/default → #/properties/default",
            ),
            (
                json!({"properties": {"a": {"$ref": "#/$defs/A"}}}),
                "'#/$defs/A', which is not there",
            ),
            (json!({"allOf": [{"$ref": "https://example.org/"}]}), "which is not there"),
        ] {
            let got = endless(&schema).unwrap_or_default();
            assert!(got.contains(why), "{schema}: {got}");
        }
        let twice = json!({"properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A"}},
            "$defs": {"A": {"type": "number", "default": {"$ref": "no reference"}}}});
        assert_eq!(endless(&twice), None);
    }

    #[test]
    fn a_schema_that_doubles_with_every_reference_is_refused() {
        let mut defs = serde_json::Map::new();
        for k in 0..60 {
            let next = json!({"$ref": format!("#/$defs/d{}", k + 1)});
            defs.insert(format!("d{k}"), json!({"anyOf": [next, next]}));
        }
        defs.insert("d60".into(), json!({"type": "number"}));
        let schema = json!({"$ref": "#/$defs/d0", "$defs": defs});
        assert!(endless(&schema).is_some_and(|why| why.contains("more than 100000 parts")));
        // A long chain, which would take the stack of whoever follows it.
        let link = |k: usize| (format!("d{k}"), json!({"$ref": format!("#/$defs/d{}", k + 1)}));
        let mut defs: serde_json::Map<_, _> = (0..100_000).map(link).collect();
        defs.insert("d100000".into(), json!({}));
        let schema = json!({"$ref": "#/$defs/d0", "$defs": defs});
        assert!(endless(&schema).is_some_and(|why| why.contains("256 levels")));
    }

    #[test]
    fn defaults_outside_of_their_own_range_are_named() {
        let schema = json!({"properties": {
            "damping": {"type": "number", "maximum": 1.0, "default": 2.0},
            "sweep": {"$ref": "#/$defs/Sweep", "default": "sideways"},
            "inner": {"properties": {"rows": {"type": "integer", "default": 0.5}}},
            "fine": {"type": ["number", "null"], "default": null},
        }, "$defs": {"Sweep": {"enum": ["forward", "backward"]}}});
        let faults = misfits(&schema).into_iter().map(|f| crate::Error::from(f).to_string());
        let faults: Vec<String> = faults.collect();
        assert_eq!(faults.len(), 3, "{faults:?}");
        for (fault, why) in faults.iter().zip([
            "parameter 'damping': 2.0 must be at most 1",
            "parameter 'inner.rows': 0.5 is not of type integer",
            "parameter 'sweep': \"sideways\" is not one of \"forward\", \"backward\"",
        ]) {
            assert!(fault.contains(why), "{fault}");
        }
    }
}
