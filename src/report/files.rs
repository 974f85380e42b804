//! Standard output, and files that are whole or not there. What a command will write is looked at before it
//! works: [`ready`], [`Claim`].
use super::terminal::{clean, clean_json};
use precondor_core::file;
pub use precondor_core::file::Draft;
use precondor_core::{Error, Result};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes `text` to standard output. A reader that has gone away (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    put(&clean(text))
}

/// Prints `value` as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|e| Error::Data(format!("cannot write JSON: {e}")))?;
    put(&clean_json(&(text + "\n")))
}

fn put(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::file("standard output", e)),
        _ => Ok(()),
    }
}

/// Writes a whole file or leaves what was there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    file::replace(path, |out| out.write_all(bytes))?;
    tracing::info!("{} written: {} bytes", path.display(), bytes.len());
    Ok(())
}

/// A command as a shell takes it.
pub fn command(words: &[String]) -> String {
    let quote = |word: &String| match shlex::try_quote(word) {
        Ok(quoted) => quoted.into_owned(),
        // No shell takes a zero byte, and no argument has one.
        Err(_) => word.clone(),
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// Says that nothing is wrong with a configuration, and that nothing was done.
pub fn sound(config: &Path) -> Result<()> {
    print(&format!("{}: nothing wrong was found, and nothing was done\n", config.display()))
}

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| Error::file(path, format!("cannot make it: {e}")))
}

/// Sees to it that files can be written, each asked for by an option of the command line. Nothing is written.
///
/// # Errors
/// [`Error::File`] for the first that cannot be, or that two options name.
pub fn ready(wanted: &[(&str, Option<&Path>)]) -> Result<()> {
    let asked = || wanted.iter().filter_map(|(option, path)| Some((*option, (*path)?)));
    for (k, (option, path)) in asked().enumerate() {
        file::ready(path).map_err(|e| e.inside(option))?;
        if let Some((other, _)) = asked().take(k).find(|(_, before)| same(before, path)) {
            let why = format!("{other} names the same file");
            return Err(Error::file(path, why).inside(option));
        }
    }
    Ok(())
}

/// Whether two paths lead to one place.
fn same(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        let name = path.file_name()?;
        Some(folder.join(name).canonicalize().unwrap_or_else(|_| folder.join(name)))
    };
    let device = |path: &Path| std::fs::metadata(path).is_ok_and(|there| !there.is_file());
    !device(a) && place(a) == place(b)
}

/// A folder, or the surroundings of a file, that this process alone writes; given back when dropped.
pub struct Claim {
    path: PathBuf,
    /// Holds the lock; none where the file system has no locks.
    _file: Option<File>,
}

impl Claim {
    /// Claims `folder`, which is there.
    ///
    /// # Errors
    /// [`Error::File`] where another process has it.
    pub fn folder(folder: &Path) -> Result<Claim> {
        Claim::of(folder, folder.join(".precondor.lock"))
    }

    /// Claims what belongs to a file that is written for long.
    ///
    /// # Errors
    /// As [`Claim::folder`].
    pub fn file(path: &Path) -> Result<Claim> {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let hash = name.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Claim::of(path, path.with_file_name(format!(".precondor-{hash:016x}.lock")))
    }

    fn of(what: &Path, path: PathBuf) -> Result<Claim> {
        loop {
            let opened = File::options().write(true).create(true).truncate(false).open(&path);
            let file =
                opened.map_err(|e| Error::file(what, format!("it cannot be locked: {e}")))?;
            match fs4::FileExt::try_lock(&file) {
                Ok(()) => {}
                Err(fs4::TryLockError::WouldBlock) => {
                    let why =
                        "another run of precondor writes there: wait for it, or name another place";
                    return Err(Error::file(what, why));
                }
                Err(fs4::TryLockError::Error(e)) => {
                    tracing::info!("{} cannot be locked: {e}", what.display());
                    return Ok(Claim { path, _file: None });
                }
            }
            // Whoever had it before has removed it meanwhile, or not.
            if is_at(&file, &path) {
                return Ok(Claim { path, _file: Some(file) });
            }
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let of = |there: std::io::Result<std::fs::Metadata>| there.map(|m| (m.dev(), m.ino())).ok();
    of(file.metadata()).is_some_and(|ours| of(std::fs::metadata(path)) == Some(ours))
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Before the lock goes with the file. One that stays does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}
