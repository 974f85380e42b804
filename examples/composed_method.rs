//! A method made of another one, chosen by name: M = B (2 I − A B), a step of defect correction with B.
//!
//! It shows what the smallest method does not: an inner method, products with A inside an application, work space,
//! refreshing, and properties that depend on those of B. As a plugin it would stand in a crate of its own, with
//! `use precondor_sdk::prelude::*` and `export_plugin!(Twice)` at the end; all else stays.
//!
//!     cargo run --example composed_method
use precondor::core::problem::{Poisson, Problem};
use precondor::core::schema::named_method;
use precondor::prelude::*;
use precondor::{schemars, serde, serde_json::Value};
use std::sync::{Mutex, PoisonError};

/// Its parameters.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "precondor::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor::schemars")]
struct Params {
    /// B: a name, or a section with its name and its parameters, which are checked by its own schema.
    #[schemars(extend("x-precondor-method" = true))]
    method: Value,
}

impl Default for Params {
    fn default() -> Self {
        Params { method: "jacobi".into() }
    }
}

/// The method.
struct Twice;

/// M.
struct Corrected {
    a: DistCsr,
    b: Box<dyn Instance>,
    /// Two vectors: an application allocates nothing.
    work: Mutex<[Vec<f64>; 2]>,
}

impl Generator for Twice {
    const NAME: &'static str = "twice";
    const SUMMARY: &'static str = "a step of defect correction with another method";
    const CAPABILITIES: Capabilities = Capabilities { refresh: true, ..Capabilities::NONE };
    type Params = Params;
    type Output = Corrected;

    fn generate(params: &Params, system: &System) -> Result<Corrected> {
        let a = system.a().clone();
        let named = named_method(&params.method);
        let (name, section) = named
            .ok_or_else(|| Error::Parameter("parameter 'method': a name, or a table".into()))?;
        // The host knows all methods, whichever library they come from.
        let b = system.host().inner(&name, &section, system).map_err(|e| e.inside("method"))?;
        let vector = || vec![0.0; a.n_own()];
        Ok(Corrected { work: Mutex::new([vector(), vector()]), a, b })
    }

    /// New values on the same pattern: B refreshes if it can, with an error else, and M is generated anew.
    fn refresh(m: &mut Corrected, _: &Params, system: &System) -> Result<()> {
        m.b.refresh(system)?;
        m.a = system.a().clone();
        Ok(())
    }
}

impl Preconditioner for Corrected {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        // `apply` may be called from several threads, one after the other.
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let [first, rest] = &mut *work;
        self.b.apply(r, first)?;
        self.a.spmv(first, rest)?; // collective: ghost entries are exchanged
        for (rest, r) in rest.iter_mut().zip(r) {
            *rest = r - *rest;
        }
        self.b.apply(rest, z)?;
        for (z, first) in z.iter_mut().zip(first) {
            *z += *first;
        }
        Ok(())
    }

    fn properties(&self) -> Properties {
        // Symmetric where A and B are, which B knows best; definite for a B that is near enough to A⁻¹ only.
        Properties { positive_definite: false, ..self.b.properties() }
    }
    fn stored_entries(&self) -> usize {
        self.b.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.b.bytes() + 2 * 8 * self.a.n_own()
    }
    fn notes(&self) -> Vec<String> {
        self.b.notes()
    }
}

fn main() -> Result<()> {
    let methods = Methods::find()?.with(Native::<Twice>::method())?;
    let (system, b) = Problem::Poisson(Poisson::at_level(5)).generate(Comm::solo())?;
    for (what, name, params) in [
        ("ic", "ic", json!({})),
        ("twice ic", "twice", json!({ "method": "ic" })),
        ("twice jacobi", "twice", json!({ "method": { "name": "jacobi", "damping": 0.7 } })),
        ("twice twice ic", "twice", json!({ "method": { "name": "twice", "method": "ic" } })),
    ] {
        let m = methods.make(name, params, &system)?;
        let solution = Solver::gmres(50).tolerance(1e-8).solve(system.a(), &*m, &b)?;
        println!("{what}: {} iterations", solution.report.iterations);
    }
    let wrong =
        methods.make("twice", json!({ "method": { "name": "jacobi", "dampin": 1 } }), &system);
    println!("{}", wrong.err().map_or("accepted".into(), |e| e.to_string()));
    Ok(())
}
