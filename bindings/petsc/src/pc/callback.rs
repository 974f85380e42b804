//! What PETSc calls: nothing unwinds into it, and every error becomes one of PETSc's.
use crate::api::{Api, Failed, MPI_Comm, Object, RawPc, code};
use precondor_core::Error;
use precondor_core::comm::panic_text;
use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a callback cannot do what it is asked for.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A function of PETSc failed.
    Petsc(Failed),
    /// Something of ours did, on all ranks of the preconditioner.
    Ours(Error),
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Self {
        Trouble::Petsc(failed)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Ours(error)
    }
}

/// What a callback comes to.
pub(super) type Done<T = ()> = Result<T, Trouble>;

/// Runs a callback for `pc`. The returned code is PETSc's, whose error handler knows of it.
///
/// # Safety
/// `pc` is a live preconditioner.
pub(super) unsafe fn guard(
    pc: RawPc,
    function: &CStr,
    f: impl FnOnce(&'static Api) -> Done,
) -> c_int {
    let Ok(api) = Api::in_process() else { return code::LIBRARY };
    let result = catch_unwind(AssertUnwindSafe(|| f(api)));
    let trouble = match result {
        Ok(Ok(())) => return 0,
        Ok(Err(trouble)) => trouble,
        Err(panic) => Trouble::Ours(Error::Panicked(panic_text(panic))),
    };
    // SAFETY: the caller's promise.
    unsafe {
        let Some(comm) = comm_of(api, pc.cast()) else { return code::LIBRARY };
        match trouble {
            Trouble::Petsc(e) if e.reported => api.raise(comm, function, e.code, true, " "),
            Trouble::Petsc(e) => api.raise(comm, function, e.code, false, &e.to_string()),
            Trouble::Ours(e) => api.raise(comm, function, code_of(&e), false, &told(&e)),
        }
    }
}

/// The communicator of an object.
///
/// # Safety
/// `object` is live.
pub(super) unsafe fn comm_of(api: &Api, object: Object) -> Option<MPI_Comm> {
    let mut comm = std::mem::MaybeUninit::<MPI_Comm>::uninit();
    // SAFETY: the caller's promise; written where there is no error.
    unsafe {
        api.PetscObjectGetComm(object, comm.as_mut_ptr()).ok()?;
        Some(comm.assume_init())
    }
}

/// An error as a user of PETSc reads it.
pub(super) fn told(error: &Error) -> String {
    format!("precondor: {error}")
}

/// The code of PETSc that comes nearest.
fn code_of(error: &Error) -> c_int {
    match error.root() {
        Error::Parameter(_) => code::WRONG,
        Error::Unsupported(_) => code::UNSUPPORTED,
        Error::File { .. } => code::FILE,
        _ => code::LIBRARY,
    }
}
