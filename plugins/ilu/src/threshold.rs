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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = Vec<f64>;

    /// L D (its rows before they are divided by the pivots) and D U, by the definition, in dense rows.
    fn by_definition(a: &[Row], tolerance: f64, max_fill: usize) -> (Vec<Row>, Vec<Row>) {
        let n = a.len();
        let (mut ld, mut du) = (vec![vec![0.0; n]; n], vec![vec![0.0; n]; n]);
        for i in 0..n {
            let mut row = a[i].clone();
            let threshold = tolerance * row.iter().map(|v| v * v).sum::<f64>().sqrt();
            for k in 0..i {
                if row[k].abs() <= threshold {
                    row[k] = 0.0;
                }
                let factor = row[k] / du[k][k];
                for j in k + 1..n {
                    row[j] -= factor * du[k][j];
                }
            }
            for part in [0..i, i + 1..n] {
                let mut order: Vec<usize> = part.collect();
                order.sort_by(|&p, &q| row[q].abs().total_cmp(&row[p].abs()));
                for (place, &j) in order.iter().enumerate() {
                    if place >= max_fill || row[j].abs() <= threshold {
                        row[j] = 0.0;
                    }
                }
            }
            ld[i][..i].copy_from_slice(&row[..i]);
            du[i][i..].copy_from_slice(&row[i..]);
        }
        (ld, du)
    }

    fn dominant(n: usize, entries: &[f64]) -> Vec<Row> {
        let off = |i: usize, j: usize| entries[(i * n + j) % entries.len()];
        let kept = |i, j| if i == j || off(i, j).abs() < 0.5 { 0.0 } else { off(i, j) };
        let row = |i: usize| -> Row {
            let sum: f64 = (0..n).map(|j| kept(i, j).abs()).sum();
            (0..n).map(|j| if i == j { 0.5 + sum } else { kept(i, j) }).collect()
        };
        (0..n).map(row).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn factors_are_those_of_the_definition(
            n in 1usize..20,
            entries in proptest::collection::vec(-1.0..1.0f64, 37..64),
            tolerance in prop_oneof![Just(0.0), 0.0..0.2f64],
            max_fill in prop_oneof![Just(usize::MAX), 0usize..5],
        ) {
            let a = dominant(n, &entries);
            let full = a.iter().enumerate();
            let full = full.flat_map(|(i, row)| row.iter().enumerate().map(move |(j, &v)| (i, j, v)));
            let stored: Vec<_> = full.filter(|entry| entry.2 != 0.0).collect();
            let matrix = DistCsr::solo(Csr::from_triplets(n, n, stored).unwrap()).unwrap();
            let mut pivots = Pivots { shift: None, moved: 0 };
            let factors = factorise(&matrix, tolerance, max_fill, &mut pivots).unwrap();
            let (ld, du) = by_definition(&a, tolerance, max_fill);
            for i in 0..n {
                let pivot = du[i][i];
                prop_assert!((factors.inverse[i] * pivot - 1.0).abs() < 1e-12);
                let dense = |(cols, values): (&[u32], &[f64]), scale: &dyn Fn(usize) -> f64| {
                    let mut row = vec![0.0; n];
                    cols.iter().zip(values).for_each(|(&j, v)| row[j as usize] = v * scale(j as usize));
                    row
                };
                let l = dense(factors.lower.row(i), &|j| du[j][j]);
                let u = dense(factors.upper.row(i), &|_| pivot);
                for j in (0..n).filter(|&j| j != i) {
                    let (found, right) = if j < i { (l[j], ld[i][j]) } else { (u[j], du[i][j]) };
                    prop_assert!((found - right).abs() < 1e-11, "({}, {}): {} {}", i, j, found, right);
                }
                prop_assert!(factors.lower.row(i).0.len() <= max_fill);
                prop_assert!(factors.upper.row(i).0.len() <= max_fill);
            }
        }
    }

    #[test]
    fn the_largest_are_kept_in_order_of_columns_and_ties_go_to_the_lower_column() {
        let mut row = vec![(7, 1.0), (2, -3.0), (9, 2.0), (4, -2.0), (1, 0.5)];
        keep_largest(&mut row, 2);
        assert_eq!(row, [(2, -3.0), (4, -2.0)]);
        keep_largest(&mut row, 5);
        assert_eq!(row, [(2, -3.0), (4, -2.0)]);
        keep_largest(&mut row, 0);
        assert_eq!(row, []);
    }
}
