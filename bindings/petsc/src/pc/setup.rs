//! Setting up: the matrix that PETSc has in, a preconditioner out; and what a failure becomes.
//!
//! A breakdown (a zero diagonal, a zero pivot, a factor that does not fit into memory) is what PETSc calls a failed preconditioner: the solve
//! ends with `DIVERGED_PC_FAILED`, and our message stands on standard error and in `-ksp_view`. All
//! else is a mistake of whoever called, and becomes an error of PETSc. Both on all ranks.
use super::callback::{Done, Trouble, comm_of, guard};
use super::context::{self, Built, Context};
use super::explicit;
use super::grid::Dmda;
use super::host;
use super::known::{Known, Places};
use super::methods::plugins;
use super::settings::Settings;
use crate::api::{Api, RawMat, RawPc, reason};
use crate::matrix;
use precondor_core::comm::{Comm, Communicator};
use precondor_core::instance::{Instance, Kept};
use precondor_core::reordered::Reordered;
use precondor_core::system::System;
use precondor_core::{Error, Result, schema};
use std::cell::Cell;
use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::Arc;

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
        let mut built = context.built.take();
        if let Some(shown) = built.as_mut().and_then(|built| built.shown.take()) {
            shown.destroy(api)?;
        }
        // What failed before is over: PETSc itself keeps the reason of an earlier setup.
        context.failure = None;
        api.PCSetFailedReason(pc, reason::NONE)?;
        match build(api, (pc, p), context.places.clone(), &settings, &comm, &mut built) {
            Ok(()) => {
                let m = built.as_ref().and_then(|built| built.kept.m());
                let transposes = m.is_some_and(|m| transposes(m, &settings));
                let transpose = transposes.then_some(super::apply::transpose as _);
                api.PCShellSetApplyTranspose(pc, transpose)?;
                if let Some(m) = m.filter(|_| settings.explicit || settings.explicit_view) {
                    let shown = explicit::Shown::new(api, raw, p, m, &settings)?;
                    shown.view(api, pc)?;
                    built = built.map(|built| Built { shown: Some(shown), ..built });
                }
            }
            Err(Trouble::Petsc(failed)) => return Err(failed.into()),
            Err(Trouble::Ours(error)) => {
                let error = error.inside(&settings.method.name);
                if !is_breakdown(&comm, &error)? {
                    return Err(error.into());
                }
                api.PCSetFailedReason(pc, reason::BREAKDOWN)?;
                if comm.rank() == 0 {
                    host::warn(&error.to_string());
                }
                context.failure = Some(error.to_string());
            }
        }
        context.built = built;
        context.settings = Some(settings);
        Ok(())
    }
}

/// Whether M has a transpose: a method that offers one may not have it for every matrix, and says so
/// then when it is asked for; a symmetric M is its own.
fn transposes(m: &dyn Instance, settings: &Settings) -> bool {
    let method = plugins().and_then(|plugins| plugins.get(&settings.method.name));
    m.properties().symmetric || method.is_ok_and(|method| method.capabilities().transpose)
}

fn no_method() -> Error {
    Error::Parameter(
        "no method was chosen: -pc_precondor_name NAME is read by PCSetFromOptions \
         (KSPSetFromOptions); without options, set the type precondor_NAME"
            .into(),
    )
}

/// Makes `built` the preconditioner of `p`.
///
/// # Safety
/// `pc` and `p` are live (`p` may be null); `comm` stands for their ranks.
unsafe fn build(
    api: &'static Api,
    (pc, p): (RawPc, RawMat),
    places: Option<Places>,
    settings: &Settings,
    comm: &Comm,
    built: &mut Option<Built>,
) -> Done {
    let plugins = plugins()?;
    let method = plugins.get(&settings.method.name)?;
    let services = precondor_host::services(plugins.registry(), &settings.base);
    // SAFETY: the caller's promise: the PC is alive until the end of its setup, which this thread runs.
    unsafe {
        let grid = Dmda::of(api, pc, p)?;
        let known = Known::of(api, p, places)?;
        host::lend(services, api, pc, comm.rank() == 0, |host| {
            matrix::lend(api, p, comm, |a| {
                let (n, nnz) = (a.n_own(), a.nnz_global()?);
                let mut config = settings.method.clone();
                let system = System::new(a).with_host(host);
                let grid = grid.filter(|grid| grid.fits(&system));
                let mut layout = None;
                if let Some(grid) = grid.as_ref().filter(|grid| grid.is_scalar()) {
                    let schema = method.schema();
                    let params = &mut config.params;
                    let free = |key: &&str| params.get(*key).is_none_or(serde_json::Value::is_null);
                    if let Some(key) = schema::marked(&schema, schema::GRID).filter(free) {
                        let axes = schema::most_items(&schema, key).unwrap_or(2);
                        let found = grid.layout(&system, axes)?;
                        params[key] = serde_json::json!(found.grid());
                        layout = Some(found);
                    }
                }
                let system = comm.scope(|| {
                    let described = grid.map_or(Ok(system.clone()), |grid| grid.describe(system));
                    known.describe(described?)
                })?;
                let order = layout.as_ref().and_then(|layout| layout.order(comm.size()));
                let method = match order {
                    None => Arc::clone(method),
                    Some(order) => Arc::new(Reordered::new(Arc::clone(method), order)),
                };
                let with = (config, settings.base.clone(), layout);
                let same = built.take().filter(|built| built.with == with);
                let kept = same.map(|built| built.counted().kept);
                let kept = kept.unwrap_or_else(|| Kept::new(&method, &with.0.params));
                let kept = kept.reusing(settings.reuse.0, settings.reuse.1);
                let applied = Cell::default();
                let built = built.insert(Built { kept, applied, with, n, nnz, shown: None });
                built.kept.update(&system).map(|_| ())
            })
        })?;
    }
    Ok(())
}

/// Whether what all ranks failed with is a breakdown. Collective.
fn is_breakdown(comm: &Comm, error: &Error) -> Result<bool> {
    let mine = match error.root() {
        Error::Elsewhere { .. } => 0,
        Error::Breakdown(_) | Error::Memory(_) => 1,
        _ => 2,
    };
    let all = comm.all_gather(&[mine])?;
    Ok(all.iter().map(|kind| kind[0]).max() == Some(1))
}
