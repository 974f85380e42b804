//! TOML configurations: a tree of values that remember where they stand, so that every complaint
//! shows file, line, column and a caret.
//!
//! A section is read in two steps that share one statement of keys, ranges and defaults, a derived
//! JSON schema: [`Node::read`] checks the values against it, maps a fault back to its place, then
//! deserialises. Sections of methods are checked the same way against the method's own schema
//! ([`method()`]), which only the one who loaded the method knows.
mod backend;
mod method;
mod node;
mod place;
mod solver;

pub use backend::{Backend, PETSC, check_options};
pub use method::{MethodConfig, method};
pub use node::{Content, Node};
pub use solver::{
    Assume, Check, FallbackConfig, FallbackPlan, Side, SolverConfig, SolverKind, StopRule,
};

use crate::{Error, Result, input};
use place::{Place, Source};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The text of a configuration file.
///
/// # Errors
/// [`Error::File`] where it cannot be read.
pub fn text(path: &Path) -> Result<String> {
    input::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Error::file(path, "is not a text file in UTF-8"),
        _ => Error::file(path, format!("cannot read the configuration: {e}")),
    })
}

/// Parses `text`, that of the file at `path`. Paths in it are relative to its folder.
///
/// # Errors
/// As [`parse`].
pub fn of_file(path: &Path, text: &str) -> Result<Node> {
    parse(&path.display().to_string(), path.parent().unwrap_or(Path::new("")), text)
}

/// Reads a configuration file.
///
/// # Errors
/// Those of [`text`] and [`of_file`].
pub fn read(path: &Path) -> Result<Node> {
    of_file(path, &text(path)?)
}

/// Parses a configuration; `name` stands for it in messages, relative paths start at `folder`.
///
/// # Errors
/// [`Error::Parameter`] with the place where it is no TOML.
pub fn parse(name: &str, folder: &Path, text: &str) -> Result<Node> {
    let source = Arc::new(Source::file(name, folder, text));
    let whole = Place::new(&source, 0..0);
    match toml::de::DeTable::parse(text) {
        Ok(table) => Node::table(table.into_inner(), &source, whole),
        Err(e) => {
            let span = e.span().unwrap_or(text.len()..text.len());
            Err(Place::new(&source, span).complain(e.message().replace('\n', "; ")))
        }
    }
}

/// Carries out one `KEY=VALUE` override: `KEY` is a path of keys joined by dots (a number picks
/// from a list), `VALUE` a TOML value, or a string that needs no quotes. Relative paths in it start
/// at the current folder.
///
/// # Errors
/// [`Error::Parameter`] naming the flag where it is not of that form or leads nowhere.
pub fn set(root: &mut Node, flag: &str) -> Result<()> {
    let source = Arc::new(Source::option(&format!("--set {flag}")));
    let place = |span| Place::new(&source, span);
    let Some((path, text)) = flag.split_once('=') else {
        return Err(place(0..0).complain("it must look like section.key=value".to_owned()));
    };
    let text = text.trim();
    let value = match toml::de::DeValue::parse(text) {
        Ok(value) => Node::value(value.into_inner(), &source, place(0..0), None)?,
        Err(_) => Node::string(text, place(0..0)),
    };
    let keys: Vec<&str> = path.split('.').map(str::trim).collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(place(0..0).complain(format!("'{path}' is not a path of keys joined by dots")));
    }
    put_node(root, &keys, value, &place(0..0))
}

/// Puts `value` at the path of `keys`, as an option of a program asks for. `said` is that option as it
/// was given; complaints about the value begin with it.
///
/// # Errors
/// [`Error::Parameter`] where the path leads nowhere.
pub fn put(root: &mut Node, keys: &[&str], value: serde_json::Value, said: &str) -> Result<()> {
    let place = Place::new(&Arc::new(Source::option(said)), 0..0);
    put_node(root, keys, Node::of(value, &place), &place)
}

fn put_node(root: &mut Node, keys: &[&str], value: Node, place: &Place) -> Result<()> {
    let Some((last, parents)) = keys.split_last() else { return Ok(()) };
    let mut node = root;
    for key in parents {
        node = node.child_mut(key, place)?;
    }
    *node.child_mut(last, place)? = value.keyed(place.clone());
    Ok(())
}

/// A configuration as TOML: what is null is left out.
///
/// # Errors
/// [`Error::Data`] where `value` is no table.
pub fn written(value: &serde_json::Value) -> Result<String> {
    fn whole(value: &serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match value {
            Value::Array(items) => items.iter().map(whole).collect(),
            Value::Object(fields) => {
                let there = fields.iter().filter(|(_, value)| !value.is_null());
                Value::Object(there.map(|(key, value)| (key.clone(), whole(value))).collect())
            }
            other => other.clone(),
        }
    }
    toml::to_string(&whole(value)).map_err(|e| Error::Data(e.to_string()))
}

/// `own` on top of `shared`: keys that only `shared` has are taken over.
#[must_use]
pub fn over(own: &Node, shared: &Node) -> Node {
    let (Content::Table(own_keys), Content::Table(shared_keys)) = (own.content(), shared.content())
    else {
        return own.clone();
    };
    let mut keys: BTreeMap<String, Node> = shared_keys.clone();
    keys.extend(own_keys.iter().map(|(key, node)| (key.clone(), node.clone())));
    own.with(Content::Table(keys))
}

#[cfg(test)]
mod tests;
