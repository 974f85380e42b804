//! Collective failure: all ranks succeed, or all fail with the first failing rank's message.
//!
//! Inside a [`Comm::scope`] every collective operation starts with a one-word status reduction.
//! A rank that leaves the scope with an error or a panic joins exactly one such reduction with
//! "failed"; the others learn of it from whichever collective they are in, as
//! [`Error::Elsewhere`]. The scope is then dead: its collectives return the same error without
//! communicating, and no rank joins a further reduction at its end. Scopes nest (a method that sets
//! up another one), each with a state of its own; ranks tell how deep they are, and a failure kills
//! all scopes down to the shallowest rank's, since that rank will not come to the ends of the
//! others.
//!
//! Outside a scope (a preconditioner's `apply`, the inner loop of a solver) collectives are bare.
use super::{Communicator, Exchange, HaloPlan};
use crate::{Error, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The communicator of a [`Space`](crate::matrix::Space): a [`Communicator`] with collective
/// failure. Cheap to clone; clones and duplicates share their scopes.
#[derive(Clone)]
pub struct Comm {
    backend: Arc<dyn Communicator>,
    guard: Arc<Guard>,
}

/// What a communicator and its duplicates share: a failure must reach ranks that are in an
/// operation of any of them, so all ask for the status in one place.
struct Guard {
    backend: Arc<dyn Communicator>,
    /// One entry a scope: `None` while alive, else what killed it.
    scopes: Mutex<Vec<Option<Error>>>,
}

/// What a rank says in a status reduction.
const IN_COLLECTIVE: u64 = 0;
const FINISHED: u64 = 1;
const FAILED: u64 = 2;

impl Comm {
    /// Wraps a world's communicator.
    pub fn new(backend: Arc<dyn Communicator>) -> Self {
        let guard = Guard { backend: Arc::clone(&backend), scopes: Mutex::default() };
        Comm { backend, guard: Arc::new(guard) }
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

    /// A communicator of the same ranks with messages of its own; scopes are shared. Collective.
    pub fn duplicate(&self) -> Result<Comm> {
        self.enter("duplicate")?;
        Ok(Comm { backend: self.backend.duplicate()?, guard: Arc::clone(&self.guard) })
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
        // Inside a dead scope nobody else is there to talk to.
        let inherited = self.lock().last().cloned().flatten();
        self.lock().push(inherited);
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

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Error>>> {
        self.guard.scopes.lock().unwrap_or_else(PoisonError::into_inner)
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
        let said = self.guard.backend.all_gather(&[mine, name, depth as u64])?;
        let killer = if let Some(rank) = said.iter().position(|s| s[0] == FAILED) {
            let text = message.bytes().map(u64::from).collect::<Vec<_>>();
            let bytes = &self.guard.backend.all_gather(&text)?[rank];
            let bytes: Vec<u8> = bytes.iter().map(|&b| b as u8).collect();
            Error::Elsewhere { rank, message: String::from_utf8_lossy(&bytes).into_owned() }
        } else if said.iter().any(|s| s[1] != said[0][1]) {
            Error::Comm(format!(
                "ranks disagree on what to do next: rank {} is at {what}, others elsewhere",
                self.rank()
            ))
        } else {
            return Ok(());
        };
        let shallowest = said.iter().map(|s| s[2] as usize).min().unwrap_or(depth);
        for scope in &mut self.lock()[shallowest.saturating_sub(1)..] {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads;

    /// Rank `culprit` fails before its `at`-th step; no rank may hang, all must learn of it.
    fn fails_everywhere(f: impl Fn(&Comm, &dyn Fn() -> Result<()>) -> Result<()> + Sync) {
        let steps = std::sync::atomic::AtomicUsize::new(0);
        threads::run(1, |backend| {
            let step = || {
                steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Ok(())
            };
            let comm = Comm::new(backend);
            assert_eq!(comm.scope(|| f(&comm, &step)), Ok(()));
        });
        let steps = steps.into_inner();
        assert!(steps > 0);
        for (ranks, at) in [2, 3].into_iter().flat_map(|r| (0..steps).map(move |at| (r, at))) {
            for culprit in 0..ranks {
                let ends = threads::run(ranks, |backend| {
                    let comm = Comm::new(backend);
                    let done = std::cell::Cell::new(0);
                    let step = || {
                        done.set(done.get() + 1);
                        match done.get() == at + 1 && comm.rank() == culprit {
                            true => Err(Error::Data("on purpose".into())),
                            false => Ok(()),
                        }
                    };
                    let end = comm.scope(|| f(&comm, &step));
                    // Nothing is left over: the next scope works.
                    let mut x = [1.0];
                    comm.scope(|| comm.sum(&mut x)).expect("alive");
                    assert_eq!(x[0], ranks as f64);
                    end
                });
                let text = "on purpose".to_owned();
                for (rank, end) in ends.into_iter().enumerate() {
                    let expected = match rank == culprit {
                        true => Error::Data(text.clone()),
                        false => match end {
                            // The failure of an inner scope, told as such on the way out.
                            Err(Error::Elsewhere { rank, .. }) if rank == culprit => continue,
                            _ => Error::Elsewhere { rank: culprit, message: text.clone() },
                        },
                    };
                    assert_eq!(end, Err(expected), "step {at}, rank {rank} of {ranks}");
                }
            }
        }
    }

    #[test]
    fn a_failure_before_any_collective_reaches_all_ranks() {
        fails_everywhere(|comm, step| {
            step()?;
            comm.sum(&mut [1.0])?;
            step()?;
            comm.all_gather(&[7])?;
            step()?;
            let other = comm.duplicate()?;
            step()?;
            other.sum(&mut [1.0])?;
            step()?;
            other.scope(|| {
                step()?;
                other.sum(&mut [1.0])
            })?;
            step()
        });
    }

    #[test]
    fn a_failure_outside_an_inner_scope_reaches_ranks_that_are_inside() {
        fails_everywhere(|comm, step| {
            step()?;
            comm.scope(|| {
                step()?;
                comm.sum(&mut [1.0])?;
                comm.scope(|| {
                    step()?;
                    comm.max(&mut [1.0])
                })?;
                step()
            })?;
            step()?;
            comm.sum(&mut [1.0])
        });
    }

    #[test]
    fn who_goes_on_after_a_failure_elsewhere_talks_to_nobody() {
        fails_everywhere(|comm, step| {
            let first = step().and_then(|()| comm.sum(&mut [1.0]));
            if matches!(first, Err(Error::Elsewhere { .. })) {
                comm.scope(|| comm.sum(&mut [1.0]))?;
            }
            first
        });
    }

    #[test]
    fn a_failure_between_the_two_halves_of_an_exchange_reaches_all_ranks() {
        fails_everywhere(|comm, step| {
            let (rank, size) = (comm.rank(), comm.size());
            let mut plan = HaloPlan::default();
            if size > 1 {
                plan.send.push(((rank + 1) % size, vec![0]));
                plan.recv.push(((rank + size - 1) % size, 0..1));
            }
            let link = comm.exchange(plan)?;
            step()?;
            let token = link.start(&[1.0])?;
            step()?;
            link.finish(token, &mut vec![0.0; usize::from(size > 1)])?;
            step()
        });
    }
}
