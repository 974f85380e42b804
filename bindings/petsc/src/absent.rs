//! What a build without the feature `petsc` says to a PETSc that loads it.
use std::io::Write;

/// `PETSC_ERR_SUP`.
const UNSUPPORTED: i32 = 56;

/// Says how to build the library.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
extern "C" fn PetscDLLibraryRegister_precondor_petsc() -> i32 {
    let why = "this library was built without MPI: cargo build --release --features petsc";
    // A user who closed standard error does not want to know.
    let _ = writeln!(std::io::stderr(), "precondor: error: {why}");
    UNSUPPORTED
}
