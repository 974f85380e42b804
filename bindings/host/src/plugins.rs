//! All plugins of a search path.
use crate::child::Step;
use crate::library::{self, Contents};
use crate::search::{self, Search};
use crate::services::{Onlooker, Services};
use crate::sight::{self, Seen};
use crate::unseen::Unseen;
use precondor_core::host::Host;
use precondor_core::problem::{self, DynFamily};
use precondor_core::registry::{DynGenerator, Registry, note_old_method, there_already};
use precondor_core::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

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

    /// As [`hidden`](Problem::hidden), of a family of problems; `first` is none where a shipped kind has its name.
    pub fn hidden_family(path: &Path, family: &str, first: Option<&dyn Display>) -> Self {
        let by = first.map_or("a shipped kind of problem".into(), |first| {
            format!("that of {first}, which comes first")
        });
        Problem::new(path, Error::Plugin(format!("its family '{family}' is hidden by {by}")))
    }
}

/// A library that was found: loaded, or to be loaded when it is needed.
#[derive(Clone, Debug)]
pub struct Library {
    /// Its file.
    pub path: PathBuf,
    /// Names of its methods.
    pub methods: Vec<String>,
    /// Names of its families of problems.
    pub families: Vec<String>,
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
    /// By name, each with the place of its library among all that were found.
    families: BTreeMap<String, (usize, Arc<dyn DynFamily>)>,
    known: Listed,
    unseen: Option<Arc<Unseen>>,
    /// With what was unseen, once that is asked for.
    all: OnceLock<Listed>,
    looked_in: Vec<PathBuf>,
    host: Arc<Services>,
}

/// What was found, for lists.
#[derive(Clone, Default)]
struct Listed {
    libraries: Vec<Library>,
    problems: Vec<Problem>,
    replaced: Vec<String>,
}

impl Listed {
    /// The method of a library comes in the place of one that is listed, if any.
    fn replace(&mut self, method: &dyn DynGenerator) {
        let name = method.name();
        let has = |library: &Library| library.methods.iter().any(|there| there == name);
        if let Some(library) = self.libraries.iter_mut().find(|library| has(library)) {
            library.methods.retain(|there| there != name);
            self.problems.push(Problem::hidden(&library.path, name, method.origin()));
        }
    }
}

/// Whether a kind of problem is shipped: none of a library takes its place, so that results can be compared.
fn shipped(kind: &str) -> bool {
    problem::Problem::KINDS.contains(&kind)
}

/// Says that a method of a library stands for a linked one.
fn replaced(by: &dyn DynGenerator) -> String {
    let (name, origin) = (by.name(), by.origin());
    format!("method '{name}' comes from {origin}, in place of the one that is linked in")
}

impl problem::Kinds for Plugins {
    fn family(&self, name: &str) -> Option<Arc<dyn DynFamily>> {
        Plugins::family(self, name).cloned()
    }
    fn names(&self) -> Vec<String> {
        self.families().into_iter().map(|family| family.name().to_owned()).collect()
    }
}

impl Plugins {
    /// Looks for plugins. One that was seen before is opened when one of its methods is to do something, one that was not
    /// when a method is asked for that it may have, or when all are ([`look_in_children`](crate::look_in_children) says
    /// how a program looks at once). Libraries that cannot be loaded are [`problems`](Plugins::problems), not errors.
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
        plugins.known.problems = found.problems;
        plugins.looked_in = found.looked_in;
        let files: Vec<PathBuf> = found.candidates.into_iter().map(|found| found.path).collect();
        let (mut registry, mut unseen, mut places) = (Registry::new(), vec![], BTreeMap::new());
        let seen = sight::look(&files, &plugins.host.peers);
        for (place, (file, seen)) in files.iter().zip(seen).enumerate() {
            match seen {
                Seen::Known(Ok(contents)) => {
                    let taken = plugins.take((place, file), &contents, &mut registry);
                    places.extend(taken.into_iter().map(|name| (name, place)));
                }
                Seen::Known(Err(e)) => plugins.known.problems.push(Problem::new(file, e)),
                Seen::Unseen(library) => unseen.push(library),
            }
        }
        let mut native = Registry::new();
        for method in linked {
            native.add(Arc::clone(method))?;
            match registry.get(method.name()) {
                Err(_) => {
                    places.insert(method.name().to_owned(), usize::MAX);
                    registry.add(Arc::clone(method))?;
                }
                Ok(by) => plugins.known.replaced.push(replaced(&**by)),
            }
        }
        if !unseen.is_empty() {
            let unseen = Arc::new(Unseen::new(unseen, places, &plugins.host.peers));
            plugins.unseen = Some(Arc::clone(&unseen));
            registry = registry.with_further(unseen);
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
            families: BTreeMap::new(),
            known: Listed::default(),
            unseen: None,
            all: OnceLock::new(),
            looked_in: Vec::new(),
            host: Arc::new(Services::new(&Arc::default(), &base)),
        })
    }

    /// These are the methods, which find each other from now on.
    fn complete(&mut self, registry: Registry) {
        self.registry = Arc::new(registry);
        self.all = OnceLock::new();
        self.host.peers.complete(&self.registry);
    }

    /// Adds a method; others find it from now on.
    ///
    /// # Errors
    /// [`Error::Plugin`] where another one has its name.
    pub fn add(&mut self, method: Arc<dyn DynGenerator>) -> Result<()> {
        let mut registry = (*self.registry).clone();
        self.add_to(&mut registry, method)?;
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
        let Contents { methods: loaded, families } =
            unsafe { library::open(path, &self.host.peers, &|_| {}) }?;
        let methods: Vec<String> = loaded.iter().map(|method| method.name().to_owned()).collect();
        let mut registry = (*self.registry).clone();
        loaded.into_iter().try_for_each(|method| self.add_to(&mut registry, method))?;
        families.iter().try_for_each(|family| self.free_kind(&**family))?;
        let names: Vec<String> = families.iter().map(|family| family.name().to_owned()).collect();
        self.families.extend(names.iter().cloned().zip(families.into_iter().map(|f| (0, f))));
        let (path, methods_there) = (path.to_owned(), methods.clone());
        self.known.libraries.push(Library { path, methods: methods_there, families: names });
        self.complete(registry);
        Ok(methods)
    }

    /// Adds a family of problems of this program's own: a `kind` of `[problem]` from now on.
    ///
    /// # Errors
    /// [`Error::Plugin`] where another kind has its name, or a parameter of it a name that is not its own.
    pub fn add_family(&mut self, family: Arc<dyn DynFamily>) -> Result<()> {
        if let Some(key) = problem::taken_name(&family.schema()) {
            let name = family.name();
            let why = format!(
                "family '{name}': its parameter '{key}' has a name that means something for every kind"
            );
            return Err(Error::Plugin(why));
        }
        self.free_kind(&*family)?;
        self.families.insert(family.name().to_owned(), (0, family));
        Ok(())
    }

    /// Refuses a family whose name another kind of problem has.
    fn free_kind(&self, family: &dyn DynFamily) -> Result<()> {
        let name = family.name();
        let there = match self.family(name) {
            _ if shipped(name) => "it is shipped".into(),
            Some(there) => format!("from {}", there.origin()),
            None => return Ok(()),
        };
        let origin = family.origin();
        Err(Error::Plugin(format!(
            "kind of problem '{name}' of {origin} is there already, {there}"
        )))
    }

    /// The family of problems `name`, of libraries and of the program's own.
    pub fn family(&self, name: &str) -> Option<&Arc<dyn DynFamily>> {
        if shipped(name) {
            return None;
        }
        let known = self.families.get(name);
        let place = known.map(|(place, _)| *place);
        let first = self.unseen.as_ref().and_then(|unseen| unseen.family(name, place));
        first.or(known.map(|(_, family)| family))
    }

    /// All families of problems, in order of their names; opens libraries that were not looked at.
    pub fn families(&self) -> Vec<&Arc<dyn DynFamily>> {
        let unseen = self.unseen.iter().flat_map(|unseen| unseen.families());
        let unseen = unseen.map(|(_, family)| family.name());
        let names: BTreeSet<&str> =
            self.families.keys().map(String::as_str).chain(unseen).collect();
        names.into_iter().filter_map(|name| self.family(name)).collect()
    }

    fn add_to(&self, registry: &mut Registry, method: Arc<dyn DynGenerator>) -> Result<()> {
        let unseen = self.unseen.as_ref();
        match unseen.and_then(|unseen| unseen.likely(method.name(), usize::MAX)) {
            Some(there) => Err(there_already(&*method, &**there)),
            None => registry.add(method),
        }
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
        for (place, file) in files.into_iter().enumerate() {
            // SAFETY: only root and the user can have written the file, or put it where it is, which is
            // looked at before it is opened: it is trusted as the program itself.
            match unsafe { library::open(&file, &plugins.host.peers, told) } {
                Ok(contents) => _ = plugins.take((place, &file), &contents, &mut registry),
                Err(e) => plugins.known.problems.push(Problem::new(&file, e)),
            }
        }
        plugins.complete(registry);
        Ok(plugins)
    }

    /// Takes what a library has that no library before it has, and gives the names of methods.
    fn take(
        &mut self,
        (place, path): (usize, &Path),
        contents: &Contents,
        registry: &mut Registry,
    ) -> Vec<String> {
        let Contents { methods, families } = contents;
        let mut taken = Vec::new();
        for method in methods {
            let name = method.name();
            match registry.get(name).map(|first| first.origin()) {
                Ok(first) => {
                    self.known.problems.push(Problem::hidden(path, name, first));
                }
                // A name that is not there.
                Err(_) => {
                    if registry.add(Arc::clone(method)).is_ok() {
                        taken.push(name.to_owned());
                    }
                }
            }
        }
        let mut kinds = Vec::new();
        for family in families {
            let name = family.name();
            let first = self.families.get(name).map(|(_, first)| first.origin());
            if shipped(name) || first.is_some() {
                let first = first.as_ref().map(|first| first as &dyn Display);
                self.known.problems.push(Problem::hidden_family(path, name, first));
            } else {
                self.families.insert(name.to_owned(), (place, Arc::clone(family)));
                kinds.push(name.to_owned());
            }
        }
        if !taken.is_empty() || !kinds.is_empty() || (methods.is_empty() && families.is_empty()) {
            let (path, methods) = (path.to_owned(), taken.clone());
            self.known.libraries.push(Library { path, methods, families: kinds });
        }
        taken
    }

    /// What was found, libraries that were unseen so far opened.
    fn all(&self) -> &Listed {
        let Some(unseen) = &self.unseen else { return &self.known };
        self.all.get_or_init(|| {
            unseen.open(|_| true);
            let mut all = self.known.clone();
            all.problems.extend(unseen.problems());
            for library in unseen.libraries() {
                let Some(Ok(Contents { methods, families })) = library.opened() else { continue };
                let mut kinds = Vec::new();
                for family in families {
                    let name = family.name();
                    match self.family(name) {
                        Some(first) if Arc::ptr_eq(first, family) => kinds.push(name.to_owned()),
                        first => {
                            let first = first.map(|first| first.origin());
                            let first = first.as_ref().map(|first| first as &dyn Display);
                            all.problems.push(Problem::hidden_family(&library.path, name, first));
                        }
                    }
                }
                let mut taken = Vec::new();
                for method in methods {
                    let name = method.name();
                    match self.registry.get(name) {
                        Ok(first) if !Arc::ptr_eq(first, method) => {
                            let hidden = Problem::hidden(&library.path, name, first.origin());
                            all.problems.push(hidden);
                        }
                        _ => {
                            if unseen.is_linked(name) {
                                all.replaced.push(replaced(&**method));
                            }
                            all.replace(&**method);
                            taken.push(name.to_owned());
                        }
                    }
                }
                let path = library.path.clone();
                all.libraries.push(Library { path, methods: taken, families: kinds });
            }
            all
        })
    }

    /// The method `name`.
    ///
    /// # Errors
    /// [`Error::Parameter`] listing the methods that are there and the folders that were looked in.
    pub fn get(&self, name: &str) -> Result<&Arc<dyn DynGenerator>> {
        let method = self.registry.get(name).map_err(|e| {
            let mut told = search::not_found(e, &self.looked_in).to_string();
            for problem in self.unseen.iter().flat_map(|unseen| unseen.problems()) {
                told += &format!("; not loaded: {}: {}", problem.path.display(), problem.reason);
            }
            Error::Parameter(told)
        })?;
        note_old_method(name, &**method, &*self.host);
        Ok(method)
    }

    /// The methods.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }
    /// The libraries that have the methods; opens those that were not looked at.
    pub fn libraries(&self) -> &[Library] {
        &self.all().libraries
    }
    /// What was passed over; opens libraries that were not looked at.
    pub fn problems(&self) -> &[Problem] {
        &self.all().problems
    }
    /// Linked methods that a library stands for, in words; opens libraries that were not looked at.
    pub fn replaced(&self) -> &[String] {
        &self.all().replaced
    }

    /// All libraries; those that were not looked at have no methods here.
    pub fn libraries_so_far(&self) -> Vec<Library> {
        let unseen = self.unseen.iter().flat_map(|unseen| unseen.libraries());
        let unseen = unseen.map(|l| Library {
            path: l.path.clone(),
            methods: Vec::new(),
            families: Vec::new(),
        });
        self.known.libraries.iter().cloned().chain(unseen).collect()
    }
    /// What was passed over so far.
    pub fn problems_so_far(&self) -> Vec<Problem> {
        let late = self.unseen.iter().flat_map(|unseen| unseen.problems());
        self.known.problems.iter().cloned().chain(late).collect()
    }
    /// Linked methods that a library stands for which was looked at, in words.
    pub fn replaced_so_far(&self) -> &[String] {
        &self.known.replaced
    }

    /// Opens the libraries that were not looked at in the folders that belong to this program, or to the library that
    /// this code is in.
    pub fn look_beside(&self) {
        let Some(unseen) = &self.unseen else { return };
        let beside: Vec<PathBuf> =
            search::beside().iter().filter_map(|folder| folder.canonicalize().ok()).collect();
        let is_beside = |path: &Path| beside.iter().any(|folder| path.parent() == Some(folder));
        unseen.open(|library| is_beside(&library.path));
    }

    /// The methods so far, and names that further ones may have.
    pub fn methods_so_far(&self) -> (Vec<&Arc<dyn DynGenerator>>, Vec<&str>) {
        let mut methods: Vec<_> = self.registry.held().collect();
        let mut names = Vec::new();
        for library in self.unseen.iter().flat_map(|unseen| unseen.libraries()) {
            match library.opened() {
                Some(Ok(opened)) => methods.extend(&opened.methods),
                Some(Err(_)) => {}
                None => names.extend(library.names.iter().map(String::as_str)),
            }
        }
        (methods, names)
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
