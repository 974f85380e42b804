//! Communicators and prepared exchanges.
use crate::raw::{self, slice, slice_mut};
use crate::shared::{Held, Lent};
use crate::status::{answer, call, quietly};
use crate::thread::outside_bodies;
use precondor_abi as abi;
use precondor_abi::{Bytes, Failure, Parts, Status, Text};
use precondor_core::comm::{Comm, Communicator, Exchange, HaloPlan};
use precondor_core::{Error, Result};
use std::ffi::c_void;
use std::sync::Arc;

type LentComm = Lent<abi::Comm, Comm>;
type LentExchange = Lent<abi::Exchange, Arc<dyn Exchange>>;

/// Lends a communicator.
pub fn lend(comm: &Comm) -> Arc<Lent<abi::Comm, Comm>> {
    Lent::new(comm.clone(), |ctx, comm| abi::Comm {
        size: size_of::<abi::Comm>(),
        ctx,
        rank: comm.rank() as u64,
        ranks: comm.size() as u64,
        retain: LentComm::retain,
        release: LentComm::release,
        gather_f64,
        sum,
        max,
        all_gather,
        all_to_all,
        exchange,
        duplicate,
        abort,
    })
}

/// Takes a communicator, retaining it.
///
/// No second guard is added: operations fail as the lender's do.
///
/// # Errors
/// [`Error::Plugin`] for a table that is none; [`Error::Data`] for a rank beyond the group.
///
/// # Safety
/// As [`raw::table`]; the table keeps the C contract.
pub unsafe fn take(ptr: *const abi::Comm) -> Result<Comm> {
    // SAFETY: the caller's promise.
    let held = unsafe { Held::retain(ptr)? };
    if held.rank >= held.ranks || held.ranks > u64::from(u32::MAX) {
        return Err(Error::Data(format!("rank {} of a group of {}", held.rank, held.ranks)));
    }
    Ok(if held.ranks == 1 { Comm::solo() } else { Comm::new(Arc::new(Foreign(held))) })
}

/// Lends a prepared exchange.
pub fn lend_exchange(link: &Arc<dyn Exchange>) -> Arc<Lent<abi::Exchange, Arc<dyn Exchange>>> {
    Lent::new(Arc::clone(link), |ctx, _| abi::Exchange {
        size: size_of::<abi::Exchange>(),
        ctx,
        retain: LentExchange::retain,
        release: LentExchange::release,
        start,
        finish,
    })
}

/// Takes a prepared exchange, retaining it.
///
/// # Errors
/// [`Error::Plugin`] for a table that is none.
///
/// # Safety
/// As [`take`].
pub unsafe fn take_exchange(ptr: *const abi::Exchange) -> Result<Arc<dyn Exchange>> {
    // SAFETY: the caller's promise.
    Ok(Arc::new(ForeignExchange(unsafe { Held::retain(ptr)? })))
}

// What the other side calls. In all of these `ctx` is this side's own, and the arrays are what the
// other side promises by calling.

unsafe extern "C" fn gather_f64(
    ctx: *mut c_void,
    mine: *const f64,
    k: usize,
    all: *mut f64,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("a collective operation")?;
            let comm = LentComm::value(ctx);
            let n_all = k.saturating_mul(comm.size());
            comm.gather_f64(slice(mine, k, "mine")?, slice_mut(all, n_all, "all")?)
        })
    }
}

unsafe extern "C" fn sum(ctx: *mut c_void, x: *mut f64, k: usize, why: *mut Failure) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("a collective operation")?;
            LentComm::value(ctx).sum(slice_mut(x, k, "x")?)
        })
    }
}

unsafe extern "C" fn max(ctx: *mut c_void, x: *mut f64, k: usize, why: *mut Failure) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("a collective operation")?;
            LentComm::value(ctx).max(slice_mut(x, k, "x")?)
        })
    }
}

unsafe extern "C" fn all_gather(
    ctx: *mut c_void,
    mine: *const u64,
    k: usize,
    all: *const Parts,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("a collective operation")?;
            let words = LentComm::value(ctx).all_gather(slice(mine, k, "mine")?)?;
            let bytes = words.iter().map(|w| w.iter().flat_map(|w| w.to_ne_bytes()).collect());
            put_parts(all, &bytes.collect::<Vec<Vec<u8>>>())
        })
    }
}

unsafe extern "C" fn all_to_all(
    ctx: *mut c_void,
    send: *const Bytes,
    n_send: usize,
    got: *const Parts,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("a collective operation")?;
            let send = slice(send, n_send, "send")?.iter();
            let send = send.map(|b| Ok(raw::bytes(*b, "a block to send")?.to_vec()));
            let send = send.collect::<Result<Vec<_>>>()?;
            put_parts(got, &LentComm::value(ctx).all_to_all(&send)?)
        })
    }
}

unsafe fn put_parts(to: *const Parts, parts: &[Vec<u8>]) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        let to = raw::table(to)?;
        for (rank, part) in parts.iter().enumerate() {
            (to.put)(to.ctx, rank as u64, Bytes::new(part));
        }
    }
    Ok(())
}

unsafe extern "C" fn exchange(
    ctx: *mut c_void,
    plan: *const abi::HaloPlan,
    out: *mut *const abi::Exchange,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("a collective operation")?;
            let comm = LentComm::value(ctx);
            let plan = take_plan(plan, comm.size())?;
            let needed = Needed {
                own: plan.send.iter().flat_map(|s| &s.1).max().map_or(0, |&i| i as usize + 1),
                ghost: plan.recv.iter().map(|r| r.1.end).max().unwrap_or(0),
            };
            let link: Arc<dyn Exchange> = Arc::new(Checked { needed, inner: comm.exchange(plan)? });
            *out = lend_exchange(&link).hand_out();
            Ok(())
        })
    }
}

unsafe extern "C" fn duplicate(
    ctx: *mut c_void,
    out: *mut *const abi::Comm,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("a collective operation")?;
            *out = lend(&LentComm::value(ctx).duplicate()?).hand_out();
            Ok(())
        })
    }
}

unsafe extern "C" fn abort(ctx: *mut c_void, message: Text) {
    quietly(|| {
        // SAFETY: see above.
        let (comm, text) = unsafe { (LentComm::value(ctx), raw::text(message, "a message")) };
        comm.abort(text.unwrap_or("no reason given"));
    });
}

unsafe extern "C" fn start(
    ctx: *mut c_void,
    own: *const f64,
    n_own: usize,
    token: *mut u64,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("an exchange")?;
            *token = LentExchange::value(ctx).start(slice(own, n_own, "own")?)?;
            Ok(())
        })
    }
}

unsafe extern "C" fn finish(
    ctx: *mut c_void,
    token: u64,
    ghost: *mut f64,
    n_ghost: usize,
    why: *mut Failure,
) -> Status {
    // SAFETY: see above.
    unsafe {
        answer(why, || {
            outside_bodies("an exchange")?;
            LentExchange::value(ctx).finish(token, slice_mut(ghost, n_ghost, "ghost")?)
        })
    }
}

/// Entries that an exchange reads and writes.
struct Needed {
    own: usize,
    ghost: usize,
}

/// An exchange whose plan came from outside: vectors that are too short are refused.
struct Checked {
    needed: Needed,
    inner: Box<dyn Exchange>,
}

impl Exchange for Checked {
    fn start(&self, own: &[f64]) -> Result<u64> {
        long_enough(own.len(), self.needed.own)?;
        self.inner.start(own)
    }
    fn finish(&self, token: u64, ghost: &mut [f64]) -> Result<()> {
        long_enough(ghost.len(), self.needed.ghost)?;
        self.inner.finish(token, ghost)
    }
}

fn long_enough(len: usize, needed: usize) -> Result<()> {
    if len < needed {
        return Err(Error::Data(format!("an exchange of {needed} entries was given {len}")));
    }
    Ok(())
}

unsafe fn take_plan(plan: *const abi::HaloPlan, ranks: usize) -> Result<HaloPlan> {
    // SAFETY: the caller's promise.
    unsafe {
        let p = raw::table(plan)?;
        let rank = |&r: &u64| {
            let there = usize::try_from(r).ok().filter(|&r| r < ranks);
            there.ok_or_else(|| Error::Data(format!("a halo plan names rank {r} of {ranks}")))
        };
        let starts = match p.n_send {
            0 => &[0][..],
            n => slice(p.send_starts, n.saturating_add(1), "send_starts")?,
        };
        let n_index = *starts.last().unwrap_or(&0);
        if starts[0] != 0 || starts.windows(2).any(|w| w[0] > w[1]) {
            return Err(Error::Data("a halo plan whose send_starts do not increase".into()));
        }
        let index = slice(p.send_index, n_index, "send_index")?;
        let send = slice(p.send_ranks, p.n_send, "send_ranks")?.iter().zip(starts.windows(2));
        let send = send.map(|(r, w)| Ok((rank(r)?, index[w[0]..w[1]].to_vec())));
        let from = slice(p.recv_starts, p.n_recv, "recv_starts")?;
        let to = slice(p.recv_ends, p.n_recv, "recv_ends")?;
        let recv = slice(p.recv_ranks, p.n_recv, "recv_ranks")?.iter().zip(from.iter().zip(to));
        let recv = recv.map(|(r, (&from, &to))| match from <= to {
            true => Ok((rank(r)?, from..to)),
            false => Err(Error::Data(format!("a halo plan receives {from}..{to}"))),
        });
        Ok(HaloPlan { send: send.collect::<Result<_>>()?, recv: recv.collect::<Result<_>>()? })
    }
}

/// A communicator of the other side.
struct Foreign(Held<abi::Comm>);

/// Collects the blocks of all ranks.
fn parts(
    ranks: usize,
    f: impl FnOnce(*const Parts, *mut Failure) -> Status,
) -> Result<Vec<Vec<u8>>> {
    unsafe extern "C" fn put(ctx: *mut c_void, rank: u64, part: Bytes) {
        quietly(|| {
            // SAFETY: `ctx` is the vector below; the block is what the callee promises.
            let (all, part) = unsafe {
                (&mut *ctx.cast::<Vec<Vec<u8>>>(), raw::bytes(part, "a block that was received"))
            };
            if let (Some(to), Ok(part)) = (all.get_mut(rank as usize), part) {
                *to = part.to_vec();
            }
        });
    }
    let mut all = vec![Vec::new(); ranks];
    let table = Parts { size: size_of::<Parts>(), ctx: (&raw mut all).cast(), put };
    call(|why| f(&table, why))?;
    Ok(all)
}

// SAFETY of the calls below: functions of a checked table that is held; slices are passed with
// their lengths.
impl Communicator for Foreign {
    fn rank(&self) -> usize {
        self.0.rank as usize
    }
    fn size(&self) -> usize {
        self.0.ranks as usize
    }
    fn gather_f64(&self, mine: &[f64], all: &mut [f64]) -> Result<()> {
        if all.len() != mine.len() * self.size() {
            return Err(Error::Comm(format!("room for {} values of all ranks", all.len())));
        }
        let (k, all) = (mine.len(), all.as_mut_ptr());
        // SAFETY: see above.
        call(|why| unsafe { (self.0.gather_f64)(self.0.ctx, mine.as_ptr(), k, all, why) })
    }
    fn all_gather(&self, mine: &[u64]) -> Result<Vec<Vec<u64>>> {
        let bytes = parts(self.size(), |all, why| {
            // SAFETY: see above.
            unsafe { (self.0.all_gather)(self.0.ctx, mine.as_ptr(), mine.len(), all, why) }
        })?;
        let words = |b: Vec<u8>| b.as_chunks().0.iter().map(|w| u64::from_ne_bytes(*w)).collect();
        Ok(bytes.into_iter().map(words).collect())
    }
    fn all_to_all(&self, send: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let send: Vec<Bytes> = send.iter().map(|b| Bytes::new(b)).collect();
        parts(self.size(), |got, why| {
            // SAFETY: see above.
            unsafe { (self.0.all_to_all)(self.0.ctx, send.as_ptr(), send.len(), got, why) }
        })
    }
    fn exchange(&self, plan: HaloPlan) -> Result<Box<dyn Exchange>> {
        let mut send_starts = vec![0];
        let mut send_index = Vec::new();
        for (_, index) in &plan.send {
            send_index.extend_from_slice(index);
            send_starts.push(send_index.len());
        }
        let send_ranks: Vec<u64> = plan.send.iter().map(|s| s.0 as u64).collect();
        let recv_ranks: Vec<u64> = plan.recv.iter().map(|r| r.0 as u64).collect();
        let recv_starts: Vec<usize> = plan.recv.iter().map(|r| r.1.start).collect();
        let recv_ends: Vec<usize> = plan.recv.iter().map(|r| r.1.end).collect();
        let table = abi::HaloPlan {
            size: size_of::<abi::HaloPlan>(),
            n_send: plan.send.len(),
            send_ranks: send_ranks.as_ptr(),
            send_starts: send_starts.as_ptr(),
            send_index: send_index.as_ptr(),
            n_recv: plan.recv.len(),
            recv_ranks: recv_ranks.as_ptr(),
            recv_starts: recv_starts.as_ptr(),
            recv_ends: recv_ends.as_ptr(),
        };
        let mut out = std::ptr::null();
        // SAFETY: see above; the exchange was retained for this side.
        unsafe {
            call(|why| (self.0.exchange)(self.0.ctx, &table, &mut out, why))?;
            Ok(Box::new(ForeignExchange(Held::adopt(out)?)))
        }
    }
    fn duplicate(&self) -> Result<Arc<dyn Communicator>> {
        let mut out = std::ptr::null();
        // SAFETY: see above; the communicator was retained for this side.
        unsafe {
            call(|why| (self.0.duplicate)(self.0.ctx, &mut out, why))?;
            Ok(Arc::new(Foreign(Held::adopt(out)?)))
        }
    }
    fn abort(&self, message: &str) {
        // SAFETY: see above.
        unsafe { (self.0.abort)(self.0.ctx, Text::new(message)) }
    }
    fn sum(&self, x: &mut [f64]) -> Result<()> {
        // SAFETY: see above.
        call(|why| unsafe { (self.0.sum)(self.0.ctx, x.as_mut_ptr(), x.len(), why) })
    }
    fn max(&self, x: &mut [f64]) -> Result<()> {
        // SAFETY: see above.
        call(|why| unsafe { (self.0.max)(self.0.ctx, x.as_mut_ptr(), x.len(), why) })
    }
}

/// A prepared exchange of the other side.
struct ForeignExchange(Held<abi::Exchange>);

impl Exchange for ForeignExchange {
    fn start(&self, own: &[f64]) -> Result<u64> {
        let mut token = 0;
        let (own, n) = (own.as_ptr(), own.len());
        // SAFETY: a function of a checked table that is held; the slice comes with its length.
        call(|why| unsafe { (self.0.start)(self.0.ctx, own, n, &mut token, why) })?;
        Ok(token)
    }
    fn finish(&self, token: u64, ghost: &mut [f64]) -> Result<()> {
        let (ghost, n) = (ghost.as_mut_ptr(), ghost.len());
        // SAFETY: as above.
        call(|why| unsafe { (self.0.finish)(self.0.ctx, token, ghost, n, why) })
    }
}
