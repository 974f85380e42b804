//! Solvers.
use super::error::{self, panicked, report};
use super::mat::Mat;
use super::options::checked;
use super::pc::Pc;
use super::vec::Vec;
use super::viewer::Viewer;
use super::{Error, Petsc, Ranks, Result};
use crate::api::{Api, Int, IntCell, Monitor, RawKsp, code, slice};
use precondor_core::comm::Comm;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};
use std::rc::Rc;

/// A Krylov method with its preconditioner: PETSc's `KSP`.
///
/// Methods that set something return the solver, so that they can be chained.
pub struct Ksp {
    raw: RawKsp,
    petsc: Petsc,
    ranks: Ranks,
    /// Own rows and columns of the operator.
    shape: Option<[usize; 2]>,
    /// Where PETSc's monitor finds the closure of the running solve; PETSc holds it too, until it
    /// forgets its monitors.
    slot: Option<Rc<Slot>>,
    monitor: Option<Box<Watcher<'static>>>,
}

/// Gets the iteration and the norm of the residual.
type Watcher<'w> = dyn FnMut(usize, f64) -> precondor_core::Result<()> + 'w;

/// When a solve stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// Fall of the norm of the residual, relative to that of the right-hand side.
    pub relative: f64,
    /// Norm of the residual.
    pub absolute: f64,
    /// Growth of the norm of the residual that counts as divergence.
    pub divergence: f64,
    /// Iterations allowed.
    pub iterations: usize,
}

/// PETSc's own.
impl Default for Tolerances {
    fn default() -> Self {
        Tolerances { relative: 1e-5, absolute: 1e-50, divergence: 1e5, iterations: 10_000 }
    }
}

/// Which norm of the residual is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// None: all allowed iterations are done.
    None = 0,
    /// That of M r.
    Preconditioned = 1,
    /// That of r.
    Unpreconditioned = 2,
    /// √⟨r, M r⟩.
    Natural = 3,
}

/// On which side of A the preconditioner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// M A x = M b.
    Left = 0,
    /// A M y = b, x = M y.
    Right = 1,
    /// On both, as its square root.
    Symmetric = 2,
}

/// Why a solve stopped: `KSPConvergedReason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// PETSc's number: positive where it converged, negative where it did not.
    pub code: i32,
    /// PETSc's name for it: `CONVERGED_RTOL`, `DIVERGED_ITS`.
    pub name: String,
}

impl Reason {
    /// Whether it converged.
    pub fn converged(&self) -> bool {
        self.code > 0
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Ksp {
    /// A solver. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn new(petsc: &Petsc, ranks: Ranks) -> Result<Ksp> {
        let petsc = petsc.clone();
        let mut ksp = Ksp { raw: null_mut(), petsc, ranks, shape: None, slot: None, monitor: None };
        let comm = ksp.petsc.raw_comm(ranks);
        // SAFETY: PETSc is initialised, a place of ours.
        unsafe { ksp.petsc.api().KSPCreate(comm, &mut ksp.raw)? };
        Ok(ksp)
    }

    /// The matrix A of the system, and the one that the preconditioner is made from: often the same.
    /// Collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] for matrices of other ranks or sizes; what PETSc reports.
    pub fn set_operators(&mut self, a: &Mat, p: &Mat) -> Result<&mut Self> {
        self.petsc.together("Ksp::set_operators", &[self.ranks, a.ranks, p.ranks])?;
        let shape = a.own_size();
        let fits = match shape == p.own_size() {
            true => Ok(()),
            false => Err(Error::misuse("Ksp::set_operators: the two matrices differ in size")),
        };
        self.petsc.agree(self.ranks, fits)?;
        // SAFETY: live objects of the same ranks; PETSc keeps the matrices.
        unsafe { self.petsc.api().KSPSetOperators(self.raw, a.raw, p.raw)? };
        self.shape = Some(shape);
        Ok(self)
    }

    /// The method: `"cg"`, `"gmres"`, `"bcgs"`, `"richardson"`… Collective.
    ///
    /// # Errors
    /// What PETSc reports for a type that it does not know.
    pub fn set_type(&mut self, name: &str) -> Result<&mut Self> {
        let name = checked(name)?;
        // SAFETY: a live solver, a C string.
        unsafe { self.petsc.api().KSPSetType(self.raw, name.as_ptr())? };
        Ok(self)
    }

    /// When to stop.
    ///
    /// # Errors
    /// What PETSc reports for numbers that make no sense.
    pub fn set_tolerances(&mut self, to: &Tolerances) -> Result<&mut Self> {
        let Tolerances { relative, absolute, divergence, iterations } = *to;
        let api = self.petsc.api();
        // PETSc counts with its integers; what does not fit stands for "no limit".
        let most = api.to_int(iterations).or_else(|_| api.to_int(i32::MAX))?;
        // SAFETY: a live solver.
        unsafe { api.KSPSetTolerances(self.raw, relative, absolute, divergence, most)? };
        Ok(self)
    }

    /// Which norm of the residual is watched; `PETSc` then chooses the side that has it.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set_norm(&mut self, norm: Norm) -> Result<&mut Self> {
        // SAFETY: a live solver; a number of PETSc's enumeration.
        unsafe { self.petsc.api().KSPSetNormType(self.raw, norm as c_int)? };
        Ok(self)
    }

    /// On which side the preconditioner stands.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set_side(&mut self, side: Side) -> Result<&mut Self> {
        // SAFETY: a live solver; a number of PETSc's enumeration.
        unsafe { self.petsc.api().KSPSetPCSide(self.raw, side as c_int)? };
        Ok(self)
    }

    /// Whether x holds an initial guess; zero is one otherwise.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set_guess_nonzero(&mut self, yes: bool) -> Result<&mut Self> {
        // SAFETY: a live solver.
        unsafe { self.petsc.api().KSPSetInitialGuessNonzero(self.raw, yes.into())? };
        Ok(self)
    }

    /// Whether the preconditioner stays as it is where the values of the operators change.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set_reuse_pc(&mut self, yes: bool) -> Result<&mut Self> {
        // SAFETY: a live solver.
        unsafe { self.petsc.api().KSPSetReusePreconditioner(self.raw, yes.into())? };
        Ok(self)
    }

    /// ω of the method `richardson`; others take no notice.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set_damping(&mut self, omega: f64) -> Result<&mut Self> {
        // SAFETY: a live solver.
        unsafe { self.petsc.api().KSPRichardsonSetScale(self.raw, omega)? };
        Ok(self)
    }

    /// Iterations between restarts of `gmres` and `fgmres`; others take no notice.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set_restart(&mut self, iterations: usize) -> Result<&mut Self> {
        let n = self.petsc.api().to_int(iterations)?;
        // SAFETY: a live solver.
        unsafe { self.petsc.api().KSPGMRESSetRestart(self.raw, n)? };
        Ok(self)
    }

    /// What the names of its options, and of its preconditioner's, start with.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set_prefix(&mut self, prefix: &str) -> Result<&mut Self> {
        let prefix = checked(prefix)?;
        // SAFETY: a live solver, a C string, which PETSc copies.
        unsafe { self.petsc.api().KSPSetOptionsPrefix(self.raw, prefix.as_ptr())? };
        Ok(self)
    }

    /// Takes what the options database says, for the preconditioner as well. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn set_from_options(&mut self) -> Result<&mut Self> {
        // SAFETY: a live solver.
        unsafe { self.petsc.api().KSPSetFromOptions(self.raw)? };
        Ok(self)
    }

    /// Calls `watch` with the iteration and the norm of the residual, before the first and after each
    /// iteration of every solve from now on; it takes the place of an earlier one. An error that it
    /// returns, and a panic in it, end the solve and come back from it as [`Error::Callback`], on all
    /// ranks: with several there is one more reduction an iteration.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn monitor(
        &mut self,
        watch: impl FnMut(usize, f64) -> precondor_core::Result<()> + 'static,
    ) -> Result<&mut Self> {
        self.slot()?;
        self.monitor = Some(Box::new(watch));
        Ok(self)
    }

    /// Keeps the norms of the residuals of up to `room` iterations of each solve for
    /// [`history`](Ksp::history).
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn keep_history(&mut self, room: usize) -> Result<&mut Self> {
        let room = self.petsc.api().to_int(room.max(1))?;
        // SAFETY: a live solver; null has PETSc set the room aside itself.
        unsafe { self.petsc.api().KSPSetResidualHistory(self.raw, null_mut(), room, 1)? };
        Ok(self)
    }

    /// Its preconditioner: another handle of the same object. Collective.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn pc(&self) -> Result<Pc> {
        let (api, mut raw) = (self.petsc.api(), null_mut());
        // SAFETY: a live solver, a place of ours; the reference is given back by the handle's drop.
        unsafe {
            api.KSPGetPC(self.raw, &mut raw)?;
            api.PetscObjectReference(raw.cast())?;
        }
        Ok(Pc { raw, petsc: self.petsc.clone(), ranks: self.ranks })
    }

    /// Sets method and preconditioner, its blocks included, up for the operators;
    /// [`solve`](Ksp::solve) does so where it was not done. Collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] without operators; what PETSc reports.
    pub fn set_up(&mut self) -> Result<&mut Self> {
        self.shape("Ksp::set_up")?;
        error::reported();
        // SAFETY: a live solver with operators.
        unsafe {
            self.petsc.api().KSPSetUp(self.raw)?;
            self.petsc.api().KSPSetUpOnBlocks(self.raw)?;
        }
        Ok(self)
    }

    /// Solves A x = b. Collective. Not to converge is no error: see the reason.
    ///
    /// # Errors
    /// [`Error::Misuse`] without operators, and for lengths or ranks that do not fit;
    /// [`Error::Callback`] with what a monitor or a preconditioner of ours reports; what PETSc
    /// reports.
    pub fn solve(&mut self, b: &Vec, x: &mut Vec) -> Result<Reason> {
        let Some(mut monitor) = self.monitor.take() else { return self.run(b, x) };
        let solved = self.watched(b, x, &mut *monitor);
        self.monitor = Some(monitor);
        solved
    }

    /// As [`solve`](Ksp::solve), watched by a closure for this solve alone. See
    /// [`monitor`](Ksp::monitor).
    ///
    /// # Errors
    /// As [`solve`](Ksp::solve).
    pub fn solve_watched(
        &mut self,
        b: &Vec,
        x: &mut Vec,
        mut watch: impl FnMut(usize, f64) -> precondor_core::Result<()>,
    ) -> Result<Reason> {
        self.watched(b, x, &mut watch)
    }

    fn watched(&mut self, b: &Vec, x: &mut Vec, watch: &mut Watcher<'_>) -> Result<Reason> {
        let slot = self.slot()?;
        let short: *mut Watcher<'_> = watch;
        // SAFETY: only the lifetime is changed. The closure is borrowed until this function returns,
        // and the pointer is taken out of the slot before.
        let long = unsafe { std::mem::transmute::<*mut Watcher<'_>, *mut Watcher<'static>>(short) };
        slot.watcher.set(Some(long));
        let solved = self.run(b, x);
        slot.watcher.set(None);
        if let Some((divergence, most)) = slot.stopped.take() {
            // SAFETY: a live solver.
            unsafe { limit(self.petsc.api(), self.raw, divergence, most)? };
        }
        solved
    }

    fn run(&mut self, b: &Vec, x: &mut Vec) -> Result<Reason> {
        self.petsc.together("Ksp::solve", &[self.ranks, b.ranks, x.ranks])?;
        let [rows, cols] = self.shape("Ksp::solve")?;
        let fits = match (b.n_own(), x.n_own()) {
            (n, m) if n == rows && m == cols => Ok(()),
            (n, m) => Err(Error::misuse(format!(
                "Ksp::solve: b and x have {n} and {m} own entries for {rows} rows, {cols} columns"
            ))),
        };
        self.petsc.agree(self.ranks, fits)?;
        error::reported();
        // SAFETY: live objects of the same ranks and of fitting lengths; b and x are not the same.
        unsafe { self.petsc.api().KSPSolve(self.raw, b.raw, x.raw)? };
        let told = error::reported().map_or(Ok(()), |e| Err(Error::Callback(e)));
        self.petsc.agree(self.ranks, told)?;
        self.reason()
    }

    /// Why the last solve stopped.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn reason(&self) -> Result<Reason> {
        let (api, mut code, mut name) = (self.petsc.api(), 0, null::<c_char>());
        // SAFETY: a live solver, places of ours; the name is PETSc's and copied at once.
        unsafe {
            api.KSPGetConvergedReason(self.raw, &mut code)?;
            api.KSPGetConvergedReasonString(self.raw, &mut name)?;
            let name = match name.is_null() {
                true => format!("reason {code}"),
                false => CStr::from_ptr(name).to_string_lossy().into_owned(),
            };
            Ok(Reason { code, name })
        }
    }

    /// Iterations of the last solve.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn iterations(&self) -> Result<usize> {
        let mut n = IntCell::default();
        // SAFETY: a live solver, a place of ours.
        unsafe { self.petsc.api().KSPGetIterationNumber(self.raw, &mut n)? };
        Ok(self.petsc.api().int(n).max(0) as usize)
    }

    /// The norm of the residual at the end of the last solve, the one that is watched.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn residual(&self) -> Result<f64> {
        let mut norm = 0.0;
        // SAFETY: a live solver, a place of ours.
        unsafe { self.petsc.api().KSPGetResidualNorm(self.raw, &mut norm)? };
        Ok(norm)
    }

    /// Norms of the residuals of the last solve; empty unless they are
    /// [kept](Ksp::keep_history).
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn history(&self) -> Result<std::vec::Vec<f64>> {
        let (api, mut at, mut count) = (self.petsc.api(), null(), IntCell::default());
        // SAFETY: a live solver, places of ours; the norms are PETSc's and copied at once.
        unsafe {
            api.KSPGetResidualHistory(self.raw, &mut at, &mut count)?;
            let count = if at.is_null() { 0 } else { api.int(count).max(0) };
            Ok(slice(at, count as usize).to_vec())
        }
    }

    /// The method's name, where one is set.
    ///
    /// # Errors
    /// What PETSc reports.
    pub fn type_name(&self) -> Result<Option<String>> {
        let mut name: *const c_char = null();
        // SAFETY: a live solver; the name is PETSc's and copied at once.
        unsafe {
            self.petsc.api().KSPGetType(self.raw, &mut name)?;
            Ok((!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned()))
        }
    }

    /// Shows it with its preconditioner and matrices. Collective.
    ///
    /// # Errors
    /// What PETSc reports; [`Error::Misuse`] for a viewer of other ranks.
    pub fn view(&self, to: &Viewer) -> Result<()> {
        self.petsc.together("Ksp::view", &[self.ranks, to.ranks])?;
        // SAFETY: live objects of the same ranks.
        Ok(unsafe { self.petsc.api().KSPView(self.raw, to.raw) }?)
    }

    fn shape(&self, what: &str) -> Result<[usize; 2]> {
        self.shape.ok_or_else(|| Error::misuse(format!("{what}: set_operators comes first")))
    }

    /// The place of the closure, which PETSc is told of where it does not hold it.
    fn slot(&mut self) -> Result<Rc<Slot>> {
        if let Some(slot) = self.slot.as_ref().filter(|slot| Rc::strong_count(slot) > 1) {
            return Ok(Rc::clone(slot));
        }
        let comm = self.petsc.comm(self.ranks).clone();
        let slot = Rc::new(Slot { watcher: Cell::new(None), stopped: Cell::new(None), comm });
        let monitor = Monitor { narrow: step_narrow, wide: step_wide };
        let free = Some(free_slot as unsafe extern "C" fn(*mut *mut c_void) -> c_int);
        let context = Rc::into_raw(Rc::clone(&slot)).cast_mut().cast();
        // SAFETY: a live solver; callbacks of the types that PETSc asks for. The context counts as a
        // holder of the slot from now on, until PETSc gives it to `free_slot`.
        unsafe { self.petsc.api().KSPMonitorSet(self.raw, monitor, context, free)? };
        self.slot = Some(Rc::clone(&slot));
        Ok(slot)
    }
}

/// What the context of the monitor points to.
struct Slot {
    /// The closure of the solve that runs.
    watcher: Cell<Option<*mut Watcher<'static>>>,
    /// The limits of divergence and iterations that the solve had before it was stopped.
    stopped: Cell<Option<(f64, Int)>>,
    comm: Comm,
}

unsafe extern "C" fn step_narrow(ksp: RawKsp, n: i32, norm: f64, context: *mut c_void) -> c_int {
    // SAFETY: PETSc calls with a live solver and the context that it was given.
    unsafe { step(ksp, n.into(), norm, context) }
}

unsafe extern "C" fn step_wide(ksp: RawKsp, n: i64, norm: f64, context: *mut c_void) -> c_int {
    // SAFETY: as above.
    unsafe { step(ksp, n, norm, context) }
}

/// # Safety
/// `ksp` is a live solver, `context` a live [`Slot`].
unsafe fn step(ksp: RawKsp, n: i64, norm: f64, context: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    let slot = unsafe { &*context.cast_const().cast::<Slot>() };
    // Out of its place for as long as it runs: a solve that it starts is watched by nobody.
    let Some(watcher) = slot.watcher.take() else { return 0 };
    let done = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the closure is borrowed by `watched`, which waits for the solve, and nobody else
        // has the pointer now.
        unsafe { (*watcher)(n.max(0) as usize, norm) }
    }));
    let mine = done.unwrap_or_else(|panic| Err(panicked(panic)));
    let Err(e) = slot.comm.agree(mine) else {
        slot.watcher.set(Some(watcher));
        return 0;
    };
    report(e);
    // SAFETY: the caller's promise.
    match unsafe { stop(ksp, n, slot) } {
        Ok(()) => 0,
        Err(_) => code::LIBRARY,
    }
}

/// Has a solve end by its limits: an error in the middle of `KSPSolve` would leave the solver and its
/// preconditioner in a state that they do not recover from.
///
/// # Safety
/// `ksp` is a live solver.
unsafe fn stop(ksp: RawKsp, n: i64, slot: &Slot) -> Result<()> {
    let api = Api::in_process()?;
    let (mut divergence, mut most) = (0.0, IntCell::default());
    // SAFETY: a live solver, places of ours or none.
    unsafe {
        api.KSPGetTolerances(ksp, null_mut(), null_mut(), &mut divergence, &mut most)?;
        slot.stopped.set(Some((divergence, api.to_int(api.int(most))?)));
        limit(api, ksp, 0.0, api.to_int(n.max(0))?)
    }
}

/// Sets two limits and leaves the other two.
///
/// # Safety
/// `ksp` is a live solver.
unsafe fn limit(api: &Api, ksp: RawKsp, divergence: f64, most: Int) -> Result<()> {
    let (mut relative, mut absolute) = (0.0, 0.0);
    // SAFETY: a live solver, places of ours or none.
    unsafe {
        api.KSPGetTolerances(ksp, &mut relative, &mut absolute, null_mut(), null_mut())?;
        Ok(api.KSPSetTolerances(ksp, relative, absolute, divergence, most)?)
    }
}

unsafe extern "C" fn free_slot(context: *mut *mut c_void) -> c_int {
    // SAFETY: PETSc hands back the context that `Ksp::slot` gave it, once.
    unsafe { drop(Rc::from_raw((*context).cast_const().cast::<Slot>())) };
    0
}

impl std::fmt::Debug for Ksp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.type_name().ok().flatten();
        write!(f, "Ksp({})", name.as_deref().unwrap_or("no type"))
    }
}

impl Drop for Ksp {
    fn drop(&mut self) {
        if !self.raw.is_null() && self.petsc.may_destroy() {
            // SAFETY: a live solver that nobody uses any more. Nobody can be told of a failure.
            let _ = unsafe { self.petsc.api().KSPDestroy(&mut self.raw) };
        }
    }
}
