//! Sections that name a method: `name`, and that method's own parameters.
use super::node::{Content, Node};
use crate::schema::Fault;
use crate::{Error, Result};
use serde_json::{Map, Value};

/// A method and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodConfig {
    /// The name in the registry.
    pub name: String,
    /// Parameters, as [`DynGenerator::generate`](crate::registry::DynGenerator::generate) takes
    /// them.
    pub params: Value,
}

/// Reads a section that names a method: a table with `name`, or the name alone.
///
/// `check` says what is wrong with the parameters of a method, those of inner methods included; it
/// belongs to whoever knows all methods.
///
/// # Errors
/// [`Error::Parameter`] that shows the place: no such method, a key or a value that its schema does
/// not allow.
pub fn method(
    node: &Node,
    check: impl FnOnce(&str, &Value) -> Result<Option<Fault>>,
) -> Result<MethodConfig> {
    let mut section = node.clone();
    let (name, params) = match node.content() {
        Content::Scalar(_) => (node.clone(), Value::Object(Map::new())),
        _ => {
            let name = node.needed("name", None, "'name' is missing: the method to use")?.clone();
            section.take("name");
            (name, section.json())
        }
    };
    match check(name.text()?, &params) {
        Ok(None) => Ok(MethodConfig { name: name.text()?.to_owned(), params }),
        Ok(Some(fault)) => Err(section.fault(&fault)),
        Err(Error::Parameter(why)) => Err(name.error(why)),
        Err(other) => Err(other),
    }
}
