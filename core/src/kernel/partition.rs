//! Nodes of a graph spread over parts of equal size with few edges between them: multilevel recursive bisection.
//!
//! A graph is halved by coarsening it (heavy-edge matching: each node joins the neighbour that most edges lead to, in an
//! order drawn by their numbers), halving the coarsest one (grown from a node until it has its share, from several nodes,
//! the best of them kept) and refining on the way back (Fiduccia and Mattheyses: the node whose move saves most edges
//! goes over, each once a pass, and the best state of the pass stays). Halves are halved again, in proportion to the parts
//! that they are to be.
//!
//! Cost: O((nodes + edges) log nodes) for each bisection, times the logarithm of the number of parts. References: G. Karypis, V. Kumar,
//! *A fast and high quality multilevel scheme for partitioning irregular graphs*, SIAM J. Sci. Comput. 20 (1998);
//! C. Fiduccia, R. Mattheyses, *A linear-time heuristic for improving network partitions*, DAC 1982.
use super::ordering::Graph;
use super::random::{GAMMA, mix};
use std::collections::BinaryHeap;

/// A graph of so many nodes is not made coarser.
const COARSEST: usize = 100;
/// Nodes that a half is grown from.
const SEEDS: usize = 8;
/// Passes of refinement on a level.
const PASSES: usize = 6;
/// By what part of the whole a half may be off its share.
const SLACK: f64 = 0.005;

const NOWHERE: u32 = u32::MAX;

/// A graph with weights.
struct Weighted {
    starts: Vec<usize>,
    neighbours: Vec<u32>,
    edges: Vec<u32>,
    nodes: Vec<u32>,
}

/// The part of each node: numbers below `parts`, of nearly as many nodes each.
pub(crate) fn parts(graph: &Graph, parts: usize) -> Vec<u32> {
    let n = graph.len();
    let mut of = vec![0u32; n];
    let all: Vec<u32> = (0..n as u32).collect();
    divide(graph, &all, (0, parts.max(1)), &mut of, &mut vec![NOWHERE; n]);
    of
}

/// Spreads `nodes` over `count` parts, the first of which is `first`; `place` is nowhere for all nodes.
fn divide(
    graph: &Graph,
    nodes: &[u32],
    (first, count): (usize, usize),
    of: &mut [u32],
    place: &mut [u32],
) {
    if count == 1 || nodes.is_empty() {
        nodes.iter().for_each(|&i| of[i as usize] = first as u32);
        return;
    }
    let left = count / 2;
    let within = Weighted::within(graph, nodes, place);
    let share = (nodes.len() as u64 * left as u64).div_ceil(count as u64);
    let side = within.halved(share, 0);
    let part = |which: bool| -> Vec<u32> {
        nodes.iter().zip(&side).filter(|(_, side)| **side == which).map(|(i, _)| *i).collect()
    };
    divide(graph, &part(false), (first, left), of, place);
    divide(graph, &part(true), (first + left, count - left), of, place);
}

impl Weighted {
    /// What `graph` has among `nodes`.
    fn within(graph: &Graph, nodes: &[u32], place: &mut [u32]) -> Self {
        nodes.iter().enumerate().for_each(|(k, &i)| place[i as usize] = k as u32);
        let (mut starts, mut neighbours) = (Vec::with_capacity(nodes.len() + 1), Vec::new());
        starts.push(0);
        for &i in nodes {
            let places = graph.neighbours(i).iter().map(|&j| place[j as usize]);
            neighbours.extend(places.filter(|&k| k != NOWHERE));
            starts.push(neighbours.len());
        }
        nodes.iter().for_each(|&i| place[i as usize] = NOWHERE);
        let edges = vec![1; neighbours.len()];
        Weighted { starts, neighbours, edges, nodes: vec![1; nodes.len()] }
    }

    fn len(&self) -> usize {
        self.nodes.len()
    }

    fn around(&self, i: usize) -> impl Iterator<Item = (usize, u32)> + '_ {
        let range = self.starts[i]..self.starts[i + 1];
        self.neighbours[range.clone()]
            .iter()
            .map(|&j| j as usize)
            .zip(self.edges[range].iter().copied())
    }

    /// The side of each node, the first of which is to weigh `share`.
    fn halved(&self, share: u64, level: u64) -> Vec<bool> {
        if self.len() > COARSEST {
            let (coarse, to) = self.coarser(level);
            // Where hardly anything is matched (stars), coarser levels lead nowhere.
            if coarse.len() * 10 < self.len() * 9 {
                let halves = coarse.halved(share, level + 1);
                let mut side: Vec<bool> = to.iter().map(|&k| halves[k as usize]).collect();
                self.refine(&mut side, share);
                return side;
            }
        }
        let grown = (0..SEEDS as u64).map(|k| {
            let seed = mix(GAMMA.wrapping_mul(k + 1)) % self.len() as u64;
            let mut side = self.grown(seed as usize, share);
            self.refine(&mut side, share);
            (self.off(&side, share), self.cut(&side), side)
        });
        grown.min_by_key(|(off, cut, _)| (*off, *cut)).map(|(.., side)| side).unwrap_or_default()
    }

    /// The graph whose nodes are pairs of this one's, and the pair of each node.
    fn coarser(&self, level: u64) -> (Weighted, Vec<u32>) {
        let n = self.len();
        let total: u64 = self.nodes.iter().map(|&w| u64::from(w)).sum();
        let most = (3 * total / (2 * COARSEST as u64)).max(2);
        let mut order: Vec<u32> = (0..n as u32).collect();
        order.sort_by_key(|&i| mix(u64::from(i) + (level << 32)));
        let (mut to, mut count) = (vec![NOWHERE; n], 0u32);
        for &i in &order {
            let i = i as usize;
            if to[i] != NOWHERE {
                continue;
            }
            let fits = |j: usize| u64::from(self.nodes[i]) + u64::from(self.nodes[j]) <= most;
            let free = self.around(i).filter(|&(j, _)| j != i && to[j] == NOWHERE && fits(j));
            if let Some((j, _)) = free.max_by_key(|&(j, w)| (w, std::cmp::Reverse(j))) {
                to[j] = count;
            }
            to[i] = count;
            count += 1;
        }
        let mut members = vec![Vec::new(); count as usize];
        to.iter().enumerate().for_each(|(i, &k)| members[k as usize].push(i));
        let mut coarse = Weighted {
            starts: vec![0],
            neighbours: Vec::new(),
            edges: Vec::new(),
            nodes: Vec::with_capacity(count as usize),
        };
        let mut place = vec![usize::MAX; count as usize];
        for (k, members) in members.iter().enumerate() {
            let from = coarse.neighbours.len();
            for (j, weight) in members.iter().flat_map(|&i| self.around(i)) {
                let other = to[j] as usize;
                if other == k {
                    continue;
                }
                if place[other] < from || place[other] == usize::MAX {
                    place[other] = coarse.neighbours.len();
                    coarse.neighbours.push(other as u32);
                    coarse.edges.push(0);
                }
                coarse.edges[place[other]] += weight;
            }
            coarse.starts.push(coarse.neighbours.len());
            coarse.nodes.push(members.iter().map(|&i| self.nodes[i]).sum());
        }
        (coarse, to)
    }

    /// The first side grown from `seed`, node by node, always the one that most edges lead to; of what is not connected
    /// the next node.
    fn grown(&self, seed: usize, share: u64) -> Vec<bool> {
        let n = self.len();
        let (mut side, mut weight, mut next) = (vec![true; n], 0u64, 0);
        let mut links = vec![0u32; n];
        let mut heap = BinaryHeap::from([(0u32, seed)]);
        while weight < share {
            let i = match heap.pop() {
                Some((link, i)) if side[i] && link == links[i] => i,
                Some(_) => continue,
                None => match (next..n).find(|&i| side[i]) {
                    Some(i) => {
                        next = i + 1;
                        i
                    }
                    None => break,
                },
            };
            side[i] = false;
            weight += u64::from(self.nodes[i]);
            for (j, edge) in self.around(i).filter(|&(j, _)| j != i) {
                if side[j] {
                    links[j] += edge;
                    heap.push((links[j], j));
                }
            }
        }
        side
    }

    fn weight(&self, side: &[bool]) -> u64 {
        self.nodes.iter().zip(side).filter(|(_, side)| !**side).map(|(w, _)| u64::from(*w)).sum()
    }

    /// How far the first side is off its share, beyond what is allowed.
    fn off(&self, side: &[bool], share: u64) -> u64 {
        self.weight(side).abs_diff(share).saturating_sub(self.slack())
    }

    fn slack(&self) -> u64 {
        let total: u64 = self.nodes.iter().map(|&w| u64::from(w)).sum();
        let heaviest = self.nodes.iter().max().copied().unwrap_or(1);
        ((SLACK * total as f64) as u64).max(u64::from(heaviest) - 1)
    }

    /// Weight of the edges between the sides.
    fn cut(&self, side: &[bool]) -> u64 {
        let across = |i: usize| {
            let edges = self.around(i).filter(move |&(j, _)| side[i] != side[j]);
            edges.map(|(_, w)| u64::from(w)).sum::<u64>()
        };
        (0..self.len()).map(across).sum::<u64>() / 2
    }

    fn refine(&self, side: &mut [bool], share: u64) {
        for _ in 0..PASSES {
            if !self.pass(side, share) {
                break;
            }
        }
    }

    /// Moves nodes, each once at most, and keeps the best state; whether that is a better one than before.
    fn pass(&self, side: &mut [bool], share: u64) -> bool {
        let (n, slack) = (self.len(), self.slack());
        // What a move saves.
        let gain_of = |i: usize, side: &[bool]| {
            let signed = |(j, w): (usize, u32)| match (j == i, side[i] != side[j]) {
                (true, _) => 0,
                (_, true) => i64::from(w),
                (_, false) => -i64::from(w),
            };
            self.around(i).map(signed).sum::<i64>()
        };
        let mut gains: Vec<i64> = (0..n).map(|i| gain_of(i, side)).collect();
        let mut heaps = [BinaryHeap::new(), BinaryHeap::new()];
        for i in 0..n {
            if self.around(i).any(|(j, _)| side[i] != side[j]) {
                heaps[usize::from(side[i])].push((gains[i], i));
            }
        }
        let mut weight = self.weight(side);
        // A side that is too heavy without any edge to the other has nothing in its heap.
        let heavy = usize::from(weight <= share);
        if weight.abs_diff(share) > slack && heaps[heavy].is_empty() {
            let of_side = (0..n).filter(|&i| usize::from(side[i]) == heavy);
            heaps[heavy].extend(of_side.map(|i| (gains[i], i)));
        }
        let (mut moved, mut is_moved) = (Vec::new(), vec![false; n]);
        let off = |weight: u64| weight.abs_diff(share).saturating_sub(slack);
        let (start, mut saved) = ((off(weight), 0i64), 0i64);
        let (mut best, mut best_length) = (start, 0);
        let patience = 50 + n / 20;
        while moved.len() < best_length + patience {
            for (which, heap) in heaps.iter_mut().enumerate() {
                while let Some(&(gain, i)) = heap.peek() {
                    let stale = is_moved[i] || gains[i] != gain || usize::from(side[i]) != which;
                    if !stale {
                        break;
                    }
                    heap.pop();
                }
            }
            let [left, right] = [&heaps[0], &heaps[1]].map(|heap| heap.peek().map(|top| top.0));
            let from = match (left, right) {
                (None, None) => break,
                _ if weight > share + slack => 0,
                _ if weight + slack < share => 1,
                (left, right) => usize::from(right > left),
            };
            let Some((gain, i)) = heaps[from].pop() else { break };
            let own = u64::from(self.nodes[i]);
            let after = if from == 0 { weight - own } else { weight + own };
            if off(after) > off(weight) {
                // Too heavy to go over: the others of its side may be lighter.
                is_moved[i] = true;
                continue;
            }
            (is_moved[i], weight) = (true, after);
            side[i] = !side[i];
            moved.push(i);
            saved += gain;
            for (j, w) in self.around(i).filter(|&(j, _)| j != i && !is_moved[j]) {
                gains[j] += if side[i] == side[j] { -2 * i64::from(w) } else { 2 * i64::from(w) };
                heaps[usize::from(side[j])].push((gains[j], j));
            }
            let state = (off(weight), -saved);
            if state < best {
                (best, best_length) = (state, moved.len());
            }
        }
        moved[best_length..].iter().for_each(|&i| side[i] = !side[i]);
        best < start
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::matrix::Csr;

    /// The graph of these edges.
    fn graph(n: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Graph {
        let entries: Vec<_> = edges.into_iter().map(|(i, j)| (i, j, 1.0)).collect();
        Graph::of(Csr::from_triplets(n, n, entries).unwrap().view())
    }

    /// A grid of m × k nodes, numbered out of order.
    fn grid(m: usize, k: usize) -> Graph {
        let mut number: Vec<usize> = (0..m * k).collect();
        number.sort_by_key(|&i| mix(i as u64 + 77));
        let at = |x: usize, y: usize| number[y * m + x];
        let beside = (0..k).flat_map(|y| (1..m).map(move |x| ((x - 1, y), (x, y))));
        let above = (1..k).flat_map(|y| (0..m).map(move |x| ((x, y - 1), (x, y))));
        graph(m * k, beside.chain(above).map(|(a, b)| (at(a.0, a.1), at(b.0, b.1))))
    }

    fn cut(graph: &Graph, of: &[u32]) -> usize {
        let across = |i: u32| {
            graph.neighbours(i).iter().filter(move |j| of[i as usize] != of[**j as usize]).count()
        };
        (0..graph.len() as u32).map(across).sum::<usize>() / 2
    }

    fn sizes(of: &[u32], parts: usize) -> Vec<usize> {
        (0..parts).map(|p| of.iter().filter(|of| **of as usize == p).count()).collect()
    }

    #[test]
    fn a_grid_is_cut_about_as_well_as_by_hand() {
        // Straight cuts: 100 across the short side of 100 × 140; 40 + 60 + …
        let grid = grid(140, 100);
        for (parts_wanted, by_hand) in [(2, 100), (4, 240), (8, 520), (7, 600)] {
            let of = parts(&grid, parts_wanted);
            let sizes = sizes(&of, parts_wanted);
            let even = 14_000 / parts_wanted;
            assert!(sizes.iter().all(|s| s.abs_diff(even) <= even / 30), "{sizes:?}");
            let cut = cut(&grid, &of);
            assert!(cut * 10 <= by_hand * 13, "{parts_wanted} parts: {cut} for {by_hand}");
            // Twice the same.
            assert_eq!(of, parts(&grid, parts_wanted));
        }
    }

    #[test]
    fn odd_graphs_are_spread_evenly_too() {
        let star = graph(1001, (1..1001).map(|i| (0, i)));
        let apart = graph(1000, []);
        let pairs = graph(1000, (0..500).map(|i| (2 * i, 2 * i + 1)));
        let path = graph(999, (1..999).map(|i| (i - 1, i)));
        for (graph, most) in [(&star, 1000), (&apart, 0), (&pairs, 12), (&path, 12)] {
            for count in [1, 2, 3, 5] {
                let of = parts(graph, count);
                let even = graph.len() / count;
                let sizes = sizes(&of, count);
                assert!(sizes.iter().all(|s| s.abs_diff(even) <= 2 + even / 25), "{sizes:?}");
                assert!(cut(graph, &of) <= most, "{} of {most}", cut(graph, &of));
            }
        }
        // More parts than nodes.
        assert_eq!(sizes(&parts(&graph(2, [(0, 1)]), 5), 5).iter().sum::<usize>(), 2);
        assert!(parts(&graph(0, []), 3).is_empty());
    }
}
