//! Standard output, and files that are whole or not there.
use precondor_core::{Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `text` to standard output. A reader that has gone away (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::file("standard output", e))
        }
        _ => Ok(()),
    }
}

/// Prints `value` as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|e| Error::Data(format!("cannot write JSON: {e}")))?;
    print(&(text + "\n"))
}

/// Writes a file so that a reader sees all of it or what was there before.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |what: &str, e: std::io::Error| Error::file(path, format!("cannot {what}: {e}"));
    let partial = partial(path);
    let written = std::fs::File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let moved = written.map_err(|e| fail("write it", e)).and_then(|()| {
        std::fs::rename(&partial, path).map_err(|e| fail("move it into place", e))
    });
    if moved.is_err() {
        // What could not be written is not worth a second complaint.
        let _ = std::fs::remove_file(&partial);
    }
    moved
}

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| Error::file(path, format!("cannot make it: {e}")))
}

/// A name beside `path` for the time it is incomplete; the same for all threads of one process.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}
