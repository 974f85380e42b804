//! Standard output, and files that are whole or not there.
use precondor_core::file::replace;
use precondor_core::{Error, Result};
use std::io::Write;
use std::path::Path;

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

/// Writes a whole file or leaves what was there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |out| out.write_all(bytes))
}

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| Error::file(path, format!("cannot make it: {e}")))
}
