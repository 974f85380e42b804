//! What libraries said of their methods when they were first seen, kept in the user's cache: a command opens only
//! the libraries that it needs.
//!
//! A library is known again by its path, device, inode, size and times to the nanosecond; one that was changed within
//! the last two seconds is not kept, as another change might leave all of them as they are. The file begins with the
//! checksum of the rest, and is believed only where nobody but root and the user can have written it. One that is not
//! there, damaged, of another version or not to be written is no error: libraries are asked again.
use crate::probe::LibraryInfo;
use crate::trust;
use precondor_abi as abi;
use precondor_core::{file, input};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Changes with what is kept.
const FORMAT: u32 = 2;
/// How long ago a library must have been changed.
const SETTLED: Duration = Duration::from_secs(2);
/// Libraries that are kept, at most.
const MOST: usize = 1024;

/// What tells a file from another, and from itself as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change of its content, and of what is known of it.
    times: [i64; 4],
}

impl Stamp {
    /// That of the file as it is; none where it is not there.
    #[cfg(unix)]
    pub(crate) fn of(path: &Path) -> Option<Stamp> {
        use std::os::unix::fs::MetadataExt;
        let there = path.metadata().ok()?;
        let times = [there.mtime(), there.mtime_nsec(), there.ctime(), there.ctime_nsec()];
        Some(Stamp { device: there.dev(), inode: there.ino(), size: there.size(), times })
    }

    #[cfg(not(unix))]
    pub(crate) fn of(_: &Path) -> Option<Stamp> {
        None
    }

    /// Whether a further change would show.
    fn settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let last = u64::try_from(self.times[0].max(self.times[2])).unwrap_or(0);
        now.saturating_sub(SETTLED).as_secs() > last
    }
}

/// A library that was asked.
#[derive(Serialize, Deserialize)]
struct Entry {
    stamp: Stamp,
    has: LibraryInfo,
}

#[derive(Serialize, Deserialize)]
struct Content {
    format: u32,
    /// Of this program and of what it speaks with libraries.
    version: String,
    libraries: BTreeMap<PathBuf, Entry>,
}

/// The index, as it was read and with what is new.
pub(crate) struct Index {
    /// None: there is no place for it.
    file: Option<PathBuf>,
    libraries: BTreeMap<PathBuf, Entry>,
    changed: bool,
}

impl Index {
    /// That of the user.
    pub(crate) fn read() -> Index {
        let file = cache_folder().map(|folder| folder.join("plugins.index"));
        let libraries = file.as_deref().and_then(read).unwrap_or_default();
        Index { file, libraries, changed: false }
    }

    /// What a library said of what it has, where it is the one that was asked.
    pub(crate) fn get(&self, path: &Path, stamp: &Stamp) -> Option<&LibraryInfo> {
        self.libraries.get(path).filter(|entry| entry.stamp == *stamp).map(|entry| &entry.has)
    }

    /// What the library at `path` said when it was last asked, whatever it is now.
    pub(crate) fn before(&self, path: &Path) -> Option<&LibraryInfo> {
        self.libraries.get(path).map(|entry| &entry.has)
    }

    /// Keeps what a library said, where it has not changed since `stamp`.
    pub(crate) fn put(&mut self, path: &Path, stamp: Stamp, has: LibraryInfo) {
        if stamp.settled() && Stamp::of(path).as_ref() == Some(&stamp) {
            self.libraries.insert(path.to_owned(), Entry { stamp, has });
            self.changed = true;
        }
    }

    /// Writes it where something is new, without the libraries that are there no more.
    pub(crate) fn write(mut self) {
        let Some(path) = self.file.filter(|_| self.changed) else { return };
        self.libraries.retain(|library, _| library.exists());
        while self.libraries.len() > MOST {
            self.libraries.pop_first();
        }
        let content = Content { format: FORMAT, version: version(), libraries: self.libraries };
        if let Err(why) = write(&path, &content) {
            tracing::debug!("what libraries said is not kept: {why}");
        }
    }
}

fn version() -> String {
    let (program, [major, minor]) = (env!("CARGO_PKG_VERSION"), [abi::ABI_MAJOR, abi::ABI_MINOR]);
    format!("{program}, ABI {major}.{minor}")
}

fn read(path: &Path) -> Option<BTreeMap<PathBuf, Entry>> {
    let path = trust::check(path).ok()?;
    let bytes = input::read(&path).ok()?;
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let (sum, rest) = (&bytes[..end], &bytes[end + 1..]);
    if sum != checksum(rest).as_bytes() {
        return None;
    }
    let content: Content = serde_json::from_slice(rest).ok()?;
    (content.format == FORMAT && content.version == version()).then_some(content.libraries)
}

fn write(path: &Path, content: &Content) -> precondor_core::Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|e| precondor_core::Error::file(folder, e))?;
    if trust::check(path).is_err() {
        // What others may write would stay theirs to write; where nothing is there, nothing goes.
        let _ = std::fs::remove_file(path);
    }
    let text = serde_json::to_string(content).map_err(|e| precondor_core::Error::file(path, e))?;
    file::replace(path, |out| {
        writeln!(out, "{}", checksum(text.as_bytes()))?;
        out.write_all(text.as_bytes())
    })
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the user's programs keep what they can do without.
fn cache_folder() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("precondor"))
}
