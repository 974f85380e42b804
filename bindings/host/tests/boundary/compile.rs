//! Plugins in C, compiled as the header's users do.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder that goes when the test ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let k = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("precondor-{}-{k}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder of our own");
        Scratch(folder)
    }
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("removed");
    }
}

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Compiles `source` to `folder/libprecondor_plugin_NAME.so` as the header's users do.
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
