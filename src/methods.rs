//! Methods by name: those that are linked in, those of libraries, and a program's own.
use crate::config::backend;
use crate::{Sequence, Solver};
use precondor_core::Result;
use precondor_core::comm::Comm;
use precondor_core::config::{self, MethodConfig, Node};
use precondor_core::host::Host;
use precondor_core::instance::Instance;
use precondor_core::matrix::{Csr, DistCsr};
use precondor_core::problem::{DynFamily, Problem};
use precondor_core::ready::Ready;
use precondor_core::registry::DynGenerator;
use precondor_core::system::System;
use precondor_core::train::{Samples, Training, Unwatched};
use precondor_host::{Plugins, Search};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Methods by name, the services that they are lent (threads, files, a log, each other), and the ranks that they are
/// made on: one, unless said otherwise. Clones share what was found, and services.
#[derive(Clone)]
pub struct Methods {
    plugins: Plugins,
    comm: Comm,
}

impl Methods {
    /// What is linked in, and the libraries that are found in the folders of `PRECONDOR_PATH`, beside the
    /// program, where it is installed, and in the user's own folder. A library replaces a linked method of
    /// its name. Files that parameters name are looked for in the present folder.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) where that cannot be read. A library that cannot be loaded is
    /// one of [`problems`](Methods::problems), no error.
    pub fn find() -> Result<Self> {
        Self::search(&Search { extra: Vec::new(), base: ".".into() })
    }

    /// As [`find`](Methods::find), with folders to look in first, and files of parameters relative to
    /// another folder.
    ///
    /// # Errors
    /// As [`find`](Methods::find).
    pub fn search(search: &Search) -> Result<Self> {
        Plugins::beside(&linked(), search).map(Self::of)
    }

    /// What is linked in, and nothing else: no library is looked for.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) where the present folder cannot be read.
    pub fn linked() -> Result<Self> {
        Plugins::linked(&linked(), Path::new(".")).map(Self::of)
    }

    fn of(plugins: Plugins) -> Self {
        Methods { plugins, comm: Comm::solo() }
    }

    /// The same on other ranks, all of which have the same methods.
    pub fn on(mut self, comm: Comm) -> Self {
        self.comm = comm;
        self
    }

    /// The same and one method more: `Native::<Mine>::method()` of this program's own.
    ///
    /// # Errors
    /// As [`add`](Methods::add).
    pub fn with(mut self, method: Arc<dyn DynGenerator>) -> Result<Self> {
        self.add(method)?;
        Ok(self)
    }

    /// Adds a method; others find it from now on.
    ///
    /// # Errors
    /// [`Error::Plugin`](crate::Error::Plugin) where another one has its name.
    pub fn add(&mut self, method: Arc<dyn DynGenerator>) -> Result<()> {
        self.plugins.add(method)
    }

    /// Adds a family of problems of this program's own, `NativeFamily::<Mine>::of("1.0")`: a `kind` of `[problem]` from
    /// now on.
    ///
    /// # Errors
    /// [`Error::Plugin`](crate::Error::Plugin) where another kind has its name.
    pub fn add_family(&mut self, family: Arc<dyn DynFamily>) -> Result<()> {
        self.plugins.add_family(family)
    }

    /// The model problem that `doc` says, `kind` and its parameters: of a shipped kind, or of a family of a library or
    /// of this program.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) naming the key.
    pub fn problem(&self, doc: &Value) -> Result<Problem> {
        Problem::among(doc, &self.plugins)
    }

    /// The kinds of model problems, shipped ones first, with the schemas of their parameters; opens libraries that were
    /// not looked at.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for a kind that is gone meanwhile.
    pub fn kinds(&self) -> Result<Vec<(String, Value)>> {
        let shipped = Problem::KINDS.iter().map(|kind| (*kind).to_owned());
        let further = self.plugins.families().into_iter().map(|family| family.name().to_owned());
        let with_schema = |kind: String| {
            let schema = Problem::schema_among(&kind, &self.plugins)?;
            Ok((kind, schema))
        };
        shipped.chain(further).map(with_schema).collect()
    }

    /// Adds the methods of a library that is on no search path, and gives their names. Opening it runs its code.
    ///
    /// # Errors
    /// [`Error::Plugin`](crate::Error::Plugin) where others than root and the user can have written it, it cannot be
    /// loaded, or another method has the name of one of its methods.
    pub fn add_library(&mut self, path: &Path) -> Result<Vec<String>> {
        self.plugins.add_library(path)
    }

    /// The method `name`.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) with the nearest name, all that are there, and where
    /// libraries were looked for.
    pub fn get(&self, name: &str) -> Result<&Arc<dyn DynGenerator>> {
        self.plugins.get(name)
    }

    /// All methods, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn DynGenerator>> {
        self.plugins.registry().iter()
    }

    /// Libraries that were passed over and linked methods that a library stands for, in words.
    pub fn problems(&self) -> Vec<String> {
        let problem = |p: &precondor_host::Problem| format!("{}: {}", p.path.display(), p.reason);
        self.plugins
            .problems()
            .iter()
            .map(problem)
            .chain(self.plugins.replaced().iter().cloned())
            .collect()
    }

    /// The ranks.
    pub fn comm(&self) -> &Comm {
        &self.comm
    }

    /// Whether this rank is the first: the one that prints and writes.
    pub fn is_first(&self) -> bool {
        self.comm.rank() == 0
    }

    /// Libraries and services, as they were found.
    pub fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// Reads a section of a configuration that names a method.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) with the place of a name that is not there, or of a parameter that
    /// the method does not have.
    pub fn method(&self, node: &Node) -> Result<MethodConfig> {
        if let Some(petsc) = backend::petsc_method(node)? {
            return Ok(petsc);
        }
        config::method(node, |name, params| {
            self.get(name)?;
            precondor_host::fault(self.plugins.registry(), name, params)
        })
    }

    /// The services that methods are lent.
    pub fn host(&self) -> Arc<dyn Host> {
        self.plugins.host()
    }

    /// The system of a square matrix in one memory, with the services of these methods.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) for a matrix that is not square.
    pub fn system(&self, a: Csr) -> Result<System> {
        Ok(System::new(DistCsr::solo(a)?).with_host(self.host()))
    }

    /// M of the method `name`, with parameters as a JSON object: all that are left out have the values that
    /// `precondor plugins describe NAME` shows. Collective over the ranks of `system`.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for a name that is not there, or parameters that the
    /// method does not have; what the method reports.
    pub fn make(&self, name: &str, params: Value, system: &System) -> Result<Box<dyn Instance>> {
        self.set_up(name, &params, &system.clone().with_host(self.host())).map(Ready::into_m)
    }

    /// As [`make`](Methods::make), with what it took; `system` has its services already.
    ///
    /// # Errors
    /// As [`make`](Methods::make).
    #[doc(hidden)]
    pub fn set_up(&self, name: &str, params: &Value, system: &System) -> Result<Ready> {
        let method = system.a().space().comm().agree(self.get(name))?;
        Ready::set_up(method.as_ref(), params, system).map_err(|e| e.inside(name))
    }

    /// A sequence of systems, solved with the method `name`, with parameters as for [`make`](Methods::make).
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for a name that is not there, or parameters that the
    /// method does not have.
    pub fn sequence(&self, name: &str, params: Value, solver: Solver) -> Result<Sequence> {
        let method = self.get(name)?;
        match precondor_host::fault(self.plugins.registry(), name, &params)? {
            Some(fault) => Err(fault.into()),
            None => Ok(Sequence::new((method, params), self.host(), solver)),
        }
    }

    /// Trains a model of the method `name` on `samples`, and returns the bytes of its file, which the
    /// parameter `model` of the method names.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for a name that is not there, or parameters that
    /// training does not have; [`Error::Unsupported`](crate::Error::Unsupported) for a method that does not
    /// learn.
    pub fn train(&self, name: &str, params: Value, samples: &dyn Samples) -> Result<Vec<u8>> {
        let (comm, host, watch) = (&self.comm, self.host(), &mut Unwatched);
        let training = Training { comm, host: &host, samples, resume: None, watch };
        self.get(name)?.train(&params, training).map_err(|e| e.inside(name))
    }
}

/// A family's methods, made.
type Family = fn() -> Vec<Arc<dyn DynGenerator>>;

/// The methods that the features of this build link in: none without `linked`, or one of its parts.
pub fn linked() -> Vec<Arc<dyn DynGenerator>> {
    let families: &[Family] = &[
        #[cfg(feature = "linked-amg")]
        precondor_plugin_amg::methods,
        #[cfg(feature = "linked-auto")]
        precondor_plugin_auto::methods,
        #[cfg(feature = "linked-cholesky")]
        precondor_plugin_cholesky::methods,
        #[cfg(feature = "linked-composition")]
        precondor_plugin_composition::methods,
        #[cfg(feature = "linked-dense")]
        precondor_plugin_dense::methods,
        #[cfg(feature = "linked-gauss-seidel")]
        precondor_plugin_gauss_seidel::methods,
        #[cfg(feature = "linked-ilu")]
        precondor_plugin_ilu::methods,
        #[cfg(feature = "linked-jacobi")]
        precondor_plugin_jacobi::methods,
        #[cfg(feature = "linked-mlp")]
        precondor_plugin_mlp::methods,
        #[cfg(feature = "linked-multigrid")]
        precondor_plugin_multigrid::methods,
        #[cfg(feature = "linked-reference")]
        precondor_plugin_reference::methods,
        #[cfg(feature = "linked-schwarz")]
        precondor_plugin_schwarz::methods,
        #[cfg(feature = "linked-spai")]
        precondor_plugin_spai::methods,
    ];
    families.iter().flat_map(|methods| methods()).collect()
}
