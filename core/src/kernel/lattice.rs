//! Structured grids of two or three dimensions: recognising one in a matrix of any of the usual stencils, and
//! making sure that it is one.
//!
//! Node (i, j, k) has number (k·my + j)·mx + i and is coupled to the nodes next to it along the axes, and
//! perhaps to others of the 3 × 3 (× 3) nodes around: 5, 7 or 9 points in two dimensions, 7, 15, 19 or 27 in three.
//! Along an axis of three or more nodes the last may be next to the first (periodic).
//!
//! Cost: one pass over A; one gather of the columns of row 0, one of errors.
use crate::comm::Communicator;
use crate::matrix::DistCsr;
use crate::{Error, Result};

/// How much further a neighbour is along x, y and z: −1, 0 or 1 each.
pub type Step = [i8; 3];

/// All steps, in order of the numbers of nodes where no axis is a ring.
pub const STEPS: [Step; 27] = {
    let mut steps = [[0; 3]; 27];
    let mut s = 0;
    while s < 27 {
        steps[s] = [(s % 3) as i8 - 1, (s / 3 % 3) as i8 - 1, (s / 9) as i8 - 1];
        s += 1;
    }
    steps
};
/// Which of [`STEPS`] stays.
pub const CENTRE: usize = 13;

/// A structured grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lattice {
    /// Nodes along x, which runs fastest, y and z; 1 beyond the dimension.
    pub dims: [usize; 3],
    /// 2 or 3.
    pub dimension: usize,
    /// Where the last node is next to the first.
    pub periodic: [bool; 3],
}

impl std::fmt::Display for Lattice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dims: Vec<String> = self.dims[..self.dimension].iter().map(usize::to_string).collect();
        write!(f, "{} nodes", dims.join(" by "))?;
        let axes = ["x", "y", "z"].into_iter().zip(self.periodic);
        let rings: Vec<&str> = axes.filter_map(|(name, ring)| ring.then_some(name)).collect();
        match rings[..] {
            [] => Ok(()),
            _ => write!(f, ", periodic along {}", rings.join(" and ")),
        }
    }
}

/// An entry of a row: which of [`STEPS`] it belongs to, and its value.
pub type Entry = (usize, f64);

/// Rows of a matrix that follow each other along x and have entries for the same steps.
pub struct Run<'a> {
    /// The first one, among the rank's own.
    pub row: usize,
    /// Where that is.
    pub place: [usize; 3],
    /// How many there are.
    pub count: usize,
    /// Which of [`STEPS`] have entries.
    pub steps: &'a [usize],
    /// The entries, row after row.
    pub values: &'a [f64],
}

impl Run<'_> {
    /// The entries of row `i` of the run.
    pub fn of(&self, i: usize) -> &[f64] {
        &self.values[i * self.steps.len()..(i + 1) * self.steps.len()]
    }

    /// Calls `visit(row, place, entries)` for every row.
    ///
    /// # Errors
    /// What `visit` reports.
    pub fn each(
        &self,
        mut visit: impl FnMut(usize, [usize; 3], &[Entry]) -> Result<()>,
    ) -> Result<()> {
        let ([x, y, z], mut entries) = (self.place, Vec::with_capacity(self.steps.len()));
        (0..self.count).try_for_each(|i| {
            entries.clear();
            entries.extend(self.steps.iter().copied().zip(self.of(i).iter().copied()));
            visit(self.row + i, [x + i, y, z], &entries)
        })
    }
}

impl Lattice {
    /// A grid without rings of these numbers of nodes, two or three.
    ///
    /// # Errors
    /// [`Error::Parameter`] for another number of axes, or none of nodes.
    pub fn of_dims(dims: &[usize]) -> Result<Self> {
        if !(2..=3).contains(&dims.len()) || dims.contains(&0) {
            let why = "parameter 'grid': two or three numbers of nodes, at least 1 each";
            return Err(Error::Parameter(why.into()));
        }
        let mut lattice = Lattice { dims: [1; 3], dimension: dims.len(), periodic: [false; 3] };
        lattice.dims[..dims.len()].copy_from_slice(dims);
        Ok(lattice)
    }

    /// The grid of the matrix `a`: of the given numbers of nodes, or as row 0 shows it; every row is checked.
    /// Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the first global row that does not fit, and why, or that the number of unknowns
    /// does not.
    pub fn of(a: &DistCsr, given: Option<&[usize]>) -> Result<Self> {
        let comm = a.space().comm();
        comm.scope(|| {
            let lattice = Self::shown(a, given)?;
            let checked = lattice.rows(a, |_, _, _| Ok(()));
            comm.agree_first_adding(checked, || a.identity_rows_hint())?;
            Ok(lattice)
        })
    }

    /// The grid of given numbers of nodes, or that row 0 shows; no other row is looked at. Collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there is none, the same on all ranks.
    pub fn shown(a: &DistCsr, given: Option<&[usize]>) -> Result<Self> {
        let row0 = match a.n_own() {
            n if n > 0 && a.global_row(0) == 0 => {
                a.global_entries(0).filter(|&(j, v)| v != 0.0 || j > 0).map(|(j, _)| j).collect()
            }
            _ => vec![],
        };
        let row0 = a.space().comm().all_gather(&row0)?.concat();
        let found = match given {
            Some(dims) => Self::of_dims(dims).and_then(|lattice| {
                lattice.fits_unknowns(a.n_global())?;
                Ok(vec![lattice.with_rings(&row0)])
            }),
            None => Self::recognise(a.n_global(), &row0),
        };
        match found {
            Ok(all) if all.len() == 1 => Ok(all[0]),
            Ok(all) => Self::fitting(a, &all),
            // On all ranks.
            Err(e) => Err(a.naming_identity_rows(e)?),
        }
    }

    /// The first of several grids that the rows of the rank that has row 0 fit; the first of all where none does.
    /// Collective.
    fn fitting(a: &DistCsr, all: &[Self]) -> Result<Self> {
        let mut chosen = [0.0];
        if a.n_own() > 0 && a.global_row(0) == 0 {
            let fits = |lattice: &Self| lattice.rows(a, |_, _, _| Ok(())).is_ok();
            chosen[0] = all.iter().position(fits).unwrap_or(0) as f64;
        }
        a.space().comm().max(&mut chosen)?;
        Ok(all[chosen[0] as usize])
    }

    /// The same grid, periodic along the axes whose last node is next to node 0.
    fn with_rings(mut self, row0: &[u64]) -> Self {
        let mut stride = 1;
        for (axis, &m) in self.dims.iter().enumerate() {
            self.periodic[axis] = m > 2 && row0.contains(&(stride * (m as u64 - 1)));
            stride *= m as u64;
        }
        self
    }

    /// The grids of `n` unknowns whose row 0 has entries in these columns, those of fewer rings and then of fewer axes
    /// first.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where none does.
    pub fn recognise(n: u64, row0: &[u64]) -> Result<Vec<Self>> {
        if n > 1 && !row0.iter().any(|&c| c > 0) {
            return Err(Error::Unsupported(
                "global row 0 does not fit a structured grid: it has no neighbour".into(),
            ));
        }
        let far: Vec<u64> = row0.iter().copied().filter(|&c| c > 1).collect();
        // A row, or a layer, ends before a column of row 0 or, around a ring, with it.
        let ends =
            || far.iter().flat_map(|&c| [c, c + 1]).chain([n]).filter(|&m| n.is_multiple_of(m));
        let two = ends().map(|mx| vec![mx, n / mx]);
        let three = ends().flat_map(|mx| {
            ends()
                .filter(move |&layer| layer > mx && layer < n && layer.is_multiple_of(mx))
                .map(move |layer| vec![mx, layer / mx, n / layer])
        });
        let fitting = two.chain(three).filter_map(|dims| {
            let dims: Vec<usize> = dims.into_iter().map(|m| m as usize).collect();
            let lattice = Self::of_dims(&dims).ok()?.with_rings(row0);
            let fits = row0.iter().all(|&c| lattice.step_to([0; 3], c).is_some());
            let straight = |axis: usize| {
                let mut step = [0; 3];
                step[axis] = 1;
                lattice.neighbour([0; 3], step).is_none_or(|c| row0.contains(&c))
            };
            (fits && (0..3).all(straight)).then_some(lattice)
        });
        let order = |l: &Self| {
            (l.periodic.iter().filter(|p| **p).count(), l.dimension, n / l.dims[0] as u64)
        };
        let mut all: Vec<Self> = fitting.collect();
        all.sort_by_key(order);
        all.dedup();
        if all.is_empty() {
            let shown: Vec<String> = row0.iter().take(9).map(u64::to_string).collect();
            return Err(Error::Unsupported(format!(
                "global row 0 does not fit a structured grid of {n} nodes: no number of nodes in a row makes its \
                 columns ({}) neighbours of node 0; give grid = [mx, my] or [mx, my, mz]",
                shown.join(", ")
            )));
        }
        Ok(all)
    }

    /// Refuses a matrix of another number of unknowns.
    ///
    /// # Errors
    /// [`Error::Unsupported`] saying both.
    pub fn fits_unknowns(&self, n: u64) -> Result<()> {
        let product = self.dims.iter().try_fold(1u64, |n, &m| n.checked_mul(m as u64));
        match product == Some(n) && n > 0 {
            true => Ok(()),
            false => {
                let why = format!("a grid of {self} does not fit {n} unknowns");
                Err(Error::Unsupported(why))
            }
        }
    }

    /// Nodes in all.
    pub fn nodes(&self) -> usize {
        self.dims.iter().product()
    }

    /// Where node `number` is.
    pub fn place(&self, number: u64) -> [usize; 3] {
        let [mx, my, _] = self.dims.map(|m| m as u64);
        let (row, i) = (number / mx, number % mx);
        [i as usize, (row % my) as usize, (row / my) as usize]
    }

    /// The number of a node.
    pub fn number(&self, [i, j, k]: [usize; 3]) -> u64 {
        ((k * self.dims[1] + j) * self.dims[0] + i) as u64
    }

    /// The place a step from another one, across the ends of rings; none beyond other ends, nor the place itself by another way.
    pub fn moved(&self, place: [usize; 3], step: Step) -> Option<[usize; 3]> {
        let mut to = place;
        for axis in 0..3 {
            let m = self.dims[axis];
            to[axis] = match (place[axis], step[axis]) {
                (i, 0) => i,
                (0, -1) if self.periodic[axis] => m - 1,
                (i, 1) if i + 1 == m && self.periodic[axis] => 0,
                (i, s) => i.checked_add_signed(isize::from(s)).filter(|&i| i < m)?,
            };
        }
        Some(to)
    }

    /// The number of the node a step from a place, if there is one.
    pub fn neighbour(&self, place: [usize; 3], step: Step) -> Option<u64> {
        self.moved(place, step).map(|to| self.number(to))
    }

    /// Which of [`STEPS`] leads from a place to node `number`; none where it is further away.
    pub fn step_to(&self, place: [usize; 3], number: u64) -> Option<usize> {
        if number >= self.nodes() as u64 {
            return None;
        }
        let (to, mut index) = (self.place(number), 0);
        for axis in (0..3).rev() {
            let (m, i, j) = (self.dims[axis], place[axis], to[axis]);
            let step = match j as isize - i as isize {
                s @ -1..=1 => s,
                s if self.periodic[axis] && s == m as isize - 1 => -1,
                s if self.periodic[axis] && s == 1 - m as isize => 1,
                _ => return None,
            };
            index = 3 * index + (step + 1) as usize;
        }
        Some(index)
    }

    /// Calls `visit(row, place, entries)` for every row of `a` on this rank: the entries that are not zero, and those
    /// along the axes, each with its step. Not collective.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the first row that does not fit, and what it has too much or lacks; what
    /// `visit` reports.
    pub fn rows(
        &self,
        a: &DistCsr,
        mut visit: impl FnMut(usize, [usize; 3], &[Entry]) -> Result<()>,
    ) -> Result<()> {
        self.runs(a, |run| run.each(&mut visit))
    }

    /// Calls `visit` for runs of rows of `a` on this rank that have entries for the same steps and follow each other along x,
    /// with the same entries as [`rows`](Self::rows). Not collective.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn runs(&self, a: &DistCsr, mut visit: impl FnMut(&Run<'_>) -> Result<()>) -> Result<()> {
        if a.n_own() == 0 {
            return Ok(());
        }
        let offsets = STEPS.map(|[x, y, z]| {
            let [mx, my, _] = self.dims.map(|m| m as i64);
            (i64::from(z) * my + i64::from(y)) * mx + i64::from(x)
        });
        let mut place = self.place(a.global_row(0));
        let start = a.global_row(0);
        let (own, ghost) = (a.own().view(), a.ghost().view());
        let ghosts = ghost.nnz() > 0;
        // Steps of the last row inside, and how much further their columns are than the row: most rows are like it.
        let (mut steps, mut further) = (Vec::with_capacity(27), Vec::with_capacity(27));
        let (mut slow_steps, mut values) = (Vec::with_capacity(27), Vec::with_capacity(27));
        let mut k = 0;
        while k < a.n_own() {
            // The rest of the row of nodes, on this rank; along the other axes all of it is inside, or none.
            let left = (self.dims[0] - place[0]).min(a.n_own() - k);
            let inside = |d: usize| place[d] > 0 && place[d] + 1 < self.dims[d];
            let across = (1..self.dimension).all(inside);
            let like = |k: usize| {
                let cols = own.row_cols(k);
                let same = |(col, far): (&u32, &i64)| i64::from(*col) - k as i64 == *far;
                cols.len() == further.len()
                    && (!ghosts || ghost.range(k).is_empty())
                    && cols.iter().zip(&further).all(same)
            };
            let inner =
                if across && place[0] > 0 { left.min(self.dims[0] - 1 - place[0]) } else { 0 };
            let count = match inner > 0 && !further.is_empty() && like(k) {
                true => {
                    let width = further.len();
                    let alike = |k: &usize| {
                        own.range(*k).len() == width && (!ghosts || ghost.range(*k).is_empty())
                    };
                    let rows = 1 + (k + 1..k + inner).take_while(alike).count();
                    let first = own.range(k).start;
                    following(&own.cols[first..first + rows * width], width)
                }
                false => 0,
            };
            if count > 0 {
                let values = &own.values[own.range(k).start..own.range(k + count - 1).end];
                visit(&Run { row: k, place, count, steps: &steps, values })?;
            } else {
                let offsets = (inner > 0).then_some(&offsets);
                values.clear();
                slow_steps.clear();
                self.slow_row(a, k, (start + k as u64, place), offsets, |step, value| {
                    slow_steps.push(step);
                    values.push(value);
                })?;
                visit(&Run { row: k, place, count: 1, steps: &slow_steps, values: &values })?;
                further.clear();
                let cols = own.row_cols(k);
                if inner > 0 && ghost.range(k).is_empty() && slow_steps.len() == cols.len() {
                    further.extend(cols.iter().map(|col| i64::from(*col) - k as i64));
                    std::mem::swap(&mut steps, &mut slow_steps);
                }
            }
            let done = count.max(1);
            k += done;
            place[0] += done;
            for d in 0..2 {
                if place[d] == self.dims[d] {
                    place[d] = 0;
                    place[d + 1] += 1;
                }
            }
        }
        Ok(())
    }

    /// The entries of one row; of one with all steps, `offsets` says how much further each leads.
    fn slow_row(
        &self,
        a: &DistCsr,
        k: usize,
        (row, place): (u64, [usize; 3]),
        offsets: Option<&[i64; 27]>,
        mut take: impl FnMut(usize, f64),
    ) -> Result<()> {
        let (mut step, mut there) = (0, 0);
        for (col, value) in a.global_entries(k) {
            let found = if let Some(offsets) = offsets {
                // Both are in order of numbers.
                let far = col as i64 - row as i64;
                while step < 27 && offsets[step] < far {
                    step += 1;
                }
                (step < 27 && offsets[step] == far).then_some(step)
            } else {
                self.step_to(place, col)
            };
            match found {
                Some(step) => {
                    there |= 1 << step;
                    take(step, value);
                }
                None if value == 0.0 => {}
                None => {
                    let what = format!("column {col} is none of its neighbours");
                    return Err(self.misfit(row, what));
                }
            }
        }
        self.has_neighbours(row, place, there)
    }

    fn misfit(&self, row: u64, what: String) -> Error {
        Error::Unsupported(format!("global row {row} does not fit a grid of {self}: {what}"))
    }

    /// Makes sure that a row with these steps has an entry for every neighbour along the axes.
    fn has_neighbours(&self, row: u64, place: [usize; 3], there: u32) -> Result<()> {
        for axis in 0..self.dimension {
            let power = [1, 3, 9][axis];
            for (index, sign) in [(CENTRE - power, -1), (CENTRE + power, 1)] {
                if there >> index & 1 == 1 {
                    continue;
                }
                let mut step = [0; 3];
                step[axis] = sign;
                if let Some(missing) = self.neighbour(place, step) {
                    let what = format!("it has no entry for its neighbour {missing}");
                    return Err(self.misfit(row, what));
                }
            }
        }
        Ok(())
    }
}

/// How many of the rows, of `width` columns each, have the columns of the one before and one more each, the first included.
fn following(cols: &[u32], width: usize) -> usize {
    const SIDE_BY_SIDE: usize = 32;
    let (before, after) = (&cols[..cols.len() - width], &cols[width..]);
    let pairs = before.chunks(SIDE_BY_SIDE).zip(after.chunks(SIDE_BY_SIDE));
    // Without leaving early, so that many are looked at together.
    let alike = |(before, after): &(&[u32], &[u32])| {
        before.iter().zip(*after).fold(true, |all, (b, a)| all & (b.wrapping_add(1) == *a))
    };
    let same = pairs.take_while(alike).count() * SIDE_BY_SIDE;
    let rest = before.iter().zip(after).skip(same).take_while(|(b, a)| b.wrapping_add(1) == **a);
    1 + (same.min(before.len()) + rest.count()) / width
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Csr;

    /// Ones for all neighbours that `keep` takes, along the axes in any case.
    fn matrix(lattice: Lattice, keep: &dyn Fn(Step) -> bool) -> DistCsr {
        let n = lattice.nodes();
        let mut entries = Vec::new();
        for row in 0..n {
            let place = lattice.place(row as u64);
            for step in STEPS {
                let straight = step.iter().filter(|s| **s != 0).count() < 2;
                let to = lattice.neighbour(place, step).filter(|_| straight || keep(step));
                entries.extend(to.map(|col| (row, col as usize, 1.0)));
            }
        }
        DistCsr::solo(Csr::from_triplets(n, n, entries).expect("a matrix")).expect("square")
    }

    #[test]
    fn grids_of_all_stencils_and_rings_are_recognised() {
        let stencils: [&dyn Fn(Step) -> bool; 4] = [
            &|_| false,
            // Linear elements on triangles or tetrahedra.
            &|s| s.iter().all(|s| *s >= 0) || s.iter().all(|s| *s <= 0),
            &|s| s.iter().filter(|s| **s != 0).count() == 2,
            &|_| true,
        ];
        for dims in [vec![5, 4], vec![4, 7], vec![4, 3, 5], vec![3, 6, 4], vec![5, 5, 5]] {
            for rings in 0..1 << dims.len() {
                let mut lattice = Lattice::of_dims(&dims).expect("a grid");
                lattice.periodic = [0, 1, 2].map(|axis| rings >> axis & 1 == 1);
                for keep in stencils {
                    let a = matrix(lattice, keep);
                    assert_eq!(Lattice::of(&a, Some(&dims)), Ok(lattice));
                    let found = Lattice::of(&a, None).expect("a grid");
                    assert_eq!(found, lattice, "{} entries", a.nnz_own());
                }
            }
        }
        for dims in [[1, 1], [2, 1], [7, 1], [2, 3]] {
            let lattice = Lattice::of_dims(&dims).expect("a grid");
            let found = Lattice::of(&matrix(lattice, &|_| false), None);
            assert_eq!(found.map(|l| l.nodes()), Ok(lattice.nodes()));
        }
    }

    #[test]
    fn rows_that_do_not_fit_are_named() {
        let lattice = Lattice::of_dims(&[4, 3]).expect("a grid");
        let a = matrix(lattice, &|_| false);
        let why = |dims: &[usize]| Lattice::of(&a, Some(dims)).expect_err("refused").to_string();
        assert_eq!(why(&[5, 3]), "a grid of 5 by 3 nodes does not fit 12 unknowns");
        assert!(
            why(&[3, 4]).ends_with(
                "does not fit a grid of 3 by 4 nodes: it has no entry for its neighbour 3"
            )
        );
        assert!(why(&[12]).contains("two or three numbers of nodes"));
        let with = |more: Vec<(usize, usize, f64)>, less: usize| {
            let own = a.own().view();
            let mut entries: Vec<(usize, usize, f64)> = (0..12)
                .flat_map(|i| own.row(i).map(move |(j, v)| (i, j, v)))
                .filter(|&(i, j, _)| !(i == less && j == less + 1))
                .collect();
            entries.extend(more);
            let a = DistCsr::solo(Csr::from_triplets(12, 12, entries).expect("a matrix"));
            Lattice::of(&a.expect("square"), None).map_err(|e| e.to_string())
        };
        assert_eq!(with(vec![(5, 11, 0.0)], 99), Ok(lattice));
        assert_eq!(
            with(vec![(5, 11, 0.5)], 99),
            Err("global row 5 does not fit a grid of 4 by 3 nodes: column 11 is none of its neighbours".into())
        );
        assert_eq!(
            with(vec![], 5),
            Err("global row 5 does not fit a grid of 4 by 3 nodes: it has no entry for its neighbour 6".into())
        );
        let why = Lattice::recognise(12, &[0, 1, 7]).expect_err("refused").to_string();
        assert!(
            why.contains("its columns (0, 1, 7)") && why.contains("give grid = [mx, my]"),
            "{why}"
        );
        assert!(
            Lattice::recognise(12, &[0]).expect_err("refused").to_string().contains("no neighbour")
        );
    }
}
