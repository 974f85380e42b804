//! Libraries of which nothing is known, in a program that is not to look at them in children: each is opened where a
//! method, or a kind of problem, is asked for that it may have, or that nothing else has.
use crate::index::{Index, Stamp};
use crate::library::{self, Contents, name_of};
use crate::plugins::Problem;
use crate::probe::LibraryInfo;
use crate::services::Peers;
use precondor_core::Result;
use precondor_core::problem::DynFamily;
use precondor_core::registry::{DynGenerator, Further};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

type Method = Arc<dyn DynGenerator>;

/// A library that is opened once, when it is needed.
pub(crate) struct Library {
    /// Its place among all that were found: the first that has a method is the one that gives it.
    pub(crate) place: usize,
    pub(crate) path: PathBuf,
    stamp: Stamp,
    /// Methods that it may have: by its name, and those that it had when it was last looked at.
    pub(crate) names: Vec<String>,
    /// The same of families.
    families: Vec<String>,
    opened: OnceLock<Result<Contents>>,
}

impl Library {
    /// The library at `path`, not opened; `before` is what it had when it was another file.
    pub(crate) fn new(
        place: usize,
        path: &Path,
        stamp: Stamp,
        before: Option<&LibraryInfo>,
    ) -> Self {
        let name = name_of(path).unwrap_or_default();
        let by_name = [name.replace('_', "-"), name.to_owned()];
        let with = |had: Vec<String>| {
            let mut names = [by_name.to_vec(), had].concat();
            names.sort();
            names.dedup();
            names
        };
        let methods = before.iter().flat_map(|had| had.methods.iter().map(|m| m.name.clone()));
        let families = before.iter().flat_map(|had| had.problems.iter().map(|p| p.name.clone()));
        let (names, families) = (with(methods.collect()), with(families.collect()));
        Library { place, path: path.to_owned(), stamp, names, families, opened: OnceLock::new() }
    }

    /// What it has; none before it was opened.
    pub(crate) fn opened(&self) -> Option<&Result<Contents>> {
        self.opened.get()
    }

    fn may_have(&self, names: &[String], name: &str) -> bool {
        self.opened().is_some() || names.iter().any(|there| there == name)
    }
}

/// All of them, with what is known beside them.
pub(crate) struct Unseen {
    libraries: Vec<Library>,
    /// Where the methods that are known come from: places of their libraries, and one behind all for those that are
    /// linked in.
    places: BTreeMap<String, usize>,
    peers: Arc<Peers>,
}

impl Unseen {
    pub(crate) fn new(
        libraries: Vec<Library>,
        places: BTreeMap<String, usize>,
        peers: &Arc<Peers>,
    ) -> Self {
        Unseen { libraries, places, peers: Arc::clone(peers) }
    }

    pub(crate) fn libraries(&self) -> &[Library] {
        &self.libraries
    }

    /// Whether a method that is linked in has this name.
    pub(crate) fn is_linked(&self, name: &str) -> bool {
        self.places.get(name) == Some(&usize::MAX)
    }

    /// The method `name` of the first library, of those in places before this one, that may have it and does.
    pub(crate) fn likely(&self, name: &str, before: usize) -> Option<&Method> {
        let may_have =
            |library: &&Library| library.place < before && library.may_have(&library.names, name);
        self.libraries.iter().filter(may_have).find_map(|library| self.method(library, name))
    }

    /// The family `name` of the first library that has it; `known` is the place of the one that is known already.
    pub(crate) fn family(&self, name: &str, known: Option<usize>) -> Option<&Arc<dyn DynFamily>> {
        let has = |library: &'_ Library| -> Option<usize> {
            self.contents(library)?.families.iter().position(|family| family.name() == name)
        };
        let may_have = |library: &&Library| {
            library.place < known.unwrap_or(usize::MAX) && library.may_have(&library.families, name)
        };
        let first = self.libraries.iter().filter(may_have).find(|library| has(library).is_some());
        let any = || self.libraries.iter().find(|library| has(library).is_some());
        let library = if known.is_some() { first } else { first.or_else(any) }?;
        self.contents(library)?.families.get(has(library)?)
    }

    /// All families of libraries; opens them.
    pub(crate) fn families(&self) -> impl Iterator<Item = (&Library, &Arc<dyn DynFamily>)> {
        self.libraries.iter().flat_map(|library| {
            let families = self.contents(library).map(|contents| &contents.families);
            families.into_iter().flatten().map(move |family| (library, family))
        })
    }

    /// Opens those that `which` says.
    pub(crate) fn open(&self, which: impl Fn(&Library) -> bool) {
        self.libraries.iter().filter(|library| which(library)).for_each(|library| {
            self.contents(library);
        });
    }

    /// What could not be opened so far.
    pub(crate) fn problems(&self) -> impl Iterator<Item = Problem> {
        self.libraries.iter().filter_map(|library| match library.opened() {
            Some(Err(e)) => Some(Problem::new(&library.path, e.clone())),
            _ => None,
        })
    }

    fn contents<'a>(&'a self, library: &'a Library) -> Option<&'a Contents> {
        let opened = library.opened.get_or_init(|| {
            let Library { path, stamp, .. } = library;
            tracing::debug!("{} is opened", path.display());
            // SAFETY: only root and the user can have written the file, or put it where it is, which is looked at
            // before it is opened: it is trusted as the program itself.
            let contents = unsafe { library::open(path, &self.peers, &|_| {}) };
            match &contents {
                Ok(contents) => {
                    let mut index = Index::read();
                    index.put(path, stamp.clone(), LibraryInfo::of(contents, &|_| {}));
                    index.write();
                }
                Err(e) => {
                    let Problem { path, reason } = Problem::new(path, e.clone());
                    tracing::warn!("plugin {}: {reason}", path.display());
                }
            }
            contents
        });
        opened.as_ref().ok()
    }

    fn methods<'a>(&'a self, library: &'a Library) -> &'a [Method] {
        self.contents(library).map(|contents| contents.methods.as_slice()).unwrap_or_default()
    }

    fn method<'a>(&'a self, library: &'a Library, name: &str) -> Option<&'a Method> {
        self.methods(library).iter().find(|method| method.name() == name)
    }
}

impl Further for Unseen {
    fn get(&self, name: &str, known: Option<&dyn DynGenerator>) -> Option<&Method> {
        // What a program added itself stays.
        let place = |known: &dyn DynGenerator| self.places.get(known.name()).copied().unwrap_or(0);
        let first = self.likely(name, known.map_or(usize::MAX, place));
        let any = || self.libraries.iter().find_map(|library| self.method(library, name));
        if known.is_some() { first } else { first.or_else(any) }
    }

    fn all(&self) -> Vec<&Method> {
        self.libraries.iter().flat_map(|library| self.methods(library)).collect()
    }
}
