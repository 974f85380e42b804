//! Where the nodes of a grid are.
use super::elements::Cell;
use super::{Ends, Grid, Map, Scheme};
use crate::comm::{Comm, Communicator};
use crate::kernel::random::Stream;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::PI;
use std::ops::Range;

/// Up to this shift every cell of a grid that is not bent keeps more than [`LEAST`] of itself, anywhere in it.
const SAFE_SHIFT: f64 = 0.25;
/// Part of its area or volume, anywhere in it, that a cell must keep.
const LEAST: f64 = 0.01;
/// Times that nodes are drawn again.
const ROUNDS: usize = 1000;

/// The nodes along an axis, from end to end; for finite volumes those between cells.
pub(super) struct Axis {
    /// From 0 to 1.
    pub places: Vec<f64>,
    pub ends: Ends,
    /// Unknowns.
    pub unknowns: usize,
    /// The node of the first unknown.
    first: usize,
}

impl Axis {
    pub fn new(unknowns: usize, ends: Ends, ratio: f64, scheme: Scheme) -> Self {
        let cells = Self::cells_of(unknowns, ends, scheme);
        let factor = ratio.powf(1.0 / (cells.max(2) - 1) as f64);
        let spacings: Vec<f64> = (0..cells).map(|i| factor.powi(i as i32)).collect();
        let whole: f64 = spacings.iter().sum();
        let mut places: Vec<f64> = vec![0.0];
        for i in 1..=cells {
            places.push(match ratio == 1.0 {
                true => i as f64 / cells as f64,
                false => places[i - 1] + spacings[i - 1] / whole,
            });
        }
        places[cells] = 1.0;
        Axis { places, ends, unknowns, first: usize::from(ends.walls()[0]) }
    }

    /// One that is not there.
    pub fn none() -> Self {
        Axis { places: vec![0.0], ends: Ends::Neumann, unknowns: 1, first: 0 }
    }

    /// Cells between so many unknowns and the ends.
    pub fn cells_of(unknowns: usize, ends: Ends, scheme: Scheme) -> usize {
        match (scheme, ends) {
            (Scheme::Fv, _) | (_, Ends::Periodic) => unknowns,
            _ => unknowns + ends.walls().map(usize::from).iter().sum::<usize>() - 1,
        }
    }

    pub fn cells(&self) -> usize {
        self.places.len() - 1
    }

    pub fn is_ring(&self) -> bool {
        self.ends == Ends::Periodic
    }

    /// A node by the number it has at the first end of a ring.
    fn wrapped(&self, node: usize) -> usize {
        if self.is_ring() && node == self.cells() { 0 } else { node }
    }

    /// Whether a node is inside, or a ring has it.
    fn is_free(&self, node: usize) -> bool {
        self.is_ring() || (0 < node && node < self.cells())
    }

    /// The unknown of a node, unless it is on a wall.
    pub fn unknown(&self, node: usize) -> Option<usize> {
        self.wrapped(node).checked_sub(self.first).filter(|&k| k < self.unknowns)
    }

    /// The node of an unknown.
    pub fn node(&self, unknown: usize) -> usize {
        unknown + self.first
    }

    /// The cell before a node (0) or behind it (1), if there is one.
    pub fn cell(&self, node: usize, side: usize) -> Option<usize> {
        let cells = self.cells();
        match (node + side).checked_sub(1) {
            None => self.is_ring().then_some(cells - 1),
            Some(cell) => (cell < cells).then_some(cell),
        }
    }

    /// The lesser of the spacings beside a free node.
    fn gap(&self, node: usize) -> f64 {
        let width = |cell: usize| self.places[cell + 1] - self.places[cell];
        let beside =
            [0, 1].map(|side| self.cell(self.wrapped(node), side).map_or(f64::INFINITY, width));
        beside[0].min(beside[1])
    }
}

/// The nodes of a grid.
pub(super) struct Mesh<'a> {
    pub grid: &'a Grid,
    pub axes: [Axis; 3],
    /// Where in its round the motion is.
    pub time: f64,
    pub stream: Stream,
    /// How often nodes are drawn again, by their numbers.
    pub again: BTreeMap<u64, u32>,
}

/// A node, or a cell by its first node, along x, y and z.
pub(super) type Index = [usize; 3];

impl Mesh<'_> {
    pub fn dimension(&self) -> usize {
        self.grid.nodes.len()
    }

    /// Corners of a cell.
    pub fn corners(&self) -> usize {
        1 << self.dimension()
    }

    /// A number of a node, the same at both ends of a ring.
    fn number(&self, node: Index) -> u64 {
        (0..3).rev().fold(0, |sum, d| {
            let axis = &self.axes[d];
            sum * axis.places.len() as u64 + axis.wrapped(node[d]) as u64
        })
    }

    fn is_free(&self, node: Index) -> bool {
        (0..self.dimension()).all(|d| self.axes[d].is_free(node[d]))
    }

    /// Where a node is.
    pub fn place(&self, node: Index) -> [f64; 3] {
        self.mapped(node, self.grid.shift)
    }

    fn mapped(&self, node: Index, shift: f64) -> [f64; 3] {
        let dimension = self.dimension();
        let mut at: [f64; 3] = std::array::from_fn(|d| self.axes[d].places[node[d]]);
        if shift > 0.0 && self.is_free(node) {
            let number = self.number(node);
            let attempt = self.again.get(&number).copied().unwrap_or(0);
            let way = match dimension {
                2 => {
                    let [x, y] = self.stream.in_disc(number, attempt).0;
                    [x, y, 0.0]
                }
                _ => self.stream.in_ball(number, attempt),
            };
            for d in 0..dimension {
                at[d] += shift * self.axes[d].gap(node[d]) * way[d];
            }
        }
        let product = |at: [f64; 3], waves: f64| -> f64 {
            at[..dimension].iter().map(|x| (waves * PI * x).sin()).product()
        };
        if self.grid.motion > 0.0 {
            let far = self.grid.motion * product(at, 1.0);
            let (sin, cos) = (2.0 * PI * self.time).sin_cos();
            let half = 0.5f64.sqrt();
            let way = if dimension == 2 { [cos, sin, 0.0] } else { [cos, half * sin, half * sin] };
            (0..dimension).for_each(|d| at[d] += far * way[d]);
        }
        match self.grid.map {
            Map::None => at,
            Map::Sine => {
                let far = self.grid.amplitude * product(at, f64::from(self.grid.waves));
                std::array::from_fn(|d| if d < dimension { at[d] + far } else { 0.0 })
            }
            Map::Annulus => {
                let whole = if self.axes[1].is_ring() { 2.0 * PI } else { 0.5 * PI };
                let (sin, cos) = (whole * at[1]).sin_cos();
                [(1.0 + at[0]) * cos, (1.0 + at[0]) * sin, at[2]]
            }
        }
    }

    /// The nodes of a cell, corner b having bit d of b more along axis d.
    pub fn nodes(&self, cell: Index) -> [Index; 8] {
        std::array::from_fn(|b| std::array::from_fn(|d| cell[d] + (b >> d & 1)))
    }

    pub fn cell(&self, cell: Index) -> Cell {
        self.shifted(cell, self.grid.shift)
    }

    fn shifted(&self, cell: Index, shift: f64) -> Cell {
        let mut corners = [[0.0; 3]; 8];
        for (corner, node) in corners.iter_mut().zip(self.nodes(cell)).take(self.corners()) {
            *corner = self.mapped(node, shift);
        }
        Cell { corners, dimension: self.dimension() }
    }

    /// The cells along the slowest axis, in increasing order, that nodes of these rows touch.
    pub fn layers(&self, rows: &Range<u64>) -> BTreeSet<usize> {
        let slowest = self.dimension() - 1;
        let plane: usize = self.grid.nodes[..slowest].iter().product();
        let axis = &self.axes[slowest];
        let unknowns = match rows.is_empty() {
            true => 0..0,
            false => rows.start as usize / plane..(rows.end as usize - 1) / plane + 1,
        };
        let cells =
            |k: usize| [0, 1].into_iter().filter_map(move |side| axis.cell(axis.node(k), side));
        unknowns.flat_map(cells).collect()
    }

    /// The cells of a layer, x first.
    pub fn layer(&self, layer: usize) -> impl Iterator<Item = Index> + use<> {
        let slowest = self.dimension() - 1;
        let [x, y] = [self.axes[0].cells(), if slowest == 2 { self.axes[1].cells() } else { 1 }];
        let cell = move |i, j| if slowest == 2 { [i, j, layer] } else { [i, layer, 0] };
        (0..y).flat_map(move |j| (0..x).map(move |i| cell(i, j)))
    }

    /// Draws the nodes of flat cells again until there is none. Collective.
    ///
    /// # Errors
    /// [`Error::Parameter`] where it is in vain; what the communicator reports.
    pub fn settle(&mut self, comm: &Comm, rows: &Range<u64>) -> Result<()> {
        let grid = self.grid;
        let bent = grid.map != Map::None || grid.motion > 0.0;
        if grid.shift <= SAFE_SHIFT && !bent {
            return Ok(());
        }
        let layers = self.layers(rows);
        let cells = || layers.iter().flat_map(|&layer| self.layer(layer));
        if bent && !cells().all(|cell| self.shifted(cell, 0.0).shrunk(None, grid.scheme) > 0.0) {
            let why = "'map': on so few nodes the bent grid has cells that are turned over: take more nodes, or bend it less";
            return Err(Error::Parameter(why.into()));
        }
        let mut suspects: Vec<Index> = cells().collect();
        for _ in 0..ROUNDS {
            let mut flat = BTreeSet::new();
            for &cell in &suspects {
                let still = self.shifted(cell, 0.0);
                if self.cell(cell).shrunk(Some(&still), grid.scheme) < LEAST {
                    let nodes = self.nodes(cell).into_iter().take(self.corners());
                    flat.extend(nodes.filter(|&n| self.is_free(n)).map(|n| self.number(n)));
                }
            }
            let flat: Vec<u64> = flat.into_iter().collect();
            let all: BTreeSet<u64> = comm.all_gather(&flat)?.concat().into_iter().collect();
            if all.is_empty() {
                return Ok(());
            }
            all.iter().for_each(|&node| *self.again.entry(node).or_default() += 1);
            let touched = |cell: &Index| {
                let mut nodes = self.nodes(*cell).into_iter().take(self.corners());
                nodes.any(|node| all.contains(&self.number(node)))
            };
            let all_cells = layers.iter().flat_map(|&layer| self.layer(layer));
            suspects = all_cells.filter(touched).collect();
        }
        let why = format!(
            "'shift': with {} some cells stay flat however often their nodes are drawn: take more nodes, or shift them less",
            grid.shift
        );
        Err(Error::Parameter(why))
    }
}
