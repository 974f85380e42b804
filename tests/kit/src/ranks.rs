//! A system of one rank spread over several, cut wherever a test wants, and ranks that fail at will.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use precondor_core::comm::{Communicator, Exchange, HaloPlan, threads};
use precondor_core::matrix::Space;
use precondor_core::prelude::*;

/// The part of a system that the rank of `comm` owns where ranks start at `starts`.
pub fn part_of(whole: &System, comm: Comm, starts: &[u64]) -> System {
    let rank = comm.rank();
    let rows = starts[rank] as usize..starts[rank + 1] as usize;
    let space = Space::from_starts(comm, starts.to_vec()).unwrap();
    let view = whole.a().own().view();
    let offsets = &view.row_ptr[rows.start..=rows.end];
    let entries = offsets[0] as usize..offsets[rows.len()] as usize;
    let row_ptr: Vec<u32> = offsets.iter().map(|p| p - offsets[0]).collect();
    let cols: Vec<u64> = view.cols[entries.clone()].iter().map(|&j| j.into()).collect();
    let a = DistCsr::from_rows(&space, &row_ptr, &cols, &view.values[entries]).unwrap();
    let named = whole.all_aux().map(|(name, aux)| (name.to_owned(), aux.clone()));
    named.fold(System::new(a), |system, (name, aux)| {
        let values = aux.values[rows.start * aux.width..rows.end * aux.width].to_vec();
        system.with_aux(&name, aux.width, values).unwrap()
    })
}

/// Runs `f` on as many ranks as there are parts between `starts`, each with its part of the system.
pub fn on_parts<T: Send>(whole: &System, starts: &[u64], f: impl Fn(System) -> T + Sync) -> Vec<T> {
    threads::run(starts.len() - 1, |comm| f(part_of(whole, Comm::new(comm), starts)))
}

/// Where 1, 2, 3, 5 and 8 ranks start among `n` rows in equal parts; then ranks without rows, first, between
/// and last, and one with nearly all.
pub fn cuts(n: u64) -> Vec<Vec<u64>> {
    let even = |ranks: u64| (0..=ranks).map(|r| r * n / ranks).collect();
    let mut cuts: Vec<Vec<u64>> = [1, 2, 3, 5, 8].map(even).to_vec();
    cuts.push(vec![0, 0, n / 3, n / 3, n, n]);
    cuts.push(vec![0, 1, n / 2, n - 1, n]);
    cuts
}

/// A communicator that refuses one operation: the `left`-th, from 0, without taking part in it.
pub struct Failing {
    inner: Comm,
    left: Arc<AtomicUsize>,
}

impl Failing {
    /// All operations of `inner` but one.
    pub fn at(inner: Comm, left: usize) -> (Arc<Self>, Arc<AtomicUsize>) {
        let left = Arc::new(AtomicUsize::new(left));
        (Arc::new(Failing { inner, left: Arc::clone(&left) }), left)
    }

    fn pass(&self) -> Result<()> {
        // Wraps around after the one that is refused.
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(Error::Comm("a cable was pulled".into())),
            _ => Ok(()),
        }
    }
}

impl Communicator for Failing {
    fn rank(&self) -> usize {
        self.inner.rank()
    }
    fn size(&self) -> usize {
        self.inner.size()
    }
    fn gather_f64(&self, mine: &[f64], all: &mut [f64]) -> Result<()> {
        self.pass()?;
        self.inner.gather_f64(mine, all)
    }
    fn all_gather(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        self.pass()?;
        self.inner.all_gather(mine)
    }
    fn all_to_all(&self, send: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        self.pass()?;
        self.inner.all_to_all(send)
    }
    fn exchange(&self, plan: HaloPlan) -> Result<Box<dyn Exchange>> {
        self.pass()?;
        self.inner.exchange(plan)
    }
    fn duplicate(&self) -> Result<Arc<dyn Communicator>> {
        self.pass()?;
        Communicator::duplicate(&self.inner)
    }
    fn abort(&self, message: &str) {
        self.inner.abort(message);
    }
}

/// Sets a method up for the parts of a system on ranks of which one refuses one operation: each in turn, until
/// none is left. Returns how many there were.
///
/// # Panics
/// Where a rank succeeds although another one failed. A rank that is left waiting hangs.
pub fn fails_everywhere<G: Generator>(params: &G::Params, whole: &System, starts: &[u64]) -> usize
where
    G::Params: Sync,
{
    let ranks = starts.len() - 1;
    let mut most = 0;
    for guilty in 0..ranks {
        for at in 0.. {
            let results = threads::run(ranks, |comm| {
                let guard = Comm::new(comm);
                guard.scope(|| {
                    let never = usize::MAX;
                    let set_up = part_of(whole, guard.clone(), starts);
                    let left = if guard.rank() == guilty { at } else { never };
                    let (failing, left) = Failing::at(guard.clone(), left);
                    let comm = Comm::new(failing);
                    let system = over(&set_up, comm.clone());
                    let made = comm.scope(|| G::generate(params, &system).map(|_| ()));
                    // It wraps around where it was reached.
                    Ok((made.is_ok(), left.load(Ordering::Relaxed) > at))
                })
            });
            let reached = match &results[guilty] {
                Ok((_, reached)) => *reached,
                Err(_) => true,
            };
            let made = |result: &Result<(bool, bool)>| matches!(result, Ok((true, _)));
            if !reached {
                assert!(results.iter().all(made), "{results:?}");
                most = most.max(at);
                break;
            }
            assert!(!results.iter().any(made), "rank {guilty} fails at {at}: {results:?}");
        }
    }
    most
}

/// The same rows with another communicator.
fn over(system: &System, comm: Comm) -> System {
    let a = system.a();
    let space = Space::from_starts(comm, a.space().starts().to_vec()).unwrap();
    let (own, ghost, link) = (a.own().clone(), a.ghost().clone(), Arc::clone(a.link()));
    let a = DistCsr::from_parts(own, ghost, a.ghost_ids().to_vec(), space, link).unwrap();
    let named = system.all_aux().map(|(name, aux)| (name.to_owned(), aux.clone()));
    named.fold(System::new(a), |system, (name, aux)| {
        system.with_aux(&name, aux.width, aux.values.to_vec()).unwrap()
    })
}
