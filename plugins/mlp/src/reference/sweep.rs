//! A symmetric relaxed Gauss–Seidel sweep as the smoother, with a relaxation of its own at every node:
//! `S = (W⁻¹ + U)⁻¹ (2W⁻¹ − D) (W⁻¹ + L)⁻¹`, with `A = L + D + U` in the order of the sweep and
//! `W = diag(ω(i)/a_ii)`.
//!
//! - **Positive definite for any** `0 < ω < 2`: `I − S A = (I − (W⁻¹ + U)⁻¹A)(I − (W⁻¹ + L)⁻¹A)`, where in
//!   the inner product of `A` the first factor is the adjoint of the second and shorter than one
//!   because `2W⁻¹ − D` is positive; so `0 < S ≤ A⁻¹`.
//! - **Order**: first the rows of the grid with even number, each from left to right, then those with
//!   odd number; back again in the opposite order. Rows of one kind do not touch each other and could be
//!   swept at the same time; `S` does not depend on how many are.
//! - **Cost**: twice a half sweep of about 9 flops a node, the six couplings of `A` and one stored number
//!   a node.
//! - **Reference**: Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, §4.1, §4.2.

use crate::number::Number;
use crate::reference::stencil::Stencil;

/// The sweep for a matrix and the planes of `ω(i)/a_ii`.
pub struct Sweep<'a, K, T> {
    a: &'a Stencil<T>,
    relaxation: &'a [K],
}

impl<'a, K: Number + Into<T>, T: Number> Sweep<'a, K, T> {
    /// For a matrix in four bands, as [`crate::reference::pgp::matrix_stencil`] makes it.
    pub fn new(a: &'a Stencil<T>, relaxation: &'a [K]) -> Self {
        Sweep { a, relaxation }
    }

    /// Places of row `j` of the grid in a plane.
    fn row(&self, j: usize) -> std::ops::Range<usize> {
        let grid = self.a.grid();
        let start = grid.body().start + j * grid.stride();
        start..start + grid.mx
    }

    /// Subtracts from row `j` of `x` its couplings to both rows beside it, where `x` is final there.
    fn beside(&self, j: usize, x: &mut [T]) {
        let (stride, row) = (self.a.grid().stride(), self.row(j));
        let n = row.len();
        let [up, edge] = [2, 3].map(|band| self.a.plane(band));
        let (below, rest) = x.split_at_mut(row.start);
        let (here, above) = rest.split_at_mut(stride);
        let at = row.start;
        let (v, v_below) = (&up[at..][..n], &up[at - stride..][..n]);
        let (g, g_below) = (&edge[at..][..n], &edge[at - stride - 1..][..n]);
        let (x_below, x_left) = (&below[at - stride..][..n], &below[at - stride - 1..][..n]);
        let (x_above, x_right) = (&above[..n], &above[1..][..n]);
        for i in 0..n {
            let sum = v[i] * x_above[i] + v_below[i] * x_below[i];
            here[i] = here[i] - sum - g[i] * x_right[i] - g_below[i] * x_left[i];
        }
    }

    /// `x ← (W⁻¹ + L)⁻¹ x`.
    fn forward(&self, x: &mut [T]) {
        let h = self.a.plane(1);
        for first in [0, 1] {
            for j in (first..self.a.grid().my).step_by(2) {
                if first == 1 {
                    self.beside(j, x);
                }
                let mut last = T::zero();
                for at in self.row(j) {
                    last = self.relaxation[at].into() * (x[at] - h[at - 1] * last);
                    x[at] = last;
                }
            }
        }
    }

    /// `x ← (W⁻¹ + U)⁻¹ x`.
    fn backward(&self, x: &mut [T]) {
        let h = self.a.plane(1);
        for first in [1, 0] {
            for j in (first..self.a.grid().my).step_by(2) {
                if first == 0 {
                    self.beside(j, x);
                }
                let mut last = T::zero();
                for at in self.row(j).rev() {
                    last = self.relaxation[at].into() * (x[at] - h[at] * last);
                    x[at] = last;
                }
            }
        }
    }

    /// `x ← (2W⁻¹ − D) x`.
    fn middle(&self, x: &mut [T]) {
        let two = T::one() + T::one();
        let d = self.a.plane(0);
        for j in 0..self.a.grid().my {
            for at in self.row(j) {
                x[at] = x[at] * (two / self.relaxation[at].into() - d[at]);
            }
        }
    }

    /// `x ← S x`.
    pub fn apply(&self, x: &mut [T]) {
        self.forward(x);
        self.middle(x);
        self.backward(x);
    }

    /// Adds to `derivative`, that by `ω(i)/a_ii`, the one of `gᵀ S x`.
    pub fn add_derivative(&self, g: &[T], x: &[T], derivative: &mut [T]) {
        // With T = W⁻¹ + L: u = T⁻¹ x, y = S x, q = T⁻¹ g, p = S g; by W⁻¹ it is 2qu − qy − pu.
        let [mut u, mut q] = [x.to_vec(), g.to_vec()];
        self.forward(&mut u);
        self.forward(&mut q);
        let [mut y, mut p] = [u.clone(), q.clone()];
        for x in [&mut y, &mut p] {
            self.middle(x);
            self.backward(x);
        }
        let two = T::one() + T::one();
        for j in 0..self.a.grid().my {
            for at in self.row(j) {
                let by_inverse = two * q[at] * u[at] - q[at] * y[at] - p[at] * u[at];
                let w: T = self.relaxation[at].into();
                derivative[at] = derivative[at] - by_inverse / (w * w);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Grid;
    use crate::random::Random;
    use crate::reference::pgp::matrix_stencil;
    use crate::reference::pgp::tests::random_bands;

    /// Solves `T x = r` for a dense matrix by elimination.
    fn solve(t: &[f64], r: &[f64]) -> Vec<f64> {
        let n = r.len();
        let (mut t, mut x) = (t.to_vec(), r.to_vec());
        for k in 0..n {
            for i in k + 1..n {
                let factor = t[i * n + k] / t[k * n + k];
                (k..n).for_each(|j| t[i * n + j] -= factor * t[k * n + j]);
                x[i] -= factor * x[k];
            }
        }
        for k in (0..n).rev() {
            x[k] = (x[k] - (k + 1..n).map(|j| t[k * n + j] * x[j]).sum::<f64>()) / t[k * n + k];
        }
        x
    }

    #[test]
    fn the_sweep_is_its_formula() {
        for grid in [Grid { mx: 4, my: 5 }, Grid { mx: 3, my: 1 }, Grid { mx: 1, my: 4 }] {
            let mut random = Random::new(2, 0);
            let a = matrix_stencil::<f64>(&random_bands(&mut random, grid));
            let n = grid.nodes();
            let unit = |k: usize| {
                let mut nodes = vec![0.0; n];
                nodes[k] = 1.0;
                let mut plane = vec![0.0; grid.plane()];
                grid.to_plane(&nodes, &mut plane);
                plane
            };
            let mut dense = vec![0.0; n * n];
            for k in 0..n {
                let (mut y, mut column) = (vec![0.0; grid.plane()], vec![0.0; n]);
                a.add(&unit(k), 1.0, &mut y);
                grid.to_nodes(&y, &mut column);
                (0..n).for_each(|i| dense[i * n + k] = column[i]);
            }
            let w: Vec<f64> =
                (0..n).map(|i| (0.3 + 1.4 * random.unit()) / dense[i * n + i]).collect();
            let mut plane = vec![0.0; grid.plane()];
            grid.to_plane(&w, &mut plane);
            // Even rows of the grid before odd ones.
            let turn = |i: usize| ((i / grid.mx) % 2, i);
            let half = |lower: bool| -> Vec<f64> {
                let entry = |e: usize| match (e / n, e % n) {
                    (i, j) if i == j => 1.0 / w[i],
                    (i, j) if (turn(j) < turn(i)) == lower => dense[e],
                    _ => 0.0,
                };
                (0..n * n).map(entry).collect()
            };
            // Elimination wants the order of the sweep.
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by_key(|&i| turn(i));
            let ordered = |t: &[f64], r: &[f64]| {
                let t: Vec<f64> = (0..n * n).map(|e| t[order[e / n] * n + order[e % n]]).collect();
                let r: Vec<f64> = order.iter().map(|&i| r[i]).collect();
                let mut x = vec![0.0; n];
                order.iter().zip(solve(&t, &r)).for_each(|(&i, v)| x[i] = v);
                x
            };
            for k in 0..n {
                let mut r = vec![0.0; n];
                r[k] = 1.0;
                let u = ordered(&half(true), &r);
                let v: Vec<f64> = (0..n).map(|i| (2.0 / w[i] - dense[i * n + i]) * u[i]).collect();
                let expected = ordered(&half(false), &v);
                let mut x = unit(k);
                Sweep::new(&a, &plane).apply(&mut x);
                let mut found = vec![0.0; n];
                grid.to_nodes(&x, &mut found);
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
                }
            }
        }
    }
}
