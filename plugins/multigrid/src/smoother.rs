//! What smooths on a level: z ← z + S (r − A z) before the coarse correction, with Sᵀ after it.
//!
//! | kind | S | 0 < S + Sᵀ − Sᵀ A S |
//! |---|---|---|
//! | Chebyshev | two steps, `kernel/chebyshev.rs` of the core | proved there |
//! | Gauss–Seidel | (D + L)⁻¹ before, (D + U)⁻¹ after | Sᵀ D S: for any positive diagonal |
//! | a method by name | ω M | where ω λmax(MA) < 2; λmax by ten Lanczos steps |
//!
//! Without a `damping`, ω of a symmetric method is 1.6/λmax: errors in the upper three quarters of the
//! spectrum then at least lose two fifths a step. That of an unsymmetric one is 1.
use crate::multigrid::Params;
use crate::sweeps::Sweeps;
use precondor_sdk::core::kernel::bands::Bands;
use precondor_sdk::core::kernel::chebyshev::Chebyshev;
use precondor_sdk::core::kernel::lanczos::{self, Options};
use precondor_sdk::core::schema::named_method;
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
/// ω λmax of a symmetric method without a damping of its own.
const STRENGTH: f64 = 1.6;
/// What λmax is estimated with.
const LANCZOS: Options = Options { max_steps: 10, tolerance: 0.02 };

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
    Named(Named),
}

struct Named {
    method: Box<dyn Preconditioner>,
    damping: f64,
    transposes: bool,
    /// One number a node each.
    nodes: [Vec<f64>; 2],
}

/// What is known of a smoother.
pub(crate) struct Traits {
    pub symmetric: bool,
    pub definite: bool,
    pub note: Option<String>,
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
        let mut traits = Traits { symmetric: true, definite: true, note: None };
        let how = match (&params.method, params.smoother) {
            (Some(_), _) => {
                let (named, of_method) = Named::new(params, level, &system()?)?;
                traits = of_method;
                How::Named(named)
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
            How::Named(s) => s.method.stored_entries(),
        }
    }

    pub fn bytes(&self) -> usize {
        let how = match &self.how {
            How::Chebyshev(s) => s.bytes(),
            How::GaussSeidel { inverse, line } => 8 * (inverse.len() + line.len()),
            How::Named(s) => s.method.bytes() + 16 * s.nodes[0].len(),
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
            How::Named(s) => s.times(a, r, z, transposed),
            How::GaussSeidel { .. } => Ok(()),
        }
    }
}

fn add(x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}

impl Named {
    fn new(params: &Params, level: usize, system: &System) -> Result<(Self, Traits)> {
        let wrong = "parameter 'method': it takes a method's name, or a section with 'name'";
        let named = params.method.as_ref().and_then(named_method);
        let (name, section) = named.ok_or_else(|| Error::Parameter(wrong.into()))?;
        let place = format!("parameter 'method': {name} on level {level}");
        let method = system.host().inner(&name, &section, system);
        let method = method.map_err(|e| e.inside(place.clone()))?;
        let of_method = method.properties();
        let n = system.a().n_own();
        let mut nodes = [vec![0.0; n], vec![0.0; n]];
        let [zero, image] = &mut nodes;
        let transposes = match method.apply_transpose(zero, image) {
            Ok(()) => true,
            Err(Error::Unsupported(_)) => false,
            Err(error) => return Err(error.inside(place)),
        };
        let (mut damping, mut definite) = (params.damping.unwrap_or(1.0), false);
        let mut note = format!("smoothing with {name} on level {level}: damping {damping}");
        if of_method.symmetric {
            let ends = lanczos::of_preconditioned(system.a(), &*method, &LANCZOS)?;
            let largest = ends.max + ends.max_error;
            damping = params.damping.unwrap_or(STRENGTH / largest);
            definite = of_method.positive_definite && damping * largest < 2.0;
            note = format!(
                "smoothing with {name} on level {level}: damping {damping:.3}, largest eigenvalue \
                 {largest:.3} ({} Lanczos steps)",
                ends.steps
            );
        }
        let traits = Traits { symmetric: transposes, definite, note: Some(note) };
        Ok((Named { method, damping, transposes, nodes }, traits))
    }

    fn times(&mut self, a: &Bands, r: &[f64], z: &mut [f64], transposed: bool) -> Result<()> {
        let [of_r, of_z] = &mut self.nodes;
        a.grid.to_nodes(r, of_r);
        let applied = if transposed && self.transposes {
            self.method.apply_transpose(of_r, of_z)
        } else {
            self.method.apply(of_r, of_z)
        };
        of_z.iter_mut().for_each(|z| *z *= self.damping);
        a.grid.to_plane(of_z, z);
        applied
    }
}
