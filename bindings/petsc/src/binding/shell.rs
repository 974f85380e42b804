//! A preconditioner of Precondor as PETSc's type `shell`.
use super::error::{panicked, report};
use crate::api::{Api, RawPc, RawVec, Viewer, code, slice, slice_mut};
use crate::api::{Failed, IntCell};
use precondor_core::comm::Comm;
use precondor_core::precond::Preconditioner;
use precondor_core::{Error, Result};
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::rc::Rc;

/// What the context of a shell points to.
pub(super) struct Shell {
    pub(super) name: String,
    pub(super) m: Box<dyn Preconditioner>,
    pub(super) comm: Comm,
}

impl Shell {
    /// Makes `pc` a shell that applies this.
    ///
    /// # Safety
    /// `pc` is a live preconditioner.
    pub(super) unsafe fn into_pc(self, api: &Api, pc: RawPc) -> std::result::Result<(), Failed> {
        let name = crate::api::text(&self.name);
        // SAFETY: live objects and C strings; the callbacks have the types that PETSc asks for. The
        // context belongs to the shell from the moment that its destructor is known.
        unsafe {
            // A type that is set twice is left as it is: away from a former shell first.
            api.PCSetType(pc, c"none".as_ptr())?;
            api.PCSetType(pc, c"shell".as_ptr())?;
            api.PCShellSetDestroy(pc, Some(destroy))?;
            api.PCShellSetContext(pc, Rc::into_raw(Rc::new(self)).cast_mut().cast())?;
            api.PCShellSetApply(pc, Some(apply))?;
            api.PCShellSetApplyTranspose(pc, Some(apply_transpose))?;
            api.PCShellSetView(pc, Some(view))?;
            api.PCShellSetName(pc, name.as_ptr())
        }
    }

    /// z = M r by `how`. An error shows as NaN in z, which ends a solve in good order and on all ranks,
    /// and is kept for the call that the solve is in.
    fn carry_out(&self, how: How, r: &[f64], z: &mut [f64]) {
        let done = catch_unwind(AssertUnwindSafe(|| match how {
            How::Plain => self.m.apply(r, z),
            How::Transposed => self.m.apply_transpose(r, z),
        }));
        let e = match done {
            Ok(Ok(())) => return,
            Ok(Err(e)) => e,
            Err(panic) => {
                let e = panicked(panic);
                if self.comm.size() > 1 {
                    self.comm.abort(&format!("{}: {e}", self.name));
                }
                e
            }
        };
        z.fill(f64::NAN);
        report(e.inside(self.name.as_str()));
    }
}

#[derive(Clone, Copy)]
enum How {
    Plain,
    Transposed,
}

unsafe extern "C" fn apply(pc: RawPc, x: RawVec, y: RawVec) -> c_int {
    // SAFETY: PETSc calls with live objects.
    unsafe { entered(pc, |api, shell| on_vectors(api, shell, How::Plain, x, y)) }
}

unsafe extern "C" fn apply_transpose(pc: RawPc, x: RawVec, y: RawVec) -> c_int {
    // SAFETY: as above.
    unsafe { entered(pc, |api, shell| on_vectors(api, shell, How::Transposed, x, y)) }
}

/// # Safety
/// `x` and `y` are live vectors, and not the same.
unsafe fn on_vectors(
    api: &Api,
    shell: &Shell,
    how: How,
    x: RawVec,
    y: RawVec,
) -> std::result::Result<(), Failed> {
    // SAFETY: PETSc lends as many numbers as the vectors own, until they are given back.
    unsafe {
        let (mut n, mut m) = (IntCell::default(), IntCell::default());
        api.VecGetLocalSize(x, &mut n)?;
        api.VecGetLocalSize(y, &mut m)?;
        let (mut from, mut to) = (std::ptr::null(), null_mut());
        api.VecGetArrayRead(x, &mut from)?;
        api.VecGetArrayWrite(y, &mut to)?;
        let r = slice(from, api.int(n) as usize);
        shell.carry_out(how, r, slice_mut(to, api.int(m) as usize));
        api.VecRestoreArrayRead(x, &mut from)?;
        api.VecRestoreArrayWrite(y, &mut to)
    }
}

unsafe extern "C" fn view(pc: RawPc, viewer: Viewer) -> c_int {
    // SAFETY: PETSc calls with live objects.
    unsafe {
        entered(pc, |api, shell| {
            let size = (shell.m.stored_entries(), shell.m.bytes());
            let own =
                format!("  {}: {} numbers, {} bytes on this rank", shell.name, size.0, size.1);
            api.print(viewer, &own)?;
            for note in shell.m.notes() {
                api.print(viewer, &format!("  {note}"))?;
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn destroy(pc: RawPc) -> c_int {
    let Ok(api) = Api::in_process() else { return code::LIBRARY };
    // SAFETY: PETSc calls with a live shell, once; the context is what `into_pc` made of an `Rc`, or
    // null where it did not come that far.
    unsafe {
        let mut context: *mut c_void = null_mut();
        if api.PCShellGetContext(pc, &mut context).is_ok() && !context.is_null() {
            // Its destructor may panic, which must not pass through PETSc.
            let shell = Rc::from_raw(context.cast_const().cast::<Shell>());
            let _ = catch_unwind(AssertUnwindSafe(|| drop(shell)));
        }
    }
    0
}

/// Runs `f` with the shell of `pc`; an error or panic in it becomes a code for PETSc.
///
/// # Safety
/// `pc` is a live shell made by [`Shell::into_pc`].
unsafe fn entered(
    pc: RawPc,
    f: impl FnOnce(&Api, &Shell) -> std::result::Result<(), Failed>,
) -> c_int {
    let done = catch_unwind(AssertUnwindSafe(|| -> Result<()> {
        let api = Api::in_process()?;
        let mut context: *mut c_void = null_mut();
        // SAFETY: the context is that of a live shell; it is kept alive for the call.
        let shell = unsafe {
            api.PCShellGetContext(pc, &mut context)?;
            if context.is_null() {
                return Err(Error::Data("a shell without its preconditioner".into()));
            }
            let shell = context.cast_const().cast::<Shell>();
            Rc::increment_strong_count(shell);
            Rc::from_raw(shell)
        };
        Ok(f(api, &shell)?)
    }));
    let e = match done {
        Ok(Ok(())) => return 0,
        Ok(Err(e)) => e,
        Err(panic) => panicked(panic),
    };
    report(e);
    code::LIBRARY
}
