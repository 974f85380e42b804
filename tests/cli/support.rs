//! Running the program.
pub use precondor_testkit::program::*;
use std::path::Path;
use std::process::Command;

/// The program, with nothing of the user's own plugins.
pub fn program() -> Command {
    isolated(Path::new(env!("CARGO_BIN_EXE_precondor")))
}

/// `precondor ARGS…`.
pub fn precondor<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    run(program().args(args))
}

/// Solves with a configuration, given as text, and further arguments.
pub fn solve(folder: &Folder, config: &str, args: &[&str]) -> Ran {
    let path = folder.file("config.toml", config);
    run(program().arg("solve").arg(path).args(args))
}
