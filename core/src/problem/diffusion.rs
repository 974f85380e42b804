//! Diffusion problems of many kinds: −∇·(c K ∇u) = f on the unit square, or a thinner
//! rectangle, u = 0 on its boundary.
//!
//! Linear finite elements on the shifted grid of [`Mesh`] or on a [`Delaunay`] triangulation of
//! random points; a coefficient c that is constant on every triangle ([`Field`]), and a tensor K
//! with eigenvalues 1 and `anisotropy`, the first in the direction `angle`. m² unknowns.
//!
//! Every rank assembles its own rows from the triangles around each unknown, in a fixed order:
//! entries are the same bit for bit on any number of ranks, and aᵢⱼ = aⱼᵢ exactly.
//!
//! Cost: some 60 flops a triangle for each of its corners, and the coefficient (a smooth field takes
//! 48 cosines); communication for the halo of the matrix only.
//!
//! Reference: D. Braess, *Finite Elements*, 3rd ed., Cambridge 2007, §II.5 and §II.8.
use super::delaunay::Delaunay;
use super::field::{Coefficient, Field};
use super::mesh::Mesh;
use super::p1::Triangle;
use super::{Rhs, check, side};
use crate::Result;
use crate::comm::Comm;
use crate::kernel::random::{Purpose, Stream};
use crate::matrix::{DistCsr, Space};
use crate::system::System;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// What a diffusion problem is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Diffusion {
    /// Level of refinement: 2^level − 1 inner nodes a side. 4 unless `nodes` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 14))]
    pub level: Option<u32>,
    /// Inner nodes a side, in place of `level`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16383))]
    pub nodes: Option<usize>,
    /// Mesh.
    pub mesh: MeshKind,
    /// Radius, in grid steps, of the disc that each inner node is shifted in.
    #[schemars(extend("minimum" = 0.0, "exclusiveMaximum" = 0.5))]
    pub shift: f64,
    /// How many times thinner the domain is in y than in x: [0, 1] × [0, 1/stretch].
    #[schemars(extend("minimum" = 1.0, "maximum" = 1e4))]
    pub stretch: f64,
    /// Coefficient c.
    pub coefficient: Field,
    /// Standard deviation of ln c of the fields `log-normal` and `white`.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub deviation: f64,
    /// Correlation length of `log-normal`, width of a square of `blocks`, in grid steps.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub scale: f64,
    /// Values of `blocks` reach from 10^−decades to 10^decades.
    #[schemars(range(min = 0.0, max = 8.0))]
    pub decades: f64,
    /// The smaller eigenvalue of K; the larger one is 1.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub anisotropy: f64,
    /// Direction of the larger eigenvalue, in degrees from the x axis; drawn for every system where
    /// it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -180.0, max = 180.0))]
    pub angle: Option<f64>,
    /// Seed of everything random.
    pub seed: u64,
    /// Right-hand side.
    pub rhs: Rhs,
}

/// A kind of mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MeshKind {
    /// Every cell of a grid is split along its diagonal; inner nodes are shifted.
    Grid,
    /// Delaunay triangulation of the shifted nodes.
    Delaunay,
    /// Delaunay triangulation of points drawn evenly from the domain, numbered as they were drawn; `shift`
    /// plays no part.
    Random,
}

impl Default for Diffusion {
    fn default() -> Self {
        Diffusion {
            level: None,
            nodes: None,
            mesh: MeshKind::Grid,
            shift: 0.25,
            stretch: 1.0,
            coefficient: Field::Constant,
            deviation: 1.0,
            scale: 8.0,
            decades: 2.0,
            anisotropy: 1.0,
            angle: None,
            seed: 0,
            rhs: Rhs::Ones,
        }
    }
}

/// Streams of random numbers of a system.
const PLACES: u64 = 0;
const RHS: u64 = 1;
const COEFFICIENT: u64 = 2;
const DIRECTION: u64 = 3;

impl Diffusion {
    /// Inner nodes a side, after checking all parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) naming the parameter that is out of its range.
    pub fn m(&self) -> Result<usize> {
        let [d, k] = [self.deviation, self.decades];
        check("shift", self.shift, (0.0..0.5).contains(&self.shift), "at least 0, less than 0.5")?;
        check("deviation", d, (0.0..=10.0).contains(&d), "within 0..10")?;
        check("scale", self.scale, self.scale > 0.0 && self.scale.is_finite(), "greater than 0")?;
        check("decades", k, (0.0..=8.0).contains(&k), "within 0..8")?;
        check("stretch", self.stretch, (1.0..=1e4).contains(&self.stretch), "within 1..10000")?;
        let thin = self.anisotropy;
        check("anisotropy", thin, thin > 0.0 && thin <= 1.0, "greater than 0 and at most 1")?;
        let angle = self.angle.unwrap_or(0.0);
        check("angle", angle, (-180.0..=180.0).contains(&angle), "within -180..180")?;
        side(self.level, self.nodes, 4)
    }

    /// The matrix with auxiliary data `coordinates`, `grid-index` (on the grid) and `coefficient`
    /// (unless it is constant: the mean over the triangles at a node, weighted by area), and the
    /// right-hand side, of system `index` for `purpose`. Collective.
    ///
    /// # Errors
    /// As [`m`](Diffusion::m); what the communicator reports.
    pub fn make(&self, comm: &Comm, purpose: Purpose, index: u64) -> Result<(System, Vec<f64>)> {
        let m = self.m()?;
        let stream = |tag| Stream::new(purpose, self.seed, index, &[m as u64, tag]);
        let space = Space::even(comm.clone(), (m * m) as u64);
        let rows = space.start()..space.start() + space.n_own() as u64;
        comm.scope(|| {
            let elements = match self.mesh {
                MeshKind::Grid => {
                    Elements::Grid(Mesh::new(comm, m, self.shift, stream(PLACES), rows.clone())?)
                }
                MeshKind::Delaunay => {
                    Elements::Delaunay(Delaunay::new(m, self.shift, stream(PLACES)))
                }
                MeshKind::Random => Elements::Delaunay(Delaunay::random(m, stream(PLACES))),
            };
            let elements = Stretched { elements, thin: 1.0 / self.stretch };
            let operator = Operator {
                coefficient: self.coefficient(m, stream(COEFFICIENT)),
                tensor: self.tensor(stream(DIRECTION)),
            };
            let a = assemble(&elements, &space, rows.clone(), &operator)?;
            let rhs = self.rhs.of_rows(rows.clone(), stream(RHS), |row| elements.area(row) / 3.0);
            let places = rows.clone().flat_map(|row| elements.place(row)).collect();
            let mut system = System::new(a).with_aux("coordinates", 2, places)?;
            if let Elements::Grid(mesh) = &elements.elements {
                let nodes = rows.clone().map(|row| mesh.node(row));
                let index = nodes.flat_map(|[i, j]| [(i - 1) as f64, (j - 1) as f64]).collect();
                system = system.with_aux("grid-index", 2, index)?;
            }
            if self.coefficient != Field::Constant {
                let nodal = rows.clone().map(|row| elements.mean(row, &operator.coefficient));
                system = system.with_aux("coefficient", 1, nodal.collect())?;
            }
            Ok((system, rhs))
        })
    }

    fn coefficient(&self, m: usize, stream: Stream) -> Coefficient {
        let (deviation, length) = (self.deviation, self.scale / (m + 1) as f64);
        match self.coefficient {
            Field::Constant => Coefficient::Constant,
            Field::LogNormal => Coefficient::log_normal(stream, deviation, length),
            Field::White => Coefficient::White { stream, deviation },
            Field::Blocks => Coefficient::Blocks { stream, decades: self.decades, width: length },
        }
    }

    /// K as [k₁₁, k₁₂, k₂₂].
    fn tensor(&self, stream: Stream) -> [f64; 3] {
        let [cos, sin] = match self.angle {
            Some(degrees) => [degrees.to_radians().cos(), degrees.to_radians().sin()],
            None => {
                let (at, square) = stream.in_disc(0, 0);
                at.map(|x| x / square.sqrt())
            }
        };
        let thin = self.anisotropy;
        [cos * cos + thin * sin * sin, (1.0 - thin) * cos * sin, sin * sin + thin * cos * cos]
    }
}

/// c and K.
struct Operator {
    coefficient: Coefficient,
    tensor: [f64; 3],
}

impl Operator {
    /// ∫ c (K ∇φₐ)·∇φₖ for corner `a` and k = 0, 1, 2.
    fn stiffness(&self, element: &Element) -> [f64; 3] {
        let Element { id, triangle, corner, .. } = element;
        let [xx, xy, yy] = self.tensor;
        let gradients = triangle.gradients();
        let a = gradients[*corner];
        let scale = triangle.area * self.coefficient.on(*id, triangle.centroid());
        gradients.map(|b| {
            scale * (xx * (a[0] * b[0]) + xy * (a[0] * b[1] + a[1] * b[0]) + yy * (a[1] * b[1]))
        })
    }
}

/// A triangle at some unknown.
struct Element {
    /// Its number in the mesh.
    id: u64,
    triangle: Triangle,
    /// Which corner the unknown is.
    corner: usize,
    /// The unknowns at all corners; `None` on the boundary.
    unknowns: [Option<u64>; 3],
}

/// The triangles of a mesh, by the unknowns that they touch.
enum Elements {
    Grid(Mesh),
    Delaunay(Delaunay),
}

/// The same, y times `thin`.
struct Stretched {
    elements: Elements,
    thin: f64,
}

impl Stretched {
    fn place(&self, row: u64) -> [f64; 2] {
        let [x, y] = self.elements.place(row);
        [x, self.thin * y]
    }

    /// Calls `f` for the triangles at unknown `row`, always in the same order.
    fn around(&self, row: u64, mut f: impl FnMut(Element)) {
        self.elements.around(row, |element| {
            let corners = element.triangle.corners.map(|[x, y]| [x, self.thin * y]);
            f(Element { triangle: Triangle::new(corners), ..element });
        });
    }

    /// Area of the triangles at unknown `row`.
    fn area(&self, row: u64) -> f64 {
        let mut area = 0.0;
        self.around(row, |element| area += element.triangle.area);
        area
    }

    /// Mean of c over the triangles at unknown `row`.
    fn mean(&self, row: u64, coefficient: &Coefficient) -> f64 {
        let mut sum = 0.0;
        self.around(row, |Element { id, triangle, .. }| {
            sum += triangle.area * coefficient.on(id, triangle.centroid());
        });
        sum / self.area(row)
    }
}

impl Elements {
    fn place(&self, row: u64) -> [f64; 2] {
        match self {
            Elements::Grid(mesh) => mesh.place(mesh.node(row)),
            Elements::Delaunay(mesh) => mesh.place(row),
        }
    }

    /// Calls `f` for the triangles at unknown `row`, always in the same order.
    fn around(&self, row: u64, mut f: impl FnMut(Element)) {
        match self {
            Elements::Grid(mesh) => {
                for (corners, corner) in mesh.around(row) {
                    let [i, j] = corners[0];
                    let upper = corners[1][1] > j;
                    f(Element {
                        id: 2 * (j * (mesh.m() + 1) + i) as u64 + u64::from(upper),
                        triangle: mesh.triangle(&corners),
                        corner,
                        unknowns: corners.map(|node| mesh.unknown(node)),
                    });
                }
            }
            Elements::Delaunay(mesh) => {
                for (t, corner) in mesh.around(row) {
                    let (triangle, unknowns) = (mesh.triangle(t), mesh.unknowns(t));
                    f(Element { id: t.into(), triangle, corner, unknowns });
                }
            }
        }
    }
}

/// The matrix; every pair of unknowns with a triangle in common is stored. Collective.
fn assemble(
    elements: &Stretched,
    space: &Arc<Space>,
    rows: Range<u64>,
    operator: &Operator,
) -> Result<DistCsr> {
    let (mut row_ptr, mut cols, mut values) = (vec![0u32], Vec::new(), Vec::new());
    let mut row_entries: Vec<(u64, f64)> = Vec::new();
    for row in rows {
        row_entries.clear();
        elements.around(row, |element| {
            let stiffness = operator.stiffness(&element);
            for (unknown, value) in element.unknowns.into_iter().zip(stiffness) {
                row_entries.extend(unknown.map(|column| (column, value)));
            }
        });
        row_entries.sort_by_key(|&(column, _)| column);
        for (column, value) in row_entries.drain(..) {
            match cols.last() {
                Some(last)
                    if *last == column && cols.len() > row_ptr[row_ptr.len() - 1] as usize =>
                {
                    let end = values.len() - 1;
                    values[end] += value;
                }
                _ => {
                    cols.push(column);
                    values.push(value);
                }
            }
        }
        row_ptr.push(cols.len() as u32);
    }
    DistCsr::from_rows(space, &row_ptr, &cols, &values)
}
