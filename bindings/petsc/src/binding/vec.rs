//! Vectors.
use super::viewer::{self, Viewer};
use super::{Error, Petsc, Ranks, Result};
use crate::api::{Int, IntCell, RawVec, slice, slice_mut};
use std::path::Path;
use std::ptr::null_mut;

/// A vector, spread over ranks: PETSc's `Vec`.
///
/// Two vectors in one call have the same length on every rank and the same [`Ranks`]; anything else
/// is an error.
pub struct Vec {
    pub(super) raw: RawVec,
    pub(super) petsc: Petsc,
    pub(super) ranks: Ranks,
}

impl Vec {
    /// A vector of zeros with `n_own` entries on this rank. Collective.
    ///
    /// # Errors
    /// What PETSc reports: a length beyond its integers.
    pub fn new(petsc: &Petsc, ranks: Ranks, n_own: usize) -> Result<Vec> {
        let api = petsc.api();
        let own = petsc.agree(ranks, api.to_int(n_own).map_err(Error::from))?;
        let mut x = Vec { raw: null_mut(), petsc: petsc.clone(), ranks };
        // SAFETY: PETSc is initialised; the vector is finished before anybody sees it.
        unsafe {
            api.VecCreate(petsc.raw_comm(ranks), &mut x.raw)?;
            api.VecSetSizes(x.raw, own, Int::DECIDE)?;
            api.VecSetType(x.raw, c"standard".as_ptr())?;
            api.VecSet(x.raw, 0.0)?;
        }
        Ok(x)
    }

    /// A vector with these own entries. Collective.
    ///
    /// # Errors
    /// As [`new`](Vec::new).
    pub fn from_slice(petsc: &Petsc, ranks: Ranks, own: &[f64]) -> Result<Vec> {
        let mut x = Vec::new(petsc, ranks, own.len())?;
        x.write(|entries| entries.copy_from_slice(own))?;
        Ok(x)
    }

    /// Reads the first vector of a PETSc binary file. Collective.
    ///
    /// # Errors
    /// What PETSc reports; [`Error::Misuse`] where there is no such file.
    pub fn load(petsc: &Petsc, ranks: Ranks, path: &Path) -> Result<Vec> {
        let file = viewer::binary(petsc, ranks, path, viewer::READ)?;
        let mut x = Vec { raw: null_mut(), petsc: petsc.clone(), ranks };
        // SAFETY: PETSc is initialised, and the viewer of the same ranks.
        unsafe {
            petsc.api().VecCreate(petsc.raw_comm(ranks), &mut x.raw)?;
            petsc.api().VecSetType(x.raw, c"standard".as_ptr())?;
            petsc.api().VecLoad(x.raw, file.raw)?;
        }
        Ok(x)
    }

    /// Writes a PETSc binary file. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn save(&self, path: &Path) -> Result<()> {
        let file = viewer::binary(&self.petsc, self.ranks, path, viewer::WRITE)?;
        self.view(&file)
    }

    /// Shows it. Collective.
    ///
    /// # Errors
    /// What PETSc reports; [`Error::Misuse`] for a viewer of other ranks.
    pub fn view(&self, to: &Viewer) -> Result<()> {
        self.petsc.together("Vec::view", &[self.ranks, to.ranks])?;
        // SAFETY: live objects of the same ranks.
        Ok(unsafe { self.petsc.api().VecView(self.raw, to.raw) }?)
    }

    /// Another one of zeros with the same lengths. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn like(&self) -> Result<Vec> {
        let mut y = Vec { raw: null_mut(), petsc: self.petsc.clone(), ranks: self.ranks };
        // SAFETY: a live vector.
        unsafe {
            self.petsc.api().VecDuplicate(self.raw, &mut y.raw)?;
            self.petsc.api().VecSet(y.raw, 0.0)?;
        }
        Ok(y)
    }

    /// Entries in all.
    pub fn len(&self) -> u64 {
        let mut n = IntCell::default();
        // SAFETY: a live vector that has been set up: this does not fail.
        let asked = unsafe { self.petsc.api().VecGetSize(self.raw, &mut n) };
        asked.map_or(0, |()| self.petsc.api().int(n) as u64)
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries on this rank.
    pub fn n_own(&self) -> usize {
        let mut n = IntCell::default();
        // SAFETY: as `len`.
        let asked = unsafe { self.petsc.api().VecGetLocalSize(self.raw, &mut n) };
        asked.map_or(0, |()| self.petsc.api().int(n) as usize)
    }

    /// Hands the own entries to `f`.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn read<T>(&self, f: impl FnOnce(&[f64]) -> T) -> Result<T> {
        let lent = Lent::new(self, false)?;
        // SAFETY: PETSc lends as many entries as this rank owns, until `lent` is dropped; a vector
        // that is borrowed is not written to.
        Ok(f(unsafe { slice(lent.at.cast_const(), self.n_own()) }))
    }

    /// Hands the own entries to `f` to be changed.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn write<T>(&mut self, f: impl FnOnce(&mut [f64]) -> T) -> Result<T> {
        let lent = Lent::new(self, true)?;
        // SAFETY: as `read`; the vector is borrowed exclusively.
        Ok(f(unsafe { slice_mut(lent.at, self.n_own()) }))
    }

    /// The own entries.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn to_vec(&self) -> Result<std::vec::Vec<f64>> {
        self.read(<[f64]>::to_vec)
    }

    /// All entries become `value`. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set(&mut self, value: f64) -> Result<()> {
        // SAFETY: a live vector.
        Ok(unsafe { self.petsc.api().VecSet(self.raw, value) }?)
    }

    /// x ← y. Collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] for lengths or ranks that differ; what PETSc reports.
    pub fn copy_from(&mut self, y: &Vec) -> Result<()> {
        self.fits("Vec::copy_from", y)?;
        // SAFETY: live vectors of equal lengths.
        Ok(unsafe { self.petsc.api().VecCopy(y.raw, self.raw) }?)
    }

    /// x ← α x. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn scale(&mut self, alpha: f64) -> Result<()> {
        // SAFETY: a live vector.
        Ok(unsafe { self.petsc.api().VecScale(self.raw, alpha) }?)
    }

    /// x ← x + α y. Collective.
    ///
    /// # Errors
    /// As [`copy_from`](Vec::copy_from).
    pub fn axpy(&mut self, alpha: f64, y: &Vec) -> Result<()> {
        self.fits("Vec::axpy", y)?;
        // SAFETY: live vectors of equal lengths.
        Ok(unsafe { self.petsc.api().VecAXPY(self.raw, alpha, y.raw) }?)
    }

    /// ⟨x, y⟩. Collective.
    ///
    /// # Errors
    /// As [`copy_from`](Vec::copy_from).
    pub fn dot(&self, y: &Vec) -> Result<f64> {
        self.fits("Vec::dot", y)?;
        let mut value = 0.0;
        // SAFETY: live vectors of equal lengths, a place of ours.
        unsafe { self.petsc.api().VecDot(self.raw, y.raw, &mut value)? };
        Ok(value)
    }

    /// ‖x‖₂. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn norm(&self) -> Result<f64> {
        const NORM_2: i32 = 1;
        let mut value = 0.0;
        // SAFETY: a live vector, a place of ours.
        unsafe { self.petsc.api().VecNorm(self.raw, NORM_2, &mut value)? };
        Ok(value)
    }

    /// Refuses a vector of other lengths or ranks.
    fn fits(&self, what: &str, y: &Vec) -> Result<()> {
        self.petsc.together(what, &[self.ranks, y.ranks])?;
        let mine = match (self.n_own(), y.n_own()) {
            (n, m) if n == m => Ok(()),
            (n, m) => Err(Error::misuse(format!("{what}: vectors of {n} and {m} own entries"))),
        };
        self.petsc.agree(self.ranks, mine)
    }
}

impl std::fmt::Debug for Vec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vec({} of {} entries)", self.n_own(), self.len())
    }
}

impl Drop for Vec {
    fn drop(&mut self) {
        if !self.raw.is_null() && self.petsc.may_destroy() {
            // SAFETY: a live vector that nobody uses any more. Nobody can be told of a failure.
            let _ = unsafe { self.petsc.api().VecDestroy(&mut self.raw) };
        }
    }
}

/// Own entries lent by PETSc, given back when dropped.
struct Lent<'a> {
    x: &'a Vec,
    write: bool,
    at: *mut f64,
}

impl<'a> Lent<'a> {
    fn new(x: &'a Vec, write: bool) -> Result<Self> {
        let (api, mut at) = (x.petsc.api(), null_mut::<f64>());
        // SAFETY: a live vector, a place of ours.
        unsafe {
            match write {
                true => api.VecGetArray(x.raw, &mut at)?,
                false => api.VecGetArrayRead(x.raw, (&raw mut at).cast())?,
            }
        }
        Ok(Lent { x, write, at })
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let api = self.x.petsc.api();
        // SAFETY: what PETSc lent goes back to it, once.
        let _ = unsafe {
            match self.write {
                true => api.VecRestoreArray(self.x.raw, &mut self.at),
                false => api.VecRestoreArrayRead(self.x.raw, (&raw mut self.at).cast()),
            }
        };
    }
}
