//! Loops over rows that fill arrays, on the threads that the host lends.
use crate::Result;
use crate::host::Host;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Chunks for each thread between two looks at the host: a loop ends soon after that is asked for.
const LOOK: usize = 8;

/// [`Host::parallel_for`] in pieces, between which the host is told how far it is.
fn in_pieces(
    host: &dyn Host,
    n: usize,
    grain: usize,
    body: &(dyn Fn(Range<usize>) -> Result<()> + Sync),
) -> Result<()> {
    let piece = grain * LOOK * host.threads();
    for from in (0..n).step_by(piece) {
        host.step(from, n, "rows")?;
        let moved = |range: Range<usize>| body(from + range.start..from + range.end);
        host.parallel_for(piece.min(n - from), grain, &moved)?;
    }
    Ok(())
}

/// What `body` makes of every chunk of `0..n`, in order of chunks, which depend on `n` and `grain`
/// only. For setup: the host may interrupt it.
///
/// # Errors
/// The first error (by range) of `body`; [`Error::Interrupted`](crate::Error::Interrupted).
pub fn collect<T: Send>(
    host: &dyn Host,
    n: usize,
    grain: usize,
    body: impl Fn(Range<usize>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let grain = grain.max(1);
    let made: Vec<Mutex<Option<T>>> = (0..n.div_ceil(grain)).map(|_| Mutex::new(None)).collect();
    in_pieces(host, n, grain, &|range| {
        let value = body(range.clone())?;
        *made[range.start / grain].lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    })?;
    Ok(made
        .into_iter()
        .filter_map(|m| m.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect())
}

/// Runs `body` on every chunk of the rows of `row_ptr` together with the chunk's part of `out`,
/// which has one number for each entry. For setup: the host may interrupt it.
///
/// # Errors
/// The first error (by range) of `body`; [`Error::Interrupted`](crate::Error::Interrupted).
///
/// # Panics
/// Where `out` is shorter than `row_ptr` says.
pub fn fill(
    host: &dyn Host,
    row_ptr: &[u32],
    grain: usize,
    out: &mut [f64],
    body: impl Fn(Range<usize>, &mut [f64]) -> Result<()> + Sync,
) -> Result<()> {
    let (n, grain) = (row_ptr.len() - 1, grain.max(1));
    let mut parts = Vec::with_capacity(n.div_ceil(grain));
    let mut rest = out;
    for first in (0..n).step_by(grain) {
        let last = (first + grain).min(n);
        let (part, later) = rest.split_at_mut((row_ptr[last] - row_ptr[first]) as usize);
        parts.push(Mutex::new(part));
        rest = later;
    }
    in_pieces(host, n, grain, &|range| {
        let mut part = parts[range.start / grain].lock().unwrap_or_else(PoisonError::into_inner);
        body(range, &mut part)
    })
}

/// The most runs that [`rows`] makes of its arrays.
pub const RUNS: usize = 16;

/// Cuts `arrays` of `n` rows each into runs of at least `grain` rows, and calls `body` with every run
/// and the arrays' parts of it, possibly at the same time. An array comes with the length of its rows.
/// Runs depend on `n` and `grain` only. Allocates nothing.
///
/// # Errors
/// The first error (by range) of `body`.
///
/// # Panics
/// Where an array is shorter than `n` rows.
pub fn rows<T: Send, const N: usize>(
    host: &dyn Host,
    n: usize,
    grain: usize,
    arrays: [(&mut [T], usize); N],
    body: impl Fn(Range<usize>, [&mut [T]; N]) -> Result<()> + Sync,
) -> Result<()> {
    let grain = grain.max(n.div_ceil(RUNS)).max(1);
    let mut rest = arrays;
    let parts: [Mutex<Option<[&mut [T]; N]>>; RUNS] = std::array::from_fn(|k| {
        let rows = (n.min((k + 1) * grain)).saturating_sub(k * grain);
        let part = rest.each_mut().map(|(array, length)| {
            array.split_off_mut(..rows * *length).expect("an array of n rows")
        });
        Mutex::new(Some(part))
    });
    host.parallel_for(n, grain, &|range| {
        let part = parts[range.start / grain].lock().unwrap_or_else(PoisonError::into_inner).take();
        part.map_or(Ok(()), |part| body(range, part))
    })
}

/// Work spaces that the chunks of a loop hand on to each other: never more than there are threads.
pub struct Pool<W>(Mutex<Vec<W>>);

impl<W> Default for Pool<W> {
    fn default() -> Self {
        Pool(Mutex::default())
    }
}

impl<W> Pool<W> {
    /// Runs `body` with a work space that is free, or that `make` makes. One that saw an error is
    /// not used again.
    ///
    /// # Errors
    /// What `body` reports.
    pub fn with<T>(
        &self,
        make: impl FnOnce() -> W,
        body: impl FnOnce(&mut W) -> Result<T>,
    ) -> Result<T> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut space = free.unwrap_or_else(make);
        let value = body(&mut space)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(space);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::host::Alone;

    #[test]
    fn rows_are_handed_out_once_each() {
        for (n, grain) in [(0, 1), (1, 5), (7, 2), (16, 1), (40, 1), (100, 60)] {
            let (mut a, mut b) = (vec![0; 3 * n], vec![0; n]);
            let runs = Mutex::new(0);
            rows(&Alone, n, grain, [(&mut a, 3), (&mut b, 1), (&mut [], 0)], |range, [a, b, c]| {
                assert_eq!((a.len(), b.len(), c.len()), (3 * range.len(), range.len(), 0));
                a.iter_mut().enumerate().for_each(|(k, a)| *a += 3 * range.start + k + 1);
                b.iter_mut().zip(range).for_each(|(b, row)| *b += row + 1);
                *runs.lock().unwrap() += 1;
                Ok(())
            })
            .unwrap();
            assert!(a.into_iter().eq(1..=3 * n) && b.into_iter().eq(1..=n));
            let runs = runs.into_inner().unwrap();
            assert!(runs <= RUNS && runs <= n.div_ceil(grain), "{runs} runs of {n} rows");
        }
        let fail = |range: Range<usize>, _: [&mut [u8]; 0]| match range.start {
            0 => Ok(()),
            at => Err(Error::Data(format!("row {at}"))),
        };
        assert_eq!(rows(&Alone, 9, 3, [], fail).unwrap_err().to_string(), "row 3");
    }
}
