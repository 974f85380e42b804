//! The child's side of `plugins check`: loads the library, tries its methods, tells what came of it.
use precondor::check::{self, Checked};
use precondor_core::{Error, Result};
use precondor_host::Plugins;
use precondor_host::child::tell;
use std::path::{Path, PathBuf};

/// What came of the methods of the library at `path`, beside those of `peers`.
pub(super) fn tried(path: PathBuf, peers: impl Iterator<Item = PathBuf>) -> Result<Vec<Checked>> {
    let all = std::iter::once(path.clone()).chain(peers);
    let plugins = Plugins::of(all, Path::new("."), &tell)?;
    if let Some(problem) = plugins.problems().iter().find(|problem| problem.path == path) {
        return Err(Error::Plugin(problem.reason.clone()));
    }
    let names = plugins.libraries().first().map_or(&[][..], |library| &library.methods);
    let host = plugins.host();
    names.iter().map(|name| Ok(check::method(&**plugins.get(name)?, &host, &tell))).collect()
}
