//! A correction on a coarse grid, for coefficients that jump: `Q = Z (ZᵀAZ)⁻¹ Zᵀ` with `Z` the bilinear
//! functions of a few coarse nodes a side, applied before and after the reference solve.
//!
//! Scaling by the nodal coefficient makes the reference solve right on both sides of a jump, but not for what is
//! smooth across it: there the condition grows as the mesh is refined (see [`super::coefficient`]). Such
//! vectors are few and smooth along the jump, and the coarse grid holds them. The map
//! `(I − SA)(I − QA)(I − MA)(I − QA)(I − SA) = I − M₂A` stays symmetric, and positive definite where it was,
//! because `I − QA` is a projection.
//!
//! - **Works for** jumps some coarse steps apart; between coarse and fine steps the condition still grows.
//! - **Cost**: setup some 120 flops a node and `k⁶/3` for the Cholesky factor of `k²` coarse unknowns; an
//!   application two more products with `A`, about 20 flops a node and `4k⁴`. `k⁴` numbers.
//! - **Reference**: R. Nicolaides, *Deflation of conjugate gradients with applications to boundary value
//!   problems*, SIAM J. Numer. Anal. 24 (1987).

use precondor_sdk::prelude::*;

use crate::grid::{BANDS, Bands, Grid};

/// Coarse nodes a side, at most, unless asked for.
pub const NODES: usize = 23;

/// What a node has of the coarse functions along one axis: the first of two and both weights.
#[derive(Clone, Copy, Debug)]
struct Hat {
    first: usize,
    weights: [f64; 2],
}

/// The correction for one matrix.
pub struct Coarse {
    grid: Grid,
    size: [usize; 2],
    along: [Vec<Hat>; 2],
    /// The Cholesky factor, row after row, with reciprocals on the diagonal.
    factor: Vec<f64>,
}

/// Hats of `m` nodes for `k` coarse ones between them. Coarse nodes are numbered from 1, so that 0 and
/// `k + 1` are the boundary.
fn hats(m: usize, k: usize) -> Vec<Hat> {
    let of = |i: usize| {
        let at = ((i + 1) * (k + 1)) as f64 / (m + 1) as f64;
        let first = (at.floor() as usize).min(k);
        let right = at - first as f64;
        Hat { first, weights: [1.0 - right, right] }
    };
    (0..m).map(of).collect()
}

impl Coarse {
    /// The correction with up to `nodes` coarse nodes a side, at most every second one of the grid.
    ///
    /// # Errors
    /// [`Error::Breakdown`] where the matrix is not positive definite.
    pub fn new(bands: &Bands, nodes: usize) -> Result<Self> {
        let grid = bands.grid;
        let Grid { mx, my } = grid;
        let size = [mx, my].map(|m| m.div_ceil(2).saturating_sub(1).min(nodes).max(1));
        let along = [hats(mx, size[0]), hats(my, size[1])];
        let n = size[0] * size[1];
        let mut matrix = vec![0.0; n * n];
        let here = Coarse { grid, size, along, factor: Vec::new() };
        for j in 0..my {
            for i in 0..mx {
                let at = (j + 1) * grid.stride() + i + 1;
                for (band, (dx, dy)) in BANDS.into_iter().enumerate() {
                    let value = bands.plane(band)[at];
                    let (x, y) = (i.wrapping_add_signed(dx), j.wrapping_add_signed(dy));
                    if value == 0.0 || x >= mx || y >= my {
                        continue;
                    }
                    for (p, wp) in here.functions(i, j) {
                        for (q, wq) in here.functions(x, y) {
                            matrix[p * n + q] += value * wp * wq;
                            if band > 0 {
                                matrix[q * n + p] += value * wp * wq;
                            }
                        }
                    }
                }
            }
        }
        let factor = cholesky(matrix, n)?;
        Ok(Coarse { factor, ..here })
    }

    /// The coarse functions that are not zero at a node, with their values.
    fn functions(&self, i: usize, j: usize) -> impl Iterator<Item = (usize, f64)> + use<> {
        let [kx, ky] = self.size;
        let (x, y) = (self.along[0][i], self.along[1][j]);
        let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].into_iter();
        corners.filter_map(move |(a, b)| {
            let (p, q) = (x.first + a, y.first + b);
            let inside = (1..=kx).contains(&p) && (1..=ky).contains(&q);
            inside.then(|| ((q - 1) * kx + p - 1, x.weights[a] * y.weights[b]))
        })
    }

    /// Memory for [`add`](Self::add).
    pub fn memory(&self) -> Vec<f64> {
        vec![0.0; self.size[0] * self.size[1]]
    }

    /// Numbers held.
    pub fn entries(&self) -> usize {
        self.factor.len()
    }

    /// `y += Q r` on planes.
    pub fn add(&self, r: &[f32], y: &mut [f32], memory: &mut [f64]) {
        let Grid { mx, my } = self.grid;
        let stride = self.grid.stride();
        memory.fill(0.0);
        for j in 0..my {
            let row = &r[(j + 1) * stride + 1..][..mx];
            for (i, &r) in row.iter().enumerate() {
                self.functions(i, j).for_each(|(p, w)| memory[p] += w * f64::from(r));
            }
        }
        solve(&self.factor, memory);
        for j in 0..my {
            let row = &mut y[(j + 1) * stride + 1..][..mx];
            for (i, y) in row.iter_mut().enumerate() {
                *y += self.functions(i, j).map(|(p, w)| w * memory[p]).sum::<f64>() as f32;
            }
        }
    }
}

/// The lower factor of a symmetric matrix, with reciprocals on its diagonal.
fn cholesky(mut a: Vec<f64>, n: usize) -> Result<Vec<f64>> {
    for j in 0..n {
        for i in j..n {
            let (above, below) = a.split_at(i * n);
            let row = &below[..j];
            let other = if i == j { row } else { &above[j * n..j * n + j] };
            let dot: f64 = row.iter().zip(other).map(|(x, y)| x * y).sum();
            let value = a[i * n + j] - dot;
            if i == j && (value.is_nan() || value <= 0.0) {
                return Err(Error::Breakdown("the matrix is not positive definite".into()));
            }
            a[i * n + j] = if i == j { 1.0 / value.sqrt() } else { value * a[j * n + j] };
        }
    }
    Ok(a)
}

/// `x ← (L Lᵀ)⁻¹ x`.
fn solve(factor: &[f64], x: &mut [f64]) {
    let n = x.len();
    for i in 0..n {
        let row = &factor[i * n..i * n + i];
        let dot: f64 = row.iter().zip(&x[..i]).map(|(l, x)| l * x).sum();
        x[i] = (x[i] - dot) * factor[i * n + i];
    }
    for i in (0..n).rev() {
        let value = x[i] * factor[i * n + i];
        x[i] = value;
        let row = &factor[i * n..i * n + i];
        x[..i].iter_mut().zip(row).for_each(|(x, l)| *x -= l * value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::reference::pgp::matrix_stencil;
    use crate::reference::pgp::tests::random_bands;

    /// `QA` leaves what is bilinear between coarse nodes, and `Q r` is zero for `r` that no coarse
    /// function sees.
    #[test]
    fn the_correction_is_a_projection_onto_the_coarse_functions() {
        let grid = Grid { mx: 15, my: 11 };
        let mut random = Random::new(3, 0);
        let bands = random_bands(&mut random, grid);
        for nodes in [1, 3, 5, 100] {
            let coarse = Coarse::new(&bands, nodes).expect("positive definite");
            let a = matrix_stencil::<f32>(&bands);
            let (mut x, mut r) = (vec![0.0f32; grid.plane()], vec![0.0f32; grid.plane()]);
            let values: Vec<f64> = coarse.memory().iter().map(|_| random.unit() - 0.5).collect();
            for j in 0..grid.my {
                for i in 0..grid.mx {
                    let sum: f64 = coarse.functions(i, j).map(|(p, w)| w * values[p]).sum();
                    x[(j + 1) * grid.stride() + i + 1] = sum as f32;
                }
            }
            a.add(&x, 1.0, &mut r);
            let mut y = vec![0.0f32; grid.plane()];
            coarse.add(&r, &mut y, &mut coarse.memory());
            for (x, y) in x.iter().zip(&y) {
                assert!((x - y).abs() < 1e-5, "{nodes}: {x} {y}");
            }
        }
        assert_eq!(Coarse::new(&bands, 5).expect("positive definite").size, [5, 5]);
        assert_eq!(Coarse::new(&bands, 100).expect("positive definite").size, [7, 5]);
    }

    #[test]
    fn hats_sum_to_one_and_are_zero_at_the_boundary() {
        for (m, k) in [(7, 3), (10, 4), (1, 1), (6, 2)] {
            for (i, hat) in hats(m, k).iter().enumerate() {
                assert!((hat.weights[0] + hat.weights[1] - 1.0).abs() < 1e-15);
                let at = hat.first as f64 + hat.weights[1];
                assert!((at / (k + 1) as f64 - (i + 1) as f64 / (m + 1) as f64).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn an_indefinite_matrix_is_refused() {
        let grid = Grid { mx: 5, my: 5 };
        let mut bands = random_bands(&mut Random::new(1, 0), grid);
        bands.values.iter_mut().for_each(|v| *v = -*v);
        assert!(Coarse::new(&bands, 3).is_err());
    }
}
