//! What wraps the reference solve. Before it S is applied, after it Sᵀ:
//!
//! | kind | S | I − S A |
//! |---|---|---|
//! | Jacobi | ω D⁻¹ | one damped step |
//! | Chebyshev | `kernel/chebyshev.rs`, degree 3, alone after it 6, or as given | the polynomial of that degree that is smallest on the upper part of the spectrum |
//! | Gauss–Seidel | (D + L)⁻¹ of each rank's own block; after: (D + U)⁻¹ | a forward sweep; after: a backward one |
//! | symmetric Gauss–Seidel | (D + U)⁻¹ D (D + L)⁻¹ of each rank's own block | both, before and after |
//!
//! The wrapped M₂ is positive definite where S⁻¹ + S⁻ᵀ − A is:
//! - Jacobi: (2/ω) D − A is, by Gershgorin's circles, where ω Σⱼ|aᵢⱼ| < 2 aᵢᵢ in every row;
//! - Chebyshev: always, as its kernel proves;
//! - Gauss–Seidel on one rank: S⁻¹ + S⁻ᵀ − A = D is. On several ranks it is D − C, with C what couples
//!   the ranks: by Gershgorin's circles, where Σⱼ|cᵢⱼ| < aᵢᵢ in every row;
//! - symmetric Gauss–Seidel on one rank: S⁻¹ = A + L D⁻¹ U, so 2S⁻¹ − A = A + 2 L D⁻¹ U =
//!   S⁻¹ + L D⁻¹ U is, whatever A with a positive diagonal;
//! - symmetric Gauss–Seidel on several ranks: 2S⁻¹ − A is at least 2 blockdiag(A) − A. Where only ranks
//!   of opposite parity are coupled, as slabs of a grid are, that is A with the signs of every other
//!   block turned: definite where A is. Else nothing is claimed.
use precondor_sdk::core::kernel::chebyshev::Chebyshev;
use precondor_sdk::core::kernel::triangular::{Shape, Triangle};
use precondor_sdk::prelude::*;
use std::sync::{Mutex, PoisonError};

/// What smooths before and after the reference solve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Kind {
    /// Nothing: the reference solve as it is.
    None,
    /// Damped Jacobi: no sequential sweep, the same M on any number of ranks.
    Jacobi,
    /// Chebyshev steps: products with A alone, the same M on any number of ranks.
    Chebyshev,
    /// One Gauss-Seidel sweep forward before, one backward after.
    GaussSeidel,
    /// One symmetric Gauss-Seidel sweep before and one after.
    SymmetricGaussSeidel,
}

impl Kind {
    /// Whether S is the same on any number of ranks.
    pub(crate) fn rank_independent(self) -> bool {
        !matches!(self, Kind::GaussSeidel | Kind::SymmetricGaussSeidel)
    }
}

/// Its interval is one over this to 1, in units of the spectrum's bound: the more steps, the wider.
pub(crate) fn ratio(degree: u32) -> f64 {
    match degree {
        0..=3 => 4.0,
        4..=5 => 5.0,
        _ => 20.0 / 3.0,
    }
}

/// D⁻¹L, D⁻¹U of the own block, and 1 / aᵢᵢ.
pub(crate) struct Sweeps {
    lower: Triangle,
    upper: Triangle,
    scale: Vec<f64>,
    symmetric: bool,
}

pub(crate) enum Smoother {
    /// ω / aᵢᵢ.
    Jacobi(Vec<f64>),
    Chebyshev(Mutex<Chebyshev>),
    Sweeps(Sweeps),
}

impl Sweeps {
    fn new(a: &DistCsr, diagonal: &[f64], symmetric: bool) -> Result<Self> {
        let (n, own) = (a.n_own(), a.own().view());
        let half = own.nnz().saturating_sub(n).div_ceil(2);
        let mut lower = Triangle::with_capacity(Shape::Lower, n, half);
        let mut upper = Triangle::with_capacity(Shape::Upper, n, half);
        for (i, d) in diagonal.iter().enumerate() {
            for (j, value) in own.row(i).filter(|&(j, _)| j != i) {
                let triangle = if j < i { &mut lower } else { &mut upper };
                triangle.push(j as u32, value / d);
            }
            lower.end_row()?;
            upper.end_row()?;
        }
        let scale = diagonal.iter().map(|d| 1.0 / d).collect();
        Ok(Sweeps { lower, upper, scale, symmetric })
    }

    /// `z = S r`, or Sᵀ r.
    fn apply(&self, r: &[f64], z: &mut [f64], transposed: bool) {
        let Sweeps { lower, upper, scale, symmetric } = self;
        if *symmetric {
            lower.solve(z, |i, _| scale[i] * r[i]);
            upper.solve(z, |i, z| z[i]);
        } else if transposed {
            upper.solve(z, |i, _| scale[i] * r[i]);
        } else {
            lower.solve(z, |i, _| scale[i] * r[i]);
        }
    }
}

/// `out = r − A z`.
fn residual(a: &DistCsr, r: &[f64], z: &[f64], out: &mut [f64]) -> Result<()> {
    a.spmv(z, out)?;
    out.iter_mut().zip(r).for_each(|(out, r)| *out = r - *out);
    Ok(())
}

impl Smoother {
    /// The smoother of this kind, if there is one; `damping` is Jacobi's, `degree` Chebyshev's.
    pub fn new(
        kind: Kind,
        damping: f64,
        degree: u32,
        a: &DistCsr,
        diagonal: &[f64],
    ) -> Result<Option<Self>> {
        Ok(Some(match kind {
            Kind::None => return Ok(None),
            Kind::Jacobi => Smoother::Jacobi(diagonal.iter().map(|d| damping / d).collect()),
            Kind::Chebyshev => {
                Smoother::Chebyshev(Mutex::new(Chebyshev::of(a, degree, ratio(degree))?))
            }
            Kind::GaussSeidel => Smoother::Sweeps(Sweeps::new(a, diagonal, false)?),
            Kind::SymmetricGaussSeidel => Smoother::Sweeps(Sweeps::new(a, diagonal, true)?),
        }))
    }

    /// `z = S r`, or Sᵀ r. Collective.
    fn apply(&self, a: &DistCsr, r: &[f64], z: &mut [f64], transposed: bool) -> Result<()> {
        match self {
            Smoother::Jacobi(scale) => {
                z.iter_mut().zip(r).zip(scale).for_each(|((z, r), s)| *z = s * r);
            }
            Smoother::Chebyshev(steps) => {
                let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
                steps.apply(|z, out| residual(a, r, z, out), r, z)?;
            }
            Smoother::Sweeps(sweeps) => sweeps.apply(r, z, transposed),
        }
        Ok(())
    }

    /// `y = S r` and the residual r − A y. Collective.
    pub fn before(&self, a: &DistCsr, r: &[f64], y: &mut [f64], rest: &mut [f64]) -> Result<()> {
        self.apply(a, r, y, false)?;
        if let (Smoother::Sweeps(Sweeps { upper, scale, symmetric: false, .. }), 1) =
            (self, a.space().comm().size())
        {
            // From (D + L) y = r the residual is −U y.
            for (i, rest) in rest.iter_mut().enumerate() {
                *rest = -upper.row_dot(i, y) / scale[i];
            }
            return Ok(());
        }
        residual(a, r, y, rest)
    }

    /// `y ← y + Sᵀ (r − A y)`. Collective.
    pub fn after(
        &self,
        a: &DistCsr,
        r: &[f64],
        y: &mut [f64],
        [rest, step]: [&mut [f64]; 2],
    ) -> Result<()> {
        if let (Smoother::Sweeps(Sweeps { lower, upper, scale, symmetric }), 1) =
            (self, a.space().comm().size())
        {
            // Sweeps relax row by row: the residual need not be known beforehand.
            if *symmetric {
                lower.solve(y, |i, y| scale[i] * r[i] - upper.row_dot(i, y));
            }
            upper.solve(y, |i, y| scale[i] * r[i] - lower.row_dot(i, y));
            return Ok(());
        }
        residual(a, r, y, rest)?;
        self.apply(a, rest, step, true)?;
        y.iter_mut().zip(&*step).for_each(|(y, step)| *y += step);
        Ok(())
    }

    /// Why S + Sᵀ − Sᵀ A S may not be positive definite, if so. Collective.
    pub fn doubt(&self, a: &DistCsr) -> Result<Option<String>> {
        let comm = a.space().comm();
        let sum = |values: &[f64]| values.iter().map(|v| v.abs()).sum::<f64>();
        let (own, ghost) = (a.own().view(), a.ghost().view());
        match self {
            Smoother::Chebyshev(_) => Ok(None),
            Smoother::Jacobi(scale) => {
                let row = |i: usize| sum(own.row_values(i)) + sum(ghost.row_values(i));
                let mut worst =
                    [scale.iter().enumerate().map(|(i, s)| s * row(i)).fold(0.0, f64::max)];
                comm.max(&mut worst)?;
                Ok((worst[0] >= 2.0).then(|| {
                    format!(
                        "positive definiteness is not proved: damping · Σ|a|/a(i,i) is up to {:.3}, \
                         it would have to be below 2",
                        worst[0]
                    )
                }))
            }
            Smoother::Sweeps(Sweeps { scale, symmetric: false, .. }) => {
                let row = |(i, s): (usize, &f64)| s * sum(ghost.row_values(i));
                let mut worst = [scale.iter().enumerate().map(row).fold(0.0, f64::max)];
                comm.max(&mut worst)?;
                Ok((worst[0] >= 1.0).then(|| {
                    "positive definiteness is not proved: Gauss-Seidel runs within ranks, and a row \
                     is coupled more to other ranks than to itself"
                        .into()
                }))
            }
            Smoother::Sweeps(Sweeps { symmetric: true, .. }) => {
                let starts = a.space().starts();
                let parity = |rank: usize| {
                    starts[..=rank].windows(2).filter(|pair| pair[0] < pair[1]).count() % 2
                };
                let mine = parity(comm.rank());
                let alike = |&ghost: &u64| parity(a.space().owner(ghost)) == mine;
                let coupled = comm.any(a.ghost_ids().iter().any(alike))?;
                Ok(coupled.then(|| {
                    "positive definiteness is not proved: symmetric Gauss-Seidel runs within ranks, \
                     and ranks are coupled to more than the next one"
                        .into()
                }))
            }
        }
    }

    pub fn stored_entries(&self) -> usize {
        match self {
            Smoother::Jacobi(scale) => scale.len(),
            Smoother::Chebyshev(steps) => {
                steps.lock().unwrap_or_else(PoisonError::into_inner).stored_entries()
            }
            Smoother::Sweeps(Sweeps { lower, upper, scale, .. }) => {
                lower.nnz() + upper.nnz() + scale.len()
            }
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Smoother::Jacobi(scale) => 8 * scale.len(),
            Smoother::Chebyshev(steps) => {
                steps.lock().unwrap_or_else(PoisonError::into_inner).bytes()
            }
            Smoother::Sweeps(Sweeps { lower, upper, scale, .. }) => {
                lower.bytes() + upper.bytes() + 8 * scale.len()
            }
        }
    }
}
