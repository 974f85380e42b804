//! Running the program.
pub use precondor_testkit::program::*;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

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

/// Waits, two minutes at most, for what another process does.
pub fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(120), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until there is a file.
pub fn wait_for(path: &Path) {
    wait_until(&format!("no {}", path.display()), || path.exists());
}

/// Waits until there is a file with this many lines.
pub fn wait_for_lines(path: &Path, lines: usize) {
    let there = || std::fs::read_to_string(path).map_or(0, |text| text.matches('\n').count());
    wait_until(&format!("no {lines} lines in {}", path.display()), || there() >= lines);
}
