//! The child's side of `plugins check`: loads the library, tries what it has, tells what came of it.
use precondor::check::{self, Checked};
use precondor_core::{Error, Result};
use precondor_host::Plugins;
use precondor_host::child::tell;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What came of the methods and families of a library.
#[derive(Serialize, Deserialize)]
pub(super) struct Tried {
    pub methods: Vec<Checked>,
    pub problems: Vec<Checked>,
}

/// What came of those of the library at `path`, beside `peers`.
pub(super) fn tried(path: PathBuf, peers: impl Iterator<Item = PathBuf>) -> Result<Tried> {
    let all = std::iter::once(path.clone()).chain(peers);
    let plugins = Plugins::of(all, Path::new("."), &tell)?;
    if let Some(problem) = plugins.problems().iter().find(|problem| problem.path == path) {
        return Err(Error::Plugin(problem.reason.clone()));
    }
    let host = plugins.host();
    let mut tried = Tried { methods: Vec::new(), problems: Vec::new() };
    if let Some(library) = plugins.libraries().first() {
        for name in &library.methods {
            tried.methods.push(check::method(&**plugins.get(name)?, &host, &tell));
        }
        let families = library.families.iter().filter_map(|name| plugins.family(name));
        tried.problems.extend(families.map(|family| check::family(family, &tell)));
    }
    Ok(tried)
}
