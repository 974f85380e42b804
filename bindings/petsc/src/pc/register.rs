//! Loading: which PETSc and which MPI run here, which methods there are, and their types.
use super::callback::{Trouble, guard};
use super::context::{self, Context};
use super::methods::{TYPE, method_of, plugins, type_name, types};
use super::{apply, coordinates, host, options, setup, solved, view};
use crate::Petsc;
use crate::api::{Api, MPI_Comm, Object, RawPc, code, text};
use precondor_core::{Error, Result};
use std::collections::BTreeSet;
use std::ffi::{CStr, c_int, c_void};
use std::sync::{Mutex, PoisonError};

/// What a view begins with.
const VERSION: &CStr = match CStr::from_bytes_with_nul(VERSION_TEXT.as_bytes()) {
    Ok(text) => text,
    Err(_) => c"Precondor",
};
const VERSION_TEXT: &str = concat!("Precondor ", env!("CARGO_PKG_VERSION"), "\0");

/// Adds the types `precondor` and `precondor_METHOD` to PETSc, for [`Pc::set_type`] and for options.
///
/// The handle stands for a PETSc that runs, and for the thread that may call it:
///
/// ```no_run
/// # fn main() -> precondor_core::Result<()> {
/// let petsc = precondor_petsc::Petsc::init::<&str>(&[])?;
/// precondor_petsc::pc::register(&petsc)?;
/// # Ok(()) }
/// ```
///
/// Without one, and on another thread, there is nothing to call:
///
/// ```compile_fail,E0061
/// # fn main() -> precondor_core::Result<()> {
/// precondor_petsc::pc::register()?;
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0277
/// # fn main() -> precondor_core::Result<()> {
/// let petsc = precondor_petsc::Petsc::init::<&str>(&[])?;
/// std::thread::spawn(move || precondor_petsc::pc::register(&petsc).is_ok());
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::Plugin`] where PETSc, or its MPI, is none that this library can work with; [`Error::Data`]
/// with PETSc's message.
///
/// [`Pc::set_type`]: crate::Pc::set_type
pub fn register(petsc: &Petsc) -> Result<()> {
    // SAFETY: the handle keeps PETSc running, and cannot leave the thread that may call it.
    unsafe { add_types(petsc.api()) }
}

/// # Safety
/// PETSc runs, and this thread may call it.
unsafe fn add_types(api: &'static Api) -> Result<()> {
    same_mpi(&precondor_mpi::library(), api.mpi().as_deref())?;
    stay_loaded();
    let plugins = plugins()?;
    // PETSc asks for a type by its name and for no other: all of ours have one.
    plugins.look_beside();
    // SAFETY: the caller's promise.
    if unsafe { first_rank(api) } {
        for problem in plugins.problems_so_far() {
            host::warn(&format!("{}: {}", problem.path.display(), problem.reason));
        }
    }
    for name in std::iter::once(TYPE.to_owned()).chain(types(plugins)) {
        // SAFETY: the caller's promise; the function has the type asked for.
        unsafe { api.PCRegister(text(&name).as_ptr(), Some(create))? };
    }
    Ok(())
}

/// Whether this process is the first of the job.
///
/// # Safety
/// As [`add_types`].
unsafe fn first_rank(api: &Api) -> bool {
    // SAFETY: the caller's promise.
    api.comm_world()
        .and_then(|world| unsafe { api.place_in(world) })
        .is_ok_and(|(rank, _)| rank == 0)
}

/// Refuses a PETSc that runs on another MPI than `ours`, which this library is built with.
fn same_mpi(ours: &str, theirs: Option<&str>) -> Result<()> {
    // What is linked into the process first answers for both, so the binary interface, not the name
    // that we get, tells what we are built with: handles are pointers in Open MPI, numbers in MPICH.
    let built_with = if size_of::<MPI_Comm>() == size_of::<*mut c_void>() { OPEN } else { MPICH };
    let Some(theirs) = theirs else {
        return Err(Error::Plugin(format!(
            "PETSc in this process runs on an MPI that does not say what it is; this library is built \
             with {built_with}"
        )));
    };
    let family = |name: &str| match name {
        name if name.contains(OPEN) => Some(OPEN),
        name if [MPICH, "MVAPICH", "Intel", "CRAY"].iter().any(|like| name.contains(like)) => {
            Some(MPICH)
        }
        _ => None,
    };
    if family(theirs) == Some(built_with) {
        return Ok(());
    }
    let ours = if family(ours) == Some(built_with) { ours } else { built_with };
    Err(Error::Plugin(format!(
        "PETSc in this process runs on {theirs}, this library is built with {ours}: build it with the \
         same MPI (MPICC=… cargo build --features petsc)"
    )))
}

const OPEN: &str = "Open MPI";
const MPICH: &str = "MPICH";

/// Keeps this library loaded when PETSc ends and unloads what it loaded: the methods' libraries stay
/// for ever and hold addresses in this one.
fn stay_loaded() {
    // SAFETY: a plain struct of pointers, for which zero is a value; any address may be asked about;
    // nothing is loaded that is not there already.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        let here = stay_loaded as *const () as *const c_void;
        if libc::dladdr(here, &mut info) != 0 && !info.dli_fname.is_null() {
            let how = libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
            libc::dlopen(info.dli_fname, how);
        }
    }
}

/// What PETSc calls when it has loaded this library with `-dll_append`.
///
/// # Safety
/// PETSc is initialised.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn PetscDLLibraryRegister_precondor_petsc() -> c_int {
    // SAFETY: PETSc calls this after its start, on its own thread.
    let register = || Api::in_process().and_then(|api| unsafe { add_types(api) });
    let registered = std::panic::catch_unwind(register);
    let error = match registered {
        Ok(Ok(())) => return 0,
        Ok(Err(error)) => error.to_string(),
        Err(panic) => precondor_core::comm::panic_text(panic),
    };
    // There may be no function of PETSc that could be told.
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "precondor: error: {error}");
    code::UNSUPPORTED
}

/// The number of PCs of our types that are alive in this process, for programs that look for leaks.
#[unsafe(no_mangle)]
pub extern "C" fn precondor_petsc_live() -> usize {
    context::live()
}

/// PCs that read our options, by address: a PC keeps its handlers when its type changes.
static HANDLED: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

fn handled(change: impl FnOnce(&mut BTreeSet<usize>) -> bool) -> bool {
    change(&mut HANDLED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Makes a new PC one of ours: a shell under our name.
unsafe extern "C" fn create(pc: RawPc) -> c_int {
    // SAFETY: PETSc calls this with a live PC whose type is just being set.
    unsafe {
        guard(pc, c"PCCreate_Precondor", |api| {
            let name = type_name(api, pc)?.unwrap_or_else(|| TYPE.to_owned());
            api.PCSetType(pc, c"shell".as_ptr())?;
            api.PCShellSetSetUp(pc, Some(setup::setup))?;
            api.PCShellSetApply(pc, Some(apply::apply))?;
            api.PCShellSetMatApply(pc, Some(apply::apply_many))?;
            api.PCShellSetPostSolve(pc, Some(solved::solved))?;
            api.PCShellSetView(pc, Some(view::view))?;
            api.PCShellSetDestroy(pc, Some(destroy))?;
            api.PCShellSetName(pc, VERSION.as_ptr())?;
            coordinates::listen(api, pc, true)?;
            if handled(|all| all.insert(pc.addr())) {
                let (read, forget) = (Some(options::read as _), Some(forget as _));
                api.PetscObjectAddOptionsHandler(pc.cast(), read, forget, std::ptr::null_mut())?;
            }
            let context = Context::new(method_of(plugins()?, &name));
            if let Some(old) = context::insert(pc, context) {
                old.free(api)?;
            }
            api.PetscObjectChangeTypeName(pc.cast(), text(&name).as_ptr())?;
            Ok(())
        })
    }
}

/// Gives back what belongs to a PC that is destroyed, or becomes of another type.
unsafe extern "C" fn destroy(pc: RawPc) -> c_int {
    // SAFETY: PETSc calls this once with a PC that `create` made one of ours.
    unsafe {
        guard(pc, c"PCDestroy_Precondor", |api| {
            coordinates::listen(api, pc, false)?;
            context::remove(pc).map_or(Ok(()), |context| context.free(api))
        })
    }
}

/// A PC goes, and its address may become another's.
unsafe extern "C" fn forget(pc: Object, _: *mut c_void) -> c_int {
    handled(|all| all.remove(&pc.addr()));
    0
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Petsc(failed) => failed.into(),
            Trouble::Ours(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_mpi_is_refused_with_both_names() {
        let pointers = size_of::<MPI_Comm>() == size_of::<*mut c_void>();
        let (mine, other) = match pointers {
            true => ("Open MPI v4.1.4", "MPICH Version:\t4.0.2"),
            false => ("MPICH 4.0.2", "Open MPI v4.1.4, package: Debian OpenMPI"),
        };
        assert_eq!(same_mpi(mine, Some(mine)), Ok(()));
        let why = same_mpi(mine, Some(other)).unwrap_err().to_string();
        assert!(why.contains(mine) && why.contains(other), "{why}");
        // Where the other one answers for us, too, its name is not taken for ours.
        let why = same_mpi(other, Some(other)).unwrap_err().to_string();
        assert!(why.contains(if pointers { "built with Open MPI" } else { "built with MPICH" }));
        assert!(same_mpi(mine, None).is_err());
        assert!(same_mpi(mine, Some("Someone's MPI")).is_err());
    }
}
