//! Options of PETSc that a configuration gives.
use precondor::config::backend::is_petsc;
use precondor_core::config::{MethodConfig, SolverConfig};
use precondor_core::{Error, Result};
use precondor_petsc::{Options, Petsc};
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Solves so far: each has a prefix of its own.
static SOLVES: AtomicUsize = AtomicUsize::new(0);

/// Options of one solve, in the database until this is dropped.
pub struct Given {
    database: Options,
    pub prefix: String,
    names: Vec<String>,
}

impl Given {
    pub fn new(
        petsc: &Petsc,
        config: &SolverConfig,
        method: Option<&MethodConfig>,
    ) -> Result<Given> {
        let prefix = format!("precondor_{}_", SOLVES.fetch_add(1, Ordering::Relaxed));
        let mut given = Given { database: petsc.options().prefix(&prefix), prefix, names: vec![] };
        let of_method = method.and_then(|method| method.params["options"].as_object());
        let of_method = of_method.filter(|_| method.is_some_and(|m| is_petsc(&m.name)));
        for options in [config.options.as_ref(), of_method].into_iter().flatten() {
            given.insert(options)?;
        }
        Ok(given)
    }

    fn insert(&mut self, options: &Map<String, Value>) -> Result<()> {
        for (name, value) in options {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.database.set(name, Some(&value)).map_err(Error::from)?;
            self.names.push(name.clone());
        }
        Ok(())
    }

    /// Those that no object of PETSc asked for.
    fn unused(&self) -> Result<Vec<String>> {
        let mut unused = self.database.unused()?;
        unused.retain(|name| self.names.contains(name));
        Ok(unused)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        for name in &self.names {
            // Nothing asks for this prefix again.
            let _ = self.database.clear(name);
        }
    }
}

/// Refuses options that PETSc asked for none of.
pub fn unused(options: &Given) -> Result<()> {
    match options.unused()?.as_slice() {
        [] => Ok(()),
        unused => Err(Error::Parameter(format!(
            "PETSc asked for none of these options: {}; misspelt, or of another type of solver or \
             preconditioner",
            unused.join(", ")
        ))),
    }
}
