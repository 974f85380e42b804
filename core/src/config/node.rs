//! A configuration as a tree.
use super::place::{Place, Source};
use crate::schema::{self, Fault};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::{DeString, DeTable, DeValue};

/// A value of a configuration that knows where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// The key that leads here; the value itself for items of a list.
    key: Place,
    at: Place,
    content: Content,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// A string, number or boolean.
    Scalar(Value),
    /// An array, of tables too.
    List(Vec<Node>),
    /// A table.
    Table(BTreeMap<String, Node>),
}

impl Node {
    pub(super) fn value(
        value: DeValue<'_>,
        source: &Arc<Source>,
        at: Place,
        key: Option<Place>,
    ) -> Result<Node> {
        let number = |text: &str, number: Option<Number>| {
            let error = || at.complain(format!("{text} is out of range or not a finite number"));
            number.map(|n| Content::Scalar(Value::Number(n))).ok_or_else(error)
        };
        let content = match value {
            DeValue::String(text) => Content::Scalar(Value::String(text.into_owned())),
            DeValue::Boolean(b) => Content::Scalar(Value::Bool(b)),
            DeValue::Integer(i) => {
                let parse = |text: &str| {
                    let signed = i64::from_str_radix(text, i.radix()).map(Number::from);
                    signed.or_else(|_| u64::from_str_radix(text, i.radix()).map(Number::from)).ok()
                };
                number(i.as_str(), parse(i.as_str()))?
            }
            DeValue::Float(f) => {
                number(f.as_str(), f.as_str().parse().ok().and_then(Number::from_f64))?
            }
            DeValue::Datetime(_) => {
                return Err(at.complain("a date has no use here; quote it if it is text".into()));
            }
            DeValue::Array(list) => {
                let item = |item: toml::Spanned<DeValue<'_>>| {
                    let place = Place::new(source, item.span());
                    Node::value(item.into_inner(), source, place, None)
                };
                Content::List(list.into_iter().map(item).collect::<Result<_>>()?)
            }
            DeValue::Table(table) => return Ok(Node::table(table, source, at)?.keyed_by(key)),
        };
        Ok(Node { key: at.clone(), at, content }.keyed_by(key))
    }

    pub(super) fn table(table: DeTable<'_>, source: &Arc<Source>, at: Place) -> Result<Node> {
        let entry = |(key, value): (toml::Spanned<DeString<'_>>, toml::Spanned<DeValue<'_>>)| {
            let name = key.get_ref().to_string();
            let (key, at) = (Place::new(source, key.span()), Place::new(source, value.span()));
            Ok((name, Node::value(value.into_inner(), source, at, Some(key))?))
        };
        let keys = table.into_iter().map(entry).collect::<Result<_>>()?;
        Ok(Node { key: at.clone(), at, content: Content::Table(keys) })
    }

    pub(super) fn string(text: &str, at: Place) -> Node {
        Node { key: at.clone(), at, content: Content::Scalar(text.into()) }
    }

    /// JSON, all of which stands at `at`.
    pub(super) fn of(value: Value, at: &Place) -> Node {
        let content = match value {
            Value::Array(items) => {
                Content::List(items.into_iter().map(|item| Node::of(item, at)).collect())
            }
            Value::Object(fields) => {
                let child = |(key, value)| (key, Node::of(value, at));
                Content::Table(fields.into_iter().map(child).collect())
            }
            scalar => Content::Scalar(scalar),
        };
        Node { key: at.clone(), at: at.clone(), content }
    }

    pub(super) fn keyed(mut self, key: Place) -> Node {
        self.key = key;
        self
    }

    fn keyed_by(self, key: Option<Place>) -> Node {
        match key {
            Some(key) => self.keyed(key),
            None => self,
        }
    }

    pub(super) fn with(&self, content: Content) -> Node {
        Node { key: self.key.clone(), at: self.at.clone(), content }
    }

    /// A text that stands where this value does.
    pub fn with_text(&self, text: &str) -> Node {
        self.with(Content::Scalar(text.into()))
    }

    /// A list that stands where this value does.
    pub fn with_items(&self, items: Vec<Node>) -> Node {
        self.with(Content::List(items))
    }

    /// A table with this value under `key`, which stands where this value does.
    pub fn under(&self, key: &str) -> Node {
        self.with(Content::Table(BTreeMap::from([(key.to_owned(), self.clone())])))
    }

    /// The child `key`, made as an empty table where there is none.
    pub(super) fn child_mut(&mut self, key: &str, place: &Place) -> Result<&mut Node> {
        // A method named by a string gets a section of its own: `method.damping=…` after
        // `method = "jacobi"`.
        if matches!(self.content, Content::Scalar(Value::String(_))) {
            let keys = BTreeMap::from([("name".to_owned(), self.clone())]);
            self.content = Content::Table(keys);
        }
        let new = || Node {
            key: place.clone(),
            at: place.clone(),
            content: Content::Table(BTreeMap::new()),
        };
        // A list that flags made is theirs to fill, item after item; one of a file has the length that it
        // has there.
        let by_flag = self.at.by_flag();
        if by_flag && key == "0" && matches!(&self.content, Content::Table(keys) if keys.is_empty())
        {
            self.content = Content::List(Vec::new());
        }
        match &mut self.content {
            Content::Table(keys) => Ok(keys.entry(key.to_owned()).or_insert_with(new)),
            Content::List(items) => {
                let count = items.len();
                if by_flag && key.parse() == Ok(count) {
                    items.push(new());
                }
                let item = key.parse::<usize>().ok().and_then(|i| items.get_mut(i));
                item.ok_or_else(|| {
                    place.complain(format!("'{key}' is not one of the {count} items, 0 the first"))
                })
            }
            Content::Scalar(value) => {
                Err(place.complain(format!("there is the value {value} where '{key}' would go")))
            }
        }
    }

    /// What is here.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The child under `key` of a table.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.content {
            Content::Table(keys) => keys.get(key),
            _ => None,
        }
    }

    /// Takes the child under `key` out of a table.
    pub fn take(&mut self, key: &str) -> Option<Node> {
        match &mut self.content {
            Content::Table(keys) => keys.remove(key),
            _ => None,
        }
    }

    /// The same table with `child` under `key`.
    #[must_use]
    pub fn with_child(mut self, key: &str, child: &Node) -> Node {
        if let Content::Table(keys) = &mut self.content {
            keys.insert(key.to_owned(), child.clone());
        }
        self
    }

    /// The items of a list; the node itself where it is none.
    pub fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// The value without its places.
    pub fn json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Node::json).collect(),
            Content::Table(keys) => {
                Value::Object(keys.iter().map(|(key, node)| (key.clone(), node.json())).collect())
            }
        }
    }

    /// The text here.
    ///
    /// # Errors
    /// [`Error::Parameter`] where something else is here.
    pub fn text(&self) -> Result<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Ok(text),
            _ => Err(self.wrong("is not of type string")),
        }
    }

    /// True or false.
    ///
    /// # Errors
    /// [`Error::Parameter`] for anything else.
    pub fn yes(&self) -> Result<bool> {
        match &self.content {
            Content::Scalar(Value::Bool(yes)) => Ok(*yes),
            _ => Err(self.wrong("is neither true nor false")),
        }
    }

    /// The folder that relative paths here start at: that of the configuration, or the current one
    /// for a `--set`.
    pub fn folder(&self) -> &Path {
        self.at.folder()
    }

    /// The path here, from [`folder`](Node::folder) on where it is relative.
    ///
    /// # Errors
    /// As [`text`](Node::text).
    pub fn path(&self) -> Result<PathBuf> {
        Ok(self.folder().join(self.text()?))
    }

    /// Whether the value comes from a `--set`.
    pub fn by_flag(&self) -> bool {
        self.at.by_flag()
    }

    /// Where the key stands: file, line and column, or the flag.
    pub fn whereabouts(&self) -> String {
        self.key.name()
    }

    /// A complaint about the value here.
    pub fn wrong(&self, why: &str) -> Error {
        match &self.content {
            Content::Scalar(value) => self.at.complain(format!("{value} {why}")),
            Content::List(_) => self.at.complain(format!("this list {why}")),
            Content::Table(_) => self.at.complain(format!("this table {why}")),
        }
    }

    /// A complaint that shows the value here.
    pub fn error(&self, why: impl Into<String>) -> Error {
        self.at.complain(why.into())
    }

    /// A complaint that shows the key that leads here.
    pub fn key_error(&self, why: impl Into<String>) -> Error {
        self.key.complain(why.into())
    }

    /// Refuses a node that is no table, and keys other than `known`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for the first such key, with the nearest known one.
    pub fn only(&self, known: &[impl AsRef<str>]) -> Result<()> {
        let Content::Table(keys) = &self.content else {
            return Err(self.wrong("is not a table of keys and values"));
        };
        match keys.iter().find(|(key, _)| !known.iter().any(|one| one.as_ref() == key.as_str())) {
            Some((key, node)) => {
                let known: Vec<String> = known.iter().map(|one| one.as_ref().to_owned()).collect();
                Err(node.key_error(format!("'{key}': {}", schema::unknown(key, known.iter()))))
            }
            None => Ok(()),
        }
    }

    /// The value of a key that must be there; `why` is the complaint where it is not, and no key that is there
    /// was meant for it. `known` are the other keys that may be there, where they are known.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a misspelt key, or else for the one that is missing.
    pub fn needed(&self, key: &str, known: Option<&[&str]>, why: &str) -> Result<&Node> {
        if let Some(node) = self.get(key) {
            return Ok(node);
        }
        let Content::Table(keys) = &self.content else { return Err(self.error(why)) };
        let meant = |word: &str| schema::nearest(word, &[key]).is_some();
        let others = known.unwrap_or_default();
        let near = keys.iter().find(|(word, _)| !others.contains(&word.as_str()) && meant(word));
        if let Some((word, node)) = near {
            let why = format!("'{word}': there is no such key; did you mean '{key}'?");
            return Err(node.key_error(why));
        }
        known.map_or(Ok(()), |known| self.only(known))?;
        Err(self.error(why))
    }

    /// Reads the table here as a `T`, whose schema says what is allowed.
    ///
    /// # Errors
    /// [`Error::Parameter`] that shows the place of the first fault.
    pub fn read<T: JsonSchema + DeserializeOwned + 'static>(&self) -> Result<T> {
        let json = self.json();
        self.check(&schema::of::<T>(), &json)?;
        serde_json::from_value(json).map_err(|e| self.error(e.to_string()))
    }

    /// Checks `json`, the value here, against `schema`.
    ///
    /// # Errors
    /// As [`read`](Node::read).
    pub fn check(&self, schema: &Value, json: &Value) -> Result<()> {
        schema::fault(schema, json).map_or(Ok(()), |fault| Err(self.fault(&fault)))
    }

    /// The complaint for a fault of the value here.
    pub fn fault(&self, fault: &Fault) -> Error {
        let mut node = self;
        for step in &fault.path {
            let next = match &node.content {
                Content::Table(keys) => keys.get(step),
                Content::List(items) => step.parse().ok().and_then(|i: usize| items.get(i)),
                Content::Scalar(_) => None,
            };
            let Some(next) = next else { break };
            node = next;
        }
        let why = match fault.path.last() {
            Some(key) if key.parse::<usize>().is_err() => format!("'{key}': {}", fault.why),
            _ => fault.why.clone(),
        };
        if fault.of_key { node.key_error(why) } else { node.error(why) }
    }
}
