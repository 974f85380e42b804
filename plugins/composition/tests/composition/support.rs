//! Methods and files for the tests.
use precondor_plugin_composition::{Composite, Fieldsplit};
use precondor_plugin_gauss_seidel::GaussSeidel;
use precondor_plugin_ilu::{Ic, Ilu};
use precondor_plugin_jacobi::Jacobi;
use precondor_plugin_spai::{Fsai, Spai};
use precondor_sdk::core::host::{Host, Level};
use precondor_sdk::core::instance::Instance;
use precondor_sdk::core::registry::{Native, Registry};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A host with methods and files.
pub struct Around {
    registry: Registry,
    files: BTreeMap<String, String>,
}

impl Around {
    /// The methods that are put together here, and files with their content.
    pub fn with(files: &[(&str, &str)]) -> Arc<dyn Host> {
        let mut registry = Registry::new();
        for method in [
            Native::<Composite>::method(),
            Native::<Fieldsplit>::method(),
            Native::<GaussSeidel>::method(),
            Native::<Ic>::method(),
            Native::<Ilu>::method(),
            Native::<Jacobi>::method(),
            Native::<Fsai>::method(),
            Native::<Spai>::method(),
            Native::<Wavering>::method(),
        ] {
            registry.add(method).unwrap();
        }
        let files = files.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
        Arc::new(Around { registry, files })
    }
}

impl Host for Around {
    fn inner(&self, name: &str, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        self.registry.get(name)?.generate(params, system).map_err(|e| e.inside(name))
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.files.get(path).ok_or_else(|| Error::file(path, "no such file"))?;
        Ok(file.clone().into_bytes())
    }
    fn log(&self, _: Level, _: &str) {}
}

/// Sets a method up by name, with the parameters of a section.
pub fn made(section: Value, system: System) -> Result<Box<dyn Instance>> {
    made_with(section, system, &[])
}

/// The same, where there are files.
pub fn made_with(
    mut section: Value,
    system: System,
    files: &[(&str, &str)],
) -> Result<Box<dyn Instance>> {
    let name = section.as_object_mut().unwrap().remove("name").unwrap();
    let host = Around::with(files);
    let system = system.with_host(Arc::clone(&host));
    host.inner(name.as_str().unwrap(), &section, &system)
}

/// A method that says that it is another one from application to application.
struct Wavering;

struct Copies;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
struct Nothing {}

impl Generator for Wavering {
    const NAME: &'static str = "wavering";
    const SUMMARY: &'static str = "the identity, not said to be constant";
    type Params = Nothing;
    type Output = Copies;
    fn generate(_: &Nothing, _: &System) -> Result<Copies> {
        Ok(Copies)
    }
}

impl Preconditioner for Copies {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        z.copy_from_slice(r);
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties { constant: false, ..Properties::GENERAL }
    }
    fn stored_entries(&self) -> usize {
        0
    }
    fn bytes(&self) -> usize {
        0
    }
}
