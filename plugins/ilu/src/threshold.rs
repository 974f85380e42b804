//! ILUT: fill kept by size (Saad, §10.4.1).
use crate::factors::{Factors, Pivots};
use precondor_sdk::prelude::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// L, D and U with dual dropping: in row i, entries up to `tolerance`·‖aᵢ‖₂ are dropped, and of the
/// others the `max_fill` largest are kept in each of L and U.
///
/// Entries of L are compared before they are divided by the pivot, so that scaling the rows of A
/// changes nothing.
///
/// # Errors
/// [`Error::Breakdown`] naming the first global row without a pivot.
pub fn factorise(
    a: &DistCsr,
    tolerance: f64,
    max_fill: usize,
    pivots: &mut Pivots,
) -> Result<Factors> {
    let (n, own) = (a.n_own(), a.own().view());
    let mut factors = Factors::with_capacity(n, own.nnz());
    let Factors { lower, upper, inverse } = &mut factors;
    let (mut work, mut seen) = (vec![0.0; n], vec![u32::MAX; n]);
    // Columns of the row under construction: below the diagonal, in order, and above it.
    let (mut below, mut above) = (BinaryHeap::new(), Vec::new());
    let mut kept: Vec<(u32, f64)> = Vec::new();
    for i in 0..n {
        let this = i as u32;
        (work[i], seen[i]) = (0.0, this);
        above.clear();
        for (j, value) in own.row(i) {
            (work[j], seen[j]) = (value, this);
            match j.cmp(&i) {
                std::cmp::Ordering::Less => below.push(Reverse(j as u32)),
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => above.push(j as u32),
            }
        }
        let norm = own.row_values(i).iter().map(|v| v * v).sum::<f64>().sqrt();
        let small = |value: f64| value.abs() <= tolerance * norm;

        kept.clear();
        while let Some(Reverse(k)) = below.pop() {
            let wk: f64 = work[k as usize];
            if small(wk) {
                continue;
            }
            kept.push((k, wk));
            let (cols, u) = upper.row(k as usize);
            for (&j, u) in cols.iter().zip(u) {
                if seen[j as usize] == this {
                    work[j as usize] -= wk * u;
                    continue;
                }
                (work[j as usize], seen[j as usize]) = (-(wk * u), this);
                if j < this { below.push(Reverse(j)) } else { above.push(j) }
            }
        }
        keep_largest(&mut kept, max_fill);
        for &(k, wk) in &kept {
            lower.push(k, wk * inverse[k as usize]);
        }
        lower.end_row()?;

        let reciprocal = pivots.take(a, i, work[i])?.recip();
        inverse.push(reciprocal);
        kept.clear();
        kept.extend(above.iter().map(|&j| (j, work[j as usize])).filter(|&(_, w)| !small(w)));
        keep_largest(&mut kept, max_fill);
        for &(j, w) in &kept {
            upper.push(j, w * reciprocal);
        }
        upper.end_row()?;
    }
    lower.shrink();
    upper.shrink();
    Ok(factors)
}

/// The `count` entries that are largest in magnitude, in increasing order of columns; of equals,
/// those of the lower columns.
fn keep_largest(row: &mut Vec<(u32, f64)>, count: usize) {
    if row.len() > count {
        let order =
            |p: &(u32, f64), q: &(u32, f64)| q.1.abs().total_cmp(&p.1.abs()).then(p.0.cmp(&q.0));
        row.select_nth_unstable_by(count, order);
        row.truncate(count);
    }
    row.sort_unstable_by_key(|entry| entry.0);
}
