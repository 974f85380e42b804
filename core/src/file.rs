//! Files that are replaced whole or not at all, and whose places are looked at before the work.
//!
//! A file is written under another name in the same folder, which takes the place of the old one in one
//! step when all is on disk. That name is short, whatever the file is called, and says which process of
//! which machine writes: what a killed one left is removed when somebody next asks for a place in that
//! folder ([`ready`]).
use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// What a file is called while it is written: this, machine and process, something random, and `.tmp`.
const PREFIX: &str = ".precondor-";
const SUFFIX: &str = ".tmp";
/// What another machine's process has not finished by then is nobody's any more.
const OLD: Duration = Duration::from_secs(24 * 3600);
/// Links that may follow each other.
const LINKS: usize = 40;

/// Writes a file. Whatever goes wrong, `path` holds its old content or the new one.
///
/// # Errors
/// As [`Draft`]; what `content` returns.
pub fn replace(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let mut draft = Draft::new(path)?;
    content(&mut draft).map_err(|e| Error::file(path, e))?;
    draft.finish()
}

/// Sees to it that a file can be written at `path`, which stays as it is, and removes what killed
/// processes of this user left in its folder.
///
/// # Errors
/// [`Error::File`] that says why it could not be: a missing folder, one that nothing may be written into, a
/// folder or a read-only file in its place, a name that is too long.
pub fn ready(path: &Path) -> Result<()> {
    let place = Place::of(path)?;
    if place.there.as_ref().is_none_or(fs::Metadata::is_file) {
        sweep(&place.beside()?);
    }
    Ok(())
}

/// A file that is being written: [`finish`](Draft::finish) puts it in its place, anything else leaves the old
/// one. A link stays, and what it points to is replaced; devices and pipes are written straight into.
pub struct Draft {
    place: Place,
    sink: Sink,
}

enum Sink {
    Beside(BufWriter<NamedTempFile>),
    Straight(File),
}

/// Where a file goes.
struct Place {
    /// As it was asked for.
    path: PathBuf,
    /// Where that leads, and what is there.
    target: PathBuf,
    there: Option<fs::Metadata>,
}

impl Place {
    fn of(path: &Path) -> Result<Place> {
        let fail = |e: std::io::Error| Error::file(path, cannot(&e));
        let target = behind_links(path).map_err(fail)?;
        let there = match fs::metadata(&target) {
            Ok(there) => Some(there),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(fail(e)),
        };
        let why = match &there {
            Some(there) if there.is_dir() => "this is a folder: name a file",
            Some(there) if there.is_file() && there.permissions().readonly() => {
                "the file there is read-only: remove it, or name another one"
            }
            _ => return Ok(Place { path: path.to_owned(), target, there }),
        };
        Err(Error::file(path, why))
    }

    /// A new file in the folder of the target.
    fn beside(&self) -> Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        let prefix = format!("{PREFIX}{}-{}-", machine(), std::process::id());
        builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(6);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let made = builder.tempfile_in(folder(&self.target));
        made.map_err(|e| Error::file(&self.path, cannot(&e)))
    }
}

impl Draft {
    /// Begins a file.
    ///
    /// # Errors
    /// As [`ready`].
    pub fn new(path: &Path) -> Result<Draft> {
        let place = Place::of(path)?;
        let fail = |e: std::io::Error| Error::file(path, cannot(&e));
        let sink = match &place.there {
            Some(there) if !there.is_file() => {
                Sink::Straight(OpenOptions::new().write(true).open(&place.target).map_err(fail)?)
            }
            there => {
                let file = place.beside()?;
                if let Some(there) = there {
                    // A file that others may not read stays one.
                    file.as_file().set_permissions(there.permissions()).map_err(fail)?;
                }
                Sink::Beside(BufWriter::with_capacity(1 << 16, file))
            }
        };
        Ok(Draft { place, sink })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written out or renamed.
    pub fn finish(self) -> Result<()> {
        let Place { path, target, .. } = &self.place;
        let fail = |e: std::io::Error| Error::file(path, e);
        let Sink::Beside(buffer) = self.sink else { return Ok(()) };
        let file = buffer.into_inner().map_err(|e| fail(e.into_error()))?;
        file.as_file().sync_all().map_err(fail)?;
        file.persist(target).map_err(|e| fail(e.error))?;
        Ok(())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut self.sink {
            Sink::Beside(buffer) => buffer.write(bytes),
            Sink::Straight(file) => file.write(bytes),
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        match &mut self.sink {
            Sink::Beside(buffer) => buffer.flush(),
            Sink::Straight(file) => file.flush(),
        }
    }
}

/// Why nothing can be written, and what to do.
fn cannot(e: &std::io::Error) -> String {
    match e.kind() {
        ErrorKind::NotFound => "its folder is not there: make it first".into(),
        ErrorKind::NotADirectory => "what should be its folder is a file".into(),
        _ => format!("it cannot be written: {e}"),
    }
}

/// Where links lead, whether there is something or not.
fn behind_links(path: &Path) -> std::io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = folder(&path).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(std::io::Error::other("too many links follow each other"))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A short name for this machine, the same for all its processes.
fn machine() -> String {
    let name = fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    let hash = name
        .iter()
        .fold(0x811c_9dc5u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

/// Removes files of this user in the folder of `mine` that nobody will finish.
fn sweep(mine: &NamedTempFile) {
    // What cannot be looked at or removed stays: it does no harm.
    let Ok(own) = mine.as_file().metadata() else { return };
    let Ok(entries) = fs::read_dir(folder(mine.path())) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(written_by) = name.to_str().and_then(writer) else { continue };
        let Ok(there) = entry.metadata() else { continue };
        if there.is_file() && same_owner(&there, &own) && is_left(written_by, &there) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Machine and process that the name of an unfinished file tells.
fn writer(name: &str) -> Option<(&str, u32)> {
    let mut parts = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split('-');
    let (machine, process) = (parts.next()?, parts.next()?.parse().ok()?);
    (parts.next().is_some() && parts.next().is_none()).then_some((machine, process))
}

#[cfg(unix)]
fn same_owner(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    a.uid() == b.uid()
}

#[cfg(not(unix))]
fn same_owner(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

/// Whether its writer is gone, or must be.
fn is_left((on, process): (&str, u32), there: &fs::Metadata) -> bool {
    let age = there.modified().ok().and_then(|time| time.elapsed().ok());
    let processes = Path::new("/proc");
    let tells = processes.join(std::process::id().to_string()).exists();
    let gone = on == machine() && tells && !processes.join(process.to_string()).exists();
    gone || age.is_some_and(|age| age > OLD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("there");
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.expect("readable").file_name().into_string().expect("text")
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_or_stays_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.txt");
        replace(&path, |w| w.write_all(b"old")).expect("written");
        let full = replace(&path, |w| {
            w.write_all(b"half")?;
            Err(std::io::Error::other("no space left"))
        });
        let text = full.expect_err("it failed").to_string();
        assert!(text.ends_with("a.txt: no space left"), "{text}");
        assert_eq!(fs::read(&path).expect("there"), b"old");
        replace(&path, |w| w.write_all(b"new")).expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"new");
        assert_eq!(names(folder.path()), ["a.txt"], "nothing stays behind");
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let why = |path: &Path| ready(path).expect_err("it cannot be written").to_string();
        assert!(why(&at("no/such/file")).contains("its folder is not there: make it first"));
        assert!(why(folder.path()).contains("this is a folder: name a file"));
        assert!(why(&at(&"n".repeat(300))).contains("name too long"));
        fs::write(at("kept"), "kept").expect("written");
        assert!(why(&at("kept/file")).contains("what should be its folder is a file"));
        let mut read_only = fs::metadata(at("kept")).expect("there").permissions();
        read_only.set_readonly(true);
        fs::set_permissions(at("kept"), read_only).expect("set");
        assert!(why(&at("kept")).contains("the file there is read-only"));
        assert!(replace(&at("kept"), |w| w.write_all(b"new")).is_err());
        assert_eq!(fs::read(at("kept")).expect("there"), b"kept");
        ready(&at(&"n".repeat(255))).expect("the longest name");
        assert_eq!(names(folder.path()), ["kept"], "looking leaves nothing behind");
        replace(&at(&"n".repeat(255)), |w| w.write_all(b"new")).expect("written");
        replace(Path::new("/dev/null"), |w| w.write_all(b"new")).expect("a device");
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_and_permissions_too() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("there")).expect("made");
        symlink("there/file", at("link")).expect("linked");
        symlink("link", at("further")).expect("linked");
        replace(&at("further"), |w| w.write_all(b"one")).expect("through a link to nothing");
        assert_eq!(fs::read(at("there/file")).expect("there"), b"one");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(at("there/file"), private).expect("set");
        replace(&at("link"), |w| w.write_all(b"two")).expect("through a link");
        assert_eq!(fs::read(at("there/file")).expect("there"), b"two");
        assert!(fs::symlink_metadata(at("further")).expect("there").is_symlink());
        let mode = fs::metadata(at("there/file")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        symlink("circle", at("circle")).expect("linked");
        assert!(ready(&at("circle")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_killed_processes_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        // A process that was, and is no more.
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        let gone = child.id();
        child.wait().expect("it ends");
        let (here, this) = (machine(), std::process::id());
        let left = [
            format!(".precondor-{here}-{gone}-aaaaaa.tmp"),
            format!(".precondor-ffffffff-{this}-old123.tmp"),
        ];
        let others = [
            format!(".precondor-{here}-{this}-bbbbbb.tmp"),
            format!(".precondor-ffffffff-{gone}-cccccc.tmp"),
            format!(".precondor-{here}-{gone}-dddddd.txt"),
            ".precondor-notes.tmp".to_owned(),
            "a.tmp".to_owned(),
        ];
        for name in left.iter().chain(&others) {
            fs::write(folder.path().join(name), "x").expect("written");
        }
        let old = File::options().write(true).open(folder.path().join(&left[1])).expect("there");
        old.set_modified(SystemTime::now() - 2 * OLD).expect("set");
        ready(&folder.path().join("a.txt")).expect("ready");
        let mut expected = others.to_vec();
        expected.sort();
        assert_eq!(names(folder.path()), expected);
    }
}
