//! ILU(k): which entries are kept, and their values.
use crate::factors::{BeforeRow, Factors, Pivots};
use precondor_sdk::core::kernel::triangular::SEARCHED;
use precondor_sdk::prelude::*;

/// Entries of a row of U through which fill is made, at most.
const LONGEST: usize = 1000;

/// The pattern of L and U, their values still to be filled in: entries of A (and its diagonal) have
/// level 0, an entry that elimination makes of two others the sum of their levels plus one; those up
/// to `level` are kept.
///
/// A row of U with more than [`LONGEST`] entries makes no fill: behind one dense row of A, all of U would
/// fill in.
///
/// Rows are merged in a list linked through their sorted columns (Saad, §10.3.3).
pub fn pattern(a: CsrView<'_>, level: u32, before_row: &BeforeRow<'_>) -> Result<Factors> {
    let n = a.n_rows();
    let mut factors = Factors::with_capacity(n, a.nnz());
    let Factors { lower, upper, inverse } = &mut factors;
    inverse.resize(n, 0.0);
    if level == 0 {
        for i in 0..n {
            let (below, above) = around_diagonal(a, i);
            lower.push_pattern(below);
            upper.push_pattern(above);
            lower.end_row()?;
            upper.end_row()?;
        }
        return Ok(factors);
    }
    // Values of U are the levels of its entries here. Of the row under construction: the next column
    // after each (`end` heads the list and ends it).
    let end = n as u32;
    let mut next = vec![end; n + 1];
    let (mut level_of, mut seen) = (vec![0u32; n], vec![u32::MAX; n]);
    for i in 0..n as u32 {
        before_row(i as usize)?;
        let (below, above) = around_diagonal(a, i as usize);
        let mut last = end;
        for &j in below.iter().chain(&[i]).chain(above) {
            next[last as usize] = j;
            (level_of[j as usize], seen[j as usize]) = (0, i);
            last = j;
        }
        next[last as usize] = end;

        let mut k = next[n];
        while k < i {
            let (cols, levels) = upper.row(k as usize);
            if cols.len() > LONGEST {
                k = next[k as usize];
                continue;
            }
            let mut place = k;
            for (&j, &other) in cols.iter().zip(levels) {
                let made = level_of[k as usize] + other as u32 + 1;
                if made > level {
                    continue;
                }
                if seen[j as usize] == i {
                    level_of[j as usize] = made.min(level_of[j as usize]);
                    continue;
                }
                while next[place as usize] < j {
                    place = next[place as usize];
                }
                next[j as usize] = next[place as usize];
                next[place as usize] = j;
                (level_of[j as usize], seen[j as usize]) = (made, i);
                place = j;
            }
            k = next[k as usize];
        }

        let row = || std::iter::successors(Some(next[n]), |&j| Some(next[j as usize]));
        let row = || row().take_while(|&j| j != end);
        lower.reserve(row().take_while(|&j| j < i).count())?;
        upper.reserve(row().skip_while(|&j| j <= i).count())?;
        for j in row() {
            if j < i {
                lower.push(j, 0.0);
            } else if j > i {
                upper.push(j, f64::from(level_of[j as usize]));
            }
        }
        lower.end_row()?;
        upper.end_row()?;
    }
    lower.shrink();
    upper.shrink();
    Ok(factors)
}

/// Columns of row `i` below and above the diagonal.
fn around_diagonal(a: CsrView<'_>, i: usize) -> (&[u32], &[u32]) {
    let row = a.row_cols(i);
    let (below, above) = row.split_at(row.partition_point(|&j| (j as usize) < i));
    (below, above.strip_prefix(&[i as u32]).unwrap_or(above))
}

/// The values of L, D and U on the pattern that `factors` has (Saad, algorithm 10.4: rows, each
/// eliminated by those above it, what falls outside the pattern discarded).
///
/// # Errors
/// [`Error::Breakdown`] naming the first row without a pivot.
pub fn values(
    a: CsrView<'_>,
    factors: &mut Factors,
    pivots: &mut Pivots,
    before_row: &BeforeRow<'_>,
) -> Result<()> {
    let n = a.n_rows();
    let Factors { lower, upper, inverse } = factors;
    // Row under construction; what lies outside its pattern is never read.
    let mut work = vec![0.0; n];
    for i in 0..n {
        before_row(i)?;
        let (below, l) = lower.row_mut(i);
        for &j in below.iter().chain(upper.row(i).0) {
            work[j as usize] = 0.0;
        }
        work[i] = 0.0;
        for (j, value) in a.row(i) {
            work[j] = value;
        }
        for (&k, l) in below.iter().zip(l) {
            let wk = work[k as usize];
            *l = wk * inverse[k as usize];
            let (cols, u) = upper.row(k as usize);
            let rest = below.len() + upper.row(i).0.len() + 1;
            if cols.len() > SEARCHED * rest {
                // A long row of U is searched for what this one keeps.
                let i = i as u32;
                for &j in below.iter().chain(&[i]).chain(upper.row(i as usize).0) {
                    if let Ok(at) = cols.binary_search(&j) {
                        work[j as usize] -= wk * u[at];
                    }
                }
                continue;
            }
            for (&j, u) in cols.iter().zip(u) {
                work[j as usize] -= wk * u;
            }
        }
        inverse[i] = pivots.take(a, i, work[i])?.recip();
        let (above, u) = upper.row_mut(i);
        for (&j, u) in above.iter().zip(u) {
            *u = work[j as usize] * inverse[i];
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// Level of fill by the theorem on fill paths: one less than the length of the shortest path
    /// from i to j in the graph of A through nodes numbered below both.
    fn path_level(a: CsrView<'_>, i: usize, j: usize) -> Option<u32> {
        let mut length = vec![u32::MAX; a.n_rows()];
        length[i] = 0;
        let mut queue = VecDeque::from([i]);
        while let Some(at) = queue.pop_front() {
            for &to in a.row_cols(at) {
                let to = to as usize;
                if to == j {
                    return Some(length[at]);
                }
                if to < i.min(j) && length[to] == u32::MAX {
                    length[to] = length[at] + 1;
                    queue.push_back(to);
                }
            }
        }
        None
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn the_pattern_is_that_of_fill_paths_and_grows(
            n in 1usize..20, places in proptest::collection::vec((0usize..20, 0usize..20), 0..70),
        ) {
            // The diagonal is left out here and there: it is kept all the same.
            let entries = (0..n).filter(|i| i % 5 != 3).map(|i| (i, i, 1.0));
            let places = places.into_iter().filter(|&(i, j)| i < n && j < n);
            let entries: Vec<_> = entries.chain(places.map(|(i, j)| (i, j, 1.0))).collect();
            let a = Csr::from_triplets(n, n, entries).unwrap();
            let mut last = 0;
            for level in [0, 1, 2, 3, u32::MAX] {
                let factors = pattern(a.view(), level, &|_| Ok(())).unwrap();
                for i in 0..n {
                    let right = (0..n).filter(|&j| {
                        j != i && path_level(a.view(), i, j).is_some_and(|found| found <= level)
                    });
                    let right: Vec<u32> = right.map(|j| j as u32).collect();
                    let (l, u) = (factors.lower.row(i).0, factors.upper.row(i).0);
                    prop_assert_eq!([l, u].concat(), right, "row {} at level {}", i, level);
                }
                prop_assert!(factors.stored_entries() >= last);
                last = factors.stored_entries();
            }
        }
    }
}
