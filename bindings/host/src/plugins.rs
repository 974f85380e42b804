//! All plugins of a search path.
use crate::child::Step;
use crate::library;
use crate::search::{self, Search};
use crate::services::{Onlooker, Services};
use crate::sight;
use precondor_core::host::Host;
use precondor_core::registry::{DynGenerator, Registry, note_old_method};
use precondor_core::{Error, Result};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that was passed over, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl Problem {
    /// A file or folder with its error.
    pub fn new(path: &Path, error: Error) -> Self {
        let prefix = format!("{}: ", path.display());
        let reason = error.to_string();
        let reason = reason.strip_prefix(&prefix).unwrap_or(&reason).to_owned();
        Problem { path: path.to_owned(), reason }
    }

    /// A library one of whose methods is passed over: that of the `first` one has its name.
    pub fn hidden(path: &Path, method: &str, first: impl Display) -> Self {
        let why = format!("its method '{method}' is hidden by that of {first}, which comes first");
        Problem::new(path, Error::Plugin(why))
    }
}

/// A library that was found: loaded, or to be loaded when it is needed.
#[derive(Clone, Debug)]
pub struct Library {
    /// Its file.
    pub path: PathBuf,
    /// Names of its methods.
    pub methods: Vec<String>,
}

impl Library {
    /// SHA-256 of the file, in hexadecimal digits. Takes milliseconds for every megabyte.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read any more.
    pub fn digest(&self) -> Result<String> {
        search::digest(&self.path).map_err(|e| Error::file(&self.path, e))
    }
}

/// The plugins that were found.
///
/// Opening a library runs its code. Only files that nobody but root and the user can have written, nor have
/// put in the way of, are loaded; what these do is in their hands as the program itself is, and those that
/// it is linked with.
///
/// Clones share services, and what was loaded; what is added to one of them its methods find, and the others' do, too.
#[derive(Clone)]
pub struct Plugins {
    registry: Arc<Registry>,
    libraries: Vec<Library>,
    problems: Vec<Problem>,
    looked_in: Vec<PathBuf>,
    host: Arc<Services>,
    replaced: Vec<String>,
}

impl Plugins {
    /// Looks for plugins. One that was seen before is opened when one of its methods is to do something; libraries
    /// that cannot be loaded are [`problems`](Plugins::problems), not errors.
    ///
    /// # Errors
    /// [`Error::File`] where the base folder is none.
    pub fn load(search: &Search) -> Result<Self> {
        Self::beside(&[], search)
    }

    /// As [`load`](Plugins::load), beside methods that are linked in. A library replaces a linked method
    /// of that name ([`replaced`](Plugins::replaced)).
    ///
    /// # Errors
    /// As [`load`](Plugins::load); [`Error::Plugin`] for two linked methods of one name.
    pub fn beside(linked: &[Arc<dyn DynGenerator>], search: &Search) -> Result<Self> {
        let found = search.find();
        let mut plugins = Self::none(&search.base)?;
        plugins.problems = found.problems;
        plugins.looked_in = found.looked_in;
        let files: Vec<PathBuf> = found.candidates.into_iter().map(|found| found.path).collect();
        let mut registry = Registry::new();
        for (file, methods) in files.iter().zip(sight::methods(&files, &plugins.host.peers)) {
            match methods {
                Ok(methods) => plugins.take(file, &methods, &mut registry),
                Err(e) => plugins.problems.push(Problem::new(file, e)),
            }
        }
        let mut native = Registry::new();
        for method in linked {
            native.add(Arc::clone(method))?;
            match registry.get(method.name()) {
                Err(_) => registry.add(Arc::clone(method))?,
                Ok(by) => plugins.replaced.push(format!(
                    "method '{}' comes from {}, in place of the one that is linked in",
                    method.name(),
                    by.origin()
                )),
            }
        }
        plugins.complete(registry);
        Ok(plugins)
    }

    /// Methods that are linked in and nothing else.
    ///
    /// # Errors
    /// [`Error::File`] where the base folder is none; [`Error::Plugin`] for two methods of one name.
    pub fn linked(linked: &[Arc<dyn DynGenerator>], base: &Path) -> Result<Self> {
        let mut plugins = Self::none(base)?;
        let mut registry = Registry::new();
        linked.iter().try_for_each(|method| registry.add(Arc::clone(method)))?;
        plugins.complete(registry);
        Ok(plugins)
    }

    fn none(base: &Path) -> Result<Self> {
        // Empty: the folder that the program is in when a file is read.
        let base = match base.as_os_str().is_empty() {
            true => PathBuf::new(),
            false => base.canonicalize().map_err(|e| Error::file(base, e))?,
        };
        Ok(Plugins {
            registry: Arc::default(),
            libraries: Vec::new(),
            problems: Vec::new(),
            looked_in: Vec::new(),
            host: Arc::new(Services::new(&Arc::default(), &base)),
            replaced: Vec::new(),
        })
    }

    /// These are the methods, which find each other from now on.
    fn complete(&mut self, registry: Registry) {
        self.registry = Arc::new(registry);
        self.host.peers.complete(&self.registry);
    }

    /// Adds a method; others find it from now on.
    ///
    /// # Errors
    /// [`Error::Plugin`] where another one has its name.
    pub fn add(&mut self, method: Arc<dyn DynGenerator>) -> Result<()> {
        let mut registry = (*self.registry).clone();
        registry.add(method)?;
        self.complete(registry);
        Ok(())
    }

    /// Adds the methods of the library at `path`, looked at first as those of the search path are, and gives their names.
    ///
    /// # Errors
    /// [`Error::Plugin`] where it cannot be trusted or loaded, or another method has the name of one of its methods.
    pub fn add_library(&mut self, path: &Path) -> Result<Vec<String>> {
        // SAFETY: only root and the user can have written the file, or put it where it is, which is looked at before it
        // is opened: it is trusted as the program itself.
        let loaded = unsafe { library::open(path, &self.host.peers, &|_| {}) }?;
        let methods: Vec<String> = loaded.iter().map(|method| method.name().to_owned()).collect();
        let mut registry = (*self.registry).clone();
        loaded.into_iter().try_for_each(|method| registry.add(method))?;
        self.libraries.push(Library { path: path.to_owned(), methods: methods.clone() });
        self.complete(registry);
        Ok(methods)
    }

    /// Loads these libraries and no others; `told` hears of every step. Of methods with one name the first
    /// stays, and the others are [`problems`](Plugins::problems).
    ///
    /// # Errors
    /// As [`load`](Plugins::load).
    pub fn of(
        files: impl IntoIterator<Item = PathBuf>,
        base: &Path,
        told: &dyn Fn(Step),
    ) -> Result<Self> {
        let mut plugins = Self::none(base)?;
        let mut registry = Registry::new();
        for file in files {
            // SAFETY: only root and the user can have written the file, or put it where it is, which is
            // looked at before it is opened: it is trusted as the program itself.
            match unsafe { library::open(&file, &plugins.host.peers, told) } {
                Ok(methods) => plugins.take(&file, &methods, &mut registry),
                Err(e) => plugins.problems.push(Problem::new(&file, e)),
            }
        }
        plugins.complete(registry);
        Ok(plugins)
    }

    /// Takes the methods of a library that no library before it has.
    fn take(&mut self, path: &Path, methods: &[Arc<dyn DynGenerator>], registry: &mut Registry) {
        let mut taken = Vec::new();
        for method in methods {
            let name = method.name();
            match registry.get(name).map(|first| first.origin()) {
                Ok(first) => {
                    self.problems.push(Problem::hidden(path, name, first));
                }
                // A name that is not there.
                Err(_) => {
                    if registry.add(Arc::clone(method)).is_ok() {
                        taken.push(name.to_owned());
                    }
                }
            }
        }
        if !taken.is_empty() || methods.is_empty() {
            self.libraries.push(Library { path: path.to_owned(), methods: taken });
        }
    }

    /// The method `name`.
    ///
    /// # Errors
    /// [`Error::Parameter`] listing the methods that are there and the folders that were looked in.
    pub fn get(&self, name: &str) -> Result<&Arc<dyn DynGenerator>> {
        let method = self.registry.get(name).map_err(|e| search::not_found(e, &self.looked_in))?;
        note_old_method(name, &**method, &*self.host);
        Ok(method)
    }

    /// The methods.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }
    /// The libraries that have the methods.
    pub fn libraries(&self) -> &[Library] {
        &self.libraries
    }
    /// What was passed over.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
    /// Linked methods that a library stands for, in words.
    pub fn replaced(&self) -> &[String] {
        &self.replaced
    }
    /// Folders that were looked in, in order.
    pub fn looked_in(&self) -> &[PathBuf] {
        &self.looked_in
    }
    /// The services to set up systems with.
    pub fn host(&self) -> Arc<dyn Host> {
        Arc::clone(&self.host) as Arc<dyn Host>
    }

    /// Lets `onlooker` see how far setups are, and end them. The first one stays.
    pub fn look_on(&self, onlooker: Onlooker) {
        self.host.look_on(onlooker);
    }

    /// Lets methods read every file once: from now on one that is read again is what it was the first
    /// time, so that models do not change under a program that sets up several systems.
    pub fn read_files_once(&self) {
        self.host.read_files_once();
    }

    /// The files that methods have read on this rank since [`read_files_once`](Self::read_files_once), with
    /// their contents.
    pub fn files_read(&self) -> BTreeMap<PathBuf, Arc<[u8]>> {
        self.host.files()
    }

    /// Shares this machine's processors with so many processes like this one: an equal part each,
    /// unless `RAYON_NUM_THREADS` says how many threads to use. To be called before the first loop.
    pub fn share_threads(&self, processes: usize) {
        self.host.share_threads(processes);
    }
}
