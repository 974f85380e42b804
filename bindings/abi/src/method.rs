//! What a plugin exports.
use crate::table::table;
use crate::{Failure, Host, Sink, Status, System, Text};
use core::ffi::c_void;

/// The entry table: what the symbol `precondor_plugin_NAME` is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// [`MAGIC`](crate::MAGIC); the one field that stands before a size.
    pub magic: u64,
    /// [`ABI_MAJOR`](crate::ABI_MAJOR) that the library was built for.
    pub abi_major: u32,
    /// [`ABI_MINOR`](crate::ABI_MINOR) that the library was built for.
    pub abi_minor: u32,
    /// Bytes of this table.
    pub size: usize,
    /// The methods, `n_methods` pointers.
    pub methods: *const *const Method,
    /// How many.
    pub n_methods: usize,
}

// SAFETY: plain data that never changes.
unsafe impl Sync for Plugin {}

/// [`Method::properties`]: M = Mᵀ up to rounding.
pub const SYMMETRIC: u32 = 1;
/// [`Method::properties`]: M is symmetric and positive definite.
pub const POSITIVE_DEFINITE: u32 = 2;
/// [`Method::properties`]: every application uses the same M.
pub const CONSTANT: u32 = 4;
/// [`Method::properties`]: M is the same operator on any number of ranks.
pub const RANK_INDEPENDENT: u32 = 8;

table! {
    /// One method. Vectors hold the entries that this rank owns.
    Method = "precondor_method" {
        /// What a user types: lower case, words joined by `-`.
        id: Text,
        /// One line for lists.
        summary: Text,
        /// Version of the library.
        version: Text,
        ;
        /// Writes the JSON schema of the parameters.
        fn schema(out: *const Sink, why: *mut Failure) -> Status;
        /// Builds M for `system` and stores it in `*instance`. `params` is a JSON object that the
        /// host has checked against the schema; keys may be missing. Collective: the host sees to
        /// it that all ranks succeed or all fail, so returning an error at once is always right.
        fn generate(params: Text, system: *const System, host: *const Host, instance: *mut *mut c_void, why: *mut Failure) -> Status;
        /// `z = M r`, `n` entries each, which do not overlap; `z` is overwritten whatever it held.
        /// Collective; does not allocate. An error in the data never skips communication: write
        /// NaN, carry on, and return the error at the end.
        fn apply(instance: *mut c_void, r: *const f64, z: *mut f64, n: usize, why: *mut Failure) -> Status;
        /// Ends an instance.
        fn destroy(instance: *mut c_void);
        /// What a solver may assume about M: a sum of `SYMMETRIC`, `POSITIVE_DEFINITE`,
        /// `CONSTANT` and `RANK_INDEPENDENT`.
        fn properties(instance: *mut c_void) -> u32;
        /// Numbers that M is made of on this rank (matrix entries, stencils, factors).
        fn stored_entries(instance: *mut c_void) -> u64;
        /// Bytes that this rank keeps for M, indices and work space included.
        fn bytes(instance: *mut c_void) -> u64;
        /// What a reader of a report should know: fallbacks taken, shifts added, estimates made.
        /// Each `put` is one note.
        fn notes(instance: *mut c_void, out: *const Sink, why: *mut Failure) -> Status;
        /// The table of the optional part `id` (`explicit/1`, …), which lives for ever; null where
        /// the method does not have it.
        fn extension(id: Text) -> *const c_void;
    }
}
