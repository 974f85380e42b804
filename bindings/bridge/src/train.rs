//! What surrounds a training run: samples and a watch, both lent for the time of a call.
use crate::raw::{self, collect_text};
use crate::status::{answer, call, quietly};
use crate::system;
use crate::thread::outside_bodies;
use precondor_abi as abi;
use precondor_abi::{Bytes, Failure, Sink, Status};
use precondor_core::Result;
use precondor_core::host::Host;
use precondor_core::system::System;
use precondor_core::train::{Progress, Samples, Watch};
use std::ffi::c_void;
use std::ptr::null;
use std::sync::Arc;

/// Calls `f` with a table that lends `samples`.
pub fn with_samples<R>(samples: &dyn Samples, f: impl FnOnce(*const abi::Samples) -> R) -> R {
    let mut lent: &dyn Samples = samples;
    let table = abi::Samples {
        size: size_of::<abi::Samples>(),
        ctx: (&raw mut lent).cast(),
        families: samples.families() as u64,
        sample,
        describe,
    };
    f(&table)
}

/// Calls `f` with a table that lends `watch`.
pub fn with_watch<R>(watch: &mut dyn Watch, f: impl FnOnce(*const abi::Watch) -> R) -> R {
    let checkpoint_every = watch.checkpoint_every();
    let mut lent: &mut dyn Watch = watch;
    let first = abi::Watch {
        size: size_of::<abi::WatchTable>(),
        ctx: (&raw mut lent).cast(),
        checkpoint_every,
        progress,
        checkpoint,
        cancelled,
    };
    let table = abi::WatchTable { first, validated: Some(validated) };
    f((&raw const table).cast())
}

// What the other side calls. `ctx` is the `lent` of the call under way; the rest is what the other
// side promises by calling.

unsafe fn samples<'a>(ctx: *mut c_void) -> &'a dyn Samples {
    // SAFETY: see above; samples may be shared between threads.
    unsafe { *ctx.cast::<&dyn Samples>() }
}

unsafe extern "C" fn sample(
    ctx: *mut c_void,
    family: u64,
    seed: u64,
    index: u64,
    out: *mut *const abi::System,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let family = usize::try_from(family).unwrap_or(usize::MAX);
            let system = samples(ctx).sample(family, seed, index)?;
            *out = system::lend_kept(&system).hand_out();
            Ok(())
        })
    }
}

unsafe extern "C" fn describe(ctx: *mut c_void, out: *const Sink) {
    // SAFETY: see above.
    quietly(|| unsafe { raw::put(out, samples(ctx).describe().as_bytes()) });
}

unsafe fn watch<'a>(ctx: *mut c_void) -> &'a mut dyn Watch {
    // SAFETY: see above; the watch is used by the training thread alone.
    unsafe { &mut **ctx.cast::<&mut dyn Watch>() }
}

unsafe extern "C" fn progress(ctx: *mut c_void, step: u64, steps: u64, loss: f64, rate: f64) {
    quietly(|| {
        if outside_bodies("progress").is_ok() {
            // SAFETY: see above.
            let watch = unsafe { watch(ctx) };
            watch.progress(&Progress { step, steps, loss, learning_rate: rate });
        }
    });
}

unsafe extern "C" fn validated(ctx: *mut c_void, step: u64, loss: f64) {
    quietly(|| {
        if outside_bodies("validated").is_ok() {
            // SAFETY: see above.
            unsafe { watch(ctx) }.validated(step, loss);
        }
    });
}

unsafe extern "C" fn checkpoint(ctx: *mut c_void, state: Bytes, why: *mut Failure) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("a checkpoint")?;
            watch(ctx).checkpoint(raw::bytes(state, "a checkpoint")?)
        })
    }
}

unsafe extern "C" fn cancelled(ctx: *mut c_void) -> i32 {
    // SAFETY: see above. A watch that panics wants no more.
    quietly(|| unsafe { watch(ctx).cancelled() }).unwrap_or(true).into()
}

/// Samples of the other side, for the time of a call.
pub struct ForeignSamples<'a> {
    table: &'a abi::Samples,
    host: Arc<dyn Host>,
}

impl ForeignSamples<'_> {
    /// The samples at `ptr`; their systems get the services of `host`.
    ///
    /// # Errors
    /// [`Error::Plugin`](precondor_core::Error::Plugin) for a table that is none.
    ///
    /// # Safety
    /// As [`raw::table`]; the table keeps the C contract.
    pub unsafe fn new(ptr: *const abi::Samples, host: &Arc<dyn Host>) -> Result<Self> {
        // SAFETY: the caller's promise.
        Ok(ForeignSamples { table: unsafe { raw::table(ptr)? }, host: Arc::clone(host) })
    }
}

// SAFETY of the calls below: functions of a checked table that is valid for the call.
impl Samples for ForeignSamples<'_> {
    fn families(&self) -> usize {
        self.table.families as usize
    }
    fn sample(&self, family: usize, seed: u64, index: u64) -> Result<System> {
        let mut out = null();
        let (t, family) = (self.table, family as u64);
        // SAFETY: see above; the system was retained for this side.
        unsafe {
            call(|why| (t.sample)(t.ctx, family, seed, index, &mut out, why))?;
            Ok(system::adopt(out)?.with_host(Arc::clone(&self.host)))
        }
    }
    fn describe(&self) -> String {
        let text = collect_text(|out| {
            // SAFETY: see above.
            unsafe { (self.table.describe)(self.table.ctx, out) };
            Ok(())
        });
        text.unwrap_or_default()
    }
}

/// A watch of the other side, for the time of a call.
pub struct ForeignWatch<'a> {
    table: &'a abi::Watch,
    /// What 1.1 added, where the other side is of 1.1 or later.
    later: Option<&'a abi::WatchTable>,
}

impl ForeignWatch<'_> {
    /// The watch at `ptr`.
    ///
    /// # Errors
    /// As [`ForeignSamples::new`].
    ///
    /// # Safety
    /// As [`ForeignSamples::new`].
    pub unsafe fn new(ptr: *const abi::Watch) -> Result<Self> {
        // SAFETY: the caller's promise.
        let table: &abi::Watch = unsafe { raw::table(ptr)? };
        let longer = table.size >= size_of::<abi::WatchTable>();
        // SAFETY: the table is as long as its size says.
        let later = longer.then(|| unsafe { &*ptr.cast::<abi::WatchTable>() });
        Ok(ForeignWatch { table, later })
    }
}

// SAFETY of the calls below: as for the samples.
impl Watch for ForeignWatch<'_> {
    fn progress(&mut self, p: &Progress) {
        // SAFETY: see above.
        unsafe { (self.table.progress)(self.table.ctx, p.step, p.steps, p.loss, p.learning_rate) }
    }
    fn validated(&mut self, step: u64, loss: f64) {
        if let Some(validated) = self.later.and_then(|later| later.validated) {
            // SAFETY: see above.
            unsafe { validated(self.table.ctx, step, loss) }
        }
    }
    fn checkpoint(&mut self, state: &[u8]) -> Result<()> {
        // SAFETY: see above.
        call(|why| unsafe { (self.table.checkpoint)(self.table.ctx, Bytes::new(state), why) })
    }
    fn checkpoint_every(&self) -> u64 {
        self.table.checkpoint_every
    }
    fn cancelled(&self) -> bool {
        // SAFETY: see above.
        unsafe { (self.table.cancelled)(self.table.ctx) != 0 }
    }
}
