//! A cantilever of plane stress, clamped on its left side, as files: two unknowns a node.
//!
//! Bilinear elements on unit squares, E = 1, ν = 0.3; O. Sigmund, *A 99 line topology optimization code written in
//! Matlab*, 2001, has the matrix of an element.
use std::collections::BTreeMap;

/// Elements along the beam and across it.
pub struct Beam(pub usize, pub usize);

impl Beam {
    /// Places of the nodes that are not clamped, columns of nodes one after the other.
    pub fn nodes(&self) -> Vec<[f64; 2]> {
        let column = |i: usize| (0..=self.1).map(move |j| [i as f64, j as f64]);
        (1..=self.0).flat_map(column).collect()
    }

    /// Stiffness, a Matrix Market file.
    pub fn matrix(&self) -> String {
        let mut entries: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        let element = element();
        let unknowns = |i: usize, j: usize| {
            let first = i.checked_sub(1).map(|i| 2 * (i * (self.1 + 1) + j));
            [first, first.map(|k| k + 1)]
        };
        for (i, j) in (0..self.0).flat_map(|i| (0..self.1).map(move |j| (i, j))) {
            let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)];
            let rows: Vec<_> = corners.iter().flat_map(|&(i, j)| unknowns(i, j)).collect();
            for (p, row) in rows.iter().enumerate() {
                for (q, col) in rows.iter().enumerate() {
                    if let (Some(row), Some(col)) = (row, col) {
                        *entries.entry((*row, *col)).or_default() += element[p][q];
                    }
                }
            }
        }
        let n = 2 * self.nodes().len();
        let lines = entries.iter().map(|((i, j), v)| format!("{} {} {v:?}\n", i + 1, j + 1));
        let lines: String = lines.collect();
        let count = entries.len();
        format!("%%MatrixMarket matrix coordinate real general\n{n} {n} {count}\n{lines}")
    }

    /// Places of the nodes, two columns.
    pub fn coordinates(&self) -> String {
        let nodes = self.nodes();
        let column = |k: usize| nodes.iter().map(move |place| place[k]);
        array(nodes.len(), 2, (0..2).flat_map(column))
    }

    /// Both translations and the rotation, three columns.
    pub fn rigid_body_modes(&self) -> String {
        let nodes = self.nodes();
        let modes: [fn([f64; 2]) -> [f64; 2]; 3] =
            [|_| [1.0, 0.0], |_| [0.0, 1.0], |[x, y]| [-y, x]];
        let of = modes.iter().flat_map(|mode| nodes.iter().flat_map(move |&place| mode(place)));
        array(2 * nodes.len(), 3, of)
    }
}

fn array(rows: usize, columns: usize, values: impl Iterator<Item = f64>) -> String {
    let values: String = values.map(|v| format!("{v:?}\n")).collect();
    format!("%%MatrixMarket matrix array real general\n{rows} {columns}\n{values}")
}

/// The matrix of an element, corners counterclockwise.
fn element() -> [[f64; 8]; 8] {
    let nu = 0.3;
    let k = [
        0.5 - nu / 6.0,
        0.125 + nu / 8.0,
        -0.25 - nu / 12.0,
        -0.125 + 3.0 * nu / 8.0,
        -0.25 + nu / 12.0,
        -0.125 - nu / 8.0,
        nu / 6.0,
        0.125 - 3.0 * nu / 8.0,
    ];
    let which: [[usize; 8]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [1, 0, 7, 6, 5, 4, 3, 2],
        [2, 7, 0, 5, 6, 3, 4, 1],
        [3, 6, 5, 0, 7, 2, 1, 4],
        [4, 5, 6, 7, 0, 1, 2, 3],
        [5, 4, 3, 2, 1, 0, 7, 6],
        [6, 3, 4, 1, 2, 7, 0, 5],
        [7, 2, 1, 4, 3, 6, 5, 0],
    ];
    which.map(|row| row.map(|at| k[at] / (1.0 - nu * nu)))
}
