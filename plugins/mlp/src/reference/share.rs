//! The part of a grid that one rank works on: its slab of rows, and so many beside it that an application
//! needs no exchange between one sweep and the next.
//!
//! Everything near a rank's rows is computed where it is needed, several times over on both sides of a border,
//! always by the same arithmetic. A sweep with a stencil gives rows one fewer on each side than it reads; so, for
//! a smoother that reaches `s` rows, what an application starts from is known `2s + 4` rows around
//! ([`halo`]):
//!
//! ```text
//! rows around   r: 2s+4   y = S r: s+4   t = r − A y: s+3   Rᵀ t: s+2   Pᵀ t: the slab
//!               A0⁻¹ Pᵀ t: s+2   y += P …: s+1   t = r − A y: s   y += S t: 0
//! ```
//!
//! On one rank all rows are around.

use std::ops::Range;

use precondor_sdk::core::kernel::slab::{Redistribution, Slabs};
use precondor_sdk::prelude::*;

use precondor_sdk::core::kernel::grid::Grid;

/// Rows beside those with a rank's nodes that it keeps, for a smoother that reaches so many rows.
pub fn halo(reach: usize) -> usize {
    2 * reach + 4
}

/// Rows around a rank's nodes, as a grid of their own.
#[derive(Clone, Debug)]
pub struct Share {
    slabs: Slabs,
    rank: usize,
    halo: usize,
}

impl Share {
    /// The rows around the nodes of `rank`, `halo` more on both sides.
    pub fn new(slabs: Slabs, rank: usize, halo: usize) -> Self {
        Share { slabs, rank, halo }
    }

    /// All rows, on one rank.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a grid without nodes.
    pub fn alone(grid: Grid) -> Result<Self> {
        Ok(Share::new(Slabs::new(grid, &[0, grid.nodes() as u64])?, 0, 0))
    }

    /// Who has what.
    pub fn slabs(&self) -> &Slabs {
        &self.slabs
    }

    /// Whether there is no other rank.
    pub fn is_alone(&self) -> bool {
        self.slabs.ranks() == 1
    }

    /// Rows that are kept beside those with own nodes.
    pub fn halo(&self) -> usize {
        self.halo
    }

    /// The rows that are kept.
    pub fn grid(&self) -> Grid {
        Grid { mx: self.slabs.grid().mx, my: self.kept(self.rank).len() }
    }

    /// Rows of the whole grid that a rank keeps.
    pub fn kept(&self, rank: usize) -> Range<usize> {
        self.slabs.around(rank, self.halo)
    }

    /// Where the first of the rows that are kept is in the whole grid.
    pub fn first(&self) -> usize {
        self.kept(self.rank).start
    }

    fn local(&self, rows: Range<usize>) -> Range<usize> {
        rows.start - self.first()..rows.end - self.first()
    }

    /// The slab, among the rows that are kept.
    pub fn slab(&self) -> Range<usize> {
        self.local(self.slabs.rows(self.rank))
    }

    /// The rows with own nodes and `halo` more on both sides, among the rows that are kept.
    pub fn around(&self, halo: usize) -> Range<usize> {
        self.local(self.slabs.around(self.rank, halo))
    }

    /// The nodes whose rows of the matrix this rank owns.
    pub fn own(&self) -> Range<usize> {
        self.slabs.own(self.rank)
    }

    /// The pieces of rows that nodes make up: their numbers, and their place in a plane of the rows that are
    /// kept.
    pub fn places(
        &self,
        nodes: Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let (grid, first) = (self.grid(), self.first());
        let (start, stride, mx) = (grid.body().start, grid.stride(), grid.mx);
        // No nodes may be anywhere.
        let nodes = if nodes.is_empty() { 0..0 } else { nodes };
        self.slabs.grid().pieces(nodes).map(move |(row, columns)| {
            let at = start + (row - first) * stride;
            let nodes = row * mx + columns.start..row * mx + columns.end;
            (nodes, at + columns.start..at + columns.end)
        })
    }

    /// Brings planes whose slab is set the other rows that are kept, from the ranks whose slabs they are in, in
    /// one exchange; empty planes stay so. Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn complete<const N: usize>(&self, comm: &Comm, planes: [&mut [f32]; N]) -> Result<()> {
        if comm.size() == 1 {
            return Ok(());
        }
        let mut planes: Vec<&mut [f32]> = planes.into_iter().filter(|p| !p.is_empty()).collect();
        let has = |rank: usize| self.slabs.nodes(self.slabs.rows(rank));
        let wants = |rank: usize| self.slabs.nodes(self.kept(rank));
        let mut moved = Redistribution::<f32>::new(comm, planes.len(), has, wants)?;
        moved.give(|plane, nodes, out| {
            let first = nodes.start;
            for (nodes, places) in self.places(nodes) {
                out[nodes.start - first..nodes.end - first].copy_from_slice(&planes[plane][places]);
            }
        });
        moved.fetch(|plane, nodes, from| {
            let first = nodes.start;
            for (nodes, places) in self.places(nodes) {
                planes[plane][places]
                    .copy_from_slice(&from[nodes.start - first..nodes.end - first]);
            }
        })
    }
}
