//! What a host lends beyond 1.0, and hosts that do not have it.
use precondor_abi as abi;
use precondor_bridge::host;
use precondor_core::host::{Host, Level};
use precondor_core::instance::Instance;
use precondor_core::system::System;
use precondor_core::{Error, Result};
use serde_json::Value;
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Writes down what it is told, and stops at the third step.
#[derive(Default)]
struct Third {
    told: Mutex<Vec<(u64, u64, String)>>,
    asked: AtomicUsize,
}

impl Host for Third {
    fn inner(&self, _: &str, _: &Value, _: &System) -> Result<Box<dyn Instance>> {
        Err(Error::Parameter("no methods here".into()))
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        Ok(path.into())
    }
    fn log(&self, _: Level, _: &str) {}
    fn progress(&self, done: u64, total: u64, what: &str) {
        self.told.lock().expect("no panic").push((done, total, what.to_owned()));
    }
    fn cancelled(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) == 2
    }
}

#[test]
fn progress_and_the_wish_to_stop_cross_the_boundary() {
    let third = Arc::new(Third::default());
    let as_host: Arc<dyn Host> = third.clone();
    let lent = host::lend(&as_host);
    // SAFETY: the table is alive and of this crate.
    let taken = unsafe { host::take(host::table(&lent)) }.expect("a host");
    assert_eq!(taken.step(0, 9, "rows"), Ok(()));
    assert_eq!(taken.step(3, 9, "größere"), Ok(()));
    assert_eq!(taken.step(6, 9, "rows"), Err(Error::Interrupted));
    assert!(!taken.cancelled());
    let told = third.told.lock().expect("no panic").clone();
    let row = |done, what: &str| (done, 9, what.to_owned());
    assert_eq!(told, [row(0, "rows"), row(3, "größere"), row(6, "rows")]);
}

/// The table of a host of 1.0, which has nothing behind it.
static SHORT: AtomicPtr<abi::Host> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn retain(_: *mut c_void) -> *const abi::Host {
    SHORT.load(Ordering::Relaxed)
}
unsafe extern "C" fn release(_: *mut c_void) {}

#[test]
fn a_host_of_1_0_is_told_nothing_and_stops_nothing() {
    let third = Arc::new(Third::default());
    let as_host: Arc<dyn Host> = third.clone();
    let lent = host::lend(&as_host);
    let size = size_of::<abi::Host>();
    assert!(size < size_of::<abi::HostTable>());
    let first = lent.table.first;
    let short = Box::into_raw(Box::new(abi::Host { size, retain, release, ..first }));
    SHORT.store(short, Ordering::Relaxed);
    // SAFETY: the table lives until the end of this test, as `lent` does, which its calls lead to.
    let taken = unsafe { host::take(short) }.expect("a host");
    for done in 0..5 {
        assert_eq!(taken.step(done, 5, "rows"), Ok(()));
    }
    assert_eq!(taken.read("a file"), Ok(b"a file".to_vec()));
    assert_eq!(taken.threads(), 1);
    assert!(third.told.lock().expect("no panic").is_empty());
    assert_eq!(third.asked.load(Ordering::Relaxed), 0);
    drop(taken);
    // SAFETY: made above; nobody uses it any more.
    drop(unsafe { Box::from_raw(short) });
}

#[test]
fn functions_that_are_null_are_none() {
    let as_host: Arc<dyn Host> = Arc::new(Third::default());
    let lent = host::lend(&as_host);
    let table = abi::HostTable { progress: None, cancelled: None, ..lent.table };
    let first = abi::Host { retain: null_retain, release, ..table.first };
    let table = Box::into_raw(Box::new(abi::HostTable { first, ..table }));
    NULLS.store(table, Ordering::Relaxed);
    // SAFETY: as above.
    let taken = unsafe { host::take(table.cast()) }.expect("a host");
    assert!((0..5).all(|done| taken.step(done, 5, "rows").is_ok()));
    drop(taken);
    // SAFETY: as above.
    drop(unsafe { Box::from_raw(table) });
}

static NULLS: AtomicPtr<abi::HostTable> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn null_retain(_: *mut c_void) -> *const abi::Host {
    NULLS.load(Ordering::Relaxed).cast()
}
