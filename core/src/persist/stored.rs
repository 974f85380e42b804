//! Stored rows as a preconditioner.
use super::{About, Rows};
use crate::Result;
use crate::kernel::fsai::Factored;
use crate::matrix::{DistCsr, Explicit, ExplicitKind};
use crate::precond::{Preconditioner, Properties};
use crate::system::System;

/// M as it was stored, in double precision: for methods whose own form of M adds nothing to its
/// rows.
pub struct Stored {
    form: Form,
    about: About,
}

enum Form {
    Inverse(DistCsr),
    Factor(Factored),
}

impl Stored {
    /// The M of `rows`, which [`Rows::read`] has checked. Collective.
    ///
    /// # Errors
    /// As [`Rows::matrix`].
    pub fn new(rows: Rows, system: &System) -> Result<Self> {
        let m = rows.widened(system)?;
        let form = match rows.about.kind {
            ExplicitKind::Inverse => Form::Inverse(m),
            ExplicitKind::Factor => Form::Factor(Factored::of(m)?),
        };
        Ok(Stored { form, about: rows.about })
    }
}

impl Preconditioner for Stored {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        match &self.form {
            Form::Inverse(m) => m.spmv(r, z),
            Form::Factor(m) => m.apply(r, z),
        }
    }
    fn properties(&self) -> Properties {
        self.about.properties()
    }
    fn stored_entries(&self) -> usize {
        match &self.form {
            Form::Inverse(m) => m.nnz_own(),
            Form::Factor(m) => m.stored_entries(),
        }
    }
    fn bytes(&self) -> usize {
        match &self.form {
            Form::Inverse(m) => m.bytes(),
            Form::Factor(m) => m.bytes(),
        }
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        match &self.form {
            Form::Inverse(m) => Some(Explicit::of(ExplicitKind::Inverse, m)),
            Form::Factor(m) => m.explicit(),
        }
    }
    fn notes(&self) -> Vec<String> {
        self.about.notes.clone()
    }
}
