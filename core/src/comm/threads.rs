//! Ranks as threads of one process: `mpirun` for tests, and for one machine without MPI.
use super::{Communicator, Exchange, HaloPlan, no_such_exchange};
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Runs `f` on `n` ranks and returns their results in rank order.
///
/// # Panics
/// With the first rank's panic where one panics; the others leave their collectives with
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
                        world.cancel(format!("rank {rank} panicked: {}", text.unwrap_or("")));
                    })
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap_or_else(Err)).collect()
    });
    results.into_iter().map(|r| r.unwrap_or_else(|panic| resume_unwind(panic))).collect()
}

/// What one rank shows the others between two barriers.
#[derive(Default)]
struct Slot {
    reals: Vec<f64>,
    words: Vec<u64>,
    bytes: Vec<Vec<u8>>,
}

struct World {
    slots: Vec<Mutex<Slot>>,
    barrier: Mutex<Barrier>,
    moved: Condvar,
    /// Worlds made by `duplicate`, in the order in which all ranks made them.
    children: Mutex<Vec<Arc<World>>>,
    made: Vec<AtomicU64>,
    parent: Option<Arc<World>>,
}

#[derive(Default)]
struct Barrier {
    waiting: usize,
    round: u64,
    cancelled: Option<String>,
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
            Some(why) if b.round == round => Err(Error::Comm(why.clone())),
            _ => Ok(()),
        }
    }

    fn cancel(&self, why: String) {
        let mut top = self;
        while let Some(parent) = &top.parent {
            top = parent;
        }
        top.cancel_below(&why);
    }

    fn cancel_below(&self, why: &str) {
        lock(&self.barrier).cancelled.get_or_insert_with(|| why.to_owned());
        self.moved.notify_all();
        for child in lock(&self.children).iter() {
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
    /// Publishes, waits for all, reads, waits for all.
    fn round<R>(
        &self,
        publish: impl FnOnce(&mut Slot),
        read: impl FnOnce(&[Mutex<Slot>]) -> R,
    ) -> Result<R> {
        publish(&mut lock(&self.world.slots[self.rank]));
        self.world.wait()?;
        let out = read(&self.world.slots);
        self.world.wait()?;
        Ok(out)
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
        let lengths_agree = self.round(publish, |slots| {
            slots.iter().enumerate().all(|(r, slot)| {
                let theirs = lock(slot);
                let fits = theirs.reals.len() == k;
                if fits {
                    all[r * k..(r + 1) * k].copy_from_slice(&theirs.reals);
                }
                fits
            })
        })?;
        if lengths_agree {
            Ok(())
        } else {
            Err(Error::Comm("ranks gave different numbers of values".into()))
        }
    }
    fn all_gather(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        self.round(
            |slot| slot.words = mine.to_vec(),
            |slots| slots.iter().map(|slot| lock(slot).words.clone()).collect(),
        )
    }
    fn all_to_all(&self, send: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        if send.len() != self.size() {
            return Err(Error::Comm(format!("{} messages for {} ranks", send.len(), self.size())));
        }
        self.round(
            |slot| slot.bytes = send.to_vec(),
            |slots| slots.iter().map(|slot| lock(slot).bytes[self.rank].clone()).collect(),
        )
    }
    fn exchange(&self, plan: HaloPlan) -> Result<Box<dyn Exchange>> {
        // A mailbox world of its own, so that messages never mix with those of other matrices.
        let words = plan.send.iter().map(|(to, index)| (*to as u64, index.len() as u64));
        let announced = self.all_gather(&words.flat_map(|(to, n)| [to, n]).collect::<Vec<_>>())?;
        let sources = plan.recv.iter().map(|(from, range)| {
            let mut at = 0;
            for pair in announced[*from].chunks_exact(2) {
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
        let sources = sources.collect::<Result<Vec<_>>>();
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
        }))
    }
    fn duplicate(&self) -> Result<Arc<dyn Communicator>> {
        Ok(Arc::new(self.child()?))
    }
    fn abort(&self, message: &str) {
        self.world.cancel(format!("rank {} ended the job: {message}", self.rank));
    }
}

impl Threads {
    /// This rank's member of the next child world.
    fn child(&self) -> Result<Threads> {
        let k = self.world.made[self.rank].fetch_add(1, Ordering::Relaxed) as usize;
        let world = {
            let mut children = lock(&self.world.children);
            if children.len() == k {
                children.push(World::below(self.size(), Some(Arc::clone(&self.world))));
            }
            Arc::clone(&children[k])
        };
        if let Some(why) = &lock(&self.world.barrier).cancelled {
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
    under_way: AtomicU64,
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
        if token != self.under_way.load(Ordering::Relaxed) {
            return Err(no_such_exchange(token));
        }
        self.comm.world.wait()?;
        for (rank, from, to) in &self.sources {
            let theirs = lock(&self.comm.world.slots[*rank]);
            ghost[to.clone()].copy_from_slice(&theirs.reals[from.clone()]);
        }
        self.comm.world.wait()
    }
}
