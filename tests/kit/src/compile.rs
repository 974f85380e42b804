//! Plugins in C, compiled as the header's users do.
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Compiles `source` to `folder/libprecondor_plugin_NAME.so` as the header's users do: both are named from the root of
/// the repository.
pub fn compile(folder: &Path, name: &str, source: &str, include: &str, more: &[&str]) -> PathBuf {
    let library = folder.join(format!("libprecondor_plugin_{name}.so"));
    let out = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror"])
        .args(["-O2", "-ffp-contract=off", "-shared", "-fPIC", "-I"])
        .arg(repository(include))
        .args(more)
        .arg(repository(source))
        .arg("-o")
        .arg(&library)
        .output()
        .expect("a C compiler 'cc'");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    library
}
