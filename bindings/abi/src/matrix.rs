//! Ranks, row distributions, matrices and systems.
//!
//! Shared objects (everything with `retain`) are passed as pointers to tables. `retain` hands back
//! a table that lives until it is released, once for each `retain`; it may be another table than
//! the one it was called on (a matrix whose arrays are borrowed is copied), and null where memory
//! ran out. Calls are made on the thread that entered the plugin, never inside a loop body.
use crate::table::table;
use crate::{Bytes, Failure, Parts, Status, Text};
use core::ffi::c_void;

table! {
    /// The ranks of a group and their collective operations. Collective operations are called by
    /// all ranks in the same order and give all of them bitwise the same numbers.
    ///
    /// In `generate`, `refresh`, `train`, `save` and `load`, an operation returns
    /// [`Status::ELSEWHERE`] where another rank left with an error: return it at once.
    Comm = "precondor_comm" {
        /// First argument of the calls.
        ctx: *mut c_void,
        /// This rank, from 0.
        rank: u64,
        /// Number of ranks.
        ranks: u64,
        ;
        /// Shares.
        fn retain(ctx: *mut c_void) -> *const Comm;
        /// Gives back.
        fn release(ctx: *mut c_void);
        /// `all[r*k .. (r+1)*k]` = the `k` numbers of rank `r`; `k` equal on all ranks.
        fn gather_f64(ctx: *mut c_void, mine: *const f64, k: usize, all: *mut f64, why: *mut Failure) -> Status;
        /// `x[i]` = sum over ranks, added in rank order.
        fn sum(ctx: *mut c_void, x: *mut f64, k: usize, why: *mut Failure) -> Status;
        /// `x[i]` = maximum over ranks, NaN if any is NaN.
        fn max(ctx: *mut c_void, x: *mut f64, k: usize, why: *mut Failure) -> Status;
        /// Puts the words of every rank, in native byte order, into `all`; counts may differ.
        fn all_gather(ctx: *mut c_void, mine: *const u64, k: usize, all: *const Parts, why: *mut Failure) -> Status;
        /// `send[r]`, of `ranks` blocks, goes to rank `r`; puts what came from each into `got`.
        fn all_to_all(ctx: *mut c_void, send: *const Bytes, n_send: usize, got: *const Parts, why: *mut Failure) -> Status;
        /// Prepares repeated exchanges of ghost entries; `*out` is retained for the caller.
        fn exchange(ctx: *mut c_void, plan: *const HaloPlan, out: *mut *const Exchange, why: *mut Failure) -> Status;
        /// The same ranks, with messages that never mix with these; `*out` is retained for the
        /// caller.
        fn duplicate(ctx: *mut c_void, out: *mut *const Comm, why: *mut Failure) -> Status;
        /// Ends the job on all ranks. Not collective; may return.
        fn abort(ctx: *mut c_void, message: Text);
    }
}

table! {
    /// Who sends which entries to whom, and where what arrives belongs.
    HaloPlan = "precondor_halo_plan" {
        /// Ranks that need entries of mine.
        n_send: usize,
        /// Their numbers.
        send_ranks: *const u64,
        /// `n_send + 1` offsets into `send_index`, from 0.
        send_starts: *const usize,
        /// Own entries to send, for one rank after the other.
        send_index: *const u32,
        /// Ranks that I need entries of.
        n_recv: usize,
        /// Their numbers.
        recv_ranks: *const u64,
        /// First ghost entry that comes from each.
        recv_starts: *const usize,
        /// One past the last ghost entry that comes from each.
        recv_ends: *const usize,
        ;
    }
}

table! {
    /// A prepared exchange of ghost entries; collective among neighbours. One at a time.
    Exchange = "precondor_exchange" {
        /// First argument of the calls.
        ctx: *mut c_void,
        ;
        /// Shares.
        fn retain(ctx: *mut c_void) -> *const Exchange;
        /// Gives back.
        fn release(ctx: *mut c_void);
        /// Starts sending the entries of `own` that others need; `*token` is for `finish`.
        fn start(ctx: *mut c_void, own: *const f64, n_own: usize, token: *mut u64, why: *mut Failure) -> Status;
        /// Waits for the exchange `token` and stores what arrived in `ghost`.
        fn finish(ctx: *mut c_void, token: u64, ghost: *mut f64, n_ghost: usize, why: *mut Failure) -> Status;
    }
}

table! {
    /// Which rank owns which rows: contiguous blocks.
    Space = "precondor_space" {
        /// First argument of the calls.
        ctx: *mut c_void,
        /// The ranks; lives as long as this table.
        comm: *const Comm,
        /// First row of each rank, then the number of rows: `comm->ranks + 1` numbers.
        starts: *const u64,
        ;
        /// Shares.
        fn retain(ctx: *mut c_void) -> *const Space;
        /// Gives back.
        fn release(ctx: *mut c_void);
    }
}

/// Compressed rows. Columns are strictly increasing within each row.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Rows + 1 offsets into the entries; may be null where there are no entries.
    pub row_ptr: *const u32,
    /// Column of each entry.
    pub cols: *const u32,
    /// Value of each entry.
    pub values: *const f64,
    /// Entries.
    pub nnz: usize,
}

table! {
    /// The rows of a square matrix that this rank owns, immutable.
    Matrix = "precondor_matrix" {
        /// First argument of the calls.
        ctx: *mut c_void,
        /// Distribution of the rows; lives as long as this table.
        space: *const Space,
        /// Own rows.
        n_own: usize,
        /// Columns that this rank owns, numbered from its first row: n_own × n_own.
        own: Block,
        /// Columns that others own, numbered by their place in `ghost_ids`: n_own × n_ghost.
        ghost: Block,
        /// Global numbers of the ghost columns, strictly increasing.
        ghost_ids: *const u64,
        /// Ghost columns.
        n_ghost: usize,
        /// Fetches ghost entries; lives as long as this table.
        exchange: *const Exchange,
        ;
        /// Shares; copies arrays that are borrowed themselves.
        fn retain(ctx: *mut c_void) -> *const Matrix;
        /// Gives back.
        fn release(ctx: *mut c_void);
        /// `y = A x` on own rows, `n = n_own` entries each. Collective; does not allocate.
        fn spmv(ctx: *mut c_void, x: *const f64, y: *mut f64, n: usize, why: *mut Failure) -> Status;
    }
}

table! {
    /// Numbers that come along with the rows of a matrix.
    Aux = "precondor_aux" {
        /// `coordinates`, `grid-index`, `coefficient`, `null-space`, `near-nullspace`, `block-size`,
        /// `symmetry-tolerance`, …: the header says what each is.
        name: Text,
        /// Numbers a row.
        width: usize,
        /// `n_own * width` numbers, row after row.
        values: *const f64,
        /// How many numbers there are.
        n_values: usize,
        ;
    }
}

table! {
    /// A matrix and what else is known about the problem.
    System = "precondor_system" {
        /// First argument of the calls.
        ctx: *mut c_void,
        /// The matrix; lives as long as this table.
        a: *const Matrix,
        /// Auxiliary data, `n_aux` of them, each with a name of its own.
        aux: *const *const Aux,
        /// How many.
        n_aux: usize,
        ;
        /// Shares.
        fn retain(ctx: *mut c_void) -> *const System;
        /// Gives back.
        fn release(ctx: *mut c_void);
    }
}
