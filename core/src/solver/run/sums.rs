//! Reductions that carry news: a rank's failed `apply`, and its watcher's wish to stop.
use super::{Go, Halt, Run};
use crate::comm::Communicator;
use crate::matrix::{dot_local, total};
use crate::solver::Outcome;

/// What this rank has to tell, and room for what all bring.
#[derive(Default)]
pub(super) struct News {
    /// The first error on this rank, to be told in the next reduction.
    pub fault: Option<crate::Error>,
    /// This rank's watcher asked to stop.
    pub wish: bool,
    mine: Vec<f64>,
    all: Vec<f64>,
}

impl Run<'_> {
    /// Inner products of `pairs`, in one reduction.
    pub fn dots<const K: usize>(&mut self, pairs: [(&[f64], &[f64]); K]) -> Go<[f64; K]> {
        let mut out = [0.0; K];
        self.sums(&pairs.map(|(x, y)| dot_local(x, y)), &mut out)?;
        Ok(out)
    }

    /// Adds what each rank has, in one reduction.
    pub fn sum(&mut self, mine: [f64; 2]) -> Go<f64> {
        let mut out = [0.0];
        self.sums(&[mine], &mut out)?;
        Ok(out[0])
    }

    /// Adds each of `mine` over all ranks, in one reduction that also tells of faults and wishes.
    pub fn sums(&mut self, mine: &[[f64; 2]], out: &mut [f64]) -> Go<()> {
        let comm = self.a.space().comm();
        let size = comm.size();
        let News { fault, wish, mine: bring, all } = &mut self.news;
        if size == 1 {
            if let Some(e) = fault.take() {
                return Err(Halt::Failed(e));
            }
            for (out, sum) in out.iter_mut().zip(mine) {
                *out = total([*sum]);
            }
            return Ok(());
        }
        let flag = |set: bool| f64::from(u8::from(set));
        bring.clear();
        bring.extend([flag(fault.is_some()), flag(*wish)]);
        bring.extend_from_slice(mine.as_flattened());
        let width = bring.len();
        all.resize(size * width, 0.0);
        comm.gather_f64(bring, all)?;
        let ranks = all.chunks_exact(width);
        if ranks.clone().any(|r| r[0] != 0.0) {
            comm.agree(fault.take().map_or(Ok(()), Err))?;
        }
        if ranks.clone().any(|r| r[1] != 0.0) {
            return Err(Halt::Ended(Outcome::Interrupted));
        }
        for (k, out) in out.iter_mut().enumerate() {
            *out = total(ranks.clone().map(|r| [r[2 + 2 * k], r[3 + 2 * k]]));
        }
        Ok(())
    }
}
