//! Sections that name a method: `name`, and that method's own parameters.
use super::node::{Content, Node};
use crate::registry::Registry;
use crate::schema;
use crate::{Error, Result};
use serde_json::{Map, Value};

/// How deep methods may be nested in one another.
pub const MAX_DEPTH: usize = 8;

/// A method and its parameters, checked against its schema.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodConfig {
    /// The name in the registry.
    pub name: String,
    /// Parameters, as [`DynGenerator::generate`](crate::registry::DynGenerator::generate) takes
    /// them; paths of files start at the folder of the configuration.
    pub params: Value,
}

/// Reads a section that names a method: a table with `name`, or the name alone. Parameters that
/// name methods themselves are checked the same way.
///
/// # Errors
/// [`Error::Parameter`] that shows the place: no such method, a key or value that its schema does
/// not allow, methods nested deeper than [`MAX_DEPTH`].
pub fn method(node: &Node, registry: &Registry) -> Result<MethodConfig> {
    nested(node, registry, &mut Vec::new())
}

fn nested(node: &Node, registry: &Registry, chain: &mut Vec<String>) -> Result<MethodConfig> {
    let mut params = node.clone();
    let name = match node.content() {
        Content::Scalar(_) => node.clone(),
        _ => {
            let missing = || node.error("'name' is missing: the method to use");
            params.take("name").ok_or_else(missing)?
        }
    };
    let found = registry.get(name.text()?);
    let method = found.map_err(|e| match e {
        Error::Parameter(why) => name.error(why),
        other => other,
    })?;
    chain.push(method.name().to_owned());
    if chain.len() > MAX_DEPTH {
        let chain = chain.join(" → ");
        return Err(node.error(format!("more than {MAX_DEPTH} methods in one another: {chain}")));
    }
    let mut json = match params.content() {
        Content::Scalar(_) => Value::Object(Map::new()),
        _ => params.json(),
    };
    let schema = method.schema();
    params.check(&schema, &json)?;
    complete(&schema, &schema, &params, &mut json, registry, chain)?;
    chain.pop();
    Ok(MethodConfig { name: method.name().to_owned(), params: json })
}

/// Checks inner methods and makes paths absolute, wherever the schema marks them.
fn complete(
    root: &Value,
    schema: &Value,
    node: &Node,
    json: &mut Value,
    registry: &Registry,
    chain: &mut Vec<String>,
) -> Result<()> {
    let schema = schema::resolve(root, schema);
    if schema[schema::METHOD] == Value::Bool(true) {
        let inner = nested(node, registry, chain)?;
        if let (Value::Object(json), Value::Object(params)) = (json, inner.params) {
            json.extend(params);
        }
        return Ok(());
    }
    if schema[schema::FILE] == Value::Bool(true) && json.is_string() {
        *json = node.path()?.to_string_lossy().into();
        return Ok(());
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        for part in schema[key].as_array().into_iter().flatten() {
            complete(root, part, node, json, registry, chain)?;
        }
    }
    if let (Content::Table(keys), Some(known)) = (node.content(), schema["properties"].as_object())
    {
        for (key, child) in keys {
            if let (Some(of_child), Some(json)) = (known.get(key), json.get_mut(key)) {
                complete(root, of_child, child, json, registry, chain)?;
            }
        }
    }
    Ok(())
}
