//! What smooths on a level: z ← z + S (r − A z) before the coarse correction, with Sᵀ after it.
//!
//! | kind | S | 0 < S + Sᵀ − Sᵀ A S |
//! |---|---|---|
//! | Chebyshev | two steps, `kernel/chebyshev.rs` of the core | proved there |
//! | Gauss–Seidel | (D + L)⁻¹ before, (D + U)⁻¹ after | Sᵀ D S: for any positive diagonal |
//! | a method by name | ω M | where ω λmax(MA) < 2: `kernel/smoothing.rs` of the core |
use crate::multigrid::Params;
use crate::sweeps::Sweeps;
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::kernel::chebyshev::Chebyshev;
use precondor_sdk::core::kernel::smoothing::{Named, Traits};
use precondor_sdk::prelude::*;

/// What smooths, where it is no method by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Kind {
    /// Two Chebyshev steps: products with A alone.
    Chebyshev,
    /// A Gauss-Seidel sweep, forward before and backward after.
    GaussSeidel,
}

/// Chebyshev's iteration works on the upper three quarters of the spectrum.
const RATIO: f64 = 4.0;
/// One level's smoother.
pub(crate) struct Smoother {
    how: How,
    /// A plane for one step, where it is not done in place.
    step: Vec<f64>,
}

enum How {
    Chebyshev(Chebyshev),
    /// 1/aᵢᵢ, and one number for each node of a row.
    GaussSeidel {
        inverse: Vec<f64>,
        line: Vec<f64>,
    },
    /// A method, and one number a node for what it is applied to and what comes out.
    Named(Named, [Vec<f64>; 2]),
}

impl Smoother {
    /// For level number `level` with the matrix `a`; `system` is the whole of it on one rank, and is
    /// asked for by methods by name alone.
    pub fn new(
        params: &Params,
        level: usize,
        a: &Bands,
        system: impl FnOnce() -> Result<System>,
    ) -> Result<(Self, Traits)> {
        let grid = a.grid;
        let mut traits = Traits::PROVED;
        let how = match (&params.method, params.smoother) {
            (Some(method), _) => {
                let system = system()?;
                let (named, of_method) = Named::new(method, params.damping, level, &system, true)?;
                traits = of_method;
                let nodes = || vec![0.0; system.a().n_own()];
                How::Named(named, [nodes(), nodes()])
            }
            (None, Kind::Chebyshev) => {
                let sums = a.absolute_sums().into_iter();
                // Rows of zeros were refused with the diagonal.
                let steps = Chebyshev::new(sums, 2, RATIO).map_err(|(_, sum)| {
                    Error::Breakdown(format!("level {level}: a row's Σ|a(i,j)| is {sum}"))
                })?;
                How::Chebyshev(steps)
            }
            (None, Kind::GaussSeidel) => {
                let mut inverse = vec![0.0; grid.plane()];
                for at in (0..grid.my).flat_map(|j| grid.line(j)) {
                    inverse[at] = 1.0 / a.plane(0)[at];
                }
                How::GaussSeidel { inverse, line: vec![0.0; grid.mx] }
            }
        };
        let in_place = matches!(how, How::GaussSeidel { .. });
        let step = if in_place { vec![] } else { vec![0.0; grid.plane()] };
        Ok((Smoother { how, step }, traits))
    }

    /// `steps` steps from zero, and `rest = r − A z` after them.
    pub fn before(
        &mut self,
        a: &Bands,
        steps: u32,
        r: &[f64],
        z: &mut [f64],
        rest: &mut [f64],
    ) -> Result<()> {
        if let How::GaussSeidel { inverse, line } = &mut self.how {
            a.sweep_forward(inverse, r, z, true, line);
            (1..steps).for_each(|_| a.sweep_forward(inverse, r, z, false, line));
            if steps == 1 {
                a.residual_after_sweep(z, rest);
            } else {
                a.residual(r, z, rest);
            }
            return Ok(());
        }
        self.how.times(a, r, z, false)?;
        a.residual(r, z, rest);
        for _ in 1..steps {
            self.how.times(a, rest, &mut self.step, false)?;
            add(&self.step, z);
            a.residual(r, z, rest);
        }
        Ok(())
    }

    /// `steps` transposed steps from `z`; `rest` is a plane to work in.
    pub fn after(
        &mut self,
        a: &Bands,
        steps: u32,
        r: &[f64],
        z: &mut [f64],
        rest: &mut [f64],
    ) -> Result<()> {
        for _ in 0..steps {
            if let How::GaussSeidel { inverse, line } = &mut self.how {
                a.sweep_backward(inverse, r, z, line);
                continue;
            }
            a.residual(r, z, rest);
            self.how.times(a, rest, &mut self.step, true)?;
            add(&self.step, z);
        }
        Ok(())
    }

    pub fn stored_entries(&self) -> usize {
        match &self.how {
            How::Chebyshev(s) => s.stored_entries(),
            How::GaussSeidel { inverse, .. } => inverse.len(),
            How::Named(s, _) => s.stored_entries(),
        }
    }

    pub fn bytes(&self) -> usize {
        let how = match &self.how {
            How::Chebyshev(s) => s.bytes(),
            How::GaussSeidel { inverse, line } => 8 * (inverse.len() + line.len()),
            How::Named(s, [nodes, _]) => s.bytes() + 16 * nodes.len(),
        };
        how + 8 * self.step.len()
    }
}

impl How {
    /// `z = S r`, or Sᵀ r; Gauss–Seidel, which sweeps in place, has no such step.
    fn times(&mut self, a: &Bands, r: &[f64], z: &mut [f64], transposed: bool) -> Result<()> {
        match self {
            How::Chebyshev(s) => s.apply(
                |z, out| {
                    a.residual(r, z, out);
                    Ok(())
                },
                r,
                z,
            ),
            How::Named(s, [of_r, of_z]) => {
                a.grid.to_nodes(r, of_r);
                let applied = s.times(of_r, of_z, transposed);
                a.grid.to_plane(of_z, z);
                applied
            }
            How::GaussSeidel { .. } => Ok(()),
        }
    }
}

fn add(x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}
