//! What wraps the reference solve: damped Jacobi S = ω D⁻¹, or one symmetric Gauss–Seidel sweep
//! S = (D + U)⁻¹ D (D + L)⁻¹ over each rank's own block.
//!
//! The wrapped M₂ is positive definite where 2S − S A S is, that is, 2S⁻¹ − A:
//! - Jacobi: (2/ω) D − A is, by Gershgorin's circles, where ω Σⱼ|aᵢⱼ| < 2 aᵢᵢ in every row;
//! - Gauss–Seidel on one rank: S⁻¹ = A + L D⁻¹ U, so 2S⁻¹ − A = A + 2 L D⁻¹ U = S⁻¹ + L D⁻¹ U is,
//!   whatever A with a positive diagonal;
//! - Gauss–Seidel on several ranks: 2S⁻¹ − A is at least 2 blockdiag(A) − A. Where only ranks of
//!   opposite parity are coupled, as slabs of a grid are, that is A with the signs of every other
//!   block turned: definite where A is. Else nothing is claimed.
use precondor_sdk::core::kernel::triangular::{Shape, Triangle};
use precondor_sdk::prelude::*;

/// What smooths before and after the reference solve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum Kind {
    /// Nothing: the reference solve as it is.
    None,
    /// Damped Jacobi: no sequential sweep, the same M on any number of ranks.
    Jacobi,
    /// One symmetric Gauss-Seidel sweep.
    SymmetricGaussSeidel,
}

pub(crate) enum Smoother {
    /// ω / aᵢᵢ.
    Jacobi(Vec<f64>),
    /// D⁻¹L, D⁻¹U of the own block, and 1 / aᵢᵢ.
    SymmetricGaussSeidel { lower: Triangle, upper: Triangle, scale: Vec<f64> },
}

impl Smoother {
    pub fn jacobi(damping: f64, diagonal: &[f64]) -> Self {
        Smoother::Jacobi(diagonal.iter().map(|d| damping / d).collect())
    }

    pub fn symmetric_gauss_seidel(a: &DistCsr, diagonal: &[f64]) -> Result<Self> {
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
        Ok(Smoother::SymmetricGaussSeidel { lower, upper, scale })
    }

    /// `z = S r`.
    pub fn apply(&self, r: &[f64], z: &mut [f64]) {
        match self {
            Smoother::Jacobi(scale) => {
                z.iter_mut().zip(r).zip(scale).for_each(|((z, r), s)| *z = s * r);
            }
            Smoother::SymmetricGaussSeidel { lower, upper, scale } => {
                lower.solve(z, |i, _| scale[i] * r[i]);
                upper.solve(z, |i, z| z[i]);
            }
        }
    }

    /// Why 2S − S A S may not be positive definite, if so. Collective.
    pub fn doubt(&self, a: &DistCsr) -> Result<Option<String>> {
        let comm = a.space().comm();
        match self {
            Smoother::Jacobi(scale) => {
                let sum = |values: &[f64]| values.iter().map(|v| v.abs()).sum::<f64>();
                let (own, ghost) = (a.own().view(), a.ghost().view());
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
            Smoother::SymmetricGaussSeidel { .. } => {
                let starts = a.space().starts();
                let parity = |rank: usize| {
                    starts[..=rank].windows(2).filter(|pair| pair[0] < pair[1]).count() % 2
                };
                let mine = parity(comm.rank());
                let alike = |&ghost: &u64| parity(a.space().owner(ghost)) == mine;
                let mut any = [f64::from(u8::from(a.ghost_ids().iter().any(alike)))];
                comm.max(&mut any)?;
                Ok((any[0] > 0.0).then(|| {
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
            Smoother::SymmetricGaussSeidel { lower, upper, scale } => {
                lower.nnz() + upper.nnz() + scale.len()
            }
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Smoother::Jacobi(scale) => 8 * scale.len(),
            Smoother::SymmetricGaussSeidel { lower, upper, scale } => {
                lower.bytes() + upper.bytes() + 8 * scale.len()
            }
        }
    }
}
