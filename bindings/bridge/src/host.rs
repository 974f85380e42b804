//! Host services.
use crate::raw::{self, slice, text};
use crate::shared::{Held, Lent};
use crate::status::{answer, call, quietly};
use crate::thread::outside_bodies;
use crate::{instance, matrix, method, system};
use precondor_abi as abi;
use precondor_abi::{Body, Failure, Sink, Status, Text};
use precondor_core::host::{Host, Level};
use precondor_core::instance::Instance;
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::system::System;
use precondor_core::{Error, Result};
use serde_json::Value;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::null;
use std::sync::Arc;

type LentHost = Lent<abi::HostTable, Arc<dyn Host>>;

/// Lends the services of `host`.
pub fn lend(host: &Arc<dyn Host>) -> Arc<Lent<abi::HostTable, Arc<dyn Host>>> {
    let first = |ctx| abi::Host {
        size: size_of::<abi::HostTable>(),
        ctx,
        retain,
        release: LentHost::release,
        threads,
        parallel_for,
        log,
        read,
        inner,
        matrix_new,
        space_split,
    };
    Lent::new(Arc::clone(host), |ctx, _| abi::HostTable {
        first: first(ctx),
        progress: Some(progress),
        cancelled: Some(cancelled),
    })
}

/// The table of a host that is lent, as its users take it.
pub fn table(lent: &Lent<abi::HostTable, Arc<dyn Host>>) -> *const abi::Host {
    (&raw const lent.table).cast()
}

/// Takes the services of a host, retaining it.
///
/// # Errors
/// [`Error::Plugin`] for a table that is none.
///
/// # Safety
/// As [`raw::table`]; the table keeps the C contract.
pub unsafe fn take(ptr: *const abi::Host) -> Result<Arc<dyn Host>> {
    // SAFETY: the caller's promise.
    Ok(Arc::new(Foreign(unsafe { Held::retain(ptr)? })))
}

// What the other side calls. In all of these `ctx` is this side's own, and pointers are what the
// other side promises by calling.

unsafe extern "C" fn retain(ctx: *mut c_void) -> *const abi::Host {
    // SAFETY: see above; the table starts with that of 1.0.
    unsafe { LentHost::retain(ctx) }.cast()
}

unsafe extern "C" fn progress(ctx: *mut c_void, done: u64, total: u64, what: Text) {
    quietly(|| {
        // SAFETY: see above.
        let (host, what) = unsafe { (LentHost::value(ctx), text(what, "what is done")) };
        if let (Ok(()), Ok(what)) = (outside_bodies("progress"), what) {
            host.progress(done, total, what);
        }
    });
}

unsafe extern "C" fn cancelled(ctx: *mut c_void) -> i32 {
    // SAFETY: see above.
    quietly(|| unsafe { LentHost::value(ctx).cancelled() }).unwrap_or(false).into()
}

unsafe extern "C" fn threads(ctx: *mut c_void) -> usize {
    // SAFETY: see above.
    quietly(|| unsafe { LentHost::value(ctx).threads() }).unwrap_or(1)
}

/// What a loop body of the other side is called with, from any thread.
struct Shared(*mut c_void);
// SAFETY: the contract says that bodies may run at the same time.
unsafe impl Sync for Shared {}
impl Shared {
    fn arg(&self) -> *mut c_void {
        self.0
    }
}

unsafe extern "C" fn parallel_for(
    ctx: *mut c_void,
    n: usize,
    grain: usize,
    body: Body,
    arg: *mut c_void,
    why: *mut Failure,
) -> Status {
    let shared = Shared(arg);
    let body = |range: Range<usize>| {
        // SAFETY: see above.
        call(|why| unsafe { body(shared.arg(), range.start, range.end, why) })
    };
    // SAFETY: see above.
    unsafe { answer(why, || LentHost::value(ctx).parallel_for(n, grain, &body)) }
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, message: Text) {
    quietly(|| {
        // SAFETY: see above.
        let (host, message) = unsafe { (LentHost::value(ctx), text(message, "a message")) };
        let level = match level {
            abi::LOG_WARN => Level::Warn,
            abi::LOG_INFO => Level::Info,
            _ => Level::Debug,
        };
        if let (Ok(()), Ok(message)) = (outside_bodies("the log"), message) {
            host.log(level, message);
        }
    });
}

unsafe extern "C" fn read(
    ctx: *mut c_void,
    path: Text,
    out: *const Sink,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("reading a file")?;
            raw::put(out, &LentHost::value(ctx).read(text(path, "a path")?)?)
        })
    }
}

unsafe extern "C" fn inner(
    ctx: *mut c_void,
    name: Text,
    params: Text,
    system: *const abi::System,
    method: *mut *const abi::Method,
    instance: *mut *mut c_void,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("setting up a method")?;
            let host = LentHost::value(ctx);
            let system = system::take(system)?.with_host(Arc::clone(host));
            let params = parse(text(params, "parameters")?)?;
            let m = host.inner(text(name, "a name")?, &params, &system)?;
            *instance = instance::lend_erased(m, system.a().space(), host);
            *method = instance::erased();
            Ok(())
        })
    }
}

unsafe extern "C" fn matrix_new(
    _ctx: *mut c_void,
    space: *const abi::Space,
    rows: *const abi::Rows,
    out: *mut *const abi::Matrix,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("making a matrix")?;
            let space = matrix::take_space(space)?;
            // Shapes are checked on all ranks together: one that fails must not leave the rest.
            let a = space.comm().scope(|| {
                let rows = raw::table(rows)?;
                let zeros;
                let row_ptr = match rows.row_ptr.is_null() && rows.nnz == 0 {
                    true => {
                        zeros = vec![0; space.n_own() + 1];
                        &zeros[..]
                    }
                    false => slice(rows.row_ptr, space.n_own() + 1, "row_ptr")?,
                };
                let cols = slice(rows.cols, rows.nnz, "cols")?;
                let values = slice(rows.values, rows.nnz, "values")?;
                DistCsr::from_rows(&space, row_ptr, cols, values)
            })?;
            *out = matrix::lend_kept(&a).hand_out();
            Ok(())
        })
    }
}

unsafe extern "C" fn space_split(
    _ctx: *mut c_void,
    space: *const abi::Space,
    which: u32,
    n_own: usize,
    out: *mut *const abi::Space,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("splitting a space")?;
            let space = matrix::take_space(space)?;
            let split = match which {
                abi::SPLIT_SELF => Space::solo(n_own),
                abi::SPLIT_WORLD => Space::new(space.comm().duplicate()?, n_own)?,
                other => {
                    return Err(Error::Parameter(format!("a space cannot be split by {other}")));
                }
            };
            *out = matrix::lend_space(&split).hand_out();
            Ok(())
        })
    }
}

/// Parameters as JSON; nothing at all stands for no parameters.
///
/// # Errors
/// [`Error::Parameter`] where it is not JSON.
pub fn parse(params: &str) -> Result<Value> {
    match params.is_empty() {
        true => Ok(Value::Object(serde_json::Map::new())),
        false => serde_json::from_str(params)
            .map_err(|e| Error::Parameter(format!("parameters are not JSON: {e}"))),
    }
}

/// A host on the other side.
struct Foreign(Held<abi::Host>);

impl Foreign {
    /// The table with what 1.1 added, where the host is of 1.1 or later.
    fn later(&self) -> Option<&abi::HostTable> {
        // SAFETY: the table is held, and as long as its size says.
        (self.0.size >= size_of::<abi::HostTable>()).then(|| unsafe { &*self.0.as_ptr().cast() })
    }
}

// SAFETY of the calls below: functions of a checked table that is held.
impl Host for Foreign {
    fn inner(&self, name: &str, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        let params = params.to_string();
        let (mut table, mut instance) = (null(), std::ptr::null_mut());
        // SAFETY: see above; the system outlives its lending.
        unsafe {
            let lent = system::lend(system);
            let (ctx, lent) = (self.0.ctx, &raw const lent.table);
            let (name, params) = (Text::new(name), Text::new(&params));
            call(|why| (self.0.inner)(ctx, name, params, lent, &mut table, &mut instance, why))?;
            // The host remembers the parameters of what it set up.
            let around: Arc<method::SetupScope> = Arc::new(|on, f| f(on.host()));
            let m = method::Loaded::new(raw::table(table)?, instance, system.a(), "", around)?;
            Ok(Box::new(m))
        }
    }

    fn parallel_for(
        &self,
        n: usize,
        grain: usize,
        body: &(dyn Fn(Range<usize>) -> Result<()> + Sync),
    ) -> Result<()> {
        type Dyn<'a> = &'a (dyn Fn(Range<usize>) -> Result<()> + Sync);
        unsafe extern "C" fn run(
            arg: *mut c_void,
            from: usize,
            to: usize,
            why: *mut Failure,
        ) -> Status {
            // SAFETY: `arg` is the body below, which outlives the loop.
            unsafe { answer(why, || (*arg.cast::<Dyn<'_>>())(from..to)) }
        }
        let mut body: Dyn<'_> = body;
        let arg = (&raw mut body).cast();
        // SAFETY: see above.
        call(|why| unsafe { (self.0.parallel_for)(self.0.ctx, n, grain, run, arg, why) })
    }

    fn threads(&self) -> usize {
        // SAFETY: see above.
        unsafe { (self.0.threads)(self.0.ctx) }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let read = |out| {
            // SAFETY: see above.
            call(|why| unsafe { (self.0.read)(self.0.ctx, Text::new(path), out, why) })
        };
        Ok(raw::pieces(read)?.concat())
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Warn => abi::LOG_WARN,
            Level::Info => abi::LOG_INFO,
            Level::Debug => abi::LOG_DEBUG,
        };
        // SAFETY: see above.
        unsafe { (self.0.log)(self.0.ctx, level, Text::new(message)) }
    }

    fn progress(&self, done: u64, total: u64, what: &str) {
        if let Some(progress) = self.later().and_then(|table| table.progress) {
            // SAFETY: a function of a table that is held.
            unsafe { progress(self.0.ctx, done, total, Text::new(what)) };
        }
    }

    fn cancelled(&self) -> bool {
        let asked = self.later().and_then(|table| table.cancelled);
        // SAFETY: a function of a table that is held.
        asked.is_some_and(|asked| unsafe { asked(self.0.ctx) } != 0)
    }
}
