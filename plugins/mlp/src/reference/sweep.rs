//! A symmetric relaxed Gauss–Seidel sweep as the smoother, with a relaxation of its own at every node:
//! `S = (W⁻¹ + U)⁻¹ (2W⁻¹ − D) (W⁻¹ + L)⁻¹`, with `A = L + D + U` in the order of the sweep and
//! `W = diag(ω(i)/a_ii)`.
//!
//! - **Positive definite for any** `0 < ω < 2`: `I − S A = (I − (W⁻¹ + U)⁻¹A)(I − (W⁻¹ + L)⁻¹A)`, where in
//!   the inner product of `A` the first factor is the adjoint of the second and shorter than one
//!   because `2W⁻¹ − D` is positive; so `0 < S ≤ A⁻¹`.
//! - **Order**: first the rows of the grid with even number, each from left to right, then those with
//!   odd number; back again in the opposite order. Rows of one kind do not touch each other and could be
//!   swept at the same time; `S` does not depend on how many are, nor on how many ranks share the grid: a row of
//!   `S x` follows from `x` in that row and two on each side.
//! - **Cost**: twice a half sweep of about 9 flops a node, the six couplings of `A` and one stored number
//!   a node.
//! - **Reference**: Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, §4.1, §4.2.

use std::ops::Range;

use crate::reference::stencil::Stencil;
use precondor_neural::number::Number;

/// The sweep for a matrix and the planes of `ω(i)/a_ii`.
pub struct Sweep<'a, K, T> {
    a: &'a Stencil<T>,
    relaxation: &'a [K],
    /// The rows that are swept.
    rows: Range<usize>,
    /// Whether the first row of the stencil's grid is an even one.
    starts_even: bool,
}

impl<'a, K: Number + Into<T>, T: Number> Sweep<'a, K, T> {
    /// For a matrix in four bands, as [`crate::reference::pgp::matrix_stencil`] makes it.
    pub fn new(a: &'a Stencil<T>, relaxation: &'a [K]) -> Self {
        Sweep { a, relaxation, rows: 0..a.grid().my, starts_even: true }
    }

    /// The same over some rows, of a grid that begins with row `first` of the whole: right for all of them but
    /// two at each end, where the whole goes on.
    #[must_use]
    pub fn within(self, rows: Range<usize>, first: usize) -> Self {
        Sweep { rows, starts_even: first.is_multiple_of(2), ..self }
    }

    /// The rows that are swept with even number, or those with odd number.
    fn turn(&self, even: bool) -> impl Iterator<Item = usize> + use<K, T> {
        let starts_even = self.starts_even;
        self.rows.clone().filter(move |j| (j.is_multiple_of(2) == starts_even) == even)
    }

    /// Places of row `j` of the grid in a plane.
    fn row(&self, j: usize) -> Range<usize> {
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
        for even in [true, false] {
            for j in self.turn(even) {
                if !even {
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
        for even in [false, true] {
            for j in self.turn(even) {
                if even {
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
        for j in self.rows.clone() {
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
    use crate::reference::pgp::matrix_stencil;
    use precondor_neural::check::random_bands;
    use precondor_neural::random::Random;
    use precondor_sdk::core::kernel::bands::Bands;
    use precondor_sdk::core::kernel::grid::Grid;

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
    fn some_rows_by_themselves_are_swept_as_in_the_whole() {
        let grid = Grid { mx: 5, my: 13 };
        let mut random = Random::new(4, 0);
        let bands = random_bands(&mut random, grid);
        let a = matrix_stencil::<f64>(&bands);
        let relaxation = vec![0.3; grid.plane()];
        let nodes: Vec<f64> = (0..grid.nodes()).map(|_| random.unit()).collect();
        let mut x = vec![0.0; grid.plane()];
        grid.to_plane(&nodes, &mut x);
        let mut whole = x.clone();
        Sweep::new(&a, &relaxation).apply(&mut whole);
        let (start, stride) = (grid.body().start, grid.stride());
        for (first, last) in [(0, 7), (3, 9), (4, 13), (6, 11)] {
            let part = Grid { mx: 5, my: last - first };
            let cut = |plane: &[f64]| {
                let mut out = vec![0.0; part.plane()];
                let rows = start + first * stride..start + last * stride;
                out[part.body()].copy_from_slice(&plane[rows]);
                out
            };
            let values = (0..4).flat_map(|band| cut(bands.plane(band))).collect();
            let a = matrix_stencil::<f64>(&Bands { grid: part, values });
            let mut y = cut(&x);
            Sweep::new(&a, &relaxation).within(0..part.my, first).apply(&mut y);
            let inner = if first == 0 { 0 } else { 2 }..part.my - if last == 13 { 0 } else { 2 };
            let rows = start + inner.start * stride..start + inner.end * stride;
            let same = cut(&whole)[rows.clone()] == y[rows];
            assert!(same, "{first} {last}");
        }
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
