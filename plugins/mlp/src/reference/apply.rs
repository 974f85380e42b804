//! The wrapped reference map as an operator: `z = M₂ r` on a whole grid, on the threads of the host.
//!
//! ```text
//! y = S r     t = r − A y     u = A0⁻¹ Pᵀ t     y += R Rᵀ t + P u     t = r − A y     z = y + S t
//! ```
//!
//! Everything inside is in single precision: `M₂` has to be close to `A⁻¹` only as far as the network made
//! it so, and what rounding adds is, measured in energy, some 10⁻⁵ of the result at a quarter of a million
//! nodes (see `sine.rs`), a thousandth of what an iteration leaves. The residual is scaled by a power of two
//! first, so that no residual is too small or too large.
//!
//! Cost an application: two sweeps with `A`, `S` and each of `P` and `R`, one solve with `A0`; the
//! coefficients are read twice, the vectors stay in the second-level cache. Rows of the grid are shared out
//! to the threads in nine loops, in which no sum depends on how: the result has the same bits on any number
//! of threads.

use std::ops::Range;
use std::sync::Arc;

use multiversion::multiversion;
use precondor_sdk::core::kernel::chunks;
use precondor_sdk::core::kernel::sine::{PoissonSolver, SineScratch};
use precondor_sdk::prelude::*;

use crate::grid::{Grid, grain};
use crate::reference::coarse::Coarse;
use crate::reference::pgp::Stencils;
use crate::reference::stencil::{Onto, Stencil};

/// `M₂` of one matrix.
pub struct Operator {
    host: Arc<dyn Host>,
    a: Stencil<f32>,
    /// `P`, `R` and `S`.
    pub stencils: Stencils<f32>,
    solver: PoissonSolver<f32>,
    /// `C^-½` at every node, a plane; empty where the coefficient is constant.
    scaling: Vec<f32>,
    coarse: Option<Coarse>,
}

/// The memory of an application.
pub struct Memory {
    planes: [Vec<f32>; 5],
    sine: SineScratch<f32>,
    coarse: Vec<f64>,
}

impl Memory {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let planes = self.planes.iter().map(Vec::len).sum::<usize>();
        size_of::<f32>() * planes + self.sine.bytes() + size_of::<f64>() * self.coarse.len()
    }
}

/// The power of two by which the largest of `values` comes near one; one where that is zero or not finite.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn near_one(values: &[f64]) -> f64 {
    const SIGN: u64 = 1 << 63;
    // Magnitudes are ordered as the integers with the same bits.
    let largest = values.iter().fold(0, |most: u64, v| most.max(v.to_bits() & !SIGN));
    match largest >> 52 {
        0 if largest == 0 => 1.0,
        0x7ff => 1.0,
        exponent => 2f64.powi((1023 - exponent as i32).min(1022)),
    }
}

impl Operator {
    /// The map of a matrix with given stencils.
    pub fn new(host: Arc<dyn Host>, a: Stencil<f32>, stencils: Stencils<f32>) -> Self {
        let Grid { mx, my } = a.grid();
        let solver = PoissonSolver::new(mx, my);
        Operator { host, a, stencils, solver, scaling: Vec::new(), coarse: None }
    }

    /// The same around `C^-½ A0⁻¹ C^-½` for a coefficient, one number a node.
    #[must_use]
    pub fn scaled(mut self, coefficient: Option<&[f64]>) -> Self {
        if let Some(coefficient) = coefficient {
            let roots: Vec<f32> = coefficient.iter().map(|c| c.sqrt().recip() as f32).collect();
            self.scaling = vec![0.0; self.grid().plane()];
            self.grid().to_plane(&roots, &mut self.scaling);
        }
        self
    }

    /// The same with a correction on a coarse grid before and after the reference solve.
    #[must_use]
    pub fn corrected(self, coarse: Option<Coarse>) -> Self {
        Operator { coarse, ..self }
    }

    /// Stored numbers, the bands of `A` not counted.
    pub fn entries(&self) -> usize {
        let scaling = if self.scaling.is_empty() { 0 } else { self.grid().nodes() };
        self.stencils.entries() + scaling + self.coarse.as_ref().map_or(0, Coarse::entries)
    }

    /// `y = S x`, or `y += S x`; `spare` is work space.
    fn smooth(
        &self,
        x: &[f32],
        spare: &mut [f32],
        onto: Onto<'_, f32>,
        y: &mut [f32],
    ) -> Result<()> {
        if self.stencils.sweep(&self.a).is_none() {
            return self.rows([y], |rows, [y]| self.stencils.s.sweep(rows, false, x, 1.0, onto, y));
        }
        if let Onto::Nothing = onto {
            y.fill(0.0);
        }
        self.stencils.smooth(&self.a, x, spare, y);
        Ok(())
    }

    /// The grid.
    pub fn grid(&self) -> Grid {
        self.a.grid()
    }

    /// Bytes held, those of [`Memory`] not counted.
    pub fn bytes(&self) -> usize {
        self.a.bytes()
            + self.stencils.bytes()
            + self.solver.bytes()
            + size_of::<f32>() * self.scaling.len()
            + size_of::<f64>() * self.coarse.as_ref().map_or(0, Coarse::entries)
    }

    /// Memory for [`apply`](Self::apply), allocated once.
    pub fn memory(&self) -> Memory {
        let planes = std::array::from_fn(|_| vec![0.0; self.grid().plane()]);
        let coarse = self.coarse.as_ref().map_or(Vec::new(), Coarse::memory);
        Memory { planes, sine: self.solver.scratch(), coarse }
    }

    /// Runs `body` on runs of rows of the grid with their parts of the bodies of `planes`.
    fn rows<const N: usize>(
        &self,
        planes: [&mut [f32]; N],
        body: impl Fn(Range<usize>, [&mut [f32]; N]) + Sync,
    ) -> Result<()> {
        let grid = self.grid();
        let bodies = planes.map(|plane| (&mut plane[grid.body()], grid.stride()));
        chunks::rows(&*self.host, grid.my, grain(grid), bodies, |rows, parts| {
            body(rows, parts);
            Ok(())
        })
    }

    /// `x ← C^-½ x` on rows of the grid.
    fn scale(&self, rows: Range<usize>, x: &mut [f32]) {
        if self.scaling.is_empty() {
            return;
        }
        let stride = self.grid().stride();
        let scaling = &self.scaling[self.grid().body().start + rows.start * stride..];
        x.iter_mut().zip(scaling).for_each(|(x, s)| *x *= s);
    }

    /// `z = M₂ r`, one number a node. Allocates nothing.
    ///
    /// # Errors
    /// What the host reports.
    pub fn apply(&self, r: &[f64], z: &mut [f64], memory: &mut Memory) -> Result<()> {
        let Grid { mx, my } = self.grid();
        let (stride, body) = (self.grid().stride(), self.grid().body());
        let Stencils { p, r: half, .. } = &self.stencils;
        let Memory { planes: [x, y, t, u, w], sine, coarse: spare } = memory;

        let scale = near_one(r);
        self.rows([x], |rows, [x]| {
            let from = r[rows.start * mx..rows.end * mx].chunks_exact(mx);
            for (to, from) in x.chunks_exact_mut(stride).zip(from) {
                to.iter_mut().zip(from).for_each(|(to, &r)| *to = (scale * r) as f32);
            }
        })?;
        let x = &*x;
        let residual = |y: &[f32], t: &mut [f32]| {
            self.rows([t], |rows, [t]| self.a.sweep(rows, false, y, -1.0, Onto::Plane(x), t))
        };
        self.smooth(x, w, Onto::Nothing, y)?;
        residual(y, t)?;
        if let Some(coarse) = &self.coarse {
            coarse.add(t, y, spare);
            residual(y, t)?;
        }
        self.rows([u, w], |rows, [u, w]| {
            p.sweep(rows.clone(), true, t, 1.0, Onto::Nothing, u);
            self.scale(rows.clone(), u);
            half.sweep(rows, true, t, 1.0, Onto::Nothing, w);
        })?;
        self.solver.solve(&*self.host, &mut u[body.clone()], stride, sine)?;
        if !self.scaling.is_empty() {
            self.rows([u], |rows, [u]| self.scale(rows, u))?;
        }
        self.rows([y], |rows, [y]| {
            p.sweep(rows.clone(), false, u, 1.0, Onto::Itself, y);
            half.sweep(rows, false, w, 1.0, Onto::Itself, y);
        })?;
        residual(y, t)?;
        if let Some(coarse) = &self.coarse {
            coarse.add(t, y, spare);
            residual(y, t)?;
        }
        self.smooth(t, w, Onto::Itself, y)?;
        let y = &y[body];
        chunks::rows(&*self.host, my, grain(self.grid()), [(z, mx)], |rows, [z]| {
            let from = y[rows.start * stride..].chunks_exact(stride);
            for (to, from) in z.chunks_exact_mut(mx).zip(from) {
                to.iter_mut().zip(from).for_each(|(to, &y)| *to = f64::from(y) / scale);
            }
            Ok(())
        })
    }
}
