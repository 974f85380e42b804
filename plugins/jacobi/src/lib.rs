//! Damped Jacobi: M = ω D⁻¹ with D = diag(A).
//!
//! As a stationary method it converges for symmetric positive definite A when
//! 0 < ω < 2 / λmax(D⁻¹A). In a Krylov method ω only scales M.
//!
//! Cost: setup one pass over the diagonal; apply n multiplications; no communication.
//!
//! Reference: Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd ed., SIAM 2003, §4.1.
#![deny(missing_docs)]
pub mod traffic;

use precondor_sdk::prelude::*;

/// Parameters of [`Jacobi`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {
    /// Damping factor ω.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 2.0, "x-precondor-tune" = false))]
    pub damping: f64,
}

impl Default for Params {
    fn default() -> Self {
        Params { damping: 1.0 }
    }
}

/// The method.
pub struct Jacobi;

/// ω / aᵢᵢ for every own row.
pub struct Scaling {
    scale: Vec<f64>,
    positive: bool,
}

impl Generator for Jacobi {
    const NAME: &'static str = "jacobi";
    const SUMMARY: &'static str = "damped Jacobi: scaling by the diagonal";
    type Params = Params;
    type Output = Scaling;

    fn invariances(_: &Params) -> Invariances {
        Invariances::ALL
    }

    fn generate(params: &Params, system: &System) -> Result<Scaling> {
        let a = system.a();
        let scale = (0..a.n_own()).map(|i| match a.diagonal(i) {
            d if d == 0.0 || !d.is_finite() => Err(Error::breakdown(
                a.global_row(i),
                format_args!("the diagonal entry is {d}; jacobi divides by it"),
            )),
            d => Ok(params.damping / d),
        });
        let scale = scale.collect::<Result<Vec<f64>>>()?;
        let negative = a.space().comm().any(scale.iter().any(|&s| s < 0.0))?;
        Ok(Scaling { scale, positive: !negative })
    }
}

impl Preconditioner for Scaling {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        for ((z, r), s) in z.iter_mut().zip(r).zip(&self.scale) {
            *z = s * r;
        }
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties { symmetric: true, positive_definite: self.positive, ..Properties::GENERAL }
    }
    fn stored_entries(&self) -> usize {
        self.scale.len()
    }
    fn bytes(&self) -> usize {
        8 * self.scale.len()
    }
}

export_plugin!(Jacobi);
