//! Methods and families of a library that is not open: what they say of themselves is known, and the library is opened
//! when one of them is to do something.
use crate::index::Stamp;
use crate::library::{self, Contents};
use crate::probe::{LibraryInfo, MethodInfo, ProblemInfo};
use crate::services::Peers;
use precondor_core::instance::{self, Instance};
use precondor_core::invariance::Invariances;
use precondor_core::precond::Capabilities;
use precondor_core::problem::{Assembly, DynFamily};
use precondor_core::registry::DynGenerator;
use precondor_core::system::System;
use precondor_core::train::Training;
use precondor_core::{Error, Result};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A library that is opened once, when it is needed.
struct Closed {
    path: PathBuf,
    /// What it was when it said what it has.
    stamp: Stamp,
    peers: Arc<Peers>,
    contents: OnceLock<Result<Contents>>,
}

impl Closed {
    fn open(&self) -> Result<&Contents> {
        let opened = self.contents.get_or_init(|| {
            let changed = || Stamp::of(&self.path).as_ref() != Some(&self.stamp);
            let why = "it was changed while the program ran: start again";
            let refused = Error::Plugin(format!("{}: {why}", self.path.display()));
            if changed() {
                return Err(refused);
            }
            tracing::debug!("{} is opened", self.path.display());
            // SAFETY: only root and the user can have written the file, or put it where it is, which is
            // looked at before it is opened: it is trusted as the program itself.
            let contents = unsafe { library::open(&self.path, &self.peers, &|_| {}) }?;
            if changed() { Err(refused) } else { Ok(contents) }
        });
        opened.as_ref().map_err(Clone::clone)
    }

    /// What to say where something is there no more.
    fn gone(&self, what: &str, name: &str) -> Error {
        Error::Plugin(format!("{}: it had a {what} '{name}' and has none now", self.path.display()))
    }
}

/// One of its methods.
struct Deferred {
    info: MethodInfo,
    library: Arc<Closed>,
}

/// What the library at `path` has, of which `info` is known.
pub(crate) fn contents(
    path: PathBuf,
    stamp: Stamp,
    info: &LibraryInfo,
    peers: &Arc<Peers>,
) -> Contents {
    let (peers, contents) = (Arc::clone(peers), OnceLock::new());
    let library = Arc::new(Closed { path, stamp, peers, contents });
    let method = |info: &MethodInfo| -> Arc<dyn DynGenerator> {
        Arc::new(Deferred { info: info.clone(), library: Arc::clone(&library) })
    };
    let family = |info: &ProblemInfo| -> Arc<dyn DynFamily> {
        Arc::new(DeferredFamily { info: info.clone(), library: Arc::clone(&library) })
    };
    Contents {
        methods: info.methods.iter().map(method).collect(),
        families: info.problems.iter().map(family).collect(),
    }
}

/// One of its families.
struct DeferredFamily {
    info: ProblemInfo,
    library: Arc<Closed>,
}

impl DynFamily for DeferredFamily {
    fn name(&self) -> &str {
        &self.info.name
    }
    fn summary(&self) -> &str {
        &self.info.summary
    }
    fn version(&self) -> &str {
        &self.info.version
    }
    fn origin(&self) -> String {
        self.library.path.display().to_string()
    }
    fn schema(&self) -> Value {
        self.info.schema.clone()
    }
    fn system(&self, params: &Value, seed: u64, index: u64) -> Result<Box<dyn Assembly>> {
        let name = &self.info.name;
        let found = self.library.open()?.families.iter().find(|family| family.name() == name);
        let family = found.ok_or_else(|| self.library.gone("family", name))?;
        family.system(params, seed, index)
    }
}

impl Deferred {
    /// The method itself.
    fn open(&self) -> Result<&Arc<dyn DynGenerator>> {
        let name = &self.info.name;
        let found = self.library.open()?.methods.iter().find(|method| method.name() == name);
        found.ok_or_else(|| self.library.gone("method", name))
    }

    /// What `make` makes of the method; ranks that can open it are in [`instance::together`] then.
    fn made(
        &self,
        system: &System,
        make: impl FnOnce(&dyn DynGenerator) -> Result<Box<dyn Instance>>,
    ) -> Result<Box<dyn Instance>> {
        match self.open() {
            Ok(method) => make(&**method),
            Err(e) => {
                instance::together(system.a().space().comm(), || Err(e.clone()))?;
                Err(e)
            }
        }
    }
}

impl DynGenerator for Deferred {
    fn name(&self) -> &str {
        &self.info.name
    }
    fn summary(&self) -> &str {
        &self.info.summary
    }
    fn version(&self) -> &str {
        &self.info.version
    }
    fn origin(&self) -> String {
        self.library.path.display().to_string()
    }
    fn capabilities(&self) -> Capabilities {
        self.info.capabilities()
    }
    fn schema(&self) -> Value {
        self.info.schema.clone()
    }
    fn train_schema(&self) -> Option<Value> {
        self.info.train.clone()
    }
    fn invariances(&self, params: &Value) -> Result<Option<Invariances>> {
        self.open()?.invariances(params)
    }
    fn generate(&self, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        self.made(system, |method| method.generate(params, system))
    }
    fn load(&self, params: &Value, bytes: &[u8], system: &System) -> Result<Box<dyn Instance>> {
        self.made(system, |method| method.load(params, bytes, system))
    }
    fn train(&self, params: &Value, training: Training<'_>) -> Result<Vec<u8>> {
        match self.open() {
            Ok(method) => method.train(params, training),
            Err(e) => training.comm.scope(|| Err(e)),
        }
    }
}
