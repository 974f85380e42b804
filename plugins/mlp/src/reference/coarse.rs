//! A correction on a coarse grid, for coefficients that jump: `Q = Z (ZᵀAZ)⁻¹ Zᵀ` with `Z` the bilinear
//! functions of a few coarse nodes a side, applied before and after the reference solve.
//!
//! Scaling by the nodal coefficient makes the reference solve right on both sides of a jump, but not for what is
//! smooth across it: there the condition grows as the mesh is refined (see [`super::coefficient`]). Such
//! vectors are few and smooth along the jump, and the coarse grid holds them. The map
//! `(I − SA)(I − QA)(I − MA)(I − QA)(I − SA) = I − M₂A` stays symmetric, and positive definite where it was,
//! because `I − QA` is a projection.
//!
//! - **On several ranks** each one adds up what its slab has of the coarse functions that are not zero there,
//!   and what they have is added in rank order: equal on all ranks, and up to rounding (in double precision) for
//!   any number of them. The coarse problem itself, `k²` unknowns, is kept and solved on every rank.
//! - **Works for** jumps some coarse steps apart. The condition grows with the ratio of coarse to fine steps:
//!   at two it does not depend on the grid, at four hardly.
//! - **How many coarse nodes**, where it is not said: every second node a side, or as few more apart as keep the
//!   factor within [`FLOPS`] a node of the grid. That is two up to 127 × 127 nodes, four up to 511 × 511; beyond, the
//!   step grows with the square root of the nodes a side.
//! - **Cost**: setup some 120 flops a node and `n_c w²` for the banded Cholesky factor of `n_c` coarse unknowns,
//!   `w = k + 1` where coarse nodes are nodes of the grid and `2k + 2` where they lie between; an application
//!   two more products with `A`, about 20 flops a node and `4 n_c w`. `n_c (w + 1)` numbers. Communication: each
//!   time a gather of `k · max_r q(r)` words a rank, with `q(r)` the rows of coarse functions that the slab of rank
//!   `r` touches; in setup one of `25 k · q(r)` words.
//! - **Reference**: R. Nicolaides, *Deflation of conjugate gradients with applications to boundary value
//!   problems*, SIAM J. Numer. Anal. 24 (1987).

use std::ops::Range;

use precondor_sdk::core::comm::Communicator;
use precondor_sdk::prelude::*;

use crate::reference::share::Share;
use precondor_sdk::core::kernel::band::Band;
use precondor_sdk::core::kernel::bands::{BANDS, Bands};
use precondor_sdk::core::kernel::bilinear::Bilinear;
use precondor_sdk::core::kernel::grid::Grid;

/// Flops a node of the grid, at most, that the coarse factor takes where its size is not given.
pub const FLOPS: usize = 1024;

/// The correction for one matrix.
pub struct Coarse {
    share: Share,
    functions: Bilinear,
    factor: Band,
}

/// The memory of an application.
#[derive(Default)]
pub struct CoarseMemory {
    /// A number for each coarse function.
    values: Vec<f64>,
    /// What this rank's slab has of them, and what all have; empty on one rank.
    mine: Vec<f64>,
    all: Vec<f64>,
}

impl CoarseMemory {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of::<f64>() * (self.values.len() + self.mine.len() + self.all.len())
    }
}

/// How far apart coarse functions that a matrix couples are, at most, along one axis.
const REACH: usize = 2;
/// Coarse functions that one is coupled to, at most, itself among them.
const COUPLED: usize = (2 * REACH + 1) * (2 * REACH + 1);

/// How far apart coarse functions that a matrix couples are, of `k` for `m` nodes along one axis.
fn reach(m: usize, k: usize) -> usize {
    if (m + 1).is_multiple_of(k + 1) { 1 } else { REACH }
}

/// The half bandwidth of the coarse matrix.
fn bandwidth(grid: Grid, [kx, ky]: [usize; 2]) -> usize {
    reach(grid.my, ky) * kx + reach(grid.mx, kx)
}

/// Coarse nodes along both axes: up to `nodes`, at most every second one of the grid; or as many as are worth
/// their factor.
fn sizes(grid: Grid, nodes: Option<usize>) -> [usize; 2] {
    let Grid { mx, my } = grid;
    let every = |step: usize| [mx, my].map(|m| ((m + 1) / step).saturating_sub(1).max(1));
    if let Some(nodes) = nodes {
        return every(2).map(|k| k.min(nodes).max(1));
    }
    let flops = |size: &[usize; 2]| size[0] * size[1] * bandwidth(grid, *size).pow(2);
    let worth = |size: &[usize; 2]| flops(size) <= FLOPS * mx * my;
    (2..=mx.max(my) + 2).map(every).find(worth).unwrap_or([1, 1])
}

impl Coarse {
    /// The correction with up to `nodes` coarse nodes a side, at most every second one of the grid, for a matrix
    /// of which each rank has the bands in the rows that it keeps; with as many as are worth it where that is
    /// not said. Collective.
    ///
    /// # Errors
    /// [`Error::Breakdown`] where the matrix is not positive definite; what the communicator reports.
    pub fn new(comm: &Comm, share: &Share, bands: &Bands, nodes: Option<usize>) -> Result<Self> {
        let grid = share.slabs().grid();
        let size = sizes(grid, nodes);
        let mut matrix = Band::zero(size[0] * size[1], bandwidth(grid, size));
        let functions = Bilinear::new(grid, size);
        let here = Coarse { share: share.clone(), functions, factor: Band::default() };
        if share.is_alone() {
            here.galerkin(bands, |p, q, value| matrix.add(p, q, value));
        } else {
            here.galerkin_of_all(comm, bands, &mut matrix)?;
        }
        matrix
            .factorise()
            .map_err(|_| Error::Breakdown("the matrix is not positive definite".into()))?;
        Ok(Coarse { factor: matrix, ..here })
    }

    /// Adds up `ZᵀAZ` over the nodes of the slab: `add(p, q, value)`.
    fn galerkin(&self, bands: &Bands, mut add: impl FnMut(usize, usize, f64)) {
        let Grid { mx, my } = self.share.slabs().grid();
        let (kept, first) = (bands.grid, self.share.first());
        for row in self.share.slab() {
            for i in 0..mx {
                let (at, j) = ((row + 1) * kept.stride() + i + 1, first + row);
                for (band, (dx, dy)) in BANDS.into_iter().enumerate() {
                    let value = bands.plane(band)[at];
                    let (x, y) = (i.wrapping_add_signed(dx), j.wrapping_add_signed(dy));
                    if value == 0.0 || x >= mx || y >= my {
                        continue;
                    }
                    for (p, wp) in self.functions.functions(i, j) {
                        for (q, wq) in self.functions.functions(x, y) {
                            add(p, q, value * wp * wq);
                            if band > 0 {
                                add(q, p, value * wp * wq);
                            }
                        }
                    }
                }
            }
        }
    }

    /// `ZᵀAZ` from the parts of all ranks, in rank order. Collective.
    fn galerkin_of_all(&self, comm: &Comm, bands: &Bands, matrix: &mut Band) -> Result<()> {
        let [kx, ky] = self.functions.size();
        let place = |p: usize, q: usize| {
            let step = |p: usize, q: usize| q + REACH - p;
            step(p / kx, q / kx) * (2 * REACH + 1) + step(p % kx, q % kx)
        };
        let touched = |rank: usize| self.touched(rank).start * kx..self.touched(rank).end * kx;
        let functions = touched(comm.rank());
        let mut mine = vec![0.0f64; functions.len() * COUPLED];
        self.galerkin(bands, |p, q, value| {
            mine[(p - functions.start) * COUPLED + place(p, q)] += value;
        });
        let words: Vec<u64> = mine.iter().map(|value| value.to_bits()).collect();
        for (rank, words) in comm.all_gather(&words)?.iter().enumerate() {
            for (p, row) in touched(rank).zip(words.chunks_exact(COUPLED)) {
                let near = |p: usize, k: usize| p.saturating_sub(REACH)..(p + REACH + 1).min(k);
                for qy in near(p / kx, ky) {
                    for q in near(p % kx, kx).map(|qx| qy * kx + qx) {
                        matrix.add(p, q, f64::from_bits(row[place(p, q)]));
                    }
                }
            }
        }
        Ok(())
    }

    /// Rows of coarse functions, from 0, of which some are not zero in the slab of a rank, or in the row above
    /// it.
    fn touched(&self, rank: usize) -> Range<usize> {
        let (rows, hats) = (self.share.slabs().rows(rank), &self.functions.along()[1]);
        if rows.is_empty() {
            return 0..0;
        }
        let (first, last) = (hats[rows.start], hats[rows.end.min(hats.len() - 1)]);
        // Hats are numbered from 1, with the boundary before and after.
        first.first.max(1) - 1..(last.first + 1).min(self.functions.size()[1])
    }

    /// Memory for [`add`](Self::add).
    pub fn memory(&self) -> CoarseMemory {
        let [kx, ky] = self.functions.size();
        let ranks = if self.share.is_alone() { 0 } else { self.share.slabs().ranks() };
        let longest = (0..ranks).map(|rank| kx * self.touched(rank).len()).max().unwrap_or(0);
        CoarseMemory {
            values: vec![0.0; kx * ky],
            mine: vec![0.0; longest],
            all: vec![0.0; ranks * longest],
        }
    }

    /// Numbers held.
    pub fn entries(&self) -> usize {
        self.factor.entries()
    }

    /// `y += Q r` on planes of the rows that are kept: `r` of all slabs is read, `y` is set in `rows`.
    /// Collective; does not allocate.
    ///
    /// # Errors
    /// What the communicator reports.
    pub fn add(
        &self,
        comm: &Comm,
        r: &[f32],
        rows: Range<usize>,
        y: &mut [f32],
        memory: &mut CoarseMemory,
    ) -> Result<()> {
        let CoarseMemory { values, mine, all } = memory;
        if self.share.is_alone() {
            values.fill(0.0);
            self.restrict(r, 0, values);
        } else {
            let kx = self.functions.size()[0];
            mine.fill(0.0);
            self.restrict(r, kx * self.touched(comm.rank()).start, mine);
            comm.gather_f64(mine, all)?;
            values.fill(0.0);
            for (rank, theirs) in all.chunks_exact(mine.len()).enumerate() {
                let touched = self.touched(rank);
                let to = &mut values[kx * touched.start..kx * touched.end];
                to.iter_mut().zip(theirs).for_each(|(to, v)| *to += v);
            }
        }
        self.factor.solve(values);
        let (grid, first) = (self.share.grid(), self.share.first());
        for j in rows {
            let row = &mut y[(j + 1) * grid.stride() + 1..][..grid.mx];
            for (i, y) in row.iter_mut().enumerate() {
                let sum =
                    self.functions.functions(i, first + j).map(|(p, w)| w * values[p]).sum::<f64>();
                *y += sum as f32;
            }
        }
        Ok(())
    }

    /// Adds `Zᵀ r` over the nodes of the slab to numbers from coarse function `start` on.
    fn restrict(&self, r: &[f32], start: usize, sums: &mut [f64]) {
        let (grid, first) = (self.share.grid(), self.share.first());
        for j in self.share.slab() {
            let row = &r[(j + 1) * grid.stride() + 1..][..grid.mx];
            for (i, &r) in row.iter().enumerate() {
                let functions = self.functions.functions(i, first + j);
                functions.for_each(|(p, w)| sums[p - start] += w * f64::from(r));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::pgp::matrix_stencil;
    use precondor_neural::check::random_bands;
    use precondor_neural::random::Random;

    /// `QA` leaves what is bilinear between coarse nodes, and `Q r` is zero for `r` that no coarse
    /// function sees.
    #[test]
    fn the_correction_is_a_projection_onto_the_coarse_functions() {
        let grid = Grid { mx: 15, my: 11 };
        let mut random = Random::new(3, 0);
        let bands = random_bands(&mut random, grid);
        let share = Share::alone(grid).expect("nodes");
        let of = |nodes| Coarse::new(&Comm::solo(), &share, &bands, Some(nodes)).expect("definite");
        for nodes in [1, 3, 5, 100] {
            let coarse = of(nodes);
            let a = matrix_stencil::<f32>(&bands);
            let (mut x, mut r) = (vec![0.0f32; grid.plane()], vec![0.0f32; grid.plane()]);
            let mut memory = coarse.memory();
            let values: Vec<f64> = memory.values.iter().map(|_| random.unit() - 0.5).collect();
            for j in 0..grid.my {
                for i in 0..grid.mx {
                    let sum: f64 =
                        coarse.functions.functions(i, j).map(|(p, w)| w * values[p]).sum();
                    x[(j + 1) * grid.stride() + i + 1] = sum as f32;
                }
            }
            a.add(&x, 1.0, &mut r);
            let mut y = vec![0.0f32; grid.plane()];
            coarse.add(&Comm::solo(), &r, 0..grid.my, &mut y, &mut memory).expect("one rank");
            for (x, y) in x.iter().zip(&y) {
                assert!((x - y).abs() < 1e-5, "{nodes}: {x} {y}");
            }
        }
        assert_eq!((of(5).functions.size(), of(100).functions.size()), ([5, 5], [7, 5]));
    }

    #[test]
    fn the_coarse_grid_is_as_fine_as_is_worth_its_factor() {
        let square = |m| sizes(Grid { mx: m, my: m }, None)[0];
        assert_eq!(
            [1, 3, 15, 31, 63, 127, 255, 511, 1023].map(square),
            [1, 1, 7, 15, 31, 63, 63, 127, 127]
        );
        for (mx, my) in [(40, 40), (1, 900), (900, 1), (200, 31)] {
            let grid = Grid { mx, my };
            let [kx, ky] = sizes(grid, None);
            assert!(kx >= 1 && ky >= 1 && 2 * kx <= mx.max(2) && 2 * ky <= my.max(2), "{kx} {ky}");
            assert!(kx * ky * bandwidth(grid, [kx, ky]).pow(2) <= FLOPS * mx * my, "{kx} {ky}");
        }
    }

    #[test]
    fn an_indefinite_matrix_is_refused() {
        let grid = Grid { mx: 5, my: 5 };
        let mut bands = random_bands(&mut Random::new(1, 0), grid);
        bands.values.iter_mut().for_each(|v| *v = -*v);
        let share = Share::alone(grid).expect("nodes");
        assert!(Coarse::new(&Comm::solo(), &share, &bands, Some(3)).is_err());
    }
}
