//! Where the time of a solve goes: products with A, applications of M, and the rest.
use precondor_core::Result;
use precondor_core::matrix::{Explicit, NullSpaces, Operator, Space, Symmetry};
use precondor_core::precond::{Preconditioner, Properties};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time of a solve on this rank, exchanges included. What is left of the whole are vectors and reductions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// In products with A.
    pub products: Duration,
    /// In applications of M.
    pub applications: Duration,
    /// How many products with A there were, and applications of M.
    pub counts: [u64; 2],
}

/// Nanoseconds, added up, and of how many pieces of work.
#[derive(Clone, Default)]
pub struct Clock(Arc<[AtomicU64; 2]>);

impl Clock {
    /// The time so far.
    pub fn read(&self) -> Duration {
        Duration::from_nanos(self.0[0].load(Ordering::Relaxed))
    }

    /// How often so far.
    pub fn count(&self) -> u64 {
        self.0[1].load(Ordering::Relaxed)
    }

    /// One more, whose time was counted.
    fn add(&self) {
        self.0[1].fetch_add(1, Ordering::Relaxed);
    }

    fn time<T>(&self, times: usize, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0[0].fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.0[1].fetch_add(times as u64, Ordering::Relaxed);
        done
    }
}

/// An operator whose products are timed.
pub struct TimedOperator<'a> {
    /// The operator.
    pub a: &'a dyn Operator,
    /// Where its time goes.
    pub clock: Clock,
}

impl Operator for TimedOperator<'_> {
    fn space(&self) -> &Arc<Space> {
        self.a.space()
    }
    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<()> {
        self.clock.time(1, || self.a.apply(x, y))
    }
    fn symmetric(&self) -> Result<Symmetry> {
        self.a.symmetric()
    }
    fn diagonal_entries(&self) -> Option<Vec<f64>> {
        self.a.diagonal_entries()
    }
    fn largest(&self) -> Option<f64> {
        self.a.largest()
    }
    fn row_sizes(&self, first: usize, sizes: &mut [f64]) -> bool {
        self.a.row_sizes(first, sizes)
    }
    fn magnitude(&self, x: &[f64]) -> Result<Option<f64>> {
        self.a.magnitude(x)
    }
    fn null_spaces(&self) -> Option<&NullSpaces> {
        self.a.null_spaces()
    }
}

/// A preconditioner whose applications are timed.
pub struct Timed<M> {
    /// The preconditioner.
    pub m: M,
    /// Where its time goes.
    pub clock: Clock,
    /// Where products that it gives by the way are counted.
    pub products: Clock,
}

impl<M: std::ops::Deref<Target: Preconditioner> + Send + Sync> Preconditioner for Timed<M> {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.clock.time(1, || self.m.apply(r, z))
    }
    fn apply_many(&self, k: usize, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.clock.time(k, || self.m.apply_many(k, r, z))
    }
    fn apply_and_multiply(&self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Result<()> {
        let done = self.clock.time(0, || self.m.apply_and_multiply(r, z, y));
        if done.is_ok() {
            // Whatever it saves, A z is there.
            self.clock.add();
            self.products.add();
        }
        done
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.clock.time(1, || self.m.apply_transpose(r, z))
    }
    fn properties(&self) -> Properties {
        self.m.properties()
    }
    fn stored_entries(&self) -> usize {
        self.m.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.m.bytes()
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        self.m.explicit()
    }
    fn notes(&self) -> Vec<String> {
        self.m.notes()
    }
    fn delegate(&self) -> Option<String> {
        self.m.delegate()
    }
}
