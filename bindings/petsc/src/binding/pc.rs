//! Preconditioners.
use super::mat::Mat;
use super::options::checked;
use super::shell::Shell;
use super::vec::Vec;
use super::viewer::Viewer;
use super::{Error, Petsc, Ranks, Result, error};
use crate::api::RawPc;
use precondor_core::precond::Preconditioner;
use precondor_core::system::System;
use serde_json::Value;
use std::ffi::{CStr, c_char};
use std::ptr::{null, null_mut};

/// A preconditioner: PETSc's `PC`, of one of PETSc's types by name, or one of Precondor.
///
/// That of a solver comes from [`Ksp::pc`](super::Ksp::pc). Methods that set something return the
/// preconditioner, so that they can be chained.
pub struct Pc {
    pub(super) raw: RawPc,
    pub(super) petsc: Petsc,
    pub(super) ranks: Ranks,
}

impl Pc {
    /// A preconditioner of its own, without a solver. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn new(petsc: &Petsc, ranks: Ranks) -> Result<Pc> {
        let mut pc = Pc { raw: null_mut(), petsc: petsc.clone(), ranks };
        // SAFETY: PETSc is initialised, a place of ours.
        unsafe { petsc.api().PCCreate(petsc.raw_comm(ranks), &mut pc.raw)? };
        Ok(pc)
    }

    /// The matrix that is preconditioned, and the one that the preconditioner is made from: often the
    /// same. Collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] for matrices of other ranks; what PETSc reports.
    pub fn set_operators(&mut self, a: &Mat, p: &Mat) -> Result<&mut Self> {
        self.petsc.together("Pc::set_operators", &[self.ranks, a.ranks, p.ranks])?;
        // SAFETY: live objects of the same ranks; PETSc keeps the matrices.
        unsafe { self.petsc.api().PCSetOperators(self.raw, a.raw, p.raw)? };
        Ok(self)
    }

    /// One of PETSc's types: `"jacobi"`, `"icc"`, `"gamg"`, `"hypre"`… Collective.
    ///
    /// # Errors
    /// What PETSc reports for a type that it does not know.
    pub fn set_type(&mut self, name: &str) -> Result<&mut Self> {
        let name = checked(name)?;
        // SAFETY: a live preconditioner, a C string.
        unsafe { self.petsc.api().PCSetType(self.raw, name.as_ptr())? };
        Ok(self)
    }

    /// Where the own nodes are, `dimension` numbers each (`PCSetCoordinates`): for types that ask for it, after their
    /// type is set. Collective.
    ///
    /// # Errors
    /// What PETSc reports: a type that asks for them and another number of nodes.
    pub fn set_coordinates(&mut self, dimension: usize, places: &[f64]) -> Result<&mut Self> {
        let api = self.petsc.api();
        let nodes = places.len() / dimension.max(1);
        let sizes = || Ok::<_, Error>((api.to_int(dimension)?, api.to_int(nodes)?));
        let (dimension, nodes) = self.petsc.agree(self.ranks, sizes())?;
        // SAFETY: a live preconditioner; as many numbers as are told, which PETSc copies.
        unsafe { api.PCSetCoordinates(self.raw, dimension, nodes, places.as_ptr())? };
        Ok(self)
    }

    /// A preconditioner of Precondor, or of your own, as PETSc's type `shell`; `name` is what PETSc
    /// shows. It works on the own entries of vectors. Collective.
    ///
    /// An error that its `apply` returns, and a panic in it, come back from the call that applied it
    /// as [`Error::Callback`]. On several ranks the others are told at the end of the solve, and a
    /// panic ends the job.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn shell(&mut self, name: &str, m: impl Preconditioner + 'static) -> Result<&mut Self> {
        self.boxed_shell(name, Box::new(m))
    }

    /// As [`shell`](Pc::shell), of a preconditioner that is in a box.
    ///
    /// # Errors
    /// As [`shell`](Pc::shell).
    pub fn boxed_shell(&mut self, name: &str, m: Box<dyn Preconditioner>) -> Result<&mut Self> {
        checked(name)?;
        let comm = self.petsc.comm(self.ranks).clone();
        let shell = Shell { name: name.to_owned(), m, comm };
        // SAFETY: a live preconditioner.
        unsafe { shell.into_pc(self.petsc.api(), self.raw)? };
        Ok(self)
    }

    /// A method of Precondor by name, set up for `system` by the system's own host, as a
    /// [`shell`](Pc::shell). Collective.
    ///
    /// # Errors
    /// [`Error::Other`] with what the method reports; what PETSc reports.
    pub fn method(&mut self, name: &str, params: &Value, system: &System) -> Result<&mut Self> {
        let m = system.host().inner(name, params, system)?;
        self.boxed_shell(name, m)
    }

    /// What the names of its options start with.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set_prefix(&mut self, prefix: &str) -> Result<&mut Self> {
        let prefix = checked(prefix)?;
        // SAFETY: a live preconditioner, a C string, which PETSc copies.
        unsafe { self.petsc.api().PCSetOptionsPrefix(self.raw, prefix.as_ptr())? };
        Ok(self)
    }

    /// Takes what the options database says. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set_from_options(&mut self) -> Result<&mut Self> {
        // SAFETY: a live preconditioner.
        unsafe { self.petsc.api().PCSetFromOptions(self.raw)? };
        Ok(self)
    }

    /// Sets it up for its operators. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set_up(&mut self) -> Result<&mut Self> {
        // SAFETY: a live preconditioner.
        unsafe { self.petsc.api().PCSetUp(self.raw)? };
        Ok(self)
    }

    /// z ← M r. Collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] without operators, and for lengths or ranks that do not fit;
    /// [`Error::Callback`] with what a shell reports; what PETSc reports.
    pub fn apply(&mut self, r: &Vec, z: &mut Vec) -> Result<()> {
        self.petsc.together("Pc::apply", &[self.ranks, r.ranks, z.ranks])?;
        let fits = self.check(r, z);
        self.petsc.agree(self.ranks, fits)?;
        error::reported();
        // SAFETY: live objects of the same ranks and of fitting lengths; r and z are not the same.
        unsafe { self.petsc.api().PCApply(self.raw, r.raw, z.raw)? };
        let told = error::reported().map_or(Ok(()), |e| Err(Error::Callback(e)));
        self.petsc.agree(self.ranks, told)
    }

    /// Refuses vectors that do not fit the operators.
    fn check(&self, r: &Vec, z: &Vec) -> Result<()> {
        let (mut a, mut p) = (null_mut(), null_mut());
        // SAFETY: a live preconditioner, places of ours. Where it has none PETSc would make empty
        // operators; that they are set is asked before.
        let rows = unsafe {
            let api = self.petsc.api();
            let (mut has_a, mut has_p) = (Default::default(), Default::default());
            api.PCGetOperatorsSet(self.raw, &mut has_a, &mut has_p)?;
            if !has_p.get() {
                return Err(Error::misuse("Pc::apply: set_operators comes first"));
            }
            api.PCGetOperators(self.raw, &mut a, &mut p)?;
            let (mut rows, mut cols) = (Default::default(), Default::default());
            api.MatGetLocalSize(p, &mut rows, &mut cols)?;
            api.int(rows) as usize
        };
        match (r.n_own(), z.n_own()) {
            (n, m) if n == rows && m == rows => Ok(()),
            (n, m) => Err(Error::misuse(format!(
                "Pc::apply: vectors of {n} and {m} own entries for {rows} rows"
            ))),
        }
    }

    /// The type, where one is set.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn type_name(&self) -> Result<Option<String>> {
        let mut name: *const c_char = null();
        // SAFETY: a live preconditioner; the name is PETSc's and copied at once.
        unsafe {
            self.petsc.api().PCGetType(self.raw, &mut name)?;
            Ok((!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned()))
        }
    }

    /// Shows it. Collective.
    ///
    /// # Errors
    /// What PETSc reports; [`Error::Misuse`] for a viewer of other ranks.
    pub fn view(&self, to: &Viewer) -> Result<()> {
        self.petsc.together("Pc::view", &[self.ranks, to.ranks])?;
        // SAFETY: live objects of the same ranks.
        Ok(unsafe { self.petsc.api().PCView(self.raw, to.raw) }?)
    }
}

impl std::fmt::Debug for Pc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.type_name().ok().flatten();
        write!(f, "Pc({})", name.as_deref().unwrap_or("no type"))
    }
}

impl Drop for Pc {
    fn drop(&mut self) {
        if !self.raw.is_null() && self.petsc.may_destroy() {
            // SAFETY: a live preconditioner; PETSc keeps what a solver still uses. Nobody can be told
            // of a failure.
            let _ = unsafe { self.petsc.api().PCDestroy(&mut self.raw) };
        }
    }
}
