//! The time that a run of a comparison may take. Setups and iterations that look whether a signal came hear of its end
//! in the same way; what does not look is ended from outside (`compare/process.rs`).
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When the run under way has to end. Of the process, as its runs follow each other.
static END: Mutex<Option<Instant>> = Mutex::new(None);
/// Whether somebody was told that it is over.
static CUT: AtomicBool = AtomicBool::new(false);

/// Whether the time is over; whoever asks stops then.
pub fn passed() -> bool {
    let end = *END.lock().unwrap_or_else(PoisonError::into_inner);
    let over = end.is_some_and(|end| Instant::now() >= end);
    if over {
        CUT.store(true, Ordering::Relaxed);
    }
    over
}

/// Whether the last run was told to stop.
pub fn cut() -> bool {
    CUT.load(Ordering::Relaxed)
}

/// Does `work`, which may take so long.
pub fn within<T>(limit: Option<Duration>, work: impl FnOnce() -> T) -> T {
    let set = |end| *END.lock().unwrap_or_else(PoisonError::into_inner) = end;
    CUT.store(false, Ordering::Relaxed);
    // One that is too far to be a time is none.
    set(limit.and_then(|limit| Instant::now().checked_add(limit)));
    let done = work();
    set(None);
    done
}
