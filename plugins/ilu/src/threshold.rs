//! ILUT and ILUTP: fill kept by size (Saad, §10.4.1), columns exchanged for larger pivots (§10.4.4).
//!
//! Sizes are compared as numbers of 24 bits relative to the row of A, and ties go to the lower column:
//! what differs by rounding only, as after a change of units, is decided alike.
use crate::factors::{BeforeRow, Factors, Pivots};
use precondor_sdk::prelude::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is dropped, and when columns are exchanged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Entries of row i up to this times ‖aᵢ‖₂ are dropped.
    pub tolerance: f64,
    /// Entries that are kept in a row of L and in a row of U at most.
    pub max_fill: usize,
    /// Entries of L and U together, beside those of A: a row may use what those before it have left.
    pub fill_factor: Option<f64>,
    /// The largest entry of the row, times this, that the pivot may be smaller than before their columns
    /// are exchanged; without it they never are.
    pub pivoting: Option<f64>,
}

impl Rule {
    /// Entries that row `i` may have where those before it have `used` so many.
    fn left(&self, i: usize, a: CsrView<'_>, used: usize) -> usize {
        self.fill_factor.map_or(usize::MAX, |factor| {
            let share = (i + 1) as f64 / a.n_rows() as f64;
            ((factor * a.nnz() as f64 * share) as usize).saturating_sub(used)
        })
    }
}

/// L, D and U with dual dropping: of row i, entries up to `tolerance`·‖aᵢ‖₂ are dropped, and of the
/// others the `max_fill` largest are kept in each of L and U. With `pivoting`, they are those of A with
/// its columns in another order: the second result names the column of A at each place. Factors that are
/// no longer needed lend their room.
///
/// Entries of L are compared before they are divided by the pivot, so that scaling the rows of A
/// changes nothing.
///
/// # Errors
/// [`Error::Breakdown`] naming the first row without a pivot.
pub fn factorise(
    a: CsrView<'_>,
    rule: &Rule,
    pivots: &mut Pivots,
    room: Option<Factors>,
    before_row: &BeforeRow<'_>,
) -> Result<(Factors, Option<Vec<u32>>)> {
    let n = a.n_rows();
    let mut factors = room.unwrap_or_else(|| Factors::with_capacity(n, a.nnz()));
    factors.clear();
    // U has the columns of A until the order of all is known.
    let Factors { lower, upper, inverse } = &mut factors;
    let mut places = Places::new(n, rule.pivoting);
    let (mut work, mut seen) = (vec![0.0; n], vec![u32::MAX; n]);
    // Of the row under construction: places below the diagonal, in order, and columns above it.
    let (mut below, mut above) = (BinaryHeap::new(), Vec::new());
    let mut kept: Vec<(u32, f64)> = Vec::new();
    for i in 0..n {
        before_row(i)?;
        let this = i as u32;
        let diagonal = places.column[i];
        (work[diagonal as usize], seen[diagonal as usize]) = (0.0, this);
        above.clear();
        for (j, value) in a.row(i) {
            (work[j], seen[j]) = (value, this);
            match places.place[j].cmp(&this) {
                std::cmp::Ordering::Less => below.push(Reverse(places.place[j])),
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => above.push(j as u32),
            }
        }
        let size = Size::of_row(a.row_values(i), rule.tolerance);

        kept.clear();
        while let Some(Reverse(k)) = below.pop() {
            let wk: f64 = work[places.column[k as usize] as usize];
            if size.is_small(wk) {
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
                match places.place[j as usize] {
                    place if place < this => below.push(Reverse(place)),
                    _ => above.push(j),
                }
            }
        }
        let left = rule.left(i, a, lower.nnz() + upper.nnz());
        size.keep_largest(&mut kept, rule.max_fill.min(left / 2));
        let left = left - kept.len();
        lower.reserve(kept.len())?;
        for &(k, wk) in &kept {
            lower.push(k, wk * inverse[k as usize]);
        }
        lower.end_row()?;

        places.choose(i, &mut above, &work, &size);
        let pivot = work[places.column[i] as usize];
        kept.clear();
        let entries = above.iter().map(|&j| (j, work[j as usize]));
        kept.extend(entries.filter(|&(_, w)| !size.is_small(w)));
        size.keep_largest(&mut kept, rule.max_fill.min(left));
        let reciprocal = pivots.take(a, i, pivot)?.recip();
        inverse.push(reciprocal);
        upper.reserve(kept.len())?;
        for &(j, w) in &kept {
            upper.push(j, w * reciprocal);
        }
        upper.end_row_in_any_order()?;
    }
    lower.shrink();
    upper.shrink();
    if places.changed {
        upper.renumber(&places.place);
    }
    Ok((factors, places.changed.then_some(places.column)))
}

/// Where the columns of A stand.
struct Places {
    column: Vec<u32>,
    place: Vec<u32>,
    pivoting: Option<f64>,
    changed: bool,
}

impl Places {
    fn new(n: usize, pivoting: Option<f64>) -> Self {
        let column: Vec<u32> = (0..n as u32).collect();
        Places { place: column.clone(), column, pivoting, changed: false }
    }

    /// Puts the column of the largest entry of row `i` on its diagonal, where the one there is too small
    /// beside it: then that one is among those `above` instead.
    fn choose(&mut self, i: usize, above: &mut [u32], work: &[f64], size: &Size) {
        let Some(pivoting) = self.pivoting else { return };
        let of = |j: u32| f64::from(size.of(work[j as usize]));
        let larger = |p: &&mut u32, q: &&mut u32| of(**p).total_cmp(&of(**q)).then((**q).cmp(*p));
        let Some(largest) = above.iter_mut().max_by(larger) else { return };
        let (former, column) = (self.column[i], *largest);
        if of(former) >= pivoting * (1.0 - 1e-6) * of(column) {
            return;
        }
        *largest = former;
        self.column.swap(i, self.place[column as usize] as usize);
        self.place.swap(column as usize, former as usize);
        self.changed = true;
    }
}

/// Sizes relative to a row of A.
struct Size {
    /// The largest entry, and ‖aᵢ‖₂ beside it.
    largest: f64,
    norm: f64,
    /// Up to this an entry is dropped.
    drop: f64,
}

impl Size {
    fn of_row(values: &[f64], tolerance: f64) -> Self {
        let largest = values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let sum: f64 = values.iter().map(|v| v / largest).map(|v| v * v).sum();
        let norm = if largest == 0.0 { 0.0 } else { sum.sqrt() };
        // What is equal to the bound but for rounding is dropped, too.
        Size { largest, norm, drop: tolerance * (1.0 + 1e-12) * norm * largest }
    }

    fn is_small(&self, value: f64) -> bool {
        value.abs() <= self.drop
    }

    fn of(&self, value: f64) -> f32 {
        (value.abs() / self.largest / self.norm) as f32
    }

    /// The `count` entries that are largest, in increasing order of columns; of equals, those of the
    /// lower columns.
    fn keep_largest(&self, row: &mut Vec<(u32, f64)>, count: usize) {
        if row.len() > count {
            let order = |p: &(u32, f64), q: &(u32, f64)| {
                self.of(q.1).total_cmp(&self.of(p.1)).then(p.0.cmp(&q.0))
            };
            row.select_nth_unstable_by(count, order);
            row.truncate(count);
        }
        row.sort_unstable_by_key(|entry| entry.0);
    }
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
            let matrix = Csr::from_triplets(n, n, stored).unwrap();
            let rule = Rule { tolerance, max_fill, fill_factor: None, pivoting: None };
            let (factors, moved) = factorise(matrix.view(), &rule, &mut Pivots::new(None), None, &|_| Ok(())).unwrap();
            prop_assert_eq!(moved, None);
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
        let size = Size::of_row(&[1.0], 0.0);
        size.keep_largest(&mut row, 2);
        assert_eq!(row, [(2, -3.0), (4, -2.0)]);
        size.keep_largest(&mut row, 5);
        assert_eq!(row, [(2, -3.0), (4, -2.0)]);
        size.keep_largest(&mut row, 0);
        assert_eq!(row, []);
    }
}
