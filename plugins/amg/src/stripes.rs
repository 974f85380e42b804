//! Loops over rows that write beyond their own row, on the host's threads.
//!
//! Rows are cut into stripes, each so long that what its rows write reaches no further than into the stripe before:
//! then all even stripes may run at once, and after them all odd ones. Stripes depend on the matrix alone, so
//! that results have the same bits on any number of threads. A Gauss–Seidel sweep in this order, even stripes
//! first, is one in another order of the unknowns: nothing is lost of what it is known to do, and couplings
//! across the borders of at most sixteen stripes hardly change how fast it is.
use precondor_sdk::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Stripes at most, two for each thread that can be used.
pub(crate) const MOST: usize = 16;
/// Rows of a stripe, at least.
const ROWS: usize = 4000;
/// Stripes that may run at once.
const HALF: usize = MOST / 2;

/// How rows are cut.
pub(crate) struct Stripes {
    stripes: Vec<Stripe>,
}

/// Some rows, and where they write.
#[derive(Clone)]
pub(crate) struct Stripe {
    pub rows: Range<usize>,
    /// All places that they write to: up to their last one, beginning in the stripe before.
    pub places: Range<usize>,
    /// The first rows, as many as write to places of the stripe before.
    pub head: Range<usize>,
}

/// What is given to a loop: the stripe's part of each array, which begins at `places.start`.
pub(crate) type Parts<'a, V, const N: usize> = [&'a mut [V]; N];

impl Stripes {
    /// For rows that write to places `lowest(row)` up to their own.
    pub fn of_rows(n: usize, lowest: impl Fn(usize) -> usize) -> Self {
        Self::cut(n, n, |i| (lowest(i).min(i), i + 1))
    }

    /// For rows that write to `places(row)`, a first place and one past the last, of `n_places` in all.
    pub fn cut(n: usize, n_places: usize, places: impl Fn(usize) -> (usize, usize)) -> Self {
        // Of two none would run beside another.
        let counts = 3..=MOST.min(n / ROWS);
        let looked_at = if counts.is_empty() { 0 } else { n };
        let of: Vec<(usize, usize)> = (0..looked_at).map(places).collect();
        let reach = |rows: Range<usize>| {
            of[rows].iter().fold((n_places, 0), |(low, high), e| (low.min(e.0), high.max(e.1)))
        };
        for count in counts.rev() {
            let bounds: Vec<usize> = (0..=count).map(|k| k * n / count).collect();
            let ends: Vec<_> = bounds.windows(2).map(|w| reach(w[0]..w[1])).collect();
            // Stripes that run at once are two apart.
            if ends.windows(3).any(|w| w[0].1 > w[2].0) {
                continue;
            }
            let stripe = |k: usize| {
                let rows = bounds[k]..bounds[k + 1];
                let before = if k == 0 { 0 } else { ends[k - 1].1 };
                let (low, high) = if ends[k].1 == 0 { (before, before) } else { ends[k] };
                let last = rows.clone().rev().find(|&i| of[i].0 < before);
                let head = rows.start..last.map_or(rows.start, |last| last + 1);
                Stripe { rows, places: low..high, head }
            };
            return Stripes { stripes: (0..count).map(stripe).collect() };
        }
        let whole = Stripe { rows: 0..n, places: 0..n_places, head: 0..0 };
        Stripes { stripes: vec![whole] }
    }

    #[cfg(test)]
    pub fn single(&self) -> bool {
        self.stripes.len() < 2
    }

    /// Even stripes, or odd ones.
    pub fn of_parity(&self, parity: usize) -> impl Iterator<Item = &Stripe> {
        self.stripes.iter().skip(parity).step_by(2)
    }

    /// Where in a stripe of rows the next one begins to write.
    pub fn after(&self, stripe: &Stripe) -> usize {
        let next = self.stripes.iter().find(|next| next.rows.start == stripe.rows.end);
        next.map_or(stripe.rows.end, |next| next.places.start.min(stripe.rows.end))
    }

    /// Calls `body` with every row, and the part of `x` that it adds to with the place where that begins.
    ///
    /// # Errors
    /// What the host reports.
    pub fn add<V: Send>(
        &self,
        host: &dyn Host,
        x: &mut [V],
        body: impl Fn(usize, &mut [V], usize) + Sync,
    ) -> Result<()> {
        (0..2).try_for_each(|parity| {
            self.run(host, parity, [&mut *x], |stripe, [x]| {
                stripe.rows.clone().for_each(|row| body(row, x, stripe.places.start));
            })
        })
    }

    /// Calls `body` with every stripe of a parity and its parts of `arrays`, possibly at the same time. Allocates
    /// nothing.
    ///
    /// # Errors
    /// What the host reports.
    pub fn run<V: Send, const N: usize>(
        &self,
        host: &dyn Host,
        parity: usize,
        arrays: Parts<'_, V, N>,
        body: impl Fn(&Stripe, Parts<'_, V, N>) + Sync,
    ) -> Result<()> {
        let mut rest = arrays;
        let (mut from, mut stripes) = (0, self.of_parity(parity));
        let parts: [_; HALF] = std::array::from_fn(|_| {
            let part = stripes.next().map(|stripe| {
                let (skip, length) = (stripe.places.start - from, stripe.places.len());
                from = stripe.places.end;
                let part = rest.each_mut().map(|array| {
                    array.split_off_mut(..skip).expect("places in order");
                    array.split_off_mut(..length).expect("places of the array")
                });
                (stripe, part)
            });
            Mutex::new(part)
        });
        host.parallel_for(self.of_parity(parity).count(), 1, &|one| {
            let part = parts[one.start].lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((stripe, part)) = part {
                body(stripe, part);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_sdk::core::host::Alone;

    #[test]
    fn stripes_of_a_band_write_apart_and_cover_everything() {
        let (n, reach) = (50_000, 900);
        let stripes = Stripes::of_rows(n, |i| i.saturating_sub(reach));
        assert_eq!(stripes.stripes.len(), 12);
        let mut next = 0;
        for stripe in &stripes.stripes {
            assert_eq!(stripe.rows.start, next);
            next = stripe.rows.end;
            let first = stripe.rows.start == 0;
            assert_eq!(stripe.places.start, stripe.rows.start - if first { 0 } else { reach });
            assert_eq!(stripe.head.len(), if first { 0 } else { reach });
            assert_eq!(stripes.after(stripe), (next - if next < n { reach } else { 0 }));
        }
        assert_eq!(next, n);
        // Every row adds one to its place and to the first that it reaches.
        let mut sums = vec![0u32; n];
        for parity in 0..2 {
            let add = |stripe: &Stripe, [sums]: Parts<'_, u32, 1>| {
                for i in stripe.rows.clone() {
                    sums[i - stripe.places.start] += 1;
                    sums[i.saturating_sub(reach) - stripe.places.start] += 1;
                }
            };
            stripes.run(&Alone, parity, [&mut sums], add).expect("no faults");
        }
        let expected = |i: usize| match i {
            0 => 2 + reach as u32,
            i if i < n - reach => 2,
            _ => 1,
        };
        assert!(sums.iter().enumerate().all(|(i, &sum)| sum == expected(i)));
    }

    #[test]
    fn rows_that_reach_far_are_one_stripe() {
        assert!(Stripes::of_rows(50_000, |i| i / 3).single());
        assert!(Stripes::of_rows(7000, |i| i).single());
    }
}
