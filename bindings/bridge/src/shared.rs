//! Objects that both sides share by counting.
use crate::{raw, status};
use precondor_abi::{Comm, Exchange, Host, Matrix, Space, System, Table};
use precondor_core::{Error, Result};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

/// A table with `retain` and `release`.
///
/// # Safety
/// They do what the C contract says.
pub unsafe trait Counted: Table {
    /// A table that may be kept until it is released.
    ///
    /// # Safety
    /// The table is valid.
    unsafe fn retain(&self) -> *const Self;
    /// Gives back what `retain` handed out.
    ///
    /// # Safety
    /// Once for each `retain`.
    unsafe fn release(&self);
}

macro_rules! counted {
    ($($name:ty),*) => {$(
        // SAFETY: the functions of the table itself.
        unsafe impl Counted for $name {
            unsafe fn retain(&self) -> *const Self {
                // SAFETY: the caller's promise.
                unsafe { (self.retain)(self.ctx) }
            }
            unsafe fn release(&self) {
                // SAFETY: the caller's promise.
                unsafe { (self.release)(self.ctx) }
            }
        }
    )*};
}
counted!(Comm, Exchange, Space, Matrix, System, Host);

/// A foreign object that this side has retained.
pub struct Held<T: Counted>(NonNull<T>);

// SAFETY: the contract lets shared objects be used and released from any thread.
unsafe impl<T: Counted> Send for Held<T> {}
// SAFETY: as above.
unsafe impl<T: Counted> Sync for Held<T> {}

impl<T: Counted> Held<T> {
    /// Retains the object at `ptr`.
    ///
    /// # Errors
    /// [`Error::Plugin`] where it is none, or cannot be retained.
    ///
    /// # Safety
    /// As [`raw::table`]; the object keeps the C contract.
    pub unsafe fn retain(ptr: *const T) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { Self::adopt(raw::table(ptr)?.retain()) }
    }

    /// Takes over an object that was retained for this side.
    ///
    /// # Errors
    /// As [`retain`](Held::retain).
    ///
    /// # Safety
    /// As [`retain`](Held::retain).
    pub unsafe fn adopt(ptr: *const T) -> Result<Self> {
        // SAFETY: the caller's promise.
        unsafe { raw::table(ptr) }
            .map_err(|e| Error::Plugin(format!("an object could not be retained: {e}")))?;
        // Not made from the reference: the table may be longer than this side knows it.
        NonNull::new(ptr.cast_mut())
            .map(Held)
            .ok_or_else(|| Error::Plugin("an object could not be retained".into()))
    }

    /// The table, with all that its size covers.
    pub fn as_ptr(&self) -> *const T {
        self.0.as_ptr()
    }
}

impl<T: Counted> std::ops::Deref for Held<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: retained, hence alive.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Counted> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: retained once for this value.
        unsafe { self.release() }
    }
}

/// An object of this side together with the table that lends it.
pub struct Lent<T, V> {
    /// The table; its `ctx` leads to this very `Lent`.
    pub table: T,
    /// The object.
    pub value: V,
}

impl<T, V> Lent<T, V> {
    /// Lends `value` through the table that `table` makes for a `ctx`.
    pub fn new(value: V, table: impl FnOnce(*mut c_void, &V) -> T) -> Arc<Self> {
        Arc::new_cyclic(|weak| {
            let place: *const Self = std::sync::Weak::as_ptr(weak);
            let table = table(place.cast_mut().cast(), &value);
            Lent { table, value }
        })
    }

    /// The object behind `ctx`.
    ///
    /// # Safety
    /// `ctx` comes from [`new`](Lent::new) of the same types, and is alive for `'a`.
    pub unsafe fn value<'a>(ctx: *mut c_void) -> &'a V {
        // SAFETY: the caller's promise.
        unsafe { &(*ctx.cast::<Self>()).value }
    }

    /// Hands a count to the other side.
    pub fn hand_out(self: Arc<Self>) -> *const T {
        let this = Arc::into_raw(self);
        // SAFETY: just made; the field lives as long as the count that was handed out.
        unsafe { &raw const (*this).table }
    }

    /// `retain` of the table.
    ///
    /// # Safety
    /// As [`value`](Lent::value).
    pub unsafe extern "C" fn retain(ctx: *mut c_void) -> *const T {
        // SAFETY: the caller's promise.
        unsafe {
            Arc::increment_strong_count(ctx.cast::<Self>());
            &raw const (*ctx.cast::<Self>()).table
        }
    }

    /// `release` of the table.
    ///
    /// # Safety
    /// As [`value`](Lent::value), once for each `retain`.
    pub unsafe extern "C" fn release(ctx: *mut c_void) {
        // SAFETY: the caller's promise.
        status::quietly(|| unsafe { Arc::decrement_strong_count(ctx.cast::<Self>()) });
    }
}
