//! What the guide says of PETSc is what is there: the table of options, the output of its commands.
use crate::support::{Petsc, run};
use std::process::Command;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/petsc.md");
    std::fs::read_to_string(path).expect("docs/petsc.md")
}

#[test]
fn the_guide_shows_what_its_commands_print() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    let page = page();
    let commands: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("mpirun -n 2 ./ex2 ")).collect();
    assert_eq!(commands.len(), 2);
    for options in commands {
        let ran = run(2, &ex2, options);
        ran.says(&["Linear solve converged"]);
        for line in ran.text.lines().filter(|line| line.contains("iterations")) {
            assert!(page.contains(line), "docs/petsc.md lacks: {line}");
        }
    }
}

#[test]
fn the_guide_lists_the_options_that_there_are() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_precondor"));
    command.env_remove("PRECONDOR_PATH").env("XDG_DATA_HOME", "/nonexistent");
    let output = command.args(["plugins", "options"]).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("text");
    assert!(table.lines().count() > 10, "{table}");
    let page = page();
    for line in table.lines() {
        assert!(page.contains(line), "docs/petsc.md lacks: {line}");
    }
}
