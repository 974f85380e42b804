//! The sources that a new plugin is built against, as long as no registry has them.
//!
//! They are the crates below, looked for in the source tree that this program was built from, then in
//! `share/precondor/sdk` of the installation it belongs to.
use crate::files::make_folder;
use precondor_core::file::replace;
use precondor_core::{Error, Result};
use std::path::{Path, PathBuf};

/// Folders of the crates, below the root of the sources.
const CRATES: [&str; 5] =
    ["bindings/sdk", "bindings/bridge", "bindings/abi", "core", "core/neural"];
/// The manifest of a copy: the one that this program was built with, its members cut down.
const WORKSPACE: &str = include_str!("../../../Cargo.toml");

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
    let head =
        "[workspace]\nresolver = \"3\"\nmembers = [\"core\", \"core/neural\", \"bindings/*\"]\n\n";
    head.to_owned() + &sections(WORKSPACE, |name| name.starts_with("[workspace."))
}

/// The manifest of a crate without what only its own tests and benchmarks need.
fn manifest(text: &str) -> String {
    let own = ["[dev-dependencies", "[[test]]", "[[bench]]", "[[example]]"];
    sections(text, |name| !own.iter().any(|own| name.starts_with(own)))
}

/// The sections of a manifest whose headline is wanted.
fn sections(text: &str, wanted: impl Fn(&str) -> bool) -> String {
    let (mut out, mut inside) = (String::new(), false);
    for line in text.lines() {
        if line.starts_with('[') {
            inside = wanted(line);
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
            if !["target", "tests", "benches", "examples"].iter().any(|skipped| name == *skipped) {
                copy_tree(&path, &to.join(name))?;
            }
        } else if path.extension().is_some_and(|e| e == "rs" || e == "toml" || e == "h") {
            let text = std::fs::read_to_string(&path).map_err(|e| Error::file(&path, e))?;
            let text = if name == "Cargo.toml" { manifest(&text) } else { text };
            write(&to.join(name), text.as_bytes())?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |out| out.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::{manifest, workspace};

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

    #[test]
    fn a_copied_crate_needs_nothing_that_is_not_copied() {
        let core = manifest(include_str!("../../../core/Cargo.toml"));
        assert!(core.contains("serde_json = ") && core.contains("[package]"), "{core}");
        assert!(!core.contains("proptest"), "{core}");
    }
}
