//! What all commands start from: methods, host services, a configuration.
use precondor_core::Result;
use precondor_core::config::{self, Node};
use precondor_core::host::{Alone, Host};
use precondor_core::registry::{Native, Registry};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The methods that are there, and the services lent to them.
pub struct Session {
    registry: Arc<Registry>,
    host: Arc<dyn Host>,
}

impl Session {
    /// Loads the plugins.
    pub fn open(_: &[PathBuf]) -> Result<Session> {
        let mut registry = Registry::new();
        registry.add(Native::<precondor_plugin_jacobi::Jacobi>::method())?;
        Ok(Session { registry: Arc::new(registry), host: Arc::new(Alone) })
    }

    /// Methods by name.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Services lent to methods.
    pub fn host(&self) -> Arc<dyn Host> {
        Arc::clone(&self.host)
    }
}

/// Reads a configuration and carries out the overrides of the command line.
pub fn configuration(path: &Path, overrides: &[String]) -> Result<Node> {
    let mut root = config::read(path)?;
    overrides.iter().try_for_each(|flag| config::set(&mut root, flag))?;
    Ok(root)
}
