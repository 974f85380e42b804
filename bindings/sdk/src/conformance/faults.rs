//! One rank fails, or panics, in the middle of its communication: the others must hear of it.
use super::setting::{Kit, vector};
use precondor_core::comm::{Comm, Communicator, Exchange, HaloPlan, IN_COLLECTIVE, threads};
use precondor_core::matrix::Space;
use precondor_core::precond::{Generator, Preconditioner, Properties};
use precondor_core::registry::parameters;
use precondor_core::solver::{Algorithm, Criterion, Stop, solve};
use precondor_core::{Error, Result};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Ranks that the checks run on.
const RANKS: usize = 3;
/// What the failing rank says.
const SAYS: &str = "fails on purpose";

#[allow(missing_docs, reason = "the names of the tests say what they check")]
impl<G: Generator> Kit<G> {
    pub fn tells_all_ranks_of_a_failure_at_any_collective(&self) {
        let _watchdog = Watchdog::new();
        for guilty in 0..RANKS {
            let mut at = 0;
            while !self.fails_at(guilty, at) {
                // Every one of the first; of a long series, some.
                at += 1 + at / 24;
            }
        }
    }

    /// Lets rank `guilty` fail instead of its operation number `at` in `generate`; whether it had done
    /// all by then.
    fn fails_at(&self, guilty: usize, at: usize) -> bool {
        let ends = threads::run(RANKS, |backend| {
            let real = Comm::new(backend);
            let (comm, fuse) = Fused::comm(&real);
            let end = real.scope(|| {
                let system = self.spread(&Space::even(comm, self.n() as u64), |_, _, v| v);
                if real.rank() == guilty {
                    fuse.burn(at, Burns::Error);
                }
                let params = parameters::<G::Params>(&self.params)?;
                G::generate(&params, &system).map(|_| ())
            });
            real.scope(|| real.sum(&mut [1.0])).expect("all ranks go on together");
            end
        });
        if ends.iter().all(|end| end.is_ok()) {
            return true;
        }
        let root = |end: &Result<()>| end.clone().map_err(|e| e.root().clone());
        if matches!(root(&ends[guilty]), Err(Error::Unsupported(_))) {
            // It refuses so many ranks by itself.
            return true;
        }
        for (rank, end) in ends.iter().enumerate() {
            match root(end) {
                Err(Error::Data(text)) if rank == guilty => assert_eq!(text, SAYS),
                Err(Error::Elsewhere { rank: of, message }) if rank != guilty => {
                    assert!(of == guilty && message.contains(SAYS), "rank {of}: {message}");
                }
                other => panic!("rank {guilty} fails at {at}, rank {rank} ends with {other:?}"),
            }
        }
        false
    }

    pub fn ends_the_job_of_all_ranks_when_one_panics_in_apply(&self) {
        let _watchdog = Watchdog::new();
        for guilty in 0..RANKS {
            for at in 0.. {
                let ends = threads::run(RANKS, |backend| {
                    let real = Comm::new(backend);
                    let (comm, fuse) = Fused::comm(&real);
                    let system = self.spread(&Space::even(comm, self.n() as u64), |_, _, v| v);
                    let m = self.make(&system)?;
                    let at = (real.rank() == guilty).then_some(at);
                    let b = vector(system.a().n_own(), 1);
                    let (method, stop) = (Algorithm::Richardson { damping: 1.0 }, ONE_STEP);
                    let m = Inside { m, fuse, at };
                    let mut x = vec![0.0; b.len()];
                    let watch = &mut |_: &_| ControlFlow::Continue(());
                    solve(&method, system.a(), &m, &b, &mut x, &stop, watch).map(|_| ())
                });
                if ends.iter().all(|end| end.is_ok()) {
                    break;
                }
                if let Err(Error::Unsupported(_)) = &ends[guilty] {
                    break;
                }
                for (rank, end) in ends.into_iter().enumerate() {
                    let text = end.err().map(|e| e.to_string()).unwrap_or_default();
                    let told = text.contains(SAYS)
                        && (rank == guilty || text.contains(&format!("rank {guilty}")));
                    assert!(told, "rank {guilty} panics at {at}, rank {rank} ends with '{text}'");
                }
            }
        }
    }
}

const ONE_STEP: Stop<'static> = Stop {
    criterion: Criterion::RelativeResidual,
    tolerance: 0.0,
    max_iterations: 1,
    divergence: f64::INFINITY,
};

/// Ends the program where a check hangs.
struct Watchdog(#[allow(dead_code, reason = "its drop ends the watch")] Sender<()>);

impl Watchdog {
    fn new() -> Self {
        let (alive, watched) = channel();
        std::thread::spawn(move || {
            let limit = Duration::from_secs(600);
            if watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                eprintln!("a rank hangs: the others were not told of a failure");
                std::process::abort();
            }
        });
        Watchdog(alive)
    }
}

/// How the operation fails.
#[derive(Clone, Copy, PartialEq)]
enum Burns {
    Error,
    Panic,
}

/// Counts operations down, and fails instead of one of them.
#[derive(Default)]
struct Fuse {
    left: AtomicUsize,
    burns: Mutex<Option<Burns>>,
    /// In a scope of the method's own this rank has said that it takes part in the next operation: a rank
    /// that keeps the rules cannot fail there.
    promised: AtomicBool,
}

impl Fuse {
    /// The operation after the next `at` fails.
    fn burn(&self, at: usize, how: Burns) {
        self.left.store(at, Ordering::Relaxed);
        *self.burns.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
    }
    fn put_out(&self) {
        *self.burns.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
    /// Halves of an exchange fail by panics only: an application whose product with a matrix has an error
    /// is to go on communicating.
    fn pass_in_exchange(&self) -> Result<()> {
        let burns = *self.burns.lock().unwrap_or_else(PoisonError::into_inner);
        if burns == Some(Burns::Panic) { self.pass() } else { Ok(()) }
    }
    fn pass(&self) -> Result<()> {
        let mut burns = self.burns.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(how) = *burns else { return Ok(()) };
        if self.promised.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
            return Ok(());
        }
        *burns = None;
        drop(burns);
        assert!(how == Burns::Error, "{SAYS}");
        Err(Error::Data(SAYS.into()))
    }
}

/// A communicator that forwards to another one, as that of a loaded method does, until its fuse is
/// through.
struct Fused {
    inner: Comm,
    fuse: Arc<Fuse>,
}

impl Fused {
    fn comm(inner: &Comm) -> (Comm, Arc<Fuse>) {
        let fuse = Arc::<Fuse>::default();
        let fused = Fused { inner: inner.clone(), fuse: Arc::clone(&fuse) };
        (Comm::new(Arc::new(fused)), fuse)
    }
}

impl Communicator for Fused {
    fn rank(&self) -> usize {
        self.inner.rank()
    }
    fn size(&self) -> usize {
        self.inner.size()
    }
    fn gather_f64(&self, mine: &[f64], all: &mut [f64]) -> Result<()> {
        self.fuse.pass()?;
        self.inner.gather_f64(mine, all)
    }
    fn all_gather(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        self.fuse.pass()?;
        self.inner.all_gather(mine)
    }
    fn status(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        self.fuse.pass()?;
        self.fuse.promised.store(mine.first() == Some(&IN_COLLECTIVE), Ordering::Relaxed);
        self.inner.all_gather(mine)
    }
    fn all_to_all(&self, send: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        self.fuse.pass()?;
        self.inner.all_to_all(send)
    }
    fn exchange(&self, plan: HaloPlan) -> Result<Box<dyn Exchange>> {
        self.fuse.pass()?;
        let inner = self.inner.exchange(plan)?;
        Ok(Box::new(FusedExchange { inner, fuse: Arc::clone(&self.fuse) }))
    }
    fn duplicate(&self) -> Result<Arc<dyn Communicator>> {
        self.fuse.pass()?;
        let inner = self.inner.duplicate()?;
        Ok(Arc::new(Fused { inner, fuse: Arc::clone(&self.fuse) }))
    }
    fn abort(&self, message: &str) {
        self.inner.abort(message);
    }
    fn sum(&self, x: &mut [f64]) -> Result<()> {
        self.fuse.pass()?;
        self.inner.sum(x)
    }
    fn max(&self, x: &mut [f64]) -> Result<()> {
        self.fuse.pass()?;
        self.inner.max(x)
    }
}

struct FusedExchange {
    inner: Box<dyn Exchange>,
    fuse: Arc<Fuse>,
}

impl Exchange for FusedExchange {
    fn start(&self, own: &[f64]) -> Result<u64> {
        self.fuse.pass_in_exchange()?;
        self.inner.start(own)
    }
    fn finish(&self, token: u64, ghost: &mut [f64]) -> Result<()> {
        self.fuse.pass_in_exchange()?;
        self.inner.finish(token, ghost)
    }
}

/// A preconditioner that panics instead of operation `at` of an application.
struct Inside {
    m: Box<dyn Preconditioner>,
    fuse: Arc<Fuse>,
    at: Option<usize>,
}

impl Preconditioner for Inside {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        if let Some(at) = self.at {
            self.fuse.burn(at, Burns::Panic);
        }
        let applied = self.m.apply(r, z);
        self.fuse.put_out();
        applied
    }
    fn properties(&self) -> Properties {
        self.m.properties()
    }
    fn stored_entries(&self) -> usize {
        0
    }
    fn bytes(&self) -> usize {
        0
    }
}
