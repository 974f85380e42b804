//! PETSc's types. Integers are the only ones that differ from one build to another: everything about
//! their width is here.
use std::ffi::{c_int, c_void};
use std::os::raw::c_char;

pub use precondor_mpi::MPI_Comm;

macro_rules! opaque {
    ($($(#[$doc:meta])* $handle:ident: $object:ident;)*) => {$(
        #[doc = concat!("What a `", stringify!($handle), "` points to.")]
        #[repr(C)]
        pub struct $object {
            _private: [u8; 0],
        }
        $(#[$doc])*
        pub type $handle = *mut $object;
    )*};
}
opaque! {
    /// Any object of PETSc: handles of all classes may be cast to it.
    Object: PetscObject;
    /// A database of options; null stands for the global one.
    Options: PetscOptions;
    /// Where objects are shown or stored.
    Viewer: PetscViewer;
    /// A vector.
    RawVec: PetscVec;
    /// A matrix.
    RawMat: PetscMat;
    /// Vectors that a matrix takes to zero.
    RawNullSpace: PetscNullSpace;
    /// A preconditioner.
    RawPc: PetscPc;
    /// A linear solver.
    RawKsp: PetscKsp;
    /// A discretisation.
    RawDm: PetscDm;
}

/// How wide PETSc's integers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32 bits.
    Narrow,
    /// 64 bits.
    Wide,
}

/// An integer that is handed to PETSc; made by [`Api::to_int`](super::Api::to_int).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int(pub(super) i64);

impl Int {
    /// 0.
    pub const ZERO: Int = Int(0);
    /// `PETSC_DECIDE` and `PETSC_DETERMINE`.
    pub const DECIDE: Int = Int(-1);
    /// `PETSC_DEFAULT`.
    pub const DEFAULT: Int = Int(-2);
}

/// A place that PETSc writes an integer to; read by [`Api::int`](super::Api::int).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(8))]
pub struct IntCell([c_int; 2]);

impl IntCell {
    pub(super) fn get(self, width: Width) -> i64 {
        let [first, second] = self.0;
        match width {
            Width::Narrow => first.into(),
            Width::Wide => {
                let [a, b, c, d] = first.to_ne_bytes();
                let [e, f, g, h] = second.to_ne_bytes();
                i64::from_ne_bytes([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// An array of integers of unknown width; read by [`Api::ints`](super::Api::ints).
#[repr(C)]
pub struct Ints {
    _private: [u8; 0],
}

/// Integers that PETSc lends.
#[derive(Clone, Copy, Debug)]
pub enum IntSlice<'a> {
    /// Of 32 bits.
    Narrow(&'a [i32]),
    /// Of 64 bits.
    Wide(&'a [i64]),
}

impl IntSlice<'_> {
    /// # Safety
    /// As [`Api::ints`](super::Api::ints).
    pub(super) unsafe fn new<'a>(width: Width, at: *const Ints, n: usize) -> IntSlice<'a> {
        // SAFETY: the caller's promise.
        unsafe {
            match width {
                Width::Narrow => IntSlice::Narrow(slice(at.cast(), n)),
                Width::Wide => IntSlice::Wide(slice(at.cast(), n)),
            }
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            IntSlice::Narrow(all) => all.len(),
            IntSlice::Wide(all) => all.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number `k`.
    pub fn get(&self, k: usize) -> i64 {
        match self {
            IntSlice::Narrow(all) => all[k].into(),
            IntSlice::Wide(all) => all[k],
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        (0..self.len()).map(|k| self.get(k))
    }
}

/// Numbers that PETSc lends; PETSc hands out null where there are none.
///
/// # Safety
/// `at` leads to `n` numbers, valid and unchanged for `'a`, or `n` is 0.
pub unsafe fn slice<'a, T>(at: *const T, n: usize) -> &'a [T] {
    match n {
        0 => &[],
        // SAFETY: the caller's promise.
        n => unsafe { std::slice::from_raw_parts(at, n) },
    }
}

/// Numbers that PETSc lends to be written; null where there are none.
///
/// # Safety
/// As [`slice()`], and nobody else looks at them for `'a`.
pub unsafe fn slice_mut<'a, T>(at: *mut T, n: usize) -> &'a mut [T] {
    match n {
        0 => &mut [],
        // SAFETY: the caller's promise.
        n => unsafe { std::slice::from_raw_parts_mut(at, n) },
    }
}

/// An array of integers that is handed to PETSc; made by [`Api::to_ints`](super::Api::to_ints).
#[derive(Clone, Debug)]
pub enum IntVec {
    /// Of 32 bits.
    Narrow(Vec<i32>),
    /// Of 64 bits.
    Wide(Vec<i64>),
}

impl IntVec {
    pub(super) fn new(width: Width, numbers: impl IntoIterator<Item = i64>) -> Result<IntVec, i64> {
        let numbers = numbers.into_iter();
        Ok(match width {
            Width::Narrow => IntVec::Narrow(
                numbers.map(|n| n.try_into().map_err(|_| n)).collect::<Result<_, _>>()?,
            ),
            Width::Wide => IntVec::Wide(numbers.collect()),
        })
    }

    /// As an argument. PETSc may not write to it.
    pub fn as_ptr(&self) -> *const Ints {
        match self {
            IntVec::Narrow(all) => all.as_ptr().cast(),
            IntVec::Wide(all) => all.as_ptr().cast(),
        }
    }
}

/// A place that PETSc writes yes or no to, as an enumeration or (from 3.24 on) as one byte: it starts
/// as zero, and whatever is not zero afterwards is yes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct Bool(c_int);

impl Bool {
    /// What PETSc wrote.
    pub fn get(self) -> bool {
        self.0 != 0
    }
}

/// An argument of a function of PETSc, for both widths of its integers.
pub trait Argument {
    /// What a PETSc with 32-bit integers takes.
    type Narrow;
    /// What a PETSc with 64-bit integers takes.
    type Wide;
    /// For 32-bit integers.
    fn narrow(self) -> Self::Narrow;
    /// For 64-bit integers.
    fn wide(self) -> Self::Wide;
}

impl Argument for Int {
    type Narrow = i32;
    type Wide = i64;
    fn narrow(self) -> i32 {
        self.0 as i32 // fits: checked where it was made
    }
    fn wide(self) -> i64 {
        self.0
    }
}

/// Types that are the same in every build of PETSc.
macro_rules! same {
    ($([$($generics:ident),*] $type:ty;)*) => {$(
        impl<$($generics),*> Argument for $type {
            type Narrow = $type;
            type Wide = $type;
            fn narrow(self) -> $type {
                self
            }
            fn wide(self) -> $type {
                self
            }
        }
    )*};
}
same! {
    [] c_int;
    [] f64;
    [] usize;
    [] MPI_Comm;
    [T] *const T;
    [T] *mut T;
    [A] Option<unsafe extern "C" fn(A) -> c_int>;
    [A, B] Option<unsafe extern "C" fn(A, B) -> c_int>;
    [A, B, C] Option<unsafe extern "C" fn(A, B, C) -> c_int>;
    [A, B, C, D] Option<unsafe extern "C" fn(A, B, C, D) -> c_int>;
}

/// A function that PETSc calls with arguments that its type does not tell, for both widths of its integers.
#[derive(Clone, Copy)]
pub struct VoidFunction {
    /// For 32-bit integers.
    pub narrow: unsafe extern "C" fn(),
    /// For 64-bit integers.
    pub wide: unsafe extern "C" fn(),
}

impl Argument for Option<VoidFunction> {
    type Narrow = Option<unsafe extern "C" fn()>;
    type Wide = Option<unsafe extern "C" fn()>;
    fn narrow(self) -> Self::Narrow {
        self.map(|function| function.narrow)
    }
    fn wide(self) -> Self::Wide {
        self.map(|function| function.wide)
    }
}

/// A monitor of a solver: gets the solver, the iteration, the norm of the residual and a context.
#[derive(Clone, Copy)]
pub struct Monitor {
    /// For 32-bit integers.
    pub narrow: unsafe extern "C" fn(RawKsp, i32, f64, *mut c_void) -> c_int,
    /// For 64-bit integers.
    pub wide: unsafe extern "C" fn(RawKsp, i64, f64, *mut c_void) -> c_int,
}

impl Argument for Monitor {
    type Narrow = unsafe extern "C" fn(RawKsp, i32, f64, *mut c_void) -> c_int;
    type Wide = unsafe extern "C" fn(RawKsp, i64, f64, *mut c_void) -> c_int;
    fn narrow(self) -> Self::Narrow {
        self.narrow
    }
    fn wide(self) -> Self::Wide {
        self.wide
    }
}

/// A handler of errors: communicator, line, function, file, code, kind, message, context.
pub type ErrorHandler = unsafe extern "C" fn(
    MPI_Comm,
    c_int,
    *const c_char,
    *const c_char,
    c_int,
    c_int,
    *const c_char,
    *mut c_void,
) -> c_int;

impl Argument for ErrorHandler {
    type Narrow = ErrorHandler;
    type Wide = ErrorHandler;
    fn narrow(self) -> ErrorHandler {
        self
    }
    fn wide(self) -> ErrorHandler {
        self
    }
}

/// What PETSc knows of a matrix, `MatInfo`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
#[allow(missing_docs)]
pub struct MatInfo {
    pub block_size: f64,
    pub nz_allocated: f64,
    pub nz_used: f64,
    pub nz_unneeded: f64,
    pub memory: f64,
    pub assemblies: f64,
    pub mallocs: f64,
    pub fill_ratio_given: f64,
    pub fill_ratio_needed: f64,
    pub factor_mallocs: f64,
}

/// Codes of errors.
pub mod code {
    use std::ffi::c_int;
    /// `PETSC_ERR_SUP`: not supported.
    pub const UNSUPPORTED: c_int = 56;
    /// `PETSC_ERR_ARG_WRONG`: an argument or an option is wrong.
    pub const WRONG: c_int = 62;
    /// `PETSC_ERR_ARG_OUTOFRANGE`.
    pub const OUT_OF_RANGE: c_int = 63;
    /// `PETSC_ERR_FILE_OPEN`.
    pub const FILE: c_int = 65;
    /// `PETSC_ERR_ARG_WRONGSTATE`: an object is in the wrong state.
    pub const WRONG_STATE: c_int = 73;
    /// `PETSC_ERR_LIB`: a library that PETSc uses failed.
    pub const LIBRARY: c_int = 76;
    /// `PETSC_ERR_PLIB`: an inconsistency.
    pub const INCONSISTENT: c_int = 77;
}

/// Why a preconditioner failed, `PCFailedReason`.
pub mod reason {
    use std::ffi::c_int;
    /// `PC_NOERROR`.
    pub const NONE: c_int = 0;
    /// `PC_FACTOR_NUMERIC_ZEROPIVOT`, the reason nearest to a breakdown.
    pub const BREAKDOWN: c_int = 2;
    /// `PC_FACTOR_OTHER`.
    pub const OTHER: c_int = 4;
}

/// Types of data, `PetscDataType`.
pub mod datatype {
    use std::ffi::c_int;
    /// `PETSC_DOUBLE`.
    pub const DOUBLE: c_int = 1;
    /// `PETSC_COMPLEX`.
    pub const COMPLEX: c_int = 2;
    /// `PETSC_INT`.
    pub const INT: c_int = 16;
}
