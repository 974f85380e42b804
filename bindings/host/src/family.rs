//! A family of problems of a loaded library.
use crate::child::Step;
use crate::method::{named, parse_schema};
use precondor_abi as abi;
use precondor_bridge::problem::Opened;
use precondor_bridge::raw;
use precondor_bridge::status::call;
use precondor_core::problem::{Assembly, DynFamily, taken_name};
use precondor_core::{Error, Result, schema};
use serde_json::Value;

pub(crate) struct LoadedFamily {
    table: &'static abi::Problem,
    name: String,
    summary: String,
    version: String,
    origin: String,
    schema: Value,
}

impl LoadedFamily {
    /// Checks a family's table and reads what describes it.
    ///
    /// # Safety
    /// The table is null or one of a family, which lives for ever and keeps the C contract.
    pub(crate) unsafe fn new(
        table: *const abi::Problem,
        origin: &str,
        told: &dyn Fn(Step),
    ) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe {
            let table = raw::table(table)?;
            let name = named(table.id)?;
            told(Step::Describe(name.clone()));
            let schema = raw::collect_text(|out| call(|why| (table.schema)(out, why)))?;
            let schema = parse_schema(&schema)?;
            if let Some(key) = taken_name(&schema) {
                return Err(Error::Plugin(format!(
                    "its parameter '{key}' has a name that means something for every kind of problem: give it \
                     another"
                )));
            }
            Ok(LoadedFamily {
                table,
                summary: raw::text(table.summary, "its summary")?.to_owned(),
                version: raw::text(table.version, "its version")?.to_owned(),
                origin: origin.to_owned(),
                schema,
                name,
            })
        }
    }
}

impl DynFamily for LoadedFamily {
    fn name(&self) -> &str {
        &self.name
    }
    fn summary(&self) -> &str {
        &self.summary
    }
    fn version(&self) -> &str {
        &self.version
    }
    fn origin(&self) -> String {
        self.origin.clone()
    }
    fn schema(&self) -> Value {
        self.schema.clone()
    }
    fn system(&self, params: &Value, seed: u64, index: u64) -> Result<Box<dyn Assembly>> {
        schema::check(&self.schema, params)?;
        // SAFETY: a checked table that lives for ever.
        let opened = unsafe { Opened::new(self.table, &params.to_string(), seed, index)? };
        Ok(Box::new(opened))
    }
}
