//! The time that a solve may take with its setup. Setups and iterations that look whether they are to end hear of its end
//! in the same way; what does not look is ended from outside (`cli/worker.rs`).
use std::cell::Cell;
use std::time::{Duration, Instant};

thread_local! {
    /// When the solve under way on this thread has to end. Setups ask on the thread that they began on.
    static END: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whether somebody was told that it is over.
    static CUT: Cell<bool> = const { Cell::new(false) };
}

/// Whether the time is over; whoever asks stops then.
pub fn passed() -> bool {
    let over = END.get().is_some_and(|end| Instant::now() >= end);
    if over {
        CUT.set(true);
    }
    over
}

/// Whether the last solve of this thread was told to stop.
pub fn cut() -> bool {
    CUT.get()
}

/// Does `work`, which may take so long.
pub fn within<T>(limit: Option<Duration>, work: impl FnOnce() -> T) -> T {
    CUT.set(false);
    // One that is too far to be a time is none.
    END.set(limit.and_then(|limit| Instant::now().checked_add(limit)));
    let done = work();
    END.set(None);
    done
}
