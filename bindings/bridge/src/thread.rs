//! Whether this thread is inside a loop body: there, only arithmetic is allowed.
use precondor_core::{Error, Result};
use std::cell::Cell;

thread_local! {
    static IN_BODY: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs a body of `parallel_for`.
pub fn in_body() -> bool {
    IN_BODY.get()
}

/// Runs `f` as a loop body.
pub fn as_body<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IN_BODY.set(self.0);
        }
    }
    let _restore = Restore(IN_BODY.replace(true));
    f()
}

/// Refuses host service `what` inside a loop body (checked in builds with debug assertions).
pub(crate) fn outside_bodies(what: &str) -> Result<()> {
    if cfg!(debug_assertions) && in_body() {
        return Err(Error::Comm(format!(
            "{what} was called inside a body of parallel_for; only the thread that entered the \
             method may"
        )));
    }
    Ok(())
}
