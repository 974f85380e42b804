//! Meshes of triangles or tetrahedra of any shape, and what is assembled on them.
//!
//! A mesh is whole on every rank, and every rank assembles its own rows from the cells around each node, in a
//! fixed order: entries are the same bit for bit on any number of ranks, and A = Aᵀ exactly.
//!
//! Reference: D. Braess, *Finite Elements*, 3rd ed., Cambridge 2007, §II.5.
use crate::Result;
use crate::comm::Comm;
use crate::kernel::random::Stream;
use crate::matrix::{DistCsr, Space};
use delaunator::{Point, triangulate};
use std::ops::Range;
use std::sync::Arc;

/// Simplices in D dimensions, with C = D + 1 corners.
pub(super) struct Simplices<const D: usize, const C: usize> {
    places: Vec<[f64; D]>,
    cells: Vec<[u32; C]>,
    /// Number of each node among those that are unknown; [`FIXED`] for the others.
    number: Vec<u32>,
    /// The node of each such number.
    free: Vec<u32>,
    /// Cells at free node k, and which corner it is: `at[first[k]..first[k + 1]]`.
    first: Vec<u32>,
    at: Vec<(u32, u8)>,
}

/// A node whose value is given, or that no cell has.
const FIXED: u32 = u32::MAX;
/// A cell with less volume than this part of the D-th power of its longest edge is dropped.
const SLIVER: f64 = 1e-3;

/// A cell: gradients of the functions that are 1 at one corner and 0 at the others, and its volume.
pub(super) struct Cell<const D: usize, const C: usize> {
    pub gradients: [[f64; D]; C],
    pub volume: f64,
    pub centroid: [f64; D],
}

impl<const D: usize, const C: usize> Cell<D, C> {
    pub fn new(corners: [[f64; D]; C]) -> Self {
        let edges: [[f64; D]; D] =
            std::array::from_fn(|k| std::array::from_fn(|d| corners[k + 1][d] - corners[0][d]));
        let (inverse, determinant) = inverse(edges);
        let mut gradients = [[0.0; D]; C];
        for d in 0..D {
            for k in 0..D {
                gradients[k + 1][d] = inverse[d][k];
                gradients[0][d] -= inverse[d][k];
            }
        }
        let centroid =
            std::array::from_fn(|d| corners.iter().map(|p| p[d]).sum::<f64>() / C as f64);
        let factorial = if D == 2 { 2.0 } else { 6.0 };
        Cell { gradients, volume: determinant.abs() / factorial, centroid }
    }
}

impl<const D: usize, const C: usize> Simplices<D, C> {
    /// A mesh of these cells, `fixed` nodes given.
    pub fn new(places: Vec<[f64; D]>, cells: Vec<[u32; C]>, fixed: impl Fn(usize) -> bool) -> Self {
        let mut count = vec![0u32; places.len()];
        cells.iter().flatten().for_each(|&node| count[node as usize] += 1);
        let (mut number, mut free) = (vec![FIXED; places.len()], Vec::new());
        let mut first = vec![0u32];
        for node in 0..places.len() {
            if count[node] > 0 && !fixed(node) {
                number[node] = free.len() as u32;
                free.push(node as u32);
                first.push(first[first.len() - 1] + count[node]);
            }
        }
        let mut next = first.clone();
        let mut at = vec![(0, 0); first[first.len() - 1] as usize];
        for (t, corners) in cells.iter().enumerate() {
            for (corner, &node) in corners.iter().enumerate() {
                let k = number[node as usize];
                if k != FIXED {
                    let place = &mut next[k as usize];
                    at[*place as usize] = (t as u32, corner as u8);
                    *place += 1;
                }
            }
        }
        Simplices { places, cells, number, free, first, at }
    }

    /// Nodes that are unknown.
    pub fn free(&self) -> usize {
        self.free.len()
    }
    /// Where free node `k` is.
    pub fn place(&self, k: u64) -> [f64; D] {
        self.places[self.free[k as usize] as usize]
    }

    fn cell(&self, t: u32) -> Cell<D, C> {
        Cell::new(self.cells[t as usize].map(|node| self.places[node as usize]))
    }

    /// Free nodes that this rank owns where they are spread evenly.
    pub fn own(&self, comm: &Comm) -> Range<u64> {
        let space = Space::even(comm.clone(), self.free() as u64);
        space.start()..space.start() + space.n_own() as u64
    }

    /// Volume of the cells at free node `k`.
    pub fn volume(&self, k: u64) -> f64 {
        self.around(k).map(|(t, _)| self.cell(t).volume).sum()
    }

    fn around(&self, k: u64) -> impl Iterator<Item = (u32, usize)> + '_ {
        let range = self.first[k as usize] as usize..self.first[k as usize + 1] as usize;
        self.at[range].iter().map(|&(t, corner)| (t, corner.into()))
    }

    /// The matrix of B unknowns a node, where `entry(cell, a, b)` is what corners `a` and `b` of a cell
    /// contribute; every pair of unknowns with a cell in common is stored. Collective.
    pub fn assemble<const B: usize>(
        &self,
        comm: &Comm,
        entry: impl Fn(&Cell<D, C>, usize, usize) -> [[f64; B]; B],
    ) -> Result<DistCsr> {
        let own = self.own(comm);
        let even = Space::even(comm.clone(), self.free() as u64);
        let starts = even.starts().iter().map(|s| s * B as u64).collect();
        let space: Arc<Space> = Space::from_starts(comm.clone(), starts)?;
        let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
        let mut near: Vec<(u32, [[f64; B]; B])> = Vec::new();
        for k in own {
            near.clear();
            for (t, a) in self.around(k) {
                let cell = self.cell(t);
                for (b, &node) in self.cells[t as usize].iter().enumerate() {
                    let other = self.number[node as usize];
                    if other != FIXED {
                        near.push((other, entry(&cell, a, b)));
                    }
                }
            }
            near.sort_by_key(|&(other, _)| other);
            let of_nodes: Vec<_> = near
                .chunk_by(|x, y| x.0 == y.0)
                .map(|same| {
                    let mut sum = [[0.0; B]; B];
                    for (_, block) in same {
                        for i in 0..B {
                            for j in 0..B {
                                sum[i][j] += block[i][j];
                            }
                        }
                    }
                    (u64::from(same[0].0), sum)
                })
                .collect();
            for i in 0..B {
                for (other, block) in &of_nodes {
                    for (j, &value) in block[i].iter().enumerate() {
                        cols.push(other * B as u64 + j as u64);
                        values.push(value);
                    }
                }
                row_ptr.push(cols.len() as u32);
            }
        }
        DistCsr::from_rows(&space, &row_ptr, &cols, &values)
    }

    /// ∫ c ∇φₐ·∇φᵦ with `c` constant on every cell.
    pub fn diffusion(&self, comm: &Comm, c: impl Fn(&Cell<D, C>) -> f64) -> Result<DistCsr> {
        self.assemble::<1>(comm, |cell, a, b| {
            let product: f64 = (0..D).map(|d| cell.gradients[a][d] * cell.gradients[b][d]).sum();
            [[c(cell) * cell.volume * product]]
        })
    }
}

/// The Delaunay triangulation of these points without slivers; only cells whose centroid is `inside`.
pub(super) fn delaunay(places: &[[f64; 2]], inside: impl Fn([f64; 2]) -> bool) -> Vec<[u32; 3]> {
    let points: Vec<Point> = places.iter().map(|&[x, y]| Point { x, y }).collect();
    let triangles = triangulate(&points).triangles;
    let cells = triangles.as_chunks::<3>().0.iter().map(|corners| corners.map(|p| p as u32));
    cells
        .filter(|corners| {
            let p = corners.map(|p| places[p as usize]);
            let edge = |a: [f64; 2], b: [f64; 2]| [b[0] - a[0], b[1] - a[1]];
            let (u, v, w) = (edge(p[0], p[1]), edge(p[0], p[2]), edge(p[1], p[2]));
            let area = 0.5 * (u[0] * v[1] - u[1] * v[0]).abs();
            let longest =
                [u, v, w].map(|e| e[0] * e[0] + e[1] * e[1]).into_iter().fold(0.0, f64::max);
            let centre = [0, 1].map(|d| (p[0][d] + p[1][d] + p[2][d]) / 3.0);
            area > SLIVER * longest && inside(centre)
        })
        .collect()
}

/// The box [0, 1]³ scaled by `sides`, with m³ inner nodes and those of its boundary; each of its cubes is cut
/// into six tetrahedra along one diagonal (Kuhn), and each inner node moved by up to `shift` steps in each
/// direction. Nodes are numbered with x fastest.
pub(super) fn kuhn(
    counts: [usize; 3],
    sides: [f64; 3],
    shift: f64,
    stream: Stream,
) -> (Vec<[f64; 3]>, Vec<[u32; 4]>) {
    let nodes = counts.map(|m| m + 2);
    let number = |[i, j, k]: [usize; 3]| ((k * nodes[1] + j) * nodes[0] + i) as u32;
    let mut places = Vec::new();
    for k in 0..nodes[2] {
        for j in 0..nodes[1] {
            for i in 0..nodes[0] {
                let at = [i, j, k];
                let inner = (0..3).all(|d| (1..=counts[d]).contains(&at[d]));
                let id = u64::from(number(at));
                places.push(std::array::from_fn(|d| {
                    let moved = if inner { shift * stream.signed(id, d as u64) } else { 0.0 };
                    sides[d] * (at[d] as f64 + moved) / (counts[d] + 1) as f64
                }));
            }
        }
    }
    let mut cells = Vec::new();
    for k in 0..=counts[2] {
        for j in 0..=counts[1] {
            for i in 0..=counts[0] {
                for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                    let mut at = [i, j, k];
                    let mut corners = [number(at); 4];
                    for (corner, axis) in corners[1..].iter_mut().zip(order) {
                        at[axis] += 1;
                        *corner = number(at);
                    }
                    cells.push(corners);
                }
            }
        }
    }
    (places, cells)
}

/// The inverse and the determinant of a small matrix, by Gauss and Jordan with pivots by columns.
pub(super) fn inverse<const D: usize>(m: [[f64; D]; D]) -> ([[f64; D]; D], f64) {
    let mut a = m;
    let mut x: [[f64; D]; D] =
        std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))));
    let mut determinant = 1.0;
    for k in 0..D {
        let best = (k..D).fold(k, |b, i| if a[i][k].abs() > a[b][k].abs() { i } else { b });
        if best != k {
            a.swap(k, best);
            x.swap(k, best);
            determinant = -determinant;
        }
        let pivot = a[k][k];
        determinant *= pivot;
        for j in 0..D {
            a[k][j] /= pivot;
            x[k][j] /= pivot;
        }
        for i in (0..D).filter(|&i| i != k) {
            let factor = a[i][k];
            for j in 0..D {
                a[i][j] -= factor * a[k][j];
                x[i][j] -= factor * x[k][j];
            }
        }
    }
    (x, determinant)
}
