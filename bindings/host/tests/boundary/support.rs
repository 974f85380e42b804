//! What the tests of loading share.
use precondor_core::Result;
use precondor_core::comm::Comm;
use precondor_core::matrix::{DistCsr, Space};
use precondor_core::precond::Preconditioner;
use precondor_core::registry::DynGenerator;
use precondor_core::system::System;
use precondor_host::Contents;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The rows of a tridiagonal matrix on this rank: 2 + i on the diagonal but for `zero_row`, −1
/// beside it.
pub fn tridiagonal(comm: Comm, n: u64, zero_row: Option<u64>) -> DistCsr {
    on_space(&Space::even(comm, n), zero_row)
}

/// The same on any distribution.
pub fn on_space(space: &std::sync::Arc<Space>, zero_row: Option<u64>) -> DistCsr {
    let n = space.n_global();
    let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
    for i in space.start()..space.start() + space.n_own() as u64 {
        for j in i.saturating_sub(1)..(i + 2).min(n) {
            cols.push(j);
            values.push(match (i == j, zero_row == Some(i)) {
                (_, true) => 0.0,
                (true, false) => 2.0 + i as f64,
                (false, false) => -1.0,
            });
        }
        row_ptr.push(cols.len() as u32);
    }
    DistCsr::from_rows(space, &row_ptr, &cols, &values).expect("fits")
}

/// The methods of a library that these tests made.
///
/// # Errors
/// As [`precondor_host::load_library`].
pub fn load(file: &Path) -> Result<Vec<Arc<dyn DynGenerator>>> {
    load_all(file).map(|contents| contents.methods)
}

/// All that a library has which these tests made.
///
/// # Errors
/// As [`precondor_host::load_library`].
pub fn load_all(file: &Path) -> Result<Contents> {
    // SAFETY: compiled from this repository; the faults in it are those that tables are checked for.
    unsafe { precondor_host::load_library(file) }
}

/// A system of one rank.
pub fn solo(n: u64) -> System {
    System::new(tridiagonal(Comm::solo(), n, None))
}

/// The bits of M r for a fixed r.
pub fn applied(m: &dyn Preconditioner, n: usize) -> Vec<u64> {
    let r: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
    let mut z = vec![f64::NAN; n];
    m.apply(&r, &mut z).expect("applies");
    z.iter().map(|z| z.to_bits()).collect()
}

/// Runs `f`; a test that hangs fails instead.
pub fn without_hanging(f: impl FnOnce() + Send + 'static) {
    let (done, wait) = std::sync::mpsc::channel();
    let worker = std::thread::spawn(move || {
        f();
        done.send(()).expect("somebody waits");
    });
    if wait.recv_timeout(Duration::from_secs(120))
        == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
    {
        panic!("some rank still waits for another");
    }
    if let Err(panic) = worker.join() {
        std::panic::resume_unwind(panic);
    }
}
