//! Families of problems that a plugin exports beside its methods. Since 1.1.
use crate::table::table;
use crate::{Aux, Failure, Plugin, Rows, Sink, Status, Text};
use core::ffi::c_void;

table! {
    /// Where a family puts the rows that it was asked for; owned by the caller. Each call goes on where the last one of
    /// its kind ended.
    Assembly = "precondor_assembly" {
        /// First argument of the calls.
        ctx: *mut c_void,
        ;
        /// The next `n` rows of A.
        fn rows(ctx: *mut c_void, n: usize, rows: *const Rows, why: *mut Failure) -> Status;
        /// The next `n` entries of b; of a system that gives none, all are 1.
        fn rhs(ctx: *mut c_void, values: *const f64, n: usize, why: *mut Failure) -> Status;
        /// What is known of the next rows under a name, as many numbers for each row.
        fn aux(ctx: *mut c_void, aux: *const Aux, why: *mut Failure) -> Status;
    }
}

table! {
    /// How large a system is; written by the callee.
    Shape = "precondor_shape" {
        /// Rows of A.
        unknowns: u64,
        /// Unknowns of a node, one after the other; ranks get whole nodes. The caller has set it to 1.
        block_size: u64,
        ;
    }
}

table! {
    /// A family of linear systems. Calls from any thread.
    Problem = "precondor_problem" {
        /// What a user types as `kind`: lower case, words joined by `-`.
        id: Text,
        /// One line for lists.
        summary: Text,
        /// Version of the library.
        version: Text,
        ;
        /// Writes the JSON schema of the parameters, as [`Method::schema`](crate::Method::schema). The key `seed` is the
        /// host's.
        fn schema(out: *const Sink, why: *mut Failure) -> Status;
        /// Stores system `index` under `seed` in `*system`, a function of these and the parameters only, and its size in
        /// `*shape`. The top bit of `seed` is set for systems to be learned from. Every rank calls it.
        fn open(params: Text, seed: u64, index: u64, system: *mut *mut c_void, shape: *mut Shape, why: *mut Failure) -> Status;
        /// Puts the rows `from..to` into `out`. Not collective: other ranks ask for other rows.
        fn assemble(system: *mut c_void, from: u64, to: u64, out: *const Assembly, why: *mut Failure) -> Status;
        /// Ends a system.
        fn close(system: *mut c_void);
    }
}

/// The entry table as of 1.1: what is beyond [`Plugin`] is there where the table's size says so.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PluginTable {
    /// What a library of 1.0 exports; its `size` is that of this table.
    pub first: Plugin,
    /// Families of problems, `n_problems` pointers.
    pub problems: *const *const Problem,
    /// How many.
    pub n_problems: usize,
}

// SAFETY: plain data that never changes.
unsafe impl Sync for PluginTable {}
