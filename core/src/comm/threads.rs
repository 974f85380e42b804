//! Ranks as threads of one process: `mpirun` for tests, and for one machine without MPI.
use super::{Communicator, Exchange, HaloPlan, no_such_exchange};
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

/// Runs `f` on `n` ranks and returns their results in rank order.
///
/// # Panics
/// With the panic of the rank that panicked first; the others leave their collectives with
/// [`Error::Comm`], so nothing hangs.
pub fn run<T: Send>(n: usize, f: impl Fn(Arc<dyn Communicator>) -> T + Sync) -> Vec<T> {
    let world = World::new(n);
    let results: Vec<_> = std::thread::scope(|scope| {
        let ranks: Vec<_> = (0..n)
            .map(|rank| {
                let (world, f) = (Arc::clone(&world), &f);
                scope.spawn(move || {
                    let comm = Arc::new(Threads { rank, world: Arc::clone(&world) });
                    catch_unwind(AssertUnwindSafe(|| f(comm))).inspect_err(|panic| {
                        let text = panic.downcast_ref::<String>().map(String::as_str);
                        let text = text.or(panic.downcast_ref::<&str>().copied());
                        let text = text.unwrap_or("(no message)");
                        world.cancel(rank, format!("rank {rank} panicked: {text}"));
                    })
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap_or_else(Err)).collect()
    });
    let culprit = lock(&world.barrier).cancelled.as_ref().map(|(rank, _)| *rank);
    let mut done = Vec::with_capacity(n);
    let mut panics = Vec::new();
    for (rank, result) in results.into_iter().enumerate() {
        match result {
            Ok(value) => done.push(value),
            Err(panic) => panics.push((Some(rank) != culprit, panic)),
        }
    }
    panics.sort_by_key(|(is_other, _)| *is_other);
    match panics.into_iter().next() {
        Some((_, panic)) => resume_unwind(panic),
        None => done,
    }
}

/// What one rank shows the others between two barriers.
#[derive(Default)]
struct Slot {
    /// The operation that this rank is in.
    what: &'static str,
    reals: Vec<f64>,
    words: Vec<u64>,
    bytes: Vec<Vec<u8>>,
}

struct World {
    slots: Vec<Mutex<Slot>>,
    barrier: Mutex<Barrier>,
    moved: Condvar,
    /// Worlds made by `duplicate`, in the order in which all ranks made them; their members keep
    /// them alive.
    children: Mutex<Vec<Weak<World>>>,
    made: Vec<AtomicU64>,
    parent: Option<Arc<World>>,
}

#[derive(Default)]
struct Barrier {
    waiting: usize,
    round: u64,
    /// The rank that ended the job, and why.
    cancelled: Option<(usize, String)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn new(n: usize) -> Arc<Self> {
        Self::below(n, None)
    }

    fn below(n: usize, parent: Option<Arc<World>>) -> Arc<Self> {
        Arc::new(World {
            slots: (0..n).map(|_| Mutex::default()).collect(),
            barrier: Mutex::default(),
            moved: Condvar::new(),
            children: Mutex::default(),
            made: (0..n).map(|_| AtomicU64::new(0)).collect(),
            parent,
        })
    }

    /// Waits for all ranks; fails at once where the job was cancelled.
    fn wait(&self) -> Result<()> {
        let mut b = lock(&self.barrier);
        let round = b.round;
        b.waiting += 1;
        if b.waiting == self.slots.len() {
            b.waiting = 0;
            b.round += 1;
            self.moved.notify_all();
        }
        while b.round == round && b.cancelled.is_none() {
            b = self.moved.wait(b).unwrap_or_else(PoisonError::into_inner);
        }
        match &b.cancelled {
            Some((_, why)) if b.round == round => Err(Error::Comm(why.clone())),
            _ => Ok(()),
        }
    }

    fn cancel(&self, rank: usize, why: String) {
        let mut top = self;
        while let Some(parent) = &top.parent {
            top = parent;
        }
        top.cancel_below(&(rank, why));
    }

    fn cancel_below(&self, why: &(usize, String)) {
        lock(&self.barrier).cancelled.get_or_insert_with(|| why.clone());
        self.moved.notify_all();
        for child in lock(&self.children).iter().filter_map(Weak::upgrade) {
            child.cancel_below(why);
        }
    }
}

/// One rank of a world of threads.
struct Threads {
    rank: usize,
    world: Arc<World>,
}

impl Threads {
    /// Publishes, waits for all, reads, waits for all; fails on all ranks where they are not in
    /// the same operation.
    fn round<R>(
        &self,
        what: &'static str,
        publish: impl FnOnce(&mut Slot),
        read: impl FnOnce(&[Mutex<Slot>]) -> Result<R>,
    ) -> Result<R> {
        let mut mine = lock(&self.world.slots[self.rank]);
        mine.what = what;
        publish(&mut mine);
        drop(mine);
        self.world.wait()?;
        let slots = &self.world.slots;
        let out = match slots.iter().position(|slot| lock(slot).what != what) {
            None => read(slots),
            Some(other) => Err(Error::Comm(format!(
                "rank {} is in {what}, rank {other} in {}",
                self.rank,
                lock(&slots[other]).what
            ))),
        };
        self.world.wait()?;
        out
    }
}

impl Communicator for Threads {
    fn rank(&self) -> usize {
        self.rank
    }
    fn size(&self) -> usize {
        self.world.slots.len()
    }
    fn gather_f64(&self, mine: &[f64], all: &mut [f64]) -> Result<()> {
        let k = mine.len();
        let publish = |slot: &mut Slot| {
            slot.reals.clear();
            slot.reals.extend_from_slice(mine);
        };
        self.round("gather_f64", publish, |slots| {
            for (r, slot) in slots.iter().enumerate() {
                let theirs = lock(slot);
                if theirs.reals.len() != k {
                    return Err(Error::Comm("ranks gave different numbers of values".into()));
                }
                all[r * k..(r + 1) * k].copy_from_slice(&theirs.reals);
            }
            Ok(())
        })
    }
    fn all_gather(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        self.round(
            "all_gather",
            |slot| slot.words = mine.to_vec(),
            |slots| Ok(slots.iter().map(|slot| lock(slot).words.clone()).collect()),
        )
    }
    fn all_to_all(&self, send: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let read = |slots: &[Mutex<Slot>]| {
            let to_me = slots.iter().map(|slot| {
                let theirs = lock(slot);
                let (count, size) = (theirs.bytes.len(), slots.len());
                let fits = theirs.bytes.get(self.rank).filter(|_| count == size);
                fits.cloned()
                    .ok_or_else(|| Error::Comm(format!("{count} messages for {size} ranks")))
            });
            to_me.collect()
        };
        self.round("all_to_all", |slot| slot.bytes = send.to_vec(), read)
    }
    fn exchange(&self, plan: HaloPlan) -> Result<Box<dyn Exchange>> {
        // A mailbox world of its own, so that messages never mix with those of other matrices.
        let words = plan.send.iter().map(|(to, index)| (*to as u64, index.len() as u64));
        let announced = self.all_gather(&words.flat_map(|(to, n)| [to, n]).collect::<Vec<_>>())?;
        let sources = plan.recv.iter().map(|(from, range)| {
            let mut at = 0;
            for pair in announced.get(*from).into_iter().flat_map(|words| words.chunks_exact(2)) {
                if pair[0] == self.rank as u64 {
                    if pair[1] != range.len() as u64 {
                        break;
                    }
                    return Ok((*from, at..at + range.len(), range.clone()));
                }
                at += pair[1] as usize;
            }
            Err(Error::Comm(format!("rank {from} does not send what rank {} needs", self.rank)))
        });
        let mut sources = sources.collect::<Result<Vec<_>>>();
        let sends_to_me = |words: &Vec<u64>| {
            words.chunks_exact(2).any(|pair| pair[0] == self.rank as u64 && pair[1] > 0)
        };
        let unasked = |(from, words): &(usize, &Vec<u64>)| {
            sends_to_me(words) && !plan.recv.iter().any(|(rank, _)| rank == from)
        };
        if let Some((from, _)) = announced.iter().enumerate().find(unasked) {
            let text = format!("rank {from} sends what rank {} does not need", self.rank);
            sources = sources.and(Err(Error::Comm(text)));
        }
        let failed = self.all_gather(&[u64::from(sources.is_err())])?;
        if let Some(rank) = failed.iter().position(|f| f[0] == 1) {
            return Err(sources.err().unwrap_or(Error::Elsewhere {
                rank,
                message: "its halo plan fits no other rank's".into(),
            }));
        }
        let child = self.child()?;
        let index = plan.send.into_iter().flat_map(|(_, index)| index).collect();
        Ok(Box::new(Mailbox {
            comm: child,
            index,
            sources: sources?,
            under_way: AtomicU64::new(0),
            finished: AtomicU64::new(0),
        }))
    }
    fn duplicate(&self) -> Result<Arc<dyn Communicator>> {
        Ok(Arc::new(self.child()?))
    }
    fn abort(&self, message: &str) {
        self.world.cancel(self.rank, format!("rank {} ended the job: {message}", self.rank));
    }
}

impl Threads {
    /// This rank's member of the next child world.
    fn child(&self) -> Result<Threads> {
        let k = self.world.made[self.rank].fetch_add(1, Ordering::Relaxed) as usize;
        let world = {
            let mut children = lock(&self.world.children);
            let length = children.len().max(k + 1);
            children.resize_with(length, Weak::new);
            children[k].upgrade().unwrap_or_else(|| {
                let child = World::below(self.size(), Some(Arc::clone(&self.world)));
                children[k] = Arc::downgrade(&child);
                child
            })
        };
        if let Some((_, why)) = &lock(&self.world.barrier).cancelled {
            return Err(Error::Comm(why.clone()));
        }
        Ok(Threads { rank: self.rank, world })
    }
}

/// Ghost exchange through shared slots.
struct Mailbox {
    comm: Threads,
    /// My entries that others need, in the order of the plan.
    index: Vec<u32>,
    /// Whom I read from: rank, where in its slot, where among my ghosts.
    sources: Vec<(usize, std::ops::Range<usize>, std::ops::Range<usize>)>,
    /// Exchanges started so far, and the last one that was finished.
    under_way: AtomicU64,
    finished: AtomicU64,
}

impl Exchange for Mailbox {
    fn start(&self, own: &[f64]) -> Result<u64> {
        let mut slot = lock(&self.comm.world.slots[self.comm.rank]);
        slot.reals.clear();
        slot.reals.extend(self.index.iter().map(|&i| own[i as usize]));
        drop(slot);
        Ok(self.under_way.fetch_add(1, Ordering::Relaxed) + 1)
    }
    fn finish(&self, token: u64, ghost: &mut [f64]) -> Result<()> {
        let last = self.under_way.load(Ordering::Relaxed);
        if token != last || self.finished.load(Ordering::Relaxed) == last {
            return Err(no_such_exchange(token));
        }
        self.finished.store(token, Ordering::Relaxed);
        self.comm.world.wait()?;
        for (rank, from, to) in &self.sources {
            let theirs = lock(&self.comm.world.slots[*rank]);
            ghost[to.clone()].copy_from_slice(&theirs.reals[from.clone()]);
        }
        self.comm.world.wait()
    }
}
