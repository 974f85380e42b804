//! Optional parts of a method, each a table found by `Method::extension(id)`.
use crate::table::table;
use crate::{Bytes, Comm, Failure, Host, Sink, Status, System, Text};
use core::ffi::c_void;

/// Id of [`ExplicitPart`].
pub const EXPLICIT: &str = "explicit/1";
/// Id of [`RefreshPart`].
pub const REFRESH: &str = "refresh/1";
/// Id of [`ApplyManyPart`].
pub const APPLY_MANY: &str = "apply-many/1";
/// Id of [`ApplyAndMultiplyPart`].
pub const APPLY_AND_MULTIPLY: &str = "apply-and-multiply/1";
/// Id of [`ApplyTransposePart`].
pub const APPLY_TRANSPOSE: &str = "apply-transpose/1";
/// Id of [`DelegatePart`].
pub const DELEGATE: &str = "delegate/1";
/// Id of [`TrainPart`].
pub const TRAIN: &str = "train/1";
/// Id of [`PersistPart`].
pub const PERSIST: &str = "persist/1";

/// Id of [`InvariancePart`].
pub const INVARIANCE: &str = "invariance/1";

/// [`InvariancePart::declare`]: M(cA) = M(A)/c for c > 0.
pub const KEEPS_SCALING: u32 = 1;
/// [`InvariancePart::declare`]: M(DA) = M(A)D⁻¹ for diagonal D > 0.
pub const KEEPS_ROWS: u32 = 2;
/// [`InvariancePart::declare`]: M(AD) = D⁻¹M(A).
pub const KEEPS_COLUMNS: u32 = 4;
/// [`InvariancePart::declare`]: M(DAD) = D⁻¹M(A)D⁻¹.
pub const KEEPS_BOTH: u32 = 8;
/// [`InvariancePart::declare`]: M(PAPᵀ) = PM(A)Pᵀ for permutations P.
pub const KEEPS_PERMUTATION: u32 = 16;

/// [`Explicit::kind`]: the stored matrix is M.
pub const KIND_INVERSE: u32 = 0;
/// [`Explicit::kind`]: the stored matrix is G with M = GᵀG.
pub const KIND_FACTOR: u32 = 1;
/// [`Explicit::value_type`]: 8 bytes each.
pub const VALUE_F64: u32 = 0;
/// [`Explicit::value_type`]: 4 bytes each.
pub const VALUE_F32: u32 = 1;
/// [`Explicit::value_type`]: the upper half of an f32, 2 bytes each.
pub const VALUE_BF16: u32 = 2;

/// One block of an [`Explicit`] inverse.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExplicitBlock {
    /// Rows + 1 offsets into the entries; may be null where there are no entries.
    pub row_ptr: *const u32,
    /// Column of each entry.
    pub cols: *const u32,
    /// Value of each entry, of the type that `value_type` says.
    pub values: *const c_void,
    /// Entries.
    pub nnz: usize,
}

table! {
    /// The rows of M, or of its factor, that this rank owns, split like a matrix. Filled in by the
    /// method; the arrays stay until `refresh` or `destroy`.
    Explicit = "precondor_explicit" {
        /// `KIND_INVERSE` or `KIND_FACTOR`.
        kind: u32,
        /// `VALUE_F64`, `VALUE_F32` or `VALUE_BF16`.
        value_type: u32,
        /// Own rows.
        n_own: usize,
        /// Columns that this rank owns.
        own: ExplicitBlock,
        /// Columns that others own.
        ghost: ExplicitBlock,
        /// Global numbers of the ghost columns, strictly increasing.
        ghost_ids: *const u64,
        /// Ghost columns.
        n_ghost: usize,
        ;
    }
}

table! {
    /// `explicit/1`: the explicitly stored inverse.
    ExplicitPart = "precondor_explicit_part" {
        ;
        /// Fills in `out`, whose size the caller has set; [`Status::UNSUPPORTED`] where this
        /// instance has none.
        fn view(instance: *mut c_void, out: *mut Explicit, why: *mut Failure) -> Status;
    }
}

table! {
    /// `refresh/1`: new values on the same pattern.
    RefreshPart = "precondor_refresh_part" {
        ;
        /// Rebuilds the instance, which nobody else may use meanwhile. Collective. After an error
        /// the instance may only be destroyed; [`Status::PATTERN_CHANGED`] asks the caller to
        /// generate anew. What `inner` set up remembers its parameters and services: `params` and
        /// `host` are not looked at then.
        fn refresh(instance: *mut c_void, params: Text, system: *const System, host: *const Host, why: *mut Failure) -> Status;
    }
}

table! {
    /// `apply-many/1`: several vectors at once.
    ApplyManyPart = "precondor_apply_many_part" {
        ;
        /// `Z_j = M R_j` for `k` vectors of `n` entries, one after the other.
        fn apply_many(instance: *mut c_void, k: usize, r: *const f64, z: *mut f64, n: usize, why: *mut Failure) -> Status;
    }
}

table! {
    /// `apply-and-multiply/1`: an application that gives the product with A, too.
    ApplyAndMultiplyPart = "precondor_apply_and_multiply_part" {
        ;
        /// `z = M r` and `y = A z` with the matrix that the instance was made for, vectors that do not overlap;
        /// [`Status::UNSUPPORTED`], on all ranks and with nothing done, where this instance does not give it.
        fn apply_and_multiply(instance: *mut c_void, r: *const f64, z: *mut f64, y: *mut f64, n: usize, why: *mut Failure) -> Status;
    }
}

table! {
    /// `apply-transpose/1`.
    ApplyTransposePart = "precondor_apply_transpose_part" {
        ;
        /// `z = Mᵀ r`; [`Status::UNSUPPORTED`] where this instance has no transpose.
        fn apply_transpose(instance: *mut c_void, r: *const f64, z: *mut f64, n: usize, why: *mut Failure) -> Status;
    }
}

table! {
    /// `delegate/1`: the method chooses another one to do its work.
    DelegatePart = "precondor_delegate_part" {
        ;
        /// Writes the id of the method that M is of; [`Status::UNSUPPORTED`] where it is of none
        /// but this one.
        fn name(instance: *mut c_void, out: *const Sink, why: *mut Failure) -> Status;
    }
}

table! {
    /// Training systems, made on demand. Calls from any thread.
    Samples = "precondor_samples" {
        /// First argument of the calls.
        ctx: *mut c_void,
        /// Kinds of systems offered, at least one.
        families: u64,
        ;
        /// System `index` of family `family` under `seed`, a function of these only, on one rank;
        /// `*out` is retained for the caller.
        fn sample(ctx: *mut c_void, family: u64, seed: u64, index: u64, out: *mut *const System, why: *mut Failure) -> Status;
        /// Writes the configuration of the samples as JSON.
        fn describe(ctx: *mut c_void, out: *const Sink);
    }
}

table! {
    /// Who looks on while a model is trained. Calls from the thread that entered the plugin.
    Watch = "precondor_watch" {
        /// First argument of the calls.
        ctx: *mut c_void,
        /// Steps between checkpoints; 0 for none.
        checkpoint_every: u64,
        ;
        /// `step` of `steps` is done; mean loss since the last report; rate of the step.
        fn progress(ctx: *mut c_void, step: u64, steps: u64, loss: f64, learning_rate: f64);
        /// Keeps the state to resume from; training ends with its error.
        fn checkpoint(ctx: *mut c_void, state: Bytes, why: *mut Failure) -> Status;
        /// Not 0 where training shall stop: hand over a checkpoint, return
        /// [`Status::INTERRUPTED`].
        fn cancelled(ctx: *mut c_void) -> i32;
    }
}

/// Who looks on as of 1.1: what is beyond [`Watch`] is there where the table's size says so, and where it is not null.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WatchTable {
    /// What there was in 1.0; its `size` is that of this table.
    pub first: Watch,
    /// The loss on the systems kept for validation, after so many steps.
    pub validated: Option<unsafe extern "C" fn(ctx: *mut c_void, step: u64, loss: f64)>,
}

table! {
    /// `train/1`: the method learns.
    TrainPart = "precondor_train_part" {
        ;
        /// Writes the JSON schema of the parameters of training.
        fn schema(out: *const Sink, why: *mut Failure) -> Status;
        /// Trains a model and writes it to `model`. `resume` is a checkpoint of the same run, or
        /// null. Collective over `comm`.
        fn train(params: Text, comm: *const Comm, host: *const Host, samples: *const Samples, resume: *const Bytes, watch: *const Watch, model: *const Sink, why: *mut Failure) -> Status;
    }
}

table! {
    /// `persist/1`: instances as bytes. The host does all file work.
    PersistPart = "precondor_persist_part" {
        ;
        /// Writes what `load` needs to make this rank's part of M again. The host keeps it with the
        /// method's id, version and parameters, the distribution of the rows and what tells the
        /// pattern of A. Collective.
        fn save(instance: *mut c_void, out: *const Sink, why: *mut Failure) -> Status;
        /// An instance from what `save` wrote, as if `generate` had made it for `system`. The host
        /// has checked that method, version, parameters and pattern are those of `save`, and so is
        /// the distribution, but for the SDK's form of explicit rows, which it spreads anew.
        /// [`Status::DATA`] for bytes that are not understood. Collective.
        fn load(blob: Bytes, system: *const System, host: *const Host, instance: *mut *mut c_void, why: *mut Failure) -> Status;
    }
}

table! {
    /// `invariance/1`: what M keeps when A changes.
    InvariancePart = "precondor_invariance_part" {
        ;
        /// Stores in `*out` what M keeps with these parameters, provided that methods they name keep it,
        /// too: a sum of `KEEPS_SCALING`, `KEEPS_ROWS`, `KEEPS_COLUMNS`, `KEEPS_BOTH` and
        /// `KEEPS_PERMUTATION`. Hosts pass over what they do not know.
        fn declare(params: Text, out: *mut u32, why: *mut Failure) -> Status;
    }
}
