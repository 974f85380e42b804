//! What the library does with a PETSc that it cannot work with, and with none: it says why. The
//! libraries here are made up, so that no other PETSc needs to be installed.
use crate::support::{finish, folder, library};
use std::path::{Path, PathBuf};
use std::process::Command;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/petsc");

fn cc(arguments: &[&str], source: &str, out: &Path) {
    let mut command = Command::new("cc");
    command.arg("-o").arg(out).arg(format!("{HERE}/{source}")).args(arguments);
    let made = command.output().expect("cc starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Loads our library into a process with these others; `fake` is what they are to be.
fn load(loads: &Path, others: &[PathBuf], fake: &str) -> crate::support::Ran {
    let mut command = Command::new(loads);
    command.args(others).arg(library()).env("FAKE", fake).env_remove("PRECONDOR_PATH");
    finish(&mut command)
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
