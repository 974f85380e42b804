//! Orderings of a matrix for factorisations with less fill, or with factors that lose less.
//!
//! | ordering | what | cost |
//! |---|---|---|
//! | `rcm` | reverse Cuthill–McKee: breadth first from a node far out, few neighbours first; a small band | O(nnz log) |
//! | `amd` | approximate minimum degree: least fill of a complete factorisation | in practice a few dozen passes over the entries |
//!
//! Both look at the pattern of A + Aᵀ only, and permute rows and columns alike. Incomplete factors with
//! little fill often get better by `rcm` and worse by `amd`; complete ones, and incomplete ones with much
//! fill, get smaller by `amd`.
//!
//! AMD is the crate `amd`. Cuthill–McKee is ours: that of the crate `sprs` starts over at the first row
//! for every connected part, which is quadratic for matrices of many blocks.
//!
//! Reference: A. George, J. W. H. Liu, *Computer Solution of Large Sparse Positive Definite Systems*,
//! Prentice-Hall 1981, §4.3–4.4 (reverse Cuthill–McKee, its root); P. Amestoy, T. Davis, I. Duff,
//! *Algorithm 837: AMD*, ACM Trans. Math. Softw. 30 (2004) 381–388; M. Benzi, D. Szyld, A. van Duin,
//! *Orderings for incomplete factorization preconditioning of nonsymmetric problems*, SIAM J. Sci.
//! Comput. 20 (1999) 1652–1670.
use crate::matrix::CsrView;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which node far out is good enough: at most so many searches for one that is farther.
const SEARCHES: usize = 8;

/// In which order rows and columns are eliminated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ordering {
    /// As they are numbered.
    #[default]
    Natural,
    /// Reverse Cuthill–McKee: a small band.
    Rcm,
    /// Approximate minimum degree: little fill.
    Amd,
}

impl std::fmt::Display for Ordering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Ordering::Natural => "natural",
            Ordering::Rcm => "rcm",
            Ordering::Amd => "amd",
        })
    }
}

impl Ordering {
    /// The rows of the square `a` in this order, the first one first; `None` where it is that of their
    /// numbers. Values are not looked at.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the pattern of A + Aᵀ has 2³² entries or more.
    pub fn rows(self, a: CsrView<'_>) -> Result<Option<Vec<u32>>> {
        match self {
            Ordering::Natural => Ok(None),
            Ordering::Rcm => Ok(Some(reverse_cuthill_mckee(&Graph::of(a)))),
            Ordering::Amd => minimum_degree(&Graph::of(a)).map(Some),
        }
    }
}

/// The pattern of A + Aᵀ without its diagonal.
pub(crate) struct Graph {
    starts: Vec<usize>,
    neighbours: Vec<u32>,
}

impl Graph {
    pub(crate) fn of(a: CsrView<'_>) -> Self {
        let n = a.n_rows();
        let off_diagonal =
            || (0..n).flat_map(|i| a.row_cols(i).iter().map(move |&j| (i, j as usize)));
        let off_diagonal = || off_diagonal().filter(|(i, j)| i != j);
        let mut ends = vec![0; n + 1];
        for (i, j) in off_diagonal() {
            ends[i] += 1;
            ends[j] += 1;
        }
        let mut total = 0;
        for end in &mut ends {
            total += std::mem::replace(end, total);
        }
        let mut neighbours = vec![0u32; total];
        for (i, j) in off_diagonal() {
            for (from, to) in [(i, j), (j, i)] {
                neighbours[ends[from]] = to as u32;
                ends[from] += 1;
            }
        }
        // Entries on both sides of the diagonal are in it twice.
        let (mut starts, mut kept, mut from) = (vec![0], 0, 0);
        for &end in &ends[..n] {
            neighbours[from..end].sort_unstable();
            let first = kept;
            for at in from..end {
                let new = neighbours[at];
                if kept == first || neighbours[kept - 1] != new {
                    neighbours[kept] = new;
                    kept += 1;
                }
            }
            starts.push(kept);
            from = end;
        }
        neighbours.truncate(kept);
        Graph { starts, neighbours }
    }

    pub(crate) fn neighbours(&self, i: u32) -> &[u32] {
        &self.neighbours[self.starts[i as usize]..self.starts[i as usize + 1]]
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }
}

pub(crate) fn reverse_cuthill_mckee(graph: &Graph) -> Vec<u32> {
    let n = graph.len();
    let degree = |i: u32| graph.neighbours(i).len();
    let mut order: Vec<u32> = Vec::with_capacity(n);
    let mut placed = vec![false; n];
    let mut levels = Levels { seen: vec![0; n], search: 0, nodes: Vec::new() };
    for start in 0..n as u32 {
        if placed[start as usize] {
            continue;
        }
        let root = levels.far_from(start, graph);
        placed[root as usize] = true;
        let mut at = order.len();
        order.push(root);
        while at < order.len() {
            let new = order.len();
            for &j in graph.neighbours(order[at]) {
                if !std::mem::replace(&mut placed[j as usize], true) {
                    order.push(j);
                }
            }
            order[new..].sort_unstable_by_key(|&j| (degree(j), j));
            at += 1;
        }
    }
    order.reverse();
    order
}

/// Breadth-first searches.
struct Levels {
    /// The search that a node was last seen in.
    seen: Vec<u32>,
    search: u32,
    nodes: Vec<u32>,
}

impl Levels {
    /// A node from which the part of the graph that `start` is in has many levels.
    fn far_from(&mut self, start: u32, graph: &Graph) -> u32 {
        let (mut root, mut depth, mut end) = (start, 0, start);
        for _ in 0..SEARCHES {
            let (levels, last) = self.search(end, graph);
            if levels <= depth {
                break;
            }
            (root, depth, end) = (end, levels, last);
        }
        root
    }

    /// How many levels there are around `root`, and a node of the last one with fewest neighbours.
    fn search(&mut self, root: u32, graph: &Graph) -> (usize, u32) {
        // No search begins more often than nodes are looked at, eight times each: this wraps beyond
        // 2²⁹ connected parts, and then only takes a node for seen.
        self.search = self.search.wrapping_add(1);
        self.nodes.clear();
        self.nodes.push(root);
        self.seen[root as usize] = self.search;
        let (mut depth, mut from) = (0, 0);
        while from < self.nodes.len() {
            let to = self.nodes.len();
            for at in from..to {
                for &j in graph.neighbours(self.nodes[at]) {
                    if std::mem::replace(&mut self.seen[j as usize], self.search) != self.search {
                        self.nodes.push(j);
                    }
                }
            }
            depth += 1;
            if self.nodes.len() == to {
                break;
            }
            from = to;
        }
        let last = self.nodes[from..].iter().min_by_key(|&&i| (graph.neighbours(i).len(), i));
        (depth, last.copied().unwrap_or(root))
    }
}

/// The crate is given the diagonal, too: it counts on as many entries as rows.
fn minimum_degree(graph: &Graph) -> Result<Vec<u32>> {
    let n = graph.len();
    let mut row_ptr = Vec::with_capacity(n + 1);
    let mut cols = Vec::with_capacity(graph.neighbours.len() + n);
    row_ptr.push(0u32);
    for i in 0..n as u32 {
        let row = graph.neighbours(i);
        let (below, above) = row.split_at(row.partition_point(|&j| j < i));
        cols.extend_from_slice(below);
        cols.push(i);
        cols.extend_from_slice(above);
        row_ptr.push(u32::try_from(cols.len()).map_err(|_| {
            Error::Unsupported("amd: 2³² or more entries on one rank: use more ranks".into())
        })?);
    }
    let (rows, ..) = amd::order(n as u32, &row_ptr, &cols, &amd::Control::default())
        .map_err(|status| Error::Unsupported(format!("amd refuses the pattern: {status:?}")))?;
    Ok(rows)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::matrix::Csr;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const BOTH: [Ordering; 2] = [Ordering::Rcm, Ordering::Amd];

    fn pattern(n: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Csr {
        let entries: Vec<_> = edges.into_iter().map(|(i, j)| (i, j, 1.0)).collect();
        Csr::from_triplets(n, n, entries).unwrap()
    }

    /// Entries off the diagonal of the Cholesky factor of A + Aᵀ in an order, by elimination in sets.
    fn fill(a: &Csr, order: &[u32]) -> usize {
        let n = a.n_rows();
        let mut place = vec![0; n];
        order.iter().enumerate().for_each(|(k, &i)| place[i as usize] = k);
        let mut later = vec![BTreeSet::new(); n];
        for i in 0..n {
            for &j in a.view().row_cols(i) {
                let (p, q) = (place[i], place[j as usize]);
                if p != q {
                    later[p.min(q)].insert(p.max(q));
                }
            }
        }
        for k in 0..n {
            let mut rest: Vec<usize> = later[k].iter().copied().collect();
            if !rest.is_empty() {
                let next = rest.remove(0);
                later[next].extend(rest);
            }
        }
        later.iter().map(BTreeSet::len).sum()
    }

    fn bandwidth(a: &Csr, order: &[u32]) -> usize {
        let mut place = vec![0usize; a.n_rows()];
        order.iter().enumerate().for_each(|(k, &i)| place[i as usize] = k);
        let of = |i: usize| a.view().row_cols(i).iter().map(move |&j| (i, j as usize));
        let all = (0..a.n_rows()).flat_map(of);
        all.map(|(i, j)| place[i].abs_diff(place[j])).max().unwrap_or(0)
    }

    /// Numbers 0 to n − 1 out of order.
    fn shuffled(n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        let mut state = 12345u64;
        for k in (1..n).rev() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            order.swap(k, (state >> 33) as usize % (k + 1));
        }
        order
    }

    /// The five-point pattern on m × k points, numbered out of order.
    fn grid(m: usize, k: usize) -> Csr {
        let number = shuffled(m * k);
        let at = |x: usize, y: usize| number[y * m + x];
        let mut edges = Vec::new();
        for (x, y) in (0..k).flat_map(|y| (0..m).map(move |x| (x, y))) {
            edges.push((at(x, y), at(x, y)));
            if x + 1 < m {
                edges.extend([(at(x, y), at(x + 1, y)), (at(x + 1, y), at(x, y))]);
            }
            if y + 1 < k {
                edges.extend([(at(x, y), at(x, y + 1)), (at(x, y + 1), at(x, y))]);
            }
        }
        pattern(m * k, edges)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn orderings_are_permutations_and_see_the_pattern_of_both_triangles(
            n in 0usize..40, places in proptest::collection::vec((0usize..40, 0usize..40), 0..120),
        ) {
            let edges: BTreeSet<_> = places.into_iter().filter(|&(i, j)| i < n && j < n).collect();
            let a = pattern(n, edges.iter().copied());
            let both: BTreeSet<_> = edges.iter().flat_map(|&(i, j)| [(i, j), (j, i), (i, i)]).collect();
            let both = pattern(n, both);
            for ordering in BOTH {
                let order = ordering.rows(a.view()).unwrap().unwrap();
                let mut sorted = order.clone();
                sorted.sort_unstable();
                prop_assert_eq!(sorted, (0..n as u32).collect::<Vec<_>>());
                prop_assert_eq!(ordering.rows(both.view()).unwrap().unwrap(), order);
            }
            prop_assert_eq!(Ordering::Natural.rows(a.view()).unwrap(), None);
        }

        /// A tree has leaves, which minimum degree removes one by one without fill.
        #[test]
        fn amd_eliminates_trees_without_fill(parents in proptest::collection::vec(0usize..1000, 1..60)) {
            let n = parents.len() + 1;
            let number = shuffled(n);
            let edge = |(k, parent): (usize, &usize)| (number[k + 1], number[parent % (k + 1)]);
            let a = pattern(n, parents.iter().enumerate().map(edge));
            prop_assert_eq!(fill(&a, &Ordering::Amd.rows(a.view()).unwrap().unwrap()), n - 1);
        }
    }

    #[test]
    fn rcm_finds_the_band_of_a_strip() {
        for (m, k, most) in [(1, 50, 1), (4, 40, 4), (7, 30, 7)] {
            let a = grid(m, k);
            let order = Ordering::Rcm.rows(a.view()).unwrap().unwrap();
            let natural: Vec<u32> = (0..(m * k) as u32).collect();
            assert!(bandwidth(&a, &order) <= most + 1, "{m}: {}", bandwidth(&a, &order));
            assert!(bandwidth(&a, &natural) > 2 * (most + 1));
        }
    }

    #[test]
    fn amd_has_less_fill_than_rcm_and_that_less_than_chance() {
        let a = grid(20, 20);
        let natural: Vec<u32> = (0..400).collect();
        let [rcm, amd] = BOTH.map(|ordering| fill(&a, &ordering.rows(a.view()).unwrap().unwrap()));
        let chance = fill(&a, &natural);
        // Nested dissection of this grid, made by hand, has some 3500.
        assert!(amd < 4000 && amd < rcm && rcm < chance, "{amd} {rcm} {chance}");
    }

    /// Also in time that grows with the entries only: very many pairs of rows apart from each other, and a row
    /// that is coupled to all.
    #[test]
    fn dense_rows_come_last_and_many_parts_are_no_burden() {
        let n = 300_000;
        let arrow = pattern(n, (0..n).flat_map(|i| [(0, i), (i, i)]));
        let order = Ordering::Amd.rows(arrow.view()).unwrap().unwrap();
        assert_eq!(order[n - 1], 0);
        assert_eq!(fill(&arrow, &order), n - 1);
        let pairs = pattern(n, (0..n).flat_map(|i| [(i, i), (i, i ^ 1)]));
        for ordering in BOTH {
            assert_eq!(ordering.rows(arrow.view()).unwrap().unwrap().len(), n);
            let order = ordering.rows(pairs.view()).unwrap().unwrap();
            assert_eq!(fill(&pairs, &order), n / 2);
        }
    }
}
