//! A host that lets a setup look at it so many times whether to go on, and no further.
use precondor_core::host::{Host, Level};
use precondor_core::instance::Instance;
use precondor_core::prelude::*;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Patience(AtomicUsize);

impl Host for Patience {
    fn inner(&self, name: &str, _: &Value, _: &System) -> Result<Box<dyn Instance>> {
        Err(Error::Parameter(format!("no method '{name}'")))
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        Err(Error::file(path, "no files"))
    }
    fn log(&self, _: Level, _: &str) {}
    fn progress(&self, done: u64, total: u64, what: &str) {
        assert!(done <= total && !what.is_empty(), "{done} of {total} {what}");
    }
    fn cancelled(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_err()
    }
}

/// Sets up under ever more patience until it suffices: the setup ends at each of its looks where that is asked
/// for. Returns how often it looked, and what it made.
pub fn looks<T>(system: &System, setup: impl Fn(&System) -> Result<T>) -> (usize, T) {
    for patience in 0.. {
        let host = Arc::new(Patience(AtomicUsize::new(patience)));
        match setup(&system.clone().with_host(host)) {
            Ok(made) => return (patience, made),
            Err(e) => assert_eq!(*e.root(), Error::Interrupted, "at look {patience}"),
        }
    }
    unreachable!("patience has no end")
}
