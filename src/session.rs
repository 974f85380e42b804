//! What all commands start from: methods, host services, a configuration.
use crate::backend;
use precondor_core::config::{self, MethodConfig, Node};
use precondor_core::host::Host;
use precondor_core::registry::DynGenerator;
use precondor_core::{Error, Result};
use precondor_host::{Plugins, Search};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The methods that are there, and the services lent to them.
pub struct Session {
    plugins: Plugins,
    /// Initialised when it is first asked for, finalised with the session.
    #[cfg(feature = "petsc")]
    petsc: std::cell::OnceCell<precondor_petsc::Petsc>,
}

impl Session {
    /// Loads the plugins. Files that parameters name are looked for in `base` (none: here), the
    /// folder of the configuration.
    pub fn open(plugin_path: &[PathBuf], base: Option<&Path>) -> Result<Session> {
        if let Some(missing) = plugin_path.iter().find(|folder| !folder.exists()) {
            return Err(Error::file(missing, "--plugin-path: there is no such folder"));
        }
        let base = base.filter(|path| path.is_dir()).unwrap_or(Path::new("."));
        let plugins = Plugins::load(&Search { extra: plugin_path.to_vec(), base: base.into() })?;
        for problem in plugins.problems() {
            tracing::warn!("plugin {}: {}", problem.path.display(), problem.reason);
        }
        Ok(Session {
            plugins,
            #[cfg(feature = "petsc")]
            petsc: std::cell::OnceCell::new(),
        })
    }

    /// The plugins.
    pub fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// The method `name`, or who is there and where it was looked for.
    pub fn generator(&self, name: &str) -> Result<&Arc<dyn DynGenerator>> {
        self.plugins.get(name)
    }

    /// Reads a section that names a method.
    pub fn method(&self, node: &Node) -> Result<MethodConfig> {
        if let Some(petsc) = backend::petsc_method(node)? {
            return Ok(petsc);
        }
        config::method(node, |name, params| {
            self.generator(name)?;
            precondor_host::fault(self.plugins.registry(), name, params)
        })
    }

    /// PETSc, for `backend = "petsc"`.
    #[cfg(feature = "petsc")]
    pub fn petsc(&self) -> Result<&precondor_petsc::Petsc> {
        if let Some(petsc) = self.petsc.get() {
            return Ok(petsc);
        }
        let petsc = precondor_petsc::Petsc::init::<&str>(&[])?;
        Ok(self.petsc.get_or_init(|| petsc))
    }

    /// Services lent to methods.
    pub fn host(&self) -> Arc<dyn Host> {
        self.plugins.host()
    }
}

/// Reads a configuration and carries out the overrides of the command line.
pub fn configuration(path: &Path, overrides: &[String]) -> Result<Node> {
    let mut root = config::read(path)?;
    overrides.iter().try_for_each(|flag| config::set(&mut root, flag))?;
    Ok(root)
}
