//! The uniformly split unit square with inner nodes shifted at random.
//!
//! m inner nodes a side, grid step h = 1/(m + 1), every cell split along the diagonal from lower
//! left to upper right:
//!
//! ```text
//! d───c      lower triangle a b c
//! │ ╱ │      upper triangle a c d
//! a───b
//! ```
//!
//! Each inner node is shifted by a vector drawn uniformly from a disc of radius `shift`·h. Three
//! nodes of a triangle can come to lie on a line from shift = 1/(2√2) ≈ 0.354 on (half its least
//! altitude); there, all inner nodes of a triangle that is inverted or has lost 99 % of its area
//! are drawn again until none is left.
use super::p1::Triangle;
use crate::Result;
use crate::comm::{Comm, Communicator};
use crate::kernel::random::Stream;
use std::collections::BTreeMap;
use std::ops::Range;

/// Up to this shift every triangle keeps more than [`LEAST_AREA`] of its area.
const SAFE_SHIFT: f64 = 0.34;
/// Part of its area that a triangle must keep.
const LEAST_AREA: f64 = 0.01;

/// A node of the grid, boundary included: column and row, `0..=m + 1` each.
pub type Node = [usize; 2];

/// The part of a mesh around the unknowns `rows`: their nodes and all that these touch.
///
/// Unknowns are the inner nodes, row after row: node `[i, j]` is number (j − 1)·m + i − 1.
pub struct Mesh {
    m: usize,
    rows: Range<u64>,
    /// Grid lines that are held.
    lines: Range<usize>,
    /// Places of the nodes of these lines, m + 2 each.
    places: Vec<[f64; 2]>,
}

impl Mesh {
    /// The part around `rows` of the mesh with `m` inner nodes a side whose shifts, in grid steps,
    /// come from `stream`. Collective; the mesh does not depend on the number of ranks.
    ///
    /// # Errors
    /// What the communicator reports.
    ///
    /// # Panics
    /// Unless 0 ≤ `shift` < 0.5 and `rows` lie within 0..m².
    pub fn new(
        comm: &Comm,
        m: usize,
        shift: f64,
        stream: Stream,
        rows: Range<u64>,
    ) -> Result<Self> {
        assert!((0.0..0.5).contains(&shift), "shift {shift} is not within 0..0.5");
        assert!(rows.end <= (m * m) as u64, "rows {rows:?} of {m}²");
        let lines = match rows.is_empty() {
            true => 0..0,
            false => rows.start as usize / m..(rows.end - 1) as usize / m + 3,
        };
        let place = |[i, j]: Node, attempt: u32| {
            let inner = (1..=m).contains(&i) && (1..=m).contains(&j);
            let [dx, dy] = match inner && shift > 0.0 {
                true => stream.in_disc(((j - 1) * m + i - 1) as u64, attempt).0,
                false => [0.0; 2],
            };
            let steps = (m + 1) as f64;
            [(i as f64 + shift * dx) / steps, (j as f64 + shift * dy) / steps]
        };
        let nodes = lines.clone().flat_map(|j| (0..m + 2).map(move |i| [i, j]));
        let places = nodes.map(|node| place(node, 0)).collect();
        let mut mesh = Mesh { m, rows, lines, places };
        if shift > SAFE_SHIFT {
            let mut attempts = BTreeMap::<u64, u32>::new();
            loop {
                let again = comm.all_gather(&mesh.flattened())?.concat();
                if again.is_empty() {
                    break;
                }
                for row in again {
                    let attempt = attempts.entry(row).or_default();
                    *attempt += 1;
                    let node = mesh.node(row);
                    if mesh.lines.contains(&node[1]) {
                        let at = mesh.at(node);
                        mesh.places[at] = place(node, *attempt);
                    }
                }
            }
        }
        Ok(mesh)
    }

    /// Own unknowns that touch a triangle with hardly any area.
    fn flattened(&self) -> Vec<u64> {
        let least = LEAST_AREA * 0.5 / ((self.m + 1) * (self.m + 1)) as f64;
        let flat = |&row: &u64| self.around(row).iter().any(|(t, _)| self.triangle(t).area < least);
        self.rows.clone().filter(flat).collect()
    }

    fn at(&self, [i, j]: Node) -> usize {
        (j - self.lines.start) * (self.m + 2) + i
    }

    /// Inner nodes a side.
    pub fn m(&self) -> usize {
        self.m
    }
    /// Unknowns that this part is about.
    pub fn rows(&self) -> Range<u64> {
        self.rows.clone()
    }
    /// The node of unknown `row`.
    pub fn node(&self, row: u64) -> Node {
        [row as usize % self.m + 1, row as usize / self.m + 1]
    }
    /// The unknown at `node`; `None` on the boundary.
    pub fn unknown(&self, [i, j]: Node) -> Option<u64> {
        let inner = (1..=self.m).contains(&i) && (1..=self.m).contains(&j);
        inner.then(|| ((j - 1) * self.m + i - 1) as u64)
    }
    /// Where `node` is.
    ///
    /// # Panics
    /// Where `node` neither is nor neighbours one of this part's unknowns.
    pub fn place(&self, node: Node) -> [f64; 2] {
        self.places[self.at(node)]
    }

    /// The six triangles around unknown `row`, always in the same order, and which of their
    /// corners it is.
    pub fn around(&self, row: u64) -> [([Node; 3], usize); 6] {
        let [i, j] = self.node(row);
        let lower = |i, j| [[i, j], [i + 1, j], [i + 1, j + 1]];
        let upper = |i, j| [[i, j], [i + 1, j + 1], [i, j + 1]];
        [
            (lower(i - 1, j - 1), 2),
            (upper(i - 1, j - 1), 1),
            (upper(i, j - 1), 2),
            (lower(i - 1, j), 1),
            (lower(i, j), 0),
            (upper(i, j), 0),
        ]
    }

    /// The triangle with these corners.
    ///
    /// # Panics
    /// As [`place`](Mesh::place).
    pub fn triangle(&self, corners: &[Node; 3]) -> Triangle {
        Triangle::new(corners.map(|node| self.place(node)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::threads;
    use crate::kernel::random::Purpose;

    fn mesh(m: usize, shift: f64) -> Mesh {
        let stream = Stream::new(Purpose::Test, 11, 0, &[]);
        Mesh::new(&Comm::solo(), m, shift, stream, 0..(m * m) as u64).expect("one rank")
    }

    /// Area of every triangle as part of the unshifted one, each counted at its inner corners.
    fn areas(mesh: &Mesh) -> Vec<f64> {
        let whole = 0.5 / ((mesh.m + 1) * (mesh.m + 1)) as f64;
        let around = mesh.rows().flat_map(|row| mesh.around(row));
        around.map(|(t, _)| mesh.triangle(&t).area / whole).collect()
    }

    #[test]
    fn no_triangle_is_flat_at_any_shift() {
        for shift in [0.0, 0.25, SAFE_SHIFT, 0.36, 0.45, 0.499] {
            let least = areas(&mesh(127, shift)).into_iter().fold(f64::INFINITY, f64::min);
            assert!(least >= LEAST_AREA, "shift {shift}: {least}");
        }
        // The worst that a safe shift can do: all corners towards the middle of the altitude.
        let across = SAFE_SHIFT * 0.5f64.sqrt();
        let worst = Triangle::new([
            [across, -across],
            [1.0 - across, across],
            [1.0 + across, 1.0 - across],
        ]);
        assert!(worst.area > 0.5 * LEAST_AREA && worst.area < 0.05, "{}", worst.area);
    }

    #[test]
    fn nodes_are_drawn_again_where_a_large_shift_inverts_triangles_and_nowhere_else() {
        let (m, shift) = (127, 0.45);
        let stream = Stream::new(Purpose::Test, 11, 0, &[]);
        let mesh = mesh(m, shift);
        let moved = mesh.rows().filter(|&row| {
            let [i, j] = mesh.node(row);
            let first = stream.in_disc(row, 0).0;
            mesh.place([i, j])
                != [(i as f64 + shift * first[0]) / 128.0, (j as f64 + shift * first[1]) / 128.0]
        });
        let part = moved.count() as f64 / (m * m) as f64;
        assert!(part > 0.001 && part < 0.05, "{part}");
    }

    #[test]
    fn inner_nodes_stay_in_their_disc_and_boundary_nodes_stay_put() {
        let mesh = mesh(31, 0.25);
        for (j, i) in (0..33).flat_map(|j| (0..33).map(move |i| (j, i))) {
            let [x, y] = mesh.place([i, j]);
            let d = f64::hypot(x * 32.0 - i as f64, y * 32.0 - j as f64);
            match mesh.unknown([i, j]) {
                Some(row) => assert!(d <= 0.25 && d > 0.0 && mesh.node(row) == [i, j]),
                None => assert_eq!(d, 0.0),
            }
        }
    }

    #[test]
    fn the_mesh_is_the_same_on_any_number_of_ranks() {
        let (m, shift) = (13, 0.48);
        let whole = mesh(m, shift);
        for size in [2, 3, 5] {
            let parts = threads::run(size, |comm| {
                let comm = Comm::new(comm);
                let n = (m * m) as u64;
                let cut = |r: usize| n * r as u64 / size as u64;
                let rows = cut(comm.rank())..cut(comm.rank() + 1);
                let stream = Stream::new(Purpose::Test, 11, 0, &[]);
                Mesh::new(&comm, m, shift, stream, rows).expect("no rank fails")
            });
            for part in &parts {
                for (t, _) in part.rows().flat_map(|row| part.around(row)) {
                    assert_eq!(t.map(|node| part.place(node)), t.map(|node| whole.place(node)));
                }
            }
        }
    }
}
