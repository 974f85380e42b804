//! M that is stored as a matrix: what explicit methods make, and what is read back of them.
use super::{About, Rows};
use crate::Result;
use crate::kernel::fsai::Factored;
use crate::kernel::remote;
use crate::matrix::{DistCsr, Explicit, ExplicitKind};
use crate::precond::{Preconditioner, Properties};
use crate::system::System;
use std::sync::{Mutex, PoisonError};

/// M by its entries, or by those of G where M = GᵀG, with what is known of it.
pub struct Stored {
    form: Form,
    properties: Properties,
    notes: Vec<String>,
    /// Mᵀ, from its first use on.
    transpose: Mutex<Option<DistCsr>>,
}

enum Form {
    Inverse(DistCsr),
    Factor(Factored),
}

impl Stored {
    /// M itself.
    pub fn inverse(m: DistCsr, properties: Properties, notes: Vec<String>) -> Self {
        Stored { form: Form::Inverse(m), properties, notes, transpose: Mutex::default() }
    }

    /// M = GᵀG.
    pub fn factor(m: Factored, notes: Vec<String>) -> Self {
        let properties = m.properties();
        Stored { form: Form::Factor(m), properties, notes, transpose: Mutex::default() }
    }

    /// The M of `rows`, which [`Rows::read`] has checked, in double precision. Collective.
    ///
    /// # Errors
    /// As [`Rows::matrix`].
    pub fn new(rows: Rows, system: &System) -> Result<Self> {
        Stored::of(rows.widened(system)?, rows.about)
    }

    fn of(m: DistCsr, about: About) -> Result<Self> {
        let properties = about.properties();
        let form = match about.kind {
            ExplicitKind::Inverse => Form::Inverse(m),
            ExplicitKind::Factor => Form::Factor(Factored::of(m)?),
        };
        Ok(Stored { form, properties, notes: about.notes, transpose: Mutex::default() })
    }

    /// What a method that makes such an M in double precision had saved of it. Collective.
    ///
    /// # Errors
    /// As [`Rows::read`], [`Rows::of_kind`] and [`Rows::matrix`].
    pub fn load(bytes: &[u8], kind: ExplicitKind, system: &System) -> Result<Self> {
        let rows = Rows::read(bytes, system)?.of_kind(kind)?;
        Stored::of(rows.matrix(system)?, rows.about)
    }

    /// M, or G.
    pub fn matrix(&self) -> &DistCsr {
        match &self.form {
            Form::Inverse(m) => m,
            Form::Factor(m) => m.g(),
        }
    }
}

impl Preconditioner for Stored {
    fn apply(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        match &self.form {
            Form::Inverse(m) => m.spmv(r, z),
            Form::Factor(m) => m.apply(r, z),
        }
    }
    fn apply_transpose(&self, r: &[f64], z: &mut [f64]) -> Result<()> {
        let m = match &self.form {
            Form::Inverse(m) if !self.properties.symmetric => m,
            _ => return self.apply(r, z),
        };
        let mut transpose = self.transpose.lock().unwrap_or_else(PoisonError::into_inner);
        if transpose.is_none() {
            *transpose = Some(remote::transpose(m)?);
        }
        transpose.as_ref().map_or(Ok(()), |t| t.spmv(r, z))
    }
    fn properties(&self) -> Properties {
        self.properties
    }
    fn stored_entries(&self) -> usize {
        self.matrix().nnz_own()
    }
    fn bytes(&self) -> usize {
        let transpose = self.transpose.lock().unwrap_or_else(PoisonError::into_inner);
        let transpose = transpose.as_ref().map_or(0, DistCsr::bytes);
        transpose
            + match &self.form {
                Form::Inverse(m) => m.bytes(),
                Form::Factor(m) => m.bytes(),
            }
    }
    fn explicit(&self) -> Option<Explicit<'_>> {
        let kind = match &self.form {
            Form::Inverse(_) => ExplicitKind::Inverse,
            Form::Factor(_) => ExplicitKind::Factor,
        };
        Some(Explicit::of(kind, self.matrix()))
    }
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
