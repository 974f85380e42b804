//! What belongs to a PC of ours: by its address, for as long as it has one of our types.
use super::explicit::Shown;
use super::grid::Layout;
use super::known::Places;
use super::settings::Settings;
use crate::api::{Api, MPI_Comm, RawPc};
use precondor_core::comm::Comm;
use precondor_core::config::MethodConfig;
use precondor_core::instance::{Instance, Kept};
use precondor_core::{Error, Result};
use precondor_mpi::Foreign;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Everything about one PC.
pub(super) struct Context {
    /// The method that the name of the type stands for: `precondor_spai` is `spai`.
    pub(super) fixed: Option<String>,
    /// What the options say; none before they are read.
    pub(super) settings: Option<Settings>,
    /// The preconditioner; none before the first setup.
    pub(super) built: Option<Built>,
    /// Where the nodes are, where the PC was told.
    pub(super) places: Option<Places>,
    /// Why the last setup, or an application since, failed.
    pub(super) failure: Option<String>,
    world: Option<World>,
}

/// The preconditioner of the matrices that a PC gets one after the other.
pub(super) struct Built {
    /// M, made anew as options say.
    pub(super) kept: Kept,
    /// How often it was applied since the last solve that was told of.
    pub(super) applied: Cell<usize>,
    /// What it was made with, the folder that file names start at, and the grid.
    pub(super) with: (MethodConfig, PathBuf, Option<Layout>),
    /// Own rows of the last matrix.
    pub(super) n: usize,
    /// Entries of that matrix, on all ranks.
    pub(super) nnz: u64,
    /// M as a matrix of PETSc, where options ask for it.
    pub(super) shown: Option<Shown>,
}

/// The ranks of a PC.
struct World {
    comm: Comm,
    /// None for one rank, which needs no MPI.
    foreign: Option<Foreign>,
}

impl Context {
    pub(super) fn new(fixed: Option<String>) -> Self {
        Context { fixed, settings: None, built: None, places: None, failure: None, world: None }
    }

    /// M; none before a setup and after one that failed.
    pub(super) fn m(&self) -> Option<&dyn Instance> {
        self.built.as_ref()?.kept.m()
    }

    /// The ranks of the PC, whose communicator is `comm`. Collective.
    ///
    /// # Safety
    /// PETSc is initialised, and `comm` is the communicator of this context's PC.
    pub(super) unsafe fn comm(&mut self, api: &Api, comm: MPI_Comm) -> Result<Comm> {
        if let Some(world) = &self.world {
            return Ok(world.comm.clone());
        }
        // SAFETY: the caller's promise. The world is freed when the PC is destroyed, which PETSc does
        // before MPI ends.
        let world = unsafe {
            match api.place_in(comm)? {
                (_, 1) => World { comm: Comm::solo(), foreign: None },
                _ => {
                    let foreign = Foreign::from_raw(comm)?;
                    World { comm: Comm::new(foreign.communicator()), foreign: Some(foreign) }
                }
            }
        };
        Ok(self.world.insert(world).comm.clone())
    }

    /// Gives everything back, the communicators last. Collective.
    ///
    /// # Safety
    /// PETSc and MPI are running.
    pub(super) unsafe fn free(mut self, api: &Api) -> super::callback::Done {
        if let Some(shown) = self.built.as_mut().and_then(|built| built.shown.take()) {
            // SAFETY: the caller's promise.
            unsafe { shown.destroy(api)? };
        }
        let foreign = self.world.take().and_then(|world| world.foreign);
        drop(self);
        Ok(foreign.map_or(Ok(()), Foreign::free)?)
    }
}

/// The contexts of all PCs, by address.
static ALL: Mutex<BTreeMap<usize, Arc<Mutex<Context>>>> = Mutex::new(BTreeMap::new());

fn all() -> MutexGuard<'static, BTreeMap<usize, Arc<Mutex<Context>>>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives `pc` a context; the one that was there before, if any, comes back.
pub(super) fn insert(pc: RawPc, context: Context) -> Option<Context> {
    alone(all().insert(pc.addr(), Arc::new(Mutex::new(context))))
}

/// Takes the context of `pc` away.
pub(super) fn remove(pc: RawPc) -> Option<Context> {
    alone(all().remove(&pc.addr()))
}

fn alone(context: Option<Arc<Mutex<Context>>>) -> Option<Context> {
    let context = Arc::into_inner(context?)?;
    Some(context.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Runs `f` with the context of `pc`.
///
/// # Errors
/// [`Error::Data`] where it has none, or is in use: PETSc came back to it from within.
pub(super) fn with<T>(
    pc: RawPc,
    f: impl FnOnce(&mut Context) -> super::callback::Done<T>,
) -> super::callback::Done<T> {
    let none = || Error::Data("this PC has no context: it was destroyed or changed".into());
    let context = all().get(&pc.addr()).cloned().ok_or_else(none)?;
    let mut context = match context.try_lock() {
        Ok(context) => context,
        Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(std::sync::TryLockError::WouldBlock) => {
            return Err(Error::Data("this PC is in use already".into()).into());
        }
    };
    f(&mut context)
}

/// PCs of our types that are alive in this process.
pub fn live() -> usize {
    all().len()
}
