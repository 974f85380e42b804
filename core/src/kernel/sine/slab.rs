//! The solve on several ranks: rows of the grid where they are transformed, modes where they are solved.
//!
//! Every rank transforms the rows of its slab, sends each other rank its share of the modes, solves all rows
//! of its own share, sends the modes of each row back to whoever wants that row, and transforms again. It is
//! the arithmetic of one rank, number by number: the result has the same bits on any number of ranks.
//!
//! - **Works for** any slabs, also none: a rank without rows still solves its share of the modes, and one
//!   beyond the columns still transforms its rows. More ranks than rows of the grid are of no use to the
//!   transforms; all do their part of the modes up to as many as there are columns.
//! - **Rows around**: what comes back may be more than the slab: the rows around it are then transformed
//!   where they are needed, which takes no message more.
//! - **Communication** of one solve on p ranks, each rank to each other that has rows or columns: one message
//!   of ⌈b·rows(r)·columns(q)/8⌉ words of 8 bytes from rank r to rank q, then one of
//!   ⌈b·around(q, halo)·columns(r)/8⌉ back (with `rows`, `around` and `columns` of [`Slabs`], and b = 4 bytes
//!   for `f32`, 8 for `f64`): 2(p − 1) messages sent a rank where all have both, and nearly 2b·n/p bytes.
//! - **Memory**: b·n/p bytes each for the modes, the pivots and four buffers, and 4 bytes a word for the plan.
use std::ops::Range;

use super::modes::width;
use super::{PoissonSolver, SineNumber, SineScratch};
use crate::Result;
use crate::comm::Comm;
use crate::host::Host;
use crate::kernel::slab::{Slabs, Transpose};

/// Solves with the five-point Laplacian of a grid that is spread over ranks by [`Slabs`].
pub struct SlabSolver<T: SineNumber> {
    solver: PoissonSolver<T>,
    scratch: SineScratch<T>,
    transpose: Option<Transpose<T>>,
    /// The slab among the rows around it.
    slab: Range<usize>,
    rows: usize,
}

impl<T: SineNumber> SlabSolver<T> {
    /// Plans solves for the rows [around](Slabs::around) every rank's nodes and `halo` more on both sides.
    /// Collective.
    ///
    /// # Errors
    /// What the communicator reports.
    ///
    /// # Panics
    /// Where the slabs are of another number of ranks than `comm` has.
    pub fn new(slabs: &Slabs, comm: &Comm, halo: usize) -> Result<Self> {
        assert_eq!(slabs.ranks(), comm.size(), "slabs are those of the ranks");
        let (grid, rank) = (slabs.grid(), comm.rank());
        let (slab, around) = (slabs.rows(rank), slabs.around(rank, halo));
        let (solver, transpose) = if comm.size() == 1 {
            (PoissonSolver::new(grid.mx, grid.my), None)
        } else {
            let modes = slabs.columns(rank);
            let width = width(modes.len());
            let transpose = Transpose::new(slabs, comm, halo, width)?;
            (PoissonSolver::for_modes(grid.mx, grid.my, modes, width), Some(transpose))
        };
        let scratch = solver.scratch_for(around.len());
        let first = around.start;
        let slab = slab.start - first..slab.end - first;
        Ok(SlabSolver { solver, scratch, transpose, slab, rows: around.len() })
    }

    /// Replaces the rows `x` around this rank's nodes by those of `A0⁻¹ x`, on the threads of `host`; of
    /// `x` itself the rows of the slab are read. Rows are `stride` numbers apart; those beyond the `mx`
    /// of a row are left alone. Collective; does not allocate.
    ///
    /// # Errors
    /// What the communicator reports; what the host reports, after all communication.
    ///
    /// # Panics
    /// Where `x` is not as many rows of `stride ≥ mx` numbers.
    pub fn solve(&mut self, host: &dyn Host, x: &mut [T], stride: usize) -> Result<()> {
        let SlabSolver { solver, scratch, transpose, slab, rows } = self;
        let Some(transpose) = transpose else {
            return solver.solve(host, x, stride, scratch);
        };
        assert!(stride >= solver.mx && x.len() == *rows * stride, "rows of nodes");
        let SineScratch { modes, lines } = scratch;
        let own = &mut x[slab.start * stride..slab.end * stride];
        let done = solver.transform(host, (own, stride), lines, |_, _| ());
        transpose.to_columns(own, stride, modes)?;
        let done = done.and(solver.modes.solve(host, None, modes));
        transpose.to_rows(modes, x, stride)?;
        done.and(solver.transform(host, (x, stride), lines, |_, _| ()))
    }

    /// Bytes held, work space included.
    pub fn bytes(&self) -> usize {
        let transpose = self.transpose.as_ref().map_or(0, Transpose::bytes);
        self.solver.bytes() + self.scratch.bytes() + transpose
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::comm::threads;
    use crate::host::{Alone, Level};
    use crate::instance::Instance;
    use crate::kernel::grid::Grid;
    use crate::matrix::Space;
    use crate::system::System;

    fn value(node: usize) -> f64 {
        (0.7 * node as f64).sin() + 0.1
    }

    /// What each rank gets for the rows around its nodes, border places and all.
    fn on_ranks<T: SineNumber>(grid: Grid, starts: &[u64], halo: usize) {
        let Grid { mx, my } = grid;
        let seven = T::rounded(7.0);
        let stride = mx + 1;
        let fill = |rows: Range<usize>| -> Vec<T> {
            let place = |j: usize| {
                move |i: usize| if i < mx { T::rounded(value(j * mx + i)) } else { seven }
            };
            rows.flat_map(|j| (0..stride).map(place(j))).collect()
        };
        let alone = PoissonSolver::<T>::new(mx, my);
        let mut whole = fill(0..my);
        alone.solve(&Alone, &mut whole, stride, &mut alone.scratch()).unwrap();
        threads::run(starts.len() - 1, |comm| {
            let comm = Comm::new(comm);
            let slabs = Slabs::new(grid, starts).unwrap();
            let mut solver = SlabSolver::<T>::new(&slabs, &comm, halo).unwrap();
            let (rows, around) = (slabs.rows(comm.rank()), slabs.around(comm.rank(), halo));
            for _ in 0..2 {
                let mut x = fill(around.clone());
                // Rows around the slab are not read.
                for (j, row) in around.clone().zip(x.chunks_mut(stride)) {
                    if !rows.contains(&j) {
                        row[..mx].fill(T::rounded(f64::NAN));
                    }
                }
                solver.solve(&Alone, &mut x, stride).unwrap();
                assert!(
                    x == whole[around.start * stride..around.end * stride],
                    "{grid:?} {starts:?}"
                );
            }
        });
    }

    #[test]
    fn ranks_give_the_bits_of_one() {
        for (mx, my) in [(1, 1), (3, 3), (4, 7), (31, 16), (130, 11), (9, 70)] {
            let grid = Grid { mx, my };
            for ranks in [1, 2, 3, 5, 8] {
                let space = threads::run(ranks, |comm| {
                    Space::even(Comm::new(comm), grid.nodes() as u64).starts().to_vec()
                });
                on_ranks::<f64>(grid, &space[0], 0);
                on_ranks::<f32>(grid, &space[0], 3);
            }
        }
        // Ranks without rows first, between and last; cuts inside rows; one rank with nearly all.
        let grid = Grid { mx: 21, my: 15 };
        for starts in
            [vec![0, 0, 315, 315], vec![0, 10, 300, 301, 301, 315], vec![0, 150, 165, 315]]
        {
            on_ranks::<f64>(grid, &starts, 1);
            on_ranks::<f32>(grid, &starts, 0);
        }
    }

    #[test]
    fn memory_falls_with_the_number_of_ranks() {
        let grid = Grid { mx: 255, my: 255 };
        let most = |ranks: usize| {
            let bytes = threads::run(ranks, |comm| {
                let space = Space::even(Comm::new(comm), grid.nodes() as u64);
                let slabs = Slabs::new(grid, space.starts()).unwrap();
                SlabSolver::<f32>::new(&slabs, space.comm(), 0).unwrap().bytes()
            });
            bytes.into_iter().max().unwrap() as f64
        };
        let [four, eight, sixteen] = [4, 8, 16].map(most);
        assert!(eight < 0.6 * four && sixteen < 0.6 * eight, "{four} {eight} {sixteen}");
    }

    /// A host whose loops fail.
    struct Faulty;

    impl Host for Faulty {
        fn inner(&self, _: &str, _: &serde_json::Value, _: &System) -> Result<Box<dyn Instance>> {
            Err(Error::Unsupported("no other methods".into()))
        }
        fn parallel_for(
            &self,
            _: usize,
            _: usize,
            _: &(dyn Fn(Range<usize>) -> Result<()> + Sync),
        ) -> Result<()> {
            Err(Error::Data("no threads".into()))
        }
        fn read(&self, path: &str) -> Result<Vec<u8>> {
            Err(Error::file(path, "no files"))
        }
        fn log(&self, _: Level, _: &str) {}
    }

    #[test]
    fn a_rank_whose_host_fails_keeps_nobody_waiting() {
        let grid = Grid { mx: 9, my: 6 };
        let results = threads::run(3, |comm| {
            let comm = Comm::new(comm);
            let slabs = Slabs::new(grid, &[0, 18, 36, 54]).unwrap();
            let mut solver = SlabSolver::<f64>::new(&slabs, &comm, 0).unwrap();
            let host: &dyn Host = if comm.rank() == 1 { &Faulty } else { &Alone };
            solver.solve(host, &mut [1.0; 18], 9)
        });
        assert_eq!(results, [Ok(()), Err(Error::Data("no threads".into())), Ok(())]);
    }
}
