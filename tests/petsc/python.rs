//! petsc4py, unmodified: what a PC does over its life, and the example with its picture.
use crate::foreign::cc;
use crate::support::{PYTHON, absent, finish, folder, library, mpirun};
use std::path::Path;
use std::process::Command;

/// Whether Debian's Python has these modules.
fn python(modules: &str) -> Option<&'static Path> {
    let mut command = Command::new(PYTHON);
    let there = command.args(["-c", &format!("import {modules}")]).output();
    match there.is_ok_and(|output| output.status.success()) {
        true => Some(Path::new(PYTHON)),
        false => absent(&format!("{modules} for {PYTHON} (python3-petsc4py python3-matplotlib)")),
    }
}

#[test]
fn a_pc_over_its_life() {
    let Some(python) = python("petsc4py, numpy") else { return };
    let folder = folder("life");
    for ranks in 1..=3 {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/petsc/life.py");
        let mut command = mpirun(ranks, python);
        command.arg(script).arg(library()).arg(&folder);
        let ran = finish(command);
        let tests = std::fs::read_to_string(script).expect("a script").matches("def test_").count();
        assert_eq!(ran.says(&[]).text.matches("\nok test_").count() + 1, tests, "{}", ran.text);
    }
}

#[test]
fn what_a_matrix_knows_reaches_the_method() {
    let Some(python) = python("petsc4py, numpy") else { return };
    let folder = folder("told");
    let plugin = folder.join("libprecondor_plugin_faulty.so");
    let include = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/bindings/abi/include");
    cc(&["-shared", "-fPIC", "-DTELL_AUX", include], "../c/faulty.c", &plugin);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/petsc/told.py");
    let mut command = mpirun(1, python);
    command.arg(script).arg(library()).env("PRECONDOR_PATH", &folder);
    finish(command).says(&[
        "nothing: told of\n",
        "block-size: told of block-size (1): 2 2 2 2\n",
        "near: told of near-nullspace (2): 1 0.5 1 -0.5 1 0.5 1 -0.5\n",
        "constant: told of null-space (1): 0.5 0.5 0.5 0.5\n",
        "vectors: told of null-space (2): 0.5 0.5 0.5 -0.5 0.5 0.5 0.5 -0.5\n",
        "row sums: told of null-space (1): 0.5 0.5 0.5 0.5\n",
        "places: told of coordinates (2): 0 1 2 3 4 5 6 7\n",
        "places of nodes: told of block-size (1): 2 2 2 2 coordinates (3): 0 1 2 0 1 2 3 4 5 3 4 5\n",
        "places of too few: PCSetCoordinates was given 3 nodes of this process; its rows of the matrix are \
         4 nodes of 1 unknowns\n",
        "grid: told of block-size (1): 2 2 2 2 coordinates (1): 0 0 1 1 grid-index (2): 0 0 0 0 1 0 1 0\n",
    ]);
}

#[test]
fn the_example_compares_a_network_with_spai_and_gamg() {
    let Some(python) = python("petsc4py, numpy, matplotlib") else { return };
    let folder = folder("example");
    let picture = folder.join("compare.png");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/petsc4py_compare.py");
    let mut command = Command::new(python);
    command.arg(script).arg("--level").arg("4").arg("--picture").arg(&picture);
    command.env("PRECONDOR_PETSC_PC", library()).env_remove("PRECONDOR_PATH");
    let ran = finish(command);
    ran.says(&["mlp_reference", "spai", "gamg"]);
    let count = |name: &str| ran.number_after(&format!("\n{name}"));
    assert!(count("precondor_mlp_reference") < count("precondor_spai"), "{}", ran.text);
    assert!(picture.metadata().is_ok_and(|data| data.len() > 1000), "no picture");
}
