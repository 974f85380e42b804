//! What a preconditioner inside PETSc is lent: files and other methods as everywhere, the log of
//! PETSc, and threads only where they are asked for, as PETSc's users run one process a core.
//!
//! A method may keep these services for as long as it likes, and use them on any thread. PETSc and the
//! PC are there for the setup only, and for the thread that runs it: what is logged at any other time or
//! place goes to the log of the process (`Setup`).
use crate::api::{Api, RawPc};
use precondor_core::Result;
use precondor_core::host::{Host, Level};
use precondor_core::instance::Instance;
use precondor_core::system::System;
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

/// The variable that asks for threads, and says how many.
const THREADS: &str = "RAYON_NUM_THREADS";

/// Services for one setup.
struct Lent {
    services: Arc<dyn Host>,
    setup: Setup,
    /// Whether this rank tells of warnings.
    first: bool,
    threads: bool,
}

/// Runs a setup of `pc` with services that are lent to it. `first` is whether this rank tells of warnings.
///
/// # Safety
/// `pc` is live during the call, in a PETSc that runs and that this thread may call.
pub(super) unsafe fn lend<T>(
    services: Arc<dyn Host>,
    api: &'static Api,
    pc: RawPc,
    first: bool,
    setup: impl FnOnce(Arc<dyn Host>) -> T,
) -> T {
    let threads = std::env::var_os(THREADS).is_some();
    let lent = Arc::new(Lent { services, setup: Setup::of(api, pc), first, threads });
    let _ends = Ends(&lent.setup);
    setup(Arc::clone(&lent) as Arc<dyn Host>)
}

/// A PC for as long as it is set up.
struct Setup {
    api: &'static Api,
    /// By address: a handle may not cross threads.
    pc: usize,
    thread: ThreadId,
    /// Changed by `thread` only, and of interest to no other.
    runs: AtomicBool,
}

impl Setup {
    fn of(api: &'static Api, pc: RawPc) -> Self {
        let thread = std::thread::current().id();
        Setup { api, pc: pc.expose_provenance(), thread, runs: AtomicBool::new(true) }
    }

    /// The PC, where it may be used: during the setup, by the thread that runs it.
    fn pc(&self) -> Option<RawPc> {
        let here = std::thread::current().id() == self.thread;
        let there = here && self.runs.load(Ordering::Relaxed);
        there.then(|| std::ptr::with_exposed_provenance_mut(self.pc))
    }
}

/// Ends a setup, also where it panics.
struct Ends<'a>(&'a Setup);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.runs.store(false, Ordering::Relaxed);
    }
}

impl Host for Lent {
    fn inner(&self, name: &str, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        self.services.inner(name, params, system)
    }
    fn parallel_for(
        &self,
        n: usize,
        grain: usize,
        body: &(dyn Fn(Range<usize>) -> Result<()> + Sync),
    ) -> Result<()> {
        if self.threads {
            return self.services.parallel_for(n, grain, body);
        }
        precondor_core::host::Alone.parallel_for(n, grain, body)
    }
    fn threads(&self) -> usize {
        if self.threads { self.services.threads() } else { 1 }
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.services.read(path)
    }
    fn progress(&self, done: u64, total: u64, what: &str) {
        self.services.progress(done, total, what);
    }
    fn cancelled(&self) -> bool {
        self.services.cancelled()
    }
    fn log(&self, level: Level, message: &str) {
        let Some(pc) = self.setup.pc() else { return self.services.log(level, message) };
        if level == Level::Warn && self.first {
            warn(message);
        }
        // SAFETY: the setup of this PC goes on, on this thread: it is alive, and PETSc runs.
        unsafe { self.setup.api.info(c"precondor", pc.cast(), message) };
    }
}

/// Tells the user.
pub(super) fn warn(message: &str) {
    use std::io::Write;
    // A user who closed standard error does not want to know.
    let _ = writeln!(std::io::stderr(), "precondor: warning: {message}");
}
