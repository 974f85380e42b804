//! The training loss of one matrix and its derivative by the coefficients of the stencils.
//!
//! For a vector `z` the loss is `‖A0^-½ (I − A M₂) A0^½ z‖²`, the square of how much of an error one
//! Richardson step with `ω = 1` leaves, measured in the norm of the unshifted mesh. With
//! `x = A0^½ z`:
//!
//! ```text
//! y₁ = S x     t₁ = x − A y₁     y₂ = y₁ + M t₁     t₂ = x − A y₂     y₃ = y₂ + S t₂     e = x − A y₃
//! ```
//!
//! and the derivative runs the same steps backwards; every operator is its own adjoint, only
//! `P` and `R` are not. `z` is given by its sine transform, so that both half powers of `A0` are diagonal.
//!
//! Cost: seven sine transforms and about 250 flops a node and vector, all in the first-level cache.

use multiversion::multiversion;
use precondor_sdk::core::kernel::separable::eigenvalue;

use crate::reference::pgp::Stencils;
use crate::reference::stencil::Stencil;
use precondor_neural::number::Number;
use precondor_sdk::core::kernel::grid::Grid;

/// The sine transform of small planes by multiplication with the matrix of sines; for grids of up to
/// some 60 nodes a side this is faster than the fast transform.
pub struct SineMatrix<T> {
    grid: Grid,
    /// `my × my`.
    along_y: Vec<T>,
    /// `mx` rows of `mx + 1`, the last entry zero.
    along_x: Vec<T>,
    half: Vec<T>,
    /// Eigenvalues of `A0`, a plane.
    eigen: Vec<T>,
}

/// Rows of a product handled at a time.
const ROWS: usize = 4;
/// Columns of a product handled at a time.
const LANES: usize = 16;

/// `c = a b` with `a` of `m × k`, and rows of `b` and `c` of length `n`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn product<T: Number>((m, k, n): (usize, usize, usize), a: &[T], lda: usize, b: &[T], c: &mut [T]) {
    for column in (0..n).step_by(LANES) {
        let lanes = LANES.min(n - column);
        for row in (0..m).step_by(ROWS) {
            let rows = ROWS.min(m - row);
            let mut sum = [[T::zero(); LANES]; ROWS];
            if lanes == LANES && rows == ROWS {
                for l in 0..k {
                    let b: &[T; LANES] =
                        b[l * n + column..][..LANES].try_into().expect("LANES numbers");
                    for (r, sum) in sum.iter_mut().enumerate() {
                        let a = a[(row + r) * lda + l];
                        for (s, &b) in sum.iter_mut().zip(b) {
                            *s = *s + a * b;
                        }
                    }
                }
            } else {
                for l in 0..k {
                    let b = &b[l * n + column..][..lanes];
                    for (r, sum) in sum[..rows].iter_mut().enumerate() {
                        let a = a[(row + r) * lda + l];
                        for (s, &b) in sum.iter_mut().zip(b) {
                            *s = *s + a * b;
                        }
                    }
                }
            }
            for (r, sum) in sum[..rows].iter().enumerate() {
                c[(row + r) * n + column..][..lanes].copy_from_slice(&sum[..lanes]);
            }
        }
    }
}

impl<T: Number> SineMatrix<T> {
    /// For one grid.
    pub fn new(grid: Grid) -> Self {
        let Grid { mx, my } = grid;
        let sine = |m: usize, k: usize, i: usize| {
            let angle = std::f64::consts::PI * ((k + 1) * (i + 1)) as f64 / (m + 1) as f64;
            T::rounded((2.0 / (m + 1) as f64).sqrt() * angle.sin())
        };
        let along_y = (0..my * my).map(|e| sine(my, e / my, e % my)).collect();
        let wide = mx + 1;
        let along_x = (0..mx * wide)
            .map(|e| if e % wide < mx { sine(mx, e / wide, e % wide) } else { T::zero() })
            .collect();
        let nodes: Vec<T> = (0..mx * my)
            .map(|e| T::rounded(eigenvalue(mx, e % mx + 1) + eigenvalue(my, e / mx + 1)))
            .collect();
        // One at the border keeps quotients there zero.
        let mut eigen = vec![T::one(); grid.plane()];
        grid.to_plane(&nodes, &mut eigen);
        SineMatrix { grid, along_y, along_x, half: vec![T::zero(); grid.body().len()], eigen }
    }

    /// Writes the transform of plane `x` to plane `y`.
    fn transform(&mut self, x: &[T], y: &mut [T]) {
        let (body, stride) = (self.grid.body(), self.grid.stride());
        let Grid { mx, my } = self.grid;
        product((my, my, stride), &self.along_y, my, &x[body.clone()], &mut self.half);
        product((my, mx, stride), &self.half, stride, &self.along_x, &mut y[body]);
    }

    fn divide_by_eigenvalues(&self, x: &mut [T]) {
        for (x, &l) in x.iter_mut().zip(&self.eigen) {
            *x = *x / l;
        }
    }
}

/// The planes the loss of one vector works in.
pub struct Chain<T> {
    sine: SineMatrix<T>,
    planes: [Vec<T>; 10],
    gradient: Stencils<T>,
}

impl<T: Number> Chain<T> {
    /// For one grid and the form of stencils of `like`.
    pub fn new(grid: Grid, like: &Stencils<T>) -> Self {
        let mut gradient = like.clone();
        gradient.clear();
        let planes = std::array::from_fn(|_| vec![T::zero(); grid.plane()]);
        Chain { sine: SineMatrix::new(grid), planes, gradient }
    }

    /// Starts a new sum of derivatives.
    pub fn clear_gradient(&mut self) {
        self.gradient.clear();
    }

    /// The sum of `weight ·` derivatives by the coefficients since it was cleared.
    pub fn gradient(&self) -> &Stencils<T> {
        &self.gradient
    }

    /// From `x`, which is set: `M₂ x`, left in `y3`, and what the way back needs. The same map as that of
    /// [`Operator`](crate::reference::apply::Operator), whose order of work is made for large grids; a test holds them
    /// together.
    fn forward(&mut self, a: &Stencil<T>, stencils: &Stencils<T>) {
        let Chain { sine, planes, .. } = self;
        let [x, y1, t1, t2, y3, e, work, more, _, spare] = planes;
        let (one, minus) = (T::one(), -T::one());
        let Stencils { p, r, .. } = stencils;
        clear(y1);
        stencils.smooth(a, x, work, y1);
        a.add_to(x, y1, minus, t1);
        // y2 in y3: y1 + P A0⁻¹ Pᵀ t1 + R Rᵀ t1. `spare` keeps A0⁻¹ Pᵀ t1 and `more` keeps Rᵀ t1.
        clear(work);
        p.add_transposed(t1, one, work);
        sine.transform(work, e);
        sine.divide_by_eigenvalues(e);
        sine.transform(e, spare);
        p.add_to(y1, spare, one, y3);
        clear(more);
        r.add_transposed(t1, one, more);
        r.add(more, one, y3);
        a.add_to(x, y3, minus, t2);
        stencils.smooth(a, t2, work, y3);
    }

    /// The loss `e` of the vector with sine coefficients `z` (a plane) as `cap·ln(1 + e/cap)`; adds
    /// `weight` times its derivative.
    pub fn loss(
        &mut self,
        a: &Stencil<T>,
        stencils: &Stencils<T>,
        z: &[T],
        weight: T,
        cap: f64,
    ) -> T {
        // x = A0^½ z.
        let [x, .., work, _, _, _] = &mut self.planes;
        for ((w, &z), &l) in work.iter_mut().zip(z).zip(&self.sine.eigen) {
            *w = z * l.sqrt();
        }
        self.sine.transform(work, x);
        self.forward(a, stencils);

        let Chain { sine, planes, gradient } = self;
        let [x, _, t1, t2, y3, e, work, more, back, spare] = planes;
        let (one, minus) = (T::one(), -T::one());
        let Stencils { p, r, .. } = stencils;
        a.add_to(x, y3, minus, e);

        // loss = ‖A0^-½ e‖²; its derivative by e is 2 A0⁻¹ e, left in `e`.
        sine.transform(e, work);
        let mut loss = T::zero();
        for (w, &l) in work.iter_mut().zip(&sine.eigen) {
            loss = loss + *w * *w / l;
            *w = *w / l;
        }
        let (loss, slope) = match cap.is_finite() {
            true => {
                let part = loss.wide() / cap;
                (T::rounded(cap * part.ln_1p()), T::rounded(1.0 / (1.0 + part)))
            }
            false => (loss, one),
        };
        let scale = weight * slope * (one + one);
        work.iter_mut().for_each(|w| *w = *w * scale);
        sine.transform(work, e);

        // Derivative by y3, then by t2 (in work); y2 collects both.
        clear(y3);
        a.add(e, minus, y3);
        gradient.add_smoother_derivative(stencils, a, y3, t2);
        clear(work);
        stencils.smooth(a, y3, back, work);
        a.add(work, minus, y3);
        // y3 is now the derivative by y2, which is that by M t1 and, once more, by y1.
        gradient.p.add_derivative(y3, spare);
        clear(work);
        p.add_transposed(y3, one, work);
        sine.transform(work, e);
        sine.divide_by_eigenvalues(e);
        sine.transform(e, back);
        gradient.p.add_derivative(t1, back);
        clear(t2);
        p.add(back, one, t2);
        gradient.r.add_derivative(y3, more);
        clear(work);
        r.add_transposed(y3, one, work);
        gradient.r.add_derivative(t1, work);
        r.add(work, one, t2);
        // t2 is the derivative by t1.
        a.add(t2, minus, y3);
        gradient.add_smoother_derivative(stencils, a, y3, x);
        loss
    }
}

fn clear<T: Number>(plane: &mut [T]) {
    plane.fill(T::zero());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::apply::Operator;
    use crate::reference::pgp::{Variant, matrix_stencil};
    use crate::reference::share::Share;
    use crate::reference::stencil::tests::{GRID, noise};
    use precondor_neural::check::random_bands;
    use precondor_neural::random::Random;
    use precondor_sdk::core::host::Alone;
    use precondor_sdk::core::kernel::separable::{Separable, Solver};
    use precondor_sdk::prelude::Comm;
    use std::sync::Arc;

    #[test]
    fn sine_matrix_solves_as_the_fast_solver_does() {
        for grid in [GRID, Grid { mx: 15, my: 15 }, Grid { mx: 17, my: 3 }, Grid { mx: 1, my: 1 }] {
            let x = noise(&mut Random::new(1, 0), grid);
            let (mut y, mut spectrum) = (vec![0.0; grid.plane()], vec![0.0; grid.plane()]);
            let mut sine = SineMatrix::new(grid);
            sine.transform(&x, &mut spectrum);
            sine.divide_by_eigenvalues(&mut spectrum);
            sine.transform(&spectrum, &mut y);
            let (mut nodes, mut slow) = (vec![0.0; grid.nodes()], vec![0.0; grid.nodes()]);
            grid.to_nodes(&x, &mut nodes);
            grid.to_nodes(&y, &mut slow);
            let laplacian = Separable::laplacian(&[grid.mx, grid.my]);
            let mut fast = Solver::<f64>::alone(&laplacian).unwrap();
            fast.solve(&Alone, &mut nodes, grid.mx).unwrap();
            assert!(nodes.iter().zip(&slow).all(|(a, b)| (a - b).abs() < 1e-12));
            assert_eq!(y.iter().filter(|v| **v != 0.0).count(), grid.nodes());
        }
    }

    /// Any coefficients.
    fn stencils<T: Number>(random: &mut Random, variant: Variant) -> Stencils<T> {
        let mut stencils = Stencils::new(GRID, variant);
        for (stencil, size) in
            [(&mut stencils.p, 0.2), (&mut stencils.r, 0.3), (&mut stencils.s, 0.1)]
        {
            for c in 0..stencil.offsets().len() {
                let plane = noise(random, GRID);
                for (to, from) in stencil.plane_mut(c).iter_mut().zip(plane) {
                    *to = T::rounded(size * from);
                }
            }
        }
        if variant == Variant::Sweep {
            // ω(i)/a_ii is positive and well below 2/a_ii.
            let weights = stencils.s.plane_mut(0).iter_mut();
            weights.for_each(|w| *w = T::rounded(0.25) + w.abs());
        }
        stencils
    }

    #[test]
    fn what_is_trained_is_what_is_applied_entry_by_entry() {
        for variant in [Variant::Spd, Variant::Stencil, Variant::Sweep] {
            let bands = random_bands(&mut Random::new(7, 0), GRID);
            let seed = || Random::new(8, 0);
            let (a, of) = (matrix_stencil::<f64>(&bands), stencils::<f64>(&mut seed(), variant));
            let mut chain = Chain::new(GRID, &of);
            let (share, single) = (Share::alone(GRID).unwrap(), stencils(&mut seed(), variant));
            let applied = Operator::new(
                Arc::new(Alone),
                &Comm::solo(),
                share,
                matrix_stencil(&bands),
                single,
            );
            let mut memory = applied.memory().unwrap();
            let n = GRID.nodes();
            let (mut size, mut apart) = (0.0f64, 0.0f64);
            for column in 0..n {
                let unit: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i == column))).collect();
                let (mut trained, mut used) = (vec![0.0; n], vec![0.0; n]);
                GRID.to_plane(&unit, &mut chain.planes[0]);
                chain.forward(&a, &of);
                GRID.to_nodes(&chain.planes[4], &mut trained);
                applied.apply(&unit, &mut used, &mut memory).unwrap();
                for (trained, used) in trained.iter().zip(&used) {
                    size = size.max(trained.abs());
                    apart = apart.max((trained - used).abs());
                }
            }
            // One is in double precision, the other one in single.
            assert!(size > 0.1 && apart < 1e-6 * size, "{variant:?}: {apart:e} of {size}");
        }
    }

    #[test]
    fn derivative_by_every_coefficient_agrees_with_differences() {
        for variant in [Variant::Spd, Variant::Stencil, Variant::Sweep] {
            let mut random = Random::new(7, 0);
            let a = matrix_stencil::<f64>(&random_bands(&mut random, GRID));
            let stencils = stencils(&mut random, variant);
            let z = noise(&mut random, GRID);
            // With the diagonal smoother, a cap about as large as the loss.
            let cap = if variant == Variant::Spd { 1.0 } else { f64::INFINITY };
            let mut chain = Chain::new(GRID, &stencils);
            chain.loss(&a, &stencils, &z, 0.5, cap);
            let gradient = chain.gradient().clone();
            let mut checked = 0;
            for which in 0..3 {
                for c in 0..[&stencils.p, &stencils.r, &stencils.s][which].offsets().len() {
                    for node in 0..GRID.nodes() {
                        let at = c * GRID.plane()
                            + (node / GRID.mx + 1) * GRID.stride()
                            + node % GRID.mx
                            + 1;
                        let mut value = |step: f64| {
                            let mut moved = stencils.clone();
                            let stencil = [&mut moved.p, &mut moved.r, &mut moved.s][which]
                                .values
                                .as_mut_slice();
                            stencil[at] += step;
                            chain.loss(&a, &moved, &z, 0.0, cap)
                        };
                        let difference = 0.5 * (value(1e-5) - value(-1e-5)) / 2e-5;
                        let exact = [&gradient.p, &gradient.r, &gradient.s][which].values[at];
                        assert!(
                            (difference - exact).abs() < 1e-7 * (1.0 + exact.abs()),
                            "{variant:?} {which} {c} {node}: {difference} {exact}"
                        );
                        checked += 1;
                    }
                }
            }
            assert_eq!(checked, variant.outputs() * GRID.nodes());
        }
    }
}
