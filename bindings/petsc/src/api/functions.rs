//! The table of PETSc's functions: each name and signature once.
//!
//! From a line `MatMult(a: RawMat, x: RawVec, y: RawVec)` the macro makes the place that its address
//! is kept in and a method of [`Api`] that calls it with 32- or 64-bit integers, whichever this PETSc
//! has ([`Argument`]), and turns its code into a result. Functions with a variable number of arguments
//! have a method of their own in [`Api`].
use super::types::*;
use super::{Api, Failed};
use std::ffi::{CStr, c_char, c_int, c_void};

/// A function of ours that PETSc calls with up to three handles.
pub type Callback<A> = Option<unsafe extern "C" fn(A) -> c_int>;
type Callback2<A, B> = Option<unsafe extern "C" fn(A, B) -> c_int>;
type Callback3<A, B, C> = Option<unsafe extern "C" fn(A, B, C) -> c_int>;
type Callback4<A, B, C, D> = Option<unsafe extern "C" fn(A, B, C, D) -> c_int>;

macro_rules! functions {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        /// Addresses; null where this PETSc has no such function.
        #[allow(non_snake_case)]
        pub(super) struct Table {
            $($name: *mut c_void,)*
        }

        impl Table {
            /// Looks all functions up.
            pub(super) fn look_up(find: impl Fn(&CStr) -> *mut c_void) -> Table {
                let find = |name: &str| CStr::from_bytes_with_nul(name.as_bytes()).map_or(
                    std::ptr::null_mut(),
                    &find,
                );
                Table { $($name: find(concat!(stringify!($name), "\0")),)* }
            }
        }

        #[allow(non_snake_case, clippy::too_many_arguments)]
        impl Api {$(
            #[doc = concat!("Calls [`", stringify!($name), "`](https://petsc.org/release/manualpages/).")]
            ///
            /// # Safety
            /// The arguments are what PETSc's documentation asks for.
            ///
            /// # Errors
            /// [`Failed`] as PETSc reports, or where it has no such function.
            pub unsafe fn $name(&self, $($arg: $type),*) -> Result<(), Failed> {
                let address = self.table.$name;
                if address.is_null() {
                    return Err(self.missing(stringify!($name)));
                }
                type Narrow = unsafe extern "C" fn($(<$type as Argument>::Narrow),*) -> c_int;
                type Wide = unsafe extern "C" fn($(<$type as Argument>::Wide),*) -> c_int;
                // SAFETY: the symbol of that name has that type, for the width of integers that this
                // PETSc says it has; the caller vouches for the arguments.
                let code = unsafe {
                    match self.width {
                        Width::Narrow => {
                            let call = std::mem::transmute::<*mut c_void, Narrow>(address);
                            call($($arg.narrow()),*)
                        }
                        Width::Wide => {
                            let call = std::mem::transmute::<*mut c_void, Wide>(address);
                            call($($arg.wide()),*)
                        }
                    }
                };
                self.check(stringify!($name), code)
            }
        )*}
    };
}

functions! {
    // What PETSc is.
    PetscDataTypeGetSize(kind: c_int, size: *mut usize);
    PetscDataTypeFromString(name: *const c_char, kind: *mut c_int, found: *mut Bool);
    PetscGetVersionNumber(major: *mut IntCell, minor: *mut IntCell, subminor: *mut IntCell, release: *mut IntCell);

    // Start and end.
    PetscInitialized(yes: *mut Bool);
    PetscFinalized(yes: *mut Bool);
    PetscInitialize(count: *mut c_int, arguments: *mut *mut *mut c_char, file: *const c_char, help: *const c_char);
    PetscFinalize();
    PetscPushErrorHandler(handler: ErrorHandler, context: *mut c_void);
    PetscPopErrorHandler();

    // Options.
    PetscOptionsInsert(options: Options, count: *mut c_int, arguments: *mut *mut *mut c_char, file: *const c_char);
    PetscOptionsInsertString(options: Options, text: *const c_char);
    PetscOptionsSetValue(options: Options, name: *const c_char, value: *const c_char);
    PetscOptionsClearValue(options: Options, name: *const c_char);
    PetscOptionsHasName(options: Options, prefix: *const c_char, name: *const c_char, found: *mut Bool);
    PetscOptionsHasHelp(options: Options, yes: *mut Bool);
    PetscOptionsGetString(options: Options, prefix: *const c_char, name: *const c_char, text: *mut c_char, room: usize, found: *mut Bool);
    PetscOptionsGetBool(options: Options, prefix: *const c_char, name: *const c_char, value: *mut Bool, found: *mut Bool);
    PetscOptionsLeftGet(options: Options, count: *mut IntCell, names: *mut *mut *mut c_char, values: *mut *mut *mut c_char);
    PetscOptionsLeftRestore(options: Options, count: *mut IntCell, names: *mut *mut *mut c_char, values: *mut *mut *mut c_char);
    PetscOptionsCreate(options: *mut Options);
    PetscOptionsDestroy(options: *mut Options);
    PetscOptionsPush(options: Options);
    PetscOptionsPop();

    // Objects of all classes.
    PetscObjectGetComm(object: Object, comm: *mut MPI_Comm);
    PetscObjectGetOptions(object: Object, options: *mut Options);
    PetscObjectGetId(object: Object, id: *mut i64);
    PetscObjectTypeCompare(object: Object, kind: *const c_char, same: *mut Bool);
    PetscObjectBaseTypeCompare(object: Object, kind: *const c_char, same: *mut Bool);
    PetscObjectChangeTypeName(object: Object, kind: *const c_char);
    PetscObjectSetName(object: Object, name: *const c_char);
    PetscObjectCompose(object: Object, name: *const c_char, other: Object);
    PetscObjectQuery(object: Object, name: *const c_char, other: *mut Object);
    PetscObjectReference(object: Object);
    PetscObjectDereference(object: Object);
    PetscObjectComposeFunction_Private(object: Object, name: *const c_char, function: Option<VoidFunction>);
    PetscObjectAddOptionsHandler(object: Object, handle: Callback3<Object, *mut c_void, *mut c_void>, destroy: Callback2<Object, *mut c_void>, context: *mut c_void);

    // Viewers.
    PetscViewerASCIIGetStdout(comm: MPI_Comm, viewer: *mut Viewer);
    PetscViewerASCIIOpen(comm: MPI_Comm, file: *const c_char, viewer: *mut Viewer);
    PetscViewerASCIIOpenWithFILE(comm: MPI_Comm, stream: *mut c_void, viewer: *mut Viewer);
    PetscViewerBinaryOpen(comm: MPI_Comm, file: *const c_char, mode: c_int, viewer: *mut Viewer);
    PetscViewerASCIIPushTab(viewer: Viewer);
    PetscViewerASCIIPopTab(viewer: Viewer);
    PetscViewerFlush(viewer: Viewer);
    PetscViewerDestroy(viewer: *mut Viewer);

    // Vectors.
    VecCreate(comm: MPI_Comm, x: *mut RawVec);
    VecSetSizes(x: RawVec, own: Int, global: Int);
    VecSetType(x: RawVec, kind: *const c_char);
    VecSetFromOptions(x: RawVec);
    VecDuplicate(x: RawVec, y: *mut RawVec);
    VecDestroy(x: *mut RawVec);
    VecGetSize(x: RawVec, n: *mut IntCell);
    VecGetLocalSize(x: RawVec, n: *mut IntCell);
    VecGetOwnershipRange(x: RawVec, from: *mut IntCell, to: *mut IntCell);
    VecGetArray(x: RawVec, values: *mut *mut f64);
    VecRestoreArray(x: RawVec, values: *mut *mut f64);
    VecGetArrayRead(x: RawVec, values: *mut *const f64);
    VecRestoreArrayRead(x: RawVec, values: *mut *const f64);
    VecGetArrayWrite(x: RawVec, values: *mut *mut f64);
    VecRestoreArrayWrite(x: RawVec, values: *mut *mut f64);
    VecSetValues(x: RawVec, count: Int, places: *const Ints, values: *const f64, mode: c_int);
    VecAssemblyBegin(x: RawVec);
    VecAssemblyEnd(x: RawVec);
    VecSet(x: RawVec, value: f64);
    VecCopy(from: RawVec, to: RawVec);
    VecScale(x: RawVec, factor: f64);
    VecAXPY(y: RawVec, factor: f64, x: RawVec);
    VecAYPX(y: RawVec, factor: f64, x: RawVec);
    VecPointwiseMult(w: RawVec, x: RawVec, y: RawVec);
    VecDot(x: RawVec, y: RawVec, value: *mut f64);
    VecNorm(x: RawVec, kind: c_int, value: *mut f64);
    VecSum(x: RawVec, value: *mut f64);
    VecView(x: RawVec, viewer: Viewer);
    VecLoad(x: RawVec, viewer: Viewer);

    // Matrices.
    MatCreate(comm: MPI_Comm, a: *mut RawMat);
    MatSetSizes(a: RawMat, own_rows: Int, own_cols: Int, rows: Int, cols: Int);
    MatSetType(a: RawMat, kind: *const c_char);
    MatGetType(a: RawMat, kind: *mut *const c_char);
    MatSetFromOptions(a: RawMat);
    MatSetUp(a: RawMat);
    MatSetOption(a: RawMat, option: c_int, value: c_int);
    MatDestroy(a: *mut RawMat);
    MatDuplicate(a: RawMat, how: c_int, b: *mut RawMat);
    MatConvert(a: RawMat, kind: *const c_char, reuse: c_int, b: *mut RawMat);
    MatAssembled(a: RawMat, yes: *mut Bool);
    MatAssemblyBegin(a: RawMat, kind: c_int);
    MatAssemblyEnd(a: RawMat, kind: c_int);
    MatGetSize(a: RawMat, rows: *mut IntCell, cols: *mut IntCell);
    MatGetLocalSize(a: RawMat, rows: *mut IntCell, cols: *mut IntCell);
    MatGetOwnershipRange(a: RawMat, from: *mut IntCell, to: *mut IntCell);
    MatGetOwnershipRanges(a: RawMat, starts: *mut *const Ints);
    MatGetOwnershipRangesColumn(a: RawMat, starts: *mut *const Ints);
    MatGetRow(a: RawMat, row: Int, count: *mut IntCell, cols: *mut *const Ints, values: *mut *const f64);
    MatRestoreRow(a: RawMat, row: Int, count: *mut IntCell, cols: *mut *const Ints, values: *mut *const f64);
    MatGetRowIJ(a: RawMat, shift: Int, symmetric: c_int, blocked: c_int, n: *mut IntCell, rows: *mut *const Ints, cols: *mut *const Ints, done: *mut Bool);
    MatRestoreRowIJ(a: RawMat, shift: Int, symmetric: c_int, blocked: c_int, n: *mut IntCell, rows: *mut *const Ints, cols: *mut *const Ints, done: *mut Bool);
    MatSeqAIJGetArrayRead(a: RawMat, values: *mut *const f64);
    MatSeqAIJRestoreArrayRead(a: RawMat, values: *mut *const f64);
    MatMPIAIJGetSeqAIJ(a: RawMat, own: *mut RawMat, ghost: *mut RawMat, ids: *mut *const Ints);
    MatSeqAIJSetPreallocation(a: RawMat, most: Int, each: *const Ints);
    MatMPIAIJSetPreallocation(a: RawMat, most_own: Int, each_own: *const Ints, most_ghost: Int, each_ghost: *const Ints);
    MatSeqAIJSetPreallocationCSR(a: RawMat, rows: *const Ints, cols: *const Ints, values: *const f64);
    MatMPIAIJSetPreallocationCSR(a: RawMat, rows: *const Ints, cols: *const Ints, values: *const f64);
    MatSetValues(a: RawMat, rows: Int, row: *const Ints, cols: Int, col: *const Ints, values: *const f64, mode: c_int);
    MatCreateSeqAIJWithArrays(comm: MPI_Comm, rows: Int, cols: Int, row: *const Ints, col: *const Ints, values: *const f64, a: *mut RawMat);
    MatCreateVecs(a: RawMat, right: *mut RawVec, left: *mut RawVec);
    MatMult(a: RawMat, x: RawVec, y: RawVec);
    MatMultTranspose(a: RawMat, x: RawVec, y: RawVec);
    MatGetInfo(a: RawMat, kind: c_int, info: *mut MatInfo);
    MatNorm(a: RawMat, kind: c_int, value: *mut f64);
    MatView(a: RawMat, viewer: Viewer);
    MatViewFromOptions(a: RawMat, of: Object, option: *const c_char);
    MatLoad(a: RawMat, viewer: Viewer);
    MatGetDM(a: RawMat, dm: *mut RawDm);
    MatGetBlockSize(a: RawMat, size: *mut IntCell);
    MatGetNullSpace(a: RawMat, null: *mut RawNullSpace);
    MatGetNearNullSpace(a: RawMat, null: *mut RawNullSpace);
    MatSetBlockSize(a: RawMat, size: Int);
    MatSetNearNullSpace(a: RawMat, null: RawNullSpace);
    MatSetNullSpace(a: RawMat, null: RawNullSpace);
    MatSetTransposeNullSpace(a: RawMat, null: RawNullSpace);
    MatNullSpaceCreate(comm: MPI_Comm, constant: c_int, count: Int, vectors: *const RawVec, null: *mut RawNullSpace);
    MatNullSpaceGetVecs(null: RawNullSpace, constant: *mut Bool, count: *mut IntCell, vectors: *mut *const RawVec);
    MatNullSpaceDestroy(null: *mut RawNullSpace);
    MatDenseGetLDA(a: RawMat, lda: *mut IntCell);
    MatDenseGetArrayRead(a: RawMat, values: *mut *const f64);
    MatDenseRestoreArrayRead(a: RawMat, values: *mut *const f64);
    MatDenseGetArrayWrite(a: RawMat, values: *mut *mut f64);
    MatDenseRestoreArrayWrite(a: RawMat, values: *mut *mut f64);

    // Preconditioners.
    PCRegister(name: *const c_char, create: Callback<RawPc>);
    PCCreate(comm: MPI_Comm, pc: *mut RawPc);
    PCDestroy(pc: *mut RawPc);
    PCSetType(pc: RawPc, kind: *const c_char);
    PCGetType(pc: RawPc, kind: *mut *const c_char);
    PCSetOperators(pc: RawPc, a: RawMat, p: RawMat);
    PCGetOperators(pc: RawPc, a: *mut RawMat, p: *mut RawMat);
    PCGetOperatorsSet(pc: RawPc, a: *mut Bool, p: *mut Bool);
    PCSetOptionsPrefix(pc: RawPc, prefix: *const c_char);
    PCGetOptionsPrefix(pc: RawPc, prefix: *mut *const c_char);
    PCSetFromOptions(pc: RawPc);
    PCSetUp(pc: RawPc);
    PCApply(pc: RawPc, x: RawVec, y: RawVec);
    PCApplyTranspose(pc: RawPc, x: RawVec, y: RawVec);
    PCMatApply(pc: RawPc, x: RawMat, y: RawMat);
    PCSetFailedReason(pc: RawPc, reason: c_int);
    PCGetFailedReason(pc: RawPc, reason: *mut c_int);
    PCSetCoordinates(pc: RawPc, dimension: Int, nodes: Int, places: *const f64);
    PCGetDM(pc: RawPc, dm: *mut RawDm);
    PCView(pc: RawPc, viewer: Viewer);
    PCShellSetSetUp(pc: RawPc, f: Callback<RawPc>);
    PCShellSetApply(pc: RawPc, f: Callback3<RawPc, RawVec, RawVec>);
    PCShellSetApplyTranspose(pc: RawPc, f: Callback3<RawPc, RawVec, RawVec>);
    PCShellSetMatApply(pc: RawPc, f: Callback3<RawPc, RawMat, RawMat>);
    PCShellSetPostSolve(pc: RawPc, f: Callback4<RawPc, RawKsp, RawVec, RawVec>);
    PCShellSetView(pc: RawPc, f: Callback2<RawPc, Viewer>);
    PCShellSetDestroy(pc: RawPc, f: Callback<RawPc>);
    PCShellSetName(pc: RawPc, name: *const c_char);
    PCShellSetContext(pc: RawPc, context: *mut c_void);
    PCShellGetContext(pc: RawPc, context: *mut *mut c_void);

    // Linear solvers.
    KSPCreate(comm: MPI_Comm, ksp: *mut RawKsp);
    KSPDestroy(ksp: *mut RawKsp);
    KSPSetType(ksp: RawKsp, kind: *const c_char);
    KSPGetType(ksp: RawKsp, kind: *mut *const c_char);
    KSPSetOperators(ksp: RawKsp, a: RawMat, p: RawMat);
    KSPGetPC(ksp: RawKsp, pc: *mut RawPc);
    KSPSetTolerances(ksp: RawKsp, relative: f64, absolute: f64, divergence: f64, most: Int);
    KSPGetTolerances(ksp: RawKsp, relative: *mut f64, absolute: *mut f64, divergence: *mut f64, most: *mut IntCell);
    KSPSetNormType(ksp: RawKsp, kind: c_int);
    KSPSetPCSide(ksp: RawKsp, side: c_int);
    KSPSetInitialGuessNonzero(ksp: RawKsp, yes: c_int);
    KSPSetReusePreconditioner(ksp: RawKsp, yes: c_int);
    KSPSetErrorIfNotConverged(ksp: RawKsp, yes: c_int);
    KSPRichardsonSetScale(ksp: RawKsp, factor: f64);
    KSPGMRESSetRestart(ksp: RawKsp, restart: Int);
    KSPSetOptionsPrefix(ksp: RawKsp, prefix: *const c_char);
    KSPAppendOptionsPrefix(ksp: RawKsp, prefix: *const c_char);
    KSPSetFromOptions(ksp: RawKsp);
    KSPSetUp(ksp: RawKsp);
    KSPSetUpOnBlocks(ksp: RawKsp);
    KSPSolve(ksp: RawKsp, b: RawVec, x: RawVec);
    KSPSolveTranspose(ksp: RawKsp, b: RawVec, x: RawVec);
    KSPGetIterationNumber(ksp: RawKsp, n: *mut IntCell);
    KSPGetResidualNorm(ksp: RawKsp, norm: *mut f64);
    KSPGetConvergedReason(ksp: RawKsp, reason: *mut c_int);
    KSPGetConvergedReasonString(ksp: RawKsp, text: *mut *const c_char);
    KSPSetResidualHistory(ksp: RawKsp, norms: *mut f64, room: Int, reset: c_int);
    KSPGetResidualHistory(ksp: RawKsp, norms: *mut *const f64, count: *mut IntCell);
    KSPMonitorSet(ksp: RawKsp, monitor: Monitor, context: *mut c_void, destroy: Callback<*mut *mut c_void>);
    KSPMonitorCancel(ksp: RawKsp);
    KSPView(ksp: RawKsp, viewer: Viewer);

    // Discretisations.
    DMGetCoordinates(dm: RawDm, coordinates: *mut RawVec);
    DMDAGetInfo(dm: RawDm, dimension: *mut IntCell, m: *mut IntCell, n: *mut IntCell, p: *mut IntCell, ranks_m: *mut IntCell, ranks_n: *mut IntCell, ranks_p: *mut IntCell, unknowns: *mut IntCell, stencil: *mut IntCell, x: *mut c_int, y: *mut c_int, z: *mut c_int, shape: *mut c_int);
    DMDAGetOwnershipRanges(dm: RawDm, x: *mut *const Ints, y: *mut *const Ints, z: *mut *const Ints);
    DMDAGetCorners(dm: RawDm, x: *mut IntCell, y: *mut IntCell, z: *mut IntCell, m: *mut IntCell, n: *mut IntCell, p: *mut IntCell);
}
