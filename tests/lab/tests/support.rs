//! The laboratory and the program whose comparisons it reads.
use precondor_testkit::program::isolated;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `precondor-lab`, without the user's environment.
pub fn lab() -> Command {
    isolated(Path::new(env!("CARGO_BIN_EXE_precondor-lab")))
}

/// The program beside it.
pub fn precondor() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_precondor-lab")).with_file_name("precondor");
    assert!(program.is_file(), "no {}: build it, too, with `-p precondor`", program.display());
    program
}
