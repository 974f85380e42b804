//! A host that offers methods by name and nothing else, as tests of methods that compose need one.
use precondor_core::host::{Host, Level};
use precondor_core::prelude::*;
use precondor_core::registry::{DynGenerator, Registry};
use serde_json::Value;
use std::sync::Arc;

/// The host.
pub struct Methods(Registry);

impl Methods {
    /// These and no others.
    pub fn of<const N: usize>(methods: [Arc<dyn DynGenerator>; N]) -> Arc<dyn Host> {
        let mut registry = Registry::new();
        methods.into_iter().for_each(|m| registry.add(m).expect("names of their own"));
        Arc::new(Methods(registry))
    }
}

impl Host for Methods {
    fn inner(&self, name: &str, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        self.0.get(name)?.generate(params, system)
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        Err(Error::file(path, "there are no files here"))
    }
    fn log(&self, _: Level, _: &str) {}
}
