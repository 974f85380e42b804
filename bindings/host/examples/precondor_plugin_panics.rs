//! A plugin that panics, as a real library with a standard library of its own: tests load it.
#![deny(missing_docs)]
use precondor_sdk::prelude::*;

/// Where to panic.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Params {
    /// Panic while the method is set up.
    pub generate: bool,
}

/// M = I, but for vectors that start with a negative number: they make it panic.
pub struct Panics;

impl Generator for Panics {
    const NAME: &'static str = "panics";
    const SUMMARY: &'static str = "panics in generate or in apply";
    type Params = Params;
    type Output = Panics;

    fn generate(params: &Params, _: &System) -> Result<Panics> {
        assert!(!params.generate, "told to panic in generate");
        Ok(Panics)
    }
}

impl Preconditioner for Panics {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        assert!(!r.iter().any(|r| *r < 0.0), "told to panic in apply");
        z.copy_from_slice(r);
        Ok(())
    }
    fn properties(&self) -> Properties {
        Properties::SPD
    }
    fn stored_entries(&self) -> usize {
        0
    }
    fn bytes(&self) -> usize {
        0
    }
}

export_plugin!(Panics);
