//! A structured grid cut into slabs of whole rows, one a rank, and what moves its numbers between ranks. In three dimensions a
//! plane of nodes stands for a row (`separable::Solver::layers`).
//!
//! Rows of a matrix may be cut anywhere, also inside a row of the grid. [`Slabs`] says, from where the
//! ranks' rows start and nothing else, which rows of the grid belong to whom: every rank knows what all
//! others hold, and no plan needs a message. Three movements are built on that:
//!
//! - [`Redistribution`]: nodes by number, from whoever has them to all who want them (vectors into slabs, rows
//!   around a slab);
//! - [`Transpose`]: rows of the grid into columns and back, every rank to every other;
//! - [`PairExchange`], which both are made of: numbers from each rank to each other, two `f32` in a word.
//!
//! Cost: plans are arithmetic; every object is one prepared [`Exchange`](crate::comm::Exchange). Ranks
//! beyond the rows of the grid have no slab: they hold what is theirs and wait.
mod pair_exchange;
mod redistribution;
mod transpose;

pub use pair_exchange::{PairExchange, words};
pub use redistribution::Redistribution;
pub use transpose::Transpose;

use super::grid::Grid;
use crate::{Error, Result};
use std::ops::Range;

/// Who holds which rows and columns of a grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slabs {
    grid: Grid,
    /// First node of every rank's own rows of the matrix, then the number of nodes.
    starts: Vec<usize>,
    /// First row of every rank's slab, then the number of rows.
    cuts: Vec<usize>,
}

impl Slabs {
    /// From the first row of every rank and, last, the number of rows, as
    /// [`Space::starts`](crate::matrix::Space::starts) gives them. Slabs begin at the row of the grid
    /// nearest to a rank's first node. Not collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the grid has another number of nodes.
    pub fn new(grid: Grid, starts: &[u64]) -> Result<Self> {
        let Some((&n, _)) = starts.split_last().filter(|(_, ranks)| !ranks.is_empty()) else {
            return Err(Error::Unsupported("a grid on no rank".into()));
        };
        grid.with_nodes(n)?;
        let starts: Vec<usize> = starts.iter().map(|&s| s as usize).collect();
        let cuts = starts.iter().map(|s| (s + grid.mx / 2) / grid.mx).collect();
        Ok(Slabs { grid, starts, cuts })
    }

    /// The whole grid.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Number of ranks.
    pub fn ranks(&self) -> usize {
        self.cuts.len() - 1
    }

    /// The nodes whose rows of the matrix a rank owns.
    pub fn own(&self, rank: usize) -> Range<usize> {
        self.starts[rank]..self.starts[rank + 1]
    }

    /// The rows of a rank's slab: each row of the grid is in exactly one.
    pub fn rows(&self, rank: usize) -> Range<usize> {
        self.cuts[rank]..self.cuts[rank + 1]
    }

    /// The rows that hold nodes of a rank, its slab among them, and up to `halo` rows on both sides; none
    /// where it owns no node.
    pub fn around(&self, rank: usize, halo: usize) -> Range<usize> {
        let own = self.own(rank);
        if own.is_empty() {
            return self.rows(rank);
        }
        let Grid { mx, my } = self.grid;
        (own.start / mx).saturating_sub(halo)..own.end.div_ceil(mx).saturating_add(halo).min(my)
    }

    /// The columns that a rank holds between two transposes: equal shares, whoever has rows.
    pub fn columns(&self, rank: usize) -> Range<usize> {
        let cut = |rank: usize| rank * self.grid.mx / self.ranks();
        cut(rank)..cut(rank + 1)
    }

    /// What a report should say of ranks that have no row to work on, if there must be some.
    pub fn note(&self) -> Option<String> {
        let (ranks, rows) = (self.ranks(), self.grid.my);
        (ranks > rows).then(|| {
            format!("{ranks} ranks share {rows} rows of the grid: some have none to transform")
        })
    }

    /// The nodes of some rows.
    pub fn nodes(&self, rows: Range<usize>) -> Range<usize> {
        rows.start * self.grid.mx..rows.end * self.grid.mx
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::{Comm, threads};
    use crate::matrix::Space;

    #[test]
    fn every_row_is_in_one_slab_and_every_node_near_its_owner() {
        for (mx, my) in [(1, 1), (1, 7), (5, 3), (4, 9), (7, 1)] {
            let grid = Grid { mx, my };
            for ranks in 1..12 {
                threads::run(ranks, |comm| {
                    let space = Space::even(Comm::new(comm), grid.nodes() as u64);
                    let slabs = Slabs::new(grid, space.starts()).unwrap();
                    assert_eq!(slabs.ranks(), ranks);
                    assert_eq!(slabs.note().is_some(), ranks > my);
                    let all = |of: &dyn Fn(usize) -> Range<usize>| {
                        (0..ranks).flat_map(of).collect::<Vec<_>>()
                    };
                    assert!(all(&|r| slabs.rows(r)).into_iter().eq(0..my));
                    assert!(all(&|r| slabs.columns(r)).into_iter().eq(0..mx));
                    for rank in 0..ranks {
                        let (own, rows) = (slabs.own(rank), slabs.around(rank, 0));
                        assert!(own.clone().all(|node| rows.contains(&(node / mx))));
                        assert!(slabs.rows(rank).all(|row| rows.contains(&row)));
                        assert!(rows.len() <= own.len().div_ceil(mx) + 1);
                        let wide = slabs.around(rank, 2);
                        assert!(own.is_empty() || wide.start == rows.start.saturating_sub(2));
                        assert!(own.is_empty() || wide.end == my.min(rows.end + 2));
                    }
                });
            }
        }
        assert!(Slabs::new(Grid { mx: 2, my: 2 }, &[0, 5]).is_err());
        assert!(Slabs::new(Grid { mx: 2, my: 2 }, &[4]).is_err());
    }

    /// Cuts of 35 nodes that no rule would make: empty ranks, one node, most of the grid.
    const CUTS: [&[u64]; 4] =
        [&[0, 35], &[0, 0, 17, 35], &[0, 1, 1, 30, 35, 35], &[0, 4, 9, 13, 18, 22, 26, 31, 35]];

    #[test]
    fn transposed_twice_is_what_was_there_with_the_rows_around() {
        let grid = Grid { mx: 5, my: 7 };
        for cuts in CUTS {
            threads::run(cuts.len() - 1, |comm| {
                let (comm, rank) = (Comm::new(comm.clone()), comm.rank());
                let slabs = Slabs::new(grid, cuts).unwrap();
                for (halo, width) in [(0, 5), (2, 1), (9, 2)] {
                    let (rows, wide) = (slabs.rows(rank), slabs.around(rank, halo));
                    let number = |i: usize, j: usize| (100 * j + i) as f32 + 0.5;
                    let stride = 6;
                    let fill = |rows: Range<usize>| -> Vec<f32> {
                        rows.flat_map(|j| (0..stride).map(move |i| number(i, j))).collect()
                    };
                    let mut transpose = Transpose::<f32>::new(&slabs, &comm, halo, width).unwrap();
                    let columns = slabs.columns(rank);
                    let blocks = columns.len().div_ceil(width);
                    let mut turned = vec![f32::NAN; blocks * width * grid.my];
                    transpose.to_columns(&fill(rows), stride, &mut turned).unwrap();
                    for (k, i) in columns.enumerate() {
                        for j in 0..grid.my {
                            let at = (k / width * grid.my + j) * width + k % width;
                            assert_eq!(turned[at], number(i, j));
                        }
                    }
                    let expected = fill(wide);
                    let mut back = expected.clone();
                    back.chunks_mut(stride).for_each(|row| row[..5].fill(f32::NAN));
                    transpose.to_rows(&turned, &mut back, stride).unwrap();
                    assert_eq!(back, expected);
                    assert!(transpose.bytes() > 0 || cuts.len() == 2);
                }
            });
        }
    }

    #[test]
    fn stretches_bring_what_is_wanted_plane_by_plane() {
        let grid = Grid { mx: 5, my: 7 };
        for cuts in CUTS {
            threads::run(cuts.len() - 1, |comm| {
                let (comm, rank) = (Comm::new(comm.clone()), comm.rank());
                let slabs = Slabs::new(grid, cuts).unwrap();
                let wants = |rank: usize| slabs.nodes(slabs.around(rank, 1));
                let mut moved =
                    Redistribution::<f32>::new(&comm, 2, |rank| slabs.own(rank), wants).unwrap();
                let number = |plane: usize, node: usize| (1000 * plane + node) as f32;
                for _ in 0..2 {
                    let mut found = vec![[f32::NAN; 2]; wants(rank).len()];
                    let first = wants(rank).start;
                    for node in moved.kept() {
                        found[node - first] = [number(0, node), number(1, node)];
                    }
                    moved.give(|plane, nodes, out| {
                        assert!(nodes.start >= slabs.own(rank).start);
                        out.iter_mut().zip(nodes).for_each(|(out, k)| *out = number(plane, k));
                    });
                    let take = |plane: usize, nodes: Range<usize>, from: &[f32]| {
                        from.iter().zip(nodes).for_each(|(v, k)| found[k - first][plane] = *v);
                    };
                    moved.fetch(take).unwrap();
                    for (found, node) in found.iter().zip(wants(rank)) {
                        assert_eq!(*found, [number(0, node), number(1, node)]);
                    }
                }
            });
        }
    }
}
