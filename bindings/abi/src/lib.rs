//! The binary contract between a host and a plugin: plain `#[repr(C)]` data, no logic.
//! `include/precondor.h` is its twin for C, and says the same in the same words.
//!
//! Four rules make every type here safe to pass between two separately compiled libraries.
//!
//! 1. **Nothing is freed by the side that did not allocate it.** Text and bytes leave through a
//!    [`Sink`] that the caller owns; shared objects have `retain` and `release`.
//! 2. **Tables grow only at their end.** Each starts with its `size` in bytes (the entry table
//!    [`Plugin`] with a magic number before it), which the reader checks before it reads on.
//! 3. **Every call that can fail returns a [`Status`]** and tells why through a [`Failure`].
//! 4. **Nothing unwinds across the boundary**, in either direction.
//!
//! A pointer that comes with a length may be null where the length is 0. What is not retained is
//! valid during the call only. Tables reached from a plugin's entry table live for ever.
#![no_std]
#![deny(missing_docs)]

mod extension;
mod host;
mod matrix;
mod method;
mod problem;
mod table;

pub use extension::*;
pub use host::*;
pub use matrix::*;
pub use method::*;
pub use problem::*;
pub use table::{Layout, Table};

/// The header for plugins in C, `include/precondor.h`.
pub const HEADER: &str = include_str!("../include/precondor.h");

use core::ffi::c_void;
use table::table;

/// First eight bytes of every entry table: a stray library is recognised before it is called.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PRECOND\0");
/// Incompatible changes bump this; host and plugin must agree exactly.
pub const ABI_MAJOR: u32 = 1;
/// Fields appended at the end of tables bump this; the older side ignores what it does not know.
pub const ABI_MINOR: u32 = 1;
/// A library `libprecondor_plugin_NAME.so` exports its [`Plugin`] table as
/// `precondor_plugin_NAME`.
pub const SYMBOL_PREFIX: &str = "precondor_plugin_";

/// Outcome of a call. An open set: an unknown value means [`Status::INTERNAL`].
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status(pub i32);

impl Status {
    /// Done.
    pub const OK: Status = Status(0);
    /// A parameter is unknown, of the wrong type or out of its range.
    pub const PARAMETER: Status = Status(1);
    /// The matrix, or the number of ranks, is not one that the method can handle.
    pub const UNSUPPORTED: Status = Status(2);
    /// A quantity that must not vanish did; the message names the global row.
    pub const BREAKDOWN: Status = Status(3);
    /// Data handed in do not fit together.
    pub const DATA: Status = Status(4);
    /// Another rank failed; [`Failure::number`] is its rank.
    pub const ELSEWHERE: Status = Status(5);
    /// The communication itself failed.
    pub const COMM: Status = Status(6);
    /// The callee panicked; its instance must not be used any more.
    pub const PANICKED: Status = Status(7);
    /// `refresh` met another sparsity pattern.
    pub const PATTERN_CHANGED: Status = Status(8);
    /// A file; [`Failure::path`] tells which, [`Failure::number`] the line (from 1; 0 for none).
    pub const FILE: Status = Status(9);
    /// A plugin library.
    pub const PLUGIN: Status = Status(10);
    /// Stopped on request.
    pub const INTERRUPTED: Status = Status(11);
    /// Anything else.
    pub const INTERNAL: Status = Status(12);
    /// Something does not fit into memory. Since 1.1.
    pub const MEMORY: Status = Status(13);
}

/// Borrowed UTF-8 text.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// First byte.
    pub ptr: *const u8,
    /// Bytes.
    pub len: usize,
}

/// Borrowed bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    /// First byte.
    pub ptr: *const u8,
    /// Bytes.
    pub len: usize,
}

// SAFETY: a pointer and a length; whoever dereferences them answers for it.
unsafe impl Sync for Text {}
// SAFETY: as for `Text`.
unsafe impl Send for Text {}

impl Text {
    /// Views `text`.
    pub const fn new(text: &str) -> Self {
        Text { ptr: text.as_ptr(), len: text.len() }
    }
}

impl Bytes {
    /// Views `bytes`.
    pub const fn new(bytes: &[u8]) -> Self {
        Bytes { ptr: bytes.as_ptr(), len: bytes.len() }
    }
}

table! {
    /// Where a callee writes text or bytes; owned by the caller.
    ///
    /// May be called several times. Pieces are joined, except for notes, where each is one.
    Sink = "precondor_sink" {
        /// First argument of the calls.
        ctx: *mut c_void,
        ;
        /// Appends `bytes` (UTF-8 where text is asked for).
        fn put(ctx: *mut c_void, bytes: Bytes);
    }
}

table! {
    /// Where a callee tells why it failed; owned by the caller. A null pointer in its place means
    /// that nobody wants to know.
    Failure = "precondor_failure" {
        /// First argument of the calls.
        ctx: *mut c_void,
        /// Rank that failed ([`Status::ELSEWHERE`]) or line ([`Status::FILE`]); written by the
        /// callee.
        number: u64,
        ;
        /// Appends to the message: a lower-case fragment that names the culprit and what to do.
        fn message(ctx: *mut c_void, text: Text);
        /// Tells the file of [`Status::FILE`].
        fn path(ctx: *mut c_void, text: Text);
        /// Tells the part inside which it happened; outermost first where there are several.
        fn part(ctx: *mut c_void, text: Text);
    }
}

table! {
    /// Where a callee puts one block of bytes for each rank; owned by the caller.
    Parts = "precondor_parts" {
        /// First argument of the calls.
        ctx: *mut c_void,
        ;
        /// Stores what rank `rank` gave.
        fn put(ctx: *mut c_void, rank: u64, bytes: Bytes);
    }
}
