//! Families of problems: where rows go, and systems of the other side that give them.
use crate::raw::{self, slice};
use crate::status::{answer, call};
use precondor_abi as abi;
use precondor_abi::{Failure, Status};
use precondor_core::problem::{Assembly, Rows};
use precondor_core::{Error, Result};
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::null_mut;

/// Calls `f` with a table that puts what it is given into `rows`.
pub fn lend<R>(rows: &mut Rows, f: impl FnOnce(*const abi::Assembly) -> R) -> R {
    let table = abi::Assembly {
        size: size_of::<abi::Assembly>(),
        ctx: std::ptr::from_mut(rows).cast(),
        rows: put_rows,
        rhs: put_rhs,
        aux: put_aux,
    };
    f(&raw const table)
}

// What the callee calls: `ctx` are the rows above, which nobody else uses during the call; the other pointers are what it
// promises by calling.

unsafe extern "C" fn put_rows(
    ctx: *mut c_void,
    n: usize,
    rows: *const abi::Rows,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let table = raw::table(rows)?;
            let row_ptr = match table.row_ptr.is_null() && table.nnz == 0 {
                true => vec![0; n + 1],
                false => slice(table.row_ptr, n + 1, "row_ptr")?.to_vec(),
            };
            let cols = slice(table.cols, table.nnz, "cols")?;
            let values = slice(table.values, table.nnz, "values")?;
            (*ctx.cast::<Rows>()).extend(&row_ptr, cols, values)
        })
    }
}

unsafe extern "C" fn put_rhs(
    ctx: *mut c_void,
    values: *const f64,
    n: usize,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let values = slice(values, n, "the right-hand side")?;
            values.iter().for_each(|value| (*ctx.cast::<Rows>()).rhs(*value));
            Ok(())
        })
    }
}

unsafe extern "C" fn put_aux(ctx: *mut c_void, aux: *const abi::Aux, why: *mut Failure) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            let table = raw::table(aux)?;
            let name = raw::text(table.name, "the name of auxiliary data")?;
            let values = slice(table.values, table.n_values, name)?;
            (*ctx.cast::<Rows>()).aux_rows(name, table.width, values)
        })
    }
}

/// Hands rows over to the other side, where `out` puts them.
///
/// # Errors
/// What the other side reports.
///
/// # Safety
/// As [`raw::table`]; the table keeps the C contract.
pub unsafe fn give(rows: &Rows, out: *const abi::Assembly) -> Result<()> {
    let (row_ptr, cols, values) = rows.entries();
    let table = abi::Rows {
        size: size_of::<abi::Rows>(),
        row_ptr: row_ptr.as_ptr(),
        cols: cols.as_ptr(),
        values: values.as_ptr(),
        nnz: cols.len(),
    };
    // SAFETY: the caller's promise; what is lent outlives the calls.
    unsafe {
        let out = raw::table(out)?;
        if !rows.is_empty() {
            call(|why| (out.rows)(out.ctx, rows.len(), &raw const table, why))?;
        }
        let b = rows.right_hand_side();
        if !b.is_empty() {
            call(|why| (out.rhs)(out.ctx, b.as_ptr(), b.len(), why))?;
        }
        for (name, width, values) in rows.known() {
            let aux = abi::Aux {
                size: size_of::<abi::Aux>(),
                name: abi::Text::new(name),
                width,
                values: values.as_ptr(),
                n_values: values.len(),
            };
            call(|why| (out.aux)(out.ctx, &raw const aux, why))?;
        }
    }
    Ok(())
}

/// A system of a family of the other side.
pub struct Opened {
    family: &'static abi::Problem,
    system: *mut c_void,
    unknowns: u64,
    block_size: usize,
}

// SAFETY: the contract lets systems be used from any thread.
unsafe impl Send for Opened {}
// SAFETY: as above.
unsafe impl Sync for Opened {}

impl Opened {
    /// Opens system `index` of a family under `seed`.
    ///
    /// # Errors
    /// What the family reports.
    ///
    /// # Safety
    /// The table was checked, lives for ever and keeps the C contract.
    pub unsafe fn new(
        family: &'static abi::Problem,
        params: &str,
        seed: u64,
        index: u64,
    ) -> Result<Self> {
        let size = size_of::<abi::Shape>();
        let (mut system, mut shape) = (null_mut(), abi::Shape { size, unknowns: 0, block_size: 1 });
        let params = abi::Text::new(params);
        // SAFETY: the caller's promise; what is lent outlives the call.
        call(|why| unsafe { (family.open)(params, seed, index, &mut system, &mut shape, why) })?;
        let mut opened = Opened { family, system, unknowns: shape.unknowns, block_size: 1 };
        opened.block_size = usize::try_from(shape.block_size)
            .map_err(|_| Error::Data(format!("{} unknowns of a node", shape.block_size)))?;
        Ok(opened)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: the system is this value's own.
        unsafe { (self.family.close)(self.system) }
    }
}

impl Assembly for Opened {
    fn unknowns(&self) -> u64 {
        self.unknowns
    }
    fn block_size(&self) -> usize {
        self.block_size
    }
    fn assemble(&self, rows: Range<u64>, out: &mut Rows) -> Result<()> {
        lend(out, |out| {
            // SAFETY: a checked table that lives for ever, a system that is this value's own.
            call(|why| unsafe {
                (self.family.assemble)(self.system, rows.start, rows.end, out, why)
            })
        })
    }
}
