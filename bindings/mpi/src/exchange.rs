//! The exchange of ghost entries: persistent requests, made once for a plan.
//!
//! `start` packs what others need and starts all requests; `finish` waits for them and hands the
//! arrivals out. Both copy through buffers of the exchange, as MPI keeps using those between the two
//! calls; neither allocates. Cost of one exchange: a message to and from every neighbour.
use crate::communicator::{Item, null, wait};
use crate::family::{Handle, check, count};
use mpi::ffi::{self, MPI_Request};
use precondor_core::Result;
use precondor_core::comm::{Exchange, HaloPlan, no_such_exchange};
use std::ops::Range;
use std::os::raw::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) struct Halo {
    handle: Arc<Handle>,
    /// My entries that others need, rank after rank.
    index: Vec<u32>,
    /// Where arrivals, rank after rank, belong among my ghosts.
    places: Vec<Range<usize>>,
    state: Mutex<State>,
}

struct State {
    send: Vec<f64>,
    received: Vec<f64>,
    requests: Vec<MPI_Request>,
    /// Exchanges started so far.
    started: u64,
    under_way: bool,
}

// SAFETY: requests are names that are handed to MPI by the family's thread alone, which
// `Handle::raw` checks before every call.
unsafe impl Send for State {}

impl Halo {
    /// Prepares the messages of `plan`, whose two sides have been compared, under `tag`. Local.
    pub(crate) fn new(handle: &Arc<Handle>, plan: HaloPlan, tag: c_int) -> Result<Self> {
        let raw = handle.raw()?;
        let lengths = |pairs: &[(usize, usize)]| pairs.iter().map(|(_, n)| n).sum::<usize>();
        let sends: Vec<_> = plan.send.iter().map(|(to, index)| (*to, index.len())).collect();
        let receives: Vec<_> = plan.recv.iter().map(|(from, range)| (*from, range.len())).collect();
        let mut state = State {
            send: vec![0.0; lengths(&sends)],
            received: vec![0.0; lengths(&receives)],
            requests: Vec::with_capacity(sends.len() + receives.len()),
            started: 0,
            under_way: false,
        };
        let mut at = 0;
        for (from, n) in receives.into_iter().filter(|(_, n)| *n > 0) {
            let piece = &mut state.received[at..at + n];
            at += n;
            let (to, n, from) = (piece.as_mut_ptr().cast(), count(n)?, from as c_int);
            let mut request = null();
            // SAFETY: the piece is part of a buffer on the heap that outlives the request: `drop`
            // frees the request first, or leaks the buffer.
            let code =
                unsafe { ffi::MPI_Recv_init(to, n, f64::kind(), from, tag, raw, &mut request) };
            check("MPI_Recv_init", code)?;
            state.requests.push(request);
        }
        let mut at = 0;
        for (to, n) in sends.into_iter().filter(|(_, n)| *n > 0) {
            let piece = &state.send[at..at + n];
            at += n;
            let mut request = null();
            let (from, n, to) = (piece.as_ptr().cast(), count(n)?, to as c_int);
            // SAFETY: as for what is received.
            let code =
                unsafe { ffi::MPI_Send_init(from, n, f64::kind(), to, tag, raw, &mut request) };
            check("MPI_Send_init", code)?;
            state.requests.push(request);
        }
        Ok(Halo {
            handle: Arc::clone(handle),
            index: plan.send.into_iter().flat_map(|(_, index)| index).collect(),
            places: plan.recv.into_iter().map(|(_, range)| range).collect(),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Waits for what is under way.
    fn wait(&mut self) -> Result<()> {
        if self.under_way {
            wait(&mut self.requests)?;
            self.under_way = false;
        }
        Ok(())
    }
}

impl Exchange for Halo {
    fn start(&self, own: &[f64]) -> Result<u64> {
        self.handle.raw()?;
        let mut state = self.state();
        let state = &mut *state;
        // One that a failure left unfinished was started on all ranks: its messages arrive.
        state.wait()?;
        for (entry, &i) in state.send.iter_mut().zip(&self.index) {
            *entry = own[i as usize];
        }
        // From here on until the wait the buffers belong to MPI.
        state.under_way = true;
        let n = state.requests.len() as c_int;
        // SAFETY: the requests are persistent and inactive, as the last exchange was waited for.
        check("MPI_Startall", unsafe { ffi::MPI_Startall(n, state.requests.as_mut_ptr()) })?;
        state.started += 1;
        Ok(state.started)
    }

    fn finish(&self, token: u64, ghost: &mut [f64]) -> Result<()> {
        self.handle.raw()?;
        let mut state = self.state();
        if !state.under_way || token != state.started {
            return Err(no_such_exchange(token));
        }
        state.wait()?;
        let mut arrived = &*state.received;
        for place in &self.places {
            let (piece, rest) = arrived.split_at(place.len());
            ghost[place.clone()].copy_from_slice(piece);
            arrived = rest;
        }
        Ok(())
    }
}

impl Drop for Halo {
    /// Gives the requests back. Local. Buffers that MPI may still use are leaked.
    fn drop(&mut self) {
        let may_call = self.handle.raw().is_ok();
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let n = state.requests.len() as c_int;
        if state.under_way && may_call {
            let (requests, mut done) = (state.requests.as_mut_ptr(), 0);
            // SAFETY: the requests are live; no statuses are asked for.
            let code =
                unsafe { ffi::MPI_Testall(n, requests, &mut done, ffi::RSMPI_STATUSES_IGNORE) };
            state.under_way = code != 0 || done == 0;
        }
        if state.under_way {
            std::mem::forget(std::mem::take(&mut state.send));
            std::mem::forget(std::mem::take(&mut state.received));
        } else if may_call {
            for request in &mut state.requests {
                // SAFETY: a persistent request that is inactive. A failure has no consequence.
                unsafe { ffi::MPI_Request_free(request) };
            }
        }
    }
}
