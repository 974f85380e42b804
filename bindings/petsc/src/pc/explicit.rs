//! Stored inverses as matrices of PETSc.
//!
//! M itself, or a factor G with M = GᵀG, becomes a matrix of type `aij` that is applied by `MatMult`
//! (and `MatMultTranspose`), shown by `-pc_precondor_explicit_view` and composed with the PC under the
//! name `precondor_explicit`, where `PetscObjectQuery` finds it.
use super::callback::Done;
use super::settings::Settings;
use crate::api::{Api, Int, IntCell, MPI_Comm, RawMat, RawPc, RawVec};
use precondor_core::Error;
use precondor_core::matrix::{Explicit, ExplicitKind, ExplicitView};
use precondor_core::precond::Preconditioner;
use std::ptr::null_mut;

/// `INSERT_VALUES`.
const INSERT: i32 = 1;
/// `MAT_FINAL_ASSEMBLY`.
const FINAL: i32 = 0;
/// The name under which a PC has its stored inverse.
const NAME: &std::ffi::CStr = c"precondor_explicit";

/// M, or its factor, as a matrix of PETSc.
pub(super) struct Shown {
    /// The matrix's address: a handle may not cross threads, but all of this happens on PETSc's.
    m: usize,
    /// Where a factor's product goes.
    between: Option<usize>,
    /// Whether it is what the PC applies.
    pub(super) applied: bool,
}

impl Shown {
    /// Copies the stored inverse into a matrix with the layout of `p`. Collective.
    ///
    /// # Safety
    /// `p` is the live matrix that `m` was set up for, `comm` its communicator.
    pub(super) unsafe fn new(
        api: &Api,
        comm: MPI_Comm,
        p: RawMat,
        m: &dyn Preconditioner,
        settings: &Settings,
    ) -> Done<Self> {
        let Some(explicit) = m.explicit() else {
            return Err(Error::Unsupported(format!(
                "{} stores no inverse that -pc_precondor_explicit could hand over (methods that do say \
                 explicit/1 in `precondor plugins describe`)",
                settings.method.name
            ))
            .into());
        };
        let mut from = [IntCell::default(); 2];
        // SAFETY: the caller's promise; the new matrix is ours.
        unsafe {
            let [start, end] = &mut from;
            api.MatGetOwnershipRange(p, start, end)?;
            let [start, end] = from.map(|cell| api.int(cell));
            let m = matrix(api, comm, start as u64, (end - start) as usize, &explicit)?;
            let mut between = null_mut();
            if explicit.kind == ExplicitKind::Factor {
                api.MatCreateVecs(m, null_mut(), &mut between)?;
            }
            let between = (!between.is_null()).then(|| between.expose_provenance());
            Ok(Shown { m: m.expose_provenance(), between, applied: settings.explicit })
        }
    }

    fn matrix(&self) -> RawMat {
        std::ptr::with_exposed_provenance_mut(self.m)
    }

    /// Composes the matrix with its PC, and shows it where options ask for that. Collective.
    ///
    /// # Safety
    /// `pc` is live.
    pub(super) unsafe fn view(&self, api: &Api, pc: RawPc) -> Done {
        let name = match self.between {
            Some(_) => c"factor G of the inverse (M = G^T G)",
            None => c"inverse M",
        };
        let m = self.matrix();
        // SAFETY: the caller's promise; the matrix is live.
        unsafe {
            api.PetscObjectSetName(m.cast(), name.as_ptr())?;
            api.PetscObjectCompose(pc.cast(), NAME.as_ptr(), m.cast())?;
            api.MatViewFromOptions(m, pc.cast(), c"-pc_precondor_explicit_view".as_ptr())?;
        }
        Ok(())
    }

    /// `y = M x`. Collective.
    ///
    /// # Safety
    /// The vectors are live and fit.
    pub(super) unsafe fn apply(&self, api: &Api, x: RawVec, y: RawVec, transpose: bool) -> Done {
        let m = self.matrix();
        // SAFETY: the caller's promise; the matrix and the vector between are live.
        unsafe {
            match self.between {
                Some(between) => {
                    let between: RawVec = std::ptr::with_exposed_provenance_mut(between);
                    api.MatMult(m, x, between)?;
                    api.MatMultTranspose(m, between, y)?;
                }
                None if transpose => api.MatMultTranspose(m, x, y)?,
                None => api.MatMult(m, x, y)?,
            }
        }
        Ok(())
    }

    /// Gives the matrix back (a PC that it is composed with holds it a little longer). Collective.
    ///
    /// # Safety
    /// PETSc is running.
    pub(super) unsafe fn destroy(self, api: &Api) -> Done {
        let mut m = self.matrix();
        // SAFETY: the caller's promise; both are ours.
        unsafe {
            if let Some(between) = self.between {
                let mut between: RawVec = std::ptr::with_exposed_provenance_mut(between);
                api.VecDestroy(&mut between)?;
            }
            api.MatDestroy(&mut m)?;
        }
        Ok(())
    }
}

/// A matrix of type `aij` with these rows.
///
/// # Safety
/// `comm` is live; every rank calls this with its rows.
unsafe fn matrix(
    api: &Api,
    comm: MPI_Comm,
    start: u64,
    n: usize,
    explicit: &Explicit<'_>,
) -> Done<RawMat> {
    let own = |j: u32| start as i64 + i64::from(j);
    let ghost = |j: u32| explicit.ghost_ids[j as usize] as i64;
    let count = |block: &ExplicitView<'_>| {
        let rows = block.row_ptr.windows(2).map(|pair| i64::from(pair[1] - pair[0]));
        api.to_ints(rows.collect::<Vec<_>>())
    };
    let (each_own, each_ghost) = (count(&explicit.own)?, count(&explicit.ghost)?);
    let size = api.to_int(n as i64)?;
    let mut m = null_mut();
    // SAFETY: the caller's promise; arrays are as long as the counts say.
    unsafe {
        api.MatCreate(comm, &mut m)?;
        api.MatSetSizes(m, size, size, Int::DECIDE, Int::DECIDE)?;
        api.MatSetType(m, c"aij".as_ptr())?;
        // Each does nothing for the other's type.
        api.MatSeqAIJSetPreallocation(m, Int::ZERO, each_own.as_ptr())?;
        let (most, own_each, ghost_each) = (Int::ZERO, each_own.as_ptr(), each_ghost.as_ptr());
        api.MatMPIAIJSetPreallocation(m, most, own_each, most, ghost_each)?;
        for i in 0..n {
            let row = api.to_ints([start as i64 + i as i64])?;
            let (mut cols, mut values) = (Vec::new(), Vec::new());
            let mut take = |block: &ExplicitView<'_>, number: &dyn Fn(u32) -> i64| {
                for k in block.row_ptr[i] as usize..block.row_ptr[i + 1] as usize {
                    cols.push(number(block.cols[k]));
                    values.push(block.values.get(k));
                }
            };
            take(&explicit.own, &own);
            take(&explicit.ghost, &ghost);
            let (count, cols) = (api.to_int(cols.len() as i64)?, api.to_ints(cols)?);
            let one = api.to_int(1)?;
            let (row, cols) = (row.as_ptr(), cols.as_ptr());
            api.MatSetValues(m, one, row, count, cols, values.as_ptr(), INSERT)?;
        }
        api.MatAssemblyBegin(m, FINAL)?;
        api.MatAssemblyEnd(m, FINAL)?;
    }
    Ok(m)
}
