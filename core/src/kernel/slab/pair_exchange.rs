//! Numbers from each rank to each other, as many as agreed, over and over.
//!
//! Cost: one prepared exchange; a message for every pair of ranks that has numbers to move, none for the
//! others. Words of 8 bytes travel: one `f64` or two `f32` (their bits, whatever they mean). Nothing is
//! allocated after setup.
use std::marker::PhantomData;

use bytemuck::Pod;

use crate::comm::{Comm, Communicator, Exchange, HaloPlan};
use crate::{Error, Result};

/// Words of 8 bytes that so many numbers travel in.
pub fn words<T>(numbers: usize) -> usize {
    (numbers * size_of::<T>()).div_ceil(size_of::<f64>())
}

/// Where a rank's numbers lie in a buffer of words: the first word, and how many numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    first: usize,
    numbers: usize,
}

/// What goes to every other rank and what comes from it.
pub struct PairExchange<T> {
    /// Nothing where there is nobody else.
    link: Option<Box<dyn Exchange>>,
    out: Vec<f64>,
    arrived: Vec<f64>,
    send: Vec<Place>,
    receive: Vec<Place>,
    kind: PhantomData<T>,
}

fn places<T>(counts: &[usize]) -> (Vec<Place>, usize) {
    let mut total = 0;
    let of = |&numbers: &usize| {
        let first = total;
        total += words::<T>(numbers);
        Place { first, numbers }
    };
    (counts.iter().map(of).collect(), total)
}

impl<T: Pod> PairExchange<T> {
    /// Prepares to send `send[rank]` numbers to every rank and to receive `receive[rank]`, which that rank
    /// has to send; nothing to itself. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for 2³² or more words to send; what the communicator reports.
    ///
    /// # Panics
    /// Where there is not one count for each rank, or one for this rank that is not zero.
    pub fn new(comm: &Comm, send: &[usize], receive: &[usize]) -> Result<Self> {
        let (rank, size) = (comm.rank(), comm.size());
        assert!(send.len() == size && receive.len() == size, "one count for each rank");
        assert!(send[rank] == 0 && receive[rank] == 0, "nothing is sent to oneself");
        let ((send, out), (receive, arrived)) = (places::<T>(send), places::<T>(receive));
        if u32::try_from(out).is_err() {
            return Err(Error::Unsupported(
                "2³² or more words to send from one rank: use more ranks".into(),
            ));
        }
        let used = |places: &[Place]| -> Vec<(usize, std::ops::Range<usize>)> {
            let range = |p: &Place| p.first..p.first + words::<T>(p.numbers);
            let all = places.iter().map(range).enumerate();
            all.filter(|(_, range)| !range.is_empty()).collect()
        };
        let indices = |range: std::ops::Range<usize>| range.map(|word| word as u32).collect();
        let plan = HaloPlan {
            send: used(&send).into_iter().map(|(to, range)| (to, indices(range))).collect(),
            recv: used(&receive),
        };
        let link = if size > 1 { Some(comm.exchange(plan)?) } else { None };
        let (out, arrived) = (vec![0.0; out], vec![0.0; arrived]);
        Ok(PairExchange { link, out, arrived, send, receive, kind: PhantomData })
    }

    /// What goes to a rank, to be written before [`exchange`](Self::exchange).
    pub fn outbox(&mut self, rank: usize) -> &mut [T] {
        let Place { first, numbers } = self.send[rank];
        let words = &mut self.out[first..first + words::<T>(numbers)];
        &mut bytemuck::cast_slice_mut(words)[..numbers]
    }

    /// What came from a rank in the last exchange.
    pub fn inbox(&self, rank: usize) -> &[T] {
        let Place { first, numbers } = self.receive[rank];
        &bytemuck::cast_slice(&self.arrived[first..first + words::<T>(numbers)])[..numbers]
    }

    /// Moves everything. Collective; does not allocate.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn exchange(&mut self) -> Result<()> {
        match &self.link {
            None => Ok(()),
            Some(link) => {
                let token = link.start(&self.out)?;
                link.finish(token, &mut self.arrived)
            }
        }
    }

    /// Bytes held, the plan's indices among them.
    pub fn bytes(&self) -> usize {
        let plan = size_of::<u32>() * self.out.len() + 2 * size_of::<Place>() * self.send.len();
        size_of::<f64>() * (self.out.len() + self.arrived.len()) + plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads;

    /// Rank `from` sends `(3·from + to) mod 5` numbers to rank `to`: none, one, odd and even ones.
    fn count(from: usize, to: usize) -> usize {
        if from == to { 0 } else { (3 * from + to) % 5 }
    }

    fn run<T: Pod + PartialEq + std::fmt::Debug>(number: impl Fn(usize) -> T + Sync) {
        for size in [1, 2, 3, 6] {
            threads::run(size, |comm| {
                let comm = Comm::new(comm);
                let me = comm.rank();
                let send: Vec<_> = (0..size).map(|to| count(me, to)).collect();
                let receive: Vec<_> = (0..size).map(|from| count(from, me)).collect();
                let mut link = PairExchange::<T>::new(&comm, &send, &receive).unwrap();
                for round in 0..3 {
                    for to in 0..size {
                        for (k, out) in link.outbox(to).iter_mut().enumerate() {
                            *out = number(1000 * round + 100 * me + 10 * to + k);
                        }
                    }
                    link.exchange().unwrap();
                    for from in 0..size {
                        let expected: Vec<T> = (0..count(from, me))
                            .map(|k| number(1000 * round + 100 * from + 10 * me + k))
                            .collect();
                        assert_eq!(link.inbox(from), expected);
                    }
                }
            });
        }
    }

    #[test]
    fn numbers_of_both_kinds_arrive_bit_by_bit() {
        run(|k| k as f64 + 0.25);
        run(|k| k as f32 + 0.25);
        // Any bits: among them those of signalling NaNs.
        run(|k| [u32::MAX - k as u32, 0x7ff0_0001, 0x7f80_0001][k % 3]);
        assert_eq!((words::<f32>(5), words::<f64>(5), words::<f32>(0)), (3, 5, 0));
    }

    #[test]
    fn counts_that_do_not_fit_are_refused_on_all_ranks() {
        let results = threads::run(3, |comm| {
            let comm = Comm::new(comm);
            comm.scope(|| {
                let one = |yes: bool| usize::from(yes);
                // Rank 1 waits for more from rank 0 than that sends.
                let send = [0, 1, 2].map(|to| one(comm.rank() == 0 && to == 1));
                let receive = [0, 1, 2].map(|from| 2 * one(comm.rank() == 1 && from == 0));
                PairExchange::<f64>::new(&comm, &send, &receive).map(|_| ())
            })
        });
        assert!(results.iter().all(Result::is_err), "{results:?}");
    }
}
