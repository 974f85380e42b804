//! Row distributions and matrices.
//!
//! A matrix that is lent for a call shows the arrays where they are. Who keeps it retains it: the
//! clone of a matrix whose arrays are borrowed copies them (see
//! [`CsrStorage`]), any other only counts.
use crate::comm;
use crate::raw::{self, slice, slice_mut};
use crate::shared::{Counted, Held, Lent};
use crate::status::{answer, quietly};
use crate::thread::outside_bodies;
use precondor_abi as abi;
use precondor_abi::{Block, Failure, Status};
use precondor_core::comm::{Comm, Exchange, Solo};
use precondor_core::matrix::{Csr, CsrStorage, CsrView, DistCsr, OwnedArrays, Space};
use precondor_core::{Error, Result};
use std::ffi::c_void;
use std::ptr::null;
use std::sync::{Arc, OnceLock};

/// A row distribution with what its table points to.
pub struct SpaceParts {
    space: Arc<Space>,
    comm: Arc<Lent<abi::Comm, Comm>>,
}

type LentSpace = Lent<abi::Space, SpaceParts>;

/// Lends a row distribution.
pub fn lend_space(space: &Arc<Space>) -> Arc<Lent<abi::Space, SpaceParts>> {
    let parts = SpaceParts { space: Arc::clone(space), comm: comm::lend(space.comm()) };
    Lent::new(parts, |ctx, parts| abi::Space {
        size: size_of::<abi::Space>(),
        ctx,
        comm: &raw const parts.comm.table,
        starts: parts.space.starts().as_ptr(),
        retain: LentSpace::retain,
        release: LentSpace::release,
    })
}

/// Takes a row distribution; its communicator is retained.
///
/// # Errors
/// [`Error::Plugin`] or [`Error::Data`] for what is none.
///
/// # Safety
/// As [`raw::table`]; the table keeps the C contract.
pub unsafe fn take_space(ptr: *const abi::Space) -> Result<Arc<Space>> {
    // SAFETY: the caller's promise.
    unsafe {
        let table = raw::table(ptr)?;
        let comm = comm::take(table.comm)?;
        let starts = slice(table.starts, comm.size() + 1, "starts")?.to_vec();
        Space::from_starts(comm, starts)
    }
}

/// A matrix with what its table points to. `A` is the matrix itself where it is kept, and a
/// pointer to it where it is lent for a call.
pub struct MatrixParts<A> {
    a: A,
    space: Arc<LentSpace>,
    link: Arc<Lent<abi::Exchange, Arc<dyn Exchange>>>,
}

/// A matrix that its owner keeps alive during the call.
pub struct Borrowed(*const DistCsr);

// SAFETY: stands for a `&DistCsr`, which may be sent and shared.
unsafe impl Send for Borrowed {}
// SAFETY: as above.
unsafe impl Sync for Borrowed {}

type LentMatrix<A> = Lent<abi::Matrix, MatrixParts<A>>;

/// Lends a matrix for as long as `a` lives.
///
/// # Safety
/// What is returned is dropped, and not used any more, before `a` goes.
pub unsafe fn lend(a: &DistCsr) -> Arc<Lent<abi::Matrix, MatrixParts<Borrowed>>> {
    lend_as(a, Borrowed(a), LentMatrix::<Borrowed>::release, retain_borrowed, spmv_borrowed)
}

/// Lends a matrix for as long as it is held.
pub fn lend_kept(a: &DistCsr) -> Arc<Lent<abi::Matrix, MatrixParts<DistCsr>>> {
    let a = a.clone();
    let kept = a.clone();
    lend_as(&a, kept, LentMatrix::<DistCsr>::release, LentMatrix::<DistCsr>::retain, spmv_kept)
}

fn lend_as<A>(
    a: &DistCsr,
    keep: A,
    release: unsafe extern "C" fn(*mut c_void),
    retain: unsafe extern "C" fn(*mut c_void) -> *const abi::Matrix,
    spmv: unsafe extern "C" fn(*mut c_void, *const f64, *mut f64, usize, *mut Failure) -> Status,
) -> Arc<LentMatrix<A>> {
    let block = |a: CsrView<'_>| Block {
        row_ptr: a.row_ptr.as_ptr(),
        cols: a.cols.as_ptr(),
        values: a.values.as_ptr(),
        nnz: a.nnz(),
    };
    let parts =
        MatrixParts { a: keep, space: lend_space(a.space()), link: comm::lend_exchange(a.link()) };
    Lent::new(parts, |ctx, parts| abi::Matrix {
        size: size_of::<abi::Matrix>(),
        ctx,
        space: &raw const parts.space.table,
        n_own: a.n_own(),
        own: block(a.own().view()),
        ghost: block(a.ghost().view()),
        ghost_ids: a.ghost_ids().as_ptr(),
        n_ghost: a.ghost_ids().len(),
        exchange: &raw const parts.link.table,
        retain,
        release,
        spmv,
    })
}

unsafe extern "C" fn retain_borrowed(ctx: *mut c_void) -> *const abi::Matrix {
    // SAFETY: `ctx` is this side's own, and the matrix lives during the call.
    let a = unsafe { &*LentMatrix::<Borrowed>::value(ctx).a.0 };
    quietly(|| lend_kept(a).hand_out()).unwrap_or(null())
}

unsafe extern "C" fn spmv_borrowed(
    ctx: *mut c_void,
    x: *const f64,
    y: *mut f64,
    n: usize,
    why: *mut Failure,
) -> Status {
    // SAFETY: as for `retain_borrowed`; the vectors are the caller's promise.
    unsafe { answer(why, || spmv(&*LentMatrix::<Borrowed>::value(ctx).a.0, x, y, n)) }
}

unsafe extern "C" fn spmv_kept(
    ctx: *mut c_void,
    x: *const f64,
    y: *mut f64,
    n: usize,
    why: *mut Failure,
) -> Status {
    // SAFETY: as for `spmv_borrowed`.
    unsafe { answer(why, || spmv(&LentMatrix::<DistCsr>::value(ctx).a, x, y, n)) }
}

unsafe fn spmv(a: &DistCsr, x: *const f64, y: *mut f64, n: usize) -> Result<()> {
    outside_bodies("a matrix-vector product")?;
    if n != a.n_own() {
        return Err(Error::Data(format!("vectors of {n} entries for {} rows", a.n_own())));
    }
    // SAFETY: the caller's promise.
    unsafe { a.spmv(slice(x, n, "x")?, slice_mut(y, n, "y")?) }
}

/// Takes a matrix: the arrays stay where they are, and are retained when the result is cloned.
///
/// # Errors
/// [`Error::Plugin`] or [`Error::Data`] naming what is inconsistent, the row where it is one.
///
/// # Safety
/// As [`raw::table`]; the table keeps the C contract, and outlives the result (not its clones).
pub unsafe fn take(ptr: *const abi::Matrix) -> Result<DistCsr> {
    // SAFETY: the caller's promise.
    unsafe { take_through(Arc::new(Source::Borrowed { ptr, kept: OnceLock::new() })) }
}

/// Takes a matrix that was retained for this side.
///
/// # Errors
/// As [`take`].
///
/// # Safety
/// As [`raw::table`]; the table keeps the C contract.
pub unsafe fn adopt(ptr: *const abi::Matrix) -> Result<DistCsr> {
    // SAFETY: the caller's promise.
    unsafe { take_through(Arc::new(Source::Kept(Held::adopt(ptr)?))) }
}

unsafe fn take_through(source: Arc<Source>) -> Result<DistCsr> {
    // SAFETY: the caller's promise.
    unsafe {
        let table = source.table()?;
        let space = take_space(table.space)?;
        let n = space.n_own();
        if table.n_own != n {
            return Err(Error::Data(format!("{} rows where the space has {n}", table.n_own)));
        }
        let ghost_ids = slice(table.ghost_ids, table.n_ghost, "ghost_ids")?.to_vec();
        let own = Csr::from_storage(n, arrays(&source, Half::Own)?)?;
        let ghost = Csr::from_storage(ghost_ids.len(), arrays(&source, Half::Ghost)?)?;
        let link = match space.comm().size() {
            1 => Arc::new(Solo) as Arc<dyn Exchange>,
            // A scope of this side must hear of failures from here, too.
            _ => space.comm().guarded(comm::take_exchange(table.exchange)?),
        };
        DistCsr::from_parts(own, ghost, ghost_ids, space, link)
    }
}

/// Where arrays come from.
enum Source {
    /// Valid during the call; the other side keeps it for ever once asked.
    Borrowed { ptr: *const abi::Matrix, kept: OnceLock<Option<Arc<Source>>> },
    /// Retained.
    Kept(Held<abi::Matrix>),
}

// SAFETY: the arrays are immutable, and the table's calls are made where its contract allows.
unsafe impl Send for Source {}
// SAFETY: as above.
unsafe impl Sync for Source {}

#[derive(Clone, Copy)]
enum Half {
    Own,
    Ghost,
}

impl Source {
    /// # Safety
    /// As [`take`].
    unsafe fn table(&self) -> Result<&abi::Matrix> {
        match self {
            // SAFETY: the caller's promise.
            Source::Borrowed { ptr, .. } => unsafe { raw::table(*ptr) },
            Source::Kept(held) => Ok(held),
        }
    }
}

impl Half {
    fn of(self, table: &abi::Matrix) -> &Block {
        match self {
            Half::Own => &table.own,
            Half::Ghost => &table.ghost,
        }
    }
}

/// One block's arrays, checked to be there.
unsafe fn arrays(source: &Arc<Source>, half: Half) -> Result<Arc<dyn CsrStorage>> {
    // SAFETY: the caller's promise.
    unsafe {
        let table = source.table()?;
        let block = half.of(table);
        let (n_ptr, nnz) = (table.n_own.saturating_add(1), block.nnz);
        if block.row_ptr.is_null() && nnz == 0 {
            return Ok(Arc::new(OwnedArrays {
                row_ptr: vec![0; n_ptr],
                cols: Vec::new(),
                values: Vec::new(),
            }));
        }
        Ok(Arc::new(Arrays {
            row_ptr: slice(block.row_ptr, n_ptr, "row_ptr")?,
            cols: slice(block.cols, nnz, "cols")?,
            values: slice(block.values, nnz, "values")?,
            half,
            source: Arc::clone(source),
        }))
    }
}

/// Arrays of the other side.
struct Arrays {
    row_ptr: *const [u32],
    cols: *const [u32],
    values: *const [f64],
    half: Half,
    source: Arc<Source>,
}

// SAFETY: immutable arrays.
unsafe impl Send for Arrays {}
// SAFETY: as above.
unsafe impl Sync for Arrays {}

impl CsrStorage for Arrays {
    fn row_ptr(&self) -> &[u32] {
        // SAFETY: checked when made, and alive as long as `source` says.
        unsafe { &*self.row_ptr }
    }
    fn cols(&self) -> &[u32] {
        // SAFETY: as above.
        unsafe { &*self.cols }
    }
    fn values(&self) -> &[f64] {
        // SAFETY: as above.
        unsafe { &*self.values }
    }
    fn retain(self: Arc<Self>) -> Arc<dyn CsrStorage> {
        let Source::Borrowed { ptr, kept } = &*self.source else {
            return self;
        };
        let kept = kept.get_or_init(|| {
            // SAFETY: the table outlives everything that is not a retained clone.
            let held = unsafe { Held::adopt(raw::table(*ptr).ok()?.retain()) };
            Some(Arc::new(Source::Kept(held.ok()?)))
        });
        let same = kept.as_ref().and_then(|kept| {
            // SAFETY: retained.
            let arrays = unsafe { arrays(kept, self.half) }.ok()?;
            let fits = arrays.row_ptr().len() == self.row_ptr().len()
                && arrays.row_ptr().last() == self.row_ptr().last()
                && arrays.cols().len() == self.cols().len()
                && arrays.values().len() == self.values().len();
            fits.then_some(arrays)
        });
        // Where the other side cannot keep them, this side does.
        same.unwrap_or_else(|| {
            Arc::new(OwnedArrays {
                row_ptr: self.row_ptr().to_vec(),
                cols: self.cols().to_vec(),
                values: self.values().to_vec(),
            })
        })
    }
}
