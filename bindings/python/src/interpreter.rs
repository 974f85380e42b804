//! Asking for the interpreter, and doing without it.
//!
//! Before 3.14, CPython ends a thread that asks for the interpreter once that is over, by `pthread_exit`, which unwinds the thread's frames: ours
//! among them, and they crash where the module has an unwinder of its own. So when the interpreter begins to end, the exit
//! handler [`end`] waits for those who are at it, and who asks from then on waits for ever, as CPython 3.14 has it. Only daemon threads
//! are left then.
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// Whether the interpreter begins to end.
static ENDING: AtomicBool = AtomicBool::new(false);
/// The thread that ends it, which may ask.
static LAST: Mutex<Option<ThreadId>> = Mutex::new(None);
/// Threads that ask for the interpreter, or were given it.
static ASKING: AtomicUsize = AtomicUsize::new(0);
/// What the end waits for them at most: one that sleeps in Python is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// One that asks.
struct Asking;

impl Asking {
    /// None from a thread that is no longer to ask.
    fn new() -> Option<Self> {
        ASKING.fetch_add(1, Ordering::SeqCst);
        let asking = Asking;
        let may = || {
            let last = *LAST.lock().unwrap_or_else(PoisonError::into_inner);
            last == Some(std::thread::current().id())
        };
        (!ENDING.load(Ordering::SeqCst) || may()).then_some(asking)
    }

    /// Where there is no more to ask, not at all.
    fn or_wait() -> Self {
        if let Some(asking) = Asking::new() {
            return asking;
        }
        loop {
            std::thread::park();
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        ASKING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Does `work` with the interpreter, from where that is not held.
pub fn within<T>(work: impl FnOnce(Python<'_>) -> T) -> T {
    let _asking = Asking::or_wait();
    Python::attach(work)
}

/// The same, where there still is one.
pub fn try_within<T>(work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let _asking = Asking::new()?;
    Python::try_attach(work)
}

/// Does `work`, which needs no Python, while others may have the interpreter.
pub fn without<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    let (value, _asking) = py.detach(|| {
        let value = work();
        (value, Asking::or_wait())
    });
    value
}

/// Has threads that ask for the interpreter wait from now on.
#[pyfunction]
pub fn end(py: Python<'_>) {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current().id());
    ENDING.store(true, Ordering::SeqCst);
    let begin = Instant::now();
    py.detach(|| {
        while ASKING.load(Ordering::SeqCst) > 0 && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}
