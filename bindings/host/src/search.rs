//! Where plugins are looked for.
use crate::here::own_folder;
use crate::library::{elsewhere, name_of};
use crate::plugins::Problem;
use crate::trust;
use precondor_core::{Error, Result, input};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where to look for plugins, and what relative file names in parameters are relative to.
#[derive(Clone, Debug)]
pub struct Search {
    /// Folders to look in first.
    pub extra: Vec<PathBuf>,
    /// Folder that file names in parameters are relative to; empty: that which the program is in when a file is read.
    pub base: PathBuf,
}

/// A plugin library that may be loaded.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// NAME of `libprecondor_plugin_NAME.so`.
    pub name: String,
    /// Its real path.
    pub path: PathBuf,
}

/// What a search came to.
#[derive(Debug)]
pub struct Found {
    /// Libraries that may be loaded, folder after folder, in each in order of their names.
    pub candidates: Vec<Candidate>,
    /// What was passed over, and why.
    pub problems: Vec<Problem>,
    /// Folders, in the order in which they were looked at.
    pub looked_in: Vec<PathBuf>,
}

impl Found {
    /// What to say where a method is not there: `error`, and where it was looked for.
    pub fn not_found(&self, error: Error) -> Error {
        not_found(error, &self.looked_in)
    }
}

impl Search {
    /// The same, where all folders of `extra` are there: one that was asked for and is missing is a mistake.
    ///
    /// # Errors
    /// [`Error::File`] naming the first that is not.
    pub fn checked(self) -> Result<Search> {
        match self.extra.iter().find(|folder| !folder.is_dir()) {
            Some(missing) => {
                Err(Error::file(missing, "there is no such folder to look for plugins in"))
            }
            None => Ok(self),
        }
    }

    /// Looks for libraries without opening any.
    pub fn find(&self) -> Found {
        let mut problems = Vec::new();
        let looked_in = self.folders(std::env::var_os("PRECONDOR_PATH"), &mut problems);
        let mut candidates: Vec<Candidate> = Vec::new();
        for folder in &looked_in {
            let files = files(folder).unwrap_or_else(|e| {
                problems.push(Problem::new(folder, Error::file(folder, e)));
                Vec::new()
            });
            for file in files {
                let Some(name) = name_of(&file) else { continue };
                let first = candidates.iter().find(|candidate| candidate.name == name);
                match (trust::check(&file), first) {
                    (Err(e), _) => problems.push(Problem::new(&file, e)),
                    (Ok(path), None) => candidates.push(Candidate { name: name.to_owned(), path }),
                    (Ok(real), Some(Candidate { path: first, .. })) => {
                        if !left_over(&real, first) && differ(first, &real).unwrap_or(true) {
                            let why = format!(
                                "hidden by {}, which is another version and comes first",
                                first.display()
                            );
                            problems.push(Problem::new(&file, Error::Plugin(why)));
                        }
                    }
                }
            }
        }
        Found { candidates, problems, looked_in }
    }

    /// The folders, first to last, each once; `path` is the value of `PRECONDOR_PATH`.
    fn folders(&self, path: Option<OsString>, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
        let mut all = self.extra.clone();
        if let Some(path) = path {
            for entry in std::env::split_paths(&path).filter(|e| !e.as_os_str().is_empty()) {
                if entry.is_absolute() {
                    all.push(entry);
                } else {
                    let why = "this entry of PRECONDOR_PATH is not absolute and is ignored";
                    problems.push(Problem::new(&entry, Error::Plugin(why.into())));
                }
            }
        }
        all.extend(beside());
        all.extend(data_folder());
        let mut seen = Vec::new();
        all.retain(|folder| {
            let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
            let new = !seen.contains(&real);
            seen.push(real);
            new
        });
        all
    }
}

/// The files of a folder, in order; none where it is not there.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut files = entries.map(|e| Ok(e?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// Whether `file` is what an older build left beside the `deps` that `first` is in.
fn left_over(file: &Path, first: &Path) -> bool {
    file.parent().is_some_and(|folder| first.parent() == Some(&folder.join("deps")))
}

/// Whether two files have different contents.
fn differ(a: &Path, b: &Path) -> std::io::Result<bool> {
    if same_file(a, b)? {
        return Ok(false);
    }
    Ok(a.metadata()?.len() != b.metadata()?.len() || digest(a)? != digest(b)?)
}

/// Whether two paths are names of one file, as cargo gives its libraries.
#[cfg(unix)]
fn same_file(a: &Path, b: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (a, b) = (a.metadata()?, b.metadata()?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
fn same_file(a: &Path, b: &Path) -> std::io::Result<bool> {
    Ok(a.canonicalize()? == b.canonicalize()?)
}

/// SHA-256 of a file, in hexadecimal digits.
pub(crate) fn digest(path: &Path) -> std::io::Result<String> {
    let hash = Sha256::digest(input::read(path)?);
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Folders that belong to the program, or to the library that this code is in.
pub(crate) fn beside() -> Vec<PathBuf> {
    let Some(here) = own_folder() else { return Vec::new() };
    let above = here.parent().map(Path::to_owned);
    // Cargo writes every library it builds into `deps`, and links it into its parent only where
    // the library was asked for: there it may be old.
    let above = above.iter().flat_map(|f| [f.join("deps"), f.join("lib/precondor")]);
    [here.join("deps"), here.clone()].into_iter().chain(above).collect()
}

/// Where a user's own plugins are.
fn data_folder() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let data =
        absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("precondor/plugins"))
}

/// What to say where a method is not there: what is, and where it was looked for.
pub(crate) fn not_found(error: Error, looked_in: &[PathBuf]) -> Error {
    if cfg!(not(target_os = "linux")) {
        return Error::Parameter(format!("{error}; {}", elsewhere()));
    }
    let folders: Vec<String> = looked_in.iter().map(|f| f.display().to_string()).collect();
    Error::Parameter(format!("{error}; looked for plugins in {}", folders.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_in_the_order_of_the_contract() {
        let search = Search { extra: vec!["/first".into()], base: ".".into() };
        let mut problems = Vec::new();
        let path = Some("/second:relative/third::/fourth:/first".into());
        let folders = search.folders(path, &mut problems);
        assert_eq!(folders[..3], ["/first", "/second", "/fourth"].map(PathBuf::from));
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].path, Path::new("relative/third"));
        assert!(problems[0].reason.contains("not absolute"), "{}", problems[0].reason);
        // Then what cargo builds for this test program, and beside it.
        let here = std::env::current_exe().and_then(|exe| exe.canonicalize()).expect("a program");
        let here = here.parent().expect("a folder");
        assert_eq!(folders[3..5], [here.join("deps"), here.to_owned()]);
        let last = folders.last().expect("not empty");
        assert!(last.ends_with("precondor/plugins"), "{}", last.display());
        let mut real: Vec<_> = folders.iter().filter_map(|f| f.canonicalize().ok()).collect();
        let all = real.len();
        real.sort();
        real.dedup();
        assert_eq!(real.len(), all, "each folder once");
    }
}
