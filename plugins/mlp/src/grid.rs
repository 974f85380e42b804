//! The four bands of a symmetric matrix on a structured grid with the seven-point pattern: the pattern of
//! P1 elements on a rectangle cut by diagonals from lower left to upper right.
//!
//! Cost: one pass over A, on the threads of the host; on several ranks a gather of all of A on every rank.

use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::host::Alone;
use precondor_sdk::core::kernel::chunks;
pub use precondor_sdk::core::kernel::grid::Grid;
use precondor_sdk::prelude::*;

/// Nodes, at least, that one thread handles at a time.
pub const GRAIN: usize = 1 << 14;

/// The diagonal and the couplings to the neighbours `(1,0)`, `(0,1)`, `(1,1)`, zero where there is no such
/// neighbour.
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

/// Rows of the grid, at least, that one thread handles at a time.
pub fn grain(grid: Grid) -> usize {
    GRAIN.div_ceil(grid.stride())
}

impl Bands {
    /// One of the four planes.
    pub fn plane(&self, band: usize) -> &[f64] {
        &self.values[band * self.grid.plane()..(band + 1) * self.grid.plane()]
    }

    /// [`read`](Self::read) on one thread.
    ///
    /// # Errors
    /// As there.
    pub fn of(a: &DistCsr, grid: Option<[usize; 2]>) -> Result<Bands> {
        Self::read(&Alone, a, grid)
    }

    /// The bands of a matrix, all of them on every rank; the grid is recognised from row 0 where it is not
    /// given as nodes in a row and number of rows. Collective.
    ///
    /// # Errors
    /// As [`Grid::recognise`]; [`Error::Unsupported`] where the number of rows is not that of nodes, or
    /// naming the first global row that has an entry outside the pattern or `a_ij ≠ a_ji`;
    /// [`Error::Breakdown`] for the first diagonal entry that is not positive, [`Error::Data`] for an entry
    /// that is not finite.
    pub fn read(host: &dyn Host, a: &DistCsr, grid: Option<[usize; 2]>) -> Result<Bands> {
        let gathered;
        let whole = if a.space().comm().size() == 1 {
            a.own().view()
        } else {
            gathered = gather(a)?;
            gathered.view()
        };
        let n = a.n_global();
        let grid = match grid {
            Some([mx, my]) => Grid { mx, my }.with_nodes(n)?,
            None => {
                let row0 = (0..n.min(1) as usize).flat_map(|i| whole.row_cols(i));
                Grid::recognise(n, &row0.map(|&j| u64::from(j)).collect::<Vec<_>>())?
            }
        };
        let (plane, stride) = (grid.plane(), grid.stride());
        let mut values = vec![0.0; 4 * plane];
        let mut planes = values.chunks_exact_mut(plane);
        let bodies = [(); 4].map(|()| {
            let plane = planes.next().expect("four planes");
            (&mut plane[grid.body()], stride)
        });
        chunks::rows(host, grid.my, grain(grid), bodies, |rows, mut bands| {
            for j in rows.clone() {
                for i in 0..grid.mx {
                    let [low, down, left, here, right, up, high] = entries(grid, (i, j), whole)?;
                    let (row, at) = (j * grid.mx + i, (j - rows.start) * stride + i);
                    if here.is_nan() || here <= 0.0 {
                        let what = format!("the diagonal entry is {here}; it must be positive");
                        return Err(Error::breakdown(row as u64, what));
                    }
                    for (band, value) in bands.iter_mut().zip([here, right, up, high]) {
                        band[at] = value;
                    }
                    for (band, below) in [(1, left), (2, down), (3, low)] {
                        let (dx, dy) = BANDS[band];
                        let inside = i >= dx as usize && j >= dy as usize;
                        let back = dy as usize * grid.mx + dx as usize;
                        let above = match at.checked_add_signed(-grid.offset(BANDS[band])) {
                            _ if !inside => 0.0,
                            Some(there) => bands[band][there],
                            // Another thread reads that row of the grid.
                            None => whole.get(row - back, row),
                        };
                        if (above - below).abs() > SYMMETRY * here {
                            return Err(Error::Unsupported(format!(
                                "global row {}: the matrix is not symmetric ({above} at column {row}, \
                                 {below} in the transposed place)",
                                row - back
                            )));
                        }
                    }
                }
            }
            Ok(())
        })?;
        Ok(Bands { grid, values })
    }
}

/// The entries of the row of node `(i, j)` for its neighbours by number, itself in the middle; zero where
/// none is stored.
#[inline]
fn entries(grid: Grid, (i, j): (usize, usize), a: CsrView<'_>) -> Result<[f64; 7]> {
    let mx = grid.mx;
    let row = j * mx + i;
    let range = a.range(row);
    let (cols, values) = (&a.cols[range.clone()], &a.values[range]);
    let inner = (1..mx - 1).contains(&i) && (1..grid.my - 1).contains(&j);
    if let (true, Ok(cols), Ok(values)) =
        (inner, <&[u32; 7]>::try_from(cols), <&[f64; 7]>::try_from(values))
    {
        let fits = [row - mx - 1, row - mx, row - 1, row, row + 1, row + mx, row + mx + 1];
        if *cols == fits.map(|col| col as u32) && values.iter().sum::<f64>().is_finite() {
            return Ok(*values);
        }
    }
    let mut out = [0.0; 7];
    for (&col, &value) in cols.iter().zip(values) {
        let col = col as usize;
        if !value.is_finite() {
            return Err(Error::Data(format!(
                "global row {row}, column {col}: the entry is {value}"
            )));
        }
        let distance = col.abs_diff(row);
        // The next node by number is no neighbour across the end of a row of the grid.
        let room = if col >= row { i + 1 < mx } else { i > 0 };
        let fits = |&band: &usize| {
            let (dx, dy) = BANDS[band];
            dy as usize * mx + dx as usize == distance && (dx == 0 || room)
        };
        match (0..4).find(fits) {
            Some(band) if col >= row => out[3 + band] = value,
            Some(band) => out[3 - band] = value,
            None if value == 0.0 => {}
            None => {
                return Err(Error::Unsupported(format!(
                    "global row {row} does not fit the seven-point pattern of a {mx} by {} grid: column \
                     {col} is none of its neighbours",
                    grid.my
                )));
            }
        }
    }
    Ok(out)
}

/// All rows of a matrix, on every rank. Collective.
fn gather(a: &DistCsr) -> Result<Csr> {
    let words: Vec<u64> = (0..a.n_own())
        .flat_map(|i| {
            let entries = a.global_entries(i);
            let length = a.own().view().range(i).len() + a.ghost().view().range(i).len();
            [length as u64].into_iter().chain(entries.flat_map(|(j, v)| [j, v.to_bits()]))
        })
        .collect();
    let (mut row_ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
    for words in a.space().comm().all_gather(&words)? {
        let mut words = words.into_iter();
        while let Some(length) = words.next() {
            for _ in 0..length {
                if let (Some(col), Some(bits)) = (words.next(), words.next()) {
                    cols.push(col as u32);
                    values.push(f64::from_bits(bits));
                }
            }
            row_ptr.push(cols.len() as u32);
        }
    }
    Csr::new(a.n_global() as usize, row_ptr, cols, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entries = Vec<(usize, usize, f64)>;

    fn read(grid: Grid, entries: &[(usize, usize, f64)]) -> Result<Bands> {
        let (Grid { mx, my }, n) = (grid, grid.nodes());
        let a = Csr::from_triplets(n, n, entries.iter().copied()).unwrap();
        Bands::of(&DistCsr::solo(a).unwrap(), Some([mx, my]))
    }

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
                        entries.push(((j * mx + i) as usize, column as usize, value));
                    }
                }
            }
        }
        entries
    }

    #[test]
    fn bands_of_the_five_point_matrix() {
        let grid = Grid { mx: 3, my: 2 };
        let bands = read(grid, &five_point(grid)).unwrap();
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
            read(grid, &entries).unwrap_err().to_string()
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
        let a = Csr::from_triplets(9, 9, five_point(grid)).unwrap();
        let size = Bands::of(&DistCsr::solo(a).unwrap(), Some([3, 4])).unwrap_err().to_string();
        assert!(size.contains("3 by 4 nodes does not fit 9 unknowns"), "{size}");
        // An explicit zero outside the pattern is harmless.
        let mut entries = five_point(grid);
        entries.push((4, 6, 0.0));
        assert!(read(grid, &entries).is_ok());
    }
}
