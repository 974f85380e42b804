//! Processor time, which other work on a machine does not count in.
use rustix::time::{ClockId, clock_gettime};

/// Seconds of processor time of all threads of this process so far.
pub fn seconds() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + 1e-9 * spent.tv_nsec as f64
}
