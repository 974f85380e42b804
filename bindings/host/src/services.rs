//! What this host lends methods.
use crate::chain;
use precondor_bridge::thread::{as_body, in_body};
use precondor_core::comm::Comm;
use precondor_core::host::{Host, Level};
use precondor_core::instance::Instance;
use precondor_core::registry::{Registry, note_old_method};
use precondor_core::system::System;
use precondor_core::{Error, Result, input};
use rayon::prelude::*;
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

/// The registry that methods find each other in, once there is one.
#[derive(Default)]
pub(crate) struct Peers(RwLock<Weak<Registry>>);

impl Peers {
    pub(crate) fn registry(&self) -> Option<Arc<Registry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
    pub(crate) fn complete(&self, registry: &Arc<Registry>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(registry);
    }
}

/// Services for programs that fill a registry themselves: methods find each other in `registry`,
/// files that parameters name are relative to `base`.
pub fn services(registry: &Arc<Registry>, base: &Path) -> Arc<dyn Host> {
    let peers = Arc::new(Peers::default());
    peers.complete(registry);
    Arc::new(Services::new(&peers, base))
}

/// Is told how much of a setup is done, of how much, and of what.
pub type Progress = dyn Fn(u64, u64, &str) + Send + Sync;

/// Who looks on while methods are set up. Both are called between the parts of a setup, on the thread
/// that runs it.
pub struct Onlooker {
    /// So many of so many units are done, and what these are.
    pub progress: Box<Progress>,
    /// Whether setup shall stop.
    pub cancelled: Box<dyn Fn() -> bool + Send + Sync>,
}

/// Services of a process: a thread pool, files relative to a folder, `tracing`, a registry.
pub(crate) struct Services {
    pub(crate) peers: Arc<Peers>,
    base: PathBuf,
    /// Workers, and the process that they are in: one that was forked off it has none.
    pool: OnceLock<(u32, Option<rayon::ThreadPool>)>,
    /// Processes that share the machine.
    processes: AtomicUsize,
    onlooker: OnceLock<Onlooker>,
    /// Files that were read, where each is to be read once.
    files: OnceLock<Mutex<Files>>,
}

/// Contents of files.
type Files = BTreeMap<PathBuf, Arc<[u8]>>;

impl Services {
    pub(crate) fn new(peers: &Arc<Peers>, base: &Path) -> Self {
        let (peers, base, processes) = (Arc::clone(peers), base.to_owned(), AtomicUsize::new(1));
        let (pool, onlooker, files) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Services { peers, base, pool, processes, onlooker, files }
    }

    /// From now on a file that is read again is what it was the first time.
    pub(crate) fn read_files_once(&self) {
        self.files.get_or_init(Mutex::default);
    }

    /// What was read so far, where that is kept.
    pub(crate) fn files(&self) -> Files {
        let lock =
            |files: &Mutex<Files>| files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.files.get().map(lock).unwrap_or_default()
    }

    pub(crate) fn look_on(&self, onlooker: Onlooker) {
        self.onlooker.get_or_init(|| onlooker);
    }

    /// Sets aside an equal part of the machine for each of so many processes.
    pub(crate) fn share_threads(&self, processes: usize) {
        self.processes.store(processes.max(1), Ordering::Relaxed);
    }

    /// Threads of this process; 0 leaves it to rayon, which looks at `RAYON_NUM_THREADS` and at the
    /// processors that this process may run on.
    fn fair_share(&self) -> usize {
        let processes = self.processes.load(Ordering::Relaxed);
        if processes == 1 || std::env::var_os("RAYON_NUM_THREADS").is_some() {
            return 0;
        }
        // Launchers bind processes to processors, or not: the whole machine is shared, but nobody
        // gets more threads than it may run at a time.
        let mine = std::thread::available_parallelism().map_or(1, usize::from);
        let machine = if allowed().is_some_and(|allowed| mine < allowed) {
            // A quota, which all processes share.
            mine
        } else {
            std::fs::read_to_string("/proc/cpuinfo").map_or(mine, |text| {
                text.lines().filter(|line| line.starts_with("processor")).count().max(mine)
            })
        };
        mine.min(machine / processes).max(1)
    }

    /// The workers; a pool of its own, so that a rank's thread is never one of them.
    fn pool(&self) -> Option<&rayon::ThreadPool> {
        let build = || {
            let named = |i| format!("precondor-{i}");
            let builder = rayon::ThreadPoolBuilder::new().thread_name(named);
            let pool = builder.num_threads(self.fair_share()).build().ok();
            (std::process::id(), pool.filter(|pool| pool.current_num_threads() > 1))
        };
        let (process, pool) = self.pool.get_or_init(build);
        pool.as_ref().filter(|_| *process == std::process::id())
    }
}

/// Processors that this process is bound to.
fn allowed() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<usize>().ok()? - first.parse::<usize>().ok()? + 1)
    };
    list.trim().split(',').map(count).sum()
}

impl Host for Services {
    fn inner(&self, name: &str, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        let _link = chain::enter(name)?;
        let registry = self.peers.registry().ok_or_else(|| {
            Error::Parameter(format!("no method '{name}': there is no registry to look it up in"))
        })?;
        let method = registry.get(name)?;
        note_old_method(name, &**method, self);
        method.generate(params, system).map_err(|e| e.inside(name))
    }

    fn parallel_for(
        &self,
        n: usize,
        grain: usize,
        body: &(dyn Fn(Range<usize>) -> Result<()> + Sync),
    ) -> Result<()> {
        let grain = grain.max(1);
        let chunks = n.div_ceil(grain);
        let range = |k: usize| k * grain..((k + 1) * grain).min(n);
        let pool = if chunks > 1 && !in_body() { self.pool() } else { None };
        let Some(pool) = pool else {
            return (0..chunks).try_for_each(|k| as_body(|| body(range(k))));
        };
        // Chunks before the first failure all run, so which error is the first does not depend on
        // timing.
        let first: Mutex<Option<(usize, Error)>> = Mutex::new(None);
        let lock = || first.lock().unwrap_or_else(PoisonError::into_inner);
        let done_for = |k: usize| lock().as_ref().is_some_and(|(failed, _)| *failed < k);
        let failed = std::sync::atomic::AtomicBool::new(false);
        let run = |k: usize| {
            use std::sync::atomic::Ordering::Relaxed;
            if failed.load(Relaxed) && done_for(k) {
                return;
            }
            if let Err(error) = as_body(|| body(range(k))) {
                failed.store(true, Relaxed);
                let mut first = lock();
                if first.as_ref().is_none_or(|(other, _)| k < *other) {
                    *first = Some((k, error));
                }
            }
        };
        pool.install(|| (0..chunks).into_par_iter().for_each(run));
        let failure = lock().take();
        failure.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn threads(&self) -> usize {
        self.pool().map_or(1, rayon::ThreadPool::current_num_threads)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let path = self.base.join(path);
        let read = || input::read(&path).map_err(|e| Error::file(&path, e));
        let Some(files) = self.files.get() else { return read() };
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = files.get(&path) {
            return Ok(content.to_vec());
        }
        let content = read()?;
        files.insert(path, content.as_slice().into());
        Ok(content)
    }

    fn log(&self, level: Level, message: &str) {
        match level {
            Level::Warn => tracing::warn!(target: "precondor::plugin", "{message}"),
            Level::Info => tracing::info!(target: "precondor::plugin", "{message}"),
            Level::Debug => tracing::debug!(target: "precondor::plugin", "{message}"),
        }
    }

    fn progress(&self, done: u64, total: u64, what: &str) {
        if let Some(onlooker) = self.onlooker.get() {
            (onlooker.progress)(done, total, what);
        }
    }

    fn cancelled(&self) -> bool {
        self.onlooker.get().is_some_and(|onlooker| (onlooker.cancelled)())
    }
}

thread_local! {
    /// Whether this thread reads a file for all ranks of some method.
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Services for a method that is set up on several ranks: rank 0 reads files for all.
pub(crate) struct OnRanks {
    host: Arc<dyn Host>,
    comm: Comm,
}

impl OnRanks {
    pub(crate) fn new(host: &Arc<dyn Host>, comm: &Comm) -> Self {
        OnRanks { host: Arc::clone(host), comm: comm.clone() }
    }
}

impl Host for OnRanks {
    fn inner(&self, name: &str, params: &Value, system: &System) -> Result<Box<dyn Instance>> {
        self.host.inner(name, params, system)
    }
    fn parallel_for(
        &self,
        n: usize,
        grain: usize,
        body: &(dyn Fn(Range<usize>) -> Result<()> + Sync),
    ) -> Result<()> {
        self.host.parallel_for(n, grain, body)
    }
    fn threads(&self) -> usize {
        self.host.threads()
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        if READING.get() {
            // An inner method's rank 0, which alone gets here, asks for all ranks of that method.
            return self.host.read(path);
        }
        let mut whole = Vec::new();
        if self.comm.rank() == 0 {
            READING.set(true);
            let content = self.host.read(path);
            READING.set(false);
            whole = content?;
        }
        self.comm.broadcast(0, whole)
    }
    fn log(&self, level: Level, message: &str) {
        self.host.log(level, message);
    }
    fn progress(&self, done: u64, total: u64, what: &str) {
        self.host.progress(done, total, what);
    }
    fn cancelled(&self) -> bool {
        self.host.cancelled()
    }
}
