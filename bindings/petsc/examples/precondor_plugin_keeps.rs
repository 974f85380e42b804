//! A plugin in safe Rust that keeps what it was lent, and uses it when and where it likes: tests load it.
#![deny(missing_docs)]
use precondor_sdk::core::host::Level;
use precondor_sdk::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// None.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", default, deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct NoParams {}

/// M = I.
pub struct Keeps;

/// The services of every setup so far.
static KEPT: Mutex<Vec<Arc<dyn Host>>> = Mutex::new(Vec::new());

impl Generator for Keeps {
    const NAME: &'static str = "keeps";
    const SUMMARY: &'static str = "keeps the services of a setup beyond it";
    type Params = NoParams;
    type Output = Keeps;

    fn generate(_: &NoParams, system: &System) -> Result<Keeps> {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        for host in kept.iter() {
            host.log(Level::Info, "of a setup that is over");
        }
        let host = system.host();
        host.log(Level::Info, "of this setup");
        let here = Arc::clone(host);
        let told = std::thread::spawn(move || here.log(Level::Info, "on another thread")).join();
        told.map_err(|_| Error::Data("the other thread panicked".into()))?;
        kept.push(Arc::clone(host));
        Ok(Keeps)
    }
}

impl Preconditioner for Keeps {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
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

export_plugin!(Keeps);
