//! Strangers: a PETSc that the library cannot work with, and plugins that fail. It says why, and nothing
//! brings the program down. The libraries here are made up, so that no other PETSc needs to be installed.
use crate::support::{Petsc, finish, folder, library, mpirun};
use std::path::{Path, PathBuf};
use std::process::Command;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/petsc");

pub fn cc(arguments: &[&str], source: &str, out: &Path) {
    let mut command = Command::new("cc");
    command.arg("-o").arg(out).arg(format!("{HERE}/{source}")).args(arguments);
    let made = command.output().expect("cc starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Loads our library into a process with these others; `fake` is what they are to be.
fn load(loads: &Path, others: &[PathBuf], fake: &str) -> crate::support::Ran {
    let mut command = Command::new(loads);
    command.args(others).arg(library()).env("FAKE", fake).env_remove("PRECONDOR_PATH");
    finish(command)
}

#[test]
fn a_petsc_that_is_not_supported_is_refused_with_the_reason() {
    let folder = folder("foreign");
    let (loads, fake) = (folder.join("loads"), folder.join("libpetsc_fake.so"));
    let bare = folder.join("libpetsc_bare.so");
    cc(&["-ldl"], "loads.c", &loads);
    cc(&["-shared", "-fPIC"], "fake.c", &fake);
    cc(&["-shared", "-fPIC", "-DNO_VERSION"], "fake.c", &bare);
    let name = "libpetsc_fake.so";
    for (kind, parts) in [
        ("complex", ["complex numbers", "--with-scalar-type=real"]),
        ("single", ["double precision", "--with-precision=double"]),
        ("old", ["PETSc 3.17.4", "too old; 3.18 is needed"]),
        ("int16", ["integers of 2 bytes", name]),
        // Our test builds are made with Open MPI.
        ("another MPI", ["MPICH Version:\t4.0.2", "Open MPI"]),
    ] {
        let ran = load(&loads, std::slice::from_ref(&fake), kind);
        ran.fails_with(&parts);
        ran.fails_with(&["precondor: error: "]);
    }
    // A function that is not there is named, with the library that lacks it.
    let ran = load(&loads, &[bare], "");
    ran.fails_with(&["PetscGetVersionNumber", "no function of that name", "libpetsc_bare.so"]);
    // And no PETSc at all.
    load(&loads, &[], "").fails_with(&["there is no PETSc in this process"]);
}

#[test]
fn a_plugin_that_fails_ends_the_solve_and_never_the_program() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    let include = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/bindings/abi/include");
    for (define, ends_well, parts) in [
        // Data that a product cannot go on with: NaN, which the solver notices on all ranks.
        ("APPLY_STATUS=PRECONDOR_DATA", true, ["told to fail in apply", "DIVERGED_PC_FAILED"]),
        ("APPLY_STATUS=PRECONDOR_PANICKED", false, ["told to fail in apply", "anicked"]),
        ("GENERATE_STATUS=PRECONDOR_PANICKED", false, ["told to fail in generate", "PETSC ERROR"]),
        ("GENERATE_STATUS=PRECONDOR_DATA", false, ["told to fail in generate", "PETSC ERROR"]),
        (
            "GENERATE_STATUS=PRECONDOR_BREAKDOWN",
            true,
            ["faulty: told to fail in generate", "DIVERGED_PC_FAILED"],
        ),
        (
            "GENERATE_STATUS=PRECONDOR_MEMORY",
            true,
            ["faulty: told to fail in generate", "DIVERGED_PC_FAILED"],
        ),
    ] {
        let folder = folder("fails");
        let plugin = folder.join("libprecondor_plugin_faulty.so");
        let define = format!("-D{define}");
        cc(&["-shared", "-fPIC", &define, include], "../c/faulty.c", &plugin);
        for ranks in 1..=2 {
            let mut command = mpirun(ranks, &ex2);
            command.arg("-dll_append").arg(library()).env("PRECONDOR_PATH", &folder);
            command.args(["-pc_type", "precondor_faulty", "-ksp_converged_reason"]);
            let ran = finish(command);
            if ends_well {
                ran.says(&parts);
            } else {
                ran.fails_with(&parts);
            }
        }
    }
}

#[test]
fn a_plugin_that_crashes_ends_no_program_that_asks_for_another() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    let include = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/bindings/abi/include");
    let folder = folder("crashes");
    let build = |name: &str, more: &[&str]| {
        let plugin = folder.join(format!("libprecondor_plugin_{name}.so"));
        let symbol = format!("-DNAME=precondor_plugin_{name}");
        cc(&[&["-shared", "-fPIC", &symbol, include], more].concat(), "../c/faulty.c", &plugin);
        plugin
    };
    let crash = build("crash", &["-DCRASH"]);
    // It has a method of another name than its own.
    build("odd", &["-DGENERATE_STATUS=PRECONDOR_BREAKDOWN"]);
    let solve = |ranks: usize, options: &[&str]| {
        let mut command = mpirun(ranks, &ex2);
        command.arg("-dll_append").arg(library()).env("PRECONDOR_PATH", &folder);
        finish({
            command.args(options).arg("-ksp_converged_reason");
            command
        })
    };
    for ranks in 1..=2 {
        solve(ranks, &["-pc_type", "precondor_jacobi"]).says(&["CONVERGED"]);
        solve(ranks, &["-pc_type", "precondor", "-pc_precondor_name", "ilu"]).says(&["CONVERGED"]);
        // Named, it is opened.
        solve(ranks, &["-pc_type", "precondor_crash"]).fails_with(&["ignal"]);
    }
    std::fs::remove_file(crash).expect("removed");
    let odd = ["-pc_type", "precondor", "-pc_precondor_name", "faulty"];
    solve(1, &odd).says(&["faulty: told to fail in generate", "DIVERGED_PC_FAILED"]);
    // What nothing has is told with all that there is.
    let none = ["-pc_type", "precondor", "-pc_precondor_name", "missing"];
    solve(1, &none).fails_with(&["no preconditioner 'missing'", "faulty", "jacobi"]);
}
