//! PETSc from Rust; see the [crate](crate).
mod error;
mod ksp;
mod mat;
mod options;
mod pc;
mod shell;
mod vec;
mod viewer;

pub use error::{Error, Result};
pub use ksp::{Ksp, Norm, Reason, Side, Tolerances};
pub use mat::{Info, Mat};
pub use options::Options;
pub use pc::Pc;
pub use vec::Vec;
pub use viewer::Viewer;

use crate::api::{Api, Bool, MPI_Comm, text};
use mpi::{environment, ffi};
use precondor_core::comm::Comm;
use precondor_mpi::Foreign;
use std::ffi::{c_char, c_int};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::null;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Which ranks share an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranks {
    /// All of the job: `PETSC_COMM_WORLD`. What is done with the object is collective.
    All,
    /// This one alone: `PETSC_COMM_SELF`.
    One,
}

/// PETSc, initialised; objects are made with it and keep it alive.
///
/// Clones are handles of the same. Neither it nor any object can leave its thread, as PETSc can be
/// used by one thread only:
///
/// ```compile_fail,E0277
/// fn leaves_its_thread<T: Send>() {}
/// leaves_its_thread::<precondor_petsc::Vec>();
/// ```
///
/// PETSc is finalised when the last handle and the last object are gone, or at the point that
/// [`finalize`](Petsc::finalize) marks, and then cannot be used again in the same process. Both are
/// collective. In a thread that panics nothing is destroyed or finalised, since other ranks would be
/// waited for: the job has to be ended.
#[derive(Clone)]
pub struct Petsc {
    session: Rc<Session>,
}

struct Session {
    api: &'static Api,
    world: Option<Foreign>,
    comms: [(MPI_Comm, Comm); 2],
    /// PETSc was initialised here, and not by somebody else in this process.
    ours: bool,
    /// `!Send` and `!Sync`.
    _thread: PhantomData<*const ()>,
}

/// What became of PETSc in this process.
static STATE: AtomicU8 = AtomicU8::new(NEVER);
const NEVER: u8 = 0;
const RUNNING: u8 = 1;
const OVER: u8 = 2;

impl Petsc {
    /// Initialises PETSc, with arguments as on a command line: `["-ksp_monitor", "-log_view"]`.
    /// Collective.
    ///
    /// The library is the one that is in the process already, else what the variable
    /// `PRECONDOR_PETSC` names, else that of `$PETSC_DIR/$PETSC_ARCH`, else one of the usual names
    /// that the system finds. PETSc's signal handler is not installed. Where PETSc has been initialised
    /// by somebody else, as in a Python process, it is used as it is and not finalised.
    ///
    /// # Errors
    /// [`Error::Misuse`] where it runs already, or has been finalised; [`Error::Other`] where no
    /// library is found, or none that can be used: the message says why.
    pub fn init<S: AsRef<str>>(arguments: &[S]) -> Result<Petsc> {
        Self::start(None, arguments)
    }

    /// As [`init`](Petsc::init), with the library of a given file.
    ///
    /// # Errors
    /// As [`init`](Petsc::init).
    pub fn init_from<S: AsRef<str>>(library: &Path, arguments: &[S]) -> Result<Petsc> {
        Self::start(Some(library), arguments)
    }

    fn start<S: AsRef<str>>(library: Option<&Path>, arguments: &[S]) -> Result<Petsc> {
        let began = STATE.compare_exchange(NEVER, RUNNING, Ordering::AcqRel, Ordering::Acquire);
        match began {
            Ok(_) => {}
            Err(RUNNING) => {
                let why = "PETSc runs in this process already: clone the handle that there is";
                return Err(Error::misuse(why));
            }
            Err(_) => {
                let why = "PETSc has been finalised in this process, and starts once only";
                return Err(Error::misuse(why));
            }
        }
        let session = Session::start(library, arguments);
        if session.is_err() {
            STATE.store(NEVER, Ordering::Release);
        }
        Ok(Petsc { session: Rc::new(session?) })
    }

    /// Finalises PETSc at this point. Collective.
    ///
    /// # Errors
    /// [`Error::Misuse`] where objects or other handles are alive: PETSc then goes on until the last of
    /// them is gone. What PETSc reports.
    pub fn finalize(self) -> Result<()> {
        let others = Rc::strong_count(&self.session) - 1;
        match Rc::try_unwrap(self.session) {
            Ok(mut session) => session.end(),
            Err(_) => Err(Error::misuse(format!(
                "{others} objects or handles of PETSc are alive; drop them before it is finalised"
            ))),
        }
    }

    /// Name, version and file of the library.
    pub fn version(&self) -> String {
        self.api().named()
    }

    /// This rank among all of the job.
    pub fn rank(&self) -> usize {
        self.comm(Ranks::All).rank()
    }

    /// Ranks of the job.
    pub fn size(&self) -> usize {
        self.comm(Ranks::All).size()
    }

    /// The ranks as Precondor knows them, for a [`Space`](precondor_core::matrix::Space) whose
    /// matrices become [`Mat`]s.
    pub fn comm(&self, ranks: Ranks) -> &Comm {
        &self.session.comms[ranks as usize].1
    }

    /// The options database.
    pub fn options(&self) -> Options {
        Options::of(self)
    }

    pub(crate) fn api(&self) -> &'static Api {
        self.session.api
    }

    pub(crate) fn raw_comm(&self, ranks: Ranks) -> MPI_Comm {
        self.session.comms[ranks as usize].0
    }

    /// All of `ranks` succeed or all fail: what one rank alone finds wrong must not leave the others
    /// waiting. Collective.
    pub(crate) fn agree<T>(&self, ranks: Ranks, mine: Result<T>) -> Result<T> {
        let comm = self.comm(ranks);
        if comm.size() == 1 {
            return mine;
        }
        let said = match &mine {
            Ok(_) => Ok(()),
            Err(e) => Err(precondor_core::Error::from(e.clone())),
        };
        let agreed = comm.agree(said);
        let value = mine?;
        agreed?;
        Ok(value)
    }

    /// Refuses objects of different ranks in one call.
    pub(crate) fn together(&self, what: &str, ranks: &[Ranks]) -> Result<()> {
        let same = ranks.windows(2).all(|pair| pair[0] == pair[1]);
        match same || self.size() == 1 {
            true => Ok(()),
            false => Err(Error::misuse(format!(
                "{what}: objects of all ranks and of one rank do not go together"
            ))),
        }
    }

    /// Whether objects may be destroyed: PETSc still runs, and this thread does not panic.
    pub(crate) fn may_destroy(&self) -> bool {
        !std::thread::panicking() && self.session.running()
    }
}

impl std::fmt::Debug for Petsc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Petsc({})", self.version())
    }
}

impl Session {
    fn start<S: AsRef<str>>(library: Option<&Path>, arguments: &[S]) -> Result<Session> {
        let api = Api::open(library)?;
        same_mpi(api)?;
        // SAFETY: a constant of the MPI library.
        let one = unsafe { ffi::RSMPI_COMM_SELF };
        if environment::is_initialized() && !environment::is_finalized() {
            // SAFETY: MPI runs, and this communicator lives as long. Made for the checks that are made
            // on the way: whether this thread may call MPI.
            unsafe { Foreign::from_raw(one)? };
        }
        let (mut yes, mut over) = (Bool::default(), Bool::default());
        // SAFETY: both may be asked at any time.
        unsafe {
            api.PetscInitialized(&mut yes)?;
            api.PetscFinalized(&mut over)?;
        }
        if over.get() {
            return Err(Error::misuse("PETSc has been finalised in this process by somebody else"));
        }
        let ours = !yes.get();
        if ours {
            initialize(api, arguments)?;
            // SAFETY: PETSc is initialised.
            unsafe { error::note_errors(api)? };
        }
        let all = api.comm_world()?;
        // SAFETY: PETSc's communicator lives until PETSc is finalised, and the world over it is freed
        // before, in `end`.
        let world = unsafe { Foreign::from_raw(all)? };
        let comm = Comm::new(world.communicator());
        let comms = [(all, comm), (one, Comm::solo())];
        Ok(Session { api, world: Some(world), comms, ours, _thread: PhantomData })
    }

    fn running(&self) -> bool {
        let mut over = Bool::default();
        // SAFETY: may be asked at any time.
        let asked = unsafe { self.api.PetscFinalized(&mut over) };
        asked.is_ok() && !over.get()
    }

    /// Finalises PETSc if it was initialised here. Collective.
    fn end(&mut self) -> Result<()> {
        let Some(world) = self.world.take() else { return Ok(()) };
        if !self.running() {
            STATE.store(OVER, Ordering::Release);
            return Ok(());
        }
        let freed = world.free();
        if self.ours {
            STATE.store(OVER, Ordering::Release);
            // SAFETY: PETSc is initialised, and no handle of this binding is left.
            unsafe {
                self.api.PetscPopErrorHandler()?;
                self.api.PetscFinalize()?;
            }
        } else {
            STATE.store(NEVER, Ordering::Release);
        }
        Ok(freed?)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // Whoever wants to know calls `finalize`.
            let _ = self.end();
        }
    }
}

/// Hands PETSc its command line, which it keeps using until the end.
fn initialize<S: AsRef<str>>(api: &Api, arguments: &[S]) -> Result<()> {
    let given = arguments.iter().map(AsRef::as_ref);
    let all = ["precondor", "-no_signal_handler"].into_iter().chain(given);
    let mut line: std::vec::Vec<*mut c_char> = all.map(|word| text(word).into_raw()).collect();
    let count: &mut c_int = Box::leak(Box::new(line.len() as c_int));
    line.push(std::ptr::null_mut());
    let first = Box::leak(Box::new(line.leak().as_mut_ptr()));
    // SAFETY: count and words live for ever; no file of options and no help text is given.
    Ok(unsafe { api.PetscInitialize(count, first, null(), null()) }?)
}

/// Refuses a PETSc that runs with another MPI library than this program.
fn same_mpi(api: &Api) -> Result<()> {
    let family = |name: &str| ["Open MPI", "MPICH", "Intel"].iter().position(|f| name.contains(f));
    let (ours, theirs) = (precondor_mpi::library(), api.mpi().unwrap_or_default());
    match (family(&ours), family(&theirs)) {
        (Some(a), Some(b)) if a != b => Err(Error::Other(precondor_core::Error::Plugin(format!(
            "{} runs with {theirs}, and this program with {ours}; build it with the same MPI (MPICC \
             names its compiler), or let PRECONDOR_PETSC name a PETSc that fits",
            api.named()
        )))),
        _ => Ok(()),
    }
}
