//! Structured grids: recognising one in a matrix, and making sure that it is one.
//!
//! Node `(i, j)` (column `i` of `mx`, row `j` of `my`, from 0) has number `j·mx + i` and is coupled to
//! the neighbours `(±1, 0)`, `(0, ±1)` (the five-point pattern) and perhaps `±(1, 1)` (the seven-point
//! pattern of linear elements on a rectangle cut by diagonals from lower left to upper right).
//!
//! A *plane* holds one number a node with a border of zeros: rows of `mx + 1` numbers, the last of which
//! is the right border and, at once, the left border of the next row. Neighbour `(dx, dy)` of any node is
//! then `dy·(mx + 1) + dx` places further, and no loop needs to know where the grid ends.
//!
//! Cost: one pass over A; one gather of the columns of row 0.
use crate::comm::Communicator;
use crate::matrix::{DistCsr, Space};
use crate::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// A grid of `mx` nodes a row and `my` rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Nodes in a row.
    pub mx: usize,
    /// Rows.
    pub my: usize,
}

/// Directions of the seven-point pattern, in order of node numbers.
pub const SEVEN_POINT: [(i64, i64); 7] =
    [(-1, -1), (0, -1), (-1, 0), (0, 0), (1, 0), (0, 1), (1, 1)];

impl Grid {
    /// The grid of the matrix `a`: the given one, or what row 0 shows; every row is checked.
    /// Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the first global row that does not fit, and why, or that the
    /// number of unknowns does not.
    pub fn of(a: &DistCsr, given: Option<[usize; 2]>) -> Result<Self> {
        let comm = a.space().comm();
        comm.scope(|| {
            let grid = Self::agreed(a, given)?;
            comm.agree_first_adding(grid.check(a), || a.identity_rows_hint())?;
            Ok(grid)
        })
    }

    /// The grid of the matrix `a`: the given one, or what row 0 shows; no row is checked. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the number of unknowns does not fit, the same on all ranks.
    pub fn agreed(a: &DistCsr, given: Option<[usize; 2]>) -> Result<Self> {
        let found = match given {
            Some([mx, my]) => Grid { mx, my }.with_nodes(a.n_global()),
            None => Self::shown(a)?,
        };
        match found {
            Ok(grid) => Ok(grid),
            // On all ranks.
            Err(e) => Err(a.naming_identity_rows(e)?),
        }
    }

    /// The grid that row 0 shows, or why it shows none, the same on all ranks; no other row is looked at.
    /// Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn shown(a: &DistCsr) -> Result<Result<Self>> {
        let row0 = match a.n_own() {
            n if n > 0 && a.global_row(0) == 0 => a.global_entries(0).map(|(j, _)| j).collect(),
            _ => vec![],
        };
        let row0 = a.space().comm().all_gather(&row0)?.concat();
        Ok(Self::recognise(a.n_global(), &row0))
    }

    /// The grid of `n` unknowns whose row 0 has entries in these columns: the first one beyond the
    /// right neighbour is the node above.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where `n` is no multiple of the row length that this shows.
    pub fn recognise(n: u64, row0: &[u64]) -> Result<Self> {
        if n > 1 && !row0.iter().any(|&c| c > 0) {
            return Err(Error::Unsupported(
                "global row 0 does not fit a structured grid: it has no neighbour".into(),
            ));
        }
        let mx = row0.iter().copied().filter(|&c| c > 1).min().unwrap_or(n);
        if n == 0 || !n.is_multiple_of(mx) {
            return Err(Error::Unsupported(format!(
                "global row 0 does not fit a structured grid: its first coupling beyond the right \
                 neighbour is to column {mx}, and the {n} unknowns are no multiple of that; give \
                 grid = [mx, my]"
            )));
        }
        Ok(Grid { mx: mx as usize, my: (n / mx) as usize })
    }

    /// The same grid, if it has `n` nodes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where it has not.
    pub fn with_nodes(self, n: u64) -> Result<Self> {
        let Grid { mx, my } = self;
        if n > 0 && (mx as u64).checked_mul(my as u64) == Some(n) {
            return Ok(self);
        }
        Err(Error::Unsupported(format!("a grid of {mx} by {my} nodes does not fit {n} unknowns")))
    }

    /// Nodes in all.
    pub fn nodes(self) -> usize {
        self.mx * self.my
    }

    /// Column and row of node `number`.
    pub fn place(self, number: u64) -> (u64, u64) {
        (number % self.mx as u64, number / self.mx as u64)
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

    /// Where node (i, j) stands in a plane.
    pub fn at(self, i: usize, j: usize) -> usize {
        (j + 1) * self.stride() + i + 1
    }

    /// Where the nodes of row `j` stand in a plane.
    pub fn line(self, j: usize) -> Range<usize> {
        self.at(0, j)..self.at(0, j) + self.mx
    }

    /// How much further in a plane neighbour `(dx, dy)` stands.
    pub fn offset(self, (dx, dy): (isize, isize)) -> isize {
        dy * self.stride() as isize + dx
    }

    /// The pieces of rows that consecutive nodes make up: row, and columns in it.
    pub fn pieces(self, nodes: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let mx = self.mx;
        let rows = nodes.start / mx..nodes.end.div_ceil(mx).max(nodes.start / mx);
        rows.map(move |row| {
            let first = row * mx;
            (row, nodes.start.max(first) - first..nodes.end.min(first + mx) - first)
        })
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

    /// The neighbours of node `number` in the seven-point pattern, itself among them, in order of
    /// numbers: number and direction.
    pub fn around(self, number: u64) -> impl Iterator<Item = (u64, (i64, i64))> {
        let (i, j) = self.place(number);
        let inside = move |&(dx, dy): &(i64, i64)| {
            i.checked_add_signed(dx).is_some_and(|i| i < self.mx as u64)
                && j.checked_add_signed(dy).is_some_and(|j| j < self.my as u64)
        };
        let number_of = move |(dx, dy)| {
            number.wrapping_add_signed(dy * self.mx as i64 + dx) // inside: does not wrap
        };
        SEVEN_POINT.into_iter().filter(inside).map(move |step| (number_of(step), step))
    }

    /// Makes sure that the rows of `a` on this rank fit. Not collective.
    fn check(self, a: &DistCsr) -> Result<()> {
        (0..a.n_own()).try_for_each(|k| self.fits(a, k))
    }

    /// Makes sure that own row `k` of `a` fits. Not collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the row and what it has too much, or lacks.
    pub fn fits(self, a: &DistCsr, k: usize) -> Result<()> {
        if self.is_plain(a, k) {
            return Ok(());
        }
        let row = a.global_row(k);
        let fail = |what: String| {
            Err(Error::Unsupported(format!(
                "global row {row} does not fit a grid of {} by {} nodes: {what}",
                self.mx, self.my
            )))
        };
        let mut around = self.around(row).peekable();
        let diagonal = |(dx, dy): (i64, i64)| dx * dy != 0;
        for (col, value) in a.global_entries(k) {
            while let Some((missing, step)) = around.next_if(|&(node, _)| node < col) {
                if !diagonal(step) {
                    return fail(format!("it has no entry for its neighbour {missing}"));
                }
            }
            if around.next_if(|&(node, _)| node == col).is_none() && value != 0.0 {
                let how = self.other_diagonal(a, k, col);
                return fail(format!("column {col} is none of its neighbours{how}"));
            }
        }
        match around.find(|&(_, step)| !diagonal(step)) {
            Some((missing, _)) => fail(format!("it has no entry for its neighbour {missing}")),
            None => Ok(()),
        }
    }

    /// Whether own row `k` is that of an inner node, all neighbours on this rank, and has the entries of
    /// the five-point or the seven-point pattern: most rows are, and need no closer look.
    fn is_plain(self, a: &DistCsr, k: usize) -> bool {
        let (i, j) = self.place(a.global_row(k));
        let is_inner = |at: u64, of: usize| at > 0 && at + 1 < of as u64;
        if !is_inner(i, self.mx) || !is_inner(j, self.my) || !a.ghost().view().range(k).is_empty() {
            return false;
        }
        let at = |far: usize| [k.wrapping_sub(far), k + far].map(|node| node as u32);
        let ([below, above], [left, right]) = (at(self.mx), at(1));
        let [before, behind] = at(self.mx + 1);
        let cols = a.own().view().row_cols(k);
        cols == [before, below, left, k as u32, right, above, behind]
            || cols == [below, left, k as u32, right, above]
    }

    /// What is to be said where column `col` of own row `k` is a neighbour across the other diagonal:
    /// nothing elsewhere.
    pub fn other_diagonal(self, a: &DistCsr, k: usize, col: u64) -> &'static str {
        let ((i, j), from) = (self.place(a.global_row(k)), |node| self.place(node));
        let step = |node: u64| {
            let (x, y) = from(node);
            (x as i64 - i as i64, y as i64 - j as i64)
        };
        let is_other = |step| matches!(step, (1, -1) | (-1, 1));
        if !is_other(step(col)) {
            return "";
        }
        let mut entries = a.global_entries(k).filter(|&(_, v)| v != 0.0);
        match entries.any(|(node, _)| matches!(step(node), (1, 1) | (-1, -1))) {
            true => " (this is a nine-point stencil; five and seven points are taken)",
            false => {
                " (the mesh is cut from upper left to lower right: number the nodes of every row from the \
                 other end, and the cuts go the other way)"
            }
        }
    }

    /// Entry of the five-point Laplacian in direction `step`: 4 in the middle, −1 for the four
    /// neighbours, 0 else.
    pub fn laplacian((dx, dy): (i64, i64)) -> f64 {
        match (dx.abs(), dy.abs()) {
            (0, 0) => 4.0,
            (0, 1) | (1, 0) => -1.0,
            _ => 0.0,
        }
    }

    /// Entry of the five-point Laplacian between two nodes.
    pub fn laplacian_between(self, row: u64, col: u64) -> f64 {
        let ((i, j), (k, l)) = (self.place(row), self.place(col));
        Self::laplacian((k as i64 - i as i64, l as i64 - j as i64))
    }

    /// The five-point Laplacian of the grid on `space`. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the space has another number of rows.
    pub fn five_point(self, space: &Arc<Space>) -> Result<DistCsr> {
        self.with_nodes(space.n_global())?;
        let (mut ptr, mut cols, mut values) = (vec![0], vec![], vec![]);
        for row in space.start()..space.start() + space.n_own() as u64 {
            for (col, step) in self.around(row) {
                let value = Self::laplacian(step);
                if value != 0.0 {
                    cols.push(col);
                    values.push(value);
                }
            }
            ptr.push(cols.len() as u32);
        }
        DistCsr::from_rows(space, &ptr, &cols, &values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::{Comm, threads};
    use crate::matrix::Csr;

    type Entries = Vec<(usize, usize, f64)>;

    fn entries(grid: Grid, diagonals: bool) -> Entries {
        let all = (0..grid.nodes()).flat_map(|i| {
            grid.around(i as u64).map(move |(j, s)| (i, j as usize, s.0 * s.1, Grid::laplacian(s)))
        });
        all.filter(|&(.., d, _)| d == 0 || diagonals)
            .map(|(i, j, d, v)| (i, j, if d == 0 { v } else { -0.1 }))
            .collect()
    }

    fn matrix(n: usize, entries: Entries) -> DistCsr {
        DistCsr::solo(Csr::from_triplets(n, n, entries).unwrap()).unwrap()
    }

    #[test]
    fn grids_of_all_shapes_are_recognised() {
        for (mx, my) in [(1, 1), (2, 2), (3, 2), (2, 5), (1, 4), (7, 1), (5, 3)] {
            for diagonals in [false, true] {
                let grid = Grid { mx, my };
                let a = matrix(grid.nodes(), entries(grid, diagonals));
                // A chain looks the same lying and standing.
                let seen = if mx == 1 { Grid { mx: my, my: 1 } } else { grid };
                assert_eq!(Grid::of(&a, None), Ok(seen));
                assert_eq!(Grid::of(&a, Some([mx, my])), Ok(grid));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_naming_the_row() {
        let grid = Grid { mx: 3, my: 3 };
        let why = |change: &dyn Fn(&mut Entries), given| {
            let mut entries = entries(grid, true);
            change(&mut entries);
            Grid::of(&matrix(9, entries), given).unwrap_err().to_string()
        };
        let text = "global row 4 does not fit a grid of 3 by 3 nodes: column 6 is none of its \
                    neighbours";
        assert!(why(&|e| e.push((4, 6, 0.5)), None).starts_with(text));
        // Neighbours by number, but not on the grid.
        assert!(why(&|e| e.push((5, 6, 0.5)), None).contains("global row 5"));
        let text = "global row 4 does not fit a grid of 3 by 3 nodes: it has no entry for its \
                    neighbour 7";
        assert_eq!(why(&|e| e.retain(|e| (e.0, e.1) != (4, 7)), None), text);
        assert!(why(&|e| e.retain(|e| e.0 != 8), None).contains("no entry for its neighbour 5"));
        // Another numbering, seen or given.
        assert!(why(&|_| (), Some([9, 1])).contains("global row 0"));
        assert!(why(&|e| e.push((0, 2, 0.5)), None).contains("give grid = [mx, my]"));
        // The other diagonal, and both.
        let other = |e: &mut Entries| {
            e.iter_mut().filter(|e| e.0 != e.1).for_each(|e| {
                let turned = |i: usize| 3 * (i / 3) + 2 - i % 3;
                (e.0, e.1) = (turned(e.0), turned(e.1));
            });
        };
        let text = why(&other, None);
        assert!(
            text.starts_with("global row 1 does not fit a grid of 3 by 3 nodes: column 3"),
            "{text}"
        );
        assert!(text.contains("number the nodes of every row from the other end"), "{text}");
        let both = |e: &mut Entries| e.extend([(4, 6, 0.5), (4, 2, 0.5)]);
        assert!(why(&both, None).contains("this is a nine-point stencil"));
        // Rows of known values, at the start and further on.
        let known = |rows: &'static [usize]| {
            move |e: &mut Entries| e.retain(|e| e.0 == e.1 || !rows.contains(&e.0))
        };
        let text = why(&known(&[0, 1, 2]), None);
        let wanted = "global row 0 does not fit a structured grid: it has no neighbour; 3 rows, global row 0 \
                      the first, have a diagonal entry only, as nodes with a known value do: take them \
                      out (eliminate = \"identity-rows\" in [problem])";
        assert_eq!(text, wanted);
        assert!(why(&known(&[8]), None).contains("1 rows, global row 8 the first, have"));
        assert!(why(&known(&[0]), Some([3, 3])).contains("1 rows, global row 0 the first, have"));
        let text = "a grid of 2 by 4 nodes does not fit 9 unknowns";
        assert_eq!(why(&|_| (), Some([2, 4])), text);
        assert!(why(&|_| (), Some([0, 9])).contains("does not fit 9 unknowns"));
        // Stored zeros do no harm.
        let mut zeros = entries(grid, true);
        zeros.push((4, 6, 0.0));
        assert_eq!(Grid::of(&matrix(9, zeros), None), Ok(grid));
    }

    #[test]
    fn pieces_are_the_nodes_in_order() {
        let grid = Grid { mx: 4, my: 5 };
        for nodes in [0..20, 3..4, 2..9, 4..8, 7..7, 8..8, 19..20] {
            let pieces = grid.pieces(nodes.clone()).flat_map(|(row, columns)| {
                assert!(columns.end <= 4);
                columns.map(move |i| 4 * row + i)
            });
            assert!(pieces.eq(nodes));
        }
    }

    #[test]
    fn ranks_agree_on_grids_and_misfits() {
        let grid = Grid { mx: 4, my: 3 };
        for size in [1, 2, 3, 5] {
            threads::run(size, |comm| {
                let space = Space::even(Comm::new(comm), 12);
                let a = grid.five_point(&space).unwrap();
                assert_eq!(Grid::of(&a, None), Ok(grid));
                let x: Vec<f64> = (0..12).map(|i| f64::from(i * i)).collect();
                let mut y = vec![0.0; space.n_own()];
                let from = space.start() as usize;
                a.spmv(&x[from..from + y.len()], &mut y).unwrap();
                for (k, y) in y.iter().enumerate() {
                    let around = grid.around((from + k) as u64);
                    let s: f64 = around.map(|(j, s)| Grid::laplacian(s) * x[j as usize]).sum();
                    assert_eq!(*y, s);
                }
                // The first row of all that does not fit, whoever else has one.
                let wrong = Grid::of(&a, Some([3, 4])).unwrap_err();
                assert!(wrong.to_string().contains("global row 0 does not fit"), "{wrong}");
                assert!(Grid { mx: 5, my: 3 }.five_point(&space).is_err());
            });
        }
    }
}
