//! Counting what ranks send: messages and bytes, by kind of operation.
//!
//! [`Counted`] wraps the communicator of any world; its duplicates and prepared exchanges count into
//! the same [`Counter`]. What is counted follows one model, that of profilers for MPI (mpiP, IPM,
//! Score-P): calls and *payload that this rank gives to others*, not what a library makes of it.
//!
//! | kind | operations | messages | bytes |
//! |---|---|---|---|
//! | `exchange` | each start of a prepared exchange (halos, transposes) | one for each other rank with entries | 8 for each entry and receiver |
//! | `all_to_all` | `all_to_all` | one for each other rank that gets anything | what is in them |
//! | `gather` | `gather_f64`, `all_gather`, `sum`, `max` | none: how a collective travels is up to the library | 8 for each number that this rank brings |
//! | `status` | the status word before each collective in a [`Comm::scope`](super::Comm::scope) | none, as above | as above |
//!
//! A gather of k numbers leaves `size · k` numbers on every rank; a library needs at least
//! log₂(size) messages for it, and every rank receives `8 k (size − 1)` bytes. What a rank sends to
//! itself does not count, and nothing does on a single rank. Making a duplicate or preparing an
//! exchange is not counted: what a world does for it (agreeing on buffers, say) is its own affair.
//!
//! Counting costs a few additions an operation and allocates nothing.
use super::{Communicator, Exchange, HaloPlan};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::ops::{Add, Index, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What operations are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Prepared exchanges: ghost entries of products, transposes.
    Exchange,
    /// `all_to_all`.
    AllToAll,
    /// Gathers and reductions.
    Gather,
    /// Status words of scopes.
    Status,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Exchange, Kind::AllToAll, Kind::Gather, Kind::Status];

    /// What tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Exchange => "exchange",
            Kind::AllToAll => "all_to_all",
            Kind::Gather => "gather",
            Kind::Status => "status",
        }
    }
}

/// Operations of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Operations that this rank took part in.
    pub calls: u64,
    /// Messages from this rank to another one.
    pub messages: u64,
    /// Bytes that this rank gave to others.
    pub bytes: u64,
}

/// Operations of all kinds, on one rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// [`Kind::Exchange`].
    pub exchange: Flow,
    /// [`Kind::AllToAll`].
    pub all_to_all: Flow,
    /// [`Kind::Gather`].
    pub gather: Flow,
    /// [`Kind::Status`].
    pub status: Flow,
}

impl Flow {
    fn each(self, other: Flow, f: impl Fn(u64, u64) -> u64) -> Flow {
        Flow {
            calls: f(self.calls, other.calls),
            messages: f(self.messages, other.messages),
            bytes: f(self.bytes, other.bytes),
        }
    }
}

impl Traffic {
    /// Number by number: `f(mine, other's)`.
    #[must_use]
    pub fn each(self, other: Traffic, f: impl Fn(u64, u64) -> u64) -> Traffic {
        Traffic {
            exchange: self.exchange.each(other.exchange, &f),
            all_to_all: self.all_to_all.each(other.all_to_all, &f),
            gather: self.gather.each(other.gather, &f),
            status: self.status.each(other.status, &f),
        }
    }

    /// The larger of each number.
    #[must_use]
    pub fn max(self, other: Traffic) -> Traffic {
        self.each(other, u64::max)
    }

    /// `times` over.
    #[must_use]
    pub fn times(self, times: u64) -> Traffic {
        self.each(Traffic::default(), |mine, _| mine * times)
    }

    /// Messages to other ranks, of exchanges and `all_to_all`.
    pub fn messages(&self) -> u64 {
        self.exchange.messages + self.all_to_all.messages
    }

    /// Collective operations: gathers and status words, and the calls of `all_to_all`.
    pub fn collectives(&self) -> u64 {
        self.gather.calls + self.status.calls + self.all_to_all.calls
    }

    /// Bytes given to other ranks, of all kinds.
    pub fn bytes(&self) -> u64 {
        Kind::ALL.iter().map(|&kind| self[kind].bytes).sum()
    }

    /// As numbers, kind by kind: calls, messages, bytes.
    pub fn to_words(&self) -> [u64; 12] {
        let mut words = [0; 12];
        for (words, kind) in words.chunks_exact_mut(3).zip(Kind::ALL) {
            let Flow { calls, messages, bytes } = self[kind];
            words.copy_from_slice(&[calls, messages, bytes]);
        }
        words
    }

    /// From [`to_words`](Traffic::to_words).
    pub fn from_words(words: &[u64; 12]) -> Traffic {
        let flow = |k: usize| Flow {
            calls: words[3 * k],
            messages: words[3 * k + 1],
            bytes: words[3 * k + 2],
        };
        Traffic { exchange: flow(0), all_to_all: flow(1), gather: flow(2), status: flow(3) }
    }
}

impl Index<Kind> for Traffic {
    type Output = Flow;
    fn index(&self, kind: Kind) -> &Flow {
        match kind {
            Kind::Exchange => &self.exchange,
            Kind::AllToAll => &self.all_to_all,
            Kind::Gather => &self.gather,
            Kind::Status => &self.status,
        }
    }
}

impl Add for Flow {
    type Output = Flow;
    fn add(self, other: Flow) -> Flow {
        self.each(other, |x, y| x + y)
    }
}

impl Add for Traffic {
    type Output = Traffic;
    fn add(self, other: Traffic) -> Traffic {
        self.each(other, |x, y| x + y)
    }
}

/// What happened between two readings of a counter: `later - earlier`.
impl Sub for Traffic {
    type Output = Traffic;
    fn sub(self, earlier: Traffic) -> Traffic {
        self.each(earlier, |x, y| x - y)
    }
}

impl std::iter::Sum for Traffic {
    fn sum<I: Iterator<Item = Traffic>>(all: I) -> Traffic {
        all.fold(Traffic::default(), Add::add)
    }
}

/// What one rank has sent so far. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<[AtomicU64; 12]>);

impl Counter {
    /// The sums so far. Allocates nothing.
    pub fn read(&self) -> Traffic {
        Traffic::from_words(&std::array::from_fn(|k| self.0[k].load(Ordering::Relaxed)))
    }

    fn add(&self, kind: Kind, messages: u64, bytes: u64) {
        for (k, more) in [1, messages, bytes].into_iter().enumerate() {
            self.0[3 * kind as usize + k].fetch_add(more, Ordering::Relaxed);
        }
    }
}

/// A communicator that counts what goes through it.
pub struct Counted {
    inner: Arc<dyn Communicator>,
    counter: Counter,
}

impl Counted {
    /// Counts what goes through `inner` from now on.
    pub fn new(inner: Arc<dyn Communicator>) -> Self {
        Counted { inner, counter: Counter::default() }
    }

    /// What was counted.
    pub fn counter(&self) -> Counter {
        self.counter.clone()
    }

    fn collective(&self, kind: Kind, words: usize) {
        if self.inner.size() > 1 {
            self.counter.add(kind, 0, 8 * words as u64);
        }
    }
}

impl Communicator for Counted {
    fn rank(&self) -> usize {
        self.inner.rank()
    }
    fn size(&self) -> usize {
        self.inner.size()
    }
    fn gather_f64(&self, mine: &[f64], all: &mut [f64]) -> Result<()> {
        self.collective(Kind::Gather, mine.len());
        self.inner.gather_f64(mine, all)
    }
    fn all_gather(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        self.collective(Kind::Gather, mine.len());
        self.inner.all_gather(mine)
    }
    fn status(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        self.collective(Kind::Status, mine.len());
        self.inner.status(mine)
    }
    fn all_to_all(&self, send: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        if self.size() > 1 {
            let rank = self.rank();
            let others = send.iter().enumerate().filter(|(to, m)| *to != rank && !m.is_empty());
            let messages = others.clone().count() as u64;
            let bytes = others.map(|(_, message)| message.len() as u64).sum();
            self.counter.add(Kind::AllToAll, messages, bytes);
        }
        self.inner.all_to_all(send)
    }
    fn exchange(&self, plan: HaloPlan) -> Result<Box<dyn Exchange>> {
        let rank = self.rank();
        let others = plan.send.iter().filter(|(to, index)| *to != rank && !index.is_empty());
        let messages = others.clone().count() as u64;
        let bytes = 8 * others.map(|(_, index)| index.len() as u64).sum::<u64>();
        let inner = self.inner.exchange(plan)?;
        if self.size() == 1 {
            return Ok(inner);
        }
        Ok(Box::new(CountedExchange { inner, counter: self.counter(), messages, bytes }))
    }
    fn duplicate(&self) -> Result<Arc<dyn Communicator>> {
        Ok(Arc::new(Counted { inner: self.inner.duplicate()?, counter: self.counter() }))
    }
    fn abort(&self, message: &str) {
        self.inner.abort(message);
    }
    fn sum(&self, x: &mut [f64]) -> Result<()> {
        self.collective(Kind::Gather, x.len());
        self.inner.sum(x)
    }
    fn max(&self, x: &mut [f64]) -> Result<()> {
        self.collective(Kind::Gather, x.len());
        self.inner.max(x)
    }
}

struct CountedExchange {
    inner: Box<dyn Exchange>,
    counter: Counter,
    /// What one exchange sends.
    messages: u64,
    bytes: u64,
}

impl Exchange for CountedExchange {
    fn start(&self, own: &[f64]) -> Result<u64> {
        self.counter.add(Kind::Exchange, self.messages, self.bytes);
        self.inner.start(own)
    }
    fn finish(&self, token: u64, ghost: &mut [f64]) -> Result<()> {
        self.inner.finish(token, ghost)
    }
}
