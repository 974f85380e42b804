//! Errors: PETSc's own with their traceback, misuse refused before PETSc sees it, and what closures
//! reported from inside PETSc.
use crate::api::{Api, Failed, MPI_Comm};
use precondor_core::comm::panic_text;
use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};

/// Shorthand for results of the binding.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// PETSc reported an error.
    Petsc {
        /// PETSc's error code, as `PETSC_ERR_ARG_SIZ` = 60.
        code: i32,
        /// The function of PETSc that was called.
        function: &'static str,
        /// PETSc's message: the kind of error and what is special about this one.
        message: String,
        /// The functions of PETSc that it passed through, the innermost first, a line each.
        traceback: String,
    },
    /// The call would make no sense, or would be unsafe: PETSc was not asked.
    Misuse(String),
    /// A closure, or a preconditioner of ours, failed or panicked while PETSc called it.
    Callback(precondor_core::Error),
    /// A file, communicator or library failed outside of PETSc.
    Other(precondor_core::Error),
}

impl Error {
    pub(crate) fn misuse(why: impl Into<String>) -> Self {
        Error::Misuse(why.into())
    }

    /// Where in PETSc it came from; empty where it did not.
    pub fn traceback(&self) -> &str {
        match self {
            Error::Petsc { traceback, .. } => traceback,
            _ => "",
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Petsc { function, message, .. } => write!(f, "{function}: {message}"),
            Error::Misuse(why) => f.write_str(why),
            Error::Callback(e) | Error::Other(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<precondor_core::Error> for Error {
    fn from(e: precondor_core::Error) -> Self {
        Error::Other(e)
    }
}

impl From<Error> for precondor_core::Error {
    fn from(e: Error) -> Self {
        match e {
            Error::Callback(inner) | Error::Other(inner) => inner,
            other => precondor_core::Error::Data(format!("PETSc: {other}")),
        }
    }
}

thread_local! {
    /// The way of the last error through PETSc.
    static TRACE: RefCell<String> = const { RefCell::new(String::new()) };
    /// The first error that a callback reported since it was last asked for.
    static REPORTED: RefCell<Option<precondor_core::Error>> = const { RefCell::new(None) };
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        let traceback = TRACE.with_borrow_mut(std::mem::take).trim_end().to_owned();
        match reported() {
            Some(e) => Error::Callback(e),
            None => {
                let Failed { code, function, message, .. } = failed;
                Error::Petsc { code, function, message, traceback }
            }
        }
    }
}

/// Keeps what a callback reports until the call that it happened in is over; the first one counts.
pub(crate) fn report(e: precondor_core::Error) {
    REPORTED.with_borrow_mut(|kept| kept.get_or_insert(e).clone());
}

/// What callbacks reported.
pub(crate) fn reported() -> Option<precondor_core::Error> {
    REPORTED.with_borrow_mut(Option::take)
}

/// The error that a panic stands for.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> precondor_core::Error {
    precondor_core::Error::Panicked(panic_text(panic))
}

/// The kind of an error that starts its way here.
const INITIAL: c_int = 0;

/// PETSc's error handler: notes where the error passes by and prints nothing.
unsafe extern "C" fn note(
    _: MPI_Comm,
    line: c_int,
    function: *const c_char,
    file: *const c_char,
    code: c_int,
    kind: c_int,
    _: *const c_char,
    _: *mut c_void,
) -> c_int {
    let name = |text: *const c_char| match text.is_null() {
        true => "?".into(),
        // SAFETY: PETSc hands in a C string or null.
        false => unsafe { CStr::from_ptr(text) }.to_string_lossy(),
    };
    let at = format!("{}() at {}:{line}\n", name(function), name(file));
    // A thread that ends, or a trace that is being read, has no use for another line.
    let _ = TRACE.try_with(|trace| {
        if let Ok(mut trace) = trace.try_borrow_mut() {
            if kind == INITIAL {
                trace.clear();
            }
            trace.push_str(&at);
        }
    });
    code
}

/// Has errors noted rather than printed, until [`api.PetscPopErrorHandler`](Api).
///
/// # Safety
/// PETSc is initialised.
pub(crate) unsafe fn note_errors(api: &Api) -> Result<()> {
    // SAFETY: the handler has the type that PETSc asks for and needs no context.
    Ok(unsafe { api.PetscPushErrorHandler(note, std::ptr::null_mut()) }?)
}
