//! A host that lends threads and nothing else.
use precondor_core::host::{Host, Level};
use precondor_core::instance::Instance;
use precondor_core::prelude::*;
use serde_json::Value;
use std::ops::Range;

/// A host that lends three threads, which take the ranges of a loop from the last to the first.
pub struct ThreeThreads;

impl Host for ThreeThreads {
    fn inner(&self, name: &str, _: &Value, _: &System) -> Result<Box<dyn Instance>> {
        Err(Error::Parameter(format!("no method '{name}'")))
    }
    fn parallel_for(
        &self,
        n: usize,
        grain: usize,
        body: &(dyn Fn(Range<usize>) -> Result<()> + Sync),
    ) -> Result<()> {
        std::thread::scope(|scope| {
            let ranges = |thread| {
                let mine = (0..n.div_ceil(grain)).rev().filter(move |k| k % 3 == thread);
                mine.map(|k| k * grain..n.min((k + 1) * grain))
            };
            let run = |thread| scope.spawn(move || ranges(thread).try_for_each(body));
            let threads = [0, 1, 2].map(run);
            threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
        })
    }
    fn threads(&self) -> usize {
        3
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        Err(Error::file(path, "no file"))
    }
    fn log(&self, _: Level, _: &str) {}
}
