//! A preconditioner of your own, in your own program: no plugin, no library.
//!
//! Registered by name it has checked parameters, and other methods can use it: here `schwarz` does, and `composite`.
//!
//!     cargo run --example own_method
use precondor::core::problem::{Poisson, Problem};
use precondor::prelude::*;
use precondor::{schemars, serde};

/// M = ω D⁻¹ (2 I − A D⁻¹): two steps of Jacobi's iteration.
struct TwoSteps;

/// Its parameters, with what is checked before `generate` sees them.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "precondor::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor::schemars")]
struct Params {
    /// Damping factor ω.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    damping: f64,
}

impl Default for Params {
    fn default() -> Self {
        Params { damping: 1.0 }
    }
}

/// What `apply` needs.
struct Made {
    a: DistCsr,
    scale: Vec<f64>,
}

impl Generator for TwoSteps {
    const NAME: &'static str = "two-steps";
    const SUMMARY: &'static str = "two steps of Jacobi's iteration";
    type Params = Params;
    type Output = Made;

    fn generate(params: &Params, system: &System) -> Result<Made> {
        let a = system.a().clone();
        let scale = (0..a.n_own()).map(|i| match a.diagonal(i) {
            0.0 => Err(Error::breakdown(a.global_row(i), "the diagonal entry is 0")),
            d => Ok(params.damping / d),
        });
        Ok(Made { scale: scale.collect::<Result<_>>()?, a })
    }
}

impl Preconditioner for Made {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let once: Vec<f64> = r.iter().zip(&self.scale).map(|(r, s)| s * r).collect();
        self.a.spmv(&once, z)?;
        for ((z, once), s) in z.iter_mut().zip(&once).zip(&self.scale) {
            *z = 2.0 * once - s * *z;
        }
        Ok(())
    }
    fn properties(&self) -> Properties {
        // Symmetric where A is; definite for ω small enough, which is not known here.
        Properties { symmetric: true, ..Properties::GENERAL }
    }
    fn stored_entries(&self) -> usize {
        self.scale.len()
    }
    fn bytes(&self) -> usize {
        8 * self.scale.len()
    }
}

fn main() -> Result<()> {
    let methods = Methods::find()?.with(Native::<TwoSteps>::method())?;
    let (system, b) = Problem::Poisson(Poisson::at_level(5)).generate(Comm::solo())?;
    for (name, params) in [
        ("jacobi", json!({})),
        ("two-steps", json!({ "damping": 0.8 })),
        ("composite", json!({ "methods": ["two-steps", "ic"], "kind": "multiplicative" })),
    ] {
        let m = methods.make(name, params, &system)?;
        let solution = Solver::gmres(50).tolerance(1e-8).solve(system.a(), &*m, &b)?;
        println!("{name}: {} iterations", solution.report.iterations);
    }
    let wrong = methods.make("two-steps", json!({ "damping": -1 }), &system).err();
    println!("{}", wrong.map_or("accepted".into(), |e| e.to_string()));
    Ok(())
}
