//! PETSc's matrices as ours.
//!
//! The arrays of `seqaij` and `mpiaij` are used where they are, if their indices have 32 bits; whoever
//! keeps a clone of the matrix copies them at that moment (see [`CsrStorage`]). Indices of 64 bits are
//! converted. Every other type of assembled matrix is converted by PETSc first (`MatConvert`).
use crate::api::{Api, Bool, Failed, IntCell, IntSlice, RawMat, Width, slice};
use precondor_core::comm::Comm;
use precondor_core::matrix::{Csr, CsrStorage, DistCsr, OwnedArrays, Space};
use precondor_core::{Error, Result};
use std::ffi::CStr;
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// `MAT_INITIAL_MATRIX`.
const INITIAL: i32 = 0;
/// Types that have no entries to look at.
const FREE: [&str; 3] = ["shell", "mffd", "python"];

/// Runs `f` with `a` as a matrix of ours over `comm`, the ranks of `a`. Collective.
///
/// # Errors
/// [`Error::Unsupported`] for a matrix that is not assembled, not square, or without entries of its
/// own; [`Error::Data`] with PETSc's message; those of `f`.
///
/// # Safety
/// `a` is null or a live matrix, which nobody changes during the call; `comm` stands for the ranks of
/// its communicator.
pub unsafe fn lend<T>(
    api: &Api,
    a: RawMat,
    comm: &Comm,
    f: impl FnOnce(DistCsr) -> Result<T>,
) -> Result<T> {
    // SAFETY: the caller's promise; what is borrowed goes back, and what is converted is destroyed,
    // after everything that looks at it.
    unsafe {
        check(api, a)?;
        let converted = convert(api, a)?;
        let result = lend_aij(api, converted.unwrap_or(a), comm, f);
        if let Some(mut converted) = converted {
            api.MatDestroy(&mut converted)?;
        }
        result
    }
}

/// Refuses what is no square matrix with entries.
///
/// # Safety
/// As [`lend`].
unsafe fn check(api: &Api, a: RawMat) -> Result<()> {
    let refuse = |why: String| Err(Error::Unsupported(why));
    if a.is_null() {
        return refuse("there is no matrix: set one with PCSetOperators or KSPSetOperators".into());
    }
    // SAFETY: the caller's promise.
    unsafe {
        let (mut rows, mut cols) = (IntCell::default(), IntCell::default());
        api.MatGetSize(a, &mut rows, &mut cols)?;
        let (rows, cols) = (api.int(rows), api.int(cols));
        if rows != cols {
            return refuse(format!("the matrix is {rows}×{cols}; it must be square"));
        }
        let mut assembled = Bool::default();
        api.MatAssembled(a, &mut assembled)?;
        if !assembled.get() {
            return refuse(
                "the matrix is not assembled: call MatAssemblyBegin and MatAssemblyEnd".into(),
            );
        }
        let kind = kind(api, a)?;
        if FREE.contains(&kind.as_str()) {
            return refuse(format!(
                "a matrix of type {kind} has no entries to build a preconditioner from; hand an \
                 assembled one to KSPSetOperators as the second (Pmat)"
            ));
        }
    }
    Ok(())
}

/// The type of a matrix.
///
/// # Safety
/// `a` is live.
pub(crate) unsafe fn kind(api: &Api, a: RawMat) -> std::result::Result<String, Failed> {
    let mut kind = null();
    // SAFETY: the caller's promise; the name is null or a C string.
    unsafe {
        api.MatGetType(a, &mut kind)?;
        Ok(match kind.is_null() {
            true => String::new(),
            false => CStr::from_ptr(kind).to_string_lossy().into_owned(),
        })
    }
}

/// Whether `a` is of a type that begins with `base`.
unsafe fn is(api: &Api, a: RawMat, base: &CStr) -> std::result::Result<bool, Failed> {
    let mut same = Bool::default();
    // SAFETY: the caller's promise.
    unsafe { api.PetscObjectBaseTypeCompare(a.cast(), base.as_ptr(), &mut same)? };
    Ok(same.get())
}

/// The matrix as one of type `aij`, where it is of another.
unsafe fn convert(api: &Api, a: RawMat) -> std::result::Result<Option<RawMat>, Failed> {
    // SAFETY: the caller's promise.
    unsafe {
        if is(api, a, c"seqaij")? || is(api, a, c"mpiaij")? {
            return Ok(None);
        }
        let mut b = null_mut();
        api.MatConvert(a, c"aij".as_ptr(), INITIAL, &mut b)?;
        Ok(Some(b))
    }
}

unsafe fn lend_aij<T>(
    api: &Api,
    a: RawMat,
    comm: &Comm,
    f: impl FnOnce(DistCsr) -> Result<T>,
) -> Result<T> {
    // SAFETY: the caller's promise: the matrix is live and of type aij; the blocks are parts of it.
    unsafe {
        let starts = starts(api, a, comm)?;
        let space = Space::from_starts(comm.clone(), starts)?;
        let n = space.n_own();
        if !is(api, a, c"mpiaij")? {
            let own = Block::borrow(api, a, n)?;
            let result = own.csr(api).and_then(DistCsr::solo).and_then(f);
            own.give_back(api)?;
            return result;
        }
        let (mut own, mut ghost, mut ids) = (null_mut(), null_mut(), null());
        api.MatMPIAIJGetSeqAIJ(a, &mut own, &mut ghost, &mut ids)?;
        let (mut rows, mut n_ghost) = (IntCell::default(), IntCell::default());
        api.MatGetSize(ghost, &mut rows, &mut n_ghost)?;
        let n_ghost = api.int(n_ghost) as usize;
        let ids = api.ints(ids, n_ghost).iter().map(|id| id as u64).collect();
        let own = Block::borrow(api, own, n)?;
        let ghost = Block::borrow(api, ghost, n_ghost)?;
        // One rank's fault is everybody's.
        let both = own.csr(api).and_then(|own| Ok((own, ghost.csr(api)?)));
        let a = comm.agree(both).and_then(|(own, ghost)| match comm.size() {
            1 => DistCsr::solo(own),
            _ => DistCsr::from_blocks(&space, own, ghost, ids),
        });
        let result = a.and_then(f);
        ghost.give_back(api)?;
        own.give_back(api)?;
        result
    }
}

/// The first row of every rank, and the number of rows.
unsafe fn starts(api: &Api, a: RawMat, comm: &Comm) -> Result<Vec<u64>> {
    let (mut rows, mut cols) = (null(), null());
    // SAFETY: the caller's promise; there is one more number than ranks.
    unsafe {
        api.MatGetOwnershipRanges(a, &mut rows)?;
        api.MatGetOwnershipRangesColumn(a, &mut cols)?;
        let rows = api.ints(rows, comm.size() + 1);
        let cols = api.ints(cols, comm.size() + 1);
        // The same numbers on all ranks, so all refuse.
        if let Some(rank) = (0..=comm.size()).find(|&rank| rows.get(rank) != cols.get(rank)) {
            return Err(Error::Unsupported(format!(
                "the matrix spreads its rows over the ranks in another way than its columns (rank \
                 {rank} begins at row {} and at column {})",
                rows.get(rank),
                cols.get(rank)
            )));
        }
        Ok(rows.iter().map(|start| start as u64).collect())
    }
}

/// The arrays of a matrix of one rank, borrowed.
struct Block {
    a: RawMat,
    n_cols: usize,
    row_ptr: *const crate::api::Ints,
    cols: *const crate::api::Ints,
    values: *const f64,
    n_rows: usize,
    nnz: usize,
}

impl Block {
    /// # Safety
    /// `a` is a live matrix of type `seqaij` with `n_cols` columns, which stays unchanged until
    /// [`give_back`](Block::give_back).
    unsafe fn borrow(api: &Api, a: RawMat, n_cols: usize) -> std::result::Result<Self, Failed> {
        let (mut n, mut done) = (IntCell::default(), Bool::default());
        let (mut row_ptr, mut cols, mut values) = (null(), null(), null());
        // SAFETY: the caller's promise.
        unsafe {
            let (rows, cols_at) = (&mut row_ptr, &mut cols);
            api.MatGetRowIJ(a, crate::api::Int::ZERO, 0, 0, &mut n, rows, cols_at, &mut done)?;
            api.MatSeqAIJGetArrayRead(a, &mut values)?;
            let n_rows = if row_ptr.is_null() { 0 } else { api.int(n) as usize };
            let nnz = match n_rows {
                0 => 0,
                n => api.ints(row_ptr, n + 1).get(n) as usize,
            };
            Ok(Block { a, n_cols, row_ptr, cols, values, n_rows, nnz })
        }
    }

    /// The block as a matrix of ours, whose arrays are borrowed where that can be.
    ///
    /// # Safety
    /// The result, but not its clones, is gone before the block is given back.
    unsafe fn csr(&self, api: &Api) -> Result<Csr> {
        // SAFETY: as many numbers as the matrix says it has.
        unsafe {
            let row_ptr = match self.n_rows {
                0 => IntSlice::Narrow(&[0]),
                n => api.ints(self.row_ptr, n + 1),
            };
            let (cols, values) = (api.ints(self.cols, self.nnz), slice(self.values, self.nnz));
            let borrowed = match (api.width(), row_ptr, cols) {
                (Width::Narrow, IntSlice::Narrow(row_ptr), IntSlice::Narrow(cols)) => {
                    let arrays = Borrowed { row_ptr, cols, values };
                    Csr::from_storage(self.n_cols, Arc::new(arrays))
                }
                _ => Csr::new(self.n_cols, narrow(row_ptr)?, narrow(cols)?, values.to_vec()),
            };
            // Rows whose columns are in no order, as a user's own arrays may be.
            borrowed.or_else(|_| {
                let (row_ptr, cols) = (narrow(row_ptr)?, narrow(cols)?);
                let row = |i: usize| row_ptr[i] as usize..row_ptr[i + 1] as usize;
                let entries = (0..self.n_rows).flat_map(|i| row(i).map(move |k| (i, k)));
                let entries: Vec<_> =
                    entries.map(|(i, k)| (i, cols[k] as usize, values[k])).collect();
                Csr::from_triplets(self.n_rows, self.n_cols, entries)
            })
        }
    }

    /// # Safety
    /// Once, after the last use of what [`csr`](Block::csr) made.
    unsafe fn give_back(mut self, api: &Api) -> std::result::Result<(), Failed> {
        let (mut n, mut done) = (IntCell::default(), Bool::default());
        // SAFETY: the caller's promise.
        unsafe {
            api.MatSeqAIJRestoreArrayRead(self.a, &mut self.values)?;
            let (rows, cols) = (&mut self.row_ptr, &mut self.cols);
            api.MatRestoreRowIJ(self.a, crate::api::Int::ZERO, 0, 0, &mut n, rows, cols, &mut done)
        }
    }
}

/// Indices in 32 bits.
fn narrow(indices: IntSlice<'_>) -> Result<Vec<u32>> {
    let narrow = |i: i64| {
        u32::try_from(i).map_err(|_| {
            Error::Unsupported("2³² or more entries on one rank: use more ranks".into())
        })
    };
    indices.iter().map(narrow).collect()
}

/// Arrays of PETSc's; a clone that is kept copies them.
struct Borrowed {
    row_ptr: &'static [i32],
    cols: &'static [i32],
    values: &'static [f64],
}

impl CsrStorage for Borrowed {
    fn row_ptr(&self) -> &[u32] {
        unsigned(self.row_ptr)
    }
    fn cols(&self) -> &[u32] {
        unsigned(self.cols)
    }
    fn values(&self) -> &[f64] {
        self.values
    }
    fn retain(self: Arc<Self>) -> Arc<dyn CsrStorage> {
        Arc::new(OwnedArrays {
            row_ptr: self.row_ptr().to_vec(),
            cols: self.cols().to_vec(),
            values: self.values.to_vec(),
        })
    }
}

/// The same bits; what was negative is larger than any matrix, and refused as such.
fn unsigned(indices: &[i32]) -> &[u32] {
    // SAFETY: both types have the same size and alignment, and all values.
    unsafe { std::slice::from_raw_parts(indices.as_ptr().cast(), indices.len()) }
}
