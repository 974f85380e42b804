//! A preconditioner of ours that goes on from system to system, lent to PETSc for a solve.
use precondor_core::Result;
use precondor_core::instance::{Kept, poisoned};
use precondor_core::precond::{Preconditioner, Properties};
use precondor_core::ready::Ready;
use std::sync::{Arc, Mutex, PoisonError};

/// An M that is kept from system to system, while PETSc holds it.
pub struct Lent(pub Arc<Mutex<Kept>>);

impl Lent {
    /// What `f` sees of M, which is there.
    pub fn with<T>(&self, f: impl FnOnce(&Ready) -> T) -> Result<T> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.ready().map(f).ok_or_else(poisoned)
    }
}

impl Preconditioner for Lent {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.with(|ready| ready.m().apply(r, z))?
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.with(|ready| ready.m().apply_transpose(r, z))?
    }
    fn properties(&self) -> Properties {
        self.with(|ready| ready.m().properties()).unwrap_or(Properties::GENERAL)
    }
    fn stored_entries(&self) -> usize {
        self.with(|ready| ready.m().stored_entries()).unwrap_or_default()
    }
    fn bytes(&self) -> usize {
        self.with(|ready| ready.m().bytes()).unwrap_or_default()
    }
    fn notes(&self) -> Vec<String> {
        self.with(|ready| ready.m().notes()).unwrap_or_default()
    }
}
