//! Methods of a library that is not open: what they say of themselves is known, and the library is opened when one of
//! them is to do something.
use crate::index::Stamp;
use crate::library;
use crate::probe::MethodInfo;
use crate::services::Peers;
use precondor_core::instance::{self, Instance};
use precondor_core::invariance::Invariances;
use precondor_core::precond::Capabilities;
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
    /// What it was when its methods said what they are.
    stamp: Stamp,
    peers: Arc<Peers>,
    methods: OnceLock<Result<Vec<Arc<dyn DynGenerator>>>>,
}

impl Closed {
    fn open(&self) -> Result<&[Arc<dyn DynGenerator>]> {
        let opened = self.methods.get_or_init(|| {
            let changed = || Stamp::of(&self.path).as_ref() != Some(&self.stamp);
            let why = "it was changed while the program ran: start again";
            let refused = Error::Plugin(format!("{}: {why}", self.path.display()));
            if changed() {
                return Err(refused);
            }
            tracing::debug!("{} is opened", self.path.display());
            // SAFETY: only root and the user can have written the file, or put it where it is, which is
            // looked at before it is opened: it is trusted as the program itself.
            let methods = unsafe { library::open(&self.path, &self.peers, &|_| {}) }?;
            if changed() { Err(refused) } else { Ok(methods) }
        });
        opened.as_deref().map_err(Clone::clone)
    }
}

/// One of its methods.
struct Deferred {
    info: MethodInfo,
    library: Arc<Closed>,
}

/// The methods of the library at `path`, of which `infos` is known.
pub(crate) fn methods(
    path: PathBuf,
    stamp: Stamp,
    infos: &[MethodInfo],
    peers: &Arc<Peers>,
) -> Vec<Arc<dyn DynGenerator>> {
    let (peers, methods) = (Arc::clone(peers), OnceLock::new());
    let library = Arc::new(Closed { path, stamp, peers, methods });
    let one = |info: &MethodInfo| -> Arc<dyn DynGenerator> {
        Arc::new(Deferred { info: info.clone(), library: Arc::clone(&library) })
    };
    infos.iter().map(one).collect()
}

impl Deferred {
    /// The method itself.
    fn open(&self) -> Result<&Arc<dyn DynGenerator>> {
        let found = self.library.open()?.iter().find(|method| method.name() == self.info.name);
        found.ok_or_else(|| {
            let (path, name) = (self.library.path.display(), &self.info.name);
            Error::Plugin(format!("{path}: it had a method '{name}' and has none now"))
        })
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
