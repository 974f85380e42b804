//! Finite elements on the cells of a grid.
//!
//! Linear elements on the two triangles or six tetrahedra that a cell is cut into along a diagonal (Kuhn), bi- or trilinear ones
//! with two Gauss points along each axis, which leaves linear functions exact in cells of any shape.
use super::mesh::{Index, Mesh};
use super::{Made, Scheme, Uniform};
use crate::problem::simplices;
use std::ops::Range;

/// Corners of a cell of two or three dimensions; corner b has bit d of b more along axis d.
pub(super) struct Cell {
    pub corners: [[f64; 3]; 8],
    pub dimension: usize,
}

/// What a cell contributes.
struct Element {
    /// ∫ c ∇φₐ·∇φᵦ.
    stiffness: [[f64; 8]; 8],
    /// ∫ φₐ.
    mass: [f64; 8],
    coefficient: f64,
}

/// The ways through a cell from its first to its last corner, one axis after the other.
static WAYS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// Gauss points along an axis.
const GAUSS: [f64; 2] = [0.211_324_865_405_187_1, 0.788_675_134_594_812_9];

impl Cell {
    fn element(&self, scheme: Scheme, c: f64) -> Element {
        let mut element = Element { stiffness: [[0.0; 8]; 8], mass: [0.0; 8], coefficient: c };
        match (scheme, self.dimension) {
            (Scheme::P1, 2) => self.linear::<2, 3>(c, &mut element),
            (Scheme::P1, _) => self.linear::<3, 4>(c, &mut element),
            (_, 2) => self.multilinear::<2>(c, &mut element),
            _ => self.multilinear::<3>(c, &mut element),
        }
        element
    }

    fn place<const D: usize>(&self, corner: usize) -> [f64; D] {
        std::array::from_fn(|d| self.corners[corner][d])
    }

    /// The corners of its simplices.
    fn simplices<const D: usize, const S: usize>() -> impl Iterator<Item = [usize; S]> {
        let inside = |way: &&[usize; 3]| way[D..].iter().enumerate().all(|(k, &d)| d == D + k);
        WAYS.iter()
            .filter(inside)
            .map(|way| std::array::from_fn(|k| way[..k].iter().map(|d| 1 << d).sum()))
    }

    fn linear<const D: usize, const S: usize>(&self, c: f64, element: &mut Element) {
        for corners in Self::simplices::<D, S>() {
            let simplex = simplices::Cell::<D, S>::new(corners.map(|corner| self.place(corner)));
            for (a, &p) in corners.iter().enumerate() {
                element.mass[p] += simplex.volume / S as f64;
                for (b, &q) in corners.iter().enumerate() {
                    let [g, h] = [simplex.gradients[a], simplex.gradients[b]];
                    let product: f64 = (0..D).map(|d| g[d] * h[d]).sum();
                    element.stiffness[p][q] += c * simplex.volume * product;
                }
            }
        }
    }

    fn multilinear<const D: usize>(&self, c: f64, element: &mut Element) {
        let corners = 1 << D;
        let weight = 1.0 / f64::from(1 << D);
        for point in 0..corners {
            let at: [f64; D] = std::array::from_fn(|d| GAUSS[point >> d & 1]);
            let (inverse, volume) = simplices::inverse(self.jacobian(at));
            let (w, mut gradients) = (weight * volume.abs(), [[0.0; D]; 8]);
            for (corner, gradient) in gradients.iter_mut().enumerate().take(corners) {
                let slopes = slopes(corner, at);
                *gradient =
                    std::array::from_fn(|i| (0..D).map(|j| inverse[j][i] * slopes[j]).sum());
                element.mass[corner] += w * shape(corner, at);
            }
            for a in 0..corners {
                for b in 0..corners {
                    let product: f64 = (0..D).map(|d| gradients[a][d] * gradients[b][d]).sum();
                    element.stiffness[a][b] += c * w * product;
                }
            }
        }
    }

    /// ∂xᵢ/∂ξⱼ at a point of the unit cell.
    fn jacobian<const D: usize>(&self, at: [f64; D]) -> [[f64; D]; D] {
        let mut jacobian = [[0.0; D]; D];
        for (corner, place) in self.corners.iter().enumerate().take(1 << D) {
            let slopes = slopes(corner, at);
            for (row, x) in jacobian.iter_mut().zip(place) {
                row.iter_mut().zip(slopes).for_each(|(entry, slope)| *entry += x * slope);
            }
        }
        jacobian
    }

    /// The least part that is left of `whole`, or of a cell that is not turned over, anywhere in it: in a simplex, or around a
    /// corner or a Gauss point.
    pub fn shrunk(&self, whole: Option<&Cell>, scheme: Scheme) -> f64 {
        let unit = Cell::unit(self.dimension);
        let [mine, whole] =
            [self, whole.unwrap_or(&unit)].map(|cell| match (scheme, cell.dimension) {
                (Scheme::P1, 2) => cell.volumes::<2, 3>(),
                (Scheme::P1, _) => cell.volumes::<3, 4>(),
                (_, 2) => cell.spreads::<2>(),
                _ => cell.spreads::<3>(),
            });
        mine.iter().zip(&whole).map(|(part, whole)| part / whole).fold(f64::INFINITY, f64::min)
    }

    fn unit(dimension: usize) -> Self {
        let corners =
            std::array::from_fn(|b| std::array::from_fn(|d| f64::from(u8::from(b >> d & 1 == 1))));
        Cell { corners, dimension }
    }

    /// Oriented volumes of the simplices.
    fn volumes<const D: usize, const S: usize>(&self) -> Vec<f64> {
        let volume = |corners: [usize; S]| {
            let places = corners.map(|corner| self.place::<D>(corner));
            let edges: [[f64; D]; D] =
                std::array::from_fn(|k| std::array::from_fn(|d| places[k + 1][d] - places[0][d]));
            simplices::inverse(edges).1
        };
        Self::simplices::<D, S>().map(volume).collect()
    }

    /// Determinants of the Jacobian at corners and Gauss points.
    fn spreads<const D: usize>(&self) -> Vec<f64> {
        let points = [[0.0, 1.0], GAUSS].into_iter().flat_map(|ends| {
            (0..1usize << D).map(move |point| std::array::from_fn(|d| ends[point >> d & 1]))
        });
        points.map(|at: [f64; D]| simplices::inverse(self.jacobian(at)).1).collect()
    }
}

/// The function that is 1 at a corner of the unit cell and 0 at the others.
fn shape<const D: usize>(corner: usize, at: [f64; D]) -> f64 {
    (0..D).map(|d| if corner >> d & 1 == 1 { at[d] } else { 1.0 - at[d] }).product()
}

/// Its slope along each axis.
fn slopes<const D: usize>(corner: usize, at: [f64; D]) -> [f64; D] {
    std::array::from_fn(|d| {
        let others = (0..D).filter(|&other| other != d);
        let rest: f64 =
            others.map(|k| if corner >> k & 1 == 1 { at[k] } else { 1.0 - at[k] }).product();
        if corner >> d & 1 == 1 { rest } else { -rest }
    })
}

/// Whether the scheme couples nodes that are so far apart along each axis.
fn couples(scheme: Scheme, step: [i8; 3]) -> bool {
    scheme != Scheme::P1 || step.iter().all(|&s| s >= 0) || step.iter().all(|&s| s <= 0)
}

/// The cells of the layers that were asked for last.
struct Layers<'a> {
    mesh: &'a Mesh<'a>,
    scheme: Scheme,
    coefficient: &'a Uniform,
    held: Vec<(usize, Vec<Element>)>,
}

impl Layers<'_> {
    fn hold(&mut self, layer: usize) {
        if self.held.iter().any(|(held, _)| *held == layer) {
            return;
        }
        if self.held.len() == 2 {
            self.held.remove(0);
        }
        let element = |cell: Index| {
            let c = self.coefficient.at(self.number(cell));
            self.mesh.cell(cell).element(self.scheme, c)
        };
        self.held.push((layer, self.mesh.layer(layer).map(element).collect()));
    }

    fn number(&self, cell: Index) -> u64 {
        let [x, y, _] = self.mesh.axes.each_ref().map(|axis| axis.cells().max(1) as u64);
        let [i, j, k] = cell.map(|c| c as u64);
        (k * y + j) * x + i
    }

    fn get(&self, cell: Index) -> Option<&Element> {
        let (layer, place) = match self.mesh.dimension() {
            2 => (cell[1], cell[0]),
            _ => (cell[2], cell[1] * self.mesh.axes[0].cells() + cell[0]),
        };
        let (_, elements) = self.held.iter().find(|(held, _)| *held == layer)?;
        elements.get(place)
    }
}

/// The own rows of a mesh, `tau` the factor of K beside the mass.
pub(super) fn make(
    mesh: &Mesh<'_>,
    scheme: Scheme,
    rows: Range<u64>,
    coefficient: &Uniform,
    tau: Option<f64>,
) -> Made {
    let (dimension, mut made) = (mesh.dimension(), Made::new());
    let [mx, my, _] = mesh.axes.each_ref().map(|axis| axis.unknowns);
    let mut layers = Layers { mesh, scheme, coefficient, held: Vec::new() };
    let mut entries = Vec::new();
    for row in rows {
        let unknown = [row as usize % mx, row as usize / mx % my, row as usize / (mx * my)];
        let node: Index = std::array::from_fn(|d| mesh.axes[d].node(unknown[d]));
        let slowest = dimension - 1;
        for side in 0..2 {
            mesh.axes[slowest].cell(node[slowest], side).into_iter().for_each(|k| layers.hold(k));
        }
        let (mut patch, mut mass, mut mean, mut cells) = ([0.0; 27], 0.0, 0.0, 0.0);
        for sides in 0..mesh.corners() {
            let mut cell = [0; 3];
            let there = (0..dimension).all(|d| {
                let found = mesh.axes[d].cell(node[d], sides >> d & 1);
                found.inspect(|&k| cell[d] = k).is_some()
            });
            let Some(element) = layers.get(cell).filter(|_| there) else { continue };
            // This node is its corner on the other sides.
            let a = !sides & (mesh.corners() - 1);
            for b in 0..mesh.corners() {
                let step = |d: usize| (b >> d & 1) + 1 - (a >> d & 1);
                let place = step(0) + 3 * step(1) + if dimension == 3 { 9 * step(2) } else { 9 };
                patch[place] += element.stiffness[a][b];
            }
            mass += element.mass[a];
            mean += element.coefficient;
            cells += 1.0;
        }
        entries.clear();
        for (place, &value) in patch.iter().enumerate() {
            let step = [place % 3, place / 3 % 3, place / 9].map(|s| s as i8 - 1);
            let centre = step == [0; 3];
            if let Some(column) = column(mesh, node, step).filter(|_| couples(scheme, step)) {
                entries.push((
                    column,
                    match tau {
                        None => value,
                        Some(tau) => tau * value + if centre { mass } else { 0.0 },
                    },
                ));
            }
        }
        made.row(&mut entries);
        made.load.push(mass);
        made.coefficient.push(mean / cells);
        made.places.extend(&mesh.place(node)[..dimension]);
    }
    made
}

/// The unknown a step away from a node, if there is one.
fn column(mesh: &Mesh<'_>, node: Index, step: [i8; 3]) -> Option<u64> {
    (0..3).rev().try_fold(0, |sum, d| {
        let (axis, step) = (&mesh.axes[d], isize::from(step[d]));
        let there = match node[d].checked_add_signed(step) {
            None => axis.is_ring().then(|| axis.cells() - 1)?,
            Some(there) => Some(there).filter(|&there| there <= axis.cells())?,
        };
        Some(sum * axis.unknowns as u64 + axis.unknown(there)? as u64)
    })
}
