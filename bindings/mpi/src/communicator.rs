//! The collective operations.
use crate::exchange::Halo;
use crate::family::{Handle, check, count};
use mpi::ffi::{self, MPI_Comm, MPI_Datatype, MPI_Request};
use precondor_core::comm::{Communicator, Exchange, HaloPlan};
use precondor_core::{Error, Result};
use std::io::Write;
use std::os::raw::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// One rank of a world of MPI.
pub struct Mpi {
    handle: Arc<Handle>,
    /// Bytes, at most, that go in one message; longer ones are cut.
    largest: AtomicUsize,
    /// Exchanges made so far: each has a tag of its own.
    made: AtomicI32,
}

/// Words that go along with their number in a first message of fixed size.
const AT_ONCE: usize = 7;
/// Bytes of the largest message: below 2³¹, as MPI counts.
const LARGEST: usize = 1 << 30;
/// The tag of messages that are no exchange's. All libraries allow tags up to 32767.
const NO_EXCHANGE: c_int = 0;
const LAST_TAG: c_int = 32767;

impl Mpi {
    pub(crate) fn over(handle: Arc<Handle>) -> Self {
        Mpi { handle, largest: AtomicUsize::new(LARGEST), made: AtomicI32::new(0) }
    }

    /// The communicator of MPI, for calls of other libraries; it belongs to its world.
    ///
    /// # Errors
    /// [`Error::Comm`] on another thread, or where the world has ended.
    pub fn as_raw(&self) -> Result<MPI_Comm> {
        self.handle.raw()
    }

    /// Cuts what [`all_to_all`](Communicator::all_to_all) sends into messages of at most `bytes`
    /// (2³⁰ where it is not said). All ranks must say the same.
    ///
    /// # Panics
    /// Where `bytes` is 0 or above 2³⁰.
    pub fn limit_messages(&self, bytes: usize) {
        assert!((1..=LARGEST).contains(&bytes), "messages of {bytes} bytes");
        self.largest.store(bytes, Ordering::Relaxed);
    }

    /// What every rank gave, `each` items of it, one rank after the other.
    fn gather<T: Item>(&self, mine: &[T], all: &mut [T]) -> Result<()> {
        let (raw, n) = (self.handle.raw()?, count(mine.len())?);
        assert_eq!(all.len(), mine.len() * self.handle.size, "room for what all ranks give");
        // SAFETY: the buffers are as long as the counts say (just checked), of the type named.
        let code = unsafe {
            let (from, to) = (mine.as_ptr().cast(), all.as_mut_ptr().cast());
            ffi::MPI_Allgather(from, n, T::kind(), to, n, T::kind(), raw)
        };
        check("MPI_Allgather", code)
    }

    /// One word to each rank.
    fn swap_words(&self, send: &[u64]) -> Result<Vec<u64>> {
        let raw = self.handle.raw()?;
        assert_eq!(send.len(), self.handle.size, "a word for each rank");
        let mut received = vec![0u64; send.len()];
        // SAFETY: both buffers have one word for each rank.
        let code = unsafe {
            let (from, to) = (send.as_ptr().cast(), received.as_mut_ptr().cast());
            ffi::MPI_Alltoall(from, 1, u64::kind(), to, 1, u64::kind(), raw)
        };
        check("MPI_Alltoall", code).map(|()| received)
    }

    /// The first rank that says so has failed: an error on all ranks.
    fn agree(&self, mine: Result<()>, others: &str) -> Result<()> {
        let mut all = vec![0u64; self.handle.size];
        self.gather(&[u64::from(mine.is_err())], &mut all)?;
        let elsewhere = |rank| Err(Error::Elsewhere { rank, message: others.into() });
        mine.and(all.iter().position(|&failed| failed == 1).map_or(Ok(()), elsewhere))
    }

    /// Frees this communicator and all that share its world. Collective.
    pub(crate) fn close(&self) -> Result<()> {
        self.handle.family.close()
    }

    /// Ends the job.
    pub(crate) fn end(&self, message: &str) -> ! {
        // The job ends whether or not anybody can read why.
        let _ = writeln!(std::io::stderr(), "error: rank {}: {message}", self.handle.rank);
        if let Ok(raw) = self.handle.raw() {
            // SAFETY: the handle is live.
            unsafe { ffi::MPI_Abort(raw, 1) };
        }
        // On another thread, or after the end of the world: the launcher sees a process that died.
        std::process::exit(1);
    }

    /// Refuses lists of different lengths, which MPI would not notice. Builds with debug assertions
    /// only, as it costs a reduction.
    fn check_length(&self, k: usize) -> Result<()> {
        // The smallest of the lengths, and of what the largest lacks to the largest number.
        let (raw, mine) = (self.handle.raw()?, [k as u64, u64::MAX - k as u64]);
        let mut least = [0u64; 2];
        // SAFETY: two words here and there.
        let code = unsafe {
            let (from, to) = (mine.as_ptr().cast(), least.as_mut_ptr().cast());
            ffi::MPI_Allreduce(from, to, 2, u64::kind(), ffi::RSMPI_MIN, raw)
        };
        check("MPI_Allreduce", code)?;
        match least == mine {
            true => Ok(()),
            false => Err(Error::Comm("ranks gave different numbers of values".into())),
        }
    }

    /// Ends the job where buffers that MPI uses could not be given back.
    fn or_abort(&self, done: Result<()>) {
        if let Err(e) = done {
            self.abort(&e.to_string());
        }
    }
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.handle.rank
    }
    fn size(&self) -> usize {
        self.handle.size
    }
    fn gather_f64(&self, mine: &[f64], all: &mut [f64]) -> Result<()> {
        if cfg!(debug_assertions) {
            self.check_length(mine.len())?;
        }
        self.gather(mine, all)
    }
    fn all_gather(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        // The words of a status reduction fit into the first message.
        let mut first = [0u64; 1 + AT_ONCE];
        first[0] = mine.len() as u64;
        let short = mine.len().min(AT_ONCE);
        first[1..=short].copy_from_slice(&mine[..short]);
        let mut firsts = vec![0u64; first.len() * self.handle.size];
        self.gather(&first, &mut firsts)?;
        let firsts = firsts.as_chunks::<{ 1 + AT_ONCE }>().0;
        if firsts.iter().all(|theirs| theirs[0] as usize <= AT_ONCE) {
            return Ok(firsts
                .iter()
                .map(|theirs| theirs[1..][..theirs[0] as usize].into())
                .collect());
        }
        let raw = self.handle.raw()?;
        let total: u64 = firsts.iter().map(|theirs| theirs[0]).sum();
        // Every rank finds the same sum, and fails with the others.
        count(total as usize)?;
        let counts: Vec<c_int> = firsts.iter().map(|theirs| theirs[0] as c_int).collect();
        let mut places = vec![0; counts.len()];
        for r in 1..counts.len() {
            places[r] = places[r - 1] + counts[r - 1];
        }
        let mut all = vec![0u64; total as usize];
        // SAFETY: counts and places cover `all` exactly; this rank's count is the length of `mine`.
        let code = unsafe {
            let (from, to) = (mine.as_ptr().cast(), all.as_mut_ptr().cast());
            let (kind, n) = (u64::kind(), counts[self.handle.rank]);
            ffi::MPI_Allgatherv(from, n, kind, to, counts.as_ptr(), places.as_ptr(), kind, raw)
        };
        check("MPI_Allgatherv", code)?;
        let theirs = |(&place, &n): (&c_int, &c_int)| all[place as usize..][..n as usize].into();
        Ok(places.iter().zip(&counts).map(theirs).collect())
    }
    fn all_to_all(&self, send: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let (rank, size) = (self.handle.rank, self.handle.size);
        let fits = send.len() == size;
        let lengths = |r: usize| if fits { send[r].len() as u64 } else { u64::MAX };
        let incoming = self.swap_words(&(0..size).map(lengths).collect::<Vec<_>>())?;
        let wrong = || Error::Comm(format!("{} messages for {size} ranks", send.len()));
        let wrong = if fits { Ok(()) } else { Err(wrong()) };
        if let Some(rank) = incoming.iter().position(|&n| n == u64::MAX) {
            let message = format!("it has no message for each of {size} ranks");
            return wrong.and(Err(Error::Elsewhere { rank, message }));
        }
        let raw = self.handle.raw()?;
        let mut received: Vec<Vec<u8>> = incoming.iter().map(|&n| vec![0; n as usize]).collect();
        received[rank].copy_from_slice(&send[rank]);
        let largest = self.largest.load(Ordering::Relaxed);
        let mut requests: Vec<MPI_Request> = Vec::new();
        let others = || (1..size).map(|k| (rank + k) % size);
        for from in others() {
            for piece in received[from].chunks_mut(largest) {
                let (to, n, mut request) =
                    (piece.as_mut_ptr().cast(), piece.len() as c_int, null());
                let (kind, from) = (u8::kind(), from as c_int);
                // SAFETY: the piece lives, untouched, until all requests are waited for below.
                let code =
                    unsafe { ffi::MPI_Irecv(to, n, kind, from, NO_EXCHANGE, raw, &mut request) };
                self.or_abort(check("MPI_Irecv", code));
                requests.push(request);
            }
        }
        for to in others() {
            for piece in send[to].chunks(largest) {
                let (from, n, mut request) = (piece.as_ptr().cast(), piece.len() as c_int, null());
                let (kind, to) = (u8::kind(), to as c_int);
                // SAFETY: the piece is lent until all requests are waited for below.
                let code =
                    unsafe { ffi::MPI_Isend(from, n, kind, to, NO_EXCHANGE, raw, &mut request) };
                self.or_abort(check("MPI_Isend", code));
                requests.push(request);
            }
        }
        self.or_abort(wait(&mut requests));
        Ok(received)
    }
    fn exchange(&self, plan: HaloPlan) -> Result<Box<dyn Exchange>> {
        let size = self.handle.size;
        // What I send to every rank, so that each can see whether it is what it expects.
        let (mut counts, mut fault) = (vec![0u64; size], Ok(()));
        for (to, index) in &plan.send {
            match counts.get_mut(*to) {
                Some(n @ 0) => *n = index.len() as u64,
                _ => fault = Err(Error::Comm(format!("a halo plan that sends to rank {to} twice"))),
            }
        }
        let mut sent_to_me = self.swap_words(&counts)?;
        for (from, range) in &plan.recv {
            let sent = sent_to_me.get_mut(*from).map_or(0, std::mem::take);
            if sent != range.len() as u64 {
                let rank = self.handle.rank;
                let text = format!("rank {from} does not send what rank {rank} needs");
                fault = fault.and(Err(Error::Comm(text)));
            }
        }
        if let Some(from) = sent_to_me.iter().position(|&n| n > 0) {
            let text = format!("rank {from} sends what rank {} does not need", self.handle.rank);
            fault = fault.and(Err(Error::Comm(text)));
        }
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let tag = 1 + made.rem_euclid(LAST_TAG);
        let halo = fault.and_then(|()| Halo::new(&self.handle, plan, tag));
        let (halo, fault) = match halo {
            Ok(halo) => (Some(halo), Ok(())),
            Err(e) => (None, Err(e)),
        };
        self.agree(fault, "its halo plan fits no other rank's")?;
        halo.map(|halo| Box::new(halo) as Box<dyn Exchange>)
            .ok_or_else(|| Error::Comm("no exchange was made".into()))
    }
    fn duplicate(&self) -> Result<Arc<dyn Communicator>> {
        let other = Mpi::over(self.handle.duplicate()?);
        other.limit_messages(self.largest.load(Ordering::Relaxed));
        Ok(Arc::new(other))
    }
    fn abort(&self, message: &str) {
        self.end(message);
    }
}

/// A request that is none yet.
pub(crate) fn null() -> MPI_Request {
    // SAFETY: a constant of the library that is linked.
    unsafe { ffi::RSMPI_REQUEST_NULL }
}

/// Waits for all requests.
pub(crate) fn wait(requests: &mut [MPI_Request]) -> Result<()> {
    let n = count(requests.len())?;
    // SAFETY: the requests are live or null; no statuses are asked for.
    let code = unsafe { ffi::MPI_Waitall(n, requests.as_mut_ptr(), ffi::RSMPI_STATUSES_IGNORE) };
    check("MPI_Waitall", code)
}

/// A type that MPI knows.
pub(crate) trait Item: Copy {
    fn kind() -> MPI_Datatype;
}

macro_rules! item {
    ($($rust:ty: $mpi:ident),*) => {$(
        impl Item for $rust {
            fn kind() -> MPI_Datatype {
                // SAFETY: a constant of the library that is linked.
                unsafe { ffi::$mpi }
            }
        }
    )*};
}
item!(u8: RSMPI_UINT8_T, u64: RSMPI_UINT64_T, f64: RSMPI_DOUBLE);
