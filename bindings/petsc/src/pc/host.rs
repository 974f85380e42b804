//! What a preconditioner inside PETSc is lent: files and other methods as everywhere, the log of
//! PETSc, and threads only where they are asked for, as PETSc's users run one process a core.
use crate::api::{Api, RawPc};
use precondor_core::Result;
use precondor_core::host::{Host, Level};
use precondor_core::instance::Instance;
use precondor_core::system::System;
use serde_json::Value;
use std::ops::Range;
use std::sync::Arc;

/// The variable that asks for threads, and says how many.
const THREADS: &str = "RAYON_NUM_THREADS";

/// Services for one setup.
pub(super) struct Lent {
    services: Arc<dyn Host>,
    api: &'static Api,
    /// Whose setup it is, by address: a handle may not cross threads, but the log is written by the
    /// thread that entered.
    pc: usize,
    /// Whether this rank tells of warnings.
    first: bool,
    threads: bool,
}

impl Lent {
    pub(super) fn new(services: Arc<dyn Host>, api: &'static Api, pc: RawPc, first: bool) -> Self {
        let threads = std::env::var_os(THREADS).is_some();
        Lent { services, api, pc: pc.expose_provenance(), first, threads }
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
        if level == Level::Warn && self.first {
            warn(message);
        }
        let pc: RawPc = std::ptr::with_exposed_provenance_mut(self.pc);
        // SAFETY: the log is written during the setup of this PC, which is alive.
        unsafe { self.api.info(c"precondor", pc.cast(), message) };
    }
}

/// Tells the user.
pub(super) fn warn(message: &str) {
    use std::io::Write;
    // A user who closed standard error does not want to know.
    let _ = writeln!(std::io::stderr(), "precondor: warning: {message}");
}
