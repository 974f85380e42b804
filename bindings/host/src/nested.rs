//! Parameters that name methods: their sections are checked against those methods' schemas.
use crate::chain;
use crate::services::Peers;
use precondor_core::registry::Registry;
use precondor_core::schema::{self, Fault, METHOD};
use precondor_core::{Error, Result};
use serde_json::{Map, Value};

type Checked = std::result::Result<(), Fault>;

/// The first fault of `params` for the method `name`, inner methods' sections included.
///
/// # Errors
/// [`Error::Parameter`] for an unknown name.
pub fn fault(registry: &Registry, name: &str, params: &Value) -> Result<Option<Fault>> {
    let schema = registry.get(name)?.schema();
    Ok(check_all(Some(registry), &schema, params, &mut vec![name.to_owned()]).err())
}

/// Checks `params` of the method `name` with `schema`.
pub(crate) fn check(name: &str, schema: &Value, peers: &Peers, params: &Value) -> Result<()> {
    let registry = peers.registry();
    let chain = &mut vec![name.to_owned()];
    check_all(registry.as_deref(), schema, params, chain).map_err(Error::from)
}

/// Checks parameters of the last method of `chain`; without a registry, no inner methods.
fn check_all(
    registry: Option<&Registry>,
    schema: &Value,
    params: &Value,
    chain: &mut Vec<String>,
) -> Checked {
    // Names of inner methods are no parameters of theirs; the schema of who names them says what
    // may stand there.
    if let Some(fault) = schema::fault(schema, params) {
        return Err(fault);
    }
    registry.map_or(Ok(()), |registry| inner_ones(registry, schema, schema, params, chain))
}

/// Checks the sections of inner methods, wherever the schema marks them.
fn inner_ones(
    registry: &Registry,
    root: &Value,
    schema: &Value,
    value: &Value,
    chain: &mut Vec<String>,
) -> Checked {
    let schema = schema::resolve(root, schema);
    if schema[METHOD] == Value::Bool(true) {
        return inner(registry, value, chain);
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        for part in schema[key].as_array().into_iter().flatten() {
            inner_ones(registry, root, part, value, chain)?;
        }
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        if let Some((_, of_field)) = schema::parameter(schema, key) {
            below(key, inner_ones(registry, root, of_field, value, chain))?;
        }
    }
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(items) = schema["prefixItems"].get(i).or(schema.get("items")) {
            below(&i.to_string(), inner_ones(registry, root, items, item, chain))?;
        }
    }
    Ok(())
}

/// The result of a check of what is under `key`.
fn below(key: &str, checked: Checked) -> Checked {
    checked.map_err(|fault| Fault {
        path: std::iter::once(key.to_owned()).chain(fault.path).collect(),
        ..fault
    })
}

/// Checks a value that names a method: the name alone, or a table with `name` and parameters.
fn inner(registry: &Registry, value: &Value, chain: &mut Vec<String>) -> Checked {
    let (name, section) = match value {
        Value::String(name) => (name.clone(), Value::Object(Map::new())),
        Value::Object(fields) => {
            let mut rest = fields.clone();
            match rest.remove("name") {
                Some(Value::String(name)) => (name, Value::Object(rest)),
                _ => return at_name(Error::Parameter("the method to use is missing".into())),
            }
        }
        _ => return Ok(()),
    };
    if chain.len() == chain::DEPTH {
        return at_name(chain::too_deep(chain.iter().chain([&name]).map(String::as_str)));
    }
    let schema = match registry.get(&name) {
        Ok(method) => method.schema(),
        Err(error) => return at_name(error),
    };
    chain.push(name);
    check_all(Some(registry), &schema, &section, chain)?;
    chain.pop();
    Ok(())
}

fn at_name(error: Error) -> Checked {
    Err(Fault { path: vec!["name".into()], why: error.to_string(), of_key: false })
}
