//! What the program around a method lends it: threads, a log, files, other methods by name.
use crate::instance::Instance;
use crate::system::System;
use crate::{Error, Result, input};
use serde_json::Value;
use std::ops::Range;
use std::path::Path;

/// How much a log message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something the user should act on.
    Warn,
    /// Something worth knowing.
    Info,
    /// For whoever looks for a fault.
    Debug,
}

/// Services of the host. All but [`parallel_for`](Host::parallel_for)'s body run on the thread
/// that entered the method, never inside a loop body.
pub trait Host: Send + Sync {
    /// Sets up the method `name` for another system: how methods compose across libraries.
    /// Collective.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an unknown name or parameter; whatever that method reports.
    fn inner(&self, name: &str, params: &Value, system: &System) -> Result<Box<dyn Instance>>;

    /// Runs `body` on the ranges that make up `0..n`, at most `grain` long, in any order and
    /// possibly at the same time. The ranges depend on `n` and `grain` only. Nested calls run one
    /// after the other.
    ///
    /// # Errors
    /// The first error (by range) that `body` returned.
    fn parallel_for(
        &self,
        n: usize,
        grain: usize,
        body: &(dyn Fn(Range<usize>) -> Result<()> + Sync),
    ) -> Result<()> {
        let grain = grain.max(1);
        (0..n.div_ceil(grain)).try_for_each(|k| body(k * grain..((k + 1) * grain).min(n)))
    }

    /// Threads that [`parallel_for`](Host::parallel_for) may use.
    fn threads(&self) -> usize {
        1
    }

    /// The content of a file that a parameter names (a model), the same on all ranks. Collective.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read.
    fn read(&self, path: &str) -> Result<Vec<u8>>;

    /// Writes a line to the log.
    fn log(&self, level: Level, message: &str);

    /// Tells that `done` of `total` units of a long piece of work are done; `what` names them. Whoever
    /// looks on may show it.
    fn progress(&self, _done: u64, _total: u64, _what: &str) {}

    /// Whether setup shall stop, on this rank.
    fn cancelled(&self) -> bool {
        false
    }

    /// Between the parts of a long setup: tells how far it is, and ends it where that is asked for.
    /// Not collective: a rank that ends leaves its scope with an error, which the others learn of in
    /// the next collective operation.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where setup shall stop.
    fn step(&self, done: usize, total: usize, what: &str) -> Result<()> {
        self.progress(done as u64, total as u64, what);
        if self.cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// No host at all: loops run serially, there is no other method, no file and no log.
pub struct Alone;

impl Host for Alone {
    fn inner(&self, name: &str, _: &Value, _: &System) -> Result<Box<dyn Instance>> {
        Err(Error::Parameter(format!("no method '{name}': there is no registry to look it up in")))
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        input::read(Path::new(path)).map_err(|e| Error::file(path, e))
    }
    fn log(&self, _: Level, _: &str) {}
}
