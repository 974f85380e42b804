//! The README's table of options is what the program prints.
use std::process::Command;

#[test]
fn the_readme_lists_the_options_that_there_are() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_precondor"));
    command.env_remove("PRECONDOR_PATH").env("XDG_DATA_HOME", "/nonexistent");
    let output = command.args(["plugins", "options"]).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("text");
    assert!(table.lines().count() > 10, "{table}");
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).expect("README.md");
    for line in table.lines() {
        assert!(readme.contains(line), "README.md lacks: {line}");
    }
}
