//! The program under `mpirun`, on this machine's processors however few they are: real files, plugins
//! that are really loaded, ranks that really end.
use precondor_testkit::mpirun;
use precondor_testkit::neumann;
use precondor_testkit::program as support;

mod differing;
mod faults;
mod files;
mod interrupt;
mod known;
mod runs;
mod sequence;
mod spaces;
mod traffic;
mod train;

use mpirun::Job;
use std::path::Path;

/// `mpirun -n RANKS precondor ARGS…`, without the user's environment.
fn precondor<S: AsRef<str>>(ranks: usize, arguments: &[S]) -> Job {
    let mut command = mpirun::launcher(ranks);
    support::isolate(&mut command);
    command.arg(program()).args(arguments.iter().map(AsRef::as_ref));
    mpirun::finish(command)
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_precondor"))
}

/// A file of `examples/`.
fn example(name: &str) -> String {
    format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What a job printed, as the one JSON document it must be.
fn json(job: &Job) -> serde_json::Value {
    assert_eq!(job.status, Some(0), "{job:?}");
    serde_json::from_str(&job.out).unwrap_or_else(|e| panic!("no JSON ({e}): {job:?}"))
}

/// Asserts that a job failed with status 1 and told `text` in one line, once.
#[track_caller]
fn fails_with(job: &Job, text: &str) {
    assert_eq!(job.status, Some(1), "{job:?}");
    let told: Vec<&str> = job.err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(told.len(), 1, "one message: {job:?}");
    assert!(told[0].contains(text), "no '{text}' in {job:?}");
    assert_eq!(job.out, "", "{job:?}");
}
