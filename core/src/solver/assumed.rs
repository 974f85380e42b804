//! A preconditioner whose user answers for what it does not know of itself.
use crate::Result;
use crate::matrix::Explicit;
use crate::precond::{Preconditioner, Properties};

/// M, declared symmetric and positive definite by whoever uses it: an ILU(0) of a symmetric positive
/// definite A, a network that was trained on one.
///
/// Solvers still look: rᵀMr ≤ 0 is a breakdown that says so. An M that is not symmetric shows as
/// conjugate gradients that stall.
pub struct AssumedDefinite<'a>(pub &'a dyn Preconditioner);

impl Preconditioner for AssumedDefinite<'_> {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.0.apply(r, z)
    }
    fn properties(&self) -> Properties {
        Properties { symmetric: true, positive_definite: true, ..self.0.properties() }
    }
    fn stored_entries(&self) -> usize {
        self.0.stored_entries()
    }
    fn bytes(&self) -> usize {
        self.0.bytes()
    }
    fn apply_many(&self, k: usize, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.0.apply_many(k, r, z)
    }
    fn apply_and_multiply(&self, r: &[f64], z: &mut [f64], y: &mut [f64]) -> Result<()> {
        self.0.apply_and_multiply(r, z, y)
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.0.apply_transpose(r, z)
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        self.0.explicit()
    }
    fn notes(&self) -> Vec<String> {
        self.0.notes()
    }
    fn delegate(&self) -> Option<String> {
        self.0.delegate()
    }
}
