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

use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::grid;
use precondor_sdk::prelude::*;

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

    /// The bands of a matrix, all of them on every rank; the grid is recognised from row 0 where it is not
    /// given as nodes in a row and number of rows. Collective.
    ///
    /// # Errors
    /// As [`grid::Grid::recognise`] and [`collect`](Bands::collect).
    pub fn of(a: &DistCsr, grid: Option<[usize; 2]>) -> Result<Bands> {
        let n = a.n_global();
        let entries_of_row = |i: usize| {
            let row = a.global_row(i);
            a.global_entries(i).map(move |(column, value)| (row, column, value))
        };
        let grid_of = |row0: &mut dyn Iterator<Item = u64>| -> Result<Grid> {
            match grid {
                Some([mx, my]) => Ok(Grid { mx, my }),
                None => {
                    let grid::Grid { mx, my } =
                        grid::Grid::recognise(n, &row0.collect::<Vec<_>>())?;
                    Ok(Grid { mx, my })
                }
            }
        };
        if a.space().comm().size() == 1 {
            let mut row0 = (0..a.n_own().min(1)).flat_map(|i| entries_of_row(i).map(|e| e.1));
            let grid = grid_of(&mut row0)?;
            return Self::collect(grid, n, (0..a.n_own()).flat_map(entries_of_row));
        }
        let mine = (0..a.n_own()).flat_map(entries_of_row);
        let words: Vec<u64> = mine.flat_map(|(i, j, value)| [i, j, value.to_bits()]).collect();
        let all = a.space().comm().all_gather(&words)?;
        let entries = || {
            let triples = all.iter().flat_map(|words| words.as_chunks().0);
            triples.map(|&[i, j, bits]: &[u64; 3]| (i, j, f64::from_bits(bits)))
        };
        let grid = grid_of(&mut entries().filter(|e| e.0 == 0).map(|e| e.1))?;
        Self::collect(grid, n, entries())
    }

    /// Collects the bands from `(row, column, value)` in any order.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where `n` is not the number of nodes, or naming the first global row that
    /// has an entry outside the pattern or `a_ij ≠ a_ji`; [`Error::Breakdown`] for the first diagonal
    /// entry that is not positive, [`Error::Data`] for an entry that is not finite.
    pub fn collect(
        grid: Grid,
        n: u64,
        entries: impl Iterator<Item = (u64, u64, f64)>,
    ) -> Result<Bands> {
        let Grid { mx, my } = grid;
        grid::Grid { mx, my }.with_nodes(n)?;
        let (plane, stride) = (grid.plane(), grid.stride());
        let mut values = vec![0.0; 4 * plane];
        let mut below = vec![0.0; 4 * plane];
        let node = |row: u64| ((row % mx as u64) as usize, (row / mx as u64) as usize);
        let place = |(i, j): (usize, usize)| (j + 1) * stride + i + 1;
        let steps = BANDS.map(|(dx, dy)| dy as u64 * mx as u64 + dx as u64);
        let (mut last, mut here, mut at) = (u64::MAX, (0, 0), 0);
        for (row, column, value) in entries {
            if row != last {
                (last, here) = (row, node(row));
                at = place(here);
            }
            if !value.is_finite() {
                return Err(Error::Data(format!(
                    "global row {row}, column {column}: the entry is {value}"
                )));
            }
            // The next node by number is no neighbour across the end of a row of the grid.
            let fits = |band: usize, room: bool| BANDS[band].0 == 0 || room;
            let distance = column.abs_diff(row);
            let up = column >= row;
            let room = if up { here.0 + 1 < mx } else { here.0 > 0 };
            match (0..4).find(|&band| steps[band] == distance && fits(band, room)) {
                Some(band) if up => values[band * plane + at] = value,
                Some(band) => {
                    let offset = grid.offset(BANDS[band]) as usize;
                    below[band * plane + at - offset] = value;
                }
                None if value == 0.0 => {}
                None => {
                    return Err(Error::Unsupported(format!(
                        "global row {row} does not fit the seven-point pattern of a {mx} by {my} grid: \
                         column {column} is none of its neighbours"
                    )));
                }
            }
        }
        for row in 0..n {
            let at = place(node(row));
            let d = values[at];
            if d.is_nan() || d <= 0.0 {
                let what = format!("the diagonal entry is {d}; it must be positive");
                return Err(Error::breakdown(row, what));
            }
            for (band, (dx, dy)) in BANDS.into_iter().enumerate().skip(1) {
                let (up, down) = (values[band * plane + at], below[band * plane + at]);
                if (up - down).abs() > SYMMETRY * d {
                    let other = row as i64 + dy as i64 * mx as i64 + dx as i64;
                    return Err(Error::Unsupported(format!(
                        "global row {row}: the matrix is not symmetric ({up} at column {other}, {down} in \
                         the transposed place)"
                    )));
                }
            }
        }
        Ok(Bands { grid, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entries = Vec<(u64, u64, f64)>;

    fn five_point(grid: Grid) -> Entries {
        let (mx, my) = (grid.mx as i64, grid.my as i64);
        let mut entries = Vec::new();
        for j in 0..my {
            for i in 0..mx {
                for (dx, dy, value) in
                    [(0, 0, 4.0), (1, 0, -1.0), (-1, 0, -1.0), (0, 1, -1.0), (0, -1, -1.0)]
                {
                    if (0..mx).contains(&(i + dx)) && (0..my).contains(&(j + dy)) {
                        let column = (j + dy) * mx + i + dx;
                        entries.push(((j * mx + i) as u64, column as u64, value));
                    }
                }
            }
        }
        entries
    }

    #[test]
    fn bands_of_the_five_point_matrix() {
        let grid = Grid { mx: 3, my: 2 };
        let bands = Bands::collect(grid, 6, five_point(grid).into_iter()).unwrap();
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
        let why = |change: &dyn Fn(&mut Entries)| {
            let mut entries = five_point(grid);
            change(&mut entries);
            Bands::collect(grid, 9, entries.into_iter()).unwrap_err().to_string()
        };
        let set = |row, column, value| {
            move |entries: &mut Entries| {
                entries.retain(|e| (e.0, e.1) != (row, column));
                entries.push((row, column, value));
            }
        };
        let pattern = why(&set(4, 6, 0.5));
        assert!(pattern.contains("row 4") && pattern.contains("column 6"), "{pattern}");
        // Columns 2 and 3 are neighbours by number but not on the grid.
        assert!(why(&set(2, 3, -1.0)).contains("row 2 does not fit"));
        assert!(why(&set(5, 5, 0.0)).contains("global row 5: the diagonal entry is 0"));
        assert!(why(&set(0, 1, -2.0)).contains("row 0: the matrix is not symmetric"));
        assert!(why(&set(7, 7, f64::NAN)).contains("row 7, column 7: the entry is NaN"));
        let size = Bands::collect(grid, 10, std::iter::empty()).unwrap_err().to_string();
        assert!(size.contains("3 by 3 nodes does not fit 10 unknowns"), "{size}");
        // An explicit zero outside the pattern is harmless.
        let mut entries = five_point(grid);
        entries.push((4, 6, 0.0));
        assert!(Bands::collect(grid, 9, entries.into_iter()).is_ok());
    }
}
