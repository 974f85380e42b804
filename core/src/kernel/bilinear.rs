//! Bilinear functions of k × l nodes spread evenly over a rectangle, at the nodes of a finer grid: the columns of Z in
//! coarse corrections Z (ZᵀAZ)⁻¹ Zᵀ.
use super::grid::Grid;

/// What a node has of the coarse functions along one axis: the first of two and both weights. Coarse nodes are
/// numbered from 1, so that 0 and k + 1 are the boundary, which carries nothing.
#[derive(Clone, Copy, Debug)]
pub struct Hat {
    /// Number of the first.
    pub first: usize,
    /// Values of both.
    pub weights: [f64; 2],
}

/// The coarse functions of a grid.
#[derive(Clone, Debug)]
pub struct Bilinear {
    size: [usize; 2],
    along: [Vec<Hat>; 2],
}

/// Hats of `m` nodes for `k` coarse ones between them.
fn hats(m: usize, k: usize) -> Vec<Hat> {
    let of = |i: usize| {
        let at = ((i + 1) * (k + 1)) as f64 / (m + 1) as f64;
        let first = (at.floor() as usize).min(k);
        let right = at - first as f64;
        Hat { first, weights: [1.0 - right, right] }
    };
    (0..m).map(of).collect()
}

impl Bilinear {
    /// Those of `size` coarse nodes along both axes.
    pub fn new(grid: Grid, size: [usize; 2]) -> Self {
        Bilinear { size, along: [hats(grid.mx, size[0]), hats(grid.my, size[1])] }
    }

    /// Coarse nodes along both axes.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The hats of the nodes along x, and along y.
    pub fn along(&self) -> &[Vec<Hat>; 2] {
        &self.along
    }

    /// The coarse functions that are not zero at a node, with their values: four at most.
    pub fn functions(&self, i: usize, j: usize) -> impl Iterator<Item = (usize, f64)> + use<> {
        let [kx, ky] = self.size;
        let (x, y) = (self.along[0][i], self.along[1][j]);
        let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].into_iter();
        corners.filter_map(move |(a, b)| {
            let (p, q) = (x.first + a, y.first + b);
            let weight = x.weights[a] * y.weights[b];
            let inside = (1..=kx).contains(&p) && (1..=ky).contains(&q) && weight != 0.0;
            inside.then(|| ((q - 1) * kx + p - 1, weight))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_bilinear_function_that_is_zero_at_the_border_is_met() {
        let grid = Grid { mx: 7, my: 11 };
        let coarse = Bilinear::new(grid, [3, 5]);
        // One at the coarse node (2, 3), which is node (3, 5) of the grid.
        let value = |i, j| coarse.functions(i, j).filter(|f| f.0 == 2 * 3 + 1).map(|f| f.1).sum();
        for (i, j, expected) in [(3, 5, 1.0), (2, 5, 0.5), (4, 6, 0.25), (1, 5, 0.0), (6, 10, 0.0)]
        {
            let value: f64 = value(i, j);
            assert!((value - expected).abs() < 1e-15, "{i} {j}: {value}");
        }
    }
}
