//! A communicator and its duplicates: who may use them, and when they are freed.
use mpi::environment;
use mpi::ffi::{self, MPI_Comm};
use precondor_core::{Error, Result};
use std::os::raw::{c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::ThreadId;

/// The communicators that descend from one world.
pub(crate) struct Family {
    /// Who may call MPI for them.
    thread: ThreadId,
    open: AtomicBool,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    /// In the order in which all ranks made them.
    all: Vec<(Raw, Weak<Handle>)>,
    /// Number of members at which the unused ones are looked for.
    look_at: usize,
}

/// Members, at least, before the unused ones are looked for.
const PATIENCE: usize = 32;

/// A handle of MPI: a pointer or a number, as the library has it.
#[derive(Clone, Copy)]
pub(crate) struct Raw(pub(crate) MPI_Comm);

// SAFETY: the handle is only a name; it is handed to MPI by the family's thread alone, which
// `Family::enter` checks before every call.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

/// A communicator of the family; held by everything that uses it.
pub(crate) struct Handle {
    raw: Raw,
    pub(crate) family: Arc<Family>,
    pub(crate) rank: usize,
    pub(crate) size: usize,
}

impl Family {
    /// A family that starts with a duplicate of `raw`. Collective.
    ///
    /// # Safety
    /// MPI is running, `raw` is a live intracommunicator, and the calling thread is one that the
    /// level of threads MPI was started with allows to call it.
    pub(crate) unsafe fn found(raw: MPI_Comm) -> Result<Arc<Handle>> {
        let family = Arc::new(Family {
            thread: std::thread::current().id(),
            open: AtomicBool::new(true),
            members: Mutex::new(Members { all: Vec::new(), look_at: PATIENCE }),
        });
        // SAFETY: as the caller promises.
        unsafe { family.adopt(raw) }
    }

    /// A duplicate of `raw`. Collective.
    ///
    /// # Safety
    /// As [`found`](Family::found).
    unsafe fn adopt(self: &Arc<Self>, raw: MPI_Comm) -> Result<Arc<Handle>> {
        // SAFETY: the null handle is replaced by the call.
        let mut new = unsafe { ffi::RSMPI_COMM_NULL };
        let (mut rank, mut size) = (0, 0);
        // SAFETY: `raw` is live (the caller's promise), the places to write to are our own.
        unsafe {
            check("MPI_Comm_dup", ffi::MPI_Comm_dup(raw, &mut new))?;
            let quiet = ffi::MPI_Comm_set_errhandler(new, ffi::RSMPI_ERRORS_RETURN);
            check("MPI_Comm_set_errhandler", quiet)?;
            check("MPI_Comm_rank", ffi::MPI_Comm_rank(new, &mut rank))?;
            check("MPI_Comm_size", ffi::MPI_Comm_size(new, &mut size))?;
        }
        let (family, raw) = (Arc::clone(self), Raw(new));
        let handle = Arc::new(Handle { raw, family, rank: rank as usize, size: size as usize });
        self.members().all.push((raw, Arc::downgrade(&handle)));
        Ok(handle)
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this thread may call MPI for the family.
    pub(crate) fn enter(&self) -> Result<()> {
        let fail = |why: &str| Err(Error::Comm(why.into()));
        if std::thread::current().id() != self.thread {
            return fail("MPI belongs to the thread that started it; this is another one");
        }
        match self.open.load(Ordering::Relaxed) {
            // Who owns MPI may end it before all worlds on it are freed.
            true if environment::is_finalized() => fail("MPI has ended"),
            true => Ok(()),
            false => fail("this communicator was freed when its world ended"),
        }
    }

    /// Frees all communicators. Collective.
    pub(crate) fn close(&self) -> Result<()> {
        self.enter()?;
        self.open.store(false, Ordering::Relaxed);
        let all = std::mem::take(&mut self.members().all);
        // The first one is what the others were made from, and goes last.
        all.into_iter().rev().try_for_each(|(raw, _)| free(raw))
    }

    /// Frees members that no rank uses any more, where it is time to look. Collective: members are
    /// the same on all ranks, and so is the time.
    fn collect(&self, over: &Handle) -> Result<()> {
        let mut members = self.members();
        if members.all.len() < members.look_at {
            return Ok(());
        }
        let unused = |(_, handle): &(Raw, Weak<Handle>)| u8::from(handle.strong_count() == 0);
        let mine: Vec<u8> = members.all.iter().map(unused).collect();
        let mut everywhere = mine.clone();
        // SAFETY: the two lists have a byte for each member, as many on all ranks; the handle is
        // live.
        unsafe {
            let code = ffi::MPI_Allreduce(
                mine.as_ptr().cast(),
                everywhere.as_mut_ptr().cast(),
                count(mine.len())?,
                ffi::RSMPI_UINT8_T,
                ffi::RSMPI_MIN,
                over.raw.0,
            );
            check("MPI_Allreduce", code)?;
        }
        let mut unused = everywhere.iter().map(|&flag| flag == 1);
        let mut gone = Vec::new();
        members.all.retain(|(raw, _)| {
            let unused = unused.next() == Some(true);
            gone.extend(unused.then_some(*raw));
            !unused
        });
        members.look_at = PATIENCE.max(2 * members.all.len());
        gone.into_iter().try_for_each(free)
    }
}

impl Handle {
    /// The handle for a call of MPI by this thread.
    pub(crate) fn raw(&self) -> Result<MPI_Comm> {
        self.family.enter()?;
        Ok(self.raw.0)
    }

    /// Another communicator of the same ranks. Collective.
    pub(crate) fn duplicate(&self) -> Result<Arc<Handle>> {
        let raw = self.raw()?;
        self.family.collect(self)?;
        // SAFETY: the handle is live, as the family is open and this one in use.
        unsafe { self.family.adopt(raw) }
    }
}

fn free(Raw(mut raw): Raw) -> Result<()> {
    // SAFETY: the family made this communicator, is open or just closing, and forgets it.
    check("MPI_Comm_free", unsafe { ffi::MPI_Comm_free(&mut raw) })
}

/// The value of a call of MPI as a result.
pub(crate) fn check(call: &str, code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    let mut text = vec![0u8; ffi::MPI_MAX_ERROR_STRING as usize + 1];
    let mut length = 0;
    // SAFETY: the library writes at most MPI_MAX_ERROR_STRING bytes.
    let known =
        unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr().cast::<c_char>(), &mut length) };
    text.truncate(usize::try_from(length).unwrap_or(0));
    let text = String::from_utf8_lossy(&text);
    Err(Error::Comm(match known {
        0 => format!("{call}: {text}"),
        _ => format!("{call}: error {code}"),
    }))
}

/// A number of items as MPI counts them.
pub(crate) fn count(n: usize) -> Result<c_int> {
    c_int::try_from(n)
        .map_err(|_| Error::Comm(format!("{n} items in one message; MPI counts to 2³¹ − 1")))
}
