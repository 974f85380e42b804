//! Running the program.
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder of its own for a test; gone when dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one, empty.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("precondor-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path.canonicalize().expect("it is there"))
    }

    /// A new one, empty, of a name that no other has.
    pub fn unnamed() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Folder::new(&format!("unnamed-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it, written with `text`.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A program without the user's environment.
pub fn isolated(path: &Path) -> Command {
    let mut command = Command::new(path);
    isolate(&mut command);
    command
}

/// Takes the user's environment away from a command.
pub fn isolate(command: &mut Command) {
    // What libraries say of themselves is kept for these tests alone.
    let cache = std::env::temp_dir().join("precondor-tests");
    command
        .env_remove("PRECONDOR_PATH")
        .env("XDG_DATA_HOME", "/nonexistent")
        .env("XDG_CACHE_HOME", cache);
}

/// What a run came to.
pub struct Ran {
    /// Its exit status.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        let parsed = serde_json::from_str(&self.out);
        parsed.unwrap_or_else(|e| panic!("no JSON ({e}):\n{}\n{}", self.out, self.err))
    }

    /// Asserts the exit status, and that standard error has all of `parts`.
    #[track_caller]
    pub fn fails_with(&self, parts: &[&str]) {
        assert_eq!(self.code, 1, "out: {}\nerr: {}", self.out, self.err);
        for part in parts {
            assert!(self.err.contains(part), "no '{part}' in: {}", self.err);
        }
        assert!(!self.err.contains("panicked at"), "{}", self.err);
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    Ran {
        code: status.code().expect("it ends by itself"),
        out: String::from_utf8(stdout).expect("text"),
        err: String::from_utf8(stderr).expect("text"),
    }
}

/// A Matrix Market file with these entries, rows and columns from 1.
pub fn matrix(rows: usize, cols: usize, entries: &[(usize, usize, f64)]) -> String {
    let lines = entries.iter().map(|(i, j, v)| format!("{i} {j} {v}\n"));
    format!(
        "%%MatrixMarket matrix coordinate real general\n{rows} {cols} {}\n{}",
        entries.len(),
        lines.collect::<String>()
    )
}
