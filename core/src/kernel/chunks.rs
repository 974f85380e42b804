//! Loops over rows that fill arrays, on the threads that the host lends.
use crate::Result;
use crate::host::Host;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// What `body` makes of every chunk of `0..n`, in order of chunks, which depend on `n` and `grain`
/// only.
///
/// # Errors
/// The first error (by range) of `body`.
pub fn collect<T: Send>(
    host: &dyn Host,
    n: usize,
    grain: usize,
    body: impl Fn(Range<usize>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let grain = grain.max(1);
    let made: Vec<Mutex<Option<T>>> = (0..n.div_ceil(grain)).map(|_| Mutex::new(None)).collect();
    host.parallel_for(n, grain, &|range| {
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
/// which has one number for each entry.
///
/// # Errors
/// The first error (by range) of `body`.
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
    host.parallel_for(n, grain, &|range| {
        let mut part = parts[range.start / grain].lock().unwrap_or_else(PoisonError::into_inner);
        body(range, &mut part)
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
