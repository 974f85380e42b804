//! Compiling and running programs of PETSc.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use precondor_testkit::mpirun as job;

/// The Python that Debian's petsc4py belongs to.
pub const PYTHON: &str = "/usr/bin/python3";

/// An installed PETSc.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Petsc {
    /// With 32-bit indices.
    Narrow,
    /// With 64-bit indices.
    Wide,
}

impl Petsc {
    /// Both.
    pub const ALL: [Petsc; 2] = [Petsc::Narrow, Petsc::Wide];

    /// Its name for `pkg-config`.
    pub fn package(self) -> &'static str {
        match self {
            Petsc::Narrow => "PETSc",
            Petsc::Wide => "PETSc64",
        }
    }

    /// One of PETSc's own examples for linear solvers, compiled; `None`, and a word about it, where
    /// there is no such PETSc.
    pub fn tutorial(self, name: &str) -> Option<PathBuf> {
        self.example(&format!("ksp/ksp/tutorials/{name}.c"), name)
    }

    /// A tutorial of its nonlinear solvers, compiled.
    pub fn nonlinear_tutorial(self, name: &str) -> Option<PathBuf> {
        self.example(&format!("snes/tutorials/{name}.c"), name)
    }

    fn example(self, source: &str, name: &str) -> Option<PathBuf> {
        self.compile(&examples()?.join(source), name)
    }

    /// A program in C, compiled.
    pub fn compile(self, source: &Path, name: &str) -> Option<PathBuf> {
        let flags = pkg_config(&["--cflags", "--libs", self.package()]);
        let Some(flags) = flags.filter(|_| works("mpicc")) else {
            return absent(&format!("{} (or mpicc)", self.package()));
        };
        static BUSY: Mutex<()> = Mutex::new(());
        let _one_at_a_time = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.package());
        std::fs::create_dir_all(&folder).expect("a folder");
        let program = folder.join(name);
        let newer = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
        if newer(&program).is_none_or(|made| newer(source).is_some_and(|at| at > made)) {
            let mut command = Command::new("mpicc");
            command.arg("-o").arg(&program).arg(source).args(flags.split_whitespace()).arg("-lm");
            let made = command.output().expect("mpicc starts");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        Some(program)
    }
}

/// Where Debian puts PETSc's examples.
fn examples() -> Option<PathBuf> {
    let below = "share/petsc/examples/src";
    let prefix = pkg_config(&["--variable=prefix", "PETSc"]).map(PathBuf::from);
    let shared = Path::new("/usr/share/petsc").read_dir().into_iter().flatten().flatten();
    let folders = prefix.into_iter().chain(shared.map(|entry| entry.path()));
    match folders.map(|folder| folder.join(below)).find(|folder| folder.exists()) {
        Some(folder) => Some(folder),
        None => absent("PETSc's examples (libpetsc3.18-dev-examples)"),
    }
}

fn pkg_config(arguments: &[&str]) -> Option<String> {
    let output = Command::new("pkg-config").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn works(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Says once that something is not installed.
pub fn absent<T>(what: &str) -> Option<T> {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned()) {
        eprintln!("not installed: {what}; the tests that need it are left out");
    }
    None
}

/// The library that PETSc loads, beside this test and all plugins.
pub fn library() -> PathBuf {
    let here = std::env::current_exe().expect("a program");
    let path = here.parent().expect("a folder").join("libprecondor_petsc.so");
    assert!(path.exists(), "{} is not there: cargo builds it with this test", path.display());
    path
}

/// What a run came to.
pub struct Ran {
    pub success: bool,
    /// Both outputs.
    pub text: String,
}

impl Ran {
    /// Asserts that the run ended well and says all of `parts`.
    #[track_caller]
    pub fn says(&self, parts: &[&str]) -> &Self {
        assert!(self.success, "{}", self.text);
        self.contains(parts)
    }

    /// Asserts that the run failed and says all of `parts`.
    #[track_caller]
    pub fn fails_with(&self, parts: &[&str]) {
        assert!(!self.success, "{}", self.text);
        assert!(!self.text.contains("Segmentation"), "{}", self.text);
        self.contains(parts);
    }

    #[track_caller]
    fn contains(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.text.contains(part), "no '{part}' in:\n{}", self.text);
        }
        self
    }

    /// The number after the last `key` in the output.
    #[track_caller]
    pub fn number_after(&self, key: &str) -> usize {
        assert!(self.success, "{}", self.text);
        let at = self.text.rfind(key).unwrap_or_else(|| panic!("no '{key}' in:\n{}", self.text));
        let rest = self.text[at + key.len()..].trim_start();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("no number after '{key}':\n{}", self.text))
    }

    /// Iterations of the only solve, which converged.
    #[track_caller]
    pub fn iterations(&self) -> usize {
        self.says(&["Linear solve converged"]).number_after("CONVERGED_RTOL iterations")
    }
}

/// Runs a program on `ranks` ranks with our library loaded; `options` are words.
pub fn run(ranks: usize, program: &Path, options: &str) -> Ran {
    let mut command = mpirun(ranks, program);
    command.arg("-dll_append").arg(library()).args(options.split_whitespace());
    finish(command)
}

/// `mpirun` of a program; the caller adds its arguments.
pub fn mpirun(ranks: usize, program: &Path) -> Command {
    let mut command = job::launcher(ranks);
    command.arg(program).env_remove("PRECONDOR_PATH").env("XDG_DATA_HOME", "/nonexistent");
    command
}

/// Runs a command to its end.
pub fn finish(command: Command) -> Ran {
    let job::Job { status, out, err } = job::finish(command);
    Ran { success: status == Some(0), text: out + &err }
}

/// A folder of its own for a test.
pub fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("petsc-{name}"));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a folder");
    path
}
