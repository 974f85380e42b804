//! PETSc's binary files at the command line.
use crate::support::{Folder, precondor, program, run, solve};
use std::fs;

/// `problem` with these arguments after the folder's own names for files.
fn problem(folder: &Folder, args: &[&str]) -> crate::support::Ran {
    let mut command = program();
    command.current_dir(folder.path()).args(["problem", "--set", "problem.level=3"]).args(args);
    run(&mut command)
}

fn config(matrix: &str) -> String {
    format!(
        "[problem]\nmatrix = '{matrix}'\n[solver]\nmethod = 'cg'\ntolerance = 1e-9\n\
         [preconditioner]\nname = 'jacobi'\n"
    )
}

#[test]
fn a_petsc_file_gives_matrix_and_right_hand_side_back_bit_for_bit() {
    let folder = Folder::new("petsc-files");
    let args = ["-o", "A.mtx", "--rhs", "b.mtx"];
    assert_eq!(problem(&folder, &args).code, 0);
    let both = config("A.mtx").replace("A.mtx'", "A.mtx'\nrhs = 'b.mtx'");
    let text = solve(&folder, &both, &["--json"]).json();
    for bits in ["32", "64"] {
        let args = ["-o", "Ab.petsc", "--rhs", "Ab.petsc", "--petsc-indices", bits];
        assert_eq!(problem(&folder, &args).code, 0);
        // The name does not matter when it is read, and the right-hand side is found behind A.
        fs::rename(folder.path().join("Ab.petsc"), folder.path().join("system")).expect("renamed");
        let x = folder.path().join("x.petsc");
        let ran =
            solve(&folder, &config("system"), &["--json", "--save-solution", x.to_str().unwrap()]);
        let binary = ran.json();
        for key in ["n", "nnz", "iterations", "relative_residual"] {
            assert_eq!(binary[key], text[key], "{key}");
        }
        // Its solution as the initial guess: nothing left to do.
        let again = config("system").replace("[solver]", "x0 = 'x.petsc'\n[solver]");
        assert_eq!(solve(&folder, &again, &["--json"]).json()["iterations"], 0);
    }
    let told = precondor(["matrix", folder.path().join("system").to_str().unwrap(), "--json"]);
    assert_eq!(told.json()["rows"], 49, "{}", told.out);
    // Without a right-hand side in the file it is all ones.
    assert_eq!(problem(&folder, &["-o", "A.petsc"]).code, 0);
    assert_eq!(problem(&folder, &["-o", "A.mtx"]).code, 0);
    let [binary, text] =
        ["A.petsc", "A.mtx"].map(|name| solve(&folder, &config(name), &["--json"]));
    assert_eq!(binary.json()["relative_residual"], text.json()["relative_residual"]);
}

#[test]
fn what_is_wrong_with_a_petsc_file_is_told_with_its_byte() {
    let folder = Folder::new("petsc-faults");
    assert_eq!(problem(&folder, &["-o", "A.petsc"]).code, 0);
    let path = folder.path().join("A.petsc");
    let bytes = fs::read(&path).expect("there");
    fs::write(&path, &bytes[..bytes.len() - 8]).expect("cut");
    let told = solve(&folder, &config("A.petsc"), &[]);
    told.fails_with(&["A.petsc: byte 0: a 49×49 matrix of 289 entries has no room in the"]);
    let b = folder.path().join("b.petsc");
    assert_eq!(problem(&folder, &["-o", "A.petsc", "--rhs", "b.petsc"]).code, 0);
    let text = config(b.to_str().unwrap());
    solve(&folder, &text, &[]).fails_with(&["b.petsc: there is no matrix in this PETSc file"]);
    let args = ["-o", "A.mtx", "--petsc-indices", "64"];
    problem(&folder, &args).fails_with(&["A.mtx: --petsc-indices: only files named *.petsc"]);
}
