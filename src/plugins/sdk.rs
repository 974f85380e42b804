//! The sources that a new plugin is built against, as long as no registry has them.
//!
//! They are the crates below, looked for in the source tree that this program was built from, then in
//! `share/precondor/sdk` of the installation it belongs to.
use crate::files::make_folder;
use precondor_core::file::replace;
use precondor_core::{Error, Result};
use std::path::{Path, PathBuf};

/// Folders of the crates, below the root of the sources.
const CRATES: [&str; 4] = ["bindings/sdk", "bindings/bridge", "bindings/abi", "core"];
/// The manifest of a copy: the one that this program was built with, its members cut down.
const WORKSPACE: &str = include_str!("../../Cargo.toml");

/// The root of the sources: `given`, or the first place that has them.
///
/// # Errors
/// [`Error::Plugin`] naming the places.
pub fn find(given: Option<&Path>) -> Result<PathBuf> {
    let here = std::env::current_exe().ok().and_then(|exe| exe.canonicalize().ok());
    let installed = here.and_then(|exe| Some(exe.parent()?.parent()?.join("share/precondor/sdk")));
    let built_from = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let places: Vec<PathBuf> = match given {
        Some(path) => vec![path.to_owned()],
        None => [Some(built_from), installed].into_iter().flatten().collect(),
    };
    let complete =
        |root: &&PathBuf| CRATES.iter().all(|name| root.join(name).join("Cargo.toml").is_file());
    match places.iter().find(complete) {
        Some(root) => root.canonicalize().map_err(|e| Error::file(root, e)),
        None => {
            let names: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
            Err(Error::Plugin(format!(
                "the SDK's sources are not in {}: say where they are with --sdk, a folder with {}",
                names.join(" or "),
                CRATES.join(", ")
            )))
        }
    }
}

/// Copies the sources below `from` to `to`, with a manifest that makes them a workspace.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    for name in CRATES {
        copy_tree(&from.join(name), &to.join(name))?;
    }
    write(&to.join("Cargo.toml"), workspace().as_bytes())
}

/// The workspace of the copy: what all crates share, and nothing of the program itself.
fn workspace() -> String {
    let shared = |line: &&str| line.starts_with("[workspace.");
    let mut out =
        String::from("[workspace]\nresolver = \"3\"\nmembers = [\"core\", \"bindings/*\"]\n");
    let mut inside = false;
    for line in WORKSPACE.lines() {
        if line.starts_with('[') {
            inside = shared(&line);
        }
        if inside {
            out += line;
            out.push('\n');
        }
    }
    out
}

/// Rust sources, manifests and headers; not what builds leave behind.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    make_folder(to)?;
    let entries = std::fs::read_dir(from).map_err(|e| Error::file(from, e))?;
    for entry in entries {
        let path = entry.map_err(|e| Error::file(from, e))?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            if name != "target" && name != "tests" {
                copy_tree(&path, &to.join(name))?;
            }
        } else if path.extension().is_some_and(|e| e == "rs" || e == "toml" || e == "h") {
            let bytes = std::fs::read(&path).map_err(|e| Error::file(&path, e))?;
            write(&to.join(name), &bytes)?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |out| out.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::workspace;

    #[test]
    fn the_copied_workspace_keeps_what_crates_inherit_and_drops_the_program() {
        let text = workspace();
        assert!(
            text.contains("[workspace.package]") && text.contains("edition = \"2024\""),
            "{text}"
        );
        assert!(text.contains("[workspace.lints.rust]"), "{text}");
        assert!(!text.contains("[package]") && !text.contains("plugins/"), "{text}");
    }
}
