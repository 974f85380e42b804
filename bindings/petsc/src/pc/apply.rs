//! Products with M, as PETSc asks for them.
//!
//! A failure inside a product must not keep a rank from the communication that others are in: M y is
//! written as NaN there, the reason is set, and the solver's next norm or inner product, which is NaN
//! on all ranks, ends the solve with `DIVERGED_PC_FAILED`. A panic is an error of PETSc on that rank.
use super::callback::{Done, guard, told};
use super::context::{self, Context};
use crate::api::{Api, IntCell, RawMat, RawPc, RawVec, reason, slice, slice_mut};
use precondor_core::precond::Preconditioner;
use precondor_core::{Error, Result};
use std::ffi::c_int;
use std::ptr::{null, null_mut};

/// `y = M x`.
pub(super) unsafe extern "C" fn apply(pc: RawPc, x: RawVec, y: RawVec) -> c_int {
    // SAFETY: PETSc calls this with live objects that fit.
    unsafe {
        guard(pc, c"PCApply_Precondor", |api| {
            vectors(api, pc, x, y, false, |m, x, y| m.apply(x, y))
        })
    }
}

/// `y = Mᵀ x`.
pub(super) unsafe extern "C" fn transpose(pc: RawPc, x: RawVec, y: RawVec) -> c_int {
    // SAFETY: as for `apply`.
    unsafe {
        guard(pc, c"PCApplyTranspose_Precondor", |api| {
            vectors(api, pc, x, y, true, |m, x, y| m.apply_transpose(x, y))
        })
    }
}

/// `Y = M X` for dense matrices.
pub(super) unsafe extern "C" fn apply_many(pc: RawPc, x: RawMat, y: RawMat) -> c_int {
    // SAFETY: as for `apply`.
    unsafe {
        guard(pc, c"PCMatApply_Precondor", |api| context::with(pc, |c| many(api, pc, c, x, y)))
    }
}

type Product<'a> = &'a dyn Fn(&dyn Preconditioner, &[f64], &mut [f64]) -> Result<()>;

/// # Safety
/// The objects are live and fit.
unsafe fn vectors(
    api: &Api,
    pc: RawPc,
    x: RawVec,
    y: RawVec,
    transposed: bool,
    f: impl Fn(&dyn Preconditioner, &[f64], &mut [f64]) -> Result<()>,
) -> Done {
    context::with(pc, |context| {
        // SAFETY: the caller's promise; what is borrowed goes back.
        unsafe {
            if let Some(built) = &context.built {
                built.applied.set(built.applied.get() + 1);
            }
            let shown = context.built.as_ref().and_then(|built| built.shown.as_ref());
            if let Some(shown) = shown.filter(|shown| shown.applied) {
                return shown.apply(api, x, y, transposed);
            }
            let mut sizes = [IntCell::default(); 2];
            let [nx, ny] = &mut sizes;
            api.VecGetLocalSize(x, nx)?;
            api.VecGetLocalSize(y, ny)?;
            let [nx, ny] = sizes.map(|n| api.int(n) as usize);
            let (mut from, mut to) = (null(), null_mut());
            api.VecGetArrayRead(x, &mut from)?;
            api.VecGetArrayWrite(y, &mut to)?;
            let applied = product(context, slice(from, nx), slice_mut(to, ny), &f);
            api.VecRestoreArrayWrite(y, &mut to)?;
            api.VecRestoreArrayRead(x, &mut from)?;
            settle(api, pc, context, applied)
        }
    })
}

/// The product, or NaN.
fn product(context: &Context, x: &[f64], y: &mut [f64], f: Product<'_>) -> Result<()> {
    let Some(m) = context.m() else {
        // A setup that failed said so; whoever goes on all the same is told again by what comes out.
        y.fill(f64::NAN);
        return Ok(());
    };
    let result = f(m, x, y);
    if result.is_err() {
        y.fill(f64::NAN);
    }
    result
}

/// What a failed product becomes.
///
/// # Safety
/// `pc` is live.
unsafe fn settle(api: &Api, pc: RawPc, context: &mut Context, applied: Result<()>) -> Done {
    match applied {
        Ok(()) => Ok(()),
        Err(error @ Error::Panicked(_)) => Err(error.into()),
        Err(error) => {
            if context.failure.is_none() {
                super::host::warn(&told(&error));
                context.failure = Some(error.to_string());
            }
            // SAFETY: the caller's promise.
            unsafe { api.PCSetFailedReason(pc, reason::OTHER)? };
            Ok(())
        }
    }
}

/// # Safety
/// As [`vectors`].
unsafe fn many(api: &Api, pc: RawPc, context: &mut Context, x: RawMat, y: RawMat) -> Done {
    let n = context.built.as_ref().map_or(0, |built| built.n);
    let mut cells = [IntCell::default(); 6];
    let [nx, ny, rows, cols, lda_x, lda_y] = &mut cells;
    let mut unused = IntCell::default();
    let (mut from, mut to) = (null(), null_mut());
    // SAFETY: the caller's promise: dense matrices, column after column; what is borrowed goes back.
    unsafe {
        api.MatGetLocalSize(x, nx, &mut unused)?;
        api.MatGetLocalSize(y, ny, &mut unused)?;
        api.MatGetSize(x, rows, cols)?;
        api.MatDenseGetLDA(x, lda_x)?;
        api.MatDenseGetLDA(y, lda_y)?;
        let [nx, ny, _, k, lda_x, lda_y] = cells.map(|cell| api.int(cell) as usize);
        if nx != n || ny != n {
            let why = format!("matrices of {nx} and {ny} rows, {n} are needed");
            return Err(Error::Data(why).into());
        }
        api.MatDenseGetArrayRead(x, &mut from)?;
        api.MatDenseGetArrayWrite(y, &mut to)?;
        let applied = if lda_x == nx && lda_y == ny {
            let (x, y) = (slice(from, nx * k), slice_mut(to, ny * k));
            product(context, x, y, &|m, x, y| m.apply_many(k, x, y))
        } else {
            (0..k).try_for_each(|j| {
                let x = slice(from.add(j * lda_x), nx);
                let y = slice_mut(to.add(j * lda_y), ny);
                product(context, x, y, &|m, x, y| m.apply(x, y))
            })
        };
        api.MatDenseRestoreArrayWrite(y, &mut to)?;
        api.MatDenseRestoreArrayRead(x, &mut from)?;
        settle(api, pc, context, applied)
    }
}
