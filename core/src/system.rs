//! What a method is set up for: a matrix, and what else is known about the problem.
use crate::host::{Alone, Host};
use crate::matrix::DistCsr;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Numbers that come along with the rows of a matrix, `width` for each own row.
#[derive(Clone, Debug, PartialEq)]
pub struct Aux {
    /// Numbers a row.
    pub width: usize,
    /// `n_own · width` numbers, row after row.
    pub values: Arc<[f64]>,
}

/// A matrix with its auxiliary data and the services of the host it lives in. Clones share.
///
/// Names of auxiliary data in use: `coordinates` (dimension numbers a row), `grid-index`
/// (0-based column and row of the node), `coefficient`, `near-nullspace`, `block-size`.
#[derive(Clone)]
pub struct System {
    a: DistCsr,
    aux: BTreeMap<String, Aux>,
    host: Arc<dyn Host>,
}

impl System {
    /// A bare matrix, without host services beyond serial loops.
    pub fn new(a: DistCsr) -> Self {
        System { a, aux: BTreeMap::new(), host: Arc::new(Alone) }
    }

    /// The same system with the services of `host`, whose threads products with A run on, too.
    #[must_use]
    pub fn with_host(self, host: Arc<dyn Host>) -> Self {
        System { a: self.a.with_host(Arc::clone(&host)), host, ..self }
    }

    /// The same system with `width` numbers a row under `name`.
    ///
    /// # Errors
    /// [`Error::Data`] where `values` is not `n_own · width` long.
    pub fn with_aux(mut self, name: &str, width: usize, values: Vec<f64>) -> Result<Self> {
        if values.len() != width * self.a.n_own() {
            return Err(Error::Data(format!(
                "auxiliary data '{name}': {} numbers for {} rows of {width}",
                values.len(),
                self.a.n_own()
            )));
        }
        self.aux.insert(name.to_owned(), Aux { width, values: values.into() });
        Ok(self)
    }

    /// The matrix.
    pub fn a(&self) -> &DistCsr {
        &self.a
    }
    /// Auxiliary data under `name`.
    pub fn aux(&self, name: &str) -> Option<&Aux> {
        self.aux.get(name)
    }
    /// All auxiliary data, by name.
    pub fn all_aux(&self) -> impl Iterator<Item = (&str, &Aux)> {
        self.aux.iter().map(|(name, aux)| (name.as_str(), aux))
    }
    /// Services of the host.
    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }
    /// The same surroundings for another matrix, without auxiliary data: what a method hands to
    /// an inner method.
    #[must_use]
    pub fn for_matrix(&self, a: DistCsr) -> Self {
        System::new(a).with_host(Arc::clone(&self.host))
    }
}
