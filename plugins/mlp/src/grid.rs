//! A matrix on a structured grid with the seven-point pattern: its four bands, and the memory layout
//! in which a stencil is a handful of shifted products.
//!
//! Node `(i, j)` (column `i`, row `j`) has number `j·mx + i` and is coupled to its neighbours in the
//! directions `(1,0)`, `(0,1)`, `(1,1)` and their opposites: the pattern of P1 elements on a rectangle
//! cut by diagonals from lower left to upper right.
//!
//! A *plane* holds one number a node with a border of zeros: rows of `mx + 1` numbers, the last of which
//! is the right border and, at once, the left border of the next row. Neighbour `(dx, dy)` of any node is
//! then `dy·(mx + 1) + dx` places further, and no loop needs to know where the grid ends.

use std::ops::Range;

use crate::number::Number;

/// A grid of `mx` nodes a row and `my` rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Nodes in a row.
    pub mx: usize,
    /// Rows.
    pub my: usize,
}

impl Grid {
    /// Number of nodes.
    pub fn nodes(self) -> usize {
        self.mx * self.my
    }

    /// Places from one row of a plane to the next.
    pub fn stride(self) -> usize {
        self.mx + 1
    }

    /// Length of a plane.
    pub fn plane(self) -> usize {
        (self.my + 2) * self.stride() + 2
    }

    /// The part of a plane that holds the nodes: rows of `mx` nodes and one border place.
    pub fn body(self) -> Range<usize> {
        let start = self.stride() + 1;
        start..start + self.my * self.stride()
    }

    /// How much further in a plane neighbour `(dx, dy)` stands.
    pub fn offset(self, (dx, dy): (isize, isize)) -> isize {
        dy * self.stride() as isize + dx
    }

    /// Copies one number a node into a plane.
    pub fn to_plane<T: Copy>(self, nodes: &[T], plane: &mut [T]) {
        let rows = plane[self.body()].chunks_exact_mut(self.stride());
        for (to, from) in rows.zip(nodes.chunks_exact(self.mx)) {
            to[..self.mx].copy_from_slice(from);
        }
    }

    /// Copies the nodes of a plane out.
    pub fn to_nodes<T: Copy>(self, plane: &[T], nodes: &mut [T]) {
        let rows = plane[self.body()].chunks_exact(self.stride());
        for (from, to) in rows.zip(nodes.chunks_exact_mut(self.mx)) {
            to.copy_from_slice(&from[..self.mx]);
        }
    }

    /// Sets the border places among the nodes of a plane to zero.
    pub fn clear_border<T: Number>(self, plane: &mut [T]) {
        for row in plane[self.body()].chunks_exact_mut(self.stride()) {
            row[self.mx] = T::zero();
        }
    }
}

/// The four bands of a symmetric seven-point matrix: planes of the diagonal and of the couplings to
/// the neighbours `(1,0)`, `(0,1)`, `(1,1)`, zero where there is no such neighbour.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands {
    /// The grid.
    pub grid: Grid,
    /// Diagonal, right, up, diagonal edge: four planes one after the other.
    pub values: Vec<f64>,
}

/// Directions of the four bands.
pub const BANDS: [(isize, isize); 4] = [(0, 0), (1, 0), (0, 1), (1, 1)];

/// Relative difference of `a_ij` and `a_ji` up to which a matrix counts as symmetric.
const SYMMETRY: f64 = 1e-10;

impl Bands {
    /// One of the four planes.
    pub fn plane(&self, band: usize) -> &[f64] {
        &self.values[band * self.grid.plane()..(band + 1) * self.grid.plane()]
    }

    /// Recognises the grid from row 0, whose couplings are 1, `mx` and `mx + 1`.
    pub fn recognise(n: usize, row0: &[u64]) -> Result<Grid, String> {
        let mx = row0.iter().copied().filter(|&c| c > 1).min().map_or(n, |c| c as usize);
        if n == 0 || !n.is_multiple_of(mx) {
            return Err(format!(
                "row 0 does not look like a structured grid (next coupling after its right neighbour is \
                 column {mx}, and the {n} unknowns are no multiple of it); give grid = [mx, my]"
            ));
        }
        Ok(Grid { mx, my: n / mx })
    }

    /// Collects the bands from rows in any order; `rows` yields global row number, columns and values.
    ///
    /// Fails, naming the row, on an entry outside the pattern, a diagonal entry that is not positive
    /// and finite, or `a_ij ≠ a_ji`.
    pub fn collect<'a>(
        grid: Grid,
        rows: impl Iterator<Item = (usize, Vec<(u64, f64)>)> + 'a,
    ) -> Result<Bands, String> {
        let (plane, stride) = (grid.plane(), grid.stride());
        let mut values = vec![0.0; 4 * plane];
        let mut below = vec![0.0; 4 * plane];
        let place = |row: usize| (row / grid.mx + 1) * stride + row % grid.mx + 1;
        for (row, entries) in rows {
            let (i, j) = ((row % grid.mx) as isize, (row / grid.mx) as isize);
            for (column, value) in entries {
                let (k, l) =
                    ((column % grid.mx as u64) as isize, (column / grid.mx as u64) as isize);
                let step = (k - i, l - j);
                let back = (i - k, j - l);
                if !value.is_finite() {
                    return Err(format!("row {row}, column {column}: entry {value} is not finite"));
                }
                if let Some(band) = BANDS.iter().position(|&b| b == step) {
                    values[band * plane + place(row)] += value;
                } else if let Some(band) = BANDS.iter().position(|&b| b == back) {
                    below[band * plane + place(column as usize)] += value;
                } else if value != 0.0 {
                    return Err(format!(
                        "row {row} does not fit the seven-point pattern of a {} by {} grid: \
                         column {column} is no neighbour",
                        grid.mx, grid.my
                    ));
                }
            }
        }
        let bands = Bands { grid, values };
        let diagonal = bands.plane(0);
        for row in 0..grid.nodes() {
            let at = place(row);
            let d = diagonal[at];
            if d.is_nan() || d <= 0.0 {
                return Err(format!("row {row}: diagonal entry {d} is not positive"));
            }
            for band in 1..4 {
                let (upper, lower) = (bands.plane(band)[at], below[band * plane + at]);
                if (upper - lower).abs() > SYMMETRY * d {
                    return Err(format!(
                        "row {row}: the matrix is not symmetric (coupling {upper} to column {}, \
                         {lower} back)",
                        row as isize + BANDS[band].1 * grid.mx as isize + BANDS[band].0
                    ));
                }
            }
        }
        Ok(bands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn five_point(grid: Grid) -> Vec<(usize, Vec<(u64, f64)>)> {
        let (mx, my) = (grid.mx as isize, grid.my as isize);
        let mut rows = Vec::new();
        for j in 0..my {
            for i in 0..mx {
                let mut row = vec![((j * mx + i) as u64, 4.0)];
                for (dx, dy) in [(1, 0), (-1, 0), (0, 1), (0, -1)] {
                    if (0..mx).contains(&(i + dx)) && (0..my).contains(&(j + dy)) {
                        row.push((((j + dy) * mx + i + dx) as u64, -1.0));
                    }
                }
                rows.push(((j * mx + i) as usize, row));
            }
        }
        rows
    }

    #[test]
    fn bands_of_the_five_point_matrix() {
        let grid = Grid { mx: 3, my: 2 };
        let bands = Bands::collect(grid, five_point(grid).into_iter()).unwrap();
        let nodes = |band: usize| {
            let mut out = vec![0.0; 6];
            grid.to_nodes(bands.plane(band), &mut out);
            out
        };
        assert_eq!(nodes(0), [4.0; 6]);
        assert_eq!(nodes(1), [-1.0, -1.0, 0.0, -1.0, -1.0, 0.0]);
        assert_eq!(nodes(2), [-1.0, -1.0, -1.0, 0.0, 0.0, 0.0]);
        assert_eq!(nodes(3), [0.0; 6]);
    }

    #[test]
    fn misfits_name_the_row() {
        let grid = Grid { mx: 3, my: 3 };
        let error = |change: &dyn Fn(&mut Vec<(usize, Vec<(u64, f64)>)>)| {
            let mut rows = five_point(grid);
            change(&mut rows);
            Bands::collect(grid, rows.into_iter()).unwrap_err()
        };
        let pattern = error(&|rows| rows[4].1.push((6, 0.5)));
        assert!(pattern.contains("row 4") && pattern.contains("column 6"), "{pattern}");
        // Columns 2 and 3 are neighbours by number but not on the grid.
        let wrapped = error(&|rows| rows[2].1.push((3, -1.0)));
        assert!(wrapped.contains("row 2"), "{wrapped}");
        let diagonal = error(&|rows| rows[5].1[0].1 = 0.0);
        assert!(diagonal.contains("row 5") && diagonal.contains("positive"), "{diagonal}");
        let unsymmetric = error(&|rows| rows[0].1[1].1 = -2.0);
        assert!(unsymmetric.contains("row 0") && unsymmetric.contains("symmetric"), "{unsymmetric}");
        let nan = error(&|rows| rows[7].1[0].1 = f64::NAN);
        assert!(nan.contains("row 7") && nan.contains("finite"), "{nan}");
    }

    #[test]
    fn explicit_zeros_outside_the_pattern_are_harmless() {
        let grid = Grid { mx: 3, my: 3 };
        let mut rows = five_point(grid);
        rows[4].1.push((6, 0.0));
        assert!(Bands::collect(grid, rows.into_iter()).is_ok());
    }

    #[test]
    fn grid_is_recognised_from_the_first_row() {
        let of = |n, row0: &[u64]| Bands::recognise(n, row0);
        assert_eq!(of(15, &[0, 1, 5, 6]), Ok(Grid { mx: 5, my: 3 }));
        assert_eq!(of(15, &[0, 5, 1]), Ok(Grid { mx: 5, my: 3 }));
        assert_eq!(of(7, &[0, 1]), Ok(Grid { mx: 7, my: 1 }));
        assert!(of(16, &[0, 1, 5, 6]).unwrap_err().contains("grid = [mx, my]"));
    }
}
