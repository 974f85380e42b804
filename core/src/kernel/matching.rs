//! Maximum product matching: which column each row takes for its diagonal, and scalings that make
//! these entries 1 and no other larger.
//!
//! Among all assignments σ of rows to columns of their own, the one with the largest ∏ᵢ |aᵢσ(ᵢ)|, and
//! positive r, s with rᵢ |aᵢσ(ᵢ)| s_σ(ᵢ) = 1 and rᵢ |aᵢⱼ| sⱼ ≤ 1 for all i, j: the dual solution of the
//! assignment problem with the costs cᵢⱼ = log₂(maxₖ|aᵢₖ| / |aᵢⱼ|). A matrix permuted and scaled so
//! can be factorised with little pivoting, or none, where zeros on the diagonal or bad scaling forbade
//! it before. It exists where A is structurally nonsingular; otherwise the structural rank comes out,
//! and a row that can be given no column.
//!
//! Costs are whole multiples of 2⁻²⁴. Sums and comparisons are then exact, so that a factor in front
//! of A, which changes ratios in their last bits only, leaves every decision as it is; the bound 1 holds
//! to 10⁻⁷. Factors of columns stay within 2^±400, beyond which other entries may be larger. Of equal
//! candidates a row takes its own diagonal entry, else the lowest column.
//!
//! Method: dual variables from the minima of columns and rows, rows matched where that is tight, if
//! need be by moving one other row, then a shortest augmenting path for every row that is left (Dijkstra's
//! algorithm in reduced costs, with a heap, ended as soon as no shorter path can come). Cost: O(nnz)
//! memory; in practice a few passes over the entries of discretised equations and some n^1.6 operations
//! for random ones, at worst O(n nnz log n).
//!
//! Reference: I. S. Duff, J. Koster, *On algorithms for permuting large entries to the diagonal of a
//! sparse matrix*, SIAM J. Matrix Anal. Appl. 22 (2001) 973–996 (MC64, job 5).
use crate::Error;
use crate::matrix::CsrView;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Parts of a binary order of magnitude that costs are counted in: 2²⁴, and fewer where sums of the
/// costs of so many rows, each below 2¹², would not fit.
fn parts(n: usize) -> f64 {
    let bits = usize::BITS - n.leading_zeros();
    f64::from(24.min(51u32.saturating_sub(bits))).exp2()
}

/// The most that logarithms of the factors of columns may be from their middle.
const WIDEST: f64 = 400.0;

/// No row, no column.
const NONE: u32 = u32::MAX;

/// What [`product`] finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Matching {
    /// The column of each row.
    pub col_of: Vec<u32>,
    /// r: a factor for each row.
    pub row_scale: Vec<f64>,
    /// s: a factor for each column.
    pub col_scale: Vec<f64>,
}

/// Why there is no matching.
#[derive(Clone, Debug, PartialEq)]
pub enum Unmatched {
    /// No more than `rank` rows can have columns of their own, and not `row` besides them.
    Singular {
        /// Most rows that can be matched: the structural rank.
        rank: usize,
        /// One of the others.
        row: usize,
    },
    /// The row has an entry that is not finite, or needs a factor that is no normal number.
    Range {
        /// That row.
        row: usize,
    },
}

impl Unmatched {
    /// As a breakdown that names the row.
    #[must_use]
    pub fn into_error(self, n: usize) -> Error {
        match self {
            Unmatched::Singular { rank, row } => Error::breakdown(
                row as u64,
                format_args!(
                    "no column is left for it: structurally singular, at most {rank} of {n} rows \
                     have entries in columns of their own"
                ),
            ),
            Unmatched::Range { row } => Error::breakdown(
                row as u64,
                "an entry is not a finite number, or too small or large to be scaled to 1: \
                 multiply the row by a factor",
            ),
        }
    }
}

/// The maximum product matching of a square matrix. Stored zeros are no entries.
///
/// # Errors
/// [`Unmatched`] where there is none.
pub fn product(a: CsrView<'_>) -> std::result::Result<Matching, Unmatched> {
    let n = a.n_rows();
    let parts = parts(n);
    let costs = costs(a, parts)?;
    let mut search = Search::new(a, &costs);
    search.match_tight_entries();
    let mut unmatched = None;
    let mut rank = n;
    for row in 0..n {
        if search.col_of[row] == NONE && !search.augment(row) {
            rank -= 1;
            unmatched = unmatched.or(Some(row));
        }
    }
    if let Some(row) = unmatched {
        return Err(Unmatched::Singular { rank, row });
    }
    let Search { col_of, v, .. } = search;
    // A factor in front of s is free: its range is centred, by a power of two.
    let range = v.iter().fold(None, |range: Option<(i64, i64)>, &v| {
        Some(range.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
    });
    let centre = range.map_or(0.0, |(low, high)| ((low + high) as f64 / (2.0 * parts)).round());
    let exponent = |v: i64| (v as f64 / parts - centre).clamp(-WIDEST, WIDEST);
    let col_scale: Vec<f64> = v.iter().map(|&v| exponent(v).exp2()).collect();
    let mut row_scale = Vec::with_capacity(n);
    for (row, &col) in col_of.iter().enumerate() {
        let s = col_scale[col as usize];
        let r = a.get(row, col as usize).abs().recip() / s;
        if !r.is_normal() {
            return Err(Unmatched::Range { row });
        }
        row_scale.push(r);
    }
    Ok(Matching { col_of, row_scale, col_scale })
}

/// The cost of every stored entry; `i64::MAX` for zeros.
fn costs(a: CsrView<'_>, parts: f64) -> std::result::Result<Vec<i64>, Unmatched> {
    let mut costs = Vec::with_capacity(a.nnz());
    for row in 0..a.n_rows() {
        let values = a.row_values(row);
        let largest = values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Unmatched::Range { row });
        }
        costs.extend(values.iter().map(|&value| {
            if value == 0.0 {
                return i64::MAX;
            }
            // The quotient may overflow, a difference of logarithms may not.
            let ratio = largest / value.abs();
            let bits =
                if ratio.is_finite() { ratio.log2() } else { largest.log2() - value.abs().log2() };
            (bits * parts).round() as i64
        }));
    }
    Ok(costs)
}

/// The state of the search: a matching that is optimal for the rows in it, and its dual variables.
///
/// cᵢⱼ − uᵢ − vⱼ ≥ 0 for all entries, and = 0 for matched ones.
struct Search<'a> {
    a: CsrView<'a>,
    costs: &'a [i64],
    u: Vec<i64>,
    v: Vec<i64>,
    col_of: Vec<u32>,
    row_of: Vec<u32>,
    /// Of the columns reached in this search: the length of the path there, and the row before.
    length: Vec<i64>,
    before: Vec<u32>,
    reached: Vec<u32>,
    /// Columns whose paths are known to be shortest.
    settled: Vec<u32>,
    heap: BinaryHeap<Reverse<(i64, u32)>>,
}

impl<'a> Search<'a> {
    fn new(a: CsrView<'a>, costs: &'a [i64]) -> Self {
        let n = a.n_rows();
        let mut v = vec![i64::MAX; n];
        for (&j, &cost) in a.cols.iter().zip(costs) {
            v[j as usize] = v[j as usize].min(cost);
        }
        // Columns without entries are in no path.
        v.iter_mut().filter(|v| **v == i64::MAX).for_each(|v| *v = 0);
        let mut search = Search {
            a,
            costs,
            u: vec![0; n],
            v,
            col_of: vec![NONE; n],
            row_of: vec![NONE; n],
            length: vec![i64::MAX; n],
            before: vec![NONE; n],
            reached: Vec::new(),
            settled: Vec::new(),
            heap: BinaryHeap::new(),
        };
        for row in 0..n {
            let smallest = search.row(row).map(|(_, cost)| cost).min();
            search.u[row] = smallest.unwrap_or(0);
        }
        search
    }

    /// Columns and reduced costs of the entries of `row`.
    fn row(&self, row: usize) -> impl Iterator<Item = (usize, i64)> + '_ {
        let (u, costs) = (self.u[row], &self.costs[self.a.range(row)]);
        self.a.row_cols(row).iter().zip(costs).filter(|(_, cost)| **cost != i64::MAX).map(
            move |(&j, cost)| {
                let j = j as usize;
                (j, cost - u - self.v[j])
            },
        )
    }

    /// Matches rows to columns at no reduced cost: first those that can have their diagonal entry, then
    /// others where a column is free, or where the row that has it can take another that is.
    fn match_tight_entries(&mut self) {
        let n = self.col_of.len();
        for row in 0..n {
            if self.row(row).any(|entry| entry == (row, 0)) {
                (self.col_of[row], self.row_of[row]) = (row as u32, row as u32);
            }
        }
        // Where a row may have free columns still: none gets free here, so that none is looked at twice.
        let mut from: Vec<usize> = (0..n).map(|row| self.a.range(row).start).collect();
        for row in 0..n {
            if self.col_of[row] != NONE {
                continue;
            }
            if let Some(j) = self.free_column(row, &mut from[row]) {
                (self.col_of[row], self.row_of[j]) = (j as u32, row as u32);
                continue;
            }
            for t in self.a.range(row) {
                let j = self.a.cols[t] as usize;
                if !self.is_tight(row, t) {
                    continue;
                }
                let other = self.row_of[j] as usize;
                if let Some(free) = self.free_column(other, &mut from[other]) {
                    (self.col_of[other], self.row_of[free]) = (free as u32, other as u32);
                    (self.col_of[row], self.row_of[j]) = (j as u32, row as u32);
                    break;
                }
            }
        }
    }

    /// Whether entry `t`, of `row`, has no reduced cost.
    fn is_tight(&self, row: usize, t: usize) -> bool {
        let cost = self.costs[t];
        cost != i64::MAX && cost == self.u[row] + self.v[self.a.cols[t] as usize]
    }

    /// The first free column of `row` at no reduced cost among its entries from `from` on.
    fn free_column(&self, row: usize, from: &mut usize) -> Option<usize> {
        while *from < self.a.range(row).end {
            let (t, j) = (*from, self.a.cols[*from] as usize);
            *from += 1;
            if self.row_of[j] == NONE && self.is_tight(row, t) {
                return Some(j);
            }
        }
        None
    }

    /// Matches `root`, and rows on a shortest path from it anew; false where no path ends in a free
    /// column.
    fn augment(&mut self, root: usize) -> bool {
        let (mut row, mut so_far) = (root, 0);
        // The free column reached by the shortest path yet.
        let (mut end, mut shortest) = (NONE, i64::MAX);
        loop {
            for t in self.a.range(row) {
                let (j, cost) = (self.a.cols[t] as usize, self.costs[t]);
                if cost == i64::MAX {
                    continue;
                }
                let length = so_far + (cost - self.u[row] - self.v[j]);
                if length >= shortest || length >= self.length[j] {
                    continue;
                }
                if self.length[j] == i64::MAX {
                    self.reached.push(j as u32);
                }
                (self.length[j], self.before[j]) = (length, row as u32);
                if self.row_of[j] == NONE {
                    (end, shortest) = (j as u32, length);
                } else {
                    self.heap.push(Reverse((length, j as u32)));
                }
            }
            // What is shortened was pushed again: the longer copy is passed over.
            let next = loop {
                match self.heap.pop() {
                    Some(Reverse((length, j))) if length > self.length[j as usize] => {}
                    other => break other,
                }
            };
            match next {
                Some(Reverse((length, j))) if length < shortest => {
                    self.settled.push(j);
                    (row, so_far) = (self.row_of[j as usize] as usize, length);
                }
                _ => break,
            }
        }
        if end != NONE {
            self.u[root] += shortest;
            for &j in &self.settled {
                let gain = shortest - self.length[j as usize];
                self.v[j as usize] -= gain;
                self.u[self.row_of[j as usize] as usize] += gain;
            }
            let mut j = end;
            while j != NONE {
                let row = self.before[j as usize];
                self.row_of[j as usize] = row;
                j = std::mem::replace(&mut self.col_of[row as usize], j);
            }
        }
        self.heap.clear();
        self.settled.clear();
        for j in self.reached.drain(..) {
            self.length[j as usize] = i64::MAX;
        }
        end != NONE
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::matrix::Csr;
    use proptest::prelude::*;

    fn sparse(n: usize, entries: &[(usize, usize, f64)]) -> Csr {
        Csr::from_triplets(n, n, entries.to_vec()).unwrap()
    }

    /// Most rows that can be matched, and the largest sum of log₂|a| over assignments of that many rows:
    /// by trying all, rows as the outer loop and sets of taken columns as the state.
    fn best(a: &Csr) -> (usize, f64) {
        let n = a.n_rows();
        let mut states = vec![None; 1 << n];
        states[0] = Some((0usize, 0.0f64));
        for i in 0..n {
            let before = states.clone();
            for (taken, state) in before.iter().enumerate() {
                let Some((count, sum)) = *state else { continue };
                for (j, v) in a.view().row(i).filter(|&(j, v)| v != 0.0 && taken & (1 << j) == 0) {
                    let new = (count + 1, sum + v.abs().log2());
                    let old = &mut states[taken | (1 << j)];
                    if old.is_none_or(|old| new.0 > old.0 || (new.0 == old.0 && new.1 > old.1)) {
                        *old = Some(new);
                    }
                }
            }
        }
        let larger = |x: (usize, f64), y: (usize, f64)| {
            if y.0 > x.0 || (y.0 == x.0 && y.1 > x.1) { y } else { x }
        };
        states.into_iter().flatten().fold((0, f64::NEG_INFINITY), larger)
    }

    /// Whether `m` is what it should be: an assignment, scaled to 1 and no more.
    fn check(a: &Csr, m: &Matching) {
        let n = a.n_rows();
        let mut taken = m.col_of.clone();
        taken.sort_unstable();
        assert_eq!(taken, (0..n as u32).collect::<Vec<_>>());
        for i in 0..n {
            for (j, v) in a.view().row(i) {
                let scaled = m.row_scale[i] * v.abs() * m.col_scale[j];
                if m.col_of[i] as usize == j {
                    assert!((scaled - 1.0).abs() < 1e-15, "({i}, {j}): {scaled}");
                }
                assert!(scaled <= 1.0 + 1e-7, "({i}, {j}): {scaled}");
            }
        }
    }

    fn entries() -> impl Strategy<Value = Vec<(usize, usize, f64)>> {
        let value = (-3.0f64..3.0, -6i32..6).prop_map(|(x, e)| x * 10f64.powi(e));
        // Few different values: ties are the hard case.
        let value = prop_oneof![value, prop_oneof![Just(1.0), Just(-2.0), Just(0.0)]];
        proptest::collection::vec((0usize..9, 0usize..9, value), 0..50)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        #[test]
        fn the_product_is_the_largest_of_all(n in 1usize..9, entries in entries(), power in 0usize..4) {
            let mut entries: Vec<_> = entries.into_iter().filter(|&(i, j, _)| i < n && j < n).collect();
            entries.sort_by_key(|&(i, j, _)| (i, j));
            entries.dedup_by_key(|&mut (i, j, _)| (i, j));
            let a = sparse(n, &entries);
            let (rank, sum) = best(&a);
            match product(a.view()) {
                Ok(m) => {
                    prop_assert_eq!(rank, n);
                    check(&a, &m);
                    let found: f64 = (0..n).map(|i| a.view().get(i, m.col_of[i] as usize).abs().log2()).sum();
                    prop_assert!((found - sum).abs() < 1e-5, "{} {}", found, sum);
                    // A factor in front of A changes nothing but the scaling of the rows.
                    let factor = [2.0, 1e3, 2.1e11, 8.9e-12][power];
                    let scaled: Vec<_> = entries.iter().map(|&(i, j, v)| (i, j, factor * v)).collect();
                    let again = product(sparse(n, &scaled).view()).unwrap();
                    prop_assert_eq!(&again.col_of, &m.col_of);
                    prop_assert_eq!(&again.col_scale, &m.col_scale);
                    for (r, s) in m.row_scale.iter().zip(&again.row_scale) {
                        prop_assert!((s * factor / r - 1.0).abs() < 1e-14);
                    }
                }
                Err(Unmatched::Singular { rank: found, row }) => {
                    prop_assert!(found == rank && rank < n && row < n);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_diagonal_that_is_as_good_as_any_stays() {
        let n = 30;
        let ring = |i: usize| [(i, (i + 1) % n, -2.0), (i, i, 2.0), (i, (i + n - 1) % n, 2.0)];
        let a = sparse(n, &(0..n).flat_map(ring).collect::<Vec<_>>());
        let m = product(a.view()).unwrap();
        assert_eq!(m.col_of, (0..n as u32).collect::<Vec<_>>());
        assert_eq!((m.row_scale, m.col_scale), (vec![0.5; n], vec![1.0; n]));
    }

    /// Every row prefers a column that another one needs: a path through all of them.
    #[test]
    fn long_paths_are_found() {
        let n = 20_000;
        let two = |i: usize| [(i, i, 1.0), (i, i + 1, 1.0 + 1e-5)];
        let mut entries: Vec<_> = (0..n - 1).flat_map(two).collect();
        entries.push((n - 1, n - 1, 1.0));
        let a = sparse(n, &entries);
        let m = product(a.view()).unwrap();
        check(&a, &m);
        assert!(m.col_of.iter().enumerate().all(|(i, &j)| i == j as usize));

        // Factors would be powers of two up to 2²⁰⁰⁰⁰.
        let steep: Vec<_> =
            entries.iter().map(|&(i, j, _)| (i, j, if i == j { 1.0 } else { 2.0 })).collect();
        let m = product(sparse(n, &steep).view()).unwrap();
        assert!(m.col_of.iter().enumerate().all(|(i, &j)| i == j as usize));
        for (r, s) in m.row_scale.iter().zip(&m.col_scale) {
            assert!((r * s - 1.0).abs() < 1e-15 && s.log2().abs() <= 400.0);
        }
    }

    #[test]
    fn values_of_any_size_are_scaled() {
        let a = sparse(
            3,
            &[(0, 1, 1e-300), (1, 2, -1e300), (2, 0, 1.0), (0, 0, 1e-305), (1, 1, 1e-305)],
        );
        let m = product(a.view()).unwrap();
        assert_eq!(m.col_of, [1, 2, 0]);
        check(&a, &m);
    }

    #[test]
    fn what_cannot_be_matched_is_told_by_row_and_rank() {
        // Columns 0 and 2 only for rows 0, 2 and 3; an empty row.
        let narrow = sparse(
            4,
            &[(0, 0, 1.0), (0, 2, 1.0), (1, 1, 1.0), (2, 0, 1.0), (2, 2, 3.0), (3, 2, 1.0)],
        );
        let error = product(narrow.view()).unwrap_err().into_error(4);
        assert!(matches!(error, Error::Breakdown(_)));
        assert_eq!(
            error.to_string(),
            "global row 3: no column is left for it: structurally singular, at most 3 of 4 rows have \
             entries in columns of their own"
        );
        let zeros = sparse(3, &[(0, 0, 1.0), (1, 1, 0.0), (2, 2, 1.0)]);
        assert_eq!(product(zeros.view()), Err(Unmatched::Singular { rank: 2, row: 1 }));
        for (row, value) in [(0, f64::NAN), (1, f64::INFINITY), (0, 1e-320)] {
            let odd = sparse(2, &[(row, row, value), (1 - row, 1 - row, 1.0)]);
            let text = product(odd.view()).unwrap_err().into_error(2).to_string();
            assert!(
                text.starts_with(&format!("global row {row}: an entry is not a finite")),
                "{text}"
            );
        }
        assert_eq!(product(sparse(0, &[]).view()).unwrap().col_of, Vec::<u32>::new());
    }
}
