//! What solves tell a PC: for how long its M is kept depends on it.
//!
//! A Krylov method says when it has solved; iterations are applications of M since the solve before. One that does nothing but
//! apply M (`preonly`, in blocks and levels) solves with each iteration of another method: those are added up until
//! the matrix changes, as are applications that no Krylov method asks for.
use super::callback::{Done, guard};
use super::context::{self, Built, Context};
use crate::api::{Api, RawKsp, RawPc, RawVec};
use precondor_core::reuse::Solve;
use std::ffi::{CStr, c_int};
use std::ptr::null;

/// What PETSc calls after each solve.
pub(super) unsafe extern "C" fn solved(pc: RawPc, ksp: RawKsp, _: RawVec, _: RawVec) -> c_int {
    // SAFETY: PETSc calls this with a live PC of ours and the solver that it belongs to.
    unsafe { guard(pc, c"PCPostSolve_Precondor", |api| context::with(pc, |c| note(api, ksp, c))) }
}

/// # Safety
/// `ksp` is live.
unsafe fn note(api: &Api, ksp: RawKsp, context: &mut Context) -> Done {
    let Some(built) = &mut context.built else { return Ok(()) };
    let (mut kind, mut reason) = (null(), 0);
    // SAFETY: the caller's promise; the type is null or a C string of PETSc's.
    let is_part = unsafe {
        api.KSPGetType(ksp, &mut kind)?;
        api.KSPGetConvergedReason(ksp, &mut reason)?;
        !kind.is_null() && CStr::from_ptr(kind) == c"preonly"
    };
    if !is_part || reason < 0 {
        built.solved(reason >= 0);
    }
    Ok(())
}

impl Built {
    /// A solve with M has ended.
    fn solved(&mut self, converged: bool) {
        let iterations = self.applied.take();
        self.kept.solved(Solve { iterations, converged });
    }

    /// The same, with what was applied in no solve that was told of.
    pub(super) fn counted(mut self) -> Self {
        if self.applied.get() > 0 {
            self.solved(true);
        }
        self
    }
}
