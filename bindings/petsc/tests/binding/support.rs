//! Processes of their own, files of their own, systems.
use precondor_core::comm::Comm;
use precondor_core::problem::Problem;
use precondor_core::system::System;
use precondor_petsc::{Error, Petsc, Ranks};
use std::path::PathBuf;
use std::process::Command;

/// Says that a process is the one that a test is to run in.
const INNER: &str = "PRECONDOR_TEST_INNER";

/// Libraries to test with: what is found, and PETSc with 64-bit indices.
#[derive(Clone, Copy, PartialEq)]
pub enum Library {
    Found,
    Wide,
}

/// Runs a test in processes of its own, `ranks` of them.
pub fn inside(name: &str, ranks: usize, library: Library, test: impl FnOnce()) {
    if std::env::var_os(INNER).is_some() {
        return test();
    }
    let program = std::env::current_exe().expect("the program of the tests");
    let mut command = match ranks {
        1 => Command::new(program),
        _ => {
            let mut command = crate::mpirun::launcher(ranks);
            command.arg(program);
            command
        }
    };
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(INNER, "1");
    command.env("PRECONDOR_PATH", examples());
    if library == Library::Wide {
        command.env("PRECONDOR_PETSC", "libpetsc64_real.so");
    }
    let job = crate::mpirun::finish(command);
    let passed = job.out.matches("1 passed; 0 failed").count();
    let ended = job.status == Some(0) && passed == ranks;
    assert!(ended, "{name} on {ranks} ranks: {:?}\n{}\n{}", job.status, job.out, job.err);
}

/// Where cargo builds the plugins that are examples of this crate.
pub fn examples() -> PathBuf {
    let here = std::env::current_exe().expect("the program of the tests");
    let profile = here.parent().and_then(|deps| deps.parent()).expect("deps of a profile");
    profile.join("examples")
}

/// A test in processes of its own: `processes! { name [Library; ranks, …] body }`.
macro_rules! processes {
    ($(#[doc = $doc:literal])* $name:ident [$library:ident; $ranks:literal] $body:block) => {
        $(#[doc = $doc])*
        #[test]
        fn $name() {
            let name = concat!(module_path!(), "::", stringify!($name));
            let library = $crate::support::Library::$library;
            $crate::support::inside(name, $ranks, library, || $body);
        }
    };
}
pub(crate) use processes;

pub fn petsc() -> Petsc {
    Petsc::init::<&str>(&[]).expect("PETSc")
}

/// Poisson's equation on 15 × 15 nodes with its load.
pub fn poisson(comm: Comm) -> (System, Vec<f64>) {
    let parameters = serde_json::json!({ "kind": "poisson", "level": 4, "rhs": "load" });
    Problem::from_json(&parameters).expect("a problem").generate_nth(comm, 0).expect("a system")
}

/// The same on all ranks of the job.
pub fn system(petsc: &Petsc) -> (System, Vec<f64>) {
    poisson(petsc.comm(Ranks::All).clone())
}

/// A file of this test, the same on all of its ranks.
pub fn file(petsc: &Petsc, name: &str) -> PathBuf {
    use precondor_core::comm::Communicator;
    let comm = petsc.comm(Ranks::All);
    let first = comm.all_gather(&[std::process::id().into()]).expect("numbers")[0][0];
    std::env::temp_dir().join(format!("precondor-binding-{first}-{name}"))
}

/// The text of an error.
pub fn told<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.expect_err("an error").to_string()
}
