//! The four bands of a symmetric matrix on a structured grid with the seven-point pattern: the pattern of
//! P1 elements on a rectangle cut by diagonals from lower left to upper right. Four numbers a node, and no indices, as
//! planes of the grid ([`Grid`]), whose border is zero.
//!
//! Cost: one pass over A, on the threads of the host. On several ranks each one reads its own rows (two
//! passes, its own thread) and fetches the bands of rows of the grid that it wants beside them: 32 bytes a node,
//! one message from each rank that has some, and with them those of the mx + 1 nodes before its first, to
//! compare with its own lower couplings.

use std::ops::Range;

use crate::comm::Communicator;
use crate::host::Alone;
use crate::kernel::grid::Grid;
use crate::kernel::level::Level;
use crate::kernel::random::samples;
use crate::kernel::slab::Redistribution;
use crate::kernel::{chunks, gather};
use crate::prelude::*;

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

/// One in so many rows, at least, that a level is estimated from.
const FEW: f64 = 8.0;

/// Rows, about, that a level is estimated from where there are more: two thousandths of it are its noise then.
const SAMPLES: u64 = 1 << 14;

/// Relative difference of `a_ij` and `a_ji` up to which a matrix counts as symmetric.
const SYMMETRY: f64 = 1e-10;

/// Rows of the grid, at least, that one thread handles at a time.
pub fn grain(grid: Grid) -> usize {
    GRAIN.div_ceil(grid.stride())
}

impl Bands {
    /// The matrix of zeros.
    pub fn zeros(grid: Grid) -> Self {
        Bands { grid, values: vec![0.0; BANDS.len() * grid.plane()] }
    }

    /// The whole of `a`, which lives on `grid` and is symmetric, neither of which is looked at again; on every rank.
    /// Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn gather(a: &DistCsr, grid: Grid) -> Result<Self> {
        let (mut bands, plane) = (Bands::zeros(grid), grid.plane());
        gather::rows(a, |row, entries| {
            let at = grid.at(row % grid.mx, row / grid.mx);
            for &(col, value) in entries {
                // In a grid of one node a row, the next number is the node above.
                let stored = match col.wrapping_sub(row) {
                    0 => 0,
                    step if step == grid.mx => 2,
                    1 => 1,
                    step if step == grid.mx + 1 => 3,
                    _ => continue,
                };
                bands.values[stored * plane + at] = value;
            }
            Ok(())
        })?;
        Ok(bands)
    }

    /// One of the four planes.
    pub fn plane(&self, band: usize) -> &[f64] {
        &self.values[band * self.grid.plane()..(band + 1) * self.grid.plane()]
    }

    /// One of the four planes, to be changed.
    pub fn plane_mut(&mut self, band: usize) -> &mut [f64] {
        &mut self.values[band * self.grid.plane()..(band + 1) * self.grid.plane()]
    }

    /// The stored entries of node (i, j), each with the node that it is coupled to, which may lie
    /// outside.
    pub fn upper(&self, i: usize, j: usize) -> impl Iterator<Item = (f64, [usize; 2])> {
        let at = self.grid.at(i, j);
        let node = move |(dx, dy)| [i.wrapping_add_signed(dx), j.wrapping_add_signed(dy)];
        (0..BANDS.len()).map(move |band| (self.plane(band)[at], node(BANDS[band])))
    }

    /// The first node, by number, whose diagonal entry is not positive, with that.
    pub fn not_positive(&self) -> Option<(u64, f64)> {
        let rows = (0..self.grid.my).flat_map(|j| &self.plane(0)[self.grid.line(j)]);
        let mut numbered = (0..).zip(rows.copied());
        numbered.find(|(_, d)| !(*d > 0.0 && (1.0 / d).is_normal()))
    }

    /// The matrix by rows, on one rank.
    ///
    /// # Errors
    /// As [`Csr::from_triplets`].
    pub fn to_rows(&self) -> Result<DistCsr> {
        let Grid { mx, my } = self.grid;
        let mut triplets = Vec::with_capacity(7 * self.grid.nodes());
        for j in 0..my {
            for i in 0..mx {
                let row = j * mx + i;
                for (value, [x, y]) in self.upper(i, j).filter(|(_, [x, y])| *x < mx && *y < my) {
                    let col = y * mx + x;
                    triplets.push((row, col, value));
                    if col != row {
                        triplets.push((col, row, value));
                    }
                }
            }
        }
        DistCsr::solo(Csr::from_triplets(mx * my, mx * my, triplets)?)
    }

    /// The level of the matrix on the grid `whole` against the reference matrix (`kernel/level.rs` of the core):
    /// of the bands of every rank, which begin with row `first` of the whole, those rows of the matrix in `rows`
    /// are taken in that `takes` picks by their number from the first of these on; all, where it picks less than
    /// one in `FEW`. Of many rows some are looked at, chosen by their numbers. With a coefficient `c`, one number a node of the bands, it is the level of
    /// `C⁻¹A`, whose rows still add up to zero where `c` varies. Collective.
    ///
    /// # Errors
    /// As [`Level::of_all`].
    pub fn level(
        &self,
        comm: &Comm,
        whole: Grid,
        first: usize,
        rows: Range<usize>,
        coefficient: Option<&[f64]>,
        takes: Option<&[bool]>,
    ) -> Result<f64> {
        let takes = match takes {
            None => None,
            Some(picked) => {
                let mut count = [picked.iter().filter(|p| **p).count() as f64];
                comm.sum(&mut count)?;
                (count[0] * FEW >= whole.nodes() as f64).then_some(picked)
            }
        };
        let (grid, mut level) = (self.grid, Level::new(whole));
        let looks_at = samples(whole.nodes() as u64, SAMPLES);
        let from = rows.start * grid.mx;
        let mut entries = Vec::new();
        for j in rows {
            for i in 0..grid.mx {
                let (at, node) = ((j + 1) * grid.stride() + i + 1, j * grid.mx + i);
                if !looks_at(((first + j) * grid.mx + i) as u64)
                    || takes.is_some_and(|picked| !picked[node - from])
                {
                    continue;
                }
                entries.clear();
                let scale = coefficient.map_or(1.0, |c| c[node]);
                let mut add = |value: f64, dx: isize, dy: isize| {
                    if value != 0.0 {
                        let other = (i.wrapping_add_signed(dx), j.wrapping_add_signed(dy));
                        entries.push(((other.0, first + other.1), value / scale));
                    }
                };
                for (band, (dx, dy)) in BANDS.into_iter().enumerate().rev() {
                    if band > 0 {
                        let below = at.wrapping_add_signed(-grid.offset((dx, dy)));
                        add(self.plane(band)[below], -dx, -dy);
                    }
                }
                for (band, (dx, dy)) in BANDS.into_iter().enumerate() {
                    add(self.plane(band)[at], dx, dy);
                }
                level.row((i, first + j), &entries);
            }
        }
        level.of_all(comm)
    }

    /// The same for bands of the whole grid, which are on every rank. Not collective.
    ///
    /// # Errors
    /// As [`Level::of_all`].
    pub fn level_of_whole(&self) -> Result<f64> {
        self.level(&Comm::solo(), self.grid, 0, 0..self.grid.my, None, None)
    }

    /// Divides the matrix by a number.
    pub fn divide(&mut self, by: f64) {
        self.values.iter_mut().for_each(|v| *v /= by);
    }

    /// All bands on every rank, read on one thread; the grid is recognised from row 0 where it is not given
    /// as nodes in a row and number of rows. Collective.
    ///
    /// # Errors
    /// As [`Grid::agreed`] and [`read`](Self::read).
    pub fn of(a: &DistCsr, grid: Option<[usize; 2]>) -> Result<Bands> {
        let grid = Grid::agreed(a, grid)?;
        Self::read(&Alone, a, grid, |_| 0..grid.my)
    }

    /// The bands of a matrix in those rows of the grid that each rank wants, as a grid of their own: zero
    /// beyond them, but couplings of the last row upwards are kept. On one rank all rows. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the first global row that has an entry outside the pattern or
    /// `a_ij ≠ a_ji`; [`Error::Breakdown`] for the first diagonal entry that is not positive, [`Error::Data`]
    /// for an entry that is not finite; the same row on all ranks.
    pub fn read(
        host: &dyn Host,
        a: &DistCsr,
        grid: Grid,
        wants: impl Fn(usize) -> Range<usize>,
    ) -> Result<Bands> {
        if a.space().comm().size() == 1 {
            Self::whole(host, a, grid)
        } else {
            Self::part(a, grid, wants)
        }
    }

    /// All bands, of a matrix that is on one rank.
    fn whole(host: &dyn Host, a: &DistCsr, grid: Grid) -> Result<Bands> {
        let whole = Rows::of(a);
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
                    let values = whole.entries(grid, (i, j))?;
                    let (row, at) = (j * grid.mx + i, (j - rows.start) * stride + i);
                    for (band, value) in bands.iter_mut().zip(&values[3..]) {
                        band[at] = *value;
                    }
                    let above = |band: usize, back: usize| {
                        match at.checked_add_signed(-grid.offset(BANDS[band])) {
                            Some(there) => bands[band][there],
                            // Another thread reads that row of the grid.
                            None => whole.own.get(row - back, row),
                        }
                    };
                    compare(grid, (i, j), &values, above)?;
                }
            }
            Ok(())
        })?;
        Ok(Bands { grid, values })
    }

    /// The bands of the rows of the grid that this rank wants. Collective.
    fn part(a: &DistCsr, grid: Grid, wants: impl Fn(usize) -> Range<usize>) -> Result<Bands> {
        let (space, comm, mx) = (a.space(), a.space().comm(), grid.mx);
        let own = |rank: usize| space.starts()[rank] as usize..space.starts()[rank + 1] as usize;
        // With the nodes below that its own ones are coupled to.
        let fetched = |rank: usize| {
            let (own, rows) = (own(rank), wants(rank));
            let wanted = rows.start * mx..rows.end * mx;
            match own.is_empty() {
                true => wanted,
                false => {
                    let below = own.start.saturating_sub(mx + 1);
                    below.min(wanted.start)..own.end.max(wanted.end)
                }
            }
        };
        let (rows, mine, here) = (Rows::of(a), own(comm.rank()), fetched(comm.rank()));
        let mut staged: [Vec<f64>; 4] = std::array::from_fn(|_| vec![0.0; here.len()]);
        let read = mine.clone().try_for_each(|row| {
            let values = rows.entries(grid, (row % mx, row / mx))?;
            for (band, value) in staged.iter_mut().zip(&values[3..]) {
                band[row - here.start] = *value;
            }
            Ok(())
        });
        comm.agree_first(read)?;
        let mut moved = Redistribution::<f64>::new(comm, BANDS.len(), own, fetched)?;
        let place = |nodes: Range<usize>| nodes.start - here.start..nodes.end - here.start;
        moved.give(|band, nodes, out| out.copy_from_slice(&staged[band][place(nodes)]));
        moved.fetch(|band, nodes, from| staged[band][place(nodes)].copy_from_slice(from))?;
        let compared = mine.into_iter().try_for_each(|row| {
            let node = (row % mx, row / mx);
            let above = |band: usize, back: usize| staged[band][row - back - here.start];
            compare(grid, node, &rows.entries(grid, node)?, above)
        });
        comm.agree_first(compared)?;
        let rows = wants(comm.rank());
        let part = Grid { mx, my: rows.len() };
        let mut values = vec![0.0; 4 * part.plane()];
        for (to, from) in values.chunks_exact_mut(part.plane()).zip(&staged) {
            part.to_plane(&from[place(rows.start * mx..rows.end * mx)], to);
        }
        Ok(Bands { grid: part, values })
    }
}

/// Makes sure that the lower entries of the row of a node are those `above(band, back)` that stand in the
/// transposed places, `back` rows before.
#[inline]
fn compare(
    grid: Grid,
    (i, j): (usize, usize),
    &[low, down, left, here, ..]: &[f64; 7],
    above: impl Fn(usize, usize) -> f64,
) -> Result<()> {
    for (band, below) in [(1, left), (2, down), (3, low)] {
        let (dx, dy) = (BANDS[band].0 as usize, BANDS[band].1 as usize);
        let back = dy * grid.mx + dx;
        let above = if i >= dx && j >= dy { above(band, back) } else { 0.0 };
        if (above - below).abs() > SYMMETRY * here {
            let row = j * grid.mx + i;
            return Err(Error::Unsupported(format!(
                "global row {}: the matrix is not symmetric ({above} at column {row}, {below} in the \
                 transposed place)",
                row - back
            )));
        }
    }
    Ok(())
}

/// The rows of a matrix that this rank owns.
struct Rows<'a> {
    a: &'a DistCsr,
    own: CsrView<'a>,
    start: usize,
    alone: bool,
}

impl<'a> Rows<'a> {
    fn of(a: &'a DistCsr) -> Self {
        let start = a.space().start() as usize;
        Rows { a, own: a.own().view(), start, alone: a.ghost().nnz() == 0 }
    }

    /// The entries of the row of node `(i, j)` for its neighbours by number, itself in the middle; zero
    /// where none is stored.
    #[inline]
    fn entries(&self, grid: Grid, (i, j): (usize, usize)) -> Result<[f64; 7]> {
        let mx = grid.mx;
        let row = j * mx + i;
        let k = row - self.start;
        let range = self.own.range(k);
        let (cols, values) = (&self.own.cols[range.clone()], &self.own.values[range]);
        let inner = (1..mx - 1).contains(&i) && (1..grid.my - 1).contains(&j);
        if let (true, Ok(cols), Ok(values)) =
            (inner, <&[u32; 7]>::try_from(cols), <&[f64; 7]>::try_from(values))
        {
            let first = k.wrapping_sub(mx + 1);
            let fits = [0, 1, mx, mx + 1, mx + 2, 2 * mx + 1, 2 * mx + 2];
            let fits = fits.map(|step| first.wrapping_add(step) as u32);
            let lonely = self.alone || self.a.ghost().view().range(k).is_empty();
            let usual = *cols == fits && values.iter().sum::<f64>().is_finite();
            if usual && lonely && values[3] > 0.0 {
                return Ok(*values);
            }
        }
        let mut out = [0.0; 7];
        for (col, value) in self.a.global_entries(k) {
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
                     {col} is none of its neighbours{}",
                        grid.my,
                        grid.other_diagonal(self.a, k, col as u64)
                    )));
                }
            }
        }
        let here = out[3];
        if here.is_nan() || here <= 0.0 {
            let what = format!("the diagonal entry is {here}; it must be positive");
            return Err(Error::breakdown(row as u64, what));
        }
        Ok(out)
    }
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
