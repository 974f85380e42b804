//! Libraries of which nothing is known, in a program that is not to look at them in children: each is opened where a
//! method is asked for that it may have, or that nothing else has.
use crate::index::{Index, Stamp};
use crate::library::{self, name_of};
use crate::plugins::Problem;
use crate::probe::MethodInfo;
use crate::services::Peers;
use precondor_core::Result;
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
    opened: OnceLock<Result<Vec<Method>>>,
}

impl Library {
    /// The library at `path`, not opened; `before` are the methods that it had when it was another file.
    pub(crate) fn new(
        place: usize,
        path: &Path,
        stamp: Stamp,
        before: impl Iterator<Item = String>,
    ) -> Self {
        let name = name_of(path).unwrap_or_default();
        let mut names: Vec<String> =
            [name.replace('_', "-"), name.to_owned()].into_iter().chain(before).collect();
        names.sort();
        names.dedup();
        Library { place, path: path.to_owned(), stamp, names, opened: OnceLock::new() }
    }

    /// Its methods; none before it was opened.
    pub(crate) fn opened(&self) -> Option<&Result<Vec<Method>>> {
        self.opened.get()
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
        let may_have = |library: &&Library| {
            let looked = library.opened().is_some();
            library.place < before && (looked || library.names.iter().any(|there| there == name))
        };
        self.libraries.iter().filter(may_have).find_map(|library| self.method(library, name))
    }

    /// Opens those that `which` says.
    pub(crate) fn open(&self, which: impl Fn(&Library) -> bool) {
        self.libraries.iter().filter(|library| which(library)).for_each(|library| {
            self.methods(library);
        });
    }

    /// What could not be opened so far.
    pub(crate) fn problems(&self) -> impl Iterator<Item = Problem> {
        self.libraries.iter().filter_map(|library| match library.opened() {
            Some(Err(e)) => Some(Problem::new(&library.path, e.clone())),
            _ => None,
        })
    }

    fn methods<'a>(&'a self, library: &'a Library) -> &'a [Method] {
        let opened = library.opened.get_or_init(|| {
            let Library { path, stamp, .. } = library;
            tracing::debug!("{} is opened", path.display());
            // SAFETY: only root and the user can have written the file, or put it where it is, which is looked at
            // before it is opened: it is trusted as the program itself.
            let methods = unsafe { library::open(path, &self.peers, &|_| {}) };
            match &methods {
                Ok(methods) => {
                    let infos = methods.iter().map(|method| MethodInfo::of(&**method)).collect();
                    let mut index = Index::read();
                    index.put(path, stamp.clone(), infos);
                    index.write();
                }
                Err(e) => {
                    let Problem { path, reason } = Problem::new(path, e.clone());
                    tracing::warn!("plugin {}: {reason}", path.display());
                }
            }
            methods
        });
        opened.as_deref().unwrap_or_default()
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
