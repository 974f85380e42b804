//! What the host lends a method.
use crate::table::table;
use crate::{Failure, Matrix, Method, Sink, Space, Status, System, Text};
use core::ffi::c_void;

/// Loop body of [`Host::parallel_for`]: does `from..to`.
pub type Body =
    unsafe extern "C" fn(arg: *mut c_void, from: usize, to: usize, why: *mut Failure) -> Status;

/// [`Host::log`]: something the user should act on.
pub const LOG_WARN: u32 = 0;
/// [`Host::log`]: something worth knowing.
pub const LOG_INFO: u32 = 1;
/// [`Host::log`]: for whoever looks for a fault.
pub const LOG_DEBUG: u32 = 2;

/// [`Host::space_split`]: every rank for itself.
pub const SPLIT_SELF: u32 = 0;
/// [`Host::space_split`]: all ranks together.
pub const SPLIT_WORLD: u32 = 1;

table! {
    /// Rows with global columns, sorted within each row, for [`Host::matrix_new`].
    Rows = "precondor_rows" {
        /// Own rows + 1 offsets into the entries; may be null where there are no entries.
        row_ptr: *const u32,
        /// Global column of each entry.
        cols: *const u64,
        /// Value of each entry.
        values: *const f64,
        /// Entries.
        nnz: usize,
        ;
    }
}

table! {
    /// Services of the host as of 1.0, which every table of a host starts with. All but the body of `parallel_for` on the thread that entered the
    /// plugin, never inside such a body.
    Host = "precondor_host" {
        /// First argument of the calls.
        ctx: *mut c_void,
        ;
        /// Shares.
        fn retain(ctx: *mut c_void) -> *const Host;
        /// Gives back.
        fn release(ctx: *mut c_void);
        /// Threads that `parallel_for` may use.
        fn threads(ctx: *mut c_void) -> usize;
        /// Runs `body(arg, from, to)` on the ranges that make up `0..n`, at most `grain` long, in
        /// any order and possibly at the same time. The ranges depend on `n` and `grain` only.
        /// Nested calls run one after the other. Gives the first error by range.
        fn parallel_for(ctx: *mut c_void, n: usize, grain: usize, body: Body, arg: *mut c_void, why: *mut Failure) -> Status;
        /// Writes a line to the log; `level` is one of `LOG_*`.
        fn log(ctx: *mut c_void, level: u32, message: Text);
        /// Puts the content of a file that a parameter names into `out`, the same on all ranks.
        /// Collective.
        fn read(ctx: *mut c_void, path: Text, out: *const Sink, why: *mut Failure) -> Status;
        /// Sets up the method `name` with `params` (a JSON object) for another system. Collective.
        /// The instance is used through `*method` and destroyed by the caller.
        fn inner(ctx: *mut c_void, name: Text, params: Text, system: *const System, method: *mut *const Method, instance: *mut *mut c_void, why: *mut Failure) -> Status;
        /// A matrix of `space` from this rank's rows, which are copied; `*out` is retained for the
        /// caller. Collective.
        fn matrix_new(ctx: *mut c_void, space: *const Space, rows: *const Rows, out: *mut *const Matrix, why: *mut Failure) -> Status;
        /// A distribution of `n_own` rows on this rank, over this rank alone
        /// ([`SPLIT_SELF`]) or over all ranks of `space`
        /// ([`SPLIT_WORLD`], collective); `*out` is retained for the caller.
        fn space_split(ctx: *mut c_void, space: *const Space, which: u32, n_own: usize, out: *mut *const Space, why: *mut Failure) -> Status;
    }
}

/// Services of the host as of 1.1: what is beyond [`Host`] is there where the table's size says so, and
/// where it is not null.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HostTable {
    /// What a host of 1.0 offers; its `size` is that of this table.
    pub first: Host,
    /// Tells that `done` of `total` units of a long piece of work are done; `what` names them. A plugin
    /// calls it every so often while it sets up.
    pub progress: Option<unsafe extern "C" fn(ctx: *mut c_void, done: u64, total: u64, what: Text)>,
    /// Not 0 where setup shall stop: return [`Status::INTERRUPTED`](crate::Status::INTERRUPTED). Every
    /// rank is asked for itself.
    pub cancelled: Option<unsafe extern "C" fn(ctx: *mut c_void) -> i32>,
}

// SAFETY: as for the tables of 1.0.
unsafe impl Send for HostTable {}
// SAFETY: as above.
unsafe impl Sync for HostTable {}
