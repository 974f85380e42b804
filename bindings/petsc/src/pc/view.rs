//! What `-ksp_view` and `PCView` show: the method, its parameters, what it stores, how often it was set
//! up, and what there is to know about it.
use super::callback::{Done, guard};
use super::context::{self, Context};
use super::methods::plugins;
use super::settings::Settings;
use crate::api::{Api, Bool, RawPc, Viewer};
use precondor_core::comm::Communicator;
use precondor_core::instance::Counts;
use precondor_core::{schema, words};
use serde_json::Value;
use std::ffi::c_int;

/// Shows a PC of ours.
pub(super) unsafe extern "C" fn view(pc: RawPc, viewer: Viewer) -> c_int {
    // SAFETY: PETSc calls this with a live PC of ours and a live viewer.
    unsafe {
        guard(pc, c"PCView_Precondor", |api| {
            let mut is_text = Bool::default();
            api.PetscObjectTypeCompare(viewer.cast(), c"ascii".as_ptr(), &mut is_text)?;
            if !is_text.get() {
                return Ok(());
            }
            context::with(pc, |context| show(api, pc, context, viewer))
        })
    }
}

/// # Safety
/// `pc` and `viewer` are live, and `context` belongs to `pc`.
unsafe fn show(api: &Api, pc: RawPc, context: &mut Context, viewer: Viewer) -> Done {
    // SAFETY: the caller's promise.
    let line = |text: &str| unsafe { api.print(viewer, text) };
    let Some(settings) = &context.settings else {
        line("not set up: its options were not read")?;
        return Ok(());
    };
    describe(settings, &line)?;
    line(&format!("reuse = {}", settings.reuse.0.name()))?;
    // SAFETY: the caller's promise.
    let comm = unsafe {
        let raw = super::callback::comm_of(api, pc.cast());
        let raw = raw.ok_or_else(|| precondor_core::Error::Comm("no communicator".into()))?;
        context.comm(api, raw)?
    };
    if let Some((built, m)) = context.built.as_ref().zip(context.m()) {
        let mut sums = [m.stored_entries() as f64, m.bytes() as f64];
        comm.sum(&mut sums)?;
        let [entries, bytes] = sums;
        let share = entries / (built.nnz.max(1) as f64);
        line(&format!(
            "stores {entries} numbers, {share:.2} for each entry of the matrix; {bytes} bytes"
        ))?;
        for note in m.notes() {
            line(&format!("note: {note}"))?;
        }
        if built.shown.as_ref().is_some_and(|shown| shown.applied) {
            line("applied as a matrix of PETSc")?;
        }
    }
    if let Some(built) = &context.built {
        let Counts { setups, refreshes, kept } = built.kept.counts();
        line(&format!("setups: {setups} from nothing, {refreshes} refreshed, {kept} times kept"))?;
    }
    if let Some(failure) = &context.failure {
        line(&format!("failed: {failure}"))?;
    }
    Ok(())
}

/// The method and all of its parameters, given or not.
fn describe(
    settings: &Settings,
    line: &dyn Fn(&str) -> std::result::Result<(), crate::api::Failed>,
) -> Done {
    let method = plugins()?.get(&settings.method.name)?;
    line(&format!("method: {} ({})", method.name(), method.summary()))?;
    let schema = method.schema();
    let params = schema::under_todays_names(&schema, &settings.method.params);
    for parameter in words::parameters(&schema) {
        let shown = match params.get(&parameter.name) {
            Some(given) => plain(given),
            None => match &parameter.default {
                Some(default) => format!("{} (default)", plain(default)),
                None => "left to the method".into(),
            },
        };
        line(&format!("{} = {shown}", parameter.name))?;
    }
    Ok(())
}

/// A value as a reader expects it: texts without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
