//! Files to read: regular ones alone.
//!
//! Opening a pipe waits for whoever writes into it, and a device may have no end. What names a file
//! (a configuration, a matrix, a vector, a model, a plugin) names a regular one, or a link to one; all else
//! is an error that says what it is.
use std::fs::{File, FileType};
use std::io::{Error, Read, Result};
use std::path::Path;

/// Opens a regular file.
///
/// # Errors
/// What it is, where it is no regular file; what the system reports.
pub fn open(path: &Path) -> Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    if !kind.is_file() {
        let what = format!("it is {}: only regular files are read", name(kind));
        return Err(Error::other(what));
    }
    File::open(path)
}

/// The content of a regular file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?.read_to_end(&mut content)?;
    Ok(content)
}

/// The content of a regular file of text in UTF-8.
///
/// # Errors
/// As [`open`]; of the kind `InvalidData` where it is no such text.
pub fn read_to_string(path: &Path) -> Result<String> {
    let mut content = String::new();
    open(path)?.read_to_string(&mut content)?;
    Ok(content)
}

#[cfg(unix)]
fn name(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
fn name(kind: FileType) -> &'static str {
    if kind.is_dir() { "a folder" } else { "no regular file" }
}
