//! Gauss–Seidel: forward M⁻¹ = D/ω + L, backward M⁻¹ = D/ω + U, symmetric (SSOR)
//! M⁻¹ = ω/(2−ω) (D/ω + L) D⁻¹ (D/ω + U), with A = L + D + U and 0 < ω < 2.
//! Several sweeps are that many steps of x ← x + M (r − A x) from x = 0, so M stays linear.
//!
//! As a stationary method every sweep converges for symmetric positive definite A and 0 < ω < 2.
//! The symmetric M is then symmetric positive definite, as conjugate gradients need it. Forward and
//! backward are each other's transpose for symmetric A.
//!
//! Each rank sweeps over the block of columns that it owns: block Jacobi between the ranks, and M
//! depends on their number. `schwarz` with `method = "gauss-seidel"` lets the blocks overlap.
//!
//! Cost: setup one pass over A, which is stored scaled by rows (12 bytes an entry, 16 a row); the
//! first sweep in one direction costs half a product with A, every later one a whole; the first
//! symmetric sweep a whole, later ones two. No communication.
//!
//! Reference: Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, §4.1
//! (sweeps), §10.2 (as preconditioners); D. M. Young, *Iterative Solution of Large Linear Systems*,
//! Academic Press 1971.
#![deny(missing_docs)]
use precondor_sdk::core::kernel::triangular::{Shape, Triangle};
use precondor_sdk::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Parameters of [`GaussSeidel`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {
    /// Order in which rows are relaxed.
    pub sweep: Sweep,
    /// Relaxation ω: below 1 damps, above 1 over-relaxes (SOR, SSOR).
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 2.0, "x-precondor-tune" = [0.5, 1.9]))]
    pub relaxation: f64,
    /// Sweeps in one application.
    #[schemars(range(min = 1), extend("x-precondor-tune" = [1, 4]))]
    pub sweeps: u32,
}

impl Default for Params {
    fn default() -> Self {
        Params { sweep: Sweep::Forward, relaxation: 1.0, sweeps: 1 }
    }
}

/// Order in which rows are relaxed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Sweep {
    /// Increasing row numbers.
    Forward,
    /// Decreasing row numbers.
    Backward,
    /// Forward, then backward: symmetric for symmetric A, for conjugate gradients.
    Symmetric,
}

impl Sweep {
    fn goes_forward(self) -> bool {
        self != Sweep::Backward
    }
    fn goes_backward(self) -> bool {
        self != Sweep::Forward
    }
    /// Forward and backward change roles in the transpose.
    fn transposed(self) -> Self {
        match self {
            Sweep::Forward => Sweep::Backward,
            Sweep::Backward => Sweep::Forward,
            Sweep::Symmetric => Sweep::Symmetric,
        }
    }
}

/// The method.
pub struct GaussSeidel;

/// The own block of A, its rows scaled by ω / aᵢᵢ.
pub struct Sweeps {
    params: Params,
    /// ω D⁻¹ L.
    lower: Triangle,
    /// ω D⁻¹ U.
    upper: Triangle,
    /// ω / aᵢᵢ.
    scale: Vec<f64>,
    /// Residual, for the transpose.
    work: Mutex<Vec<f64>>,
    properties: Properties,
    ranks: usize,
}

impl Generator for GaussSeidel {
    const NAME: &'static str = "gauss-seidel";
    const SUMMARY: &'static str = "Gauss-Seidel, SOR and SSOR sweeps over each rank's own block";
    const CAPABILITIES: Capabilities =
        Capabilities { transpose: true, refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = Sweeps;

    fn invariances(_: &Params) -> Invariances {
        Invariances::ROWS_AND_COLUMNS
    }

    fn generate(params: &Params, system: &System) -> Result<Sweeps> {
        let a = system.a();
        let (n, own) = (a.n_own(), a.own().view());
        let half = own.nnz().saturating_sub(n).div_ceil(2);
        let mut lower = Triangle::with_capacity(Shape::Lower, n, half);
        let mut upper = Triangle::with_capacity(Shape::Upper, n, half);
        let mut scale = Vec::with_capacity(n);
        for i in 0..n {
            let s = scale_of(params, a, i)?;
            for (j, value) in own.row(i).filter(|&(j, _)| j != i) {
                let triangle = if j < i { &mut lower } else { &mut upper };
                triangle.push(j as u32, s * value);
            }
            lower.end_row()?;
            upper.end_row()?;
            scale.push(s);
        }
        let properties = properties(params, a, &scale)?;
        let (work, ranks) = (Mutex::new(vec![0.0; n]), a.space().comm().size());
        let params = params.clone();
        Ok(Sweeps { params, lower, upper, scale, work, properties, ranks })
    }

    /// Keeps the patterns of both triangles.
    fn refresh(m: &mut Sweeps, params: &Params, system: &System) -> Result<()> {
        let a = system.a();
        let own = a.own().view();
        for i in 0..a.n_own() {
            let s = scale_of(params, a, i)?;
            let (below, lower) = m.lower.row_mut(i);
            let (above, upper) = m.upper.row_mut(i);
            let mut kept = below.iter().zip(lower).chain(above.iter().zip(upper));
            for (j, value) in own.row(i).filter(|&(j, _)| j != i) {
                match kept.next() {
                    Some((col, to)) if *col as usize == j => *to = s * value,
                    _ => return Err(Error::PatternChanged),
                }
            }
            if kept.next().is_some() {
                return Err(Error::PatternChanged);
            }
            m.scale[i] = s;
        }
        m.properties = properties(params, a, &m.scale)?;
        m.params = params.clone();
        Ok(())
    }
}

/// ω / aᵢᵢ.
fn scale_of(params: &Params, a: &DistCsr, i: usize) -> Result<f64> {
    let d = a.diagonal(i);
    let s = params.relaxation / d;
    if s == 0.0 || !s.is_finite() {
        let why = format_args!("the diagonal entry is {d}; gauss-seidel divides by it");
        return Err(Error::breakdown(a.global_row(i), why));
    }
    Ok(s)
}

/// Collective.
fn properties(params: &Params, a: &DistCsr, scale: &[f64]) -> Result<Properties> {
    let symmetric = params.sweep == Sweep::Symmetric && a.first_unsymmetric()?.is_none();
    let negative = a.space().comm().any(scale.iter().any(|&s| s < 0.0))?;
    Ok(Properties {
        symmetric,
        positive_definite: symmetric && !negative,
        constant: true,
        rank_independent: false,
    })
}

impl Preconditioner for Sweeps {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let (Sweeps { lower, upper, scale, .. }, sweep) = (self, self.params.sweep);
        let keep = 1.0 - self.params.relaxation;
        match sweep {
            Sweep::Backward => upper.solve(z, |i, _| scale[i] * r[i]),
            Sweep::Forward | Sweep::Symmetric => lower.solve(z, |i, _| scale[i] * r[i]),
        }
        if sweep == Sweep::Symmetric {
            // From y = (D/ω + L)⁻¹ r the residual is r − A y = ((2−ω)/ω D − (D/ω + U)) y.
            upper.solve(z, |i, z| (1.0 + keep) * z[i]);
        }
        for _ in 1..self.params.sweeps {
            if sweep.goes_forward() {
                lower.solve(z, |i, z| keep * z[i] + scale[i] * r[i] - upper.row_dot(i, z));
            }
            if sweep.goes_backward() {
                upper.solve(z, |i, z| keep * z[i] + scale[i] * r[i] - lower.row_dot(i, z));
            }
        }
        Ok(())
    }

    /// The same sweeps over Aᵀ, whose columns are the stored rows: each step takes what it solves
    /// out of the residual at once.
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let residual = work.as_mut_slice();
        residual.copy_from_slice(r);
        z.fill(0.0);
        let mut relax = |i: usize| {
            let u = residual[i];
            z[i] += self.scale[i] * u;
            residual[i] = (1.0 - self.params.relaxation) * u;
            for triangle in [&self.lower, &self.upper] {
                let (cols, values) = triangle.row(i);
                for (&j, t) in cols.iter().zip(values) {
                    residual[j as usize] -= t * u;
                }
            }
        };
        let sweep = self.params.sweep.transposed();
        for _ in 0..self.params.sweeps {
            if sweep.goes_forward() {
                (0..r.len()).for_each(&mut relax);
            }
            if sweep.goes_backward() {
                (0..r.len()).rev().for_each(&mut relax);
            }
        }
        Ok(())
    }

    fn properties(&self) -> Properties {
        self.properties
    }
    fn stored_entries(&self) -> usize {
        self.lower.nnz() + self.upper.nnz() + self.scale.len()
    }
    fn bytes(&self) -> usize {
        self.lower.bytes() + self.upper.bytes() + 16 * self.scale.len()
    }
    fn notes(&self) -> Vec<String> {
        if self.ranks == 1 {
            return Vec::new();
        }
        vec![format!(
            "one block per rank, overlap 0: each of the {} ranks sweeps over its own block only; \
             schwarz lets them overlap",
            self.ranks
        )]
    }
}

export_plugin!(GaussSeidel);
