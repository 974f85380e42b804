//! Setting up: the matrix that PETSc has in, a preconditioner out; and what a failure becomes.
//!
//! A breakdown (a zero diagonal, a zero pivot) is what PETSc calls a failed preconditioner: the solve
//! ends with `DIVERGED_PC_FAILED`, and our message stands on standard error and in `-ksp_view`. All
//! else is a mistake of whoever called, and becomes an error of PETSc. Both on all ranks.
use super::callback::{Done, Trouble, comm_of, guard};
use super::context::{self, Built, Context};
use super::explicit;
use super::grid::Dmda;
use super::host::Lent;
use super::options::Settings;
use super::register::plugins;
use crate::api::{Api, RawMat, RawPc};
use crate::matrix;
use precondor_core::comm::{Comm, Communicator};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use serde_json::Value;
use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::Arc;

/// `PC_FACTOR_NUMERIC_ZEROPIVOT`, the reason nearest to a breakdown.
pub(super) const BREAKDOWN: c_int = 2;
/// `PC_FACTOR_OTHER`.
pub(super) const OTHER: c_int = 4;

/// What PETSc calls when a matrix is new or has changed.
pub(super) unsafe extern "C" fn setup(pc: RawPc) -> c_int {
    // SAFETY: PETSc calls this with a live PC of ours that has operators.
    unsafe { guard(pc, c"PCSetUp_Precondor", |api| context::with(pc, |c| set_up(api, pc, c))) }
}

/// # Safety
/// `pc` is live, and `context` is its.
unsafe fn set_up(api: &'static Api, pc: RawPc, context: &mut Context) -> Done {
    // SAFETY: the caller's promise.
    unsafe {
        let settings = match (&context.settings, &context.fixed) {
            (Some(settings), _) => settings.clone(),
            (None, Some(fixed)) => Settings::of(fixed),
            (None, None) => return Err(no_method().into()),
        };
        let raw = comm_of(api, pc.cast()).ok_or_else(|| Error::Comm("no communicator".into()))?;
        let comm = context.comm(api, raw)?;
        let (mut a, mut p) = (null_mut(), null_mut());
        api.PCGetOperators(pc, &mut a, &mut p)?;
        if let Some(shown) = context.built.take().and_then(|built| built.shown) {
            shown.destroy(api)?;
        }
        context.failure = None;
        match build(api, pc, p, &settings, &comm) {
            Ok(built) => {
                context.counts.setups += 1;
                let transpose = super::apply::transposes(&*built.m);
                let built = context.built.insert(built);
                api.PCShellSetApplyTranspose(pc, transpose.then_some(super::apply::transpose as _))?;
                if settings.explicit || settings.explicit_view {
                    let shown = explicit::Shown::new(api, raw, p, &*built.m, &settings)?;
                    shown.view(api, pc)?;
                    built.shown = Some(shown);
                }
            }
            Err(Trouble::Petsc(failed)) => return Err(failed.into()),
            Err(Trouble::Ours(error)) => {
                let error = error.inside(&settings.method.name);
                if !is_breakdown(&comm, &error)? {
                    return Err(error.into());
                }
                api.PCSetFailedReason(pc, BREAKDOWN)?;
                if comm.rank() == 0 {
                    super::host::warn(&error.to_string());
                }
                context.failure = Some(error.to_string());
            }
        }
        context.settings = Some(settings);
        Ok(())
    }
}

fn no_method() -> Error {
    Error::Parameter(
        "no method was chosen: -pc_precondor_name NAME is read by PCSetFromOptions \
         (KSPSetFromOptions); without options, set the type precondor_NAME"
            .into(),
    )
}

/// # Safety
/// `pc` and `p` are live (`p` may be null); `comm` stands for their ranks.
unsafe fn build(
    api: &'static Api,
    pc: RawPc,
    p: RawMat,
    settings: &Settings,
    comm: &Comm,
) -> Done<Built> {
    let plugins = plugins()?;
    let method = plugins.get(&settings.method.name)?;
    let services = precondor_host::services(plugins.registry(), &settings.base);
    let host = Arc::new(Lent::new(services, api, pc, comm.rank() == 0));
    // SAFETY: the caller's promise.
    unsafe {
        let grid = Dmda::of(api, pc, p)?;
        let built = matrix::lend(api, p, comm, |a| {
            let (n, nnz) = (a.n_own(), a.nnz_global()?);
            let mut params = settings.method.params.clone();
            let mut system = System::new(a).with_host(host);
            if let Some(grid) = grid.filter(|grid| grid.fits(&system)) {
                if takes_grid(&method.schema()) && params.get("grid").is_none_or(Value::is_null) {
                    if let Some(found) = grid.natural()? {
                        params["grid"] = serde_json::json!(found);
                    }
                }
                system = grid.describe(system)?;
            }
            let m = method.generate(&params, &system)?;
            Ok(Built { m, n, nnz, shown: None })
        })?;
        Ok(built)
    }
}

/// Whether a method works on structured grids.
fn takes_grid(schema: &Value) -> bool {
    schema["properties"]["grid"].is_object()
}

/// Whether what all ranks failed with is a breakdown. Collective.
fn is_breakdown(comm: &Comm, error: &Error) -> Result<bool> {
    let mine = match error.root() {
        Error::Elsewhere { .. } => 0,
        Error::Breakdown(_) => 1,
        _ => 2,
    };
    let all = comm.all_gather(&[mine])?;
    Ok(all.iter().map(|kind| kind[0]).max() == Some(1))
}
