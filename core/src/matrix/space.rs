//! Which rank owns which rows, and inner products of vectors spread that way.
use crate::comm::{Comm, Communicator, HaloPlan};
use crate::{Error, Result};
use std::sync::Arc;

/// A distribution of rows over ranks in contiguous blocks, with the communicator of those ranks.
///
/// A vector of a space is a plain slice of the entries that this rank owns.
pub struct Space {
    comm: Comm,
    starts: Vec<u64>,
}

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Space(rank {} of {}, {:?})", self.comm.rank(), self.comm.size(), self.starts)
    }
}

impl Space {
    /// Every rank brings `n_own` rows. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn new(comm: Comm, n_own: usize) -> Result<Arc<Self>> {
        let counts = comm.all_gather(&[n_own as u64])?;
        let mut starts = vec![0];
        for (rank, count) in counts.iter().enumerate() {
            starts.push(starts[rank] + count[0]);
        }
        Ok(Arc::new(Space { comm, starts }))
    }

    /// `n` rows in blocks of nearly equal size, the larger ones first. Not collective.
    pub fn even(comm: Comm, n: u64) -> Arc<Self> {
        let size = comm.size() as u64;
        let (each, rest) = (n / size, n % size);
        let starts = (0..=size).map(|r| r * each + r.min(rest)).collect();
        Arc::new(Space { comm, starts })
    }

    /// From the first row of every rank and, last, the number of rows. Not collective.
    ///
    /// # Errors
    /// [`Error::Data`] where `starts` is not an increasing list of `size + 1` numbers from 0.
    pub fn from_starts(comm: Comm, starts: Vec<u64>) -> Result<Arc<Self>> {
        let increasing = starts.windows(2).all(|pair| pair[0] <= pair[1]);
        if starts.len() != comm.size() + 1 || starts[0] != 0 || !increasing {
            return Err(Error::Data(format!(
                "{starts:?} does not say where the rows of {} ranks start",
                comm.size()
            )));
        }
        Ok(Arc::new(Space { comm, starts }))
    }

    /// One rank that owns all `n` rows.
    pub fn solo(n: usize) -> Arc<Self> {
        Arc::new(Space { comm: Comm::solo(), starts: vec![0, n as u64] })
    }

    /// The ranks of this space.
    pub fn comm(&self) -> &Comm {
        &self.comm
    }
    /// Rows that this rank owns.
    pub fn n_own(&self) -> usize {
        let r = self.comm.rank();
        (self.starts[r + 1] - self.starts[r]) as usize
    }
    /// Global number of this rank's first row.
    pub fn start(&self) -> u64 {
        self.starts[self.comm.rank()]
    }
    /// Rows in all.
    pub fn n_global(&self) -> u64 {
        self.starts[self.comm.size()]
    }
    /// First row of each rank, then the number of rows: `size + 1` numbers.
    pub fn starts(&self) -> &[u64] {
        &self.starts
    }
    /// The rank that owns global row `row`.
    ///
    /// # Panics
    /// If `row` is not below [`n_global`](Space::n_global).
    pub fn owner(&self, row: u64) -> usize {
        assert!(row < self.n_global(), "row {row} of {}", self.n_global());
        self.starts.partition_point(|&s| s <= row) - 1
    }

    /// The whole vector on rank 0, out of the entries that each rank owns; nothing on the others.
    /// Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn gather(&self, mine: &[f64]) -> Result<Option<Vec<f64>>> {
        if self.comm.size() == 1 {
            return Ok(Some(mine.to_vec()));
        }
        let mut send = vec![Vec::new(); self.comm.size()];
        send[0] = mine.iter().flat_map(|v| v.to_le_bytes()).collect();
        let pieces = self.comm.all_to_all(&send)?;
        let whole = || pieces.iter().flat_map(|bytes| reals(bytes)).collect();
        Ok((self.comm.rank() == 0).then(whole))
    }

    /// The entries that this rank owns, out of the whole vector that rank 0 brings. Collective.
    ///
    /// # Errors
    /// [`Error::Data`], on all ranks, where rank 0 does not bring one value for each row; what the
    /// communicator reports.
    pub fn scatter(&self, whole: Option<&[f64]>) -> Result<Vec<f64>> {
        let mut send = vec![Vec::new(); self.comm.size()];
        let brought = match whole {
            _ if self.comm.rank() > 0 => Ok(()),
            Some(whole) if whole.len() as u64 == self.n_global() => {
                for (bytes, ends) in send.iter_mut().zip(self.starts.windows(2)) {
                    let piece = &whole[ends[0] as usize..ends[1] as usize];
                    bytes.extend(piece.iter().flat_map(|v| v.to_le_bytes()));
                }
                Ok(())
            }
            other => Err(Error::Data(format!(
                "a vector of {} entries for {} rows",
                other.map_or(0, <[f64]>::len),
                self.n_global()
            ))),
        };
        self.comm.agree(brought)?;
        Ok(reals(&self.comm.all_to_all(&send)?[0]).collect())
    }

    /// The plan that brings entries of others, those with the global numbers `ids` (strictly
    /// increasing, none of them this rank's): tells every owner which of its entries this rank
    /// needs. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    ///
    /// # Panics
    /// If an id is not below [`n_global`](Space::n_global).
    pub fn halo(&self, ids: &[u64]) -> Result<HaloPlan> {
        let mut plan = HaloPlan::default();
        let mut wanted = vec![Vec::new(); self.comm.size()];
        for (k, &id) in ids.iter().enumerate() {
            let owner = self.owner(id);
            wanted[owner].extend_from_slice(&id.to_le_bytes());
            match plan.recv.last_mut() {
                Some((rank, range)) if *rank == owner => range.end = k + 1,
                _ => plan.recv.push((owner, k..k + 1)),
            }
        }
        for (rank, ids) in self.comm.all_to_all(&wanted)?.iter().enumerate() {
            let local = |bytes: &[u8; 8]| (u64::from_le_bytes(*bytes) - self.start()) as u32;
            let index: Vec<u32> = ids.as_chunks().0.iter().map(local).collect();
            if !index.is_empty() {
                plan.send.push((rank, index));
            }
        }
        Ok(plan)
    }

    /// `out[k] = ⟨xₖ, yₖ⟩` for all pairs in one reduction. Collective.
    ///
    /// Summation is compensated on each rank and continues so over the ranks, in rank order:
    /// results hardly depend on the number of ranks.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn dots<const K: usize>(&self, pairs: [(&[f64], &[f64]); K]) -> Result<[f64; K]> {
        let mut mine = [[0.0; 2]; K];
        for (sum, (x, y)) in mine.iter_mut().zip(pairs) {
            *sum = dot_local(x, y);
        }
        let size = self.comm.size();
        if size == 1 {
            return Ok(mine.map(|sum| total([sum])));
        }
        let mine = mine.as_flattened();
        let mut stack = [0.0; 512];
        let mut heap;
        let all: &mut [f64] = if size * mine.len() <= stack.len() {
            &mut stack[..size * mine.len()]
        } else {
            heap = vec![0.0; size * mine.len()];
            &mut heap
        };
        self.comm.gather_f64(mine, all)?;
        let ranks = all.chunks_exact(2 * K);
        Ok(std::array::from_fn(|k| total(ranks.clone().map(|r| [r[2 * k], r[2 * k + 1]]))))
    }

    /// ‖x‖₂. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn norm(&self, x: &[f64]) -> Result<f64> {
        self.dots([(x, x)]).map(|[s]| s.sqrt())
    }
}

/// Numbers out of their bytes.
fn reals(bytes: &[u8]) -> impl Iterator<Item = f64> + '_ {
    bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes))
}

/// `a + b` as the rounded sum and its error.
#[inline]
pub(crate) fn two_sum(a: f64, b: f64) -> [f64; 2] {
    let s = a + b;
    let t = s - a;
    [s, (a - (s - t)) + (b - t)]
}

/// Adds unevaluated sums `[hi, lo]` in the given order and rounds once.
pub(crate) fn total(parts: impl IntoIterator<Item = [f64; 2]>) -> f64 {
    let [hi, lo] = add_up(parts);
    hi + lo
}

pub(super) fn add_up(parts: impl IntoIterator<Item = [f64; 2]>) -> [f64; 2] {
    parts.into_iter().fold([0.0; 2], |[hi, lo], [h, l]| {
        let [s, e] = two_sum(hi, h);
        [s, lo + e + l]
    })
}

/// Inner product of two slices as an unevaluated sum of two numbers: rounded products, added with
/// Knuth's error-free transformation in eight interleaved lanes.
pub fn dot_local(x: &[f64], y: &[f64]) -> [f64; 2] {
    sum_products(x, y, |x, y| x * y)
}

/// ‖x − s y‖₂² of two slices as an unevaluated sum, added as in [`dot_local`].
pub(crate) fn distance_local(x: &[f64], y: &[f64], s: f64) -> [f64; 2] {
    sum_products(x, y, |x, y| (x - s * y) * (x - s * y))
}

/// ‖s x‖₂² of a slice as an unevaluated sum, added as in [`dot_local`].
pub(crate) fn square_local(x: &[f64], s: f64) -> [f64; 2] {
    sum_products(x, x, |x, y| (s * x) * (s * y))
}

#[inline(always)]
fn sum_products(x: &[f64], y: &[f64], term: impl Fn(f64, f64) -> f64) -> [f64; 2] {
    let mut sum = Sum::default();
    sum.add(x, y, term);
    sum.finish()
}

/// Sums that run beside each other.
const LANES: usize = 8;

/// A sum over entries of vectors that come piece after piece, each but the last of a multiple of eight entries.
#[derive(Default)]
struct Sum {
    hi: [f64; LANES],
    lo: [f64; LANES],
    tail: [f64; LANES],
}

impl Sum {
    #[inline(always)]
    fn add(&mut self, x: &[f64], y: &[f64], term: impl Fn(f64, f64) -> f64) {
        let ((xs, x_tail), (ys, y_tail)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
        let Sum { hi, lo, tail } = self;
        for (x, y) in xs.iter().zip(ys) {
            for l in 0..LANES {
                let [s, e] = two_sum(hi[l], term(x[l], y[l]));
                (hi[l], lo[l]) = (s, lo[l] + e);
            }
        }
        for (tail, (&x, &y)) in tail.iter_mut().zip(x_tail.iter().zip(y_tail)) {
            *tail = term(x, y);
        }
    }

    fn finish(self) -> [f64; 2] {
        let Sum { hi, lo, tail } = self;
        let lanes = hi.into_iter().zip(lo).map(|(hi, lo)| [hi, lo]);
        add_up(lanes.chain(tail.map(|t| [t, 0.0])))
    }
}

/// Entries of vectors that are worked on while they are near.
const PIECE: usize = 512;

/// `p ← z + β p`, `q ← y + β q`, and pᵀq as [`dot_local`] has it, in one pass over memory.
pub(crate) fn turn(beta: f64, [z, y]: [&[f64]; 2], p: &mut [f64], q: &mut [f64]) -> [f64; 2] {
    let mut sum = Sum::default();
    let from = z.chunks(PIECE).zip(y.chunks(PIECE));
    for ((p, q), (z, y)) in p.chunks_mut(PIECE).zip(q.chunks_mut(PIECE)).zip(from) {
        p.iter_mut().zip(z).for_each(|(p, z)| *p = z + beta * *p);
        q.iter_mut().zip(y).for_each(|(q, y)| *q = y + beta * *q);
        sum.add(p, q, |p, q| p * q);
    }
    sum.finish()
}

/// `x += α p`, `r −= α q`, and rᵀr as [`dot_local`] has it, in one pass over memory.
pub(crate) fn advance(alpha: f64, [p, q]: [&[f64]; 2], x: &mut [f64], r: &mut [f64]) -> [f64; 2] {
    let mut sum = Sum::default();
    let from = p.chunks(PIECE).zip(q.chunks(PIECE));
    for ((x, r), (p, q)) in x.chunks_mut(PIECE).zip(r.chunks_mut(PIECE)).zip(from) {
        x.iter_mut().zip(p).for_each(|(x, p)| *x += alpha * p);
        r.iter_mut().zip(q).for_each(|(r, q)| *r += -alpha * q);
        sum.add(r, r, |r, s| r * s);
    }
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_in_one_pass_has_the_bits_of_its_steps() {
        for n in [0, 1, 7, 8, 511, 512, 513, 1024, 5003] {
            let vector = |seed: u64| -> Vec<f64> {
                (0..n as u64).map(|i| ((i * 7919 + seed) % 1009) as f64 / 97.0 - 5.0).collect()
            };
            let [z, y, p, q, x, r] = [1, 2, 3, 4, 5, 6].map(vector);
            let (alpha, beta) = (0.37, -1.9);
            let plus = |a: &[f64], s: f64, b: &[f64]| -> Vec<f64> {
                a.iter().zip(b).map(|(a, b)| a + s * b).collect()
            };
            let (mut p_now, mut q_now) = (p.clone(), q.clone());
            let pq = turn(beta, [&z, &y], &mut p_now, &mut q_now);
            assert_eq!((&p_now, &q_now), (&plus(&z, beta, &p), &plus(&y, beta, &q)));
            assert_eq!(pq, dot_local(&p_now, &q_now));
            let (mut x_now, mut r_now) = (x.clone(), r.clone());
            let rr = advance(alpha, [&p, &q], &mut x_now, &mut r_now);
            assert_eq!((&x_now, &r_now), (&plus(&x, alpha, &p), &plus(&r, -alpha, &q)));
            assert_eq!(rr, dot_local(&r_now, &r_now));
        }
    }
}
