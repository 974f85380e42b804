//! Piecewise linear finite elements for −∇·(c ∇u) = f, u = 0 on the boundary of the unit square.
//!
//! aᵢⱼ = ∫ c ∇φᵢ·∇φⱼ and bᵢ = ∫ f φᵢ, with c taken at the centroid of each triangle and f at the
//! midpoints of its edges (exact for quadratic f φᵢ).
//!
//! Every rank assembles its own rows from the six triangles around each unknown, in a fixed order:
//! entries are the same bit for bit on any number of ranks, and aᵢⱼ = aⱼᵢ exactly. A triangle is
//! worked out once for each of its corners instead of sending it between ranks.
//!
//! Reference: D. Braess, *Finite Elements*, 3rd ed., Cambridge 2007, §II.5 and §II.8.
use super::mesh::{Mesh, Node};
use crate::Result;
use crate::matrix::{DistCsr, Space};
use std::sync::Arc;

/// A triangle and what linear functions on it need.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Triangle {
    /// Its corners, anticlockwise.
    pub corners: [[f64; 2]; 3],
    /// Its area; negative where the corners run clockwise.
    pub area: f64,
}

impl Triangle {
    /// The triangle with these corners.
    pub fn new(corners: [[f64; 2]; 3]) -> Self {
        let [p, q, r] = corners;
        let area = 0.5 * ((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]));
        Triangle { corners, area }
    }

    /// The edge opposite to each corner, anticlockwise.
    fn edges(&self) -> [[f64; 2]; 3] {
        let [p, q, r] = self.corners;
        [[r[0] - q[0], r[1] - q[1]], [p[0] - r[0], p[1] - r[1]], [q[0] - p[0], q[1] - p[1]]]
    }

    /// Gradients of the three functions that are 1 at one corner and 0 at the others.
    pub fn gradients(&self) -> [[f64; 2]; 3] {
        let scale = 0.5 / self.area;
        self.edges().map(|[x, y]| [-y * scale, x * scale])
    }

    /// ∫ ∇φ·∇φₖ for corner `a` and k = 0, 1, 2.
    pub fn stiffness(&self, a: usize) -> [f64; 3] {
        let edges = self.edges();
        let scale = 0.25 / self.area;
        edges.map(|e| (e[0] * edges[a][0] + e[1] * edges[a][1]) * scale)
    }

    /// Middle of the triangle.
    pub fn centroid(&self) -> [f64; 2] {
        let [p, q, r] = self.corners;
        [(p[0] + q[0] + r[0]) / 3.0, (p[1] + q[1] + r[1]) / 3.0]
    }

    /// Middle of the edge opposite to each corner.
    pub fn midpoints(&self) -> [[f64; 2]; 3] {
        let [p, q, r] = self.corners;
        let middle = |a: [f64; 2], b: [f64; 2]| [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0];
        [middle(q, r), middle(r, p), middle(p, q)]
    }
}

/// The matrix for coefficient c, 7 entries a row (fewer at the boundary; zeros are stored).
/// Collective over `space`, whose own rows `mesh` is about.
///
/// # Errors
/// What the communicator reports.
pub fn assemble(
    mesh: &Mesh,
    space: &Arc<Space>,
    coefficient: impl Fn([f64; 2]) -> f64,
) -> Result<DistCsr> {
    let (n, m) = (space.n_own(), mesh.m() as u64);
    let mut row_ptr = Vec::with_capacity(n + 1);
    let (mut cols, mut values) = (Vec::with_capacity(7 * n), Vec::with_capacity(7 * n));
    row_ptr.push(0);
    for row in mesh.rows() {
        let here = mesh.node(row);
        let mut patch = [0.0; 9];
        for (corners, a) in mesh.around(row) {
            let triangle = mesh.triangle(&corners);
            let c = coefficient(triangle.centroid());
            for (node, k) in corners.iter().zip(triangle.stiffness(a)) {
                patch[patch_place(here, *node)] += c * k;
            }
        }
        // Around [i, j] in the order of unknowns; upper left and lower right are no neighbours.
        let [i, j] = here;
        for (place, value) in patch.into_iter().enumerate().filter(|(p, _)| !matches!(p, 2 | 6)) {
            if mesh.unknown([i + place % 3 - 1, j + place / 3 - 1]).is_some() {
                cols.push(row + (place / 3) as u64 * m + (place % 3) as u64 - m - 1);
                values.push(value);
            }
        }
        row_ptr.push(cols.len() as u32);
    }
    DistCsr::from_rows(space, &row_ptr, &cols, &values)
}

/// Place of `node` in the 3 × 3 patch around `here`.
fn patch_place(here: Node, node: Node) -> usize {
    3 * (node[1] + 1 - here[1]) + node[0] + 1 - here[0]
}

/// The load vector of f on the unknowns of `mesh`.
pub fn load(mesh: &Mesh, f: impl Fn([f64; 2]) -> f64) -> Vec<f64> {
    let of_corner = |corners: &[Node; 3], a: usize| {
        let triangle = mesh.triangle(corners);
        let at = triangle.midpoints().map(&f);
        (at[(a + 1) % 3] + at[(a + 2) % 3]) * triangle.area / 6.0
    };
    let around = |row| mesh.around(row).iter().map(|(corners, a)| of_corner(corners, *a)).sum();
    mesh.rows().map(around).collect()
}

/// The mean of c over the triangles around each unknown of `mesh`, by its values at their centroids.
pub fn means(mesh: &Mesh, c: impl Fn([f64; 2]) -> f64) -> Vec<f64> {
    let mean = |row| {
        let triangles = mesh.around(row).map(|(corners, _)| mesh.triangle(&corners));
        let sum = |of: &dyn Fn(&Triangle) -> f64| triangles.iter().map(of).sum::<f64>();
        sum(&|t| t.area * c(t.centroid())) / sum(&|t| t.area)
    };
    mesh.rows().map(mean).collect()
}
