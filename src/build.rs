//! Tells the program which commit it is built from, where there is git to ask.
use std::path::{Path, PathBuf};
use std::process::Command;

fn git(args: &[&str]) -> Option<String> {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR")?;
    let output = Command::new("git").args(args).current_dir(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn canonical(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    // A copy of the sources inside another repository must not show that one's commit.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").and_then(|dir| canonical(Path::new(&dir)));
    let top = git(&["rev-parse", "--show-toplevel"]).and_then(|dir| canonical(Path::new(&dir)));
    if top.is_none() || top != here {
        println!("cargo:rustc-env=PRECONDOR_COMMIT=");
        return;
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    println!("cargo:rustc-env=PRECONDOR_COMMIT={}", commit.unwrap_or_default());
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", path]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}
