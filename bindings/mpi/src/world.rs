//! Where MPI starts and ends.
use crate::communicator::Mpi;
use crate::family::{Family, check};
use mpi::environment::{self, Threading, Universe};
use mpi::ffi::{self, MPI_Comm};
use precondor_core::comm::{Communicator, panic_text};
use precondor_core::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// All ranks of the job: MPI runs from [`init`](World::init) to [`finish`](World::finish).
///
/// A world that is dropped without having been finished ends the job on all ranks: this one has left
/// without the others, who would wait for it.
pub struct World {
    mpi: Arc<Mpi>,
    /// Ends MPI when it is dropped; gone once the world is finished.
    universe: Option<Universe>,
}

impl World {
    /// Starts MPI, with threads of which only the calling one communicates. Collective.
    ///
    /// # Errors
    /// [`Error::Comm`] where MPI runs (or has run) already, or allows no threads.
    pub fn init() -> Result<World> {
        let started = environment::initialize_with_threading(Threading::Funneled);
        let Some((universe, level)) = started else {
            let why = "MPI was started by somebody else, and starts once only";
            return Err(Error::Comm(why.into()));
        };
        // SAFETY: MPI was just started by this thread, and `finish` closes the family first.
        let handle = unsafe { Family::found(ffi::RSMPI_COMM_WORLD)? };
        let world = World { mpi: Arc::new(Mpi::over(handle)), universe: Some(universe) };
        if level < Threading::Funneled {
            world.finish()?;
            let why = format!("{} allows no threads beside the one that communicates", library());
            return Err(Error::Comm(why));
        }
        Ok(world)
    }

    /// This rank.
    pub fn rank(&self) -> usize {
        self.mpi.rank()
    }

    /// Number of ranks.
    pub fn size(&self) -> usize {
        self.mpi.size()
    }

    /// The world as a communicator. Not collective: all that come from here are one and the same.
    pub fn communicator(&self) -> Arc<dyn Communicator> {
        self.mpi()
    }

    /// As [`communicator`](World::communicator), with what only MPI has.
    pub fn mpi(&self) -> Arc<Mpi> {
        Arc::clone(&self.mpi)
    }

    /// Number of ranks on this machine: those that share its memory. Collective.
    ///
    /// # Errors
    /// [`Error::Comm`] with what MPI reports.
    pub fn ranks_here(&self) -> Result<usize> {
        let raw = self.mpi.as_raw()?;
        let mut size = 0;
        // SAFETY: the communicator is live; the one made of it is freed again by all its ranks.
        unsafe {
            let (kind, info) = (ffi::RSMPI_COMM_TYPE_SHARED, ffi::RSMPI_INFO_NULL);
            let mut here = ffi::RSMPI_COMM_NULL;
            let code = ffi::MPI_Comm_split_type(raw, kind, 0, info, &mut here);
            check("MPI_Comm_split_type", code)?;
            check("MPI_Comm_size", ffi::MPI_Comm_size(here, &mut size))?;
            check("MPI_Comm_free", ffi::MPI_Comm_free(&mut here))?;
        }
        Ok(size as usize)
    }

    /// Ends the job on all ranks with `message`. Not collective.
    pub fn abort(&self, message: &str) -> ! {
        self.mpi.end(message)
    }

    /// Runs `f`; a panic in it ends the job on all ranks, with this rank and the text of the panic.
    pub fn guard<T>(&self, f: impl FnOnce() -> T) -> T {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(value) => value,
            Err(panic) => self.abort(&format!("panicked: {}", panic_text(panic))),
        }
    }

    /// Frees all communicators and ends MPI. Collective. What is left of this world reports an error
    /// from now on.
    ///
    /// # Errors
    /// [`Error::Comm`] with what MPI reports.
    pub fn finish(mut self) -> Result<()> {
        // On another thread nothing may be called; the drop that follows ends the job.
        let raw = self.mpi.as_raw()?;
        // In MPI_Finalize the abort of another rank may reach nobody any more (MPICH 4.0 waits there,
        // and so does the rank that aborts): enter it together.
        // SAFETY: the communicator is live.
        let met = check("MPI_Barrier", unsafe { ffi::MPI_Barrier(raw) });
        let freed = met.and(self.mpi.close());
        drop(self.universe.take());
        freed
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.universe.is_some() {
            self.abort("left without ending its world");
        }
    }
}

/// A world on a communicator that somebody else owns, such as PETSc's.
///
/// The communicator is duplicated; the original is neither kept nor freed. Dropping a foreign world
/// leaves its duplicate to `MPI_Finalize`; [`free`](Foreign::free) gives it back before.
pub struct Foreign {
    mpi: Arc<Mpi>,
}

impl Foreign {
    /// A world over a duplicate of `raw`. Collective over `raw`.
    ///
    /// # Safety
    /// `raw` is `MPI_COMM_NULL` or a live communicator of the MPI library that this program is
    /// linked with. MPI ends after [`free`](Foreign::free), or after the last use of this world.
    ///
    /// # Errors
    /// [`Error::Comm`] where MPI does not run, or not for this thread; for `MPI_COMM_NULL` and for
    /// an intercommunicator.
    pub unsafe fn from_raw(raw: MPI_Comm) -> Result<Foreign> {
        let fail = |why: &str| Err(Error::Comm(why.into()));
        if !environment::is_initialized() || environment::is_finalized() {
            return fail("MPI is not running");
        }
        // SAFETY: a constant of the library.
        if raw == unsafe { ffi::RSMPI_COMM_NULL } {
            return fail("the communicator is MPI_COMM_NULL");
        }
        let (mut main, mut inter) = (0, 0);
        // SAFETY: MPI is running, the communicator is live as the caller promises.
        unsafe {
            check("MPI_Is_thread_main", ffi::MPI_Is_thread_main(&mut main))?;
            check("MPI_Comm_test_inter", ffi::MPI_Comm_test_inter(raw, &mut inter))?;
        }
        if main == 0 && environment::threading_support() < Threading::Serialized {
            return fail("MPI belongs to the thread that started it; this is another one");
        }
        if inter != 0 {
            return fail(
                "the communicator is one between two groups; one within a group is needed",
            );
        }
        // SAFETY: the communicator is live, within one group, and this thread may call MPI.
        let handle = unsafe { Family::found(raw)? };
        Ok(Foreign { mpi: Arc::new(Mpi::over(handle)) })
    }

    /// The world as a communicator. Not collective: all that come from here are one and the same.
    pub fn communicator(&self) -> Arc<dyn Communicator> {
        self.mpi()
    }

    /// As [`communicator`](Foreign::communicator), with what only MPI has.
    pub fn mpi(&self) -> Arc<Mpi> {
        Arc::clone(&self.mpi)
    }

    /// Frees the duplicate and all that descend from it. Collective; before `MPI_Finalize`. What is
    /// left of this world reports an error from now on.
    ///
    /// # Errors
    /// [`Error::Comm`] with what MPI reports; where MPI has ended already.
    pub fn free(self) -> Result<()> {
        if environment::is_finalized() {
            return Err(Error::Comm("MPI has ended, and its communicators with it".into()));
        }
        self.mpi.close()
    }
}

/// Name and version of the MPI library that this program runs with, such as `Open MPI v4.1.4` or
/// `MPICH 4.0.2`. May be called at any time.
pub fn library() -> String {
    let text = environment::library_version().unwrap_or_else(|_| "an unnamed MPI library".into());
    let first = text.split(['\n', ',', '\0']).next().unwrap_or_default();
    let words = first.split_whitespace().filter(|word| *word != "Version:");
    words.collect::<Vec<_>>().join(" ")
}
