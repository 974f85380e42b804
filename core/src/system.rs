//! What a method is set up for: a matrix, and what else is known about the problem.
use crate::comm::Communicator;
use crate::host::{Alone, Host};
use crate::matrix::{DistCsr, NullSpaces};
use crate::{Error, Result};
use std::borrow::Cow;
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

/// The name of the auxiliary data that hold the null space of A.
pub const NULL_SPACE: &str = "null-space";

/// The name of the auxiliary data that hold what counts as symmetric: one number, the same for each
/// row.
const SYMMETRY_TOLERANCE: &str = "symmetry-tolerance";

/// A matrix with its auxiliary data and the services of the host it lives in. Clones share.
///
/// Names of auxiliary data in use: `coordinates` (dimension numbers a row), `grid-index`
/// (0-based column and row of the node), `coefficient`, `null-space` (orthonormal vectors that A takes
/// to zero, their entries row after row), `near-nullspace` (vectors that A takes to nearly zero),
/// `block-size` (unknowns of a node, the same number for each row), `symmetry-tolerance`
/// ([`DistCsr::symmetry_tolerance`], the same number for each row).
#[derive(Clone)]
pub struct System {
    a: DistCsr,
    aux: BTreeMap<String, Aux>,
    host: Arc<dyn Host>,
}

impl System {
    /// A matrix, without host services beyond serial loops and without auxiliary data but the null
    /// space that it is known to have.
    pub fn new(a: DistCsr) -> Self {
        let mut system = System { a, aux: BTreeMap::new(), host: Arc::new(Alone) };
        system.know_null_space();
        system
    }

    /// The same system, whose matrix is singular with these null spaces.
    #[must_use]
    pub fn with_null_spaces(self, null: NullSpaces) -> Self {
        let mut system = System { a: self.a.with_null_spaces(null), ..self };
        system.know_null_space();
        system
    }

    fn know_null_space(&mut self) {
        if let Some(null) = self.a.null_spaces().and_then(|null| null.right.as_ref()) {
            let known = Aux { width: null.len(), values: null.by_rows().into() };
            self.aux.insert(NULL_SPACE.to_owned(), known);
        }
    }

    /// The same system, where entries of A count as equal to their mirror images up to this part of the
    /// largest of their row, for solvers and for methods, loaded ones too.
    #[must_use]
    pub fn with_symmetry_tolerance(mut self, tolerance: f64) -> Self {
        let values = vec![tolerance; self.a.n_own()].into();
        self.aux.insert(SYMMETRY_TOLERANCE.to_owned(), Aux { width: 1, values });
        System { a: self.a.with_symmetry_tolerance(tolerance), ..self }
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
        if name == SYMMETRY_TOLERANCE
            && let Some(&tolerance) = values.first()
        {
            self.a = self.a.with_symmetry_tolerance(tolerance);
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
        let inner = System::new(a).with_host(Arc::clone(&self.host));
        match self.aux(SYMMETRY_TOLERANCE).and_then(|aux| aux.values.first()) {
            Some(&tolerance) => inner.with_symmetry_tolerance(tolerance),
            None => inner,
        }
    }

    /// The same system, made regular where its null space is known (auxiliary data `null-space`): as
    /// many diagonal entries as that has vectors are doubled, in rows that tell the vectors apart. What
    /// factorisations, and all that solve with parts of A, start from. Collective where a null space is
    /// known.
    ///
    /// Solutions with the changed matrix Ã are solutions with A: where Lᵀ r = 0 for the left null
    /// space, Ã z = r makes Lᵀ (Ã − A) z = 0, so that z is zero in the rows that were changed. A
    /// positive semidefinite A becomes positive definite.
    ///
    /// # Errors
    /// [`Error::Data`] for a null space that rows with a diagonal entry do not tell apart; what the
    /// communicator reports.
    pub fn regular(&self) -> Result<Cow<'_, System>> {
        let Some(null) = self.aux(NULL_SPACE).filter(|null| null.width > 0) else {
            return Ok(Cow::Borrowed(self));
        };
        let rows = telling_rows(&self.a, null)?;
        let own = self.a.own().view();
        let mut values = own.values.to_vec();
        for i in rows {
            if let Ok(at) = own.row_cols(i).binary_search(&(i as u32)) {
                values[own.range(i).start + at] *= 2.0;
            }
        }
        let a = self.a.with_values(values, self.a.ghost().view().values.to_vec())?;
        let mut regular = System { a, ..self.clone() };
        regular.aux.remove(NULL_SPACE);
        Ok(Cow::Owned(regular))
    }
}

/// Names the first own row without a diagonal entry in which the null space is not zero.
fn without_diagonal(a: &DistCsr, null: &Aux) -> Result<()> {
    let rows = null.values.chunks_exact(null.width).enumerate();
    let found = rows.filter(|(i, row)| a.diagonal(*i) == 0.0 && row.iter().any(|v| *v != 0.0));
    match found.map(|(i, _)| a.global_row(i)).next() {
        None => Ok(()),
        Some(row) => {
            let why = "A is singular, and nothing on the diagonal of this row could be made larger";
            Err(Error::breakdown(row, why))
        }
    }
}

/// Rows with less than this part of the largest are not chosen.
const LARGE: f64 = 0.5;

/// Own rows among as many as the null space has vectors, in which these are linearly independent: the
/// last row whose part orthogonal to those of the rows before is large, again and again. Collective.
fn telling_rows(a: &DistCsr, null: &Aux) -> Result<Vec<usize>> {
    let (width, comm) = (null.width, a.space().comm());
    let mut rest = null.values.to_vec();
    for (i, row) in rest.chunks_exact_mut(width).enumerate() {
        if a.diagonal(i) == 0.0 {
            row.fill(0.0);
        }
    }
    let mut mine = Vec::new();
    for _ in 0..width {
        let sizes = || rest.chunks_exact(width).map(|row| row.iter().map(|v| v * v).sum::<f64>());
        let mut largest = [sizes().fold(0.0, f64::max)];
        comm.max(&mut largest)?;
        if largest[0] <= f64::MIN_POSITIVE {
            comm.agree_first(without_diagonal(a, null))?;
            return Err(Error::Data(format!(
                "the null space has {width} vectors that A's rows with a diagonal entry do not tell \
                 apart"
            )));
        }
        let last = sizes().enumerate().rfind(|(_, size)| *size >= LARGE * largest[0]);
        let words = last.map_or(Vec::new(), |(i, _)| {
            rest[i * width..(i + 1) * width].iter().map(|v| v.to_bits()).collect()
        });
        let all = comm.all_gather(&words)?;
        let chosen = all.iter().rposition(|words| !words.is_empty());
        let Some(rank) = chosen else { continue };
        if let Some((i, _)) = last.filter(|_| rank == comm.rank()) {
            mine.push(i);
        }
        let direction: Vec<f64> = all[rank].iter().map(|&bits| f64::from_bits(bits)).collect();
        let square: f64 = direction.iter().map(|v| v * v).sum();
        for row in rest.chunks_exact_mut(width) {
            let dot: f64 = row.iter().zip(&direction).map(|(r, d)| r * d).sum();
            row.iter_mut().zip(&direction).for_each(|(r, d)| *r -= dot / square * d);
        }
    }
    Ok(mine)
}
