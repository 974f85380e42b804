//! Which files may be loaded: nobody but root and the user may have been able to write them.
use precondor_core::{Error, Result};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const WORLD_WRITABLE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// The real path of `file`, after checking that it may be loaded.
///
/// Refused: a file or real folder that is world-writable, or owned by neither root nor the user;
/// an ancestor that is world-writable without the sticky bit.
///
/// # Errors
/// [`Error::Plugin`] naming the path and what to do.
pub(crate) fn check(file: &Path) -> Result<PathBuf> {
    let real = file.canonicalize().map_err(|e| Error::file(file, e))?;
    let look = |path: &Path| path.metadata().map_err(|e| Error::file(path, e));
    owned(&real, &look(&real)?)?;
    for (i, folder) in real.ancestors().skip(1).enumerate() {
        let meta = look(folder)?;
        if i == 0 {
            owned(folder, &meta)?;
        } else if meta.mode() & WORLD_WRITABLE != 0 && meta.mode() & STICKY == 0 {
            return Err(writable(folder));
        }
    }
    Ok(real)
}

fn owned(path: &Path, meta: &Metadata) -> Result<()> {
    // SAFETY: always succeeds, touches nothing.
    let user = unsafe { libc::geteuid() };
    if meta.uid() != 0 && meta.uid() != user {
        return Err(Error::Plugin(format!(
            "{} belongs to user {}, neither to root nor to you ({user}): not loaded",
            path.display(),
            meta.uid()
        )));
    }
    if meta.mode() & WORLD_WRITABLE != 0 {
        return Err(writable(path));
    }
    Ok(())
}

fn writable(path: &Path) -> Error {
    Error::Plugin(format!(
        "{} can be written by everybody: not loaded; say chmod o-w to it",
        path.display()
    ))
}
