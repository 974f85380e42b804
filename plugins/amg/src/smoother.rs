//! What smooths on a level: z ← z + S (r − A z) before the coarse correction, with Sᵀ after it.
//!
//! | kind | S | 0 < S + Sᵀ − Sᵀ A S for positive definite A |
//! |---|---|---|
//! | Gauss–Seidel | (D + L)⁻¹ before, (D + U)⁻¹ after | always |
//! | ℓ1-Jacobi | diag(Σⱼ\\|aᵢⱼ\\|)⁻¹ | always (Gershgorin) |
//! | Chebyshev | two steps, `kernel/chebyshev.rs` of the core | proved there |
//! | incomplete Cholesky | (LLᵀ)⁻¹ with the pattern of A | M-matrices; where λmax(SA) < 2, by four Lanczos steps |
//! | SPAI-0 | diag(aᵢᵢ/‖aᵢ‖²), the diagonal nearest to A⁻¹ in ‖I − MA‖ | where λmax(SA) < 2, by ten Lanczos steps |
//! | a method by name | ω M | where ω λmax(MA) < 2: `kernel/smoothing.rs` of the core |
//!
//! References: A. Baker, R. Falgout, T. Kolev, U. Yang, *Multigrid smoothers for ultraparallel computing*, SIAM
//! J. Sci. Comput. 33 (2011) (ℓ1-Jacobi, Chebyshev); O. Bröker, M. Grote, *Sparse approximate inverse
//! smoothers for geometric and algebraic multigrid*, Appl. Numer. Math. 41 (2002) (SPAI-0, SPAI-1).
use crate::incomplete::Incomplete;
use crate::number::Number;
use crate::rows::Rows;
use precondor_sdk::core::kernel::chebyshev::Chebyshev;
use precondor_sdk::core::kernel::smoothing::{Named, Traits, damped};
use precondor_sdk::core::precond::Diagonal;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;

/// What smooths, where it is no method by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Kind {
    /// A Gauss-Seidel sweep, forward before and backward after.
    GaussSeidel,
    /// The residual over the row's sum of absolute values.
    L1Jacobi,
    /// Two Chebyshev steps: products with A alone.
    Chebyshev,
    /// The diagonal nearest to the inverse.
    #[serde(rename = "spai-0")]
    Spai0,
    /// Incomplete Cholesky without fill, where A is symmetric and a look at the spectrum allows it; else a
    /// Gauss-Seidel sweep.
    IncompleteCholesky,
}

/// Chebyshev's iteration works on the upper three quarters of the spectrum.
const RATIO: f64 = 4.0;
/// The smoother of one level.
pub(crate) enum Smoother<V: Number> {
    /// A sweep over the level's halves, which are all it needs.
    GaussSeidel,
    /// Anything else: a step from zero.
    Step(Box<dyn Step<V>>),
}

/// `out = r − A z`, given z.
pub(crate) type Residual<'a, V> = dyn FnMut(&[V], &mut [V]) -> Result<()> + 'a;

/// A smoother that is one linear step.
pub(crate) trait Step<V: Number>: Send {
    /// `z = S r`, or Sᵀ r.
    fn times(
        &mut self,
        residual: &mut Residual<'_, V>,
        r: &[V],
        z: &mut [V],
        transposed: bool,
    ) -> Result<()>;
    fn stored_entries(&self) -> usize;
    fn bytes(&self) -> usize;
}

impl<V: Number> Smoother<V> {
    pub fn in_place(&self) -> bool {
        matches!(self, Smoother::GaussSeidel)
    }
    pub fn stored_entries(&self) -> usize {
        match self {
            Smoother::GaussSeidel => 0,
            Smoother::Step(s) => s.stored_entries(),
        }
    }
    pub fn bytes(&self) -> usize {
        match self {
            Smoother::GaussSeidel => 0,
            Smoother::Step(s) => s.bytes(),
        }
    }
}

/// What a user asks for.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// None: Gauss–Seidel, on ranks Chebyshev.
    pub kind: Option<Kind>,
    pub method: Option<&'a Value>,
    pub damping: Option<f64>,
    /// Whether the levels' matrices are symmetric.
    pub symmetric: bool,
}

impl Wish<'_> {
    /// Whether nothing is asked for.
    pub fn is_open(&self) -> bool {
        self.kind.is_none() && self.method.is_none()
    }

    /// Whether levels can be in single precision.
    pub fn in_single(&self) -> bool {
        self.kind.is_none_or(|kind| kind == Kind::GaussSeidel) && self.method.is_none()
    }

    /// The smoother of level `level`; `system` is its matrix. Collective over its ranks.
    pub fn smoother(
        &self,
        level: usize,
        system: impl FnOnce() -> Result<System>,
    ) -> Result<(Smoother<f64>, Traits)> {
        if self.in_single() {
            return Ok((Smoother::GaussSeidel, Traits::PROVED));
        }
        let system = system()?;
        if self.kind == Some(Kind::IncompleteCholesky) && self.method.is_none() {
            let a = system.a();
            let rows = Rows::of(a.own().view(), None);
            let rows = rows.map_err(|i| Error::breakdown(a.global_row(i), "no diagonal entry"))?;
            return incomplete(level, &rows, self.symmetric);
        }
        let (step, traits) = self.step(level, &system)?;
        Ok((Smoother::Step(step), traits))
    }

    /// The smoother of a level that is spread over ranks, where Gauss–Seidel is not to be had. Collective.
    pub fn spread(&self, level: usize, system: &System) -> Result<(Box<dyn Step<f64>>, Traits)> {
        let of_blocks = match self.kind {
            Some(Kind::GaussSeidel) => Some("gauss-seidel"),
            Some(Kind::IncompleteCholesky) => Some("incomplete-cholesky"),
            _ => None,
        };
        if let Some(kind) = of_blocks.filter(|_| self.method.is_none()) {
            let why = format!(
                "parameter 'smoother': {kind} depends on the ranks, and the recipe 'parallel' does not; take \
                 another smoother, or the recipe 'aggregation'"
            );
            return Err(Error::Parameter(why));
        }
        let kind = Some(self.kind.unwrap_or(Kind::Chebyshev));
        Wish { kind, ..*self }.step(level, system)
    }

    /// A smoother that is a step. Collective.
    fn step(&self, level: usize, system: &System) -> Result<(Box<dyn Step<f64>>, Traits)> {
        if let Some(method) = self.method {
            let (named, traits) = Named::new(method, self.damping, level, system, self.symmetric)?;
            return Ok((Box::new(named), traits));
        }
        let a = system.a();
        let weights =
            |weight: &dyn Fn(usize) -> f64| Diagonal((0..a.n_own()).map(weight).collect());
        match self.kind {
            Some(Kind::L1Jacobi) => {
                let weight = |i| 1.0 / a.global_entries(i).map(|(_, v)| v.abs()).sum::<f64>();
                Ok((Box::new(Plain(weights(&weight))), Traits::PROVED))
            }
            Some(Kind::Spai0) => {
                let weight = |i: usize| {
                    let sizes = || a.global_entries(i).map(|(_, v)| v.abs());
                    let largest = sizes().fold(0.0, f64::max);
                    let square: f64 = sizes().map(|v| (v / largest) * (v / largest)).sum();
                    a.diagonal(i) / largest / square / largest
                };
                let weights = weights(&weight);
                let (damping, traits) =
                    damped(&weights, self.damping, "spai-0", level, system, self.symmetric)?;
                let weights = Diagonal(weights.0.into_iter().map(|w| damping * w).collect());
                Ok((Box::new(Plain(weights)), traits))
            }
            _ => {
                let steps = Chebyshev::of(a, 2, RATIO);
                let steps = steps.map_err(|e| e.inside(format!("smoother on level {level}")))?;
                Ok((Box::new(steps), Traits::PROVED))
            }
        }
    }
}

/// Incomplete Cholesky for the matrix of level `level`, or Gauss–Seidel where that is not to be had.
pub(crate) fn incomplete(
    level: usize,
    a: &Rows<'_, f64>,
    symmetric: bool,
) -> Result<(Smoother<f64>, Traits)> {
    let found = if symmetric { Incomplete::of(a)? } else { None };
    let (smoother, what) = match found {
        Some(factor) => {
            (Smoother::Step(Box::new(Plain(factor)) as Box<dyn Step<f64>>), "incomplete Cholesky")
        }
        None => (Smoother::GaussSeidel, "Gauss-Seidel, as there is no safe incomplete factor"),
    };
    let note = Some(format!("smoothing on level {level}: {what}"));
    Ok((smoother, Traits { note, ..Traits::PROVED }))
}

/// A symmetric S that needs no product with A.
struct Plain<P>(P);

impl<P: Preconditioner> Step<f64> for Plain<P> {
    fn times(
        &mut self,
        _: &mut Residual<'_, f64>,
        r: &[f64],
        z: &mut [f64],
        _: bool,
    ) -> Result<()> {
        self.0.apply(r, z)
    }
    fn stored_entries(&self) -> usize {
        self.0.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl Step<f64> for Chebyshev {
    fn times(
        &mut self,
        residual: &mut Residual<'_, f64>,
        r: &[f64],
        z: &mut [f64],
        _: bool,
    ) -> Result<()> {
        self.apply(residual, r, z)
    }
    fn stored_entries(&self) -> usize {
        self.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.bytes()
    }
}

impl Step<f64> for Named {
    fn times(
        &mut self,
        _: &mut Residual<'_, f64>,
        r: &[f64],
        z: &mut [f64],
        transposed: bool,
    ) -> Result<()> {
        Named::times(self, r, z, transposed)
    }
    fn stored_entries(&self) -> usize {
        self.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.bytes()
    }
}
