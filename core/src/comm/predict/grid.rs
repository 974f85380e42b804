//! What a structured grid cut into blocks of rows makes ranks send, without a matrix.
//!
//! m × m nodes, numbered row after row, in p blocks of nearly equal size as
//! [`Space::even`](crate::matrix::Space::even) cuts them: ⌈n/p⌉ nodes on the first `n mod p`
//! ranks, ⌊n/p⌋ on the others, n = m². Cuts fall inside rows of the grid, and a block may be shorter
//! than one. A matrix couples a node to those at fixed offsets (dx, dy), a [`Stencil`], as far as the
//! grid goes.
//!
//! For an offset of distance s = dy·m + dx > 0, the nodes beyond a block `a..b` that it needs are
//! those of `max(a, b − s)..b` that have such a neighbour, moved by s: an interval for every row of
//! the grid that they touch. The union over the offsets, cut at the borders of ranks, says how many
//! entries come from whom. Cost: O(s/m) intervals an offset and rank, whatever m and the size of a
//! block.
//!
//! For whole rows of the grid (m a multiple of p) it comes out as the well-known numbers: an inner
//! rank sends m entries to each of two neighbours.
use crate::comm::count::Flow;
use std::ops::Range;

/// m × m nodes on p ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Nodes a side.
    pub m: u64,
    /// Ranks.
    pub p: u64,
}

impl Layout {
    /// Nodes in all.
    pub fn n(self) -> u64 {
        self.m * self.m
    }

    /// The nodes of `rank`.
    pub fn rows(self, rank: u64) -> Range<u64> {
        let (each, rest) = (self.n() / self.p, self.n() % self.p);
        let start = |r: u64| r * each + r.min(rest);
        start(rank)..start(rank + 1)
    }

    /// How many nodes `rank` has.
    pub fn count(self, rank: u64) -> u64 {
        let rows = self.rows(rank);
        rows.end - rows.start
    }

    /// The rank that has `node`.
    fn owner(self, node: u64) -> u64 {
        let (each, rest) = (self.n() / self.p, self.n() % self.p);
        let large = rest * (each + 1);
        if node < large { node / (each + 1) } else { rest + (node - large) / each }
    }

    /// Who has `nodes`, and which of them.
    pub fn split(self, mut nodes: Range<u64>) -> Vec<(u64, Range<u64>)> {
        let mut parts = Vec::new();
        while !nodes.is_empty() {
            let owner = self.owner(nodes.start);
            let end = nodes.end.min(self.rows(owner).end);
            parts.push((owner, nodes.start..end));
            nodes.start = end;
        }
        parts
    }
}

/// The neighbours that a row of a matrix has entries for, as offsets (dx, dy).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stencil(Vec<[i64; 2]>);

impl Stencil {
    /// Linear elements on squares cut by one family of diagonals: a node, its six neighbours.
    pub fn seven() -> Self {
        Stencil(vec![[-1, -1], [0, -1], [-1, 0], [0, 0], [1, 0], [0, 1], [1, 1]])
    }

    /// The node alone.
    pub fn diagonal() -> Self {
        Stencil(vec![[0, 0]])
    }

    /// The stencil of a power of the matrix.
    pub fn power(&self, power: u32) -> Self {
        (0..power).fold(Stencil::diagonal(), |reached, _| {
            let sums =
                reached.0.iter().flat_map(|[x, y]| self.0.iter().map(move |[u, v]| [x + u, y + v]));
            let mut sums: Vec<[i64; 2]> = sums.collect();
            sums.sort_unstable();
            sums.dedup();
            Stencil(sums)
        })
    }

    /// The part up to the diagonal.
    pub fn lower(&self) -> Self {
        Stencil(self.0.iter().copied().filter(|[dx, dy]| (*dy, *dx) <= (0, 0)).collect())
    }

    /// The stencil of the transpose.
    pub fn transpose(&self) -> Self {
        Stencil(self.0.iter().map(|[dx, dy]| [-dx, -dy]).collect())
    }

    /// Entries in the rows of `rank`.
    pub fn entries(&self, layout: Layout, rank: u64) -> u64 {
        self.entries_of(layout.m, layout.rows(rank))
    }

    /// Entries in the rows of `nodes`.
    pub fn entries_of(&self, m: u64, nodes: Range<u64>) -> u64 {
        self.0.iter().map(|&offset| having(m, offset, nodes.clone())).sum()
    }

    /// Entries in the rows of `rank` whose columns it has too.
    pub fn entries_within(&self, layout: Layout, rank: u64) -> u64 {
        self.entries_among(layout.m, &[layout.rows(rank)])
    }

    /// Entries whose rows and columns are both among these nodes, of which no two intervals share one.
    pub fn entries_among(&self, m: u64, nodes: &[Range<u64>]) -> u64 {
        let pairs = nodes.iter().flat_map(|from| nodes.iter().map(move |to| (from, to)));
        let between = |(from, to): (&Range<u64>, &Range<u64>)| {
            let of = |&[dx, dy]: &[i64; 2]| {
                let shift = dy * m as i64 + dx;
                let start = to.start.saturating_add_signed(-shift).max(from.start);
                let end = to.end.saturating_add_signed(-shift).min(from.end);
                having(m, [dx, dy], start..end.max(start))
            };
            self.0.iter().map(of).sum::<u64>()
        };
        pairs.map(between).sum()
    }

    /// The nodes of others that the rows of `rank` have entries for: intervals in increasing order,
    /// apart from each other.
    pub fn ghosts(&self, layout: Layout, rank: u64) -> Vec<Range<u64>> {
        let (rows, m) = (layout.rows(rank), layout.m);
        let mut found: Vec<Range<u64>> = Vec::new();
        for &[dx, dy] in &self.0 {
            let shift = dy * m as i64 + dx;
            let nodes = match shift {
                0.. => rows.end.saturating_sub(shift as u64).max(rows.start)..rows.end,
                _ => rows.start..rows.end.min(rows.start + shift.unsigned_abs()),
            };
            if nodes.is_empty() {
                continue;
            }
            for j in nodes.start / m..=(nodes.end - 1) / m {
                if !(0..m as i64).contains(&(j as i64 + dy)) {
                    continue;
                }
                let from = (j * m + dx.min(0).unsigned_abs()).max(nodes.start);
                let to = ((j + 1) * m).saturating_sub(dx.max(0) as u64).min(nodes.end);
                if from < to {
                    found.push(from.wrapping_add_signed(shift)..to.wrapping_add_signed(shift));
                }
            }
        }
        found.sort_unstable_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in found {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }

    /// What each rank sends in one exchange of ghost entries.
    pub fn halo(&self, layout: Layout) -> Vec<Flow> {
        let mut sent = vec![Flow::default(); layout.p as usize];
        if layout.p == 1 {
            return sent;
        }
        for rank in 0..layout.p {
            sent[rank as usize].calls = 1;
            let mut last = None;
            for (owner, nodes) in self.sources(layout, rank) {
                let flow = &mut sent[owner as usize];
                flow.messages += u64::from(last.replace(owner) != Some(owner));
                flow.bytes += 8 * (nodes.end - nodes.start);
            }
        }
        sent
    }

    /// From whom the ghost entries of `rank` come, and which: owners in increasing order, one
    /// perhaps several times.
    pub fn sources(&self, layout: Layout, rank: u64) -> Vec<(u64, Range<u64>)> {
        self.ghosts(layout, rank).into_iter().flat_map(|range| layout.split(range)).collect()
    }

    /// How many ranks the ghost entries of `rank` come from.
    pub fn owners(&self, layout: Layout, rank: u64) -> u64 {
        let sources = self.sources(layout, rank);
        let mut owners: Vec<u64> = sources.into_iter().map(|(owner, _)| owner).collect();
        owners.dedup();
        owners.len() as u64
    }
}

/// How many of `nodes` have a neighbour at `offset`.
fn having(m: u64, [dx, dy]: [i64; 2], nodes: Range<u64>) -> u64 {
    let inside = |d: i64| {
        let from = d.min(0).unsigned_abs().min(m);
        from..m.saturating_sub(d.max(0) as u64).max(from)
    };
    let (columns, rows) = (inside(dx), inside(dy));
    let width = columns.end - columns.start;
    let below = |node: u64| {
        let (i, j) = (node % m, node / m);
        let whole = j.clamp(rows.start, rows.end) - rows.start;
        let part =
            if rows.contains(&j) { i.clamp(columns.start, columns.end) - columns.start } else { 0 };
        whole * width + part
    };
    below(nodes.end) - below(nodes.start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Node by node, from the definition.
    fn by_hand(stencil: &Stencil, layout: Layout) -> (Vec<Flow>, Vec<[u64; 2]>) {
        let (m, p) = (layout.m as i64, layout.p as usize);
        let mut sent = vec![Flow::default(); p];
        let mut entries = vec![[0; 2]; p];
        for rank in 0..layout.p {
            let rows = layout.rows(rank);
            let mut ghosts = BTreeSet::new();
            for node in rows.clone() {
                let (i, j) = (node as i64 % m, node as i64 / m);
                for [dx, dy] in &stencil.0 {
                    let (x, y) = (i + dx, j + dy);
                    if (0..m).contains(&x) && (0..m).contains(&y) {
                        let to = (y * m + x) as u64;
                        entries[rank as usize][0] += 1;
                        if rows.contains(&to) {
                            entries[rank as usize][1] += 1;
                        } else {
                            ghosts.insert(to);
                        }
                    }
                }
            }
            let mut of = BTreeMap::<u64, u64>::new();
            for node in ghosts {
                let owner = (0..layout.p).find(|&r| layout.rows(r).contains(&node)).unwrap();
                assert_eq!(owner, layout.owner(node));
                *of.entry(owner).or_default() += 1;
            }
            for (owner, count) in of {
                sent[owner as usize].messages += 1;
                sent[owner as usize].bytes += 8 * count;
            }
        }
        sent.iter_mut().for_each(|flow| flow.calls = u64::from(p > 1));
        (sent, entries)
    }

    #[test]
    fn halos_and_entries_equal_those_counted_node_by_node() {
        let seven = Stencil::seven();
        let stencils = [
            seven.clone(),
            seven.power(2),
            seven.power(3),
            seven.lower(),
            seven.lower().transpose(),
            seven.power(2).lower(),
            Stencil::diagonal(),
        ];
        for m in [1, 2, 3, 5, 8, 15] {
            for p in [1, 2, 3, 4, 5, 7, 8, 15, 16, 40, 230] {
                let layout = Layout { m, p };
                for stencil in &stencils {
                    let (sent, entries) = by_hand(stencil, layout);
                    assert_eq!(stencil.halo(layout), sent, "{layout:?}, {stencil:?}");
                    for (rank, expected) in entries.into_iter().enumerate() {
                        let rank = rank as u64;
                        let got =
                            [stencil.entries(layout, rank), stencil.entries_within(layout, rank)];
                        assert_eq!(got, expected, "rank {rank} of {layout:?}, {stencil:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn whole_rows_of_the_grid_send_a_row_and_a_corner_to_each_neighbour() {
        // 64 rows on 8 ranks: a row of 64 to either side.
        let sent = Stencil::seven().halo(Layout { m: 64, p: 8 });
        assert_eq!(sent[0], Flow { calls: 1, messages: 1, bytes: 8 * 64 });
        assert_eq!(sent[3], Flow { calls: 1, messages: 2, bytes: 2 * 8 * 64 });
        // FSAI's factor looks down only, its transpose up only.
        let lower = Stencil::seven().lower();
        assert_eq!(lower.halo(Layout { m: 64, p: 8 })[7], Flow { calls: 1, messages: 0, bytes: 0 });
        assert_eq!(lower.transpose().halo(Layout { m: 64, p: 8 })[0].messages, 0);
    }

    #[test]
    fn blocks_shorter_than_a_row_of_the_grid_have_many_neighbours() {
        // A hundred thousand ranks on a grid of 255: most have no node or one.
        let layout = Layout { m: 255, p: 100_000 };
        let sent = Stencil::seven().halo(layout);
        assert_eq!(sent.iter().map(|flow| flow.messages).max(), Some(6));
        assert!(sent[65_025..].iter().all(|flow| flow.messages == 0));
        // A quarter of a row each, here the first: sixteen entries to the quarters above and below, one to
        // the next quarter and one to that above it.
        let sent = Stencil::seven().halo(Layout { m: 64, p: 256 });
        assert_eq!((sent[100].messages, sent[100].bytes), (4, 8 * (16 + 16 + 1 + 1)));
    }
}
