//! Collective failure: all ranks succeed, or all fail with the first failing rank's message.
//!
//! Inside a [`Comm::scope`] every collective operation starts with a one-word status reduction.
//! A rank that leaves the scope with an error or a panic joins exactly one such reduction with
//! "failed"; the others learn of it from whichever collective they are in, as
//! [`Error::Elsewhere`]. The scope is then dead: its collectives return the same error without
//! communicating, and no rank joins a further reduction at its end.
//!
//! Scopes nest (a method that sets up another one). A rank may fail in an outer scope while others
//! are in an inner one already, so the depth goes along in the reduction: every scope from the
//! shallowest that any rank is in dies, on all ranks alike. Duplicates of a communicator share its
//! scopes and its status reductions, so that a failure also reaches ranks that are busy in another
//! duplicate.
//!
//! Outside a scope (a preconditioner's `apply`, the inner loop of a solver) collectives are bare.
use super::{Communicator, Exchange, HaloPlan};
use crate::{Error, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The communicator of a [`Space`](crate::matrix::Space): a [`Communicator`] with collective
/// failure. Cheap to clone; clones share their scopes.
#[derive(Clone)]
pub struct Comm {
    backend: Arc<dyn Communicator>,
    scopes: Arc<Scopes>,
}

/// The scopes that a communicator and its duplicates are in.
struct Scopes {
    /// Where their status reductions go, whichever duplicate asks for one.
    backend: Arc<dyn Communicator>,
    /// One entry a scope, outermost first: `None` while alive, else what killed it.
    state: Mutex<Vec<Option<Error>>>,
}

/// The first word of a [status](Communicator::status) where a rank says that it takes part in the next operation.
pub const IN_COLLECTIVE: u64 = 0;
const FINISHED: u64 = 1;
const FAILED: u64 = 2;

impl Comm {
    /// Wraps a world's communicator.
    pub fn new(backend: Arc<dyn Communicator>) -> Self {
        let scopes = Scopes { backend: Arc::clone(&backend), state: Mutex::default() };
        Comm { backend, scopes: Arc::new(scopes) }
    }

    /// One rank.
    pub fn solo() -> Self {
        Comm::new(Arc::new(super::Solo))
    }

    /// This rank.
    pub fn rank(&self) -> usize {
        self.backend.rank()
    }

    /// Number of ranks.
    pub fn size(&self) -> usize {
        self.backend.size()
    }

    /// A communicator of the same ranks whose messages never mix with those of this one; scopes
    /// are shared. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn duplicate(&self) -> Result<Comm> {
        self.enter("duplicate")?;
        Ok(Comm { backend: self.backend.duplicate()?, scopes: Arc::clone(&self.scopes) })
    }

    /// Whether `here` is true on any rank. Collective: a maximum of one number.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn any(&self, here: bool) -> Result<bool> {
        let mut any = [f64::from(u8::from(here))];
        self.max(&mut any)?;
        Ok(any[0] > 0.0)
    }

    /// Bytes that rank `root` brings, on all ranks; those of the others do not count. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn broadcast(&self, root: usize, bytes: Vec<u8>) -> Result<Vec<u8>> {
        if self.size() == 1 {
            return Ok(bytes);
        }
        let mut send = vec![Vec::new(); self.size()];
        if self.rank() == root {
            send.fill(bytes);
        }
        Ok(self.all_to_all(&send)?.swap_remove(root))
    }

    /// Ends the job on all ranks. See [`Communicator::abort`].
    pub fn abort(&self, message: &str) {
        self.backend.abort(message);
    }

    /// Runs `f` so that it succeeds on all ranks or fails on all ranks. Collective.
    ///
    /// A panic in `f` becomes [`Error::Panicked`].
    ///
    /// # Errors
    /// This rank's own error where it has one, else [`Error::Elsewhere`] with the first failing
    /// rank's.
    pub fn scope<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        self.lock().push(None);
        let mine = catch_unwind(AssertUnwindSafe(f))
            .unwrap_or_else(|panic| Err(Error::Panicked(panic_text(panic))));
        let dead = self.lock().last().cloned().flatten();
        let agreed = match (&mine, dead) {
            (_, Some(killer)) => Err(killer),
            (Ok(_), None) => self.status(FINISHED, "the end of the scope", ""),
            (Err(e), None) => self.status(FAILED, "", &e.to_string()),
        };
        self.lock().pop();
        mine.and_then(|value| agreed.map(|()| value))
    }

    /// The same exchange, guarded by the scope that its halves are called in.
    pub fn guarded(&self, inner: Arc<dyn Exchange>) -> Arc<dyn Exchange> {
        Arc::new(Guarded { comm: self.clone(), inner })
    }

    /// All ranks succeed, or all fail: hands `mine` back where every rank has `Ok`. Collective.
    pub fn agree<T>(&self, mine: Result<T>) -> Result<T> {
        self.scope(|| mine)
    }

    /// As [`agree`](Self::agree), but every rank that has an error of its own too gets the first rank's:
    /// what is said of a row is then said of the first of all rows. Collective.
    ///
    /// # Errors
    /// The first failing rank's: there its own, elsewhere [`Error::Elsewhere`].
    pub fn agree_first<T>(&self, mine: Result<T>) -> Result<T> {
        self.agree_first_adding(mine, || Ok(String::new()))
    }

    /// The same, and what `more` says is added to the first error, as far as it is
    /// [`Error::Unsupported`]: called on all ranks where one fails, so that it may be collective.
    ///
    /// # Errors
    /// As [`agree_first`](Self::agree_first); those of `more`.
    pub fn agree_first_adding<T>(
        &self,
        mine: Result<T>,
        more: impl FnOnce() -> Result<String>,
    ) -> Result<T> {
        let text = match &mine {
            Ok(_) => Vec::new(),
            // A word that says so, since an error may have no text.
            Err(e) => std::iter::once(1).chain(e.to_string().bytes().map(u64::from)).collect(),
        };
        let said = self.all_gather(&text)?;
        let Some(rank) = said.iter().position(|text| !text.is_empty()) else { return mine };
        let more = more()?;
        if rank != self.rank() {
            let bytes: Vec<u8> = said[rank][1..].iter().map(|&b| b as u8).collect();
            let message = String::from_utf8_lossy(&bytes).into_owned() + &more;
            return Err(Error::Elsewhere { rank, message });
        }
        mine.map_err(|error| match error {
            Error::Unsupported(why) => Error::Unsupported(why + &more),
            other => other,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Error>>> {
        self.scopes.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The status reduction before the collective `what`, where a scope asks for one.
    fn enter(&self, what: &'static str) -> Result<()> {
        match self.lock().last() {
            None => return Ok(()),
            Some(Some(killer)) => return Err(killer.clone()),
            Some(None) => {}
        }
        self.status(IN_COLLECTIVE, what, "")
    }

    fn status(&self, mine: u64, what: &str, message: &str) -> Result<()> {
        if self.size() == 1 {
            return Ok(());
        }
        // Ranks in different operations would read each other's data: the name goes along.
        let name = what.bytes().fold(0u64, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        let depth = self.lock().len();
        let said = self.scopes.backend.status(&[mine, name, depth as u64])?;
        if said.len() != self.size() || said.iter().any(|words| words.len() != 3) {
            return Err(Error::Comm("a status reduction gave other words than went in".into()));
        }
        let killer = if let Some(rank) = said.iter().position(|s| s[0] == FAILED) {
            let text = message.bytes().map(u64::from).collect::<Vec<_>>();
            let bytes = &self.scopes.backend.status(&text)?[rank];
            let bytes: Vec<u8> = bytes.iter().map(|&b| b as u8).collect();
            Error::Elsewhere { rank, message: String::from_utf8_lossy(&bytes).into_owned() }
        } else if said.iter().any(|s| s[1..] != said[0][1..]) {
            Error::Comm(format!(
                "ranks disagree on what to do next: rank {} is at {what}, others elsewhere",
                self.rank()
            ))
        } else {
            return Ok(());
        };
        let shallowest = said.iter().map(|s| s[2] as usize).min().unwrap_or(depth);
        for scope in self.lock().iter_mut().skip(shallowest.saturating_sub(1)) {
            scope.get_or_insert_with(|| killer.clone());
        }
        Err(killer)
    }
}

/// The same operations, each guarded by the scope it is called in.
impl Communicator for Comm {
    fn rank(&self) -> usize {
        self.backend.rank()
    }
    fn size(&self) -> usize {
        self.backend.size()
    }
    fn gather_f64(&self, mine: &[f64], all: &mut [f64]) -> Result<()> {
        self.enter("gather_f64")?;
        self.backend.gather_f64(mine, all)
    }
    fn all_gather(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        self.enter("all_gather")?;
        self.backend.all_gather(mine)
    }
    fn all_to_all(&self, send: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        self.enter("all_to_all")?;
        self.backend.all_to_all(send)
    }
    fn exchange(&self, plan: HaloPlan) -> Result<Box<dyn Exchange>> {
        self.enter("exchange")?;
        let inner = Arc::from(self.backend.exchange(plan)?);
        Ok(Box::new(Guarded { comm: self.clone(), inner }))
    }
    fn duplicate(&self) -> Result<Arc<dyn Communicator>> {
        Ok(Arc::new(Comm::duplicate(self)?))
    }
    fn abort(&self, message: &str) {
        self.backend.abort(message);
    }
    fn sum(&self, x: &mut [f64]) -> Result<()> {
        self.enter("sum")?;
        self.backend.sum(x)
    }
    fn max(&self, x: &mut [f64]) -> Result<()> {
        self.enter("max")?;
        self.backend.max(x)
    }
}

struct Guarded {
    comm: Comm,
    inner: Arc<dyn Exchange>,
}

impl Exchange for Guarded {
    fn start(&self, own: &[f64]) -> Result<u64> {
        self.comm.enter("exchange start")?;
        self.inner.start(own)
    }
    fn finish(&self, token: u64, ghost: &mut [f64]) -> Result<()> {
        self.comm.enter("exchange finish")?;
        self.inner.finish(token, ghost)
    }
}

/// The text of a panic that was caught; the panic's payload is leaked, because its destructor could
/// panic in turn.
pub fn panic_text(panic: Box<dyn Any + Send>) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or(panic.downcast_ref::<&str>().copied())
        .unwrap_or("(no message)")
        .to_owned();
    std::mem::forget(panic);
    text
}
