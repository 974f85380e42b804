//! Files that are replaced whole or not at all.
use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file: under another name in the same folder first, which takes the place of `path` in
/// one step when all is on disk. Whatever goes wrong, `path` holds its old content or the new one.
/// Devices and pipes are written straight into.
///
/// # Errors
/// [`Error::File`] where the file cannot be made, written or renamed; what `content` returns.
pub fn replace(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let fail = |e: std::io::Error| Error::file(path, e);
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let mut file = OpenOptions::new().write(true).open(path).map_err(fail)?;
        return content(&mut file).map_err(fail);
    }
    let (file, beside) = beside(path).map_err(fail)?;
    let mut buffer = BufWriter::with_capacity(1 << 16, file);
    let written = content(&mut buffer)
        .and_then(|()| buffer.into_inner().map_err(|e| e.into_error())?.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|e| {
        // The first failure is the one to tell; a file that stays behind does no harm.
        let _ = fs::remove_file(&beside);
        fail(e)
    })
}

/// A new file in the folder of `path`.
fn beside(path: &Path) -> std::io::Result<(File, PathBuf)> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    for k in 0u32.. {
        let mut candidate = name.clone();
        candidate.push(format!(".{k}.tmp"));
        let candidate = path.with_file_name(candidate);
        match OpenOptions::new().write(true).create_new(true).open(&candidate) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return made.map(|file| (file, candidate)),
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_stays_as_it_was() {
        let folder = std::env::temp_dir().join(format!("precondor-file-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("a.txt");
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
        assert_eq!(fs::read_dir(&folder).expect("there").count(), 1, "nothing stays behind");
        assert!(replace(&folder.join("no/such/folder"), |_| Ok(())).is_err());
        assert!(replace(&folder, |_| Ok(())).is_err(), "a folder is no file");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
