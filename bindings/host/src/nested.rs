//! Parameters that name methods: their sections are checked against those methods' schemas.
use crate::chain;
use crate::services::Peers;
use precondor_core::registry::Registry;
use precondor_core::schema::{self, Fault, METHOD};
use precondor_core::{Error, Result};
use serde_json::Value;

/// The first fault of `params` for the method `name`, inner methods' sections included.
///
/// # Errors
/// [`Error::Parameter`] for an unknown name, or sections nested too deeply.
pub fn fault(registry: &Registry, name: &str, params: &Value) -> Result<Option<Fault>> {
    let schema = registry.get(name)?.schema();
    Ok(walk(Some(registry), &schema, params, &mut vec![name.to_owned()]).err())
}

/// Checks `params` of the method `name` with `schema`.
pub(crate) fn check(name: &str, schema: &Value, peers: &Peers, params: &Value) -> Result<()> {
    let registry = peers.registry();
    let chain = &mut vec![name.to_owned()];
    Ok(walk(registry.as_deref(), schema, params, chain).map_err(Error::from)?)
}

fn walk(
    registry: Option<&Registry>,
    schema: &Value,
    params: &Value,
    chain: &mut Vec<String>,
) -> std::result::Result<(), Fault> {
    if let Some(fault) = schema::fault(schema, params) {
        return Err(fault);
    }
    let (Some(registry), Some(fields)) = (registry, params.as_object()) else {
        return Ok(());
    };
    for (key, value) in fields {
        let of_field = &schema["properties"][key];
        let marked = |s: &Value| s.get(METHOD).is_some_and(|mark| *mark != Value::Bool(false));
        if !marked(of_field) && !marked(schema::resolve(schema, of_field)) {
            continue;
        }
        let at = |fault: Fault| Fault {
            path: std::iter::once(key.clone()).chain(fault.path).collect(),
            ..fault
        };
        let Some((name, section)) = schema::named_method(value) else { continue };
        inner(registry, &name, &section, chain).map_err(at)?;
    }
    Ok(())
}

fn inner(
    registry: &Registry,
    name: &str,
    section: &Value,
    chain: &mut Vec<String>,
) -> std::result::Result<(), Fault> {
    let here = |e: Error| Fault { path: vec!["name".into()], why: e.to_string(), of_key: false };
    if chain.len() == chain::DEPTH {
        let names = chain.iter().map(String::as_str).chain([name]);
        return Err(here(chain::too_deep(names)));
    }
    let schema = registry.get(name).map_err(here)?.schema();
    chain.push(name.to_owned());
    walk(Some(registry), &schema, section, chain)?;
    chain.pop();
    Ok(())
}
